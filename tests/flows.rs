//! `--all-flows`: every flow is told, none is accused, and the sessions stay as they are.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
mod program;
#[path = "program/traffic.rs"]
mod traffic;

use std::{collections::HashSet, fs, net::Ipv4Addr, os::unix::fs::PermissionsExt};

use pcap::{Classic, Packet};
use program::{Run, captures, keywitness, nanos, of};
use serde_json::{Value, json};
use traffic::{BEGIN, Traffic};

const PLAIN: Classic = Classic { big_endian: false, microseconds: false };

/// Analyses frames as NDJSON.
fn analyze(packets: &[Packet], more: &[&str]) -> Vec<Value> {
    let run = with_file(packets, &[&["--format", "ndjson"], more].concat());
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    run.records()
}

fn with_file(packets: &[Packet], more: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    fs::write(&file, PLAIN.write(packets)).unwrap();
    keywitness(["analyze", file.to_str().unwrap()].into_iter().chain(more.iter().copied()))
}

fn flows(records: &[Value]) -> Vec<&Value> {
    of(records, "session").into_iter().filter(|session| session["protocol"] == "unknown").collect()
}

fn by_port(records: &[Value], port: u16) -> Value {
    flows(records).into_iter().find(|flow| flow["server"]["port"] == port).unwrap().clone()
}

#[test]
fn without_the_option_they_are_only_counted() {
    let records = analyze(&Traffic::of_all_sorts().0, &[]);
    assert_eq!(of(&records, "session").len(), 0);
    assert_eq!(records[0]["flows"], json!({"tcp": 3, "udp": 1, "identified": 0, "interactive": 0, "unwatched": 0, "unread": 0}));
}

#[test]
fn a_flow_tells_what_its_headers_show() {
    let records = analyze(&Traffic::of_all_sorts().0, &["--all-flows"]);
    assert_eq!((flows(&records).len(), &of(&records, "summary")[0]["sessions"]), (4, &json!(0)));
    let fetch = flows(&records).into_iter().find(|flow| flow["client"]["port"] == 40_000).unwrap();
    let both = |client: Value, server: Value| json!({"client": client, "server": server});
    for (field, value) in [
        ("client", json!({"ip": "203.0.113.9", "port": 40_000, "mac": "02:00:00:00:00:09"})),
        ("client_evidence", json!("syn")),
        ("transport", json!("tcp")),
        ("identified_by", Value::Null),
        ("details", Value::Null),
        ("keystrokes", Value::Null),
        ("midstream", json!(false)),
        ("state", json!("closed")),
        ("verdict", json!("no_claim")),
        (
            "quality",
            json!({"one_sided": false, "drops": null, "merged_segments_suspected": null, "clock_steps": 0, "timestamp_source": "file", "timestamp_resolution_ns": null, "score": null}),
        ),
        ("findings", json!([])),
        (
            "stack",
            both(
                json!({"ttl": 57, "mss": null, "wscale": null, "timestamp_hz": null}),
                json!({"ttl": 57, "mss": null, "wscale": null, "timestamp_hz": null}),
            ),
        ),
        (
            "traffic",
            both(
                json!({"packets": 7, "bytes": 7 * 54 + 100, "payload_bytes": 100, "retransmitted": 0, "out_of_order": 0, "duplicated": 0, "gaps": null}),
                json!({"packets": 4, "bytes": 4 * 54 + 600, "payload_bytes": 600, "retransmitted": 0, "out_of_order": 0, "duplicated": 0, "gaps": null}),
            ),
        ),
        (
            "rtt",
            both(
                json!({"handshake_ms": 40.0, "samples": 3, "min_ms": 39.0, "floor_ms": null, "floor_method": null, "p50_ms": null, "p95_ms": null, "max_ms": null}),
                json!({"handshake_ms": 2.0, "samples": 3, "min_ms": 2.0, "floor_ms": null, "floor_method": null, "p50_ms": null, "p95_ms": null, "max_ms": null}),
            ),
        ),
    ] {
        assert_eq!(fetch[field], value, "{field}");
    }
    assert_eq!((nanos(&fetch["start"]) as u64, nanos(&fetch["end"]) as u64), (BEGIN, BEGIN + 186_000_000));
    assert!(fetch["community_id"].as_str().unwrap().starts_with("1:"));
}

#[test]
fn udp_tells_less_and_says_so() {
    let records = analyze(&Traffic::of_all_sorts().0, &["--all-flows"]);
    let query = by_port(&records, 53);
    assert_eq!((&query["transport"], &query["client_evidence"]), (&json!("udp"), &json!("port")));
    assert_eq!(query["server"]["mac"], "02:00:00:00:00:09");
    assert_eq!(query["stack"]["server"]["ttl"], 57);
    assert_eq!(
        query["traffic"]["server"],
        json!({"packets": 1, "bytes": 132, "payload_bytes": 90, "retransmitted": null, "out_of_order": null, "duplicated": null, "gaps": null})
    );
    assert_eq!(
        (&query["rtt"]["client"]["samples"], &query["rtt"]["client"]["min_ms"], &query["state"]),
        (&json!(0), &Value::Null, &json!("eof"))
    );
    // An answer alone, to the port that asked.
    let packets: Vec<Packet> = Traffic::of_all_sorts().0.into_iter().skip(12).take(1).collect();
    assert_eq!(by_port(&analyze(&packets, &["--all-flows"]), 53)["client"]["port"], 40_001);
}

#[test]
fn what_has_no_beginning_or_no_answer_is_told_too() {
    let records = analyze(&Traffic::of_all_sorts().0, &["--all-flows"]);
    let scan = by_port(&records, 23);
    assert_eq!((&scan["traffic"]["server"]["packets"], &scan["rtt"]["server"]["samples"]), (&json!(0), &json!(0)));
    assert_eq!(scan["stack"]["server"]["ttl"], Value::Null);
    let rest = flows(&records).into_iter().find(|flow| flow["midstream"] == true).unwrap().clone();
    assert_eq!((&rest["client_evidence"], &rest["client"]["port"]), (&json!("port"), &json!(40_003)));
}

#[test]
fn flows_end_by_time_and_come_in_order() {
    let mut traffic = Traffic::of_all_sorts();
    let (late, server) = ((Ipv4Addr::new(203, 0, 113, 33), 50_000), (Ipv4Addr::new(198, 51, 100, 9), 80));
    traffic.fetch(40_000, late, server);
    traffic.fetch(70_000, late, server); // the same ports again
    let records = analyze(&traffic.0, &["--all-flows"]);
    let known: Vec<_> = flows(&records).into_iter().map(|flow| (flow["server"]["port"].clone(), flow["state"].clone())).collect();
    // Closed after 5 s, unanswered after 30 s, UDP after 60 s; what is left ends with the capture, in the order of identifiers.
    let expected =
        [(80, "closed"), (23, "timed_out"), (80, "closed"), (53, "timed_out")].map(|(port, state)| (json!(port), json!(state)));
    assert_eq!(known[..4], expected);
    assert_eq!(known.len(), 6);
    let ids: Vec<_> = flows(&records)[4..].iter().map(|flow| flow["session_id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn sessions_stay_as_they_are_and_every_flow_is_told_once() {
    let mut packets = [pcap::read("ssh-far"), pcap::read("ssh-exec")].concat();
    let begin = packets[0].time;
    packets.extend(Traffic::of_all_sorts().0.into_iter().map(|packet| Packet { time: packet.time - BEGIN + begin, ..packet }));
    packets.sort_by_key(|packet| packet.time);
    let claims = ["--claims", "pcaps/claims.toml"];
    let (without, with) = (analyze(&packets, &claims), analyze(&packets, &[&claims[..], &["--all-flows"]].concat()));
    let clean = |records: &[Value]| {
        let mut facts: Vec<Value> =
            records.iter().filter(|record| record["protocol"] != "unknown" && record["record"] != "summary").cloned().collect();
        facts.iter_mut().for_each(|fact| drop(fact["input"].take())); // a file of another name
        facts
    };
    assert_eq!(clean(&with), clean(&without));
    let (summary, before) = (of(&with, "summary")[0], of(&without, "summary")[0]);
    for field in ["sessions", "alerts", "flows", "packets", "dropped"] {
        assert_eq!(summary[field], before[field], "{field}");
    }
    let all = summary["flows"]["tcp"].as_u64().unwrap() + summary["flows"]["udp"].as_u64().unwrap();
    assert_eq!(of(&with, "session").len() as u64, all);
    assert_eq!(flows(&with).len(), 4);
}

/// Claims that make every client of the traffic a person who says that they are next door, or on the other side of the earth.
#[test]
fn no_flow_is_accused() {
    for place in ["Tacoma, US", "Perth, AU"] {
        let folder = tempfile::tempdir().unwrap();
        let claims = folder.path().join("claims.toml");
        let text = format!(
            "[sensor]\nplace = \"Seattle, US\"\n[[claim]]\nidentity = \"who\"\n[[claim.match]]\nclient = [\"203.0.113.0/24\"]\n\
             [[claim.place]]\nplace = \"{place}\"\n"
        );
        fs::write(&claims, text).unwrap();
        let options = ["--all-flows", "--fail-on-finding", "--claims", claims.to_str().unwrap()];
        let mut traffic = Traffic::of_all_sorts();
        for i in 0..50 {
            traffic.fetch(
                4_000 + i * 200,
                (Ipv4Addr::new(203, 0, 113, 1), 30_000 + i as u16),
                (Ipv4Addr::new(198, 51, 100, 9), 80),
            );
        }
        let records = analyze(&traffic.0, &options);
        assert_eq!((flows(&records).len(), of(&records, "alert").len()), (54, 0));
        for flow in flows(&records) {
            assert_eq!(
                (&flow["verdict"], &flow["claim"]["identity"], &flow["findings"]),
                (&json!("undecided"), &json!("who"), &json!([]))
            );
            for test in flow["tests"].as_array().unwrap() {
                assert_eq!(test["outcome"], "not_testable");
                assert!(test["reason"].as_str().unwrap().starts_with("the flow was not identified"), "{test}");
            }
        }
    }
}

#[test]
fn pseudonyms_are_all_that_is_told_where_they_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let packets = Traffic::of_all_sorts().0;
    let option = ["--all-flows", "--pseudonymize", key.to_str().unwrap()];
    let (plain, told) = (analyze(&packets, &["--all-flows"]), analyze(&packets, &option));
    assert_eq!(flows(&told).len(), 4);
    let of = |records: &[Value], field: &str| flows(records).iter().map(|flow| flow[field].to_string()).collect::<HashSet<_>>();
    for field in ["session_id", "community_id"] {
        assert_eq!((of(&told, field).len(), of(&told, field).intersection(&of(&plain, field)).count()), (4, 0), "{field}");
    }
    for format in ["ndjson", "csv", "table"] {
        let text = with_file(&packets, &[&option[..], &["--format", format]].concat()).stdout;
        assert!(text.contains("40001") && !text.contains("203.0.113.") && !text.contains("198.51.100."), "{text}");
        assert!(!text.contains("02:00:00:00:00:"), "{text}");
    }
    // What stands for the identifier is that of the pseudonyms: whoever has the record alone can reckon it.
    let query = by_port(&told, 53);
    let address = |side: &str| query[side]["ip"].as_str().unwrap().parse::<Ipv4Addr>().unwrap();
    let mut again = Traffic::default();
    let (client, server) = ((address("client"), 40_001), (address("server"), 53));
    again.udp(1_000, client, server, &[1; 30]);
    let again = by_port(&analyze(&again.0, &["--all-flows"]), 53);
    assert_eq!((&again["session_id"], &again["community_id"]), (&query["session_id"], &query["community_id"]));
}

#[test]
fn the_table_and_csv_have_a_line_each() {
    let packets = Traffic::of_all_sorts().0;
    let table = with_file(&packets, &["--all-flows"]).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("START (UTC)          CLIENT                 SERVER                 KIND  RTT ms"), "{table}");
    assert_eq!(lines[1..5].iter().filter(|line| line.contains(" tcp ")).count(), 3);
    assert!(
        lines.iter().any(|line| line.contains("203.0.113.9:40000      198.51.100.9:80        tcp     39.0      1294")),
        "{table}"
    );
    assert!(table.contains("\n\n0 sessions: 0 implausible"), "{table}");
    assert!(lines.iter().all(|line| line.len() <= 100));

    let csv = with_file(&packets, &["--all-flows", "--format", "csv"]).stdout;
    let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(csv.as_bytes()).records().map(Result::unwrap).collect();
    let header = csv::Reader::from_reader(csv.as_bytes()).headers().unwrap().clone();
    let cell = |row: &csv::StringRecord, name: &str| row[header.iter().position(|column| column == name).unwrap()].to_owned();
    let fetch = rows.iter().find(|row| cell(row, "client_port") == "40000").unwrap();
    let cells = ["protocol", "transport", "rtt_client_min_ms", "rtt_client_floor_ms", "client_gaps", "keystrokes", "hassh"];
    assert_eq!(
        (rows.len(), cells.map(|name| cell(fetch, name))),
        (4, ["unknown", "tcp", "39.0", "", "", "", ""].map(str::to_owned))
    );
}

#[test]
fn captures_of_sessions_alone_give_the_same_with_it() {
    // In one a proxy refuses a connection at first, which is a flow of its own.
    for name in captures().into_iter().filter(|name| name != "ssh-connect") {
        let file = format!("pcaps/{name}.pcap");
        let facts = |more: &[&str]| {
            let run = keywitness(["analyze", "--format", "ndjson", file.as_str()].into_iter().chain(more.iter().copied()));
            let records = run.records();
            records.into_iter().filter(|record| record["record"] != "summary").collect::<Vec<_>>()
        };
        assert_eq!(facts(&["--all-flows"]), facts(&[]), "{name}");
    }
}
