//! What is inferred of logins and of what sessions are for, against what the accounts and commands are known to have been.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "not all is needed here")]
mod program;

use std::fs;

use program::{captures, keywitness, of, repository};
use serde_json::Value;

/// The truth of the logins of a capture, one a session, in order; none where it is not known.
fn logins(name: &str) -> Vec<Value> {
    let meta = fs::read_to_string(repository().join(format!("pcaps/{name}.meta.json"))).unwrap();
    let meta: Value = serde_json::from_str(&meta).unwrap();
    meta["logins"].as_array().cloned().unwrap_or_default()
}

fn sessions(name: &str, options: &[&str]) -> Vec<Value> {
    let file = format!("pcaps/{name}.pcap");
    let arguments = ["analyze", "--format", "ndjson"].into_iter().chain(options.iter().copied()).chain([file.as_str()]);
    let mut sessions: Vec<Value> = of(&keywitness(arguments).records(), "session").into_iter().cloned().collect();
    sessions.sort_by_key(|session| session["start"].as_str().unwrap().to_owned());
    sessions
}

#[test]
fn each_login_is_as_it_was() {
    let known: Vec<String> = captures().into_iter().filter(|name| !logins(name).is_empty()).collect();
    assert!(known.len() >= 3, "{known:?}");
    for name in known {
        let (truth, sessions) = (logins(&name), sessions(&name, &[]));
        assert_eq!(truth.len(), sessions.len(), "{name}");
        for (truth, session) in std::iter::zip(truth, sessions) {
            let (auth, activity) = (&session["details"]["auth"], &session["details"]["activity"]);
            for field in ["method", "attempts", "success", "typed"] {
                assert_eq!(auth[field], truth[field], "{name} {field} of {truth}");
            }
            assert_eq!(auth["basis"], "inferred");
            for field in ["kind", "remote_forwarding"] {
                let said = &activity[field];
                assert!(said.is_null() || *said == truth[field], "{name} {field} of {truth}: {said}");
            }
        }
    }
}

const PORTS: [&str; 3] = ["local_forwarding", "reverse_connection", "reverse_typing"];

/// What passed through ports of either side is as it was, or not told; and most of it is told.
#[test]
fn whose_ports_were_used_is_known() {
    let mut told = [0; 3];
    for name in ["ssh/ports-local", "ssh/ports-reverse"] {
        let (truth, sessions) = (logins(name), sessions(name, &[]));
        assert_eq!(truth.len(), sessions.len(), "{name}");
        for (truth, session) in std::iter::zip(truth, sessions) {
            let activity = &session["details"]["activity"];
            assert_eq!(activity["kind"], "none", "{truth}");
            for (field, told) in PORTS.iter().zip(&mut told).chain([(&"remote_forwarding", &mut 0)]) {
                let said = &activity[*field];
                assert!(said.is_null() || *said == truth[*field], "{name} {field} of {truth}: {said}");
                *told += u32::from(*said == true);
            }
        }
    }
    assert_eq!(told, [4, 5, 3], "of four, of five, and of four into which somebody typed");
}

/// Of sessions with a terminal or a command, and through which nothing was passed on, nothing is said.
#[test]
fn nothing_is_said_of_ports_beside_a_session() {
    for name in captures().iter().filter(|name| *name != "ports-remote") {
        for session in sessions(name, &[]) {
            let activity = &session["details"]["activity"];
            assert!(PORTS.iter().all(|field| activity[*field].is_null()), "{name}: {activity}");
        }
    }
}

/// Every session of the other captures was let in by its key, which was offered once.
#[test]
fn keys_are_known_for_keys() {
    for name in captures().iter().filter(|name| name.starts_with("ssh-") || name.starts_with("scp-")) {
        for session in sessions(name, &[]) {
            let auth = &session["details"]["auth"];
            let said = (&auth["method"], &auth["attempts"], &auth["success"]);
            assert_eq!(said, (&"publickey".into(), &1.into(), &true.into()), "{name}");
        }
    }
}

/// Without its beginning, or without one side, nothing is said of a login.
#[test]
fn half_a_session_tells_nothing_of_its_login() {
    let start = nanos_of(&sessions("ssh-home", &[])[0]["start"]);
    let later = format!("{}..", start);
    for options in [&["--time-range", later.as_str()][..], &["--filter", "src port 22"], &["--filter", "dst port 22"]] {
        let halves = sessions("ssh-home", options);
        assert!(!halves.is_empty(), "{options:?}");
        for session in halves {
            assert_eq!(session["details"]["auth"], Value::Null, "{options:?}");
            assert_eq!(session["details"]["activity"], Value::Null, "{options:?}");
        }
    }
}

/// Five seconds behind this time, in the form that `--time-range` takes.
fn nanos_of(time: &Value) -> String {
    let nanos = program::nanos(time) + 5_000_000_000;
    let (seconds, hour) = (nanos / 1_000_000_000, 3_600);
    let date = time.as_str().unwrap().split('T').next().unwrap().to_owned();
    format!("{date}T{:02}:{:02}:{:02}Z", seconds / hour % 24, seconds / 60 % 60, seconds % 60)
}
