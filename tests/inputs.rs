//! Inputs as people have them: compressed, in folders, rotated, cut, and with clocks that were set.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[path = "program/pcapng.rs"]
mod pcapng;
mod program;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use pcap::{Classic, Packet};
use pcapng::pcapng;
use program::{Run, captures, command, keywitness, nanos, of, repository};
use serde_json::Value;
use tempfile::TempDir;

/// The format of the captures in `pcaps`.
const PLAIN: Classic = Classic { big_endian: false, microseconds: false };

const OPTIONS: [&str; 6] = ["analyze", "--format", "ndjson", "--keystrokes=all", "--claims", "pcaps/claims.toml"];

fn analyze<'a>(inputs: impl IntoIterator<Item = &'a str>) -> Run {
    keywitness(OPTIONS.into_iter().chain(inputs))
}

/// Sessions, alerts and keystrokes, without the name of their input.
fn facts(run: &Run) -> Vec<Value> {
    let mut facts: Vec<Value> = run.records().into_iter().filter(|record| record["record"] != "summary").collect();
    for fact in &mut facts {
        fact.as_object_mut().unwrap().remove("input");
    }
    facts
}

fn summary(run: &Run) -> Value {
    of(&run.records(), "summary")[0].clone()
}

/// Last part of the path, status and frames of each input.
fn inputs(run: &Run) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let input = |input: &Value| {
        let name = text(&input["path"]).rsplit('/').next().unwrap().to_owned();
        (name, text(&input["status"]), input["frames"].as_u64().unwrap())
    };
    summary(run)["inputs"].as_array().unwrap().iter().map(input).collect()
}

/// Writes a file into a folder that lasts as long as the test.
fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path: PathBuf = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

fn bytes_of(name: &str) -> Vec<u8> {
    fs::read(repository().join(format!("pcaps/{name}.pcap"))).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Runs the program with these bytes on its standard input.
fn from_stdin(bytes: Vec<u8>) -> Run {
    let mut command = command(OPTIONS.into_iter().chain(["-"]));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let run = Run::from(child.wait_with_output().unwrap());
    writer.join().unwrap().unwrap();
    run
}

#[test]
fn compressed_captures_are_as_good_as_plain_ones_whatever_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let plain = analyze(["pcaps/ssh-far.pcap"]);
    let bytes = bytes_of("ssh-far");
    let (start, rest) = bytes.split_at(bytes.len() / 3);
    for (name, content) in [
        ("a.pcap", gzip(&bytes)),
        ("b.gz", zstd(&bytes)),
        ("c", gzip(&pcapng(&pcap::read("ssh-far")))),
        ("d", zstd(&pcapng(&pcap::read("ssh-far")))),
        ("two members", [gzip(start), gzip(rest)].concat()),
        ("two frames", [zstd(start), zstd(rest)].concat()),
    ] {
        for run in [analyze([file(&folder, name, &content).as_str()]), from_stdin(content)] {
            assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{name}");
            assert_eq!(facts(&run), facts(&plain), "{name}");
        }
    }
}

#[test]
fn a_cut_compressed_capture_is_analysed_up_to_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let whole = facts(&analyze(["pcaps/ssh-far.pcap"]));
    for (name, content) in [("gz", gzip(&bytes_of("ssh-far"))), ("zst", zstd(&bytes_of("ssh-far")))] {
        // Only the checksum is missing, or there is something behind it.
        for (content, error) in
            [(&content[..content.len() - 2], "cut short: the "), (&[&content, &b"# end"[..]].concat(), "garbage follows the ")]
        {
            let path = file(&folder, name, content);
            let run = analyze([path.as_str(), "pcaps/ssh-home.pcap"]);
            assert_eq!((run.status, run.stderr.lines().count()), (3, 1), "{}", run.stderr);
            assert!(run.stderr.contains(&format!("{path}: {error}")), "{}", run.stderr);
            let message = summary(&run)["inputs"][0]["error"].clone();
            assert!(message.as_str().unwrap().starts_with(error), "{message}");
            if name == "gz" || error.starts_with("garbage") {
                assert!(whole.iter().all(|fact| facts(&run).contains(fact)), "{name}: {error}");
            }
        }
        let half = file(&folder, "half", &content[..content.len() / 2]);
        let run = analyze([half.as_str()]);
        assert_eq!(run.status, 3);
        assert!(run.stderr.contains("cut short: the "), "{}", run.stderr);
    }
}

#[test]
fn other_compressions_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (magic, kind) in [(&b"\xfd7zXZ\0"[..], "xz"), (b"BZh91AY&SY", "bzip2"), (b"\x04\x22\x4d\x18", "lz4")] {
        file(&folder, "a.pcap", magic);
        for run in [analyze([file(&folder, "a.pcap", magic).as_str()]), analyze([path(&folder)])] {
            assert_eq!(run.status, 3);
            assert!(run.stderr.contains(&format!("compressed with {kind}, which is not supported")), "{}", run.stderr);
        }
    }
}

#[test]
fn a_folder_is_the_captures_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let plain = analyze(["pcaps/ssh-far.pcap", "pcaps/ssh-home.pcap"]);
    file(&folder, "b.log", gzip(&bytes_of("ssh-home")));
    file(&folder, "a.txt", bytes_of("ssh-far"));
    let run = analyze([path(&folder)]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!(facts(&run), facts(&plain));

    file(&folder, "notes.pcap", "Dear diary\n");
    file(&folder, "conn.log.gz", gzip(b"#separator \\x09\n"));
    fs::create_dir(folder.path().join("old")).unwrap();
    fs::write(folder.path().join("old/c.pcap"), bytes_of("ssh-exec")).unwrap();
    let run = analyze([path(&folder)]);
    assert_eq!((run.status, run.stderr.lines().count()), (0, 1), "{}", run.stderr);
    assert!(run.stderr.contains("skipped, no captures: 3 files, such as "), "{}", run.stderr);
    assert_eq!(facts(&run), facts(&plain));
    let told = inputs(&run).into_iter().map(|(name, status, _)| format!("{name} {status}")).collect::<Vec<_>>();
    assert_eq!(told, ["a.txt ok", "b.log ok", "conn.log.gz skipped", "notes.pcap skipped", "old skipped"]);
    let sessions = run.records().iter().filter(|record| record["record"] == "session").cloned().collect::<Vec<_>>();
    assert!(sessions.iter().all(|session| Path::new(session["input"].as_str().unwrap()).is_file()));

    let bytes = bytes_of("ssh-exec");
    file(&folder, "cut", &bytes[..bytes.len() - 1]);
    let run = analyze([path(&folder)]);
    assert_eq!(run.status, 3);
    assert!(run.stderr.contains("/cut: cut short: "), "{}", run.stderr);
    assert_eq!(of(&run.records(), "session").len(), 6);
}

/// The captures of this repository lie beside other files.
#[test]
fn our_own_folder_of_captures_is_an_input() {
    let run = analyze(["pcaps"]);
    let read: Vec<_> = inputs(&run).into_iter().filter(|(_, status, _)| status == "ok").map(|(name, ..)| name).collect();
    let mut files: Vec<_> = captures().into_iter().map(|name| format!("{name}.pcap")).collect();
    files.sort_unstable(); // with the ending some stand elsewhere
    assert_eq!((run.status, read), (0, files));
}

#[test]
fn a_folder_without_captures_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let run = analyze([path(&folder), "pcaps/ssh-home.pcap"]);
    assert_eq!((run.status, of(&run.records(), "session").len()), (3, 1));
    assert!(run.stderr.contains(&format!("{}: no captures: the folder is empty", path(&folder))), "{}", run.stderr);
    file(&folder, "notes.txt", "Dear diary\n");
    let run = analyze([path(&folder)]);
    assert_eq!(run.status, 3);
    assert!(run.stderr.contains(&format!("{}: no captures: none of the 1 entries", path(&folder))), "{}", run.stderr);
    let statuses: Vec<_> = inputs(&run).into_iter().map(|(_, status, _)| status).collect();
    assert_eq!(statuses, ["error", "skipped"]);
}

/// A session cut over three files, in every order of them, in formats that differ.
#[test]
fn a_session_over_three_rotated_files_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let packets = pcap::read("ssh-far");
    let third = packets.len() / 3;
    let parts: [&[Packet]; 3] = [&packets[..third], &packets[third..2 * third], &packets[2 * third..]];
    let whole = facts(&analyze(["pcaps/ssh-far.pcap"]));
    let plain = parts.map(|part| PLAIN.write(part));
    let mixed = [gzip(&PLAIN.write(parts[0])), pcapng(parts[1]), zstd(&pcapng(parts[2]))];
    for (kind, contents) in [("plain", plain), ("mixed", mixed)] {
        let names: Vec<String> =
            contents.iter().zip(0..).map(|(content, part)| file(&folder, &format!("{kind}.{part}"), content)).collect();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let run = analyze(order.map(|part| names[part].as_str()));
            assert_eq!((run.status, facts(&run)), (0, whole.clone()), "{kind} {order:?}");
            let session = of(&run.records(), "session")[0].clone();
            assert_eq!(session["input"], names[0]);
            assert_eq!(nanos(&session["start"]), packets[0].time as i64);
        }
    }
}

/// The summary's numbers of frames out of order and of clock steps, and the sessions.
fn disorder(folder: &TempDir, packets: &[Packet]) -> (Value, Value, usize) {
    let run = analyze([file(folder, "clock", PLAIN.write(packets)).as_str()]);
    let summary = summary(&run);
    assert_eq!(run.status, 0);
    (summary["out_of_order"].clone(), summary["clock_steps"].clone(), of(&run.records(), "session").len())
}

#[test]
fn frames_out_of_order_and_clock_steps_are_counted() {
    const SECOND: u64 = 1_000_000_000;
    let folder = tempfile::tempdir().unwrap();
    let packets = pcap::read("ssh-far");
    assert_eq!(disorder(&folder, &packets), (0.into(), 0.into(), 1));

    let mut swapped = packets.clone();
    swapped.swap(100, 101);
    assert_eq!(disorder(&folder, &swapped), (1.into(), 0.into(), 1));

    let mut stepped = packets.clone();
    let half = packets.len() / 2;
    stepped[half..].iter_mut().for_each(|packet| packet.time -= 10 * SECOND);
    let late = stepped[half..].iter().filter(|packet| packet.time < packets[half - 1].time).count();
    assert_eq!(disorder(&folder, &stepped), (late.into(), 1.into(), 1));

    stepped[half..].iter_mut().for_each(|packet| packet.time += 3610 * SECOND);
    assert_eq!(disorder(&folder, &stepped), (0.into(), 1.into(), 1));

    let table = keywitness(["analyze", &file(&folder, "clock", PLAIN.write(&stepped))]);
    assert!(table.stdout.contains("the clock was set during the capture (1)"), "{}", table.stdout);
}

/// The packets in a VLAN (IEEE 802.1Q).
fn on_vlan(packets: &[Packet], id: u16) -> Vec<Packet> {
    let tagged = |packet: &Packet| {
        let (macs, rest) = packet.bytes.split_at(12);
        Packet { bytes: [macs, &[0x81, 0], &id.to_be_bytes(), rest].concat(), ..*packet }
    };
    packets.iter().map(tagged).collect()
}

#[test]
fn equal_sessions_in_two_vlans_are_two_where_vlans_part_them() {
    let folder = tempfile::tempdir().unwrap();
    let packets = pcap::read("ssh-home");
    let mut both = [on_vlan(&packets, 10), on_vlan(&packets, 20)].concat();
    both.sort_by_key(|packet| packet.time);
    let path = file(&folder, "vlans", PLAIN.write(&both));
    let sessions = |options: &[&'static str]| {
        let run = analyze(options.iter().copied().chain([path.as_str()]));
        assert_eq!(run.status, 0, "{}", run.stderr);
        of(&run.records(), "session").into_iter().cloned().collect::<Vec<_>>()
    };
    let alone = of(&analyze(["pcaps/ssh-home.pcap"]).records(), "session")[0].clone();
    let parted = sessions(&["--vlan-key"]);
    let vlans: Vec<_> = parted.iter().map(|session| session["encapsulation"][0]["id"].as_u64().unwrap()).collect();
    assert!(vlans == [10, 20] || vlans == [20, 10], "{vlans:?}");
    for session in &parted {
        assert_eq!((&session["encapsulation"][0]["kind"], &session["rtt"]), (&"vlan".into(), &alone["rtt"]));
        assert_eq!(session["keystrokes"], alone["keystrokes"]);
    }
    let merged = sessions(&[]);
    assert_eq!(merged.len(), 1);
    assert_eq!(merged[0]["traffic"]["client"]["duplicated"], alone["traffic"]["client"]["packets"], "copies of the other VLAN's");
    assert_eq!(merged[0]["keystrokes"], alone["keystrokes"]);
}
