//! Options from a file: `--config`.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "no captures are listed and no times read here")]
mod program;

use std::{fs, path::PathBuf};

use program::{Run, keywitness, of};

/// Analyses a capture with a file of options.
fn analyze(options: &str, typed: &[&str]) -> (Run, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keywitness.toml");
    fs::write(&file, options).unwrap();
    let run = keywitness(
        ["analyze", "--config", file.to_str().unwrap(), "pcaps/ssh-far.pcap"].into_iter().chain(typed.iter().copied()),
    );
    (run, file)
}

#[test]
fn the_file_says_what_could_have_been_typed() {
    let options = "claims = \"pcaps/claims.toml\"\nformat = \"ndjson\"\nworkers = 2\nverbose = 1\nvlan-key = false\n\n[analyze]\nkeystrokes = true\n\
                   fail-on-finding = true\n\n[live]\ninterface = [\"eth0\", \"eth1\"]\nformat = \"csv\"\n";
    let (run, _) = analyze(options, &[]);
    let typed = keywitness([
        "analyze",
        "--claims",
        "pcaps/claims.toml",
        "--format",
        "ndjson",
        "--keystrokes",
        "--fail-on-finding",
        "pcaps/ssh-far.pcap",
    ]);
    assert_eq!((run.status, typed.status), (1, 1), "{}", run.stderr);
    assert!(of(&run.records(), "keystroke").len() > 10);
    let without_summary =
        |run: &Run| run.stdout.lines().filter(|line| !line.contains("\"summary\"")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_summary(&run), without_summary(&typed));
}

#[test]
fn what_is_typed_wins_and_a_commands_own_table_wins_over_the_rest() {
    let (run, _) = analyze("format = \"csv\"\n[analyze]\nformat = \"table\"\n", &[]);
    assert!(run.stdout.starts_with("START (UTC)"), "{}", run.stdout);
    let (run, _) = analyze("format = \"csv\"\nverbose = 2\n[analyze]\nformat = \"table\"\n", &["--format", "ndjson", "-q"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "-q and the file's verbose do not go together: -q was typed");
    assert_eq!(of(&run.records(), "session").len(), 1);
    let (run, _) = analyze("format = \"ndjson\"\n", &["--", "pcaps/ssh-home.pcap"]);
    assert_eq!(of(&run.records(), "session").len(), 2);
}

#[test]
fn each_mistake_is_told_with_its_line_and_nothing_is_done() {
    let options = "format = \"xml\"\nformatt = \"ndjson\"\nworkers = 1000\nvlan-key = \"yes\"\n[live]\ninterface = 7.5\nring-size = 0\nfail-on-finding = true\n\
                   [analyze]\nconfig = \"other.toml\"\nclaims = [\"a\", \"b\"]\nverbose = 10\nlearn = 1979-05-27\n";
    let (run, file) = analyze(options, &[]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    let lines: Vec<&str> = run.stderr.lines().collect();
    let expected = [
        (1, "format", "invalid value 'xml' for '--format <FORMAT>' [possible values: table, ndjson, csv]"),
        (2, "formatt", "keywitness analyze, live, correlate has no option --formatt"),
        (3, "workers", "invalid value '1000' for '--workers <N>'"),
        (4, "vlan-key", "must be true or false"),
        (7, "ring-size", "invalid value '0' for '--ring-size <MIB>'"),
        (8, "fail-on-finding", "keywitness live has no option --fail-on-finding"),
        (10, "config", "keywitness analyze has no option --config"),
        (11, "claims", "must be a string or a number"),
        (12, "verbose", "must be 0 to 9"),
        (13, "learn", "must be true or false"),
    ];
    assert_eq!(lines.len(), expected.len(), "{}", run.stderr);
    for (told, (line, field, message)) in lines.iter().zip(expected) {
        let start = format!("{}: line {line}: {field}: {message}", file.display());
        assert!(told.starts_with(&start), "{told}\nnot {start}");
    }
}

/// An option that goes with another one finds it in the file too, and is refused without it.
#[test]
fn options_that_go_together_may_both_come_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let alerting = "alert-to = [\"udp://127.0.0.1:9\"]\nalert-wait = \"0\"\n";
    let (run, _) = analyze(&format!("{alerting}spool = \"{}\"\n", spool.display()), &[]);
    assert_eq!((run.status, spool.is_dir()), (0, true), "{}", run.stderr);
    let (run, _) = analyze(alerting, &[]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("--spool <DIR>"), "{}", run.stderr);
}

#[test]
fn a_file_that_is_missing_or_no_toml_ends_with_2() {
    let run = keywitness(["analyze", "--config", "no/such/file.toml", "pcaps/ssh-far.pcap"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.starts_with("no/such/file.toml: No such file"), "{}", run.stderr);
    let (run, file) = analyze("format = \"ndjson\"\nformat = \"csv\"\n", &[]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.starts_with(&format!("{}: line 2: toml: duplicate key", file.display())), "{}", run.stderr);
}

#[test]
fn what_is_required_may_come_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sensor.toml");
    fs::write(&file, "interface = \"kw-no-such\"\nas-root = true\n").unwrap();
    let run = keywitness(["-q", "live", "--config", file.to_str().unwrap()]);
    assert_eq!((run.status, run.stdout.as_str()), (3, ""), "{}", run.stderr);
    assert!(run.stderr.contains("kw-no-such"), "{}", run.stderr);
    fs::write(&file, "as-root = true\n").unwrap();
    let run = keywitness(["live", "--config", file.to_str().unwrap()]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("--interface <IFACE>"), "{}", run.stderr);
}
