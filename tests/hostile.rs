//! Whatever the bytes, their order and their times: no panic, every frame counted, nothing out of bounds.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;
#[path = "common/pcaps.rs"]
mod pcaps;

#[path = "hostile/arbitrary.rs"]
mod arbitrary;
#[path = "hostile/evidence.rs"]
mod evidence;
#[path = "hostile/fragments.rs"]
mod fragments;

use std::{
    io::{self, Cursor, Read},
    net::Ipv4Addr,
    path::Path,
};

use common::{Rng, Shot, Tcp, run};
use keywitness::{
    capture::{Merge, Reader},
    engine::{Engine, EngineLimits},
    observation::{Body, SessionState},
    protocol::Facts,
    time::Timestamp,
    wire::{LinkType, TcpFlags},
};
use pcaps::capture;

/// Names of all captures of the laboratory, those of sessions over UDP and in WebSocket among them.
fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps");
    let files = ["", "udp/", "web/"].into_iter().flat_map(|part| {
        let entries = std::fs::read_dir(folder.join(part)).unwrap();
        entries.map(move |entry| format!("{part}{}", entry.unwrap().file_name().to_str().unwrap()))
    });
    let mut names: Vec<String> = files.filter_map(|name| name.strip_suffix(".pcap").map(str::to_owned)).collect();
    names.sort();
    assert!(names.len() >= 10 && ["udp/", "web/"].iter().all(|part| names.iter().any(|name| name.starts_with(part))));
    names
}

/// Frames that a capture file gives before it ends or breaks.
fn read(bytes: &[u8]) -> Vec<Shot> {
    let mut merge = Merge::from_readers([Reader::from_stream("test", Box::new(Cursor::new(bytes.to_vec())))]);
    let mut shots = Vec::new();
    while let Some(batch) = merge.next_batch() {
        shots.extend(batch.iter().map(|frame| Shot {
            time: frame.time,
            link: frame.link,
            bytes: frame.bytes.to_vec(),
            original_len: frame.original_len,
        }));
    }
    shots
}

/// Runs frames and checks that what was counted adds up.
fn run_and_count(context: &str, shots: &[Shot]) {
    let outcome = run(shots);
    let counters = outcome.counters;
    assert_eq!(counters.bytes, shots.iter().map(|shot| u64::from(shot.original_len)).sum::<u64>(), "{context}");
    assert_eq!(counters.first_time, shots.iter().map(|shot| shot.time).min(), "{context}");
    assert_eq!(counters.last_time, shots.iter().map(|shot| shot.time).max(), "{context}");
    assert!(
        counters.undecoded <= counters.packets && counters.identified <= counters.tcp_flows + counters.udp_flows,
        "{context}"
    );
    assert!(outcome.sessions.len() as u64 <= counters.identified, "{context}: what is reported was identified");
    for session in &outcome.sessions {
        for rtt in [session.rtt.client, session.rtt.server] {
            assert!(rtt.handshake.is_none_or(|rtt| !rtt.is_negative()), "{context}");
            let (Some(samples), Some(floor)) = (rtt.samples, rtt.floor) else { continue };
            assert!(!samples.min.is_negative() && samples.min <= floor.value && floor.value <= samples.max, "{context}");
        }
    }
    let reported: u64 = outcome.sessions.iter().filter_map(|session| session.keystrokes).map(|keys| keys.count).sum();
    assert!(reported <= outcome.keystrokes.len() as u64, "{context}: every keystroke that is counted was handed on");
}

/// A prefix gives the frames that lie in it and nothing else.
#[test]
fn every_prefix_of_every_capture() {
    let mut rng = Rng::new(5);
    for name in names() {
        let bytes = std::fs::read(pcaps::path(&name)).unwrap();
        let whole = read(&bytes);
        let sampled: Vec<usize> = (0..60).map(|_| rng.below(bytes.len())).collect();
        let mut engine_ran_at = 0;
        for length in (0..bytes.len().min(4096)).chain(sampled) {
            let shots = read(&bytes[..length]);
            let frames: usize = shots.iter().map(|shot| 16 + shot.bytes.len()).sum();
            let next = whole[shots.len()].bytes.len() + 16;
            assert!(length < 24 + frames + next && (shots.is_empty() || 24 + frames <= length), "{name}, {length} bytes");
            if shots.len() != engine_ran_at {
                engine_ran_at = shots.len();
                run_and_count(&format!("{name}, {length} bytes"), &shots);
            }
        }
    }
}

#[test]
fn flipped_bits_anywhere_in_a_file() {
    for (name, mut rng) in names().into_iter().zip((0..).map(Rng::new)) {
        let bytes = std::fs::read(pcaps::path(&name)).unwrap();
        for round in 0..rounds(&bytes) {
            let mut damaged = bytes.clone();
            for _ in 0..1 + rng.below(20) {
                let at = rng.below(damaged.len());
                damaged[at] ^= 1 << rng.below(8);
            }
            run_and_count(&format!("{name}, round {round}"), &read(&damaged));
        }
    }
}

/// Fewer for larger files: the time of a run is that of its frames.
fn rounds(bytes: &[u8]) -> usize {
    (10_000_000 / bytes.len()).clamp(80, 400)
}

#[test]
fn damaged_cut_and_shuffled_frames() {
    for (name, mut rng) in names().into_iter().zip((100..).map(Rng::new)) {
        let shots = capture(&name);
        let size = shots.iter().map(|shot| shot.bytes.len()).sum::<usize>();
        for round in 0..(10_000_000 / size).clamp(80, 400) {
            let mut damaged = shots.clone();
            for shot in &mut damaged {
                match rng.below(16) {
                    0 => shot.bytes.truncate(rng.below(200)),
                    1 if !shot.bytes.is_empty() => {
                        let at = rng.below(shot.bytes.len().min(80));
                        shot.bytes[at] = rng.next() as u8;
                    }
                    2 => shot.link = LinkType::from_number([0, 101, 108, 113, 147, 276][rng.below(6)]),
                    3 if rng.below(4) == 0 && shot.bytes.len() > 22 => shot.bytes[20] ^= 0x20,
                    _ => {}
                }
            }
            for _ in 0..rng.below(damaged.len()) {
                let (a, b) = (rng.below(damaged.len()), rng.below(damaged.len()));
                damaged.swap(a, b);
            }
            run_and_count(&format!("{name}, round {round}"), &damaged);
        }
    }
}

#[test]
fn every_snaplen() {
    let shots = capture("ssh-aes-gcm");
    for snaplen in 0..200 {
        let cut: Vec<Shot> = shots
            .iter()
            .map(|shot| Shot { bytes: shot.bytes[..shot.bytes.len().min(snaplen)].to_vec(), ..shot.clone() })
            .collect();
        run_and_count(&format!("snaplen {snaplen}"), &cut);
    }
}

/// A capture may end at the last nanosecond that there is: what is then due is due never.
#[test]
fn the_end_of_time() {
    let shots = capture("ssh-home");
    for last in [100, 200, shots.len() - 1] {
        let shift = Timestamp::MAX - shots[last].time;
        let late: Vec<Shot> = shots.iter().map(|shot| Shot { time: shot.time + shift, ..shot.clone() }).collect();
        run_and_count(&format!("frame {last} at the end of time"), &late);
        if last + 1 == shots.len() {
            assert_eq!(run(&late).count(), run(&shots).count(), "a session is the same at any time");
        }
    }
}

#[test]
fn any_time() {
    let extremes = [0, 1, -1, i64::MIN, i64::MAX, i64::MAX - 1, i64::from(u32::MAX) * 1_000_000_000, 1_000_000_000];
    for (name, mut rng) in names().into_iter().zip((200..).map(Rng::new)) {
        let shots = capture(&name);
        for round in 0..4 {
            let mut wrong = shots.clone();
            let count = wrong.len() as i64;
            for (at, shot) in wrong.iter_mut().enumerate() {
                let backwards = (count - at as i64) * 1_000_000_000;
                let anything = rng.next() as i64;
                let extreme = extremes[rng.below(extremes.len())];
                shot.time = match (round, rng.below(8)) {
                    (0, 0) => Timestamp::from_nanos(extreme),
                    (1, _) => Timestamp::from_nanos(backwards),
                    (2, _) => Timestamp::from_nanos(anything),
                    (3, _) => Timestamp::from_nanos(extreme),
                    _ => continue,
                };
            }
            run_and_count(&format!("{name}, round {round}"), &wrong);
        }
    }
}

/// A client's or a server's segment of the nth connection of a flood.
fn flooding(n: u32, from_client: bool, flags: u8, payload: &[u8]) -> Shot {
    let client = (Ipv4Addr::from(0x0a00_0000 + n), 40_000);
    let server = (Ipv4Addr::new(192, 0, 2, 1), 22);
    let (source, destination) = if from_client { (client, server) } else { (server, client) };
    let seq = if flags & TcpFlags::SYN != 0 { 0 } else { 1 };
    let (mac, payload) = ([[1; 6], [2; 6]], payload.to_vec());
    let time = Timestamp::from_nanos(1_000_000_000 + i64::from(n) * 1_000);
    Tcp { time, mac, source, destination, id: 1, seq, ack: 1, flags, window: 500, options: Vec::new(), payload }.shot()
}

#[test]
fn a_flood_stays_within_the_limits_and_evicts_no_session() {
    const ESTABLISHED: u32 = 90;
    const BANNER: &[u8] = b"SSH-2.0-x\r\n";
    let (syn, data) = (TcpFlags::SYN, TcpFlags::ACK);
    // 16 flows and 8 sessions of each shard.
    let (flows, sessions) = (16 * 256, 8 * 256);
    let mut engine = Engine::new(EngineLimits::default().with(flows, sessions));
    let (mut frames, mut most) = (0, (0, 0));
    let mut feed = |engine: &mut Engine, shot: Shot| {
        engine.handle_frame(&shot.frame(frames));
        frames += 1;
        assert!(engine.flows() <= flows && engine.sessions() <= sessions, "frame {frames}");
        most = (engine.flows().max(most.0), engine.sessions().max(most.1));
    };
    for n in 0..ESTABLISHED {
        feed(&mut engine, flooding(n, true, syn, b""));
        feed(&mut engine, flooding(n, true, data, BANNER));
        feed(&mut engine, flooding(n, false, data, BANNER));
    }
    assert_eq!((engine.flows(), engine.sessions()), (90, 90));
    for n in ESTABLISHED..100_000 {
        if n % 4 != 3 {
            feed(&mut engine, flooding(n, true, syn, b""));
        }
        match n % 4 {
            0 => feed(&mut engine, flooding(n, true, data, b"S")),
            1 => feed(&mut engine, flooding(n, true, data, BANNER)),
            3 => feed(&mut engine, flooding(n, true, data, b"no beginning, but the port")),
            _ => {}
        }
    }
    // A session that goes takes its flow with it: that limit lets flows come nowhere near theirs.
    assert!(most.0 > flows / 2 && most.1 == sessions, "the limit was reached: {most:?}");
    engine.finish();
    let mut kept = 0;
    while let Some(observation) = engine.poll_observation() {
        let Body::SessionEnded(report) = observation.body else { continue };
        let both = matches!(&report.facts, Some(Facts::Ssh(ssh)) if ssh.banners.client.is_some() && ssh.banners.server.is_some());
        assert!(!both || report.state == SessionState::Eof, "an established session was evicted");
        kept += u32::from(both);
    }
    assert_eq!(kept, ESTABLISHED);
    assert!(engine.counters().dropped_flows > 90_000);
}

/// Makes up a capture while it is read: frames of 1,000 bytes, one a millisecond, every tenth of a flow of its own.
struct Endless {
    frames: u32,
    made: u32,
    ready: Cursor<Vec<u8>>,
}

impl Endless {
    /// A nanosecond pcap of raw IP.
    fn new(frames: u32) -> Self {
        let words = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 0x4_0000, 101_u32];
        Self { frames, made: 0, ready: Cursor::new(words.map(u32::to_le_bytes).concat()) }
    }

    fn record(n: u32) -> Vec<u8> {
        let Shot { bytes, .. } = flooding(n / 10, true, TcpFlags::SYN, &[0; 946]);
        let packet = &bytes[14..];
        let length = packet.len() as u32;
        [[n / 1000, n % 1000 * 1_000_000, length, length].map(u32::to_le_bytes).concat().as_slice(), packet].concat()
    }
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ready.position() == self.ready.get_ref().len() as u64 && self.made < self.frames {
            self.ready = Cursor::new(Self::record(self.made));
            self.made += 1;
        }
        self.ready.read(into)
    }
}

#[test]
fn a_stream_of_200_megabytes_is_never_held() {
    let mut merge = Merge::from_readers([Reader::from_stream("endless", Box::new(Endless::new(200_000)))]);
    let mut engine = Engine::new(EngineLimits::default().with(1_024, 256));
    while let Some(batch) = merge.next_batch() {
        assert!(batch.data.len() <= 256 * 1024 && batch.frames.len() <= 256);
        engine.handle_batch(&batch);
        assert!(engine.poll_observation().is_none());
        assert!(engine.flows() <= 1_024);
    }
    let counters = engine.counters();
    assert_eq!((counters.packets, counters.tcp_flows, counters.undecoded), (200_000, 20_000, 0));
    assert!(counters.bytes > 190_000_000 && counters.out_of_order == 0, "{counters:?}");
}
