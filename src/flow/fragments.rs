//! Fragments of IP packets until they are together: bounded in number and bytes, aged by stream time.
//!
//! What does not come together gives nothing, and neither does a packet whose fragments contradict each other: no sensor can
//! know which of two versions the receiver took. So a fragment that overlaps others makes its whole packet worthless, with
//! everything of it that is still to come (RFC 5722 §3 for IPv6; Linux does the same for IPv4 since 2018), unless it lies within
//! one that is there and says the same: then it is a copy and is passed over (RFC 8200 §4.5).

use std::collections::{HashMap, VecDeque};

use foldhash::quality::RandomState;

use crate::{
    time::{Span, Timestamp},
    wire::{Fragment, Ip, Network, Packet},
};

/// Copies of a packet that came together this long ago, or less, are passed over: as long as a mirror's copies of whole packets
/// are looked for. Longer would refuse packets of a fast sender whose 16 bits of identification came round (RFC 4963).
const COPY_WINDOW: Span = Span::from_millis(100);

/// Packets that came together lately, at most.
const MAX_DONE: usize = 64;

/// Fragments of one packet at most: 64 KiB in fragments of 552 bytes, which fit into the 576 that every IPv4 host takes.
const MAX_PIECES: usize = 128;

/// End of the longest IP payload (RFC 791 §3.1, RFC 8200 §4.5), in bytes.
const MAX_END: u32 = 65_535;

/// Limits of a table.
#[derive(Clone, Copy, Debug)]
pub struct FragmentLimits {
    /// Packets that wait for fragments at most.
    pub max_packets: usize,
    /// Bytes that they take at most; 4 MiB as in Linux (`ipfrag_high_thresh`).
    pub max_bytes: usize,
    /// How long after its first fragment a packet is given up: 30 s as in Linux (`ipfrag_time`).
    pub age: Span,
}

impl Default for FragmentLimits {
    fn default() -> Self {
        Self { max_packets: 4_096, max_bytes: 4 << 20, age: Span::from_secs(30) }
    }
}

/// What makes two fragments belong to one packet. IPv6 leaves the protocol to the first fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    source: Ip,
    destination: Ip,
    identification: u32,
    protocol: u8,
    vlan: Option<u16>,
    network: Network,
}

impl FragmentKey {
    /// The key of a fragment; `vlan` where VLANs part flows.
    #[must_use]
    pub fn of(packet: &Packet<'_>, fragment: &Fragment<'_>, vlan: Option<u16>) -> Self {
        let (source, destination) = (packet.ip.source, packet.ip.destination);
        let protocol = if source.is_ipv6() { 0 } else { fragment.protocol };
        let network = packet.encapsulation.network();
        Self { source, destination, identification: fragment.identification, protocol, vlan, network }
    }
}

/// What came of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Others are missing.
    Waiting,
    /// It was there before.
    Copy,
    /// It is impossible, or contradicts others, or is of a packet of which some did.
    Refused,
    /// It was the last one.
    Whole(Reassembled),
}

/// The payload of a packet that came in fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassembled {
    /// What it carries, as its first fragment says.
    pub protocol: u8,
    /// What was captured of it, up to the first hole that a snaplen left.
    pub bytes: Vec<u8>,
    /// Its length on the wire in bytes.
    pub len: u32,
    /// Lengths of all its frames on the wire, together, in bytes.
    pub frame_bytes: u32,
}

/// Fragments by packet; what it holds and what it drops is told at the head of this file.
#[derive(Debug)]
pub struct FragmentTable {
    limits: FragmentLimits,
    packets: HashMap<FragmentKey, Waiting, RandomState>,
    /// Oldest first. Entries of packets that have gone stay for a while; the serial number tells.
    order: VecDeque<(u64, FragmentKey)>,
    done: VecDeque<(Timestamp, FragmentKey)>,
    serial: u64,
    held: usize,
    dropped: u64,
}

impl FragmentTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: FragmentLimits) -> Self {
        Self {
            limits,
            packets: HashMap::default(),
            order: VecDeque::new(),
            done: VecDeque::new(),
            serial: 0,
            held: 0,
            dropped: 0,
        }
    }

    /// Packets that wait for fragments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes that they take.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held
    }

    /// Frames with fragments that came to nothing: refused, too old, or pushed out by others.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes a fragment in at stream time `now`. `frame_len` is its frame's length on the wire.
    pub fn push(&mut self, key: FragmentKey, fragment: &Fragment<'_>, frame_len: u32, now: Timestamp) -> Joined {
        self.expire(now);
        let Some(piece) = Piece::of(fragment) else { return self.refuse() };
        if !self.packets.contains_key(&key) && self.is_done(&key, now) {
            return Joined::Copy;
        }
        self.make_room(&key, piece.cost());
        let deadline = now + self.limits.age;
        let waiting = self.packets.entry(key).or_insert_with(|| {
            self.serial += 1;
            self.order.push_back((self.serial, key));
            Waiting { serial: self.serial, deadline, ..Waiting::default() }
        });
        let cost = piece.cost();
        match waiting.add(piece, fragment, frame_len) {
            Fit::Copy => Joined::Copy,
            Fit::Conflict => {
                self.held -= waiting.cost();
                self.dropped += u64::from(waiting.spoil());
                self.refuse()
            }
            Fit::New => {
                self.held += cost;
                if waiting.is_whole() { self.take_whole(&key, now) } else { Joined::Waiting }
            }
        }
    }

    /// The capture is over: what still waits came to nothing.
    pub fn finish(&mut self) {
        while self.drop_oldest() {}
    }

    fn refuse(&mut self) -> Joined {
        self.dropped += 1;
        Joined::Refused
    }

    fn take_whole(&mut self, key: &FragmentKey, now: Timestamp) -> Joined {
        let Some(waiting) = self.packets.remove(key) else { return Joined::Waiting };
        self.held -= waiting.cost();
        if self.done.len() == MAX_DONE {
            self.done.pop_front();
        }
        self.done.push_back((now + COPY_WINDOW, *key));
        Joined::Whole(waiting.assemble())
    }

    fn is_done(&self, key: &FragmentKey, now: Timestamp) -> bool {
        self.done.iter().any(|(until, done)| done == key && now <= *until)
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((serial, key)) = self.order.front() {
            let alive = self.packets.get(key).filter(|waiting| waiting.serial == *serial);
            if alive.is_some_and(|waiting| waiting.deadline > now) {
                break;
            }
            self.drop_oldest();
        }
    }

    /// Makes room for `cost` more bytes, and for one more packet where `key` is new.
    fn make_room(&mut self, key: &FragmentKey, cost: usize) {
        let full = !self.packets.contains_key(key) && self.packets.len() >= self.limits.max_packets;
        while (full && self.packets.len() >= self.limits.max_packets) || self.held.saturating_add(cost) > self.limits.max_bytes {
            if !self.drop_oldest() {
                break;
            }
        }
        if self.order.len() > 2 * self.limits.max_packets {
            let packets = &self.packets;
            self.order.retain(|(serial, key)| packets.get(key).is_some_and(|waiting| waiting.serial == *serial));
        }
    }

    /// Whether there was one, or a sign of one that has gone.
    fn drop_oldest(&mut self) -> bool {
        let Some((serial, key)) = self.order.pop_front() else { return false };
        let alive = self.packets.get(&key).is_some_and(|waiting| waiting.serial == serial);
        if alive && let Some(waiting) = self.packets.remove(&key) {
            self.held -= waiting.cost();
            self.dropped += u64::from(waiting.frames);
        }
        true
    }
}

/// A stretch of a packet's payload.
#[derive(Debug)]
struct Piece {
    start: u32,
    end: u32,
    /// What was captured of it.
    bytes: Box<[u8]>,
}

impl Piece {
    /// `None` where no such fragment can be: nothing in it, reaching too far, or not the last and no multiple of 8 bytes long.
    fn of(fragment: &Fragment<'_>) -> Option<Self> {
        let end = fragment.offset.checked_add(fragment.len).filter(|end| *end <= MAX_END)?;
        if fragment.len == 0 || (fragment.more && !fragment.len.is_multiple_of(8)) {
            return None;
        }
        let bytes = fragment.bytes.get(..fragment.len as usize).unwrap_or(fragment.bytes);
        Some(Self { start: fragment.offset, end, bytes: bytes.into() })
    }

    /// Bytes of memory.
    fn cost(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    /// Whether `other` lies within this one and says the same, as far as both were captured.
    fn repeats(&self, other: &Self) -> bool {
        if other.start < self.start || other.end > self.end {
            return false;
        }
        let here = self.bytes.get((other.start - self.start) as usize..).unwrap_or_default();
        here.iter().zip(&other.bytes).all(|(a, b)| a == b)
    }
}

/// A packet that is not yet together.
#[derive(Debug, Default)]
struct Waiting {
    serial: u64,
    deadline: Timestamp,
    /// In the order of the payload, without overlaps.
    pieces: Vec<Piece>,
    /// Its length, once the last fragment is there.
    len: Option<u32>,
    /// The first fragment's.
    protocol: u8,
    /// Frames and their bytes on the wire, copies left out.
    frames: u32,
    frame_bytes: u32,
    spoilt: bool,
}

/// How a fragment stands to those that are there.
enum Fit {
    New,
    Copy,
    Conflict,
}

impl Waiting {
    fn add(&mut self, piece: Piece, fragment: &Fragment<'_>, frame_len: u32) -> Fit {
        if self.spoilt || self.pieces.len() >= MAX_PIECES {
            return Fit::Conflict;
        }
        let at = self.pieces.partition_point(|other| other.start <= piece.start);
        let before = at.checked_sub(1).and_then(|before| self.pieces.get(before));
        let says_len = if fragment.more { None } else { Some(piece.end) };
        if before.is_some_and(|before| before.repeats(&piece)) && (says_len.is_none() || says_len == self.len) {
            return Fit::Copy;
        }
        let overlaps = before.is_some_and(|before| before.end > piece.start)
            || self.pieces.get(at).is_some_and(|after| after.start < piece.end);
        let beyond = self.len.is_some_and(|len| piece.end > len || says_len.is_some())
            || says_len.is_some_and(|len| self.pieces.last().is_some_and(|last| last.end > len));
        if overlaps || beyond {
            return Fit::Conflict;
        }
        if piece.start == 0 {
            self.protocol = fragment.protocol;
        }
        self.len = self.len.or(says_len);
        self.frames += 1;
        self.frame_bytes = self.frame_bytes.saturating_add(frame_len);
        self.pieces.insert(at, piece);
        Fit::New
    }

    /// Pieces do not overlap and none lies beyond the end, so that their lengths tell.
    fn is_whole(&self) -> bool {
        self.len == Some(self.pieces.iter().map(|piece| piece.end - piece.start).sum())
    }

    fn assemble(self) -> Reassembled {
        let mut bytes = Vec::with_capacity(self.pieces.iter().map(|piece| piece.bytes.len()).sum());
        for piece in &self.pieces {
            bytes.extend_from_slice(&piece.bytes);
            if piece.bytes.len() < (piece.end - piece.start) as usize {
                break;
            }
        }
        Reassembled { protocol: self.protocol, bytes, len: self.len.unwrap_or_default(), frame_bytes: self.frame_bytes }
    }

    /// Gives up what is there; how many frames that were.
    fn spoil(&mut self) -> u32 {
        self.spoilt = true;
        self.pieces = Vec::new();
        std::mem::take(&mut self.frames)
    }

    /// Bytes of memory.
    fn cost(&self) -> usize {
        self.pieces.iter().map(Piece::cost).sum()
    }
}

#[cfg(test)]
#[path = "fragments_tests.rs"]
mod tests;
