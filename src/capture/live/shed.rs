//! What is left out when the sensor is behind, and when it is behind. Pure: no clock, no counter that others see.
//!
//! | level | shed | kept |
//! |---|---|---|
//! | `Nothing` | – | everything |
//! | `Bulk` | segments and datagrams with more than [`LONGEST_SHORT`] bytes, fragments of TCP | what opens or ends a connection, acknowledgements, short segments |
//! | `New` | everything else | – |
//!
//! Never shed, on no level, are frames of the flows in [`Kept`]: the sessions that are worth it, as the engines tell; and what may be
//! a part of one in a way that cannot be seen in a frame: a fragment of TCP between the same two addresses, or of what may be a tunnel (UDP, GRE and others).
//!
//! A tap is behind when its ring fills: the kernel counts what came, the tap what it has read, and what waits is about as long as what
//! was read last. Batches that wait are no sign of it: the ring is what bursts are for.

use super::kept::Kept;
use crate::{
    time::Span,
    wire::{Frame, Packet, TcpFlags, Transport, decode, decode_tunnel},
};

/// Bytes of payload up to which a segment is short: keys, their echoes, a screenful now and then, the beginning of a session.
pub(super) const LONGEST_SHORT: u32 = 512;

/// Per cent of the ring in use from which bulk is shed, and from which all but sessions.
const BULK_FROM: u64 = 50;
const NEW_FROM: u64 = 75;

/// Per cent of the ring in use below which it is calm.
const CALM_BELOW: u64 = 40;

/// How long it has to be calm before a level falls, at first. Where the sensor is behind again soon after, it is doubled each time.
const SHORTEST_HOLD: Span = Span::from_secs(1);
const LONGEST_HOLD: Span = Span::from_secs(60);

/// What the ring holds of a frame beside its bytes: the kernel's header, and the space up to the next.
const OVERHEAD: u64 = 96;

/// What is shed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Nothing,
    /// Bulk payload.
    Bulk,
    /// All but the sessions that are kept.
    New,
}

/// Frames that were shed, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sheds {
    /// Long segments and datagrams, and fragments, of flows that are not kept.
    pub bulk: u64,
    /// All others of flows that are not kept.
    pub new: u64,
}

impl Sheds {
    pub(super) const fn add(&mut self, other: Self) {
        self.bulk = self.bulk.saturating_add(other.bulk);
        self.new = self.new.saturating_add(other.new);
    }

    pub(super) const fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Bulk => self.bulk += 1,
            Kind::New => self.new += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.bulk.saturating_add(self.new)
    }
}

/// A kind of frame that may be shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bulk,
    New,
}

/// What kind of frame this is, where the level has it shed.
pub(super) fn shed(frame: &Frame<'_>, level: Level, kept: &Kept) -> Option<Kind> {
    if level == Level::Nothing {
        return None;
    }
    let kind = kind(frame, kept)?;
    (kind == Kind::Bulk || level == Level::New).then_some(kind)
}

/// What kind of frame this is; `None` where it is to be kept on every level.
fn kind(frame: &Frame<'_>, kept: &Kept) -> Option<Kind> {
    let Ok(mut packet) = decode(frame) else { return Some(Kind::New) };
    // Ends: tunnels are only decoded so deep.
    while let Transport::Tunnel(tunnel) = packet.transport {
        let Ok(inner) = decode_tunnel(frame, &packet, &tunnel) else { return Some(Kind::New) };
        packet = inner;
    }
    kind_of_packet(&packet, kept)
}

fn kind_of_packet(packet: &Packet<'_>, kept: &Kept) -> Option<Kind> {
    let (source, destination) = (packet.ip.source, packet.ip.destination);
    let by_length = |length: u32| if length > LONGEST_SHORT { Kind::Bulk } else { Kind::New };
    match &packet.transport {
        Transport::Tcp(segment) => {
            if kept.has_flow((source, segment.src_port), (destination, segment.dst_port)) {
                return None;
            }
            let begins_or_ends = segment.flags.0 & (TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) != 0;
            Some(if begins_or_ends { Kind::New } else { by_length(segment.payload_len) })
        }
        // No session runs over it.
        Transport::Udp(datagram) => Some(by_length(datagram.payload_len)),
        Transport::Fragment(fragment) => {
            // Of anything else it may be a tunnel's, and what that carries is not known before all of it is there.
            let may_be_kept = fragment.protocol != TCP || kept.has_pair(source, destination);
            (!may_be_kept).then_some(Kind::Bulk)
        }
        Transport::Tunnel(_) => None, // was looked into
        Transport::Other(_) => Some(Kind::New),
    }
}

const TCP: u8 = 6;

/// How far behind a tap is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pressure {
    /// Per cent of the ring in use, by estimate.
    pub(super) in_use: u64,
    /// Whether the kernel has dropped frames since the last time.
    pub(super) dropped: bool,
}

/// How much of a ring is in use.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Frames that were read last and their bytes in the ring; what is older counts less.
    frames: u64,
    bytes: u64,
}

impl Gauge {
    /// A batch was read.
    pub(super) const fn read(&mut self, frames: u64, bytes: u64) {
        self.frames = self.frames / 2 + frames;
        self.bytes = self.bytes / 2 + bytes + frames * OVERHEAD;
    }

    /// Per cent of a ring of so many bytes, in which so many frames wait.
    pub(super) fn in_use(&self, waiting: u64, ring: u64) -> u64 {
        let bytes = u128::from(waiting) * u128::from(self.bytes) / u128::from(self.frames.max(1));
        u64::try_from(bytes * 100 / u128::from(ring.max(1))).unwrap_or(u64::MAX)
    }
}

/// What is shed now, and for how long it stays so.
#[derive(Debug)]
pub(super) struct Overload {
    level: Level,
    /// Since when it has been calm.
    calm_since: Option<Span>,
    hold: Span,
    /// When the level last fell, unless it has risen since.
    fell: Option<Span>,
}

impl Default for Overload {
    fn default() -> Self {
        Self { level: Level::Nothing, calm_since: None, hold: SHORTEST_HOLD, fell: None }
    }
}

impl Overload {
    pub(super) const fn level(&self) -> Level {
        self.level
    }

    /// Takes note of how things stand at a time, counted from any beginning. Gives the level where it has changed. It rises at once,
    /// and falls by one where it has been calm for long enough.
    pub(super) fn update(&mut self, now: Span, pressure: Pressure) -> Option<Level> {
        let asked = match pressure {
            Pressure { dropped: true, .. } | Pressure { in_use: NEW_FROM.., .. } => Level::New,
            Pressure { in_use: BULK_FROM.., .. } => Level::Bulk,
            Pressure { .. } => Level::Nothing,
        };
        if asked > self.level {
            return Some(self.rise(now, asked));
        }
        if asked != Level::Nothing || pressure.in_use >= CALM_BELOW {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        if self.level == Level::Nothing || now - since < self.hold {
            return None;
        }
        self.calm_since = Some(now);
        self.level = if self.level == Level::New { Level::Bulk } else { Level::Nothing };
        self.fell = Some(now);
        Some(self.level)
    }

    fn rise(&mut self, now: Span, level: Level) -> Level {
        if let Some(fell) = self.fell.take() {
            let is_soon = now - fell < self.hold + self.hold;
            self.hold = if is_soon { (self.hold + self.hold).min(LONGEST_HOLD) } else { SHORTEST_HOLD };
        }
        (self.level, self.calm_since) = (level, None);
        level
    }
}

#[cfg(test)]
#[path = "shed_tests.rs"]
mod tests;
