//! Every capture over a wire into the sensor, and a flood beside somebody who types. In network namespaces of its own; skipped with
//! a word where those are not permitted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "not all is needed here")]
#[path = "live/lab.rs"]
mod lab;
#[expect(dead_code, reason = "captures are only read here")]
#[path = "program/pcap.rs"]
mod pcap_file;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{collections::BTreeMap, fs, net::Ipv4Addr, thread, time::Duration};

use lab::{Lab, Sensor};
use pcap_file::{Packet, read};
use program::{captures, keywitness, of};
use serde_json::{Value, json};

/// How many times as fast as they were captured the frames go out: the longest capture takes 64 s, and this machine may have
/// much else to do.
const SPEED: u64 = 4;

/// Records without the summary, and without what a recording cannot know: which interface, who stamped, and when the sensor was told
/// to end, which is the time of alerts on sessions that had not.
fn comparable(records: &[Value]) -> Vec<Value> {
    let unended: Vec<&Value> = of(records, "session").into_iter().filter(|session| session["state"] == "eof").collect();
    let is_late = |record: &Value| unended.iter().any(|session| session["session_id"] == record["session_id"]);
    let kept = records.iter().filter(|record| record["record"] != "summary").cloned();
    kept.map(|mut record| {
        record.as_object_mut().unwrap().remove("input");
        if record["record"] == "alert" && is_late(&record) {
            record.as_object_mut().unwrap().remove("time");
        }
        if let Some(quality) = record.get_mut("quality") {
            quality.as_object_mut().unwrap().remove("timestamp_source");
        }
        record
    })
    .collect()
}

/// Of each session that has ended, by its ends: what does not depend on when its frames came.
fn facts(records: &[Value]) -> BTreeMap<String, Value> {
    let ended = of(records, "session").into_iter().filter(|session| session["state"] != "open");
    ended
        .map(|session| {
            let ends = format!("{} {}", session["client"], session["server"]);
            let names =
                ["transport", "protocol", "identified_by", "midstream", "client_evidence", "community_id", "encapsulation"];
            let mut facts: BTreeMap<&str, Value> = names.iter().map(|name| (*name, session[*name].clone())).collect();
            for side in ["client", "server"] {
                let mut stack = session["stack"][side].clone();
                stack.as_object_mut().unwrap().remove("timestamp_hz");
                let counts = ["packets", "bytes", "payload_bytes", "gaps"].map(|name| session["traffic"][side][name].clone());
                facts.insert(side, json!([stack, counts, session["rtt"][side]["handshake_ms"].is_null()]));
            }
            let mut details = session["details"].clone();
            // A failed attempt shows by how long it takes, obfuscation by its rhythm.
            if let Some(details) = details.as_object_mut() {
                for timed in ["auth", "obfuscated_keystrokes"] {
                    details.remove(timed);
                }
            }
            facts.insert("details", details);
            facts.insert("drops", session["quality"]["drops"].clone());
            (ends, json!(facts))
        })
        .collect()
}

/// All captures at once, each from its own beginning.
fn all_together() -> Vec<Packet> {
    let mut packets: Vec<Packet> = Vec::new();
    for name in captures() {
        let capture = read(&name);
        let begin = capture[0].time;
        packets.extend(capture.into_iter().map(|packet| Packet { time: packet.time - begin, ..packet }));
    }
    packets.sort_by_key(|packet| packet.time);
    packets
}

/// What the sensor says is what an analysis of a recording of the same frames says, to the nanosecond; and apart from times, what an
/// analysis of the captures says that were sent.
#[test]
fn every_capture_gives_over_a_wire_what_it_gives_as_a_file() {
    let Some(lab) = Lab::new("every") else { return };
    let folder = tempfile::tempdir().unwrap();
    lab.pair("out", "tap");
    let _stamps = lab.common_stamps("out", "tap");
    let options = ["--claims", "pcaps/claims.toml", "--keystrokes=all", "--all-flows", "--format", "ndjson"];
    let recorder = lab.record("tap", folder.path().join("tap.pcap"));
    let sensor = lab.sensor(&[&["-i", "tap", "--report-every", "0"], &options[..]].concat());
    let packets = all_together();
    lab.replay(&packets.iter().map(|packet| ("out", packet)).collect::<Vec<_>>(), SPEED);
    let files: Vec<String> = captures().iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let captured = keywitness(["analyze"].into_iter().chain(options).chain(files.iter().map(String::as_str))).records();
    let is_closed = |record: &Value| record["record"] == "session" && record["state"] == "closed";
    sensor.wait_for_records(captured.iter().filter(|record| is_closed(record)).count(), is_closed);
    // The recording cannot know how long nothing came behind it.
    lab.send("out", [&syn(1)]);
    let frames = packets.len() as u64 + 1;
    let recording = recorder.finish(frames);
    let live = sensor.stop();
    assert_eq!((live.status, live.summary()["packets"].as_u64()), (Some(0), Some(frames)), "{:?}", live.log);
    let mut live = live.records();

    let recorded = keywitness(["analyze"].into_iter().chain(options).chain([recording.as_str()])).records();
    let (live_records, recorded) = (comparable(&live), comparable(&recorded));
    for (live, recorded) in live_records.iter().zip(&recorded) {
        assert_eq!(live, recorded);
    }
    assert_eq!(live_records.len(), recorded.len());

    live.retain(|record| record["server"]["ip"] != "198.51.100.7"); // of that last frame
    let (live, captured) = (facts(&live), facts(&captured));
    assert!(live.len() >= captures().len());
    for (ends, captured) in &captured {
        assert_eq!(live.get(ends), Some(captured), "{ends}");
    }
    assert_eq!(live.len(), captured.len());
}

/// The nth SYN of a flood.
fn syn(n: u32) -> Packet {
    let mut bytes = Vec::new();
    let source = Ipv4Addr::from(0x0a00_0000 | n.wrapping_mul(2_654_435_761) >> 8).octets();
    let link = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, [198, 51, 100, 7], 64);
    link.tcp(1_024 + (n % 60_000) as u16, 22, n, 1_024).syn().write(&mut bytes, &[]).unwrap();
    Packet { time: 0, bytes }
}

/// The most memory of a sensor that was resident so far, in bytes.
fn most_resident(sensor: &Sensor) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", sensor.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[test]
fn a_flood_of_syns_takes_no_more_than_its_room_and_touches_no_session() {
    const SYNS: u32 = 60_000;
    let Some(lab) = Lab::new("flood") else { return };
    let folder = tempfile::tempdir().unwrap();
    lab.pair("out", "tap");
    let _stamps = lab.common_stamps("out", "tap");
    let recorder = lab.record("tap", folder.path().join("tap.pcap"));
    let options = ["--format", "ndjson", "--keystrokes=all", "--max-flows", "4096", "--max-sessions", "256"];
    let sensor = lab.sensor(&[&["-i", "tap", "--report-every", "0"], &options[..]].concat());
    let typed = read("ssh-paste");
    let (first, rest) = typed.split_at(12);
    let directed = |packets: &'static [Packet]| packets.iter().map(|packet| ("out", packet)).collect::<Vec<_>>();
    let (first, rest) = (directed(first.to_vec().leak()), directed(rest.to_vec().leak()));
    lab.replay(&first, 10);
    let before = most_resident(&sensor);
    thread::scope(|scope| {
        scope.spawn(|| {
            for start in (0..SYNS).step_by(100) {
                lab.send("out", &(start..start + 100).map(syn).collect::<Vec<_>>());
                thread::sleep(Duration::from_millis(2));
            }
        });
        lab.replay(&rest, 10);
    });
    let frames = typed.len() as u64 + u64::from(SYNS);
    let recording = recorder.finish(frames);
    let after = most_resident(&sensor);
    let live = sensor.stop();
    let (summary, records) = (live.summary(), live.records());
    assert_eq!((live.status, summary["packets"].as_u64()), (Some(0), Some(frames)), "{:?}", live.log);
    assert!(summary["dropped"]["table"].as_u64() > Some(40_000), "what went is counted: {summary}");
    // Without a limit that many flows would take 10 MB, and as much as any that is looked at more closely, 40.
    assert!(after - before < 8 << 20, "{before} bytes before, {after} after");

    let clean = comparable(&records);
    let without = ["analyze", "--filter", "not net 10.0.0.0/8", "--format", "ndjson", "--keystrokes=all", &recording];
    assert_eq!(clean, comparable(&keywitness(without).records()), "as if nothing else had passed");
    assert_eq!(of(&clean, "session").len(), 1);
    assert!(of(&clean, "keystroke").len() > 5);
}
