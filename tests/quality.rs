//! A capture that cannot be trusted accuses nobody, and says why: the accused capture, spoilt in each way.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "not all is needed here")]
mod program;

use pcap::{Classic, Packet};
use program::{keywitness, of};
use serde_json::{Value, json};

/// The session and the alerts of these packets, held against the claims.
fn analyze(packets: &[Packet]) -> (Value, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spoilt.pcap");
    std::fs::write(&path, Classic { big_endian: false, microseconds: false }.write(packets)).unwrap();
    let run = keywitness(["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml", path.to_str().unwrap()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let records = run.records();
    let alerts = of(&records, "alert").into_iter().cloned().collect();
    (of(&records, "session")[0].clone(), alerts)
}

/// Asserts that nobody is accused, for this reason, and gives the quality.
fn is_undecided(packets: &[Packet], reason: &str) -> Value {
    let (session, alerts) = analyze(packets);
    assert_eq!((&session["verdict"], alerts.len(), &session["findings"]), (&json!("undecided"), 0, &json!([])), "{reason}");
    for test in session["tests"].as_array().unwrap() {
        assert_eq!(test["outcome"], "not_testable");
        let told = test["reason"].as_str().unwrap();
        assert!(told.contains(reason) && told.contains("0.50 needed"), "{told}");
    }
    assert!(session["quality"]["score"].as_f64().unwrap() < 0.5);
    session["quality"].clone()
}

fn length(packet: &Packet) -> usize {
    usize::from(u16::from_be_bytes([packet.bytes[16], packet.bytes[17]]))
}

fn is_from_client(packet: &Packet, packets: &[Packet]) -> bool {
    packet.bytes[26..30] == packets[0].bytes[26..30]
}

#[test]
fn a_whole_capture_is_worth_one_and_its_alert_says_so() {
    let (session, alerts) = analyze(&pcap::read("ssh-rtt110"));
    let whole = json!({
        "one_sided": false, "drops": 0, "merged_segments_suspected": false, "clock_steps": 0, "timestamp_source": "file",
        "timestamp_resolution_ns": session["quality"]["timestamp_resolution_ns"], "score": 1.0,
    });
    assert_eq!((&session["verdict"], &session["quality"]), (&json!("implausible"), &whole));
    assert_eq!((alerts.len(), &alerts[0]["quality"]), (1, &whole));
}

#[test]
fn after_a_clock_step_nobody_is_accused() {
    let mut packets = pcap::read("ssh-rtt110");
    let half = packets.len() / 2;
    packets[half..].iter_mut().for_each(|packet| packet.time -= 30_000_000_000);
    let quality = is_undecided(&packets, "the sensor's clock was set once");
    assert_eq!(quality["clock_steps"], 1);
}

#[test]
fn coarse_time_stamps_accuse_nobody() {
    let packets = pcap::read("ssh-rtt110");
    for (nanos, reason) in [(10_000_000, Some("multiples of 10 ms")), (1_000_000, Some("multiples of 1 ms")), (1_000, None)] {
        let mut coarse = packets.clone();
        coarse.iter_mut().for_each(|packet| packet.time -= packet.time % nanos);
        let quality = match reason {
            Some(reason) => is_undecided(&coarse, reason),
            None => {
                let (session, alerts) = analyze(&coarse);
                assert_eq!((&session["verdict"], alerts.len()), (&json!("implausible"), 1));
                session["quality"].clone()
            }
        };
        assert_eq!(quality["timestamp_resolution_ns"], nanos);
    }
}

#[test]
fn with_many_frames_lost_nobody_is_accused_and_with_few_the_loss_is_told() {
    let packets = pcap::read("ssh-rtt110");
    // A sensor that loses every fifth segment with data, or every fiftieth, of a session that has begun.
    let lossy = |every: usize| {
        let mut data = 0;
        let mut kept = packets.clone();
        kept.retain(|packet| {
            let typed = length(packet) > 52 && packet.time > packets[60].time;
            data += usize::from(typed);
            !typed || data % every != 0
        });
        kept
    };
    let quality = is_undecided(&lossy(5), "pieces are missing");
    assert!(quality["drops"].as_u64().unwrap() > 50, "{quality}");
    let (session, alerts) = analyze(&lossy(50));
    let quality = &session["quality"];
    assert_eq!((&session["verdict"], alerts.len()), (&json!("implausible"), 1), "{quality}");
    assert!(quality["drops"].as_u64().unwrap() >= 5 && quality["score"].as_f64().unwrap() < 1.0, "{quality}");
}

#[test]
fn one_direction_alone_accuses_nobody() {
    let packets = pcap::read("ssh-rtt110");
    for of_client in [true, false] {
        let mut one = packets.clone();
        one.retain(|packet| is_from_client(packet, &packets) == of_client);
        let quality = is_undecided(&one, "one direction alone was seen");
        assert_eq!((&quality["one_sided"], &quality["score"]), (&json!(true), &json!(0.0)));
    }
}

#[test]
fn merged_segments_are_suspected_and_an_unseen_beginning_leaves_it_open() {
    let mut packets = pcap::read("ssh-rtt110");
    // What the client's SYN allows, made smaller than the server's longest segment.
    let options = &mut packets[0].bytes[54..];
    assert_eq!(options[..2], [2, 4], "the maximum segment size comes first");
    options[2..4].copy_from_slice(&1000u16.to_be_bytes());
    let (session, alerts) = analyze(&packets);
    let quality = &session["quality"];
    assert_eq!((&quality["merged_segments_suspected"], &quality["score"]), (&json!(true), &json!(0.9)));
    assert_eq!((&session["verdict"], alerts.len()), (&json!("implausible"), 1));
    let (session, _) = analyze(&packets[3..]);
    assert_eq!(session["quality"]["merged_segments_suspected"], Value::Null);
}
