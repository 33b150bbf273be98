//! SPICE through the program: a channel each, keys to the message, and what a client that holds presses back leaves to be known.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "not all is needed here")]
mod program;
#[path = "program/typed.rs"]
#[expect(dead_code, reason = "not all is needed here")]
mod typed;

use std::fs;

use pcap::{Classic, Packet};
use program::{keywitness, nanos, of};
use serde_json::{Value, json};
use typed::Typed;

/// QEMU in clear: the guest's pointer follows, or is moved; the second wants a password.
const CAPTURES: [&str; 2] = ["desktop/spice", "desktop/spice-motion"];

/// How long the client waits for a release before it sends a press.
const HELD_BACK_MS: i64 = 100;

fn records(file: &str, more: &[&str]) -> Vec<Value> {
    let args = ["analyze", "--format", "ndjson", file];
    let run = keywitness(args.into_iter().chain(more.iter().copied()));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{file}");
    run.records()
}

fn of_packets(packets: &[Packet], more: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    fs::write(&file, Classic { big_endian: false, microseconds: false }.write(packets)).unwrap();
    records(file.to_str().unwrap(), more)
}

fn times(records: &[Value], kinds: &[&str]) -> Vec<i64> {
    let of_kind = |key: &&&Value| kinds.iter().any(|kind| key["kind"] == *kind);
    let mut times: Vec<i64> = of(records, "keystroke").iter().filter(of_kind).map(|key| nanos(&key["time"])).collect();
    times.sort_unstable();
    times
}

fn channel<'a>(records: &'a [Value], name: &str) -> &'a Value {
    let sessions = of(records, "session");
    sessions.into_iter().find(|session| session["details"]["channel"] == name).unwrap()
}

#[test]
fn each_channel_says_what_it_is_and_whose() {
    for name in CAPTURES {
        let records = records(&format!("pcaps/{name}.pcap"), &[]);
        let (inputs, cursor) = (channel(&records, "inputs"), channel(&records, "cursor"));
        let sessions = of(&records, "session");
        assert_eq!(sessions.len(), if name == CAPTURES[0] { 3 } else { 2 });
        for session in sessions {
            assert_eq!((&session["protocol"], &session["identified_by"]), (&json!("spice"), &json!("handshake")));
            let details = &session["details"];
            let known =
                [&details["client_version"], &details["server_version"], &details["auth_mechanism"], &details["link_result"]];
            assert_eq!(known, [&json!("2.2"), &json!("2.2"), &json!("ticket"), &json!("ok")]);
            assert_eq!(details["connection_id"], inputs["details"]["connection_id"], "one session");
            let (program, tcp) = (&session["app_rtt"]["client"], session["rtt"]["client"]["handshake_ms"].as_f64().unwrap());
            let smallest = program["floor_ms"].as_f64().unwrap();
            assert!(smallest >= 0.9 * tcp && smallest <= 1.3 * tcp, "{name}: {smallest} ms, TCP {tcp} ms");
            assert!(program["steps"].as_array().unwrap().iter().any(|step| step["step"] == "ping"));
        }
        assert_eq!((&inputs["details"]["desktop_name"], &cursor["keystrokes"]), (&Value::Null, &Value::Null));
    }
    let records = records("pcaps/desktop/spice.pcap", &[]);
    let main = channel(&records, "main");
    assert_eq!((&main["details"]["desktop_name"], &main["keystrokes"]), (&json!("spice"), &Value::Null));
}

/// Each key, modifiers too; the pointer is none. Repeats are told by their rhythm, releases come when they were.
#[test]
fn keys_are_counted_and_timed_as_far_as_the_client_lets_them() {
    for name in CAPTURES {
        let truth = Typed::of(name);
        for workers in ["1", "2"] {
            let records = records(&format!("pcaps/{name}.pcap"), &["--keystrokes=all", "--workers", workers]);
            let inputs = channel(&records, "inputs");
            let (down, up) = (times(&records, &["press", "repeat"]), times(&records, &["release"]));
            assert_eq!((down.len(), up.len()), (truth.keys.len(), truth.releases.len()), "{name}");
            let hits = (truth.hits(&down, HELD_BACK_MS + 40), truth.hits_of(&truth.releases, &up, 40));
            assert!(hits.0 * 1_000 >= down.len() * 985 && hits.1 * 1_000 >= up.len() * 985, "{name}: {hits:?} of {}", down.len());
            let keys = &inputs["keystrokes"];
            assert_eq!((&keys["method"], &inputs["details"]["presses_held_back"]), (&json!("message"), &json!(true)));
            assert_eq!((&keys["hold_ms"], &keys["echo_ms"]), (&Value::Null, &Value::Null), "nobody can know");
            assert!(keys["repeats"].as_u64().unwrap() >= 20 && keys["interval_ms"]["samples"].as_u64().unwrap() > 100);
        }
    }
}

/// No key has an echo on its connection, so that each may be a password's: without a wish for all, none is told.
#[test]
fn single_keys_are_told_only_where_all_are_wanted() {
    let told = |more: &[&str]| of(&records("pcaps/desktop/spice.pcap", more), "keystroke").len();
    assert!(told(&["--keystrokes"]) * 3 < told(&["--keystrokes=all"]));
}

/// Without the link nobody can know; with one message missing in the middle, that alone is not told.
#[test]
fn what_is_missing_makes_nothing_up() {
    let whole = pcap::read("desktop/spice-motion");
    let late = of_packets(&whole[whole.len() / 2..], &[]);
    assert!(of(&late, "session").iter().all(|session| session["protocol"] != "spice"));

    let truth = Typed::of("desktop/spice-motion");
    let is_key = |packet: &&Packet| packet.bytes.get(66) == Some(&104) && packet.bytes.len() == 74; // a press and its release
    let lost = whole.iter().filter(is_key).nth(40).unwrap().time;
    let cut: Vec<Packet> = whole.into_iter().filter(|packet| packet.time != lost).collect();
    let records = of_packets(&cut, &["--keystrokes=all"]);
    let (down, up) = (times(&records, &["press", "repeat"]), times(&records, &["release"]));
    assert!((truth.keys.len() - 3..truth.keys.len()).contains(&down.len()), "{}", down.len());
    assert!((truth.releases.len() - 3..truth.releases.len()).contains(&up.len()), "{}", up.len());
    assert_eq!(channel(&records, "inputs")["traffic"]["client"]["gaps"], json!(1));
}
