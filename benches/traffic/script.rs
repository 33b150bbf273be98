//! What two hosts say to each other, and from it the segments of their TCP connection as they pass a sensor between them.
//!
//! A host acknowledges, and echoes the time stamp of, what passed the sensor at least its round trip ago: it cannot know more. So
//! round trips measured at the sensor are those that the script was made with.

use std::rc::Rc;

use keywitness::flow::{PerSide, Side};

use super::chance::Chance;

/// Nanoseconds, from the beginning of the capture where it is a time.
pub(crate) type Nanos = i64;

pub(crate) const MICROSECOND: Nanos = 1_000;
pub(crate) const MILLISECOND: Nanos = 1_000_000;
pub(crate) const SECOND: Nanos = 1_000_000_000;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// Payload of a full segment with TCP time stamps.
pub(crate) const FULL: u16 = 1_448;

/// How long a sender waits for an acknowledgement before it sends again: Linux' least.
const AGAIN_AFTER: Nanos = 200 * MILLISECOND;

/// Share of segments with data that pass the sensor twice: 0.2 %.
const AGAIN: f64 = 0.002;

/// What a segment or datagram carries.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    Nothing,
    /// As good as encrypted.
    Noise(u16),
    /// An SSH packet of this length on the wire whose length field is in clear before it, and a tag of 16 bytes behind it.
    Lengthened(u16),
    /// In clear.
    Text(Rc<[u8]>),
}

impl Load {
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Noise(len) | Self::Lengthened(len) => u32::from(*len),
            Self::Text(bytes) => bytes.len() as u32,
        }
    }
}

/// One segment; of a datagram only time, side and load count.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// When it passes the sensor.
    pub(crate) time: Nanos,
    pub(crate) side: Side,
    pub(crate) flags: u8,
    pub(crate) load: Load,
    /// Sequence and acknowledgement number, from 0 at each side's SYN.
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// Time stamps in milliseconds, from the beginning of the capture.
    pub(crate) stamp: u32,
    pub(crate) echoed: u32,
}

impl Segment {
    fn end(&self) -> u32 {
        self.seq + self.load.len() + u32::from(self.flags & (SYN | FIN) != 0)
    }
}

/// A conversation while it is being written, in any order.
#[derive(Debug)]
pub(crate) struct Script {
    segments: Vec<Segment>,
    /// From the sensor to each side and back.
    pub(crate) rtt: PerSide<Nanos>,
}

impl Script {
    pub(crate) const fn new(client_rtt: Nanos, server_rtt: Nanos) -> Self {
        Self { segments: Vec::new(), rtt: PerSide { client: client_rtt, server: server_rtt } }
    }

    /// A segment, or a datagram.
    pub(crate) fn segment(&mut self, time: Nanos, side: Side, flags: u8, load: Load) {
        self.segments.push(Segment { time, side, flags, load, seq: 0, ack: 0, stamp: 0, echoed: 0 });
    }

    /// The three-way handshake; when its last part passes.
    pub(crate) fn open(&mut self, start: Nanos) -> Nanos {
        let answered = start + self.rtt.server;
        let opened = answered + self.rtt.client;
        self.segment(start, Side::Client, SYN, Load::Nothing);
        self.segment(answered, Side::Server, SYN | ACK, Load::Nothing);
        self.segment(opened, Side::Client, ACK, Load::Nothing);
        opened
    }

    /// Data; when the other side's answer passes at the earliest.
    pub(crate) fn say(&mut self, time: Nanos, side: Side, load: Load) -> Nanos {
        self.segment(time, side, ACK | PSH, load);
        time + self.rtt.get(side.other())
    }

    /// A bare acknowledgement.
    pub(crate) fn acknowledge(&mut self, time: Nanos, side: Side) {
        self.segment(time, side, ACK, Load::Nothing);
    }

    /// Much data in segments of `size`, of which every second one is acknowledged, and the last one; when the last acknowledgement
    /// passes.
    pub(crate) fn pour(&mut self, time: Nanos, side: Side, bytes: u32, size: u16) -> Nanos {
        let wait = *self.rtt.get(side.other());
        let (mut at, mut rest, mut nth) = (time, bytes, 0);
        while rest > 0 {
            let len = rest.min(u32::from(size));
            rest -= len;
            nth += 1;
            self.segment(at, side, if rest == 0 { ACK | PSH } else { ACK }, Load::Noise(len as u16));
            if nth % 2 == 0 || rest == 0 {
                self.acknowledge(at + wait, side.other());
            }
            // Ten segments leave at a time; then the sender waits for acknowledgements.
            at += if nth % 10 == 0 { wait } else { 12 * MICROSECOND };
        }
        at + wait
    }

    /// Both sides finish, the client first.
    pub(crate) fn close(&mut self, time: Nanos) {
        let answered = time + self.rtt.server;
        self.segment(time, Side::Client, FIN | ACK, Load::Nothing);
        self.segment(answered, Side::Server, FIN | ACK, Load::Nothing);
        self.acknowledge(answered + self.rtt.client, Side::Client);
    }

    /// The segments in the order in which they pass the sensor, with all their numbers.
    pub(crate) fn finish(self, chance: &mut Chance) -> Vec<Segment> {
        let Self { mut segments, rtt } = self;
        segments.sort_by_key(|segment| segment.time);
        let mut next = PerSide::<u32>::default();
        let mut copies = Vec::new();
        for segment in &mut segments {
            segment.seq = *next.get(segment.side);
            *next.get_mut(segment.side) = segment.end();
            if segment.load.len() > 0 && chance.happens(AGAIN) {
                let wait = AGAIN_AFTER + rtt.get(segment.side.other());
                copies.push(Segment { time: segment.time + wait, ..segment.clone() });
            }
        }
        if !copies.is_empty() {
            segments.extend(copies);
            segments.sort_by_key(|segment| segment.time);
        }
        for side in [Side::Client, Side::Server] {
            acknowledge(&mut segments, side, *rtt.get(side));
        }
        segments
    }
}

/// Has one side acknowledge what it can have seen.
fn acknowledge(segments: &mut [Segment], side: Side, rtt: Nanos) {
    let (mut seen, mut ack, mut echoed) = (0, 0, 0);
    for at in 0..segments.len() {
        let now = segments[at].time;
        while let Some(other) = segments.get(seen).filter(|other| other.time + rtt <= now) {
            seen += 1;
            if other.side != side && other.end() >= ack {
                (ack, echoed) = (other.end(), stamp(other.time));
            }
        }
        let own = &mut segments[at];
        if own.side == side {
            (own.ack, own.echoed, own.stamp) = (ack, echoed, stamp(now));
        }
    }
}

/// A host's clock when what it sends passes the sensor; a constant way there only shifts it.
const fn stamp(time: Nanos) -> u32 {
    (time / MILLISECOND) as u32
}
