//! Options of `analyze` that change where results go, how they look and how the run ends; what packagers need.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "no times are read here")]
mod program;

use std::{collections::BTreeMap, fs};

use program::{Run, captures, command, keywitness, of, repository};
use serde_json::Value;

const JUDGED: [&str; 3] = ["analyze", "--claims", "pcaps/claims.toml"];

fn analyze<'a>(more: impl IntoIterator<Item = &'a str>) -> Run {
    keywitness(JUDGED.into_iter().chain(more))
}

/// Rows of a CSV text by column.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

#[test]
fn results_go_to_a_file_and_replace_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results");
    let name = file.to_str().unwrap();
    fs::write(&file, "x".repeat(1_000_000)).unwrap();
    for flag in ["-o", "--output"] {
        let run = analyze(["--format", "ndjson", flag, name, "pcaps/ssh-home.pcap"]);
        assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
        let records = Run { status: 0, stdout: fs::read_to_string(&file).unwrap(), stderr: String::new() }.records();
        assert_eq!((of(&records, "session").len(), of(&records, "summary").len()), (1, 1));
    }
    let to_stdout = analyze(["--format", "csv", "-o", "-", "pcaps/ssh-home.pcap"]);
    assert_eq!(rows(&to_stdout.stdout).len(), 1);
}

#[test]
fn a_file_that_cannot_be_made_or_is_read_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture.pcap");
    fs::copy(repository().join("pcaps/ssh-home.pcap"), &capture).unwrap();
    let (capture_name, inside) = (capture.to_str().unwrap(), folder.path().to_str().unwrap());
    let missing = format!("{inside}/no/such/folder");
    for (output, part) in [(missing.as_str(), "no/such/folder: "), (inside, "--output: "), (capture_name, "is read by this run")]
    {
        let run = keywitness(["analyze", "-o", output, capture_name]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{output}");
        assert!(run.stderr.starts_with("--output: ") && run.stderr.contains(part), "{}", run.stderr);
    }
    assert_eq!(fs::read(&capture).unwrap(), fs::read(repository().join("pcaps/ssh-home.pcap")).unwrap());
    let untouched = folder.path().join("untouched");
    fs::write(&untouched, "as it was").unwrap();
    let run = keywitness(["analyze", "--claims", "no-such-file", "-o", untouched.to_str().unwrap(), "pcaps/ssh-home.pcap"]);
    assert_eq!((run.status, fs::read_to_string(&untouched).unwrap().as_str()), (2, "as it was"), "mistakes come first");
}

#[test]
fn csv_says_what_the_session_records_say() {
    let files: Vec<String> = captures().into_iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let files = || files.iter().map(String::as_str);
    let table = analyze(["--format", "csv"].into_iter().chain(files()));
    let records = analyze(["--format", "ndjson"].into_iter().chain(files())).records();
    let (rows, sessions) = (rows(&table.stdout), of(&records, "session"));
    assert_eq!((table.status, rows.len()), (0, sessions.len()));
    for (row, session) in rows.iter().zip(sessions) {
        for (column, path) in [
            ("session_id", "/session_id"),
            ("client_ip", "/client/ip"),
            ("client_version", "/details/client_version"),
            ("rtt_client_floor_ms", "/rtt/client/floor_ms"),
            ("keystrokes", "/keystrokes/count"),
            ("identity", "/claim/identity"),
            ("claimed_place", "/claim/matched_place"),
            ("verdict", "/verdict"),
        ] {
            let value = match session.pointer(path).unwrap_or(&Value::Null) {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            assert_eq!(row[column], value, "{column}");
        }
        let findings = session["findings"].as_array().unwrap();
        assert_eq!(row["findings"], findings.first().map_or("", |finding| finding["id"].as_str().unwrap()));
    }
    assert!(rows.iter().any(|row| row["explanations"].contains("76.0 ms more than")));
}

#[test]
fn csv_has_a_header_even_without_sessions_and_no_place_for_keystrokes() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pcap");
    fs::write(&empty, &fs::read(repository().join("pcaps/ssh-home.pcap")).unwrap()[..24]).unwrap();
    let run = analyze(["--format", "csv", empty.to_str().unwrap()]);
    assert_eq!(run.status, 0);
    assert!(
        run.stdout.starts_with("session_id,start,end,duration_ms,state,") && run.stdout.lines().count() == 1,
        "{}",
        run.stdout
    );
    for keystrokes in ["--keystrokes", "--keystrokes=all"] {
        let run = analyze(["--format", "csv", keystrokes, "pcaps/ssh-home.pcap"]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.starts_with("--keystrokes: CSV has one row a session"), "{}", run.stderr);
    }
}

#[test]
fn a_formula_from_a_claims_file_or_a_file_name_is_disarmed() {
    let folder = tempfile::tempdir().unwrap();
    let claims = folder.path().join("claims.toml");
    let good = fs::read_to_string(repository().join("pcaps/claims.toml")).unwrap();
    fs::write(&claims, good.replace("\"jdoe\"", "'=HYPERLINK(\"http://x\",\"a,b\")'").replace("demo-tap", "+tap")).unwrap();
    let input = folder.path().join("@capture");
    fs::copy(repository().join("pcaps/ssh-home.pcap"), &input).unwrap();
    let mut command = command(["analyze", "--format", "csv", "--claims", claims.to_str().unwrap(), "@capture"]);
    let run = Run::from(command.current_dir(folder.path()).output().unwrap());
    let row = &rows(&run.stdout)[0];
    assert_eq!(row["identity"], "'=HYPERLINK(\"http://x\",\"a,b\")");
    assert_eq!((row["sensor"].as_str(), row["input"].as_str()), ("'+tap", "'@capture"));
}

#[test]
fn a_finding_shows_in_the_status_where_asked_for_and_a_bad_input_wins() {
    let run = |args: &[&str]| analyze(args.iter().copied()).status;
    assert_eq!(run(&["pcaps/ssh-far.pcap"]), 0);
    assert_eq!(run(&["--fail-on-finding", "pcaps/ssh-far.pcap"]), 1);
    assert_eq!(run(&["--fail-on-finding", "pcaps/ssh-far.pcap", "pcaps/ssh-home.pcap"]), 1);
    assert_eq!(run(&["--fail-on-finding", "pcaps/ssh-home.pcap"]), 0);
    assert_eq!(run(&["--fail-on-finding", "pcaps/ssh-far.pcap", "no-such-file"]), 3);
    assert_eq!(keywitness(["analyze", "--fail-on-finding", "pcaps/ssh-far.pcap"]).status, 0, "nothing is claimed");
}

#[test]
fn colours_are_as_asked_for() {
    let colored = |args: &[&str], no_color: &str| {
        let args = JUDGED.into_iter().chain(args.iter().copied()).chain(["pcaps/ssh-far.pcap", "no-such-file"]);
        let run = Run::from(command(args).env("NO_COLOR", no_color).output().unwrap());
        (run.stdout.contains('\x1b'), run.stderr.contains('\x1b'))
    };
    assert_eq!(colored(&["--color", "always"], ""), (true, true));
    assert_eq!(colored(&["--color", "always"], "1"), (true, true), "what is typed wins");
    assert_eq!(colored(&["--color=never"], ""), (false, false));
    assert_eq!(colored(&["--color=auto"], ""), (false, false), "not a terminal");
    assert!(!colored(&["--color", "always", "--format", "ndjson"], "").0);
}

#[test]
fn the_log_is_as_loud_as_asked_for() {
    let log = |args: &[&str]| {
        let run = analyze(args.iter().copied().chain(["pcaps/ssh-home.pcap", "no-such-file"]));
        assert_eq!((run.status, run.stdout.contains("not read to its end")), (3, true));
        run.stderr
    };
    assert!(log(&[]).contains("WARN") && !log(&[]).contains("DEBUG"));
    assert!(log(&["-v"]).contains("DEBUG") && log(&["--verbose", "-v"]).contains("DEBUG"));
    assert_eq!((log(&["-q"]), log(&["-qq"])), (String::new(), String::new()));
    assert_eq!(analyze(["-q", "-v", "pcaps/ssh-home.pcap"]).status, 2);
    let run = keywitness(["-qq", "analyze", "--no-such-flag"]);
    assert!(run.status == 2 && run.stderr.contains("--no-such-flag"), "mistakes are told all the same");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = keywitness(["completions", shell]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{shell}");
        for word in ["keywitness", "analyze", "fail-on-finding", "judge", "rtt-ms"] {
            assert!(run.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(keywitness(["completions", "tcsh"]).status, 2);
}

#[test]
fn every_command_has_a_manual_page() {
    for (args, title, parts) in [
        (&["man"][..], ".TH keywitness 1", &["analyze", "claims", "judge", "COMMANDS"][..]),
        (&["man", "analyze"], ".TH keywitness-analyze 1", &["fail\\-on\\-finding", "Exit status", "keywitness analyze"]),
        (&["man", "judge"], ".TH keywitness-judge 1", &["rtt\\-ms", "samples"]),
        (&["man", "claims", "check"], ".TH keywitness-claims-check 1", &["claims file"]),
    ] {
        let run = keywitness(args.iter().copied());
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{args:?}");
        let (subject, wanted) = (run.stdout.lines().find(|line| line.starts_with(".TH")).unwrap_or_default(), title);
        assert!(subject.starts_with(wanted), "{subject}");
        parts.iter().for_each(|part| assert!(run.stdout.contains(part), "{args:?}: {part} in {}", run.stdout));
    }
    let run = keywitness(["man", "pigeon"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("no command \"pigeon\""), "{}", run.stderr);
}

fn packets(records: &[Value]) -> u64 {
    of(records, "summary").first().unwrap()["packets"].as_u64().unwrap()
}

/// Number of frames that an analysis of two captures looks at, and the sessions.
fn looked_at(more: &[&str]) -> (u64, usize) {
    let run =
        analyze(["--format", "ndjson", "pcaps/ssh-home.pcap", "pcaps/ssh-far.pcap"].into_iter().chain(more.iter().copied()));
    assert_eq!(run.status, 0, "{}", run.stderr);
    let records = run.records();
    (packets(&records), of(&records, "session").len())
}

#[test]
fn a_filter_and_a_range_choose_frames() {
    let (all, sessions) = looked_at(&[]);
    assert_eq!(sessions, 2);
    assert_eq!(looked_at(&["--filter", "tcp", "--time-range", "2020-01-01.."]), (all, 2));
    assert_eq!(looked_at(&["--filter", "udp"]), (0, 0));
    assert_eq!(looked_at(&["--time-range", "..2020-01-01"]), (0, 0));
    let (to, from) = (looked_at(&["--filter", "tcp dst port 22"]).0, looked_at(&["--filter", "tcp src port 22"]).0);
    assert!(to > 0 && from > 0 && to + from == all, "{to} and {from} of {all}");

    let first = &analyze(["--format", "ndjson", "pcaps/ssh-home.pcap"]).records();
    let text = |record, field| of(first, record).first().unwrap()[field].as_str().unwrap().to_owned();
    let inside = format!("{}..{}", text("session", "start"), text("summary", "last_time"));
    let alone = analyze(["--format", "ndjson", "--time-range", &inside, "pcaps/ssh-home.pcap"]).records();
    assert_eq!(packets(&alone) + 1, packets(first), "all but the last frame, which lies at the end");
}

#[test]
fn a_mistaken_filter_or_range_ends_with_2() {
    for (flag, value, part) in [
        ("--filter", "prot 22", "--filter: \"prot 22\": "),
        ("--time-range", "2026-11-20", "--time-range: a range is A..B"),
        ("--time-range", "2026-11-20..today", "--time-range: today is not a date"),
    ] {
        let run = analyze([flag, value, "pcaps/ssh-home.pcap"]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{value}");
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
}

#[test]
fn a_filter_that_takes_the_acknowledgements_away_accuses_nobody() {
    let verdict = |more: &[&str]| {
        let run = analyze(["--format", "ndjson", "pcaps/ssh-far.pcap"].into_iter().chain(more.iter().copied()));
        of(&run.records(), "session").first().unwrap()["verdict"].clone()
    };
    assert_eq!(verdict(&[]), "implausible");
    assert_eq!(verdict(&["--filter", "greater 80"]), "undecided", "round trips that wait for the next key are no round trips");
}

#[test]
fn sessions_are_the_same_with_keystrokes_and_without() {
    for name in captures() {
        let path = format!("pcaps/{name}.pcap");
        let [without, with] = [None, Some("--keystrokes=all")]
            .map(|option| analyze(["--format", "ndjson"].into_iter().chain(option).chain([path.as_str()])).records());
        assert_eq!(of(&without, "session"), of(&with, "session"), "{name}");
        assert_eq!(of(&without, "keystroke").len(), 0);
        let count: u64 = of(&with, "session").iter().filter_map(|session| session["keystrokes"]["count"].as_u64()).sum();
        assert_eq!(of(&with, "keystroke").len() as u64, count, "{name}");
    }
}
