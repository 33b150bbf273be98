//! What a user of the program sees: help, exit status, streams, inputs of every sort, and the fields of the records.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[path = "program/pcapng.rs"]
mod pcapng;
mod program;

use std::{
    fs::{self, File},
    io::Read,
    path::PathBuf,
    process::Stdio,
};

use pcap::Classic;
use pcapng::pcapng;
use program::{Run, captures, command, keywitness, nanos, of, repository};
use serde_json::Value;

/// The format of the captures in `pcaps`.
const PLAIN: Classic = Classic { big_endian: false, microseconds: false };

/// `analyze` with everything that there is to write.
fn analyze<'a>(files: impl IntoIterator<Item = &'a str>) -> Run {
    let options = ["analyze", "--format", "ndjson", "--keystrokes=all", "--claims", "pcaps/claims.toml"];
    keywitness(options.into_iter().chain(files))
}

/// Sessions, alerts and keystrokes, without the name of their input.
fn facts(records: &[Value]) -> Vec<Value> {
    let mut facts: Vec<Value> = records.iter().filter(|record| record["record"] != "summary").cloned().collect();
    for fact in &mut facts {
        fact.as_object_mut().unwrap().remove("input");
    }
    facts
}

/// A file of this content in a folder that lasts as long as the test.
fn file(folder: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path: PathBuf = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn bytes_of(name: &str) -> Vec<u8> {
    fs::read(repository().join(format!("pcaps/{name}.pcap"))).unwrap()
}

#[test]
fn help_names_the_commands_and_version_the_version() {
    for flag in ["--help", "-h", "help"] {
        let run = keywitness([flag]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(["analyze", "claims"].iter().all(|command| run.stdout.contains(&format!("\n  {command} "))), "{}", run.stdout);
    }
    let help = keywitness(["analyze", "--help"]).stdout;
    for word in ["--claims", "--format", "--keystrokes", "Exit status", "Examples"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    assert_eq!(keywitness(["--version"]).stdout, format!("keywitness {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn mistakes_of_use_end_with_2_and_write_no_results() {
    for args in [
        &[][..],
        &["analyse"],
        &["analyze"],
        &["analyze", "--no-such-flag", "pcaps/ssh-home.pcap"],
        &["analyze", "--keystrokes=some", "pcaps/ssh-home.pcap"],
        &["analyze", "--format", "xml", "pcaps/ssh-home.pcap"],
        &["claims"],
        &["claims", "check"],
    ] {
        let run = keywitness(args.iter().copied());
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(run.stderr.contains("Usage: keywitness") || run.stderr.contains("possible values"), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_claims_file_with_mistakes_ends_with_2_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let good = fs::read_to_string(repository().join("pcaps/claims.toml")).unwrap();
    let line_of = |text: &str, what: &str| 1 + text.lines().position(|line| line.contains(what)).unwrap();
    let broken = |from: &str, to: &str| {
        assert!(good.contains(from));
        let text = good.replacen(from, to, 1);
        (line_of(&text, to), text)
    };
    for (field, (line, text)) in [
        ("acess", broken("access = \"fiber\"", "acess = \"fiber\"")),
        ("client", broken("203.0.113.16/30", "203.0.113.16/33")),
        ("place", broken("Denver, US", "Nowhereville, US")),
    ] {
        let claims = file(&folder, "claims.toml", text);
        for args in [&["claims", "check", &claims][..], &["analyze", "--claims", &claims, "pcaps/ssh-home.pcap"]] {
            let run = keywitness(args.iter().copied());
            assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{field}");
            assert!(run.stderr.starts_with(&format!("{claims}: line {line}: ")), "{field}, line {line}: {}", run.stderr);
            assert!(run.stderr.contains(field), "{field}: {}", run.stderr);
        }
    }
    for args in [&["claims", "check", "no-such-file"][..], &["analyze", "--claims", "no-such-file", "pcaps/ssh-home.pcap"]] {
        let run = keywitness(args.iter().copied());
        assert_eq!((run.status, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.starts_with("no-such-file: "), "{}", run.stderr);
    }
}

#[test]
fn good_claims_are_told_back() {
    let run = keywitness(["claims", "check", "pcaps/claims.toml"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    for word in ["fine", "Seattle", "jdoe", "Boise", "asmith", "Denver", "operators", "Spokane"] {
        assert!(run.stdout.contains(word), "{word} in {}", run.stdout);
    }
}

#[test]
fn a_cut_capture_ends_with_3_and_is_analysed_up_to_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let whole = bytes_of("ssh-home");
    let cut = file(&folder, "cut.pcap", &whole[..whole.len() - 10]);
    let packets = pcap::read("ssh-home");
    let frames = packets.len() - 1;
    let shorter = file(&folder, "shorter.pcap", PLAIN.write(&packets[..frames]));

    let run = analyze([cut.as_str(), "pcaps/ssh-far.pcap"]);
    let records = run.records();
    assert_eq!(run.status, 3);
    assert_eq!(facts(&records), facts(&analyze([shorter.as_str(), "pcaps/ssh-far.pcap"]).records()));
    assert_eq!(of(&records, "session").len(), 2);
    let inputs = &of(&records, "summary")[0]["inputs"];
    assert_eq!(
        (&inputs[0]["path"], &inputs[0]["status"], &inputs[0]["frames"]),
        (&cut.as_str().into(), &"error".into(), &frames.into())
    );
    assert!(inputs[0]["error"].as_str().unwrap().starts_with("cut short: "), "{inputs}");
    assert_eq!((&inputs[1]["status"], &inputs[1]["error"]), (&"ok".into(), &Value::Null));
    assert!(run.stderr.contains(&cut) && run.stderr.contains("cut short"), "{}", run.stderr);

    let table = keywitness(["analyze", &cut]);
    assert_eq!(table.status, 3);
    assert!(table.stdout.contains(&format!("not read to its end: {cut} ({frames} frames read)")), "{}", table.stdout);
}

#[test]
fn what_is_no_capture_ends_with_3_and_shows_its_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let text = file(&folder, "notes.txt", "Dear diary,\x1b[31m today\n");
    let alone = facts(&analyze(["pcaps/ssh-home.pcap"]).records());
    for (input, error) in [
        (text.as_str(), "not a capture file: begins with 44 65 61 72 20 64 69 61 72 79 2c 1b 5b 33 31 6d (\"Dear diary,.[31m\")"),
        (&file(&folder, "empty.pcap", ""), "empty"),
        ("no-such-file.pcap", "cannot be opened: "),
    ] {
        for inputs in [[input, "pcaps/ssh-home.pcap"], ["pcaps/ssh-home.pcap", input]] {
            let run = analyze(inputs);
            let records = run.records();
            assert_eq!(run.status, 3, "{input}");
            assert_eq!(facts(&records), alone, "{input}");
            let told = of(&records, "summary")[0]["inputs"].as_array().unwrap().clone();
            assert_eq!(told.iter().map(|input| input["path"].as_str().unwrap()).collect::<Vec<_>>(), inputs);
            let told = told.iter().find(|told| told["path"] == input).unwrap();
            assert_eq!((&told["status"], &told["frames"]), (&"error".into(), &0.into()));
            assert!(told["error"].as_str().unwrap().starts_with(error), "{told}");
            assert!(run.stderr.contains(input) && run.stderr.contains(error), "{}", run.stderr);
            assert!(!run.stderr.contains('\x1b') && run.stderr.lines().count() == 1, "{:?}", run.stderr);
        }
    }
}

#[test]
fn standard_input_is_as_good_as_a_file() {
    let from_file = facts(&analyze(["pcaps/ssh-home.pcap"]).records());
    let mut command = command(["analyze", "--format", "ndjson", "--keystrokes=all", "--claims", "pcaps/claims.toml", "-"]);
    let run = Run::from(command.stdin(File::open(repository().join("pcaps/ssh-home.pcap")).unwrap()).output().unwrap());
    let records = run.records();
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!(facts(&records), from_file);
    assert_eq!(of(&records, "session")[0]["input"], "-");
    assert_eq!(of(&records, "summary")[0]["inputs"][0]["path"], "-");
}

#[test]
fn a_broken_pipe_ends_quietly() {
    let files: Vec<String> = captures().into_iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let args = ["analyze", "--format", "ndjson", "--keystrokes=all"].into_iter().chain(files.iter().map(String::as_str));
    let mut child = command(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"{\"schema\""));
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
}

#[test]
fn the_order_of_files_does_not_matter() {
    let names = ["pcaps/ssh-exec.pcap", "pcaps/ssh-far.pcap", "pcaps/ssh-home.pcap"];
    let there = analyze(names).records();
    let back = analyze(names.into_iter().rev()).records();
    assert_eq!(of(&there, "session").len(), 6);
    assert_eq!(there[..there.len() - 1], back[..back.len() - 1]);
}

#[test]
fn rotated_files_are_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let packets = pcap::read("ssh-far");
    let (first, second) = packets.split_at(packets.len() / 2);
    let first = file(&folder, "1.pcap", PLAIN.write(first));
    let second = file(&folder, "2.pcap", PLAIN.write(second));
    let whole = facts(&analyze(["pcaps/ssh-far.pcap"]).records());
    assert_eq!(facts(&analyze([second.as_str(), first.as_str()]).records()), whole);
}

#[test]
fn every_line_is_a_record_and_the_summary_is_last() {
    let files: Vec<String> = captures().into_iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let run = analyze(files.iter().map(String::as_str));
    let records = run.records();
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    for record in &records {
        assert_eq!((&record["schema"], &record["sensor"]), (&"keywitness/1".into(), &"demo-tap".into()));
        assert_present(record, &format!("/{}", record["record"].as_str().unwrap()));
        if record["record"] == "session" {
            assert_present(&record["details"], &format!("/session/details/{}", record["protocol"].as_str().unwrap()));
        }
    }
    assert_eq!(records.last().unwrap()["record"], "summary");
    let count = |kind: &str| of(&records, kind).len();
    assert_eq!((count("summary"), count("session"), count("alert")), (1, 45, 4));
    assert!(count("keystroke") > 1000);
    let summary = records.last().unwrap();
    assert_eq!((&summary["sessions"], &summary["alerts"]), (&45.into(), &4.into()));
    assert_eq!(summary["inputs"].as_array().unwrap().len(), files.len());
    let alerts = of(&records, "alert");
    let sessions = of(&records, "session");
    for alert in alerts {
        let session = sessions.iter().find(|session| session["session_id"] == alert["session_id"]).unwrap();
        assert_eq!((&session["verdict"], &session["findings"][0]), (&"implausible".into(), &alert["finding"]));
        assert!(nanos(&alert["time"]) >= nanos(&session["end"]));
    }
}

/// Fields that the contract requires, `record/field field …`; where the program has `null` there is nothing below.
const CONTRACT: &str = "
/session session_id update community_id input state start end duration_ms client server client_evidence encapsulation transport \
protocol identified_by midstream duplicate_of details traffic stack quality rtt app_rtt keystrokes claim verdict tests findings
/session/client ip port mac
/session/server ip port mac
/session/details/ssh client_version server_version kex host_key_algorithm cipher mac compression hassh hassh_server auth obfuscated_keystrokes
/session/details/rdp cookie requested_protocols selected_protocol client_name keyboard_layout client_build tls_version
/session/details/vnc version security_type security_ok desktop_name shared tls_version
/session/traffic client server
/session/traffic/client packets bytes payload_bytes retransmitted out_of_order duplicated gaps
/session/traffic/server packets bytes payload_bytes retransmitted out_of_order duplicated gaps
/session/rtt client server
/session/rtt/client handshake_ms samples min_ms floor_ms floor_method p50_ms p95_ms max_ms
/session/rtt/server handshake_ms samples min_ms floor_ms floor_method p50_ms p95_ms max_ms
/session/quality one_sided drops merged_segments_suspected clock_steps timestamp_source score
/session/keystrokes count presses releases repeats pastes silent method reliability interval_ms hold_ms echo_ms response_ms input_kind
/session/keystrokes/interval_ms samples min p5 p10 p25 p50 p75 p95 max
/session/keystrokes/echo_ms samples min p5 p10 p25 p50 p75 p95 max
/session/claim identity places matched_place distance_km source claims_sha256
/session/tests id outcome reason samples
/session/findings id severity basis measured expected margin unit samples p_value null_model null_n explanation innocent_causes attack
/keystroke session_id time index kind class bytes interval_ms echo_ms client_rtt_ms method confidence
/alert alert_id revision time session_id community_id protocol start identity client server severity finding claim quality message
/alert/quality one_sided drops merged_segments_suspected clock_steps timestamp_source score
/alert/client ip port
/alert/server ip port
/alert/finding id severity basis measured expected margin unit samples p_value null_model null_n explanation innocent_causes attack
/alert/claim identity places matched_place distance_km source claims_sha256
/summary packets bytes undecoded truncated duplicated out_of_order clock_steps dropped flows sessions alerts first_time last_time elapsed_s packets_per_s inputs
/summary/dropped kernel ring channel table output
/summary/flows tcp udp identified interactive
/summary/inputs path status error
";

/// Checks a value, and what is below it, against [`CONTRACT`].
fn assert_present(value: &Value, path: &str) {
    if let Value::Array(entries) = value {
        return entries.iter().for_each(|entry| assert_present(entry, path));
    }
    let Some(fields) = CONTRACT.lines().find_map(|line| line.strip_prefix(path)?.strip_prefix(' ')) else { return };
    if value.is_null() {
        return;
    }
    for field in fields.split_whitespace() {
        let below = value.get(field);
        assert!(below.is_some(), "{path} lacks {field}: {value}");
        if field == "details" && value["protocol"] != "ssh" {
            continue; // each protocol has its own
        }
        below.into_iter().for_each(|below| assert_present(below, &format!("{path}/{field}")));
    }
}

#[test]
fn a_second_run_gives_the_same() {
    let args = ["pcaps/ssh-exec.pcap", "pcaps/ssh-rtt110.pcap", "pcaps/ssh-lossy.pcap"];
    let without_clock = |run: &Run| {
        let (rest, summary) = run.stdout.trim_end().rsplit_once('\n').unwrap();
        let mut summary: Value = serde_json::from_str(summary).unwrap();
        for field in ["elapsed_s", "packets_per_s"] {
            assert!(summary.as_object_mut().unwrap().remove(field).unwrap().as_f64().unwrap() >= 0.0);
        }
        format!("{rest}\n{summary}")
    };
    assert_eq!(without_clock(&analyze(args)), without_clock(&analyze(args)));
}

#[test]
fn nothing_is_coloured_that_is_not_on_a_terminal() {
    let args = ["analyze", "--keystrokes", "--claims", "pcaps/claims.toml", "pcaps/ssh-far.pcap", "no-such-file"];
    let plain = keywitness(args);
    let no_color = Run::from(command(args).env("NO_COLOR", "1").output().unwrap());
    for run in [&plain, &no_color] {
        assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'), "{:?}", run.stderr);
    }
    let without_last_lines =
        |run: &Run| run.stdout.lines().filter(|line| !line.ends_with(" s")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_last_lines(&plain), without_last_lines(&no_color));
}

#[test]
fn other_formats_of_capture_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let packets = pcap::read("ssh-far");
    let whole = facts(&analyze(["pcaps/ssh-far.pcap"]).records());
    let big_endian = Classic { big_endian: true, microseconds: false };
    for (name, content) in
        [("plain", PLAIN.write(&packets)), ("big-endian", big_endian.write(&packets)), ("pcapng", pcapng(&packets))]
    {
        let path = file(&folder, name, content);
        let run = analyze([path.as_str()]);
        assert_eq!((run.status, facts(&run.records())), (0, whole.clone()), "{name}");
        assert_eq!(of(&run.records(), "session")[0]["input"], path);
    }
}

#[test]
fn a_capture_in_microseconds_gives_the_same_to_a_microsecond() {
    let folder = tempfile::tempdir().unwrap();
    let packets = pcap::read("ssh-far");
    let classic = Classic { big_endian: false, microseconds: true };
    let path = file(&folder, "micro.pcap", classic.write(&packets));
    let (whole, rounded) = (analyze(["pcaps/ssh-far.pcap"]).records(), analyze([path.as_str()]).records());
    let (whole_session, session) = (of(&whole, "session")[0], of(&rounded, "session")[0]);
    for field in ["community_id", "state", "client", "server", "details", "traffic", "verdict", "claim"] {
        assert_eq!(session[field], whole_session[field], "{field}");
    }
    for field in
        ["/rtt/client/floor_ms", "/rtt/client/min_ms", "/rtt/server/floor_ms", "/keystrokes/interval_ms/p50", "/duration_ms"]
    {
        let of = |session: &Value| session.pointer(field).unwrap().as_f64().unwrap();
        assert!((of(session) - of(whole_session)).abs() <= of(whole_session).mul_add(0.01, 0.002), "{field}");
    }
    let (whole, rounded) = (of(&whole, "keystroke"), of(&rounded, "keystroke"));
    assert_eq!(whole.len(), rounded.len());
    for (whole, rounded) in whole.iter().zip(&rounded) {
        assert_eq!(nanos(&rounded["time"]), nanos(&whole["time"]) / 1000 * 1000);
        assert_eq!((&rounded["kind"], &rounded["class"], &rounded["bytes"]), (&whole["kind"], &whole["class"], &whole["bytes"]));
    }
}

#[test]
fn the_writer_of_this_test_writes_what_the_laboratory_wrote() {
    let original = bytes_of("ssh-far");
    assert_eq!(PLAIN.write(&pcap::read("ssh-far"))[24..], original[24..]);
}
