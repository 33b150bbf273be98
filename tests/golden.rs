//! Every capture in `pcaps` against a reviewed snapshot of what the program says of it: its own NDJSON, made readable.
//!
//! A new capture is a new test. Accept what changed by `INSTA_UPDATE=always cargo test --test golden`, then read the
//! difference as prose. Fields that are not in a snapshot: those that differ from run to run (`elapsed_s`,
//! `packets_per_s`), and the hash and line of the claim, which a comment in the claims file would change.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod program;

use std::{collections::BTreeMap, fmt::Write, fs, panic, path::Path};

use program::{captures, keywitness, nanos, of, repository};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Keystrokes that are listed one by one; of the rest there is a digest.
const LISTED: usize = 40;

/// Columns that the table promises to fit into.
const COLUMNS: usize = 100;

#[test]
fn each_capture_says_what_was_reviewed() {
    let changed: Vec<String> = captures().into_iter().filter(|name| panic::catch_unwind(|| check(name)).is_err()).collect();
    assert!(changed.is_empty(), "changed: {changed:?}");
}

fn check(name: &str) {
    let file = format!("pcaps/{name}.pcap");
    let run = keywitness(["analyze", "--format", "ndjson", "--keystrokes=all", "--claims", "pcaps/claims.toml", &file]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{name}");
    settings().bind(|| insta::assert_snapshot!(name, readable(&run.records())));
}

#[test]
fn the_table_over_all_captures_is_what_was_reviewed() {
    let files: Vec<String> = captures().into_iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let run = keywitness(["analyze", "--claims", "pcaps/claims.toml"].into_iter().chain(files.iter().map(String::as_str)));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    for line in run.stdout.lines() {
        assert!(line.chars().count() <= COLUMNS, "{} columns: {line}", line.chars().count());
    }
    let mut settings = settings();
    settings.add_filter(r"(?m); \d+\.\d\d s$", "; [elapsed] s");
    settings.bind(|| insta::assert_snapshot!("table", run.stdout));
}

#[test]
fn each_snapshot_has_its_capture() {
    let known = captures();
    for entry in fs::read_dir(repository().join("tests/snapshots")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".snap") else { continue };
        assert!(name == "table" || known.iter().any(|capture| capture == name), "{name}.snap belongs to no capture");
    }
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(Path::new("snapshots"));
    settings
}

/// All records of a run, one fact a line.
fn readable(records: &[Value]) -> String {
    let mut text = String::new();
    for session in of(records, "session") {
        put_session(&mut text, session);
        put_measurements(&mut text, session);
        put_judgement(&mut text, session);
        let strokes = of(records, "keystroke");
        put_keystrokes(
            &mut text,
            session,
            strokes.into_iter().filter(|key| key["session_id"] == session["session_id"]).collect(),
        );
        text.push('\n');
    }
    for alert in of(records, "alert") {
        let finding = &alert["finding"]["id"];
        put(&mut text, "alert", &[&alert["alert_id"], finding, &alert["severity"]]);
        let revision = format!("revision {}, session {}", show(&alert["revision"]), show(&alert["session_id"]));
        line(&mut text, "", &format!("{revision}, at {}", show(&alert["time"])));
        line(&mut text, "", &show(&alert["message"]));
    }
    put_summary(&mut text, of(records, "summary")[0]);
    text
}

fn put_session(text: &mut String, session: &Value) {
    put(text, "session", &[&session["session_id"], &session["transport"], &session["protocol"], &session["state"]]);
    line(text, "start", &format!("{} + {} ms", show(&session["start"]), ms(&session["duration_ms"])));
    put(text, "input", &[&session["input"]]);
    put(text, "community id", &[&session["community_id"]]);
    for side in ["client", "server"] {
        let end = &session[side];
        line(text, side, &format!("{} port {}, {}", show(&end["ip"]), show(&end["port"]), show(&end["mac"])));
    }
    put(text, "client known by", &[&session["client_evidence"]]);
    put(text, "identified by", &[&session["identified_by"]]);
    for flag in ["midstream", "update", "duplicate_of", "encapsulation", "stack", "quality", "app_rtt"] {
        put(text, flag, &[&session[flag]]);
    }
    for (name, value) in session["details"].as_object().unwrap() {
        put(text, name, &[value]);
    }
}

fn put_measurements(text: &mut String, session: &Value) {
    for side in ["client", "server"] {
        let counts: Vec<String> = ["packets", "bytes", "payload_bytes", "retransmitted", "out_of_order", "duplicated", "gaps"]
            .iter()
            .map(|field| format!("{field} {}", show(&session["traffic"][side][field])))
            .collect();
        line(text, &format!("traffic {side}"), &counts.join(", "));
    }
    for side in ["client", "server"] {
        let rtt = &session["rtt"][side];
        let times: Vec<String> = ["handshake_ms", "min_ms", "floor_ms", "p50_ms", "p95_ms", "max_ms"]
            .iter()
            .map(|field| format!("{} {}", field.trim_end_matches("_ms"), ms(&rtt[field])))
            .collect();
        let samples = format!("samples {}, floor by {}", show(&rtt["samples"]), show(&rtt["floor_method"]));
        line(text, &format!("rtt {side} ms"), &format!("{}, {samples}", times.join(", ")));
    }
    let keystrokes = &session["keystrokes"];
    let Some(fields) = keystrokes.as_object() else { return line(text, "keystrokes", "-") };
    let counts = ["count", "presses", "releases", "repeats", "pastes", "silent", "method", "reliability", "input_kind"];
    line(text, "keystrokes", &counts.map(|field| format!("{field} {}", show(&keystrokes[field]))).join(", "));
    if keystrokes["step_ms"].is_number() {
        line(text, "", &format!("in steps of {} ms", ms(&keystrokes["step_ms"])));
    }
    for (name, quantiles) in fields.iter().filter(|(name, value)| name.ends_with("_ms") && value.is_object()) {
        let order = ["min", "p5", "p10", "p25", "p50", "p75", "p95", "max"];
        let values = order.map(|field| format!("{field} {}", ms(&quantiles[field]))).join(", ");
        line(text, name, &format!("samples {}, {values}", show(&quantiles["samples"])));
    }
}

fn put_judgement(text: &mut String, session: &Value) {
    let claim = &session["claim"];
    if claim.is_null() {
        line(text, "claim", "-");
    } else {
        let places: Vec<String> = claim["places"].as_array().unwrap().iter().map(show).collect();
        line(text, "claim", &format!("{} in {}", show(&claim["identity"]), places.join(" or ")));
        line(text, "", &format!("matched {}, {} km away", show(&claim["matched_place"]), show(&claim["distance_km"])));
    }
    put(text, "verdict", &[&session["verdict"]]);
    for test in session["tests"].as_array().unwrap() {
        put(text, "test", &[&test["id"], &test["outcome"]]);
        line(text, "", &format!("{} ({} samples)", show(&test["reason"]), show(&test["samples"])));
    }
    for finding in session["findings"].as_array().unwrap() {
        put(text, "finding", &[&finding["id"], &finding["severity"], &finding["basis"]]);
        let numbers = ["measured", "expected", "margin"].map(|field| format!("{field} {}", ms(&finding[field])));
        line(text, "", &format!("{} {}, {} samples", numbers.join(", "), show(&finding["unit"]), show(&finding["samples"])));
        line(text, "", &show(&finding["explanation"]));
        for field in ["innocent_causes", "attack"] {
            for entry in finding[field].as_array().unwrap() {
                put(text, &format!("  {field}"), &[entry]);
            }
        }
    }
}

/// The first keystrokes one by one: seconds since the session's start, kind, class, bytes, interval, echo. Then a digest.
fn put_keystrokes(text: &mut String, session: &Value, strokes: Vec<&Value>) {
    let start = nanos(&session["start"]);
    let lines: Vec<String> = strokes
        .iter()
        .map(|key| {
            let offset = format!("{:.4}", (nanos(&key["time"]) - start) as f64 / 1e9);
            let [kind, class, bytes, confidence] = ["kind", "class", "bytes", "confidence"].map(|field| show(&key[field]));
            let [interval, echo] = ["interval_ms", "echo_ms"].map(|field| ms(&key[field]));
            format!("{offset:>10} s  {kind:<6}  {class:<10}  {bytes:>4} B  {interval:>8}  {echo:>7}  {confidence}")
        })
        .collect();
    for entry in lines.iter().take(LISTED) {
        line(text, "", entry);
    }
    let Some(rest) = lines.get(LISTED..).filter(|rest| !rest.is_empty()) else { return };
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for key in strokes.iter().skip(LISTED) {
        *kinds.entry(format!("{} {}", show(&key["kind"]), show(&key["class"]))).or_default() += 1;
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    line(text, "", &format!("and {} more: {}", rest.len(), kinds.join(", ")));
    let digest: String = Sha256::digest(rest.join("\n")).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    line(text, "", &format!("whose lines have the digest {digest}"));
}

fn put_summary(text: &mut String, summary: &Value) {
    put(text, "summary", &[&summary["first_time"], &summary["last_time"]]);
    for group in [&["packets", "bytes", "undecoded", "truncated", "duplicated"][..], &["sessions", "alerts", "flows", "dropped"]]
    {
        let counts: Vec<String> = group.iter().map(|field| format!("{field} {}", show(&summary[field]))).collect();
        line(text, "", &counts.join(", "));
    }
    for input in summary["inputs"].as_array().unwrap() {
        put(text, "input", &[&input["path"], &input["status"], &input["error"], &input["frames"]]);
    }
}

fn put(text: &mut String, name: &str, values: &[&Value]) {
    line(text, name, &values.iter().map(|value| show(value)).collect::<Vec<_>>().join(" "));
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name:<22} {value}").unwrap();
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(string) => string.clone(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name} {}", show(value))).collect();
            format!("({})", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// Milliseconds to a tenth.
fn ms(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}
