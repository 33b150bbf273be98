//! Keys typed with other programs than OpenSSH, and while keys are exchanged in a group, against the truth; and without the beginning of the
//! connection: each key that is told was pressed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "not all is needed here")]
mod program;
#[path = "program/typed.rs"]
#[expect(dead_code, reason = "not all is needed here")]
mod typed;

use std::fs;

use pcap::Classic;
use program::{keywitness, nanos, of, repository};
use serde_json::Value;
use typed::Typed;

fn analyze(file: &str) -> (Value, Vec<i64>) {
    let run = keywitness(["analyze", "--format", "ndjson", "--keystrokes=all", file]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{file}");
    let records = run.records();
    let typed = |key: &&&Value| ["press", "repeat"].contains(&key["kind"].as_str().unwrap());
    let mut times: Vec<_> = of(&records, "keystroke").iter().filter(typed).map(|key| nanos(&key["time"])).collect();
    times.sort_unstable();
    (of(&records, "session")[0].clone(), times)
}

#[test]
fn an_exchange_of_keys_in_a_group_is_no_typing() {
    for name in ["gex-client", "gex-server"] {
        let truth = Typed::of(&format!("ssh/{name}"));
        let (session, reports) = analyze(&format!("pcaps/ssh/{name}.pcap"));
        // What is typed meanwhile goes out behind the exchange.
        assert_eq!((reports.len(), truth.hits(&reports, 400)), (truth.keys.len(), truth.keys.len()), "{name}");
        let steps = session["app_rtt"]["client"]["steps"].as_array().unwrap();
        let samples = |step: &str| steps.iter().find(|one| one["step"] == step).unwrap()["samples"].as_u64().unwrap();
        // The first exchange, and three or more in mid-session; in each the group and the server's last message are answered.
        assert!(
            samples("kexinit") >= 4 && samples("kex") == 2 * samples("kexinit") - u64::from(name == "gex-server"),
            "{steps:?}"
        );
    }
}

/// A relay ends TCP in front of the server; chaff is answered by the program behind it.
#[test]
fn the_leg_behind_a_relay_before_the_server_is_in_what_answers_chaff() {
    let meta = fs::read_to_string(repository().join("pcaps/ssh/pong-relayed.meta.json")).unwrap();
    let leg = serde_json::from_str::<Value>(&meta).unwrap()["behind"]["rtt"].as_f64().unwrap();
    let (session, _) = analyze("pcaps/ssh/pong-relayed.pcap");
    let excess = session["app_rtt"]["server_program"]["excess_ms"].as_f64().unwrap();
    assert!((excess - leg).abs() <= 0.15 * leg, "{excess} ms, {leg} are emulated");
    for direct in ["ssh-obfuscated", "ssh-obfuscated-gcm"] {
        let (session, _) = analyze(&format!("pcaps/{direct}.pcap"));
        let excess = session["app_rtt"]["server_program"]["excess_ms"].as_f64().unwrap();
        assert!((-1.0..=1.0).contains(&excess), "{direct}: {excess} ms");
    }
    assert!(analyze("pcaps/ssh-home.pcap").0["app_rtt"]["server_program"].is_null(), "without chaff");
}

#[test]
fn keys_of_every_client_are_told() {
    for name in ["plink", "dropbear", "paramiko", "asyncssh"] {
        let truth = Typed::of(&format!("ssh/{name}"));
        let (_, reports) = analyze(&format!("pcaps/ssh/{name}.pcap"));
        let (hits, keys) = (truth.hits(&reports, 60), truth.keys.len());
        assert!(hits * 100 >= reports.len() * 98 && hits * 100 >= keys * 92, "{name}: {hits} of {}, {keys} typed", reports.len());
    }
}

/// Of a connection that was captured from its first prompt on, or from the middle of it.
#[test]
fn without_the_beginning_what_is_told_was_typed() {
    let folder = std::env::temp_dir().join(format!("keywitness-clients-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut told = Vec::new();
    for name in ["plink", "dropbear", "paramiko", "asyncssh"] {
        let truth = Typed::of(&format!("ssh/{name}"));
        let packets = pcap::read(&format!("ssh/{name}"));
        for from in [truth.first_prompt.unwrap(), truth.keys[truth.keys.len() / 2]] {
            let rest: Vec<_> = packets.iter().filter(|packet| packet.time as i64 > from).cloned().collect();
            let file = folder.join(format!("{name}.pcap"));
            fs::write(&file, Classic { big_endian: false, microseconds: false }.write(&rest)).unwrap();
            let (session, reports) = analyze(file.to_str().unwrap());
            assert_eq!(session["protocol"], "ssh", "{name}");
            let (hits, keys) = (truth.hits(&reports, 60), truth.keys.iter().filter(|key| **key > from).count());
            assert!(hits * 100 >= reports.len() * 98, "{name}: {hits} of {}", reports.len());
            told.push(hits * 100 / keys);
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(told.iter().filter(|percent| **percent >= 60).count() >= 4, "{told:?} percent of the keys");
}
