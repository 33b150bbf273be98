//! The proof of the product: on a path whose delay, jitter and loss are known, what is measured is what is there.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;
#[path = "link/path.rs"]
mod path;

use common::{Outcome, Rng, run};
use keywitness::{flow::Side, observation::RoundTrips, time::Span};
use path::{Acks, Line, MS, Nanos, Path, Recording, Simulation, US};

const RTTS: [Nanos; 5] = [2 * MS, 12 * MS, 35 * MS, 110 * MS, 230 * MS];
const JITTERS: [Nanos; 3] = [0, 2 * MS, 8 * MS];

/// Time that the server takes to echo a key.
const PROCESSING: Nanos = 300 * US;
const KEYS: usize = 200;

/// A path of a round trip, and nothing in its way.
const fn path(client_rtt: Nanos) -> Path {
    let (client_acks, server_acks) = (Acks::AtOnce, Acks::AtOnce);
    Path { seed: 1, client_rtt, jitter: 0, loss: 0, client_acks, server_rtt: 200 * US, server_acks }
}

/// A packet in clear (RFC 4253 §6).
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (9 + payload.len()) % 8) % 8;
    let length = (1 + payload.len() + padding) as u32;
    [&length.to_be_bytes()[..], &[padding as u8], payload, &vec![0; padding]].concat()
}

fn kexinit(kex: &str) -> Vec<u8> {
    let cipher = "chacha20-poly1305@openssh.com";
    let mut payload = vec![20; 17];
    for list in [kex, "ssh-ed25519", cipher, cipher, "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""] {
        payload.extend((list.len() as u32).to_be_bytes());
        payload.extend(list.as_bytes());
    }
    payload.extend([0; 5]);
    packet(&payload)
}

/// An OpenSSH login with a terminal, up to the prompt.
fn login() -> Vec<Line> {
    let encrypted = |len: usize| vec![0xee; len];
    let (c, s) = (Side::Client, Side::Server);
    let banner = |version: &str| format!("SSH-2.0-OpenSSH_{version}\r\n").into_bytes();
    let reply = [packet(&[31; 200]), packet(&[21])].concat();
    let lines = [
        (c, banner("9.2p1")),
        (s, banner("9.2p1")),
        (c, kexinit("curve25519-sha256,ext-info-c")),
        (s, kexinit("curve25519-sha256")),
        (c, packet(&[30; 37])),
        (s, reply),
        (c, [packet(&[21]), encrypted(44)].concat()),
        (s, encrypted(44)),
        (c, encrypted(60)),
        (s, encrypted(280)),
        (c, encrypted(140)),
        (s, encrypted(100)),
        (c, encrypted(308)),
        (s, encrypted(28)),
        (c, encrypted(112)),
        (s, encrypted(412)),
        (s, encrypted(44)),
        (c, encrypted(392)),
        (s, encrypted(108)),
        (s, encrypted(60)),
    ];
    lines.into_iter().map(|(side, bytes)| Line { side, bytes, after: 500 * US }).collect()
}

/// When keys are typed: 70 to 400 ms apart.
fn typing(seed: u64) -> Vec<Nanos> {
    let mut rng = Rng::new(seed);
    let mut time = 500 * MS;
    std::iter::repeat_with(|| {
        time += 70 * MS + rng.below(330_000) as Nanos * US;
        time
    })
    .take(KEYS)
    .collect()
}

fn measure(path: Path) -> (Recording, Outcome) {
    let recording = Simulation::play(path, login(), &typing(path.seed), PROCESSING);
    let outcome = run(&recording.frames);
    (recording, outcome)
}

fn nanos(span: Option<Span>) -> Option<Nanos> {
    span.map(Span::as_nanos)
}

/// What the floor may be off by on a path without queues: 1 ms or 3 %, as it is stated (see `judge`).
fn stated_error(rtt: Nanos) -> Nanos {
    MS.max(rtt * 3 / 100)
}

/// The floor lies on the path or a little above it, and no sample below.
fn on_the_path(context: &Path, measured: RoundTrips, rtt: Nanos, above: Nanos) {
    let (samples, floor) = (measured.samples.unwrap(), measured.floor.unwrap().value.as_nanos());
    assert!(samples.min.as_nanos() >= rtt, "{context:?}: {samples:?} for {rtt}");
    assert!((rtt..=rtt + above).contains(&floor), "{context:?}: floor {floor} for {rtt}, up to {above} more");
}

/// Every path of the grid with these losses and these acknowledgements of the client.
fn grid(losses: &[usize], client_acks: &[Acks]) -> Vec<Path> {
    let mut paths = Vec::new();
    for (seed, client_rtt) in (1..).zip(RTTS) {
        for jitter in JITTERS {
            for &loss in losses {
                for &client_acks in client_acks {
                    for server_acks in [Acks::AtOnce, Acks::AllDelayed] {
                        paths.push(Path { seed, jitter, loss, client_acks, server_acks, ..path(client_rtt) });
                    }
                }
            }
        }
    }
    paths
}

#[test]
fn a_handshake_without_jitter_is_exact() {
    let paths = grid(&[0], &[Acks::AtOnce, Acks::TenthDelayed, Acks::AllDelayed]);
    for mut path in paths.into_iter().filter(|path| path.jitter == 0) {
        // With the sensor next to the server, and in the middle.
        for server_rtt in [200 * US, 24 * MS] {
            path.server_rtt = server_rtt;
            let rtt = measure(path).1.session().rtt;
            assert_eq!(nanos(rtt.client.handshake), Some(path.client_rtt), "{path:?}");
            assert_eq!(nanos(rtt.server.handshake), Some(server_rtt), "{path:?}");
        }
    }
}

/// A round trip is the path's, whatever waits and gets lost on it: the twentieth part of the samples with the shortest
/// queues has less than one and a half times the usual queue.
#[test]
fn the_clients_floor_is_its_path() {
    for path in grid(&[0, 10], &[Acks::AtOnce, Acks::TenthDelayed]) {
        let above = stated_error(path.client_rtt) + path.jitter * 3 / 2;
        on_the_path(&path, measure(path).1.session().rtt.client, path.client_rtt, above);
    }
}

/// A client that delays every acknowledgement by 40 ms: only the handshake, and acknowledgements that a second segment or a
/// key carries, show the path. The floor is the path all the same, since the handshake is among its samples; the
/// allowance is that one sample's queues.
#[test]
fn a_client_that_delays_every_acknowledgement_looks_no_farther() {
    for path in grid(&[0, 10], &[Acks::AllDelayed]) {
        let rtt = measure(path).1.session().rtt.client;
        let above = stated_error(path.client_rtt) + 4 * path.jitter;
        on_the_path(&path, rtt, path.client_rtt, above);
    }
}

#[test]
fn the_servers_floor_is_its_path_and_at_most_the_time_of_an_echo() {
    for mut path in grid(&[0, 10], &[Acks::AtOnce]) {
        for server_rtt in [200 * US, 24 * MS] {
            path.server_rtt = server_rtt;
            // An echo that carries the acknowledgement makes it wait for the program.
            let waits = if path.server_acks == Acks::AtOnce { 0 } else { PROCESSING };
            on_the_path(&path, measure(path).1.session().rtt.server, server_rtt, waits);
        }
    }
}

#[test]
fn every_key_is_timed_to_the_nanosecond() {
    for path in grid(&[0], &[Acks::AtOnce, Acks::TenthDelayed, Acks::AllDelayed]) {
        let (recording, outcome) = measure(path);
        assert_eq!(outcome.count(), KEYS as u64, "{path:?}");
        assert_eq!(outcome.keystrokes.len(), KEYS);
        let mut before = None;
        for ((key, &time), &echo) in outcome.keystrokes.iter().zip(&recording.keys).zip(&recording.echoes) {
            assert_eq!(key.time.as_nanos(), time, "{path:?}, key {}", key.index);
            assert_eq!(nanos(key.interval), before.map(|before| time - before), "{path:?}, key {}", key.index);
            before = Some(time);
            // Two keys that a queue has pressed together are both answered by the first one's echo.
            let (found, truth) = (nanos(key.echo).unwrap(), echo - time);
            let slack = if path.jitter == 0 { 0 } else { PROCESSING };
            assert!((truth - slack..=truth).contains(&found), "{path:?}, key {}: echo {found}, was {truth}", key.index);
            assert_eq!(truth, path.server_rtt + PROCESSING, "the path is what it should be");
        }
    }
}

#[test]
fn loss_costs_no_key_and_invents_no_time() {
    let mut sent_again = 0;
    for path in grid(&[10, 30], &[Acks::AtOnce, Acks::TenthDelayed]) {
        let (recording, outcome) = measure(path);
        assert!(outcome.count().abs_diff(KEYS as u64) <= KEYS as u64 / 100, "{path:?}: {} keys", outcome.count());
        let traffic = outcome.session().traffic;
        sent_again += traffic.client.retransmitted + traffic.server.retransmitted;
        assert_eq!((traffic.client.gaps, traffic.server.gaps), (0, 0), "{path:?}: all of it passed in the end");
        for key in &outcome.keystrokes {
            let nth = recording.keys.iter().position(|time| *time == key.time.as_nanos());
            let nth = nth.unwrap_or_else(|| panic!("{path:?}: no key passed when {key:?} did"));
            let truth = recording.echoes[nth] - recording.keys[nth];
            // A key that waits at the server for the one before it is echoed late; that is not seen, or it is right.
            let found = nanos(key.echo);
            assert!(found.is_none_or(|found| (truth - PROCESSING..=truth).contains(&found)), "{path:?}: {key:?}, was {truth}");
            assert!(key.interval.is_none_or(|interval| !interval.is_negative()), "{path:?}: {key:?}");
        }
        let echoed = outcome.keystrokes.iter().filter(|key| key.echo.is_some()).count();
        assert!(echoed >= KEYS * 8 / 10, "{path:?}: only {echoed} echoes");
    }
    assert!(sent_again > 200, "there was loss to measure through");
}
