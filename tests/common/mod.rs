//! What the integration tests share: owned frames, TCP segments that can be written as frames, a run through the engine,
//! and seeded chance.

use std::net::Ipv4Addr;

use etherparse::{IpHeaders, IpNumber, Ipv4Header, PacketBuilder, TcpHeader};
use keywitness::{
    engine::{Engine, EngineLimits},
    measure::keystroke::Keystroke,
    observation::{Body, Counters, Observation, SessionReport},
    time::Timestamp,
    wire::{Frame, LinkType},
};

/// A frame that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) time: Timestamp,
    pub(crate) link: LinkType,
    pub(crate) bytes: Vec<u8>,
    pub(crate) original_len: u32,
}

/// Everything that came out of an engine.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) sessions: Vec<SessionReport>,
    pub(crate) keystrokes: Vec<Keystroke>,
    pub(crate) counters: Counters,
}

/// Runs frames through an engine with the usual limits.
pub(crate) fn run<'a>(shots: impl IntoIterator<Item = &'a Shot>) -> Outcome {
    run_with(EngineLimits::default(), shots)
}

/// Runs frames through an engine. Observations must come in the order of their keys.
pub(crate) fn run_with<'a>(limits: EngineLimits, shots: impl IntoIterator<Item = &'a Shot>) -> Outcome {
    let mut engine = Engine::new(limits);
    let mut seen = Vec::new();
    let mut frames = 0;
    for shot in shots {
        engine.handle_frame(&shot.frame(frames));
        frames += 1;
        seen.extend(std::iter::from_fn(|| engine.poll_observation()));
    }
    engine.finish();
    seen.extend(std::iter::from_fn(|| engine.poll_observation()));
    let swapped = seen.windows(2).find(|pair| pair[0].key > pair[1].key);
    assert!(swapped.is_none(), "observations come in order: {swapped:#?}");
    let outcome = Outcome::of(seen, &engine);
    assert_eq!(outcome.counters.packets, frames, "every frame is counted");
    outcome
}

impl Outcome {
    fn of(observations: Vec<Observation>, engine: &Engine) -> Self {
        let mut outcome = Self { sessions: Vec::new(), keystrokes: Vec::new(), counters: *engine.counters() };
        for observation in observations {
            match observation.body {
                Body::Keystroke { keystroke, .. } => outcome.keystrokes.push(keystroke),
                Body::ClockSet { .. } => {}
                Body::SessionEnded(report) => outcome.sessions.push(*report),
                Body::SessionUpdated(_) => {}
            }
        }
        outcome
    }

    /// The one session that there is.
    pub(crate) fn session(&self) -> &SessionReport {
        assert_eq!(self.sessions.len(), 1, "exactly one session");
        self.sessions.first().unwrap()
    }

    /// Keystrokes that the one session reports; 0 where it reports none at all.
    pub(crate) fn count(&self) -> u64 {
        self.session().keystrokes.map_or(0, |summary| summary.count)
    }
}

impl Shot {
    /// This frame as the engine takes it.
    pub(crate) fn frame(&self, number: u64) -> Frame<'_> {
        Frame { number, input: 0, time: self.time, link: self.link, bytes: &self.bytes, original_len: self.original_len }
    }
}

/// A TCP segment, to be changed and written as a frame again.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) time: Timestamp,
    pub(crate) mac: [[u8; 6]; 2],
    pub(crate) source: (Ipv4Addr, u16),
    pub(crate) destination: (Ipv4Addr, u16),
    pub(crate) id: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Tcp {
    /// As an Ethernet frame.
    pub(crate) fn shot(&self) -> Shot {
        let mut ip = Ipv4Header::new(0, 64, IpNumber::TCP, self.source.0.octets(), self.destination.0.octets()).unwrap();
        (ip.identification, ip.dont_fragment) = (self.id, true);
        let mut tcp = TcpHeader::new(self.source.1, self.destination.1, self.seq, self.window);
        tcp.acknowledgment_number = self.ack;
        let [fin, syn, rst, psh, ack] = [0, 1, 2, 3, 4].map(|bit| self.flags & (1 << bit) != 0);
        (tcp.fin, tcp.syn, tcp.rst, tcp.psh, tcp.ack) = (fin, syn, rst, psh, ack);
        tcp.set_options_raw(&self.options).unwrap();
        let mut bytes = Vec::new();
        let [source, destination] = self.mac;
        let builder = PacketBuilder::ethernet2(source, destination).ip(IpHeaders::Ipv4(ip, Default::default())).tcp_header(tcp);
        builder.write(&mut bytes, &self.payload).unwrap();
        let original_len = bytes.len() as u32;
        Shot { time: self.time, link: LinkType::Ethernet, bytes, original_len }
    }
}

/// Xorshift64*: the same numbers on every machine (Vigna, 2016).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 up to `end`, without it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}
