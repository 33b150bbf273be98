//! One direction of a TCP flow, for every flow: a few counters and what it takes to tell a retransmission from a
//! reordered segment from the second copy of a frame that a SPAN port made.

use serde::{Deserialize, Serialize};

use super::StackMarks;
use crate::{
    time::{Span, Timestamp},
    wire::{SeqNumber, TcpFlags, TcpSegment},
};

/// A copy of a frame arrives within this time of the original. Retransmissions never come so soon with the same
/// IP identification; where that is 0 (IPv6, some stacks) [`COPY_WINDOW_NO_ID`] holds.
const COPY_WINDOW: Span = Span::from_millis(100);

/// The same for packets without an IP identification: shorter than the shortest retransmission timer that is usual
/// (tail loss probe: 2 round trips, at least 10 ms on Linux).
const COPY_WINDOW_NO_ID: Span = Span::from_millis(2);

/// A segment that fills a hole this soon was reordered, not sent again. Used where IP identifications cannot tell;
/// the value is Wireshark's.
const REORDER_WINDOW: Span = Span::from_millis(3);

/// Frames of one direction among which the original of a copy is looked for: a mirror may give several frames and then
/// the same ones again.
pub(super) const RECENT: usize = 4;

/// Packets of a sender among which a remote mirror's late copy is looked for by its identification. One that draws lots hits them
/// once in a thousand times.
const LATE_COPIES: u16 = 64;

/// How a segment stands to what was seen of its direction before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Continues the stream, or leaves a hole before it.
    New,
    /// Fills a hole; the path or the tap changed the order.
    OutOfOrder,
    /// Sent again, wholly or in part; it may still carry bytes that were not seen.
    Retransmitted,
    /// The same frame once more (a SPAN port that mirrors both ports). Carries nothing new, as far as can be told by a few
    /// counters; a stream tells for certain.
    Duplicate,
    /// A keep-alive or zero-window probe (RFC 9293 §3.8.4): at most one byte, in front of the stream.
    Probe,
    /// No payload, no SYN, no FIN.
    Bare,
}

/// Counters and sequence state of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Half {
    /// Counters that are reported.
    pub traffic: Traffic,
    /// What its headers say of the sender.
    pub stack: StackMarks,
    /// First sequence number of the stream (behind the SYN), where the SYN was seen.
    pub start: Option<SeqNumber>,
    /// First sequence number not seen yet, once anything was.
    pub next: Option<SeqNumber>,
    /// The FIN was seen.
    pub finished: bool,
    /// The hole that was opened last.
    hole: Option<Hole>,
    recent: [Mark; RECENT],
    /// Packet counter and time of the last frame that was no copy.
    last: Option<(u16, Timestamp)>,
}

/// What passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Frames, copies left out.
    pub packets: u64,
    /// Bytes of frames on the wire, copies left out.
    pub bytes: u64,
    /// Bytes of TCP or UDP payload on the wire, copies left out.
    pub payload_bytes: u64,
    /// Segments that were sent again.
    pub retransmitted: u32,
    /// Segments that came late.
    pub out_of_order: u32,
    /// Copies of frames made on the way to the sensor.
    pub duplicated: u32,
    /// Holes in the stream that were never filled.
    pub gaps: u32,
}

/// A missing stretch of the stream.
#[derive(Clone, Copy, Debug)]
struct Hole {
    start: SeqNumber,
    end: SeqNumber,
    opened: Timestamp,
    opener_id: u16,
}

/// What identifies a frame among its copies, in little: a hash, and the microsecond, both cut to 32 bits. All zero for none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    hash: u32,
    micros: u32,
}

/// How soon a segment comes again that was copied and not sent again. Handshakes are sent again after a second (RFC 6298 §2.1).
pub(super) fn copy_window(segment: &TcpSegment<'_>, identification: u16) -> Span {
    let is_soon = identification == 0 && !segment.flags.has(TcpFlags::SYN);
    if is_soon { COPY_WINDOW_NO_ID } else { COPY_WINDOW }
}

impl Mark {
    pub(super) fn of(segment: &TcpSegment<'_>, identification: u16, time: Timestamp) -> Self {
        let head = u32::from(identification) << 16 | u32::from(segment.window);
        let words = [segment.seq.0, segment.ack.0, segment.payload_len, head, u32::from(segment.flags.0)];
        let hash = words.iter().fold(0u64, |hash, &word| {
            let mixed = (hash ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^ (mixed >> 32)
        });
        Self { hash: hash as u32 | 1, micros: time.as_nanos().div_euclid(1_000) as u32 }
    }

    /// Whether this is the frame of `before` once more, if it comes within `window`.
    pub(super) fn copies(self, before: Self, window: Span) -> bool {
        let apart = (self.micros.wrapping_sub(before.micros) as i32).unsigned_abs();
        self.hash == before.hash && u64::from(apart) <= window.as_micros()
    }
}

impl Half {
    /// Takes a segment into account and says how it stands. `frame_len` is the frame's length on the wire.
    pub fn observe(&mut self, segment: &TcpSegment<'_>, identification: u16, time: Timestamp, frame_len: u32) -> Arrival {
        let mark = Mark::of(segment, identification, time);
        let window = copy_window(segment, identification);
        if self.recent.iter().any(|&before| mark.copies(before, window)) {
            self.traffic.duplicated = self.traffic.duplicated.saturating_add(1);
            return Arrival::Duplicate;
        }
        let arrival = self.place(segment, identification, time);
        match arrival {
            Arrival::Bare if self.left_long_before_the_last(identification, time) => {
                self.traffic.duplicated = self.traffic.duplicated.saturating_add(1);
                return Arrival::Duplicate;
            }
            Arrival::OutOfOrder => self.traffic.out_of_order = self.traffic.out_of_order.saturating_add(1),
            Arrival::Retransmitted if self.left_before_the_last(identification, time) => {
                // Bytes that were seen, in a packet that left before the last one: a mirror's copy that came late.
                self.traffic.duplicated = self.traffic.duplicated.saturating_add(1);
                return Arrival::Duplicate;
            }
            Arrival::Retransmitted => self.traffic.retransmitted = self.traffic.retransmitted.saturating_add(1),
            _ => {}
        }
        self.recent.rotate_right(1);
        if let Some(newest) = self.recent.first_mut() {
            *newest = mark;
        }
        self.last = Some((identification, time));
        self.traffic.packets += 1;
        self.traffic.bytes += u64::from(frame_len);
        self.traffic.payload_bytes += u64::from(segment.payload_len);
        if segment.flags.has(TcpFlags::FIN) {
            self.finished = true;
        }
        arrival
    }

    /// The last two frames of each side.
    pub(super) const fn last_marks(&self, other: &Self) -> [Mark; RECENT] {
        let ([a, b, ..], [c, d, ..]) = (self.recent, other.recent);
        [a, b, c, d]
    }

    /// Takes a UDP datagram into account. `frame_len` is the frame's length on the wire, `payload_len` the datagram's.
    pub fn observe_datagram(&mut self, ttl: u8, frame_len: u32, payload_len: u32) {
        self.stack.ttl.get_or_insert(ttl);
        self.traffic.packets += 1;
        self.traffic.bytes += u64::from(frame_len);
        self.traffic.payload_bytes += u64::from(payload_len);
    }

    /// Whether the sender's packet counter says that a packet left before the last frame, or is it; asked only of packets
    /// that come as soon as a copy does, since some senders draw their identifications by lot.
    fn left_before_the_last(&self, identification: u16, time: Timestamp) -> bool {
        self.last.is_some_and(|(last, last_time)| {
            let counted = identification != 0 && last != 0;
            counted && identification.wrapping_sub(last) as i16 <= 0 && (time - last_time).abs() <= COPY_WINDOW
        })
    }

    /// The same for packets that do not show by their place in the stream whether they were seen: only what is too old to be found
    /// among the recent frames, since the path itself may change the order of a few, and not what is so far off that the sender
    /// draws lots.
    fn left_long_before_the_last(&self, identification: u16, time: Timestamp) -> bool {
        let behind = self.last.map_or(0, |(last, _)| last.wrapping_sub(identification));
        (RECENT as u16..LATE_COPIES).contains(&behind) && self.left_before_the_last(identification, time)
    }

    fn place(&mut self, segment: &TcpSegment<'_>, identification: u16, time: Timestamp) -> Arrival {
        let end = segment.end_seq();
        if segment.flags.has(TcpFlags::SYN) {
            let again = self.start == Some(segment.seq.plus(1));
            self.start = Some(segment.seq.plus(1));
            if !again {
                self.next = Some(end);
            }
            return if again { Arrival::Retransmitted } else { Arrival::New };
        }
        let Some(next) = self.next else {
            self.next = Some(end);
            return if end == segment.seq { Arrival::Bare } else { Arrival::New };
        };
        if segment.payload_len <= 1 && segment.seq.plus(1) == next && !segment.flags.has(TcpFlags::FIN) {
            return Arrival::Probe;
        }
        if end == segment.seq {
            return Arrival::Bare;
        }
        let ahead = segment.seq.since(next);
        if ahead >= 0 {
            if ahead > 0 {
                self.hole = Some(Hole { start: next, end: segment.seq, opened: time, opener_id: identification });
            }
            self.next = Some(end);
            return Arrival::New;
        }
        if end.is_after(next) {
            self.next = Some(end);
            return Arrival::Retransmitted;
        }
        self.fill_hole(segment.seq, end, identification, time)
    }

    /// A segment that lies wholly behind what was seen: into the hole, or once more.
    fn fill_hole(&mut self, seq: SeqNumber, end: SeqNumber, identification: u16, time: Timestamp) -> Arrival {
        let Some(hole) = self.hole.filter(|hole| seq.since(hole.start) >= 0 && end.since(hole.end) <= 0) else {
            return Arrival::Retransmitted;
        };
        self.hole = if seq == hole.start && end == hole.end {
            None
        } else if seq == hole.start {
            Some(Hole { start: end, ..hole })
        } else {
            Some(Hole { end: seq, ..hole })
        };
        // A sender that counts its packets tells whether this one left before the one that opened the hole.
        let sent_before = if identification != 0 && hole.opener_id != 0 {
            (identification.wrapping_sub(hole.opener_id) as i16) < 0
        } else {
            time - hole.opened <= REORDER_WINDOW
        };
        if sent_before { Arrival::OutOfOrder } else { Arrival::Retransmitted }
    }
}

#[cfg(test)]
#[path = "half_tests.rs"]
mod tests;
