//! Traffic from a seed: whole captures of four kinds, frame by frame in the order of time.
//!
//! All flows are made up: addresses are those of RFC 2544 and RFC 3849, 15 % are IPv6, all TCP has time stamps, checksums hold, and
//! 0.2 % of the segments with data pass the sensor twice.

mod chance;
mod frame;
mod others;
mod script;
mod ssh;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use keywitness::flow::PerSide;

pub(crate) use self::chance::Chance;
use self::{
    frame::{Ends, Frames},
    script::{Nanos, SECOND, Script, Segment},
    ssh::Sessions,
};

/// When every capture begins, in nanoseconds since 1970: 2026-11-22 12:00 UTC.
const BEGIN: i64 = 1_795_348_800 * SECOND;

/// Share of flows over IPv6.
const IPV6: f64 = 0.15;

/// What a capture consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As at the edge of an office: pages over TLS and QUIC, names, and sessions with 8 % of the packets; 560 bytes a frame.
    Mix,
    /// Nothing but TCP segments of the smallest size, 100 a flow.
    Small,
    /// Very many flows of four packets, most of which are never closed: so many that the flow table is full.
    Flows,
    /// Nothing but SSH sessions in which somebody types.
    Inter,
}

impl Kind {
    /// Flows of the whole capture, and how many begin in a second.
    const fn flows(self) -> (f64, f64) {
        match self {
            Self::Mix => (25_000.0, 175.0),
            Self::Small => (25_000.0, 330.0),
            Self::Flows => (2_000_000.0, 33_000.0),
            Self::Inter => (5_000.0, 34.0),
        }
    }

    /// One conversation: its port, whether it is UDP, and what is said.
    fn conversation(self, start: Nanos, sessions: &Sessions, chance: &mut Chance) -> (u16, bool, Script) {
        let which = chance.unit();
        match self {
            Self::Mix if which < 0.02 => (22, false, sessions.session(start, chance.between(15, 60), chance)),
            Self::Mix if which < 0.37 => (53, true, others::name(start, chance)),
            Self::Mix if which < 0.41 => (443, true, others::quic(start, chance)),
            Self::Mix => (443, false, others::web(start, chance)),
            Self::Small => (8_080, false, others::chatter(start, chance)),
            Self::Flows if which < 0.60 => (443, false, others::exchange(start, chance)),
            Self::Flows if which < 0.85 => (53, true, others::name(start, chance)),
            Self::Flows if which < 0.95 => (443, false, others::refusal(start, chance)),
            Self::Flows => (443, false, others::scan(start, chance)),
            Self::Inter => (22, false, sessions.session(start, chance.between(40, 140), chance)),
        }
    }
}

/// A flow that has begun.
struct Flow {
    ends: Ends,
    /// What is still to come, last first.
    segments: Vec<Segment>,
}

/// Makes a capture and hands on its frames with their times in nanoseconds since 1970.
///
/// `scale` 1 is about a million packets of [`Kind::Mix`], 2.5 of [`Kind::Small`], 7.9 of [`Kind::Flows`], 1.6 of [`Kind::Inter`]; what is
/// less is shorter, not thinner.
pub(crate) fn generate(kind: Kind, scale: f64, mut on_frame: impl FnMut(i64, &[u8])) {
    let mut chance = Chance::new(0x7472_6166 + kind as u64);
    let (sessions, mut frames) = (Sessions::new(), Frames::new());
    let (flows, per_second) = kind.flows();
    let mut to_begin = (flows * scale).ceil() as u64;
    let mut next_begin: Nanos = 0;
    let (mut places, mut free) = (Vec::<Option<Flow>>::new(), Vec::<u32>::new());
    let mut due = BinaryHeap::<Reverse<(Nanos, u32)>>::new();
    loop {
        let next = due.peek().map(|Reverse((time, _))| *time);
        if to_begin > 0 && next.is_none_or(|next| next_begin <= next) {
            let (port, is_udp, script) = kind.conversation(next_begin, &sessions, &mut chance);
            let mut segments = script.finish(&mut chance);
            segments.reverse();
            let flow = Flow { ends: ends(port, is_udp, &mut chance), segments };
            let place = free.pop().unwrap_or_else(|| {
                places.push(None);
                places.len() as u32 - 1
            });
            due.extend(flow.segments.last().map(|first| Reverse((first.time, place))));
            places[place as usize] = Some(flow);
            to_begin -= 1;
            next_begin += (chance.exponential(SECOND as f64 / per_second)) as Nanos;
            continue;
        }
        let Some(Reverse((time, place))) = due.pop() else { break };
        let Some(flow) = &mut places[place as usize] else { continue };
        if let Some(segment) = flow.segments.pop() {
            on_frame(BEGIN + time, frames.frame(&mut flow.ends, &segment));
        }
        match flow.segments.last() {
            Some(next) => due.push(Reverse((next.time, place))),
            None => {
                places[place as usize] = None;
                free.push(place);
            }
        }
    }
}

/// Some client, and one of the servers.
fn ends(port: u16, is_udp: bool, chance: &mut Chance) -> Ends {
    let (client, server) = (chance.below(1 << 17), chance.below(200) + 1);
    let client_port = chance.between(32_768, 60_999) as u16;
    let at = if chance.happens(IPV6) {
        let address =
            |net: u16, host: u32| Ipv6Addr::new(0x2001, 0xdb8, net, (host >> 8) as u16, 0, 0, 0, (host & 0xff) as u16 + 1);
        PerSide {
            client: SocketAddr::from((address(0xc, client), client_port)),
            server: SocketAddr::from((address(0x5, server), port)),
        }
    } else {
        PerSide {
            client: SocketAddr::from((Ipv4Addr::from(0xc612_0000 | client), client_port)),
            server: SocketAddr::from((Ipv4Addr::from(0xc000_0200 | server), port)),
        }
    };
    let mut number = |_| chance.bits() as u32;
    Ends { at, is_udp, isn: PerSide::from_fn(&mut number), clock: PerSide::from_fn(&mut number), id: PerSide::default() }
}

/// A classic pcap file with microseconds: its header, and what stands before each frame.
pub(crate) mod pcap {
    /// The header of a file of Ethernet frames.
    pub(crate) fn header() -> [u8; 24] {
        let mut header = [0; 24];
        let fields =
            [0xa1b2_c3d4_u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 262_144_u32.to_le_bytes(), 1_u32.to_le_bytes()];
        header.chunks_exact_mut(4).zip(fields).for_each(|(place, field)| place.copy_from_slice(&field));
        header
    }

    /// What stands before a frame that was captured whole.
    pub(crate) fn record(time: i64, len: usize) -> [u8; 16] {
        let mut record = [0; 16];
        let fields = [time / 1_000_000_000, time % 1_000_000_000 / 1_000, len as i64, len as i64].map(|field| field as u32);
        record.chunks_exact_mut(4).zip(fields).for_each(|(place, field)| place.copy_from_slice(&field.to_le_bytes()));
        record
    }
}
