//! How often somebody is told: once a session and finding, not again and again, not of what the claims allow, and the same each time
//! that the same capture is read.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{fs, path::Path};

use pcap::{Classic, Packet, read};
use program::{keywitness, of};
use serde_json::Value;

/// The client of `ssh-far.pcap`, which is too far for its claim.
const CLIENT: [u8; 4] = [203, 0, 113, 17];

const MINUTE: u64 = 60_000_000_000;

/// `ssh-far.pcap` again and again: each time from the next port, as many minutes later as is said.
fn far_sessions(minutes: &[u64]) -> Vec<u8> {
    let mut packets: Vec<Packet> = Vec::new();
    for (session, minutes) in minutes.iter().enumerate() {
        for packet in read("ssh-far") {
            let mut bytes = packet.bytes;
            // Ethernet, IPv4 without options, TCP.
            let port = if bytes[26..30] == CLIENT { 34 } else { 36 };
            let moved = u16::from_be_bytes([bytes[port], bytes[port + 1]]) + session as u16;
            bytes[port..port + 2].copy_from_slice(&moved.to_be_bytes());
            packets.push(Packet { time: packet.time + minutes * MINUTE, bytes });
        }
    }
    packets.sort_by_key(|packet| packet.time);
    Classic { big_endian: false, microseconds: false }.write(&packets)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Our claims, and more.
    fn claims(&self, more: &str) -> String {
        let ours = fs::read_to_string(program::repository().join("pcaps/claims.toml")).unwrap();
        self.file("claims.toml", format!("{ours}\n{more}"))
    }
}

fn analyze(capture: &str, claims: &str, options: &[&str]) -> Vec<Value> {
    let run = keywitness(["analyze", "--format", "ndjson", capture, "--claims", claims].iter().chain(options).copied());
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.records()
}

fn allow(text: &str) -> String {
    format!("[[allow]]\nfinding = [\"rtt_above_claim\"]\n{text}\n")
}

#[test]
fn what_the_claims_allow_is_said_and_no_alert() {
    let folder = Folder::new();
    for (allowed, text) in [
        (true, "identity = [\"asmith\"]\nreason = \"on call from the hotel\""),
        (true, "client = [\"203.0.113.0/24\"]\nserver = [\"198.51.100.2\"]"),
        (true, "identity = [\"asmith\"]\nfrom = 2026-11-22\nto = 2026-11-23"),
        (false, "identity = [\"jdoe\"]"),
        (false, "identity = [\"asmith\"]\nserver = [\"198.51.100.3\"]"),
        (false, "identity = [\"asmith\"]\nfrom = 2026-11-23"),
        (false, "identity = [\"asmith\"]\nto = 2026-11-22"),
    ] {
        let claims = folder.claims(&allow(text));
        let records = analyze("pcaps/ssh-far.pcap", &claims, &[]);
        assert_eq!(of(&records, "alert").is_empty(), allowed, "{text}");
        let session = of(&records, "session")[0];
        assert_eq!(
            (session["verdict"].as_str(), session["findings"][0]["id"].as_str()),
            (Some("implausible"), Some("rtt_above_claim"))
        );
        let told = session["claim"]["allowed"].as_array().unwrap();
        assert_eq!(!told.is_empty(), allowed, "{text}");
        assert!(
            told.iter()
                .all(|one| one["finding"] == "rtt_above_claim" && one["source"].as_str().unwrap().starts_with("claims line "))
        );
    }
    // Another finding is no matter of it.
    let claims = folder.claims("[[allow]]\nfinding = [\"two_places\"]\nidentity = [\"asmith\"]\n");
    assert_eq!(of(&analyze("pcaps/ssh-far.pcap", &claims, &[]), "alert").len(), 1);
}

#[test]
fn mistakes_of_an_allowance_are_told_with_their_line() {
    let folder = Folder::new();
    let before = fs::read_to_string(program::repository().join("pcaps/claims.toml")).unwrap().lines().count();
    for (text, line, words) in [
        ("[[allow]]\nfinding = [\"rtt_above\"]\nidentity = [\"x\"]", 3, "allow.finding: \"rtt_above\" is none of"),
        ("[[allow]]\nfinding = []\nidentity = [\"x\"]", 2, "allow.finding: is empty"),
        ("[[allow]]\nfinding = [\"two_places\"]", 2, "is for everybody"),
        ("[[allow]]\nfinding = [\"two_places\"]\nclient = [\"203.0.113.9/24\"]", 4, "bits set"),
        ("[[allow]]\nfinding = [\"two_places\"]\nidentity = [\"x\"]\nfrom = 2026-11-23\nto = 2026-11-23", 6, "allow.to"),
    ] {
        let run = keywitness(["claims", "check", &folder.claims(text)]);
        assert_eq!(run.status, 2, "{text}");
        assert!(run.stderr.contains(&format!("line {}", before + line)) && run.stderr.contains(words), "{}", run.stderr);
    }
    let run = keywitness(["claims", "check", &folder.claims(&allow("identity = [\"asmith\"]"))]);
    assert!(run.status == 0 && run.stdout.contains("no alert of rtt_above_claim"), "{}", run.stdout);
}

/// A travel window: the same session is consistent where the claim said so beforehand.
#[test]
fn who_travels_as_announced_is_not_alerted() {
    let folder = Folder::new();
    let claim = |window: &str| {
        let text = format!(
            "[sensor]\nplace = \"Seattle, US\"\n[[claim]]\nidentity = \"asmith\"\n[[claim.match]]\nclient = [\"203.0.113.17\"]\n\
             [[claim.place]]\nplace = \"Denver, US\"\naccess = \"fiber\"\n[[claim.place]]\nplace = \"Berlin, DE\"\n{window}\n"
        );
        folder.file("claims.toml", text)
    };
    let alerts = |claims: &str| of(&analyze("pcaps/ssh-far.pcap", claims, &[]), "alert").len();
    assert_eq!(alerts(&claim("from = 2026-11-20\nto = 2026-12-01")), 0);
    assert_eq!(alerts(&claim("from = 2026-11-23\nto = 2026-12-01")), 1, "not yet there");
}

#[test]
fn a_cool_down_holds_the_same_back_and_counts_it() {
    let folder = Folder::new();
    let capture = folder.file("far.pcap", far_sessions(&[0, 10, 20, 70, 75]));
    let alerts = |options: &[&str]| {
        let records = analyze(&capture, "pcaps/claims.toml", options);
        let repeats: Vec<u64> = of(&records, "alert").iter().map(|alert| alert["repeats"].as_u64().unwrap()).collect();
        let sessions = of(&records, "session").into_iter().filter(|session| session["state"] != "open").collect::<Vec<_>>();
        assert!(sessions.len() == 5 && sessions.iter().all(|session| session["verdict"] == "implausible"), "judged as ever");
        (repeats, of(&records, "summary")[0]["alerts_held"].as_u64().unwrap())
    };
    assert_eq!(alerts(&[]), (vec![0; 5], 0));
    assert_eq!(alerts(&["--cool-down", "1h"]), (vec![0, 2], 3));
    assert_eq!(alerts(&["--cool-down", "1h", "--report-every", "5s"]), (vec![0, 2], 3), "a session that goes on counts once");
    assert_eq!(alerts(&["--cool-down", "1h", "--workers", "3"]), (vec![0, 2], 3));
}

/// The same capture, twice: what is kept for the collectors is the same, byte for byte.
#[test]
fn a_replay_gives_the_same_bytes() {
    let folder = Folder::new();
    let capture = folder.file("far.pcap", far_sessions(&[0, 10, 20, 70, 75]));
    let spooled = |name: &str, options: &[&str]| {
        let spool = folder.path(name);
        analyze(&capture, "pcaps/claims.toml", &[&["--spool", spool.as_str()], options].concat());
        fs::read(Path::new(&spool).join("00000000000000000000.spool")).unwrap()
    };
    let one = spooled("one", &[]);
    assert!(one.windows(10).filter(|bytes| bytes == b"\"alert_id\"").count() == 5);
    assert!(spooled("two", &[]) == one && spooled("three", &["--workers", "3"]) == one);
}
