//! A sensor with several engines, and one that is behind, in network namespaces. Skipped with a word where those are not permitted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "other tests need more")]
#[path = "live/lab.rs"]
mod lab;
#[expect(dead_code, reason = "captures are only read here")]
#[path = "program/pcap.rs"]
mod pcap_file;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::fs;

use lab::{Ended, Lab, Sensor, wait_until};
use pcap_file::{Packet, read};
use program::{keywitness, of};
use rustix::process::Signal;
use serde_json::Value;

const OPTIONS: [&str; 8] =
    ["--claims", "pcaps/claims.toml", "--report-every", "1s", "--keystrokes=all", "--all-flows", "--format", "ndjson"];

/// Records without what a recording cannot know: which interface, and who stamped. The summary aside.
fn comparable(records: &[Value]) -> Vec<Value> {
    let without_origin = |record: &Value| {
        let mut record = record.clone();
        record.as_object_mut().unwrap().remove("input");
        record.get_mut("quality").map(|quality| quality.as_object_mut().unwrap().remove("timestamp_source"));
        record
    };
    records.iter().filter(|record| record["record"] != "summary").map(without_origin).collect()
}

fn assert_same(name: &str, live: &[Value], recorded: &[Value]) {
    let (live, recorded) = (comparable(live), comparable(recorded));
    for (live, recorded) in live.iter().zip(&recorded) {
        assert_eq!(live, recorded, "{name}");
    }
    assert_eq!(live.len(), recorded.len(), "{name}");
}

fn has_ended(record: &Value) -> bool {
    record["record"] == "session" && record["protocol"] == "ssh" && record["state"] != "open"
}

/// The packets of a capture between addresses of their own. Checksums are not looked at.
fn elsewhere(name: &str, number: u8) -> Vec<Packet> {
    let mut packets = read(name);
    packets.iter_mut().for_each(|packet| [29, 33].iter().for_each(|&at| packet.bytes[at] ^= number));
    packets
}

/// The packet in two fragments, the later one first, where it is long enough.
fn in_fragments(packet: &Packet) -> Vec<Packet> {
    let (headers, payload) = packet.bytes.split_at(34);
    if payload.len() <= 40 {
        return vec![packet.clone()];
    }
    let piece = |part: &[u8], place: u16| {
        let mut bytes = [headers, part].concat();
        bytes[16..18].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        bytes[20..22].copy_from_slice(&place.to_be_bytes());
        Packet { bytes, ..packet.clone() }
    };
    vec![piece(&payload[40..], 5), piece(&payload[..40], 0x2000)]
}

fn in_vlan(packet: &Packet) -> Packet {
    Packet { bytes: [&packet.bytes[..12], &[0x81, 0, 0, 7], &packet.bytes[12..]].concat(), ..packet.clone() }
}

/// In a GRE tunnel between two addresses that are none of the session's.
fn in_gre(packet: &Packet) -> Packet {
    let inner = &packet.bytes[14..];
    let [total0, total1] = ((24 + inner.len()) as u16).to_be_bytes();
    let outer = [0x45, 0, total0, total1, 0, 1, 0, 0, 255, 47, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2, 0, 0, 8, 0];
    Packet { bytes: [&packet.bytes[..14], &outer, inner].concat(), ..packet.clone() }
}

/// Sessions as they are, in fragments, in a VLAN and in a tunnel, mixed by their time.
fn mixed() -> Vec<Packet> {
    type Way = fn(&Packet) -> Vec<Packet>;
    let ways: [(&str, Way); 7] = [
        ("ssh-far", |packet| vec![packet.clone()]),
        ("ssh-home", |packet| vec![packet.clone()]),
        ("ssh-paste", in_fragments),
        ("ssh-idle", |packet| vec![in_vlan(packet)]),
        ("ssh-aes-gcm", |packet| vec![in_gre(packet)]),
        ("scp-up", |packet| vec![packet.clone()]),
        ("ssh-exec", |packet| vec![in_vlan(&in_gre(packet))]),
    ];
    let mut packets = Vec::new();
    for (number, (name, way)) in (0..).zip(ways) {
        let capture = elsewhere(name, number * 16);
        let start = capture[0].time;
        packets.extend(capture.iter().flat_map(way).map(|packet| Packet { time: packet.time - start, ..packet }));
    }
    packets.sort_by_key(|packet| packet.time);
    packets
}

/// A datagram, to tell one thing from the next.
fn datagram(port: u16, length: usize) -> Packet {
    let mut bytes = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 9], 64);
    builder.udp(port, 5_000).write(&mut bytes, &vec![0; length]).unwrap();
    Packet { time: 0, bytes }
}

#[test]
fn any_number_of_engines_gives_what_a_recording_gives() {
    let Some(lab) = Lab::new("engines") else { return };
    let folder = tempfile::tempdir().unwrap();
    lab.pair("out", "tap");
    ["out", "tap"].iter().for_each(|name| lab.ip(&format!("link set {name} mtu 1600"))); // a tunnel takes room
    let _stamps = lab.common_stamps("out", "tap");
    let recorder = lab.record("tap", folder.path().join("tap.pcap"));
    let start = |workers: &&str| lab.sensor(&[&["-i", "tap", "--workers", workers], &OPTIONS[..]].concat());
    let workers = ["1", "2", "3"];
    let sensors: Vec<Sensor> = workers.iter().map(start).collect();
    let packets = mixed();
    lab.replay(&packets.iter().map(|packet| ("out", packet)).collect::<Vec<_>>(), 4);
    sensors.iter().for_each(|sensor| sensor.wait_for_records(8, has_ended));
    // The recording cannot know how long nothing came behind it.
    lab.send("out", [&datagram(1, 4)]);
    let frames = packets.len() as u64 + 1;
    let recording = recorder.finish(frames);
    let recorded = keywitness(["analyze"].into_iter().chain(OPTIONS).chain([recording.as_str()])).records();
    let keys = of(&recorded, "keystroke").len();
    assert!(keys > 100, "{keys}: there is much to be put in order");
    for (workers, sensor) in workers.iter().zip(sensors) {
        let live = sensor.stop();
        let name = format!("{workers} engines");
        assert_eq!((live.status, live.summary()["packets"].as_u64()), (Some(0), Some(frames)), "{name}: {:?}", live.log);
        assert_same(&name, &live.records(), &recorded);
        let [of_live, of_recorded] = [live.summary(), recorded.last().unwrap().clone()];
        for field in ["bytes", "undecoded", "duplicated", "fragments", "flows", "sessions", "dropped"] {
            assert_eq!(of_live[field], of_recorded[field], "{name}: {field}");
        }
    }
}

#[test]
fn two_outlets_and_two_engines_make_one_session() {
    let Some(lab) = Lab::new("two-taps") else { return };
    let folder = tempfile::tempdir().unwrap();
    lab.pair("rx0", "rx1");
    lab.pair("tx0", "tx1");
    let _stamps = lab.common_stamps("rx0", "rx1");
    let recorders = ["rx1", "tx1"].map(|name| lab.record(name, folder.path().join(name)));
    let sensor = lab.sensor(&[&["-i", "rx1", "-i", "tx1", "--workers", "2"], &OPTIONS[..]].concat());
    let mut packets: Vec<Packet> = (0..3).flat_map(|number| elsewhere("ssh-paste", number * 16)).collect();
    packets.sort_by_key(|packet| packet.time);
    let client = packets[0].bytes[6..12].to_vec();
    let outlet = |packet: &Packet| if packet.bytes[6..12] == client { "rx0" } else { "tx0" };
    lab.replay(&packets.iter().map(|packet| (outlet(packet), packet)).collect::<Vec<_>>(), 10);
    sensor.wait_for_records(3, has_ended);
    lab.send("tx0", [&datagram(1, 4)]);
    let sent = packets.iter().filter(|packet| outlet(packet) == "rx0").count();
    let [rx, tx] = recorders;
    let recordings = [rx.finish(sent as u64), tx.finish((packets.len() - sent + 1) as u64)];
    let live = sensor.stop();
    let records = live.records();
    let ended: Vec<_> = of(&records, "session").into_iter().filter(|session| has_ended(session)).collect();
    assert_eq!(ended.len(), 3);
    for session in ended {
        let traffic = |side: &str| session["traffic"][side]["packets"].as_u64().unwrap();
        assert_eq!(traffic("client") + traffic("server"), packets.len() as u64 / 3);
        assert_eq!(session["quality"]["drops"], 0);
    }
    let [rx, tx] = &recordings;
    let recorded = keywitness(["analyze"].into_iter().chain(OPTIONS).chain([rx.as_str(), tx])).records();
    assert_same("two outlets", &records, &recorded);
}

#[test]
fn a_session_survives_its_interface_with_two_engines() {
    let Some(lab) = Lab::new("two-flap") else { return };
    lab.pair("out", "tap");
    let sensor = lab.sensor(&["-i", "tap", "--format", "ndjson", "--workers", "2"]);
    let packets: Vec<Packet> = (0..4).flat_map(|number| elsewhere("ssh-paste", number * 16)).collect();
    // Frames of two sessions before, of all in the midst of it, and the rest behind.
    let (first, second) = packets.split_at(packets.len() / 2 - 100);
    lab.send("out", first);
    wait_until("a word", || {
        lab.ip("link set tap down");
        lab.ip("link set tap up");
        sensor.has_logged("tap went down")
    });
    lab.ip("link del tap");
    sensor.wait_for_log("tap has vanished");
    lab.pair("out", "tap");
    sensor.wait_for_log("INFO tap is captured on");
    lab.send("out", second);
    sensor.wait_for_records(4, has_ended);
    let live = sensor.stop();
    let records = live.records();
    let sessions = of(&records, "session");
    let counted = |side: &str| sessions.iter().map(|session| session["traffic"][side]["packets"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sessions.len(), counted("client") + counted("server")), (4, packets.len() as u64), "{:?}", live.log);
    assert!(sessions.iter().all(|session| session["state"] == "closed" && session["quality"]["drops"] == 0));
}

/// The lists of processors of a sensor's threads, by the names of the threads.
fn processors(sensor: &Sensor) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sensor.pid())).unwrap();
    let mut threads: Vec<_> = tasks
        .map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                line.trim_start_matches(':').trim().to_owned()
            };
            (field("Name"), field("Cpus_allowed_list"))
        })
        .collect();
    threads.sort();
    threads
}

#[test]
fn threads_are_kept_to_their_processors() {
    let Some(lab) = Lab::new("cpus") else { return };
    if rustix::thread::sched_getaffinity(None).unwrap().count() < 2 {
        println!("skipped: one processor");
        return;
    }
    lab.pair("out", "tap");
    let sensor = lab.sensor(&["-i", "tap", "--workers", "2", "--cpus", "1,0", "--format", "ndjson"]);
    let expected = [("capture tap", "1"), ("engine 0", "0"), ("engine 1", "1"), ("merge", "0-1")];
    // A thread has its name, and then takes its turn.
    wait_until("turns are taken", || {
        let threads = processors(&sensor);
        expected.iter().all(|&(name, list)| threads.iter().any(|(n, l)| (n.as_str(), l.as_str()) == (name, list)))
    });
    sensor.stop();
    let alone = lab.sensor(&["-i", "tap", "--cpus", "0", "--format", "ndjson"]);
    assert!(processors(&alone).iter().all(|(_, list)| list == "0"), "{:?}", processors(&alone));
    alone.stop();
    for (list, words) in [("0,x", "\"0,x\" is no list of processors"), ("0,0", "named twice"), ("1000", "no processor 1000")] {
        let run = keywitness(["live", "--as-root", "-i", "lo", "--cpus", list]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        assert!(run.stderr.contains("--cpus") && run.stderr.contains(words), "{}", run.stderr);
    }
    assert_eq!(keywitness(["live", "--as-root", "-i", "lo", "--workers", "0"]).status, 2);
}

fn dropped(ended: &Ended) -> [u64; 4] {
    let summary = ended.summary();
    ["kernel", "interface", "shed_bulk", "shed_new"].map(|stage| summary["dropped"][stage].as_u64().unwrap())
}

/// An interactive session goes on while a flood fills the ring: nothing of it is shed.
#[test]
fn a_session_goes_on_in_a_flood() {
    let Some(lab) = Lab::new("flood") else { return };
    let folder = tempfile::tempdir().unwrap();
    lab.pair("out", "tap");
    let _stamps = lab.common_stamps("out", "tap");
    // Only the session is recorded, so that nothing of it is lost there.
    let recorder = lab.record_only("tcp", "tap", folder.path().join("tap.pcap"));
    let args = ["-i", "tap", "--format", "ndjson", "--keystrokes=all", "--claims", "pcaps/claims.toml", "--report-every", "0"];
    let sensor = lab.sensor(&[&args[..], &["--ring-size", "64", "--workers", "2"]].concat());
    let packets = read("ssh-far");
    let flood = [datagram(1, 1_200), datagram(2, 40)];
    let flood: Vec<_> = flood.iter().cycle().take(72_000).cloned().collect();
    let (before, after) = packets.split_at(200);
    let typed = |packets: &[Packet]| lab.replay(&packets.iter().map(|packet| ("out", packet)).collect::<Vec<_>>(), 40);
    typed(before);
    // It is known for a session, and what was on its way has come.
    let noise: Vec<_> = std::iter::repeat_n(datagram(3, 4), 17_000).collect();
    lab.send("out", &noise);
    let other = elsewhere("scp-up", 16);
    lab.send("out", &other);
    sensor.wait_for_records(1, has_ended);
    sensor.signal(Signal::STOP);
    // 55 MB of 67: the ring is nearly full, and has lost nothing unless the kernel began blocks anew too often.
    lab.send("out", &flood);
    sensor.signal(Signal::CONT);
    sensor.wait_for_log("all but established sessions are shed");
    // For a second at least nothing else comes through.
    typed(after);
    sensor.wait_for_records(2, has_ended);
    sensor.wait_for_log("no longer behind");
    // The recording cannot know how long nothing came behind it.
    lab.send("out", [&other[0]]);
    let frames = (packets.len() + other.len() + 1) as u64;
    let recording = recorder.finish(frames);
    let live = sensor.stop();
    let [kernel, interface, bulk, new] = dropped(&live);
    let sent = frames + (noise.len() + flood.len()) as u64;
    assert_eq!(
        live.summary()["packets"].as_u64().unwrap() + kernel + interface + bulk + new,
        sent,
        "every frame is accounted for"
    );
    assert!(bulk > 100 && new > 0, "{bulk} {new}");
    let records = live.records();
    let session = of(&records, "session").into_iter().find(|session| session["duration_ms"].as_f64() > Some(1_000.0)).unwrap();
    if kernel > 0 {
        println!("the kernel lost {kernel}: no session is as it was recorded");
        assert!(session["quality"]["drops"].as_u64() > Some(0) && session["quality"]["score"].as_f64() < Some(1.0), "{session}");
        return;
    }
    let recorded = keywitness(["analyze"].into_iter().chain(args.into_iter().skip(2)).chain([recording.as_str()])).records();
    assert!(of(&recorded, "session").iter().all(|session| session["quality"]["drops"] == 0));
    assert_same("in a flood", &records, &recorded);
}
