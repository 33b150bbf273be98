//! The life of a flow: how it begins, who is its client, how it ends.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

use super::{
    backlog::Backlog,
    session::Session,
    watch::{MOST_WATCHED, Watched},
    *,
};
use crate::{
    flow::SHARDS,
    measure::{behaviour::Watch, estimate::Distribution, keys::Keys, keystroke::Keystrokes},
    observation::{Body, IdentifiedBy, SessionReport},
    protocol::{
        Facts, carrier::Carried, datagram::Datagrams, families::Families, rdp::Rdp, rlogin::Rlogin, spice::Spice, ssh::Ssh,
        telnet::Telnet, vnc::Vnc, x11::X11,
    },
    time::Span,
    wire::LinkType,
};

pub(super) const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 40_000);
pub(super) const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 2), 2_222);

/// Feeds an engine by hand.
pub(super) struct Tap {
    pub(super) engine: Engine,
    number: u64,
}

impl Tap {
    pub(super) fn new() -> Self {
        Self::with(EngineLimits::default())
    }

    pub(super) fn with(limits: EngineLimits) -> Self {
        Self { engine: Engine::new(limits), number: 0 }
    }

    #[expect(clippy::too_many_arguments, reason = "one line of a trace, as tcpdump prints it")]
    /// One segment at a time in milliseconds; `flags` holds letters of S, A, F and R.
    pub(super) fn send(
        &mut self,
        ms: i64,
        from: (Ipv4Addr, u16),
        to: (Ipv4Addr, u16),
        seq: u32,
        ack: u32,
        flags: &str,
        payload: &[u8],
    ) {
        let mut tcp = PacketBuilder::ipv4(from.0.octets(), to.0.octets(), 64).tcp(from.1, to.1, seq, 65_000);
        for flag in flags.chars() {
            tcp = match flag {
                'S' => tcp.syn(),
                'A' => tcp.ack(ack),
                'F' => tcp.fin(),
                _ => tcp.rst(),
            };
        }
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, payload).unwrap();
        let time = Timestamp::from_nanos(ms * 1_000_000);
        let original_len = bytes.len() as u32;
        let frame = Frame { number: self.number, input: 0, time, link: LinkType::RawIp, bytes: &bytes, original_len };
        self.engine.handle_frame(&frame);
        self.number += 1;
    }

    /// A handshake and both banners from `ms` on, with these initial sequence numbers.
    pub(super) fn open(&mut self, ms: i64, client_isn: u32, server_isn: u32) {
        let (c, s) = (client_isn + 1, server_isn + 1);
        self.send(ms, CLIENT, SERVER, client_isn, 0, "S", b"");
        self.send(ms + 2, SERVER, CLIENT, server_isn, c, "SA", b"");
        self.send(ms + 32, CLIENT, SERVER, c, s, "A", b"");
        self.send(ms + 33, CLIENT, SERVER, c, s, "A", b"SSH-2.0-a\r\n");
        self.send(ms + 35, SERVER, CLIENT, s, c + 11, "A", b"SSH-2.0-b\r\n");
        self.send(ms + 65, CLIENT, SERVER, c + 11, s + 11, "A", b"");
    }

    /// The sessions that have been reported.
    fn reports(&mut self) -> Vec<SessionReport> {
        let mut reports = Vec::new();
        while let Some(observation) = self.engine.poll_observation() {
            if let Body::SessionEnded(report) = observation.body {
                reports.push(*report);
            }
        }
        reports
    }

    fn finish(mut self) -> Vec<SessionReport> {
        self.engine.finish();
        self.reports()
    }
}

#[test]
fn a_session_that_both_sides_finish_is_closed_and_its_stragglers_belong_to_it() {
    let mut tap = Tap::new();
    tap.open(0, 1_000, 5_000);
    tap.send(100, CLIENT, SERVER, 1_012, 5_012, "FA", b"");
    tap.send(102, SERVER, CLIENT, 5_012, 1_013, "FA", b"");
    tap.send(132, CLIENT, SERVER, 1_013, 5_013, "A", b"");
    assert!(tap.reports().is_empty());
    // Five seconds later any frame moves stream time on.
    tap.send(6_500, SERVER, CLIENT, 1, 1, "S", b"");
    let reports = tap.reports();
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].state, reports[0].end.as_nanos()), (SessionState::Closed, 132_000_000));
    assert_eq!(reports[0].rtt.client.handshake, Some(Span::from_millis(30)));
    assert_eq!(reports[0].identified_by, Some(IdentifiedBy::Handshake));
}

#[test]
fn a_reset_closes_and_a_forged_one_does_not() {
    for (seq, state) in [(1_012, SessionState::Closed), (900_000_000, SessionState::Eof)] {
        let mut tap = Tap::new();
        tap.open(0, 1_000, 5_000);
        tap.send(100, CLIENT, SERVER, seq, 0, "R", b"");
        assert_eq!(tap.finish()[0].state, state);
    }
}

#[test]
fn a_five_tuple_that_is_used_again_is_another_session() {
    let mut tap = Tap::new();
    tap.open(0, 1_000, 5_000);
    tap.send(100, SERVER, CLIENT, 5_012, 1_012, "RA", b"");
    tap.open(200, 70_000, 90_000);
    let reports = tap.finish();
    assert_eq!(reports.len(), 2);
    assert_ne!(reports[0].id, reports[1].id);
    assert_eq!(reports.iter().map(|report| report.client_isn).collect::<Vec<_>>(), [Some(1_000), Some(70_000)]);
}

#[test]
fn a_forged_syn_does_not_end_a_busy_session() {
    let mut tap = Tap::new();
    tap.open(0, 1_000, 5_000);
    tap.send(100, CLIENT, SERVER, 777, 0, "S", b"");
    tap.send(130, CLIENT, SERVER, 1_012, 5_012, "A", b"more");
    assert_eq!(tap.finish().len(), 1);
}

#[test]
fn a_session_outlives_other_flows_and_times_out_in_the_end() {
    let mut tap = Tap::new();
    tap.open(0, 1_000, 5_000);
    tap.send(7_000_000, SERVER, (CLIENT.0, 9), 1, 1, "S", b"");
    assert!(tap.reports().is_empty(), "two hours are nothing to a terminal");
    tap.send(8_000_000, SERVER, (CLIENT.0, 9), 1, 1, "S", b"");
    assert_eq!(tap.reports()[0].state, SessionState::TimedOut);
}

#[test]
fn a_reverse_session_has_its_handshake_the_right_way_round() {
    let mut tap = Tap::new();
    tap.open(0, 1_000, 5_000);
    // KEXDH_INIT: whoever accepted the connection is SSH's client.
    let packet = [0, 0, 0, 12, 4, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    tap.send(100, SERVER, CLIENT, 5_012, 1_012, "A", &packet);
    tap.send(130, CLIENT, SERVER, 1_012, 5_028, "A", b"");
    let reports = tap.finish();
    assert_eq!((reports[0].endpoints.client.ip, reports[0].evidence), (SERVER.0.into(), Evidence::Banner));
    assert_eq!(reports[0].rtt.client.handshake, Some(Span::from_millis(2)));
    assert_eq!(reports[0].rtt.server.handshake, Some(Span::from_millis(30)));
}

#[test]
fn without_a_syn_the_port_tells_the_client_and_then_the_guess() {
    let ssh = (SERVER.0, 22);
    let mut tap = Tap::new();
    tap.send(0, ssh, CLIENT, 5_000, 1_000, "A", &[7; 36]);
    tap.send(1, (SERVER.0, 50_001), (CLIENT.0, 50_002), 5_000, 1_000, "A", b"SSH-2.0-x\r\n");
    let reports = tap.finish();
    assert_eq!(reports.len(), 2);
    assert_eq!((reports[0].evidence, reports[0].identified_by), (Evidence::Port, Some(IdentifiedBy::Port)));
    assert_eq!((reports[0].endpoints.client.ip, reports[0].midstream), (CLIENT.0.into(), true));
    assert_eq!((reports[0].keystrokes, reports[0].obfuscated), (None, None));
    assert_eq!((reports[1].evidence, reports[1].identified_by), (Evidence::FirstSeen, Some(IdentifiedBy::Signature)));
}

#[test]
fn a_capture_that_begins_between_the_banners_still_finds_the_session() {
    let mut tap = Tap::new();
    let ssh = (SERVER.0, 22);
    tap.send(0, ssh, CLIENT, 5_000, 1_000, "A", b"SSH-2.0-b\r\n");
    tap.send(30, CLIENT, ssh, 1_000, 5_011, "A", &[0, 0, 5, 100, 4, 20, 1, 2, 3]);
    let reports = tap.finish();
    assert_eq!(reports.len(), 1);
    let Some(Facts::Ssh(facts)) = &reports[0].facts else { panic!("not SSH") };
    assert_eq!(facts.banners.server.as_deref(), Some(&b"SSH-2.0-b"[..]));
}

#[test]
fn something_else_on_the_port_of_ssh_is_no_session() {
    let mut tap = Tap::new();
    let ssh = (SERVER.0, 22);
    tap.send(0, CLIENT, ssh, 1_000, 0, "S", b"");
    tap.send(2, ssh, CLIENT, 5_000, 1_001, "SA", b"");
    tap.send(4, CLIENT, ssh, 1_001, 5_001, "A", b"GET / HTTP/1.1\r\n\r\n");
    tap.send(5, ssh, CLIENT, 5_001, 1_019, "A", b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(tap.finish().is_empty());
}

#[test]
fn a_clock_that_is_set_back_is_counted_for_the_sessions_that_see_it() {
    let mut tap = Tap::new();
    tap.open(10_000, 100, 500);
    tap.send(10_050, CLIENT, SERVER, 112, 512, "A", b""); // late, as when queues are mixed up
    tap.send(5_000, CLIENT, SERVER, 112, 512, "A", b"");
    tap.send(5_100, SERVER, CLIENT, 512, 112, "A", b"");
    assert_eq!((tap.engine.counters().out_of_order, tap.engine.counters().clock_steps), (3, 1));
    tap.open(20_000, 9_000, 9_500);
    tap.engine.finish();
    assert_eq!(tap.reports().iter().map(|report| report.quality.clock_steps).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_flow_that_is_nothing_to_us_takes_two_cache_lines() {
    assert_eq!(size_of::<Option<Flow<Candidate>>>(), 128);
}

/// The rows of a table in the page on memory: what, limit, bytes of each, and all together in MiB.
fn memory_rows() -> Vec<[String; 4]> {
    let page = include_str!("../../deploy/memory.md");
    let cells = |line: &str| -> Vec<String> { line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect() };
    page.lines().filter(|line| line.starts_with("| ")).filter_map(|line| cells(line).try_into().ok()).collect()
}

/// What the page on memory says is what the limits and the sizes of the structures give.
#[test]
fn the_page_on_memory_is_true() {
    let limits = EngineLimits::default();
    let (index, heap) = (2 * 8, 16); // two entries a flow at least; what an allocation takes beside itself, at most
    let candidate = size_of::<Candidate>() + heap;
    let watched = (size_of::<Watched>() + Watch::MOST_BYTES + 2 * heap).next_multiple_of(16);
    let timers = 2 * (64 * 16 + 32 * 16 + 2 * 64 * 8);
    let session = candidate
        + size_of::<Session>()
        + heap
        + Backlog::MOST_BYTES
        + 2 * heap
        + 2 * Distribution::MOST_BYTES
        + Keystrokes::MOST_BYTES.max(Keys::MOST_BYTES)
        + Ssh::MOST_BYTES
            .max(Vnc::MOST_BYTES)
            .max(Rdp::MOST_BYTES)
            .max(Telnet::MOST_BYTES)
            .max(Rlogin::MOST_BYTES)
            .max(Families::MOST_BYTES)
            .max(X11::MOST_BYTES)
            .max(Spice::MOST_BYTES)
            .max(Datagrams::MOST_BYTES)
        + Carried::MOST_BYTES
        + timers
        + 2 * (4 << 10);
    let expected = [
        ("flows", limits.flows.max_flows, 128),
        ("places by which they are found", limits.flows.max_flows, index),
        ("times at which they end, and free places", limits.flows.max_flows, 12),
        ("flows that may become sessions", limits.max_candidates, candidate.next_multiple_of(16)),
        ("flows that are watched", SHARDS * MOST_WATCHED, watched),
        ("sessions, at their most", limits.max_sessions, session.next_multiple_of(1 << 10)),
        ("data behind holes", limits.max_waiting, 1),
        ("fragments", limits.fragments.max_bytes, 1),
        ("headers for evidence", SliceLimits::default().total, 1),
    ];
    let rows = memory_rows();
    let grouped = |number: usize| {
        let digits = number.to_string();
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
        groups.join(",")
    };
    for (what, limit, each) in expected {
        let row = rows.iter().find(|row| row[0] == what).unwrap_or_else(|| panic!("no row {what:?}"));
        let together = format!("{:.1}", (limit * each) as f64 / f64::from(1 << 20));
        assert_eq!(row[1..], [grouped(limit), grouped(each), together], "{what}");
    }
}
