//! Telnet, rlogin and X11 through the program: what is told of each, and what is not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod pcap;
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod program;
#[path = "program/talk.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod talk;
#[path = "program/traffic.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod traffic;

use std::fs;

use program::{keywitness, of};
use serde_json::{Value, json};
use talk::{Speaker, Talk};

/// What the program says of a conversation on a port that says nothing: (milliseconds, from the client, bytes).
fn analyze(said: &[(u64, bool, &[u8])], keystrokes: &str) -> Vec<Value> {
    let mut talk = Talk::with(2_323);
    for (ms, from_client, bytes) in said {
        talk.say(*ms, if *from_client { Speaker::Client } else { Speaker::Server }, bytes);
    }
    talk.analyze(&[keystrokes]).0
}

const IN_CHARACTER_MODE: [(u64, bool, &[u8]); 3] = [
    (30, false, &[255, 253, 24, 255, 251, 1, 255, 251, 3]),
    (50, true, &[255, 251, 24, 255, 253, 1, 255, 253, 3]),
    (51, false, b"login: "),
];

#[test]
fn a_user_name_is_timed_and_a_password_only_counted() {
    let mut talk = IN_CHARACTER_MODE.to_vec();
    for (nth, key) in b"jdoe".iter().enumerate() {
        let ms = 1_000 + 170 * nth as u64;
        talk.push((ms, true, std::slice::from_ref(key)));
        talk.push((ms + 2, false, std::slice::from_ref(key)));
    }
    talk.push((1_900, true, b"\r\0"));
    talk.push((1_902, false, b"\r\nPassword: "));
    for nth in 0..9_u64 {
        talk.push((3_000 + 150 * nth, true, b"s"));
    }
    talk.push((4_500, true, b"\r\0"));
    talk.push((4_503, false, b"\r\nlast login today\r\n$ "));
    for (keystrokes, told) in [("--keystrokes", 6), ("--keystrokes=all", 15)] {
        let records = analyze(&talk, keystrokes);
        let session = of(&records, "session")[0].clone();
        assert_eq!((&session["protocol"], &session["identified_by"]), (&json!("telnet"), &json!("handshake")));
        assert_eq!((&session["keystrokes"]["count"], &session["keystrokes"]["silent"]), (&json!(15), &json!(9)));
        assert_eq!(of(&records, "keystroke").len(), told);
    }
}

#[test]
fn of_lines_nothing_is_told() {
    let talk: [(u64, bool, &[u8]); 4] =
        [(30, false, &[255, 253, 24]), (50, true, &[255, 252, 24]), (900, true, b"help\r\n"), (902, false, b"no help\r\n")];
    let records = analyze(&talk, "--keystrokes=all");
    let session = of(&records, "session")[0].clone();
    assert_eq!((&session["details"]["mode"], &session["keystrokes"]), (&json!("line"), &Value::Null));
}

#[test]
fn what_a_terminal_answers_by_itself_is_no_key() {
    let mut talk = IN_CHARACTER_MODE.to_vec();
    for nth in 0..5_u64 {
        talk.push((1_000 + 400 * nth, false, b"\x1b[6n"));
        talk.push((1_022 + 400 * nth, true, b"\x1b[24;80R"));
    }
    let records = analyze(&talk, "--keystrokes=all");
    assert_eq!(of(&records, "session")[0]["keystrokes"]["count"], json!(0));
}

/// The program opens the connection, and the keyboard is at the other end.
#[test]
fn in_x11_the_end_that_accepts_is_the_one_that_types() {
    let event = |kind: u8, ms: u64| {
        let mut event = vec![0; 32];
        event.splice(..8, [kind, 0x5a, 0, 0, ms as u8, (ms >> 8) as u8, 0, 0]);
        event
    };
    let mut talk =
        vec![(30, true, b"l\0\x0b\0\0\0\0\0\0\0\0\0".to_vec()), (52, false, vec![1, 0, 11, 0, 0, 0, 1, 0, 9, 9, 9, 9])];
    let mut wanted = Vec::new();
    for nth in 0..30_u64 {
        let (down, up) = (1_000 + nth * 210 + nth * nth % 70, 1_080 + nth * 210 + nth * nth % 90);
        talk.extend([
            (down, false, event(2, down)),
            (down + 4, true, vec![0; 60]),
            (up, false, event(3, up)),
            (up + 4, true, vec![0; 8]),
        ]);
        wanted.extend(["press", "release"]);
    }
    let talk: Vec<_> = talk.iter().map(|(ms, from_client, bytes)| (*ms, *from_client, bytes.as_slice())).collect();
    let records = analyze(&talk, "--keystrokes=all");
    let session = of(&records, "session")[0].clone();
    assert_eq!((&session["protocol"], &session["details"]["accepted"]), (&json!("x11"), &json!(true)));
    assert_eq!((&session["client"]["port"], &session["client_evidence"]), (&json!(2_323), &json!("banner")));
    let kinds: Vec<_> = of(&records, "keystroke").iter().map(|key| key["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, wanted);
    assert_eq!(session["keystrokes"]["method"], json!("message"));
}

#[test]
fn under_pseudonyms_no_user_of_rlogin_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n").unwrap();
    #[cfg(unix)]
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let args = ["analyze", "--format", "ndjson", "pcaps/rlogin.pcap"];
    let run = keywitness(args);
    let details = of(&run.records(), "session")[0]["details"].clone();
    assert_eq!((&details["client_user"], &details["server_user"]), (&json!("root"), &json!("labu")));
    let run = keywitness(args.into_iter().chain(["--pseudonymize", key.to_str().unwrap()]));
    assert!(!run.stdout.contains("labu") && !run.stdout.contains("\"root\""));
}
