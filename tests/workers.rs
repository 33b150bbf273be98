//! However many engines share the work, the results are the same, byte for byte.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "not all is needed here")]
mod program;

#[path = "program/traffic.rs"]
#[expect(dead_code, reason = "not all is needed here")]
mod traffic;

use pcap::{Classic, Packet};
use program::{Run, captures, command, keywitness};
use std::process::Stdio;
use traffic::{BEGIN, Traffic};

/// Standard output without what differs from run to run.
fn results(run: &Run) -> String {
    assert_eq!(run.status, 0, "{}", run.stderr);
    let timeless = |line: &str| match line.find("\"elapsed_s\"") {
        Some(start) => [&line[..start], &line[line.find("\"inputs\"").unwrap()..]].concat(),
        None => line.to_owned(),
    };
    run.stdout.lines().map(timeless).collect::<Vec<_>>().join("\n")
}

fn analyze(more: &[&str], workers: &str, inputs: &[String]) -> String {
    let options = ["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml", "--workers", workers];
    results(&keywitness(options.into_iter().chain(more.iter().copied()).chain(inputs.iter().map(String::as_str))))
}

#[test]
fn all_captures_together_give_the_same_with_any_number() {
    let inputs: Vec<String> = captures().iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    for more in [&[][..], &["--keystrokes=all"], &["--all-flows"], &["--filter", "greater 90"], &["--report-every", "2s"]] {
        let alone = analyze(more, "1", &inputs);
        assert!(alone.lines().count() > 19, "{alone}");
        for workers in if more.is_empty() { &["2", "3", "256"][..] } else { &["3"] } {
            assert_eq!(analyze(more, workers, &inputs), alone, "{workers} workers, {more:?}");
        }
    }
}

/// The sessions of many captures at once, each between addresses of its own, the clock set forwards by an hour in the middle,
/// frames now and then out of order.
fn crowd() -> Vec<Packet> {
    let mut packets = Vec::new();
    for (number, name) in captures().iter().enumerate() {
        for copy in 0..4u8 {
            let capture = pcap::read(name);
            let start = capture[0].time;
            packets.extend(capture.into_iter().map(|mut packet| {
                // The last byte of both addresses; checksums are not looked at.
                packet.bytes[29] ^= 7 * copy + number as u8;
                packet.bytes[33] ^= 7 * copy + number as u8;
                packet.time = 1_700_000_000_000_000_000 + packet.time - start + u64::from(copy) * 1_234_567;
                packet
            }));
        }
    }
    packets.sort_by_key(|packet| packet.time);
    let half = packets.len() / 2;
    packets[half..].iter_mut().for_each(|packet| packet.time += 3_600_000_000_000);
    (100..packets.len()).step_by(97).for_each(|i| packets.swap(i, i - 1));
    packets
}

#[test]
fn sessions_that_overlap_come_out_in_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crowd.pcap");
    std::fs::write(&path, Classic { big_endian: false, microseconds: false }.write(&crowd())).unwrap();
    let inputs = [path.to_str().unwrap().to_owned()];
    for more in [&[][..], &["--keystrokes=all", "--all-flows", "--report-every", "1s"]] {
        let alone = analyze(more, "1", &inputs);
        assert!(alone.lines().count() > 60 && alone.contains("\"clock_steps\":1"), "the clock was set");
        for workers in ["2", "5"] {
            assert_eq!(analyze(more, workers, &inputs), alone, "{workers} workers, {more:?}");
        }
    }
}

/// The sessions of `crowd`, and between their frames a flood of other flows: SYNs alone, banners, and fetches.
fn crowd_in_a_flood() -> Vec<Packet> {
    let crowd = crowd();
    let mut flood = Traffic::default();
    for n in 0..8_000u32 {
        let client = (std::net::Ipv4Addr::from(0x0a00_0000 + n.wrapping_mul(2_654_435_761) % 4_096), 1_024 + (n % 30_000) as u16);
        let server = (std::net::Ipv4Addr::new(198, 51, 100, (n % 5) as u8), 22);
        match n % 4 {
            0 => flood.fetch(u64::from(n), client, (server.0, 80)),
            1 => {
                flood.tcp(u64::from(n), client, server, "S", 1, 0, b"");
                flood.tcp(u64::from(n), server, client, "SA", 1, 2, b"");
                flood.tcp(u64::from(n), client, server, "A", 2, 2, b"SSH-2.0-x\r\n");
            }
            _ => flood.tcp(u64::from(n), client, server, "S", 1, 0, b""),
        }
    }
    let start = crowd[0].time;
    let between = flood.0.into_iter().map(|packet| Packet { time: packet.time - BEGIN + start, ..packet });
    let mut packets: Vec<_> = crowd.into_iter().chain(between).collect();
    packets.sort_by_key(|packet| packet.time);
    packets
}

/// Tables that are far too small drop the same flows and sessions whatever the number of engines.
#[test]
fn what_overflows_is_the_same_with_any_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flood.pcap");
    std::fs::write(&path, Classic { big_endian: false, microseconds: false }.write(&crowd_in_a_flood())).unwrap();
    let inputs = [path.to_str().unwrap().to_owned()];
    let evidence = folder.path().join("evidence");
    let limits = ["--max-flows", "1024", "--max-sessions", "256"];
    for more in [&[][..], &["--keystrokes=all", "--all-flows"], &["--save-evidence", evidence.to_str().unwrap()]] {
        let more = [&limits, more].concat();
        let alone = analyze(&more, "1", &inputs);
        let summary: serde_json::Value = serde_json::from_str(alone.lines().last().unwrap()).unwrap();
        assert!(summary["dropped"]["table"].as_u64() > Some(1_000), "{summary}");
        assert!(alone.matches("\"state\":\"evicted\"").count() > 10, "{more:?}");
        for workers in ["2", "3", "8"] {
            assert!(analyze(&more, workers, &inputs) == alone, "{workers} workers, {more:?}");
        }
    }
}

/// Without keystrokes, segments of a session wait and are taken in together.
#[test]
fn sessions_come_out_alike_whether_their_segments_wait_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crowd.pcap");
    std::fs::write(&path, Classic { big_endian: false, microseconds: false }.write(&crowd())).unwrap();
    let inputs = [path.to_str().unwrap().to_owned()];
    let but_keystrokes = |more: &[&str]| {
        let all = analyze(more, "1", &inputs);
        all.lines().filter(|line| !line.contains("\"record\":\"keystroke\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    for more in [&[][..], &["--all-flows"]] {
        let waiting = but_keystrokes(more);
        assert!(waiting.len() > 60, "{}", waiting.len());
        assert_eq!(waiting, but_keystrokes(&[more, &["--keystrokes=all"]].concat()), "{more:?}");
    }
}

#[test]
fn what_can_be_read_only_once_is_shared_too() {
    let file = std::fs::File::open(program::repository().join("pcaps/ssh-far.pcap")).unwrap();
    let mut piped = command(["analyze", "--workers", "4", "--format", "ndjson", "-"]);
    let run = Run::from(piped.stdin(Stdio::from(file)).output().unwrap());
    let named = results(&keywitness(["analyze", "--format", "ndjson", "pcaps/ssh-far.pcap"]));
    assert_eq!(
        results(&run).replace("\"input\":\"-\"", "").replace("\"path\":\"-\"", ""),
        named.replace("\"input\":\"pcaps/ssh-far.pcap\"", "").replace("\"path\":\"pcaps/ssh-far.pcap\"", "")
    );
}

#[test]
fn a_reader_that_goes_away_ends_all_workers() {
    let mut child = command(["analyze", "--workers", "3", "--keystrokes=all", "--format", "ndjson", "pcaps"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "a broken pipe ends quietly");
}

#[test]
fn no_workers_or_too_many_are_a_mistake() {
    for workers in ["0", "257", "x"] {
        assert_eq!(keywitness(["analyze", "--workers", workers, "pcaps"]).status, 2);
    }
}
