//! Remote desktops through the program: what is told of VNC and RDP sessions on any port, and of each key when it went down and
//! up, though never which.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod pcap;
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod program;
#[path = "program/talk.rs"]
mod talk;
#[path = "program/traffic.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod traffic;
#[path = "program/typed.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod typed;

use std::fs;

use program::{keywitness, nanos, of};
use serde_json::{Value, json};
use talk::{
    Speaker::{Client as C, Server as S},
    Talk,
};
use traffic::BEGIN;

const PORT: u16 = 7_777;
const KEYSTROKES: [&str; 1] = ["--keystrokes=all"];

/// Somebody types: (milliseconds, down), in order; intervals and holds differ, and some keys overlap.
fn typing() -> Vec<(u64, bool)> {
    let mut events = Vec::new();
    let mut ms = 2_000;
    for i in 0..50_u64 {
        ms += 90 + (i * 37) % 160;
        events.push((ms, true));
        events.push((ms + 60 + (i * 13) % 55, false));
    }
    events.sort_unstable();
    events
}

/// Times and kinds of the keystrokes, in milliseconds since the beginning.
fn keys(records: &[Value]) -> Vec<(u64, String)> {
    let begin = i64::try_from(BEGIN).unwrap();
    let ms = |key: &Value| u64::try_from((nanos(&key["time"]) - begin) / 1_000_000).unwrap();
    of(records, "keystroke").iter().map(|key| (ms(key), key["kind"].as_str().unwrap().to_owned())).collect()
}

fn expected(typed: &[(u64, bool)]) -> Vec<(u64, String)> {
    typed.iter().map(|(ms, down)| (*ms, if *down { "press" } else { "release" }.to_owned())).collect()
}

/// A VNC session in clear, with a moving pointer, in which the key with the name 0x5a5a is typed.
fn vnc() -> Talk {
    let mut talk = Talk::with(PORT);
    talk.say(30, S, b"RFB 003.008\n");
    talk.say(50, C, b"RFB 003.008\n");
    talk.say(51, S, &[1, 2]);
    talk.say(70, C, &[2]);
    talk.say(71, S, &[7; 16]);
    talk.say(90, C, &[8; 16]);
    talk.say(91, S, &[0; 4]);
    talk.say(110, C, &[1]);
    talk.say(111, S, b"\x03\x20\x02\x58................\0\0\0\x05lab\n1");
    for i in 0..100 {
        talk.say(200 + 16 * i, C, &[5, 0, 0, 9, 0, i as u8]);
    }
    for (ms, down) in typing() {
        talk.say(ms, C, &[255, 0, 0, u8::from(down), 0, 0, 0x5a, 0x5a, 0, 0, 0x5a, 0x5a]);
        if down {
            talk.say(ms + 9, S, &[0; 60]);
        }
    }
    talk
}

#[test]
fn keys_of_a_vnc_session_in_clear_are_exact() {
    let (records, text) = vnc().analyze(&KEYSTROKES);
    let session = of(&records, "session")[0].clone();
    assert_eq!((&session["protocol"], &session["identified_by"]), (&json!("vnc"), &json!("handshake")));
    assert_eq!(
        session["details"],
        json!({
            "version": "3.8", "client_version": "3.8", "server_version": "3.8", "security_type": "vnc", "security_ok": true,
            "desktop_name": "lab\\u{a}1", "desktop_width": 800, "desktop_height": 600, "shared": true, "tls_version": null, "server_key_bits": null,
        })
    );
    assert_eq!(keys(&records), expected(&typing()));
    let keystrokes = &session["keystrokes"];
    assert_eq!((&keystrokes["presses"], &keystrokes["releases"], &keystrokes["repeats"]), (&json!(50), &json!(50), &json!(0)));
    assert_eq!((&keystrokes["method"], &keystrokes["hold_ms"]["samples"]), (&json!("message"), &json!(50)));
    assert_eq!(keystrokes["echo_ms"]["p50"], json!(9.0));
    let name = 0x5a5a_u32;
    let told = [name.to_string(), format!("{name:x}"), "ZZ".to_owned()];
    assert!(told.iter().all(|told| !text.contains(told)), "which key it was is not told");
}

/// An RDP session inside TLS 1.2, AES-GCM: records of a client's keys and of its mouse, as FreeRDP sends them.
fn rdp() -> Talk {
    let record = |content: usize| {
        let len = content + 24;
        [&[23, 3, 3, 0, len as u8][..], &vec![0xaa; len]].concat()
    };
    let mut hello = vec![22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x30, 0]);
    let mut talk = Talk::with(PORT);
    talk.say(30, C, b"\x03\0\0\x2a\x25\xe0\0\0\0\0\0Cookie: mstshash=jdoe\r\n\x01\0\x08\0\x03\0\0\0");
    talk.say(31, S, &[3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 2, 0, 8, 0, 1, 0, 0, 0]);
    talk.say(52, S, &hello);
    talk.say(80, C, &record(12));
    talk.say(90, C, &record(4)); // the lock keys
    for i in 0..100 {
        talk.say(200 + 16 * i, C, &record(10)); // the mouse
    }
    for (ms, down) in typing() {
        talk.say(ms, C, &record(5));
        if down {
            talk.say(ms + 9, S, &record(60));
        }
    }
    talk
}

#[test]
fn keys_of_an_rdp_session_are_told_from_its_mouse_and_downs_from_ups() {
    let (records, _) = rdp().analyze(&KEYSTROKES);
    let session = of(&records, "session")[0].clone();
    let details = &session["details"];
    assert_eq!((&session["protocol"], &details["cookie"]), (&json!("rdp"), &json!("jdoe")));
    assert_eq!((&details["requested_protocols"], &details["selected_protocol"]), (&json!(["tls", "hybrid"]), &json!("tls")));
    assert_eq!((&details["tls_version"], &details["client_name"]), (&json!("TLS 1.2"), &Value::Null));
    let (found, typed) = (keys(&records), expected(&typing()));
    assert_eq!(found.len(), typed.len(), "each key, and nothing of the mouse");
    let wrong = found.iter().zip(&typed).filter(|(found, typed)| found != typed).count();
    assert!(wrong <= 2, "{wrong} of {} are wrong", typed.len());
    assert_eq!(session["keystrokes"]["method"], "record_size+rhythm");
}

#[test]
fn whoever_wants_no_keystrokes_gets_the_same_summary() {
    for talk in [vnc(), rdp()] {
        let (records, wanted) = (talk.analyze(&[]).0, talk.analyze(&KEYSTROKES).0);
        assert_eq!(of(&records, "session")[0]["keystrokes"], of(&wanted, "session")[0]["keystrokes"]);
    }
}

#[test]
fn a_claim_is_found_by_the_name_in_the_cookie() {
    let folder = tempfile::tempdir().unwrap();
    let claims = folder.path().join("claims.csv");
    fs::write(&claims, "identity,place,rdp_cookie\njohn,\"Boise, US\",jdoe\n").unwrap();
    let more = ["--claims", claims.to_str().unwrap(), "--sensor", "Seattle, US"];
    let (records, _) = rdp().analyze(&more);
    assert_eq!(of(&records, "session")[0]["claim"]["identity"], "john");
    let (records, _) = vnc().analyze(&more);
    assert_eq!(of(&records, "session")[0]["claim"], Value::Null);
}

#[test]
fn under_pseudonyms_no_name_is_told() {
    for (talk, name) in [(rdp(), "jdoe"), (vnc(), "lab\\\\u{a}1")] {
        assert!(talk.analyze(&KEYSTROKES).1.contains(name));
        assert!(!talk.pseudonymized().contains(name));
    }
}

/// RSA-AES: where it ends with the credentials all is read as in clear; elsewhere a key's message has a length of its own.
#[test]
fn rsa_aes_shows_keys_by_the_length_of_their_message_or_in_clear() {
    for (name, kind, method) in [("desktop/vnc-ra2", "ra2_256", "record_size+rhythm"), ("desktop/vnc-ra2ne", "ra2ne", "message")]
    {
        let truth = typed::Typed::of(name);
        let args = ["analyze", "--format", "ndjson", "--keystrokes=all", &format!("pcaps/{name}.pcap")];
        let records = keywitness(args).records();
        let session = of(&records, "session")[0];
        let details = &session["details"];
        assert_eq!((&details["security_type"], &details["server_key_bits"]), (&json!(kind), &json!(2_048)));
        assert_eq!((&details["security_ok"], &session["keystrokes"]["method"]), (&json!(true), &json!(method)));
        let times = |kinds: [&str; 2]| {
            let keys = of(&records, "keystroke");
            let mut times: Vec<i64> =
                keys.iter().filter(|key| kinds.iter().any(|kind| key["kind"] == *kind)).map(|key| nanos(&key["time"])).collect();
            times.sort_unstable();
            times
        };
        let (down, up) = (times(["press", "repeat"]), times(["release", "release"]));
        let hits = (truth.hits(&down, 40), truth.hits_of(&truth.releases, &up, 40));
        let enough = |hits: usize, told: usize, typed: usize| hits * 100 >= told * 95 && hits * 100 >= typed * 95;
        assert!(enough(hits.0, down.len(), truth.keys.len()), "{name}: {} of {}, typed {}", hits.0, down.len(), truth.keys.len());
        assert!(enough(hits.1, up.len(), truth.releases.len()), "{name}: {} of {}, {}", hits.1, up.len(), truth.releases.len());
        assert!(session["keystrokes"]["hold_ms"]["p50"].as_f64().unwrap() > 30.0);
    }
}
