//! What is sent to collectors of logs, in each format: a reader of the format gets back what was put in, whatever that holds, and
//! nothing in it begins a line, an element or a field.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "formats/parsers.rs"]
mod parsers;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
};

use keywitness::output::{
    alert::{Alert, Header, Payload, Style},
    escape,
};
use program::{captures, keywitness, of, repository};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The record of an alert with these texts in it.
fn record(texts: &[String; 6]) -> Value {
    let [identity, sensor, place, message, cause, protocol] = texts;
    json!({
        "schema": "keywitness/1", "record": "alert", "sensor": sensor, "alert_id": "cf6188c62adbe48e", "revision": 2,
        "time": "2026-11-22T15:19:33.141855117Z", "session_id": "9807f7daac41daf1",
        "community_id": "1:S6umLiWxbN0mLU13lVB1gWFMOnI=", "protocol": protocol, "start": "2026-11-22T15:18:45.276771619Z",
        "identity": identity, "client": {"ip": "203.0.113.17", "port": 41346, "mac": null},
        "server": {"ip": "2001:db8::2", "port": 22, "mac": null}, "severity": "medium",
        "finding": {
            "id": "rtt_above_claim", "severity": "medium", "basis": "model", "measured": 166.245093, "expected": 90.25,
            "margin": 76.0, "unit": "ms", "samples": 207, "explanation": message, "innocent_causes": [cause, "a detour"],
            "attack": ["T1078", "T1133"],
        },
        "claim": {
            "identity": identity, "places": [place], "matched_place": place, "distance_km": 1641.4, "source": "claims line 17",
            "claims_sha256": "4742e191",
        },
        "quality": {"score": 1.0}, "message": message,
    })
}

fn write(record: &Value, style: Style) -> String {
    Alert::parse(record.to_string().as_bytes()).unwrap().write(style)
}

fn style(payload: Payload) -> Style {
    Style { payload, ..Style::default() }
}

/// What a reader must get for a text.
fn plain(text: &str) -> String {
    escape::plain(text).into_owned()
}

/// Texts that were made to be something else where they are read.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("\n<34>1 2026-11-22T15:19:33Z host sshd - - - Accepted password".to_owned()),
        Just("\r\n".to_owned()),
        Just("\0".to_owned()),
        Just("\u{1b}[2J".to_owned()),
        Just("\u{202e}\u{2066}".to_owned()),
        Just("\u{200b}\u{feff}\u{2028}\u{85}".to_owned()),
        Just("\"] [fake@1 x=\"".to_owned()),
        Just("\\\"".to_owned()),
        Just("\\".to_owned()),
        Just("]".to_owned()),
        Just("|CEF:0|a|b|c|d|e|10|".to_owned()),
        Just(" src=6.6.6.6 msg=owned".to_owned()),
        Just("=".to_owned()),
        Just("^src=6.6.6.6".to_owned()),
        Just("\tsrc=6.6.6.6".to_owned()),
        Just("\",\"severity\":\"info".to_owned()),
        Just("@cee: {}".to_owned()),
        Just("Zürich ☃ ".to_owned()),
        any::<String>(),
        "[ -~]{0,12}",
    ];
    prop::collection::vec(pieces, 0..5).prop_map(|pieces| pieces.concat())
}

fn texts() -> impl Strategy<Value = [String; 6]> {
    prop::array::uniform6(hostile())
}

/// One line that changes nothing around it: no control characters, none that reorder or hide what follows.
fn assert_harmless(line: &str) {
    let hidden = |c: char| matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    assert!(!line.chars().any(|c| c.is_control() || hidden(c)), "{line:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn structured_data_holds_what_was_put_in(texts in texts()) {
        let line = write(&record(&texts), style(Payload::Structured));
        assert_harmless(&line);
        let parsed = parsers::rfc5424(&line).unwrap();
        assert_eq!((parsed.priority, parsed.app.as_str(), parsed.id.as_str()), (84, "keywitness", "rtt_above_claim"));
        assert_eq!(parsed.timestamp, "2026-11-22T15:19:33.141855Z");
        assert!(parsed.host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)), "{}", parsed.host);
        assert_eq!(parsed.data.len(), 1, "no element was added");
        let value = |name: &str| parsed.data[0].1.iter().find(|(param, _)| param == name).map(|(_, value)| value.clone());
        let expected = |text: &str| Some(plain(text)).filter(|text| !text.is_empty());
        assert_eq!(value("identity"), expected(&texts[0]));
        assert_eq!(value("claimed_place"), expected(&texts[2]));
        assert_eq!(value("alert_id").as_deref(), Some("cf6188c62adbe48e"));
        assert_eq!(parsed.message, plain(&texts[3]));
    }

    #[test]
    fn old_syslog_is_one_line_from_one_host(texts in texts()) {
        for payload in [Payload::Structured, Payload::Cef, Payload::Leef, Payload::Ecs, Payload::Cee, Payload::Ocsf] {
            let line = write(&record(&texts), Style { header: Header::Rfc3164, ..style(payload) });
            assert_harmless(&line);
            let (priority, host, content) = parsers::rfc3164(&line).unwrap();
            assert!(!host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)), "{host}");
            assert_eq!(priority, 84);
            if payload == Payload::Structured {
                let (data, message) = parsers::structured(&content).unwrap();
                assert_eq!((data.len(), message), (1, format!(" {}", plain(&texts[3])).as_str()));
            }
        }
    }

    #[test]
    fn cef_holds_what_was_put_in(texts in texts()) {
        let line = write(&record(&texts), style(Payload::Cef));
        assert_harmless(&line);
        let message = parsers::rfc5424(&line).unwrap().message;
        let (header, fields) = parsers::cef(&message).unwrap();
        assert_eq!(header[0..3], ["0", "keywitness", "keywitness"]);
        assert_eq!(header[4..], ["rtt_above_claim", "rtt above claim", "6"]);
        assert_eq!((fields["src"].as_str(), fields["c6a3"].as_str()), ("203.0.113.17", "2001:db8::2"));
        assert_eq!((fields["suser"].clone(), fields["msg"].clone()), (plain(&texts[0]), plain(&texts[3])));
        assert_eq!(fields["externalId"], "cf6188c62adbe48e-2");
        assert!(!fields.contains_key("dst"), "an IPv6 address is none of IPv4");
    }

    #[test]
    fn leef_holds_what_was_put_in(texts in texts()) {
        let line = write(&record(&texts), style(Payload::Leef));
        assert_harmless(&line);
        let message = parsers::rfc5424(&line).unwrap().message;
        let (header, fields) = parsers::leef(&message).unwrap();
        assert_eq!((header[0].as_str(), header[3].as_str()), ("keywitness", "rtt_above_claim"));
        let expected = |text: &str| plain(text).replace('^', "\\u{5e}");
        assert_eq!(fields["src"], "203.0.113.17");
        assert_eq!(fields.get("usrName").cloned().unwrap_or_default(), expected(&texts[0]));
        assert_eq!(fields.get("msg").cloned().unwrap_or_default(), expected(&texts[3]));
    }

    #[test]
    fn json_holds_what_was_put_in(texts in texts()) {
        for (payload, cookie, paths) in [
            (Payload::Ecs, "", ["/user/name", "/message", "/keywitness/claim/matched_place"]),
            (Payload::Cee, "@cee: ", ["/source/user/name", "/event/reason", "/keywitness/claim/matched_place"]),
            (Payload::Ocsf, "", ["/evidences/0/actor/user/name", "/message", "/unmapped/claimed_place"]),
        ] {
            let line = write(&record(&texts), style(payload));
            assert_harmless(&line);
            let message = parsers::rfc5424(&line).unwrap().message;
            let json: Value = serde_json::from_str(message.strip_prefix(cookie).unwrap()).unwrap();
            for (path, text) in paths.into_iter().zip([&texts[0], &texts[3], &texts[2]]) {
                assert_eq!(json.pointer(path).unwrap(), &Value::from(plain(text)), "{path}");
            }
        }
    }
}

/// Whoever reads an alert, in whatever format, reads what else could explain it and what it does not say.
#[test]
fn every_format_has_innocent_causes_and_limits() {
    for alert in alerts() {
        let whole = |pointer: &str| {
            let texts = alert.pointer(pointer).and_then(Value::as_array).filter(|texts| !texts.is_empty()).unwrap();
            texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (causes, limits) = (whole("/finding/innocent_causes"), whole("/limits"));
        assert!(
            limits.iter().any(|limit| limit.contains("must not be the only reason for a decision about a person")),
            "{limits:?}"
        );
        let message = |payload| parsers::rfc5424(&write(&alert, style(payload))).unwrap();
        let told = message(Payload::Structured).data.swap_remove(0).1;
        let param = |name: &str| told.iter().find(|(param, _)| param == name).unwrap().1.clone();
        assert_eq!((param("innocent_causes"), param("limits")), (causes.join("; "), limits.join(" ")));
        let cef = parsers::cef(&message(Payload::Cef).message).unwrap().1;
        assert_eq!((&cef["cs5"], &cef["cs6"]), (&causes.join("; "), &limits.join(" ")));
        let leef = parsers::leef(&message(Payload::Leef).message).unwrap().1;
        assert_eq!((&leef["innocentCauses"], &leef["limits"]), (&causes.join("; "), &limits.join(" ")));
        for (payload, below) in [(Payload::Ecs, "/keywitness"), (Payload::Ocsf, "/unmapped")] {
            let json: Value = serde_json::from_str(&message(payload).message).unwrap();
            assert_eq!(json.pointer(&format!("{below}/limits")), alert.get("limits"));
            let found = json
                .pointer(&format!("{below}/finding/innocent_causes"))
                .or_else(|| json.pointer(&format!("{below}/innocent_causes")));
            assert_eq!(found, alert.pointer("/finding/innocent_causes"));
        }
    }
}

#[test]
fn severities_are_those_of_each_format() {
    let mut record = record(&[const { String::new() }; 6]);
    for (severity, syslog, cef, leef, ecs, ocsf) in [
        ("info", 6, "1", "1", 1, 1),
        ("low", 5, "3", "3", 21, 2),
        ("medium", 4, "6", "6", 47, 3),
        ("high", 3, "8", "8", 73, 4),
        ("critical", 2, "10", "10", 99, 5),
    ] {
        record["severity"] = severity.into();
        let message = |payload| parsers::rfc5424(&write(&record, style(payload))).unwrap();
        assert_eq!(message(Payload::Structured).priority, 80 + syslog);
        assert_eq!(parsers::cef(&message(Payload::Cef).message).unwrap().0[6], cef);
        assert_eq!(parsers::leef(&message(Payload::Leef).message).unwrap().1["sev"], leef);
        let json = |payload| serde_json::from_str::<Value>(&message(payload).message).unwrap();
        assert_eq!(json(Payload::Ecs)["event"]["severity"], ecs);
        assert_eq!(json(Payload::Ocsf)["severity_id"], ocsf);
    }
}

#[test]
fn what_is_no_alert_is_refused() {
    let mut wrong = record(&[const { String::new() }; 6]);
    wrong["time"] = "yesterday".into();
    for text in [wrong.to_string(), "{}".to_owned(), "null".to_owned(), String::new()] {
        assert!(Alert::parse(text.as_bytes()).is_err(), "{text}");
    }
}

/// The alerts of our own captures, as the program writes them.
fn alerts() -> Vec<Value> {
    let paths: Vec<String> = captures().iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let args = ["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml"];
    let records = keywitness(args.into_iter().chain(paths.iter().map(String::as_str))).records();
    let alerts: Vec<Value> = of(&records, "alert").into_iter().cloned().collect();
    assert!(alerts.len() >= 2, "there are alerts");
    alerts
}

/// Runs a script over lines; what it says.
fn judged_by(program: &str, args: &[&str], lines: &[String]) -> (Option<i32>, String) {
    let mut child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn script(name: &str) -> String {
    repository().join("tests/formats").join(name).to_str().unwrap().to_owned()
}

/// Our alerts and one that is spoilt.
fn samples() -> Vec<Value> {
    let texts = ["x=y|z] \"\\\n", "a b", "", "m=1 n\\=2", "c|", "ssh"].map(str::to_owned);
    [alerts(), vec![record(&texts)]].concat()
}

/// The published schema of OCSF and a parser of CEF that is not ours, in Python. Skipped where they are not installed
/// (`pip install ocsf-json-schema jsonschema pycef`).
#[test]
fn others_read_ocsf_and_cef() {
    let python = env::var("KEYWITNESS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let samples = samples();
    let lines = samples.iter().map(|alert| {
        let message = |payload| parsers::rfc5424(&write(alert, style(payload))).unwrap().message;
        let identity = plain(alert["identity"].as_str().unwrap());
        json!({"ocsf": message(Payload::Ocsf), "cef": message(Payload::Cef), "identity": identity}).to_string()
    });
    match judged_by(&python, &[&script("validate.py")], &lines.collect::<Vec<_>>()) {
        (Some(77), said) => println!("skipped: {said}"),
        judged => assert_eq!(judged, (Some(0), format!("{} fine", samples.len()))),
    }
}

/// Elastic's list of fields, by Node. Skipped without `KEYWITNESS_ECS`, the folder of the npm package `@elastic/ecs`.
#[test]
fn elastic_knows_every_field() {
    let Ok(package) = env::var("KEYWITNESS_ECS") else {
        println!("skipped: KEYWITNESS_ECS does not name the folder of @elastic/ecs");
        return;
    };
    let samples = samples();
    let ecs = |alert| parsers::rfc5424(&write(alert, style(Payload::Ecs))).unwrap().message;
    let lines: Vec<String> = samples.iter().map(ecs).collect();
    let judged = judged_by("node", &[&script("validate.cjs"), &package], &lines);
    assert_eq!(judged, (Some(0), format!("{} fine", samples.len())));
}
