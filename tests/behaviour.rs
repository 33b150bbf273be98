//! Sessions that only their behaviour shows, through the program: what is typed into a flow of an unknown protocol is found, and
//! what programs say to each other is not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod pcap;
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod program;
#[path = "program/traffic.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod traffic;

use std::{fs, net::Ipv4Addr};

use pcap::Classic;
use program::{keywitness, nanos, of, repository};
use serde_json::{Value, json};
use traffic::{End, Traffic};

const CLIENT: End = (Ipv4Addr::new(203, 0, 113, 9), 40_000);
const SERVER: End = (Ipv4Addr::new(198, 51, 100, 2), 6_379);

/// Milliseconds by which a key may pass the sensor later than its truth says: jitter, and a busy machine.
const LATE_MS: i64 = 120;

fn records(file: &str, more: &[&str]) -> Vec<Value> {
    let args = ["analyze", "--format", "ndjson", "--keystrokes=all", file];
    let run = keywitness(args.into_iter().chain(more.iter().copied()));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    run.records()
}

fn of_traffic(traffic: &Traffic) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    fs::write(&file, Classic { big_endian: false, microseconds: false }.write(&traffic.0)).unwrap();
    records(file.to_str().unwrap(), &[])
}

/// A client that sends `request` bytes each `gap(i)` ms, answered after 2 ms by `answer` bytes.
fn exchange(requests: u64, request: usize, answer: usize, gap: impl Fn(u64) -> u64) -> Traffic {
    let mut traffic = Traffic::default();
    let (mut ms, mut seq, mut ack) = (100, 101, 501);
    traffic.tcp(0, CLIENT, SERVER, "S", 100, 0, b"");
    traffic.tcp(1, SERVER, CLIENT, "SA", 500, 101, b"");
    for at in 0..requests {
        ms += gap(at);
        traffic.tcp(ms, CLIENT, SERVER, "A", seq, ack, &vec![b'x'; request]);
        seq += request as u32;
        traffic.tcp(ms + 2, SERVER, CLIENT, "A", ack, seq, &vec![b'y'; answer]);
        ack += answer as u32;
    }
    traffic
}

/// Presses that were told, those of them that are true, and those that were typed since the first of them.
fn compared(name: &str, records: &[Value]) -> (usize, usize, usize) {
    let read = |kind| fs::read_to_string(repository().join(format!("pcaps/typed/{name}.{kind}"))).unwrap();
    let meta: Value = serde_json::from_str(&read("meta.json")).unwrap();
    let one_way = (meta["near"]["ab"]["base"].as_f64().unwrap() * 1e6) as i64;
    let events = read("truth.jsonl");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|event| event["ev"] == "key");
    let told: Vec<i64> = of(records, "keystroke").iter().map(|key| nanos(&key["time"])).collect();
    let typed: Vec<i64> = events
        .map(|event| event["t"].as_i64().unwrap() + one_way)
        .filter(|time| *time + 1_000_000 >= told[0] - LATE_MS * 1_000_000)
        .collect();
    let mut open = typed.iter().copied().peekable();
    let mut real = 0;
    for key in &told {
        while open.next_if(|time| *time < key - LATE_MS * 1_000_000).is_some() {}
        real += usize::from(open.next_if(|time| *time <= key + 3_000_000).is_some());
    }
    (told.len(), real, typed.len())
}

#[test]
fn what_is_typed_into_an_unknown_protocol_is_found() {
    let cases = [
        ("stunnel", "tls", 443),
        ("wss", "tls", 443),
        ("tcp", "tcp", 4_444),
        ("quic", "quic", 4_433),
        ("dtls", "dtls", 4_433),
        ("udp", "udp", 4_433),
    ];
    for (name, protocol, port) in cases {
        let records = records(&format!("pcaps/typed/{name}.pcap"), &[]);
        let sessions = of(&records, "session");
        let session = sessions.iter().find(|session| session["identified_by"] == "behaviour").unwrap();
        assert_eq!((&session["protocol"], &session["server"]["port"]), (&json!(protocol), &json!(port)), "{name}");
        assert_eq!(
            (&session["details"], &session["midstream"], &session["app_rtt"]),
            (&Value::Null, &json!(true), &Value::Null),
            "{name}"
        );
        assert_eq!((&session["findings"], &session["keystrokes"]["input_kind"]), (&json!([]), &json!("human")), "{name}");
        let (told, real, typed) = compared(name, &records);
        let confidence = session["keystrokes"]["reliability"].as_f64().unwrap();
        assert!(real as f64 >= told as f64 * confidence, "{name}: {real} of {told} are real");
        assert!(real * 100 >= typed * 90, "{name}: {real} of {typed} were found");
    }
}

#[test]
fn it_is_the_same_whoever_reads_and_whatever_else_is_told() {
    for name in ["tcp", "quic"] {
        let sessions = |more: &[&str]| -> Vec<Value> {
            let records = records(&format!("pcaps/typed/{name}.pcap"), more);
            of(&records, "session").into_iter().filter(|session| session["identified_by"] == "behaviour").cloned().collect()
        };
        let one = sessions(&[]);
        assert_eq!(one.len(), 1);
        assert_eq!(sessions(&["--workers", "2"]), one);
        let all = sessions(&["--all-flows"]);
        assert_eq!((all.len(), &all[0]["keystrokes"]["count"]), (1, &one[0]["keystrokes"]["count"]));
    }
}

/// What is counted does not depend on whether each key is told.
#[test]
fn datagrams_count_the_same_with_and_without_their_keys() {
    let count = |more: &[&str]| {
        let args = ["analyze", "--format", "ndjson", "pcaps/typed/dtls.pcap"];
        let records = keywitness(args.into_iter().chain(more.iter().copied())).records();
        of(&records, "session")[0]["keystrokes"]["count"].clone()
    };
    assert!(count(&[]).as_u64().unwrap() > 300);
    assert_eq!(count(&[]), count(&["--keystrokes=all"]));
}

/// Requests at random to Redis, a player's keys answered by a server that speaks all the time, and a chat with its notices; over UDP and QUIC a
/// player's keys and requests with pauses that are drawn.
#[test]
fn what_programs_say_is_no_session() {
    for (name, transport, flows) in [("programs", "tcp", 3), ("programs-udp", "udp", 4)] {
        let records = records(&format!("pcaps/typed/{name}.pcap"), &[]);
        assert_eq!((of(&records, "session").len(), of(&records, "keystroke").len()), (0, 0));
        assert_eq!(of(&records, "summary")[0]["flows"][transport], flows);
    }
}

#[test]
fn what_answers_like_a_terminal_without_a_hand_is_no_session() {
    let spread = |at: u64| at.wrapping_mul(2_654_435_761) >> 16 & 1_023;
    let cases: [(&str, Traffic); 6] = [
        ("a comb", exchange(400, 29, 31, |_| 100)),
        ("a comb that trembles", exchange(400, 29, 31, |at| 240 + spread(at) % 20)),
        ("a pause that is drawn", exchange(400, 29, 31, |at| 100 + spread(at) % 200)),
        ("30 a second", exchange(900, 40, 60, |at| 33 + at % 2)),
        ("voice", exchange(1_500, 172, 172, |_| 20)),
        ("keep-alives", exchange(200, 29, 31, |_| 30_000)),
    ];
    for (what, traffic) in cases {
        assert_eq!(of(&of_traffic(&traffic), "session"), Vec::<&Value>::new(), "{what}");
    }
}

/// The same exchange, with what lies between a person's keys: the cases above are not silent for another reason.
#[test]
fn with_a_hand_it_is_one() {
    const HAND: [u64; 24] =
        [142, 97, 231, 88, 165, 310, 121, 74, 190, 136, 420, 109, 155, 82, 262, 128, 176, 93, 1_150, 147, 116, 208, 158, 640];
    let records = of_traffic(&exchange(250, 29, 31, |at| HAND[(at * 7) as usize % HAND.len()]));
    let sessions = of(&records, "session");
    assert_eq!(sessions.len(), 1);
    assert_eq!((&sessions[0]["identified_by"], &sessions[0]["verdict"]), (&json!("behaviour"), &json!("no_claim")));
}
