//! Alerts at those that collect them: rsyslog and syslog-ng as Debian has them, killed, stopped, with the wrong certificate. Skipped with a
//! word where they are not installed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "runs of other tests need more")]
mod program;
#[path = "collectors/receiver.rs"]
mod receiver;

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use keywitness::run::spool::{Limits, Log};
use program::{Run, command, keywitness, of};
use receiver::{Receiver, free_port, wait_until};
use serde_json::{Value, json};

const TCP: &str = "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")";
const RELP: &str = "module(load=\"imrelp\")\ninput(type=\"imrelp\" address=\"127.0.0.1\" port=\"{port}\" maxDataSize=\"64k\")";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A spool that alerts wait in, this many of them.
fn spool_of(folder: &Path, alerts: u64) -> PathBuf {
    let path = folder.join("spool");
    let mut log = Log::open(&path, Limits::default()).unwrap().0;
    let numbers: Vec<u64> = (0..alerts).collect();
    for some in numbers.chunks(512) {
        let records: Vec<String> = some.iter().map(|number| record(*number).to_string()).collect();
        assert_eq!(log.append(&records), some.len());
    }
    path
}

fn record(number: u64) -> Value {
    json!({
        "schema": "keywitness/1", "record": "alert", "sensor": "tap-1", "alert_id": format!("{number:016x}"), "revision": number % 3,
        "time": "2026-11-22T15:19:33.141855117Z", "session_id": "9807f7daac41daf1",
        "community_id": "1:S6umLiWxbN0mLU13lVB1gWFMOnI=", "protocol": "ssh", "start": "2026-11-22T15:18:45.276771619Z",
        "identity": "a]s\"m\\ith", "client": {"ip": "203.0.113.17", "port": 41346, "mac": null},
        "server": {"ip": "198.51.100.2", "port": 22, "mac": null}, "severity": "medium",
        "finding": {
            "id": "rtt_above_claim", "severity": "medium", "basis": "model", "measured": 166.245, "expected": 90.25, "margin": 76.0,
            "unit": "ms", "samples": 207, "explanation": "Too far.", "innocent_causes": ["a detour"], "attack": ["T1078"],
        },
        "claim": {
            "identity": "a]s\"m\\ith", "places": ["Denver"], "matched_place": "Denver", "distance_km": 1641.4, "source": "claims line 17",
            "claims_sha256": "4742e191",
        },
        "quality": {"score": 1.0}, "message": "a]s\"m\\ith: Too far.",
    })
}

/// Options of a run that delivers what waits in a spool, and raises no alerts of its own.
fn deliver<'a>(spool: &'a Path, destinations: &[&'a str], wait: &'a str) -> Vec<&'a str> {
    let mut args = vec!["analyze", "--format", "ndjson", "pcaps/scp-up.pcap", "--alert-wait", wait];
    args.extend(["--spool", spool.to_str().unwrap()]);
    destinations.iter().for_each(|destination| args.extend(["--alert-to", *destination]));
    args
}

fn started(args: &[&str]) -> Child {
    command(args.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How long it takes; what it said.
fn ended(mut child: Child) -> String {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    said
}

/// The only destination of a spool, as the program tells of it.
fn destination(spool: &Path) -> Value {
    let run = keywitness(["spool", "status", "--format", "ndjson", spool.to_str().unwrap()]);
    run.records()[0]["destinations"][0].clone()
}

/// Each alert is there, and none that nobody sent.
fn assert_all(receiver: &Receiver, alerts: u64) -> usize {
    let keys = receiver.keys();
    let expected: BTreeSet<_> = (0..alerts).map(|number| (format!("{number:016x}"), (number % 3).to_string())).collect();
    let missing: Vec<_> = expected.iter().filter(|key| !keys.contains_key(*key)).take(5).collect();
    assert!(missing.is_empty() && keys.len() == expected.len(), "{} of {alerts}, missing {missing:?}", keys.len());
    keys.values().sum()
}

/// What a capture raises, by the program, delivered to rsyslog in three ways at once.
#[test]
fn rsyslog_reads_what_the_program_sends() {
    let folder = folder();
    let (udp, file) = (free_port(), folder.path().join("log"));
    let inputs = format!(
        "{TCP}\nmodule(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\")\n\
         module(load=\"imuxsock\" sysSock.use=\"off\")\ninput(type=\"imuxsock\" socket=\"{}\")",
        file.display()
    );
    let Some(mut rsyslog) = Receiver::rsyslog(folder.path(), "", &inputs) else { return };
    rsyslog.start();
    let spool = folder.path().join("spool");
    let tcp = format!("tcp://127.0.0.1:{}", rsyslog.port());
    let destinations = [
        tcp.clone(),
        format!("{tcp}?framing=newline&format=cee"),
        format!("udp://127.0.0.1:{udp}?format=cef&header=3164&facility=local3"),
        format!("unix:{}?format=leef", file.display()),
    ];
    let mut args = vec!["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml", "pcaps/ssh-far.pcap"];
    args.extend(["--spool", spool.to_str().unwrap()]);
    destinations.iter().for_each(|destination| args.extend(["--alert-to", destination.as_str()]));
    let Run { status, stdout, stderr } = keywitness(args);
    assert_eq!((status, stderr.contains("best effort")), (0, true), "{stderr}");
    wait_until("all of them", || rsyslog.lines("parsed").len() >= 4);
    rsyslog.stop();

    let alerts: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let alert = of(&alerts, "alert")[0].clone();
    let id = alert["alert_id"].as_str().unwrap();
    let parsed = rsyslog.lines("parsed");
    let with = |words: &str| parsed.iter().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words} in {parsed:#?}"));
    let text = with("[keywitness@32473 ");
    let begin = format!("authpriv|warning|2026-11-22T15:19:33.141855Z|demo-tap|keywitness|rtt_above_claim|[keywitness@32473 alert_id=\"{id}\"");
    assert!(text.starts_with(&begin) && text.ends_with(alert["message"].as_str().unwrap()), "{text}");
    let cef = with("CEF:0|keywitness|keywitness|");
    assert!(cef.starts_with("local3|warning|") && cef.contains("|demo-tap|keywitness|") && cef.contains(" src=203.0.113.17 "), "{cef}");
    let leef = with("LEEF:2.0|keywitness|");
    assert!(leef.contains("|keywitness|") && leef.contains("^usrName=asmith^"), "{leef}");
    let json: Value = serde_json::from_str(&rsyslog.lines("json")[0]).unwrap();
    assert_eq!(json["keywitness"]["alert_id"], id, "rsyslog found the JSON behind the cookie");
    assert_eq!(json["user"]["name"], "asmith");
}

/// rsyslog is killed under load, again and again: nothing is missing, and what came twice has its key.
fn survives_kills(scheme: &str, options: &str, global: &str, inputs: &str, prepare: impl Fn(&Path)) {
    const ALERTS: u64 = 20_000;
    let folder = folder();
    prepare(folder.path());
    let options = options.replace("{folder}", folder.path().to_str().unwrap());
    let global = global.replace("{folder}", folder.path().to_str().unwrap());
    let Some(mut rsyslog) = Receiver::rsyslog(folder.path(), &global, inputs) else { return };
    let spool = spool_of(folder.path(), ALERTS);
    let address = format!("{scheme}://127.0.0.1:{}{options}", rsyslog.port());
    rsyslog.start();
    let child = started(&deliver(&spool, &[&address], "60s"));
    let mut before = 0;
    for _ in 0..3 {
        wait_until("some more", || {
            let now = rsyslog.lines("raw").len();
            now > before || now as u64 >= ALERTS
        });
        rsyslog.kill();
        before = rsyslog.lines("raw").len();
        thread::sleep(Duration::from_millis(300));
        rsyslog.start();
    }
    let said = ended(child);
    rsyslog.stop();
    let lines = assert_all(&rsyslog, ALERTS);
    let told = destination(&spool);
    println!("{scheme}: {lines} lines of {ALERTS} alerts; {told}; {said}");
    assert_eq!((told["waiting"].as_u64(), told["next"].as_u64()), (Some(0), Some(ALERTS)), "{said}");
    assert!(told["connections"].as_u64().unwrap() >= 2, "{told} {said}");
}

#[test]
fn nothing_is_missing_over_tcp_when_the_receiver_is_killed() {
    survives_kills("tcp", "?resend=2s", "", TCP, |_| {});
}

#[test]
fn nothing_is_missing_over_relp_when_the_receiver_is_killed() {
    survives_kills("relp", "", "", RELP, |_| {});
}
