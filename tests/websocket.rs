//! Sessions inside WebSocket in clear, as browsers have them: read like any other, to the key.
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

/// What the program says of a file, with these options besides.
fn records(file: &str, more: &[&str]) -> Vec<Value> {
    let args = ["analyze", "--format", "ndjson", "--keystrokes=all", file];
    let run = keywitness(args.into_iter().chain(more.iter().copied()));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{file}");
    run.records()
}

fn times(records: &[Value], kinds: &[&str]) -> Vec<i64> {
    let of_kind = |key: &&&Value| kinds.iter().any(|kind| key["kind"] == *kind);
    let mut times: Vec<i64> = of(records, "keystroke").iter().filter(of_kind).map(|key| nanos(&key["time"])).collect();
    times.sort_unstable();
    times
}

fn of_packets(packets: &[Packet]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    fs::write(&file, Classic { big_endian: false, microseconds: false }.write(packets)).unwrap();
    records(file.to_str().unwrap(), &[])
}

/// Each key's way down and up, modifiers too, with noVNC in a real browser and two servers behind websockify.
#[test]
fn a_browsers_desktop_is_read_to_the_key() {
    for name in ["novnc", "novnc-x11vnc"] {
        let truth = Typed::of(&format!("web/{name}"));
        for workers in ["1", "2"] {
            let records = records(&format!("pcaps/web/{name}.pcap"), &["--workers", workers]);
            let session = of(&records, "session")[0];
            assert_eq!((&session["protocol"], &session["identified_by"]), (&json!("vnc"), &json!("handshake")));
            let socket = json!([{"kind": "websocket", "host": "198.51.100.2", "port": 6080}]);
            assert_eq!((&session["carriers"], &session["server"]["port"]), (&socket, &json!(6080)));
            let (down, up) = (times(&records, &["press", "repeat"]), times(&records, &["release"]));
            assert_eq!((down.len(), up.len()), (truth.keys.len(), truth.releases.len()), "{name}");
            let hits = (truth.hits(&down, 40), truth.hits_of(&truth.releases, &up, 40));
            assert!(hits.0 * 1_000 >= down.len() * 985 && hits.1 * 1_000 >= up.len() * 985, "{name}: {hits:?} of {}", down.len());
        }
    }
}

#[test]
fn ssh_inside_websocket_is_read_like_any_other() {
    let truth = Typed::of("web/ssh");
    let records = records("pcaps/web/ssh.pcap", &[]);
    let session = of(&records, "session")[0];
    assert_eq!((&session["protocol"], &session["carriers"][0]["kind"]), (&json!("ssh"), &json!("websocket")));
    let down = times(&records, &["press", "repeat"]);
    assert_eq!((down.len(), truth.hits(&down, 60)), (truth.keys.len(), truth.keys.len()));
    assert!(session["app_rtt"]["client"]["samples"].as_u64().unwrap() >= 5);
}

/// Without its beginning nobody can know what the frames carry; with a message missing in its middle, that alone is not told.
#[test]
fn what_is_missing_makes_nothing_up() {
    let whole = pcap::read("web/novnc");
    let truth = Typed::of("web/novnc");
    assert!(of(&of_packets(&whole[whole.len() / 2..]), "session").iter().all(|session| session["protocol"] != "vnc"));

    let client = |packet: &&Packet| packet.bytes[26..30] == [203, 0, 113, 81] && [80, 84].contains(&packet.bytes.len()); // a key
    let lost = whole.iter().filter(client).nth(150).unwrap().time;
    let cut: Vec<Packet> = whole.into_iter().filter(|packet| packet.time != lost).collect();
    let records = of_packets(&cut);
    let down = times(&records, &["press", "repeat"]);
    assert!((truth.keys.len() - 2..truth.keys.len()).contains(&down.len()), "{}", down.len());
    assert_eq!(truth.hits(&down, 40), down.len());
}
