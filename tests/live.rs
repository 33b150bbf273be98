//! The sensor on live interfaces, in network namespaces of its own. Skipped with a word where those are not permitted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "other tests look closer at the sensor")]
#[path = "live/lab.rs"]
mod lab;
#[expect(dead_code, reason = "captures are only read here")]
#[path = "program/pcap.rs"]
mod pcap_file;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    thread,
};

use lab::{Ended, Lab, Sensor, wait_until};
use parquet::file::reader::{FileReader, SerializedFileReader};
use pcap_file::{Packet, read};
use program::{Run, command, keywitness, of};
use rustix::process::{Signal, geteuid};
use serde_json::{Value, json};

/// Records without what a recording cannot know: which interface, and who stamped. The summary aside.
fn comparable(records: &[Value]) -> Vec<Value> {
    let kept = records.iter().filter(|record| record["record"] != "summary");
    kept.cloned()
        .map(|mut record| {
            record.as_object_mut().unwrap().remove("input");
            if let Some(quality) = record.get_mut("quality") {
                let source = quality.as_object_mut().unwrap().remove("timestamp_source").unwrap();
                assert!(source == "host" || source == "file");
            }
            record
        })
        .collect()
}

fn assert_same(live: &[Value], recorded: &[Value]) {
    let (live, recorded) = (comparable(live), comparable(recorded));
    for (live, recorded) in live.iter().zip(&recorded) {
        assert_eq!(live, recorded);
    }
    assert_eq!(live.len(), recorded.len());
}

/// A datagram, to tell one thing from the next.
fn datagram(port: u16) -> Packet {
    let mut bytes = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 9], 64);
    builder.udp(port, 5_000).write(&mut bytes, b"here").unwrap();
    Packet { time: 0, bytes }
}

fn has_ended(record: &Value) -> bool {
    record["record"] == "session" && record["state"] != "open"
}

const NDJSON: [&str; 2] = ["--format", "ndjson"];

/// What a live sensor says is what an analysis of a recording of the same frames says: to the nanosecond, since the kernel stamps
/// each frame once for both.
#[test]
fn a_recording_gives_what_the_sensor_gave() {
    let Some(lab) = Lab::new("same") else { return };
    let folder = tempfile::tempdir().unwrap();
    lab.pair("out", "tap");
    let _stamps = lab.common_stamps("out", "tap");
    let options =
        ["--claims", "pcaps/claims.toml", "--report-every", "1s", "--keystrokes=all", "--all-flows", "--format", "ndjson"];
    let recorder = lab.record("tap", folder.path().join("tap.pcap"));
    let sensor = lab.sensor(&[&["-i", "tap"], &options[..]].concat());

    let typed = read("ssh-paste");
    let others: Vec<_> = ["ssh-exec", "ssh-far", "scp-up", "ssh-home"].into_iter().flat_map(read).collect();
    lab.send("out", &others);
    lab.replay(&typed.iter().map(|packet| ("out", packet)).collect::<Vec<_>>(), 5);
    sensor.wait_for_records(7, has_ended);
    // The recording cannot know how long nothing came behind it.
    lab.send("out", [&datagram(1)]);
    let frames = (typed.len() + others.len() + 1) as u64;
    let recording = recorder.finish(frames);
    let live = sensor.stop();
    assert_eq!((live.status, live.summary()["packets"].as_u64()), (Some(0), Some(frames)), "{:?}", live.log);

    let recorded = keywitness(["analyze"].into_iter().chain(options).chain([recording.as_str()])).records();
    assert_same(&live.records(), &recorded);
    let records = live.records();
    let sessions = of(&records, "session");
    assert!(sessions.iter().any(|session| session["state"] == "open"), "it took longer than a second");
    assert!(!of(&records, "keystroke").is_empty());
    assert_eq!((&sessions[0]["input"], &sessions[0]["quality"]["timestamp_source"]), (&json!("tap"), &json!("host")));
}

/// The client's address sends from `rx`, the other from `tx`, as the two outlets of a tap do.
fn by_direction(packets: &[Packet]) -> Vec<(&'static str, &Packet)> {
    let client = &packets[0].bytes[6..12];
    packets.iter().map(|packet| (if &packet.bytes[6..12] == client { "rx0" } else { "tx0" }, packet)).collect()
}

#[test]
fn the_two_outlets_of_a_tap_make_one_session() {
    let Some(lab) = Lab::new("taps") else { return };
    let folder = tempfile::tempdir().unwrap();
    lab.pair("rx0", "rx1");
    lab.pair("tx0", "tx1");
    let _stamps = lab.common_stamps("rx0", "rx1");
    let recorders = ["rx1", "tx1"].map(|name| lab.record(name, folder.path().join(name)));
    let sensor = lab.sensor(&["-i", "rx1", "-i", "tx1", "--format", "ndjson", "--keystrokes", "--report-every", "0"]);
    let packets = read("ssh-paste");
    let directed = by_direction(&packets);
    lab.replay(&directed, 10);
    sensor.wait_for_records(1, has_ended);
    lab.send("tx0", [&datagram(1)]);
    let sent = |name: &str| directed.iter().filter(|(from, _)| *from == name).count() as u64;
    let sent = [sent("rx0"), sent("tx0") + 1];
    let [rx, tx] = recorders;
    let recordings = [rx.finish(sent[0]), tx.finish(sent[1])];
    let live = sensor.stop();
    let records = live.records();
    let sessions = of(&records, "session");
    assert_eq!(sessions.len(), 1);
    let traffic = &sessions[0]["traffic"];
    let counted = ["client", "server"].map(|side| traffic[side]["packets"].as_u64().unwrap());
    assert_eq!((counted[0] + counted[1], &traffic["client"]["gaps"]), (packets.len() as u64, &json!(0)));
    assert!(
        sessions[0]["rtt"]["server"]["samples"].as_u64() > Some(0) && sessions[0]["rtt"]["client"]["samples"].as_u64() > Some(0)
    );
    let frames: Vec<_> =
        live.summary()["inputs"].as_array().unwrap().iter().map(|input| input["frames"].as_u64().unwrap()).collect();
    assert_eq!(frames, sent);
    let [rx, tx] = recordings;
    let recorded = keywitness(["analyze", "--format", "ndjson", "--keystrokes", &rx, &tx]).records();
    assert_same(&records, &recorded);
}

#[test]
fn a_session_survives_its_interface() {
    let Some(lab) = Lab::new("flap") else { return };
    lab.pair("out", "tap");
    let sensor = lab.sensor(&["-i", "tap", "--format", "ndjson", "--keystrokes"]);
    let packets = read("ssh-exec");
    let (first, rest) = packets.split_at(40);
    let (second, third) = rest.split_at(40);
    lab.send("out", first);
    // libpcap may see it first and keep it for itself, though hardly twice.
    wait_until("a word", || {
        lab.ip("link set tap down");
        lab.ip("link set tap up");
        sensor.has_logged("tap went down")
    });
    lab.ip("link set tap mtu 9000");
    lab.send("out", second);
    sensor.wait_for_log("tap: frames come again");
    lab.ip("link del tap");
    sensor.wait_for_log("tap has vanished");
    lab.pair("out", "tap");
    sensor.wait_for_log("INFO tap is captured on");
    // Deleted and made anew at once: by then another interface has its name.
    lab.ip("link del tap");
    lab.pair("out", "tap");
    sensor.wait_for_logs("INFO tap is captured on", 2);
    lab.send("out", third);
    sensor.wait_for_records(4, has_ended);
    let live = sensor.stop();
    let records = live.records();
    let sessions = of(&records, "session");
    let counted = |side: &str| sessions.iter().map(|session| session["traffic"][side]["packets"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sessions.len(), counted("client") + counted("server")), (4, packets.len() as u64));
    assert!(sessions.iter().all(|session| session["state"] == "closed" && session["quality"]["drops"] == 0));
    let log = live.log.join("\n");
    for (words, times) in [("has vanished", 2), ("INFO tap is captured on", 2), ("frames come again", 1)] {
        assert_eq!(log.matches(words).count(), times, "each change is told once: {words}\n{log}");
    }
}

#[test]
fn an_interface_that_is_down_at_first_is_captured_on_when_it_comes_up() {
    let Some(lab) = Lab::new("down") else { return };
    lab.pair("out", "tap");
    lab.ip("link set tap down");
    let sensor = lab.sensor(&["-i", "tap", "--format", "ndjson"]);
    sensor.wait_for_log("tap is down");
    lab.ip("link set tap up");
    sensor.wait_for_log("INFO tap is captured on");
    lab.send("out", [&datagram(1)]);
    let live = sensor.stop();
    assert_eq!((live.status, &live.summary()["packets"]), (Some(0), &json!(1)));
}

#[test]
fn everything_that_came_before_the_signal_is_in_the_summary() {
    for (signal, workers) in [(Signal::TERM, "1"), (Signal::INT, "2")] {
        let Some(lab) = Lab::new("drain") else { return };
        lab.pair("out", "tap");
        let sensor = lab.sensor(&["-i", "tap", "--format", "ndjson", "--workers", workers]);
        let packets: Vec<_> = ["ssh-far", "ssh-silent", "ssh-rtt110"].into_iter().flat_map(read).collect();
        lab.send("out", &packets);
        sensor.signal(signal);
        let live = sensor.ended();
        let (records, summary) = (live.records(), live.summary());
        assert_eq!((live.status, summary["packets"].as_u64()), (Some(0), Some(packets.len() as u64)));
        assert_eq!((of(&records, "session").len(), &summary["dropped"]["kernel"]), (3, &json!(0)));
        assert!(of(&records, "session").iter().any(|session| session["state"] == "eof"), "the end came before theirs");
    }
}

#[test]
fn what_the_kernel_dropped_is_counted_and_borne_by_who_sent_meanwhile() {
    let Some(lab) = Lab::new("drops") else { return };
    lab.pair("out", "tap");
    let sensor = lab.sensor(&["-i", "tap", "--format", "ndjson", "--ring-size", "1", "--workers", "2"]);
    let (packets, noise) = (read("scp-up"), datagram(1));
    let (first, rest) = packets.split_at(packets.len() / 2);
    let flood = Packet { bytes: [noise.bytes.as_slice(), &[0; 1_400]].concat(), ..noise };
    let flood: Vec<_> = std::iter::repeat_n(flood, 5_000).collect();
    lab.send("out", first);
    sensor.signal(Signal::STOP);
    lab.send("out", &flood);
    sensor.signal(Signal::CONT);
    // Sent at once, what follows could be lost with the flood: that it was read shows in the log.
    sensor.wait_for_log("frames were lost");
    // A file transfer is shed where the sensor is behind.
    sensor.wait_for_log("no longer behind");
    lab.send("out", rest);
    sensor.wait_for_records(1, has_ended);
    let live = sensor.stop();
    let summary = live.summary();
    let lost = summary["dropped"]["kernel"].as_u64().unwrap();
    assert!(lost > 1_000, "7 MB into 1: {lost}");
    let shed = summary["dropped"]["shed_bulk"].as_u64().unwrap() + summary["dropped"]["shed_new"].as_u64().unwrap();
    assert_eq!(
        summary["packets"].as_u64().unwrap() + lost + shed,
        (packets.len() + flood.len()) as u64,
        "every frame is accounted for"
    );
    let quality = &of(&live.records(), "session")[0]["quality"].clone();
    assert!(quality["drops"].as_u64() >= Some(1) && quality["score"].as_f64() < Some(1.0), "{quality}");
}

/// The records of a file that a sensor may be writing: the last line may be half there, and one that a kill left is skipped.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter(|line| *line != "{\"schema\"").map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Claims that put all clients of the captures into one place.
fn claims(path: &Path, sensor: &str, place: &str) {
    let text = format!(
        "[sensor]\nname = \"{sensor}\"\nplace = \"Seattle, US\"\n[[claim]]\nidentity = \"jdoe\"\n[[claim.match]]\nclient = \
         [\"203.0.113.0/24\"]\n[[claim.place]]\nplace = \"{place}\"\n"
    );
    fs::write(path, text).unwrap();
}

/// Sends datagrams until it is dropped.
fn noise<T>(lab: &Lab, work: impl FnOnce() -> T) -> T {
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let some: Vec<_> = (1..=50).map(datagram).collect();
            while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                lab.send("out", &some);
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn claims_are_read_again_all_or_nothing() {
    let Some(lab) = Lab::new("hup") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claims.toml");
    claims(&file, "before", "Sydney, AU");
    lab.pair("out", "tap");
    let sensor = lab.sensor(&[
        "-i",
        "tap",
        "--format",
        "ndjson",
        "--claims",
        file.to_str().unwrap(),
        "--report-every",
        "0",
        "--workers",
        "2",
    ]);
    let packets = read("ssh-far");
    let (first, rest) = packets.split_at(packets.len() / 2);
    let live = noise(&lab, || {
        lab.send("out", &read("scp-up"));
        sensor.wait_for_records(1, has_ended);

        fs::write(&file, "[sensor]\nplace = \"Seattle, US\"\n[[claim]]\nidentity = 7\n").unwrap();
        sensor.signal(Signal::HUP);
        sensor.wait_for_log("claims were not read again");
        lab.send("out", first);
        lab.send("out", &read("ssh-yes"));
        sensor.wait_for_records(2, has_ended);

        // A session that goes on is held against the new claims when it ends.
        claims(&file, "after", "Seattle, US");
        sensor.signal(Signal::HUP);
        sensor.wait_for_log("claims were read again");
        lab.send("out", rest);
        sensor.wait_for_records(3, has_ended);
        sensor.stop()
    });
    let records = live.records();
    let sessions = of(&records, "session");
    assert_eq!(sessions.len(), 3);
    let (before, same, after) = (sessions[0], sessions[1], sessions[2]);
    let hash = |session: &Value| session["claim"]["claims_sha256"].clone();
    assert!(hash(before) == hash(same) && hash(same) != hash(after), "{before} {same} {after}");
    assert_eq!([before, same, after].map(|session| session["sensor"].as_str().unwrap()), ["before", "before", "after"]);
    assert_eq!((&before["verdict"], &before["findings"][0]["id"]), (&json!("implausible"), &json!("rtt_below_claim")));
    assert_ne!(after["verdict"], "implausible");
    assert!(live.log.iter().any(|line| line.contains("claims.toml: line 4")), "line and field: {:?}", live.log);
    assert_eq!(of(&records, "alert").len(), 2);
}

#[test]
fn the_configuration_is_read_again_and_says_what_takes_a_restart() {
    let Some(lab) = Lab::new("config") else { return };
    let folder = tempfile::tempdir().unwrap();
    let [file, config, first, out] = ["claims.toml", "keywitness.toml", "first", "records"].map(|name| folder.path().join(name));
    claims(&file, "s", "Sydney, AU");
    let configure = |more: &str| {
        let text = format!("interface = \"tap\"\nformat = \"ndjson\"\nas-root = true\n{more}");
        fs::write(&config, text).unwrap();
    };
    let wait_for_sessions = |path: &Path, count| wait_until("a session", || of(&lines(path), "session").len() == count);
    let with_claims = format!("claims = \"{}\"\n", file.display());
    configure(&format!("{with_claims}output = \"{}\"\n", first.display()));
    lab.pair("out", "tap");
    let sensor = lab.sensor(&["--config", config.to_str().unwrap()]);
    lab.send("out", &read("scp-up"));
    wait_for_sessions(&first, 1);

    configure("clams = 7\n");
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("keywitness.toml: line 4: clams: ");
    lab.send("out", &read("ssh-yes"));
    wait_for_sessions(&first, 2);

    // Another file in the same folder: no other is open to the sensor.
    configure(&format!("{with_claims}learn = true\nring-size = 8\noutput = \"{}\"\n", out.display()));
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("changed: that takes a restart");
    lab.send("out", &read("ssh-far"));
    wait_for_sessions(&out, 1);
    sensor.stop();
    let before = lines(&first);
    assert_eq!((of(&before, "session").len(), of(&before, "alert").len(), of(&before, "summary").len()), (2, 2, 0));
    let after = lines(&out);
    assert_eq!((of(&after, "session").len(), of(&after, "alert").len()), (1, 0), "it learns");
    assert_eq!(of(&after, "session")[0]["verdict"], "implausible");
}

#[test]
fn who_learns_raises_no_alerts() {
    let Some(lab) = Lab::new("learn") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claims.toml");
    claims(&file, "s", "Sydney, AU");
    lab.pair("out", "tap");
    for (learn, alerts) in [(&[][..], 1), (&["--learn"][..], 0)] {
        let args = [&["-i", "tap", "--claims", file.to_str().unwrap()], &NDJSON[..], learn].concat();
        let sensor = lab.sensor(&args);
        lab.send("out", &read("scp-up"));
        sensor.wait_for_records(1, has_ended);
        let live = sensor.stop();
        let records = live.records();
        assert_eq!((of(&records, "alert").len(), &live.summary()["alerts"]), (alerts, &json!(alerts)));
        assert_eq!(of(&records, "session")[0]["verdict"], "implausible");
    }
}

#[test]
fn the_output_file_goes_on_after_a_kill_and_is_opened_again() {
    let Some(lab) = Lab::new("file") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, rotated) = (folder.path().join("records"), folder.path().join("records.1"));
    lab.pair("out", "tap");
    let args = ["-i", "tap", "--format", "ndjson", "--all-flows", "-o", file.to_str().unwrap()];
    let one_session = |sensor: &Sensor, count: usize| {
        lab.send("out", &read("ssh-yes"));
        wait_until(&format!("{count} sessions"), || of(&lines(&file), "session").len() == count);
        assert!(sensor.records().is_empty(), "nothing to standard output");
    };
    let sensor = lab.sensor(&args);
    one_session(&sensor, 1);
    sensor.signal(Signal::KILL);
    assert_eq!(sensor.ended().status, None);
    // As if it had been killed while it wrote.
    fs::write(&file, fs::read_to_string(&file).unwrap() + "{\"schema\"").unwrap();

    let sensor = lab.sensor(&args);
    one_session(&sensor, 2);
    fs::rename(&file, &rotated).unwrap();
    sensor.signal(Signal::HUP);
    wait_until("the new file", || file.exists());
    one_session(&sensor, 1);
    let live = sensor.stop();
    assert_eq!(live.status, Some(0));
    assert_eq!((of(&lines(&rotated), "session").len(), of(&lines(&rotated), "summary").len()), (2, 0));
    assert_eq!((of(&lines(&file), "session").len(), of(&lines(&file), "summary").len()), (1, 1));
}

/// By time, on SIGHUP and at the end, behind the guard; what a kill leaves is whole.
#[test]
fn the_archive_grows_while_the_sensor_runs() {
    let Some(lab) = Lab::new("archive") else { return };
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    lab.pair("out", "tap");
    let start = |every: &str| {
        let folder = archive.to_str().unwrap();
        lab.sensor(&["-i", "tap", "--format", "ndjson", "--archive", folder, "--archive-every", every])
    };
    // The sessions that are in whole files; another name than those of archives is of none.
    let archived = || -> i64 {
        let days = fs::read_dir(&archive).unwrap().flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap());
        let names = days.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|kind| kind == "parquet"));
        names
            .map(|path| SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap().metadata().file_metadata().num_rows())
            .sum()
    };
    let send = |sensor: &Sensor, count: usize| {
        lab.send("out", &read("ssh-yes"));
        wait_until(&format!("{count} sessions"), || of(&sensor.records(), "session").len() == count);
    };
    let sensor = start("1s");
    send(&sensor, 1);
    wait_until("the first file", || archived() == 1);
    send(&sensor, 2);
    wait_until("the second file", || archived() == 2);
    assert_eq!(sensor.stop().status, Some(0));

    let sensor = start("24h");
    send(&sensor, 1);
    sensor.signal(Signal::HUP);
    wait_until("the file of SIGHUP", || archived() == 3);
    send(&sensor, 2);
    assert_eq!(archived(), 3);
    assert_eq!((sensor.stop().status, archived()), (Some(0), 4), "the rest at the end");

    let sensor = start("24h");
    send(&sensor, 1);
    sensor.signal(Signal::KILL);
    assert_eq!((sensor.ended().status, archived()), (None, 4), "what was in no file is lost, and all files are whole");
}

/// The files that were full, oldest first, and the one that is written to.
fn rotated(file: &Path) -> Vec<PathBuf> {
    let name = format!("{}.", file.file_name().unwrap().to_str().unwrap());
    let entries = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&name)).collect();
    files.sort();
    files.push(file.to_owned());
    files
}

#[test]
fn a_file_that_is_full_keeps_whole_lines_and_another_begins() {
    let Some(lab) = Lab::new("rotate") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = (folder.path().join("records"), folder.path().join("keywitness.toml"));
    lab.pair("out", "tap");
    // As full as can be without being it, and by a crash without an end of the line.
    let line = format!("{}\n", json!({"record": "before", "filling": "x".repeat(1_000)}));
    let before = line.repeat((1 << 20) / line.len());
    fs::write(&file, before.trim_end()).unwrap();
    fs::write(&config, "[live]\nrotate-size = 1\n").unwrap();
    let sensor =
        lab.sensor(&["-i", "tap", "--format", "ndjson", "--config", config.to_str().unwrap(), "-o", file.to_str().unwrap()]);
    let send = |sensor: &Sensor, count: usize| {
        lab.send("out", &read("ssh-yes"));
        let in_all = || rotated(&file).iter().map(|path| of(&lines(path), "session").len()).sum::<usize>() == count;
        wait_until(&format!("{count} sessions"), in_all);
        assert!(sensor.records().is_empty(), "nothing to standard output");
    };
    for count in 1.. {
        send(&sensor, count);
        if rotated(&file).len() == 2 {
            break;
        }
    }
    let full = fs::read_to_string(&rotated(&file)[0]).unwrap();
    assert!(full.starts_with(&before) && full.ends_with("}\n") && full.len() >= 1 << 20, "{} bytes", full.len());
    assert!(lines(&file).is_empty(), "it was full by what was written last");

    // By time, which is told to a sensor that runs.
    let so_far = of(&lines(&rotated(&file)[0]), "session").len();
    fs::write(&config, "[live]\nrotate-every = \"1s\"\n").unwrap();
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("was opened again");
    for count in 1..=3 {
        send(&sensor, so_far + count);
        wait_until("another file", || lines(&file).is_empty());
    }
    let live = sensor.stop();
    assert_eq!(live.status, Some(0));
    let files = rotated(&file);
    assert!(files.len() >= 4, "{files:?}");
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()) && text.ends_with('\n'), "{path:?}");
        assert_eq!(of(&lines(path), "summary").len(), usize::from(*path == file));
    }
    let told: usize = files.iter().map(|path| of(&lines(path), "session").len()).sum();
    assert_eq!(told, so_far + 3);

    // What was kept too long goes; what is not ours stays.
    fs::write(folder.path().join("records.1"), "of logrotate").unwrap();
    fs::write(&config, "[live]\nrotate-every = \"1s\"\nrotate-keep = 2\n").unwrap();
    let sensor =
        lab.sensor(&["-i", "tap", "--format", "ndjson", "--config", config.to_str().unwrap(), "-o", file.to_str().unwrap()]);
    wait_until("those that are too many to go", || rotated(&file).len() == 4);
    assert_eq!(sensor.stop().status, Some(0));
    assert_eq!(fs::read_to_string(folder.path().join("records.1")).unwrap(), "of logrotate");
}

#[test]
fn what_cannot_be_rotated_is_said() {
    let wrong: [(&[&str], &str); 4] = [
        (&["--rotate-size", "1"], "go with a file"),
        (&["--rotate-every", "1h", "-o", "-"], "--output is no file"),
        (&["--rotate-every", "1h", "-o", "/dev/null"], "--output is no file"),
        (&["--rotate-keep", "3", "-o", "records"], "--rotate-size or --rotate-every when"),
    ];
    for (args, part) in wrong {
        let run = keywitness(["live", "--as-root", "-i", "lo"].iter().chain(args).copied());
        assert!(run.status == 2 && run.stderr.contains(part), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn the_table_has_a_line_when_a_session_ends_and_a_reader_may_leave() {
    let Some(lab) = Lab::new("table") else { return };
    lab.pair("out", "tap");
    let sensor = lab.sensor(&["-i", "tap", "--claims", "pcaps/claims.toml", "--filter", "tcp port 22", "--timestamps", "auto"]);
    lab.send("out", &read("ssh-yes"));
    lab.send("out", [&datagram(1)]);
    sensor.wait_for_lines("203.0.113.105");
    let Ended { status, lines, .. } = sensor.stop();
    let text = lines.join("\n");
    assert_eq!(status, Some(0));
    assert!(text.starts_with("START (UTC)") && text.contains("operators") && text.contains("1 sessions: "), "{text}");
    assert!(text.contains("0 UDP flows"), "the filter took it away: {text}");

    let sensor = lab.unheard_sensor(&["-i", "tap", "--format", "ndjson", "--all-flows"]);
    sensor.wait_for_log("capturing on");
    noise(&lab, || {
        lab.send("out", &read("ssh-yes"));
        let live = sensor.ended();
        assert_eq!(live.status, Some(0), "a broken pipe ends quietly: {:?}", live.log);
        assert!(!live.log.iter().any(|line| line.contains("ERROR")), "{:?}", live.log);
    });
}

#[test]
fn what_cannot_be_captured_on_is_said() {
    let is_root = geteuid().is_root();
    let run = |args: &[&str]| keywitness(["live"].into_iter().chain(args.iter().copied()));
    if is_root {
        let refused = run(&["-i", "lo"]);
        assert_eq!((refused.status, refused.stdout.as_str()), (2, ""));
        assert!(refused.stderr.contains("cap_net_raw") && refused.stderr.contains("--as-root"), "{}", refused.stderr);
    }
    let root = if is_root { &["--as-root"][..] } else { &[] };
    for (args, status, words) in [
        (&["-i", "lo", "-i", "lo"][..], 2, "named twice"),
        (&["-i", "lo", "--filter", "prot 22"], 2, "--filter: \"prot 22\""),
        (&["-i", "lo", "--leases", "x"], 2, "go with --claims"),
        (&["-i", "lo", "--claims", "pcaps/claims.toml", "-o", "pcaps/claims.toml"], 2, "is read by this run"),
        (&["-i", "lo", "--format", "csv", "--keystrokes"], 2, "CSV"),
        (&["-i", "lo", "-o", "/no/such/folder/x"], 2, "--output: /no/such/folder/x"),
        (&["-i", "lo", "--report-every", "often"], 2, "30s, 5m or 2h"),
        (&["-i", "no-such-iface"], 3, "no-such-iface: "),
        (&["-i", "lo", "--timestamps", "adapter"], 3, "by the adapter"),
    ] {
        if !is_root && (status == 3 || args.contains(&"-o")) {
            println!("skipped: not root: {args:?}");
            continue;
        }
        let run = run(&[args, root].concat());
        assert_eq!((run.status, run.stdout.as_str()), (status, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
    assert_eq!(keywitness(["live"]).status, 2, "no interface");
}

#[test]
fn who_may_not_capture_is_told_how_to_be_permitted() {
    if !geteuid().is_root() {
        println!("skipped: not root, so nobody else can be");
        return;
    }
    // Somebody else may not be able to reach where the program was built.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("keywitness");
    fs::copy(command([]).get_program(), &program).unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), permissions).unwrap();
    let output = std::process::Command::new(&program).args(["live", "-i", "lo"]).uid(65_534).gid(65_534).output();
    let Ok(output) = output else {
        println!("skipped: nobody cannot run {}", program.display());
        return;
    };
    let run = Run::from(output);
    assert_eq!(run.status, 3, "{}", run.stderr);
    assert!(run.stderr.contains(&format!("setcap cap_net_raw+ep {}", program.display())), "{}", run.stderr);
}
