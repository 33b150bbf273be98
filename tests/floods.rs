//! Floods of every kind: what they fill stays within its limit, what is dropped is counted, and a session that somebody types in
//! meanwhile is measured as if nothing else had passed.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "other tests need more")]
mod common;
#[path = "common/pcaps.rs"]
mod pcaps;

use std::net::Ipv4Addr;

use common::{Rng, Shot, Tcp};
use etherparse::{IpFragOffset, IpNumber, Ipv4Header};
use keywitness::{
    engine::{Engine, EngineLimits},
    flow::FragmentLimits,
    observation::{Body, Counters, Observation},
    wire::{LinkType, TcpFlags},
};
use pcaps::capture;

const SYN: u8 = TcpFlags::SYN;
const ACK: u8 = TcpFlags::ACK;
/// A session in which somebody types.
const CAPTURE: &str = "ssh-far";

const BANNER: &[u8] = b"SSH-2.0-x\r\n";

/// Frames of the session before the flood begins: both sides have said what they speak.
const BEFORE: usize = 12;

/// Parts of a flood between two frames of the session.
const BETWEEN: usize = 40;

/// Room for 16 flows of a shard, 4 of them candidates, for 4 sessions and for 64 KiB behind their holes.
fn limits() -> EngineLimits {
    let fragments = FragmentLimits { max_packets: 64, max_bytes: 64 << 10, ..FragmentLimits::default() };
    EngineLimits { fragments, max_waiting: 256 * (64 << 10), ..EngineLimits::default().with(256 * 16, 256 * 4) }
}

/// One connection of a flood, as its frames.
struct Connection {
    time: keywitness::time::Timestamp,
    client: (Ipv4Addr, u16),
    server: (Ipv4Addr, u16),
}

impl Connection {
    fn frame(&self, from_client: bool, flags: u8, seq: u32, payload: &[u8]) -> Shot {
        let (source, destination) = if from_client { (self.client, self.server) } else { (self.server, self.client) };
        let (time, mac, payload, ack) = (self.time, [[1; 6], [2; 6]], payload.to_vec(), u32::from(flags & ACK != 0));
        Tcp { time, mac, source, destination, id: 1, seq, ack, flags, window: 500, options: Vec::new(), payload }.shot()
    }
}

/// The frames of the nth part of a flood.
type Flood = fn(&Connection, usize) -> Vec<Shot>;

fn unanswered(connection: &Connection, _: usize) -> Vec<Shot> {
    vec![connection.frame(true, SYN, 0, b"")]
}

fn half_open(connection: &Connection, _: usize) -> Vec<Shot> {
    vec![connection.frame(true, SYN, 0, b""), connection.frame(false, SYN | ACK, 0, b"")]
}

fn open_and_silent(connection: &Connection, n: usize) -> Vec<Shot> {
    [half_open(connection, n), vec![connection.frame(true, ACK, 1, b"")]].concat()
}

fn out_of_nothing(connection: &Connection, n: usize) -> Vec<Shot> {
    let flags = [TcpFlags::FIN | ACK, TcpFlags::RST, ACK][n % 3];
    vec![connection.frame(true, flags, 1, b"")]
}

fn banners(connection: &Connection, n: usize) -> Vec<Shot> {
    [half_open(connection, n), vec![connection.frame(true, ACK, 1, BANNER)]].concat()
}

fn no_beginning(connection: &Connection, _: usize) -> Vec<Shot> {
    vec![connection.frame(true, ACK, 1, b"anything at all, on the port of SSH")]
}

/// Sessions that both sides speak, of which data goes missing again and again.
fn holes(connection: &Connection, n: usize) -> Vec<Shot> {
    let opening =
        [half_open(connection, n), vec![connection.frame(true, ACK, 1, BANNER), connection.frame(false, ACK, 1, BANNER)]];
    let data = (1..40).map(|i| connection.frame(true, ACK, 100 + i * 2_000, &[7; 1_000]));
    opening.concat().into_iter().chain(data).collect()
}

/// First fragments of packets whose others never come.
fn fragments(connection: &Connection, n: usize) -> Vec<Shot> {
    let (source, destination) = (connection.client.0.octets(), connection.server.0.octets());
    let mut ip = Ipv4Header::new(64, 64, IpNumber::TCP, source, destination).unwrap();
    (ip.identification, ip.more_fragments, ip.dont_fragment) = (n as u16, true, false);
    ip.fragment_offset = IpFragOffset::try_new(0).unwrap();
    let mut bytes = [[1; 6], [2; 6]].concat();
    bytes.extend([8, 0]);
    ip.write(&mut bytes).unwrap();
    bytes.extend([0; 64]);
    vec![Shot { time: connection.time, link: LinkType::Ethernet, original_len: bytes.len() as u32, bytes }]
}

/// What an engine said of one session, and what it counted.
struct Seen {
    session: Vec<String>,
    counters: Counters,
    /// Most of flows, candidates, sessions and bytes behind holes.
    most: [usize; 4],
}

/// Runs a capture with a flood between its frames; `from_same` where that comes from the session's own addresses.
fn run(shots: &[Shot], flood: Option<Flood>, from_same: bool) -> Seen {
    let mut engine = Engine::new(limits());
    let (mut frames, mut parts, mut rng) = (0, 0, Rng::new(5));
    let [client, server] = ends();
    let mut observations: Vec<Observation> = Vec::new();
    let mut most = [0; 4];
    let mut feed = |engine: &mut Engine, shot: &Shot| {
        engine.handle_frame(&shot.frame(frames));
        frames += 1;
        let now = [engine.flows(), engine.candidates(), engine.sessions(), engine.waiting()];
        most = [0, 1, 2, 3].map(|i| most[i].max(now[i]));
        observations.extend(std::iter::from_fn(|| engine.poll_observation()));
    };
    for (n, shot) in shots.iter().enumerate() {
        feed(&mut engine, shot);
        let Some(flood) = flood.filter(|_| n >= BEFORE) else { continue };
        for _ in 0..BETWEEN {
            parts += 1;
            // Ports that the session does not have.
            let port = 1_024 + (parts % 20_000) as u16;
            let client = if from_same { client } else { Ipv4Addr::from(rng.next() as u32) };
            let connection = Connection { time: shot.time, client: (client, port), server: (server, 22) };
            flood(&connection, parts).iter().for_each(|shot| feed(&mut engine, shot));
        }
    }
    engine.finish();
    observations.extend(std::iter::from_fn(|| engine.poll_observation()));
    let id = session_of(&observations, shots);
    let session = observations.into_iter().filter(|observation| observation.key.session == id).map(|observation| {
        // Frames have other numbers.
        format!("{} {:?} {:?}", observation.key.sequence, observation.key.time, observation.body)
    });
    Seen { session: session.collect(), counters: *engine.counters(), most }
}

/// The session's addresses.
fn ends() -> [Ipv4Addr; 2] {
    let syn = pcaps::segments(CAPTURE).swap_remove(0);
    [syn.source.0, syn.destination.0]
}

/// The session that began with the first frame of a capture.
fn session_of(observations: &[Observation], shots: &[Shot]) -> keywitness::flow::SessionId {
    let found = observations.iter().find_map(|observation| match &observation.body {
        Body::SessionEnded(report) if report.start == shots[0].time && report.rtt.client.samples.is_some() => Some(report.id),
        _ => None,
    });
    found.expect("the session is reported")
}

fn check(name: &str, flood: Flood, fills: usize, counted: fn(&Counters) -> u64) {
    let shots = capture(CAPTURE);
    let alone = run(&shots, None, false);
    assert!(alone.session.len() > 20, "there are keystrokes: {:?}", alone.session);
    for from_same in [false, true] {
        let flooded = run(&shots, Some(flood), from_same);
        assert_eq!(flooded.session, alone.session, "{name}, from the same addresses: {from_same}");
        let [flows, candidates, sessions, waiting] = flooded.most;
        assert!(flows <= 256 * 16 && candidates <= 256 * 4 && sessions <= 256 * 4, "{name}: {:?}", flooded.most);
        // Each stream may hold 4 KiB in any case, and one segment more until it gives up.
        assert!(waiting <= 256 * (64 << 10) && waiting <= sessions * (128 << 10), "{name}: {waiting}");
        assert!(counted(&flooded.counters) > 1_000, "{name}: what went is counted, {:?}", flooded.counters);
        let full = [256 * 16, 256 * 4, 256 * 4, 1][fills];
        assert!(from_same || flooded.most[fills] >= full * 9 / 10, "{name}: the limit was reached, {:?}", flooded.most);
        assert!(!from_same || flooded.most[0] <= 16, "{name}: other shards stay empty, {:?}", flooded.most);
    }
}

const FLOWS: usize = 0;
const CANDIDATES: usize = 1;
const SESSIONS: usize = 2;

#[test]
fn syns_that_nobody_answers() {
    check("unanswered", unanswered, FLOWS, |counters| counters.dropped_flows);
}

#[test]
fn syns_that_are_answered() {
    check("half open", half_open, CANDIDATES, |counters| counters.dropped_flows);
}

#[test]
fn connections_on_which_nothing_is_said() {
    check("open and silent", open_and_silent, CANDIDATES, |counters| counters.dropped_flows);
}

#[test]
fn resets_and_ends_of_nothing() {
    check("out of nothing", out_of_nothing, CANDIDATES, |counters| counters.dropped_flows);
}

#[test]
fn banners_without_sessions() {
    check("banners", banners, SESSIONS, |counters| counters.dropped_flows);
}

#[test]
fn data_to_the_port_without_a_connection() {
    check("no beginning", no_beginning, SESSIONS, |counters| counters.dropped_flows);
}

#[test]
fn sessions_with_holes() {
    check("holes", holes, SESSIONS, |counters| counters.dropped_flows);
}

#[test]
fn fragments_that_are_never_whole() {
    let shots = capture(CAPTURE);
    let alone = run(&shots, None, false);
    let flooded = run(&shots, Some(fragments), false);
    assert_eq!(flooded.session, alone.session);
    assert!(flooded.counters.undecoded > 1_000, "{:?}", flooded.counters);
}
