//! `app_rtt` and `relay_before_client`: the client program's own round trips against those of its TCP, over captures with a known
//! leg behind the client, over all others, and over captures whose answers are held back.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "no times are read here")]
mod program;

use std::fs;

use pcap::{Classic, Packet};
use program::{captures, keywitness, of, repository};
use serde_json::Value;

const MILLISECOND: u64 = 1_000_000;

/// The sessions of a capture under the claims of `pcaps`.
fn sessions(file: &str) -> Vec<Value> {
    let run = keywitness(["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml", file]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{file}");
    of(&run.records(), "session").into_iter().cloned().collect()
}

fn relay_finding(session: &Value) -> Option<&Value> {
    session["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "relay_before_client")
}

fn relay_test(session: &Value) -> &Value {
    session["tests"].as_array().unwrap().iter().find(|test| test["id"] == "relay_before_client").unwrap()
}

/// The emulated leg behind what ends the connection, in milliseconds; 0 without one.
fn hidden_leg(name: &str) -> f64 {
    let meta = fs::read_to_string(repository().join(format!("pcaps/{name}.meta.json"))).unwrap();
    serde_json::from_str::<Value>(&meta).unwrap()["far"]["rtt"].as_f64().unwrap_or_default()
}

fn near(measured: &Value, leg: f64) -> bool {
    (measured.as_f64().unwrap() - leg).abs() <= leg * 0.15
}

#[test]
fn a_program_behind_a_jump_host_is_found_and_the_leg_measured() {
    let session = &sessions("pcaps/ssh-relayed.pcap")[0];
    let (finding, leg) = (relay_finding(session).unwrap(), hidden_leg("ssh-relayed"));
    assert_eq!((&finding["severity"], &finding["basis"]), (&"medium".into(), &"model".into()));
    assert!(near(&session["app_rtt"]["excess_ms"], leg), "{}", session["app_rtt"]);
    assert_eq!(session["verdict"], "implausible");
    for part in ["service ", "open ", "proxy", "gateway"] {
        assert!(finding["explanation"].as_str().unwrap().contains(part), "{part} missing in {}", finding["explanation"]);
    }
    assert!(finding["innocent_causes"].as_array().unwrap().iter().any(|cause| cause.as_str().unwrap().contains("middlebox")));
}

#[test]
fn hosts_behind_the_server_are_told_by_echoes_that_come_later_in_steps() {
    let meta = fs::read_to_string(repository().join("pcaps/ssh-hops.meta.json")).unwrap();
    let meta: Value = serde_json::from_str(&meta).unwrap();
    let session = &sessions("pcaps/ssh-hops.pcap")[0];
    let told = &session["app_rtt"]["server"];
    assert_eq!((&told["extra_hops"], &session["findings"]), (&2.into(), &Value::Array(Vec::new())), "an estimate, no finding");
    for (leg, truth) in told["legs"].as_array().unwrap().iter().zip(meta["legs_behind_server"].as_array().unwrap()) {
        assert!(near(&leg["ms"], truth["rtt"].as_f64().unwrap()), "{leg}");
    }
    for (name, hops) in
        [("ssh-home", 0.into()), ("ssh-nested", 0.into()), ("ssh-obfuscated", Value::Null), ("ssh-idle", Value::Null)]
    {
        assert_eq!(sessions(&format!("pcaps/{name}.pcap"))[0]["app_rtt"]["server"]["extra_hops"], hops, "{name}");
    }
}

#[test]
fn a_terminal_behind_the_client_is_found_by_its_answers() {
    let session = &sessions("pcaps/ssh-nested.pcap")[0];
    let (finding, leg) = (relay_finding(session).unwrap(), hidden_leg("ssh-nested"));
    assert!(finding["explanation"].as_str().unwrap().contains("terminal's automatic answers"), "{}", finding["explanation"]);
    assert!(near(&session["app_rtt"]["terminal"]["excess_ms"], leg), "{}", session["app_rtt"]);
    let program = session["app_rtt"]["excess_ms"].as_f64().unwrap();
    assert!(program < 10.0, "the login ends in front of the leg: {program}");
}

/// When a viewer sends its keys is not looked at, so nothing rules out that it keeps an even pace: the finding stays low.
#[test]
fn a_viewer_behind_a_relay_is_found_and_the_leg_measured() {
    for (name, part) in [("vnc-relayed", "fence "), ("rdp-relayed", "join ")] {
        let session = &sessions(&format!("pcaps/{name}.pcap"))[0];
        let (finding, leg) = (relay_finding(session).unwrap(), hidden_leg(name));
        assert_eq!((&finding["severity"], &session["verdict"]), (&"low".into(), &"undecided".into()), "{name}");
        assert!(near(&session["app_rtt"]["excess_ms"], leg), "{name}: {}", session["app_rtt"]);
        assert!(finding["explanation"].as_str().unwrap().contains(part), "{name}: {}", finding["explanation"]);
    }
}

#[test]
fn no_direct_session_is_accused() {
    let mut tested = 0;
    for name in captures().iter().filter(|name| hidden_leg(name) == 0.0) {
        for session in sessions(&format!("pcaps/{name}.pcap")) {
            assert_eq!(relay_finding(&session), None, "{name}");
            if ["telnet", "rlogin"].iter().any(|terminal| session["protocol"] == *terminal) {
                continue; // the program answers nothing by itself
            }
            if name == "login-refused" {
                continue; // too short to be tested
            }
            assert_eq!(relay_test(&session)["outcome"], "fits", "{name}: {}", relay_test(&session)["reason"]);
            let excess = session["app_rtt"]["excess_ms"].as_f64().unwrap();
            assert!(excess.abs() < 3.0, "{name}: {excess}");
            tested += 1;
        }
    }
    assert!(tested >= 16, "{tested} sessions");
}

/// `ssh-home` with each answer of the login held back by so many milliseconds; all that follows shifts.
fn held_back(delays: impl Fn(usize) -> u64) -> Vec<Packet> {
    let mut packets = pcap::read("ssh-home");
    let start = packets[0].time;
    let (mut shift, mut answers, mut server_spoke) = (0, 0, false);
    for packet in &mut packets {
        let from_client = packet.bytes[36..38] == 22u16.to_be_bytes();
        let has_data = payload(&packet.bytes) > 0;
        // The login is over after a second; what follows is typed.
        if from_client && has_data && server_spoke && packet.time < start + 400 * MILLISECOND {
            shift += delays(answers) * MILLISECOND;
            answers += 1;
        }
        if has_data {
            server_spoke = !from_client;
        }
        packet.time += shift;
    }
    assert!(answers >= 6, "{answers} answers");
    packets
}

/// Bytes of data in a frame of TCP over IPv4 over Ethernet.
fn payload(frame: &[u8]) -> usize {
    let ip = &frame[14..];
    let header = usize::from(ip[0] & 15) * 4;
    usize::from(u16::from_be_bytes([ip[2], ip[3]])) - header - usize::from(ip[header + 12] >> 4) * 4
}

fn analyzed(packets: &[Packet]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.pcap");
    fs::write(&path, Classic { big_endian: false, microseconds: false }.write(packets)).unwrap();
    sessions(path.to_str().unwrap())[0].clone()
}

#[test]
fn the_severity_follows_the_length_of_the_leg() {
    for (leg, severity, verdict) in [(0, None, "consistent"), (12, None, "consistent"), (30, Some("low"), "undecided")] {
        let session = analyzed(&held_back(|_| leg));
        assert_eq!(relay_finding(&session).map(|finding| finding["severity"].as_str().unwrap()), severity, "{leg} ms");
        assert_eq!(session["verdict"], verdict, "{leg} ms");
    }
    for leg in [60, 120, 250] {
        let session = analyzed(&held_back(|_| leg));
        assert_eq!(relay_finding(&session).unwrap()["severity"], "medium", "{leg} ms");
        assert!(near(&session["app_rtt"]["excess_ms"], leg as f64), "{leg} ms: {}", session["app_rtt"]);
    }
}

#[test]
fn a_client_that_is_held_up_now_and_then_is_not_accused() {
    for seed in 0..20 {
        let session = analyzed(&held_back(|answer| 20 + (seed * 6151 + answer as u64 * 7919) % 997 / 2));
        assert_eq!(relay_finding(&session), None, "seed {seed}: {}", session["app_rtt"]);
    }
    let session = analyzed(&held_back(|answer| [40, 180, 90, 300, 60, 500, 130, 240][answer % 8]));
    assert_eq!((&relay_test(&session)["outcome"], &session["verdict"]), (&"not_testable".into(), &"undecided".into()));
    let session = analyzed(&held_back(|answer| if answer == 3 { 0 } else { 150 }));
    assert_eq!(relay_test(&session)["outcome"], "fits", "one prompt answer is enough");
}

#[test]
fn without_the_login_nothing_is_said() {
    let packets = pcap::read("ssh-relayed");
    let session = analyzed(&packets[60..]);
    assert_eq!((&session["app_rtt"], &relay_test(&session)["outcome"]), (&Value::Null, &"not_testable".into()));
    assert!(relay_test(&session)["reason"].as_str().unwrap().contains("login was not captured"));
}

#[test]
fn a_relay_that_the_claims_name_is_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.toml");
    let claims = fs::read_to_string(repository().join("pcaps/claims.toml")).unwrap();
    let bastion = "\n[[middlebox]]\nname = \"bastion\"\nnet = [\"203.0.113.0/24\"]\nplace = \"Seattle, US\"\n";
    fs::write(&path, claims + bastion).unwrap();
    let run = keywitness(["analyze", "--format", "ndjson", "--claims", path.to_str().unwrap(), "pcaps/ssh-relayed.pcap"]);
    let records = run.records();
    let session = of(&records, "session")[0];
    assert_eq!((relay_finding(session), &session["verdict"]), (None, &"undecided".into()));
}

#[test]
fn what_is_found_needs_no_claim_and_raises_no_alert_without_one() {
    let run = keywitness(["analyze", "--format", "ndjson", "pcaps/ssh-relayed.pcap"]);
    let records = run.records();
    let session = of(&records, "session")[0];
    assert!(relay_finding(session).is_some());
    assert_eq!((&session["verdict"], of(&records, "alert").len()), (&"no_claim".into(), 0));
    let table = keywitness(["analyze", "pcaps/ssh-relayed.pcap"]).stdout;
    assert!(table.contains("relay_before_client, severity medium, basis model"), "{table}");
    assert!(table.contains("banner ") && table.contains("service "), "the evidence: {table}");
}

/// The exchange that begins a session, and one each six or seven seconds: each has two round trips of the client program.
#[test]
fn keys_exchanged_anew_are_timed_and_not_typed() {
    for (name, exchanges) in [("ssh-rekey", 5), ("ssh-rekey-server", 7)] {
        let session = &sessions(&format!("pcaps/{name}.pcap"))[0];
        let steps = session["app_rtt"]["client"]["steps"].as_array().unwrap();
        for step in ["kexinit", "kex"] {
            let step = steps.iter().find(|found| found["step"] == step).unwrap();
            assert_eq!(step["samples"], exchanges, "{name}: {step}");
            assert!((60.0..66.0).contains(&step["ms"].as_f64().unwrap()), "{name}: {step}");
        }
        let keystrokes = &session["keystrokes"];
        assert_eq!((&keystrokes["pastes"], relay_finding(session)), (&0.into(), None), "{name}: {keystrokes}");
    }
}
