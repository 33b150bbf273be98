//! Alerts at those that collect them: rsyslog and syslog-ng as Debian has them, killed, stopped, with the wrong certificate. Skipped with a
//! word where they are not installed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[path = "collectors/alerts.rs"]
mod alerts;
#[path = "collectors/certificates.rs"]
mod certificates;
#[path = "collectors/delivery.rs"]
mod delivery;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;
#[path = "collectors/receiver.rs"]
mod receiver;

use std::{
    collections::BTreeSet,
    io::Read,
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use alerts::spool_of;
use delivery::{deliver, destination, ended, started};
use program::{Run, keywitness, of};
use receiver::{Receiver, free_port, wait_until};
use serde_json::{Value, json};

const TCP: &str = "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")";
const RELP: &str = "module(load=\"imrelp\")\ninput(type=\"imrelp\" address=\"127.0.0.1\" port=\"{port}\" maxDataSize=\"64k\")";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
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
    let tcp = format!("tcp://127.0.0.1:{}?resend=1s", rsyslog.port());
    let destinations = [
        tcp.clone(),
        format!("{tcp}&framing=newline&format=cee"),
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
    let begin = format!(
        "authpriv|warning|2026-11-22T15:19:33.141855Z|demo-tap|keywitness|rtt_above_claim|[keywitness@32473 alert_id=\"{id}\""
    );
    assert!(text.starts_with(&begin) && text.ends_with(alert["message"].as_str().unwrap()), "{text}");
    let cef = with("CEF:0|keywitness|keywitness|");
    assert!(
        cef.starts_with("local3|warning|") && cef.contains("|demo-tap|keywitness|") && cef.contains(" src=203.0.113.17 "),
        "{cef}"
    );
    let leef = with("LEEF:2.0|keywitness|");
    assert!(leef.contains("|keywitness|") && leef.contains("^usrName=asmith^"), "{leef}");
    let json: Value = serde_json::from_str(&rsyslog.lines("json")[0]).unwrap();
    assert_eq!(json["keywitness"]["alert_id"], id, "rsyslog found the JSON behind the cookie");
    assert_eq!(json["user"]["name"], "asmith");
}

/// rsyslog is killed under load, again and again: nothing is missing, and what came twice has its key.
fn survives_kills(scheme: &str, options: &str, global: &str, inputs: &str, prepare: impl Fn(&Path)) {
    /// So many that a kill meets them on their way.
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
            now > before + 3_000 || now as u64 >= ALERTS
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

/// rsyslog behind TLS with a certificate, which may ask for ours.
fn encrypted(certificate: &str, mode: &str) -> (String, String) {
    let global = format!(
        "defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"{{folder}}/ca.pem\" \
         defaultNetstreamDriverCertFile=\"{{folder}}/{certificate}.pem\" defaultNetstreamDriverKeyFile=\"{{folder}}/{certificate}.key\""
    );
    let inputs = format!(
        "module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" {mode})\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{{port}}\")"
    );
    (global, inputs)
}

const ANYBODY: &str = "streamDriver.authMode=\"anon\"";
const SENSOR_ONLY: &str = "streamDriver.authMode=\"x509/name\" permittedPeer=[\"sensor.test\"]";

#[test]
fn nothing_is_missing_over_tls_when_the_receiver_is_killed() {
    let (global, inputs) = encrypted("server", SENSOR_ONLY);
    let options = "?resend=2s&ca={folder}/ca.pem&cert={folder}/client.pem&key={folder}/client.key";
    survives_kills("tls", options, &global, &inputs, certificates::write);
}

/// What becomes of three alerts for a server with this certificate: what is told of the destination, and how many arrived.
fn sent_to(certificate: &str, mode: &str, scheme: &str, options: &str) -> Option<(Value, usize)> {
    let folder = folder();
    certificates::write(folder.path());
    let path = folder.path().to_str().unwrap();
    let (global, inputs) = encrypted(certificate, mode);
    let mut rsyslog = Receiver::rsyslog(folder.path(), &global.replace("{folder}", path), &inputs)?;
    rsyslog.start();
    let spool = spool_of(folder.path(), 3);
    let options = options.replace("{folder}", path);
    let address = format!("{scheme}://127.0.0.1:{}{options}", rsyslog.port());
    ended(started(&deliver(&spool, &[&address], "4s")));
    rsyslog.stop();
    Some((destination(&spool), rsyslog.keys().len()))
}

#[test]
fn only_the_right_server_is_sent_anything() {
    let ca = "?resend=1s&ca={folder}/ca.pem";
    let Some((told, arrived)) = sent_to("server", ANYBODY, "tls", ca) else { return };
    assert_eq!((told["waiting"].as_u64(), arrived), (Some(0), 3), "{told}");
    let named = sent_to("server", ANYBODY, "tls", &format!("{ca}&name=collector.test")).unwrap();
    assert_eq!(named.1, 3, "by name too: {}", named.0);
    for (certificate, options, why) in [
        ("expired", ca, "expired"),
        ("server", "?ca={folder}/ca.pem&name=another.test", "not valid for name"),
        ("server", "?ca={folder}/other-ca.pem", "UnknownIssuer"),
    ] {
        let (told, arrived) = sent_to(certificate, ANYBODY, "tls", options).unwrap();
        assert_eq!((told["waiting"].as_u64(), told["sent"].as_u64(), arrived), (Some(3), Some(0), 0), "{told}");
        assert!(told["problem"].as_str().unwrap().contains(why), "{why}: {told}");
    }
}

#[test]
fn a_server_that_asks_who_we_are_is_told_and_only_that_one() {
    let with = "?ca={folder}/ca.pem&cert={folder}/client.pem&key={folder}/client.key";
    let Some((told, arrived)) = sent_to("server", SENSOR_ONLY, "tls", with) else { return };
    assert_eq!((told["waiting"].as_u64(), arrived), (Some(0), 3), "{told}");
    for wrong in ["?ca={folder}/ca.pem", "?ca={folder}/ca.pem&cert={folder}/server.pem&key={folder}/server.key"] {
        let (told, arrived) = sent_to("server", SENSOR_ONLY, "tls", wrong).unwrap();
        assert_eq!((told["waiting"].as_u64(), arrived), (Some(3), 0), "{told}");
        assert!(told["problem"].is_string(), "{told}");
    }
}

/// A server that answers in clear text is told nothing, in clear text or otherwise.
#[test]
fn there_is_no_way_back_to_clear_text() {
    let folder = folder();
    certificates::write(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address =
        format!("tls://127.0.0.1:{}?ca={}", listener.local_addr().unwrap().port(), folder.path().join("ca.pem").display());
    let server = thread::spawn(move || {
        let mut stream: TcpStream = listener.accept().unwrap().0;
        std::io::Write::write_all(&mut stream, b"220 collector ready\r\n").unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        heard
    });
    let spool = spool_of(folder.path(), 3);
    let said = ended(started(&deliver(&spool, &[&address], "2s")));
    let heard = server.join().unwrap();
    assert!(heard.starts_with(&[22, 3, 1]), "a ClientHello comes first");
    assert!(!heard.windows(8).any(|bytes| bytes == b"alert_id"), "and no alert");
    assert!(said.contains("3 may not have arrived"), "{said}");
}

#[test]
fn another_collector_stands_in_for_one_that_is_down() {
    let folder = folder();
    let Some(mut rsyslog) = Receiver::rsyslog(folder.path(), "", TCP) else { return };
    rsyslog.start();
    let spool = spool_of(folder.path(), 50);
    let addresses = format!("tcp://127.0.0.1:{}?resend=1s tcp://127.0.0.1:{}?resend=1s", free_port(), rsyslog.port());
    let said = ended(started(&deliver(&spool, &[&addresses], "10s")));
    rsyslog.stop();
    assert_eq!(assert_all(&rsyslog, 50), 50, "{said}");
}

/// A collector that reads nothing costs the run its patience and no more; what it did not read waits for the next one.
#[test]
fn a_collector_that_reads_nothing_holds_nobody_up() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let spool = spool_of(folder.path(), 20_000);
    let said = ended(started(&deliver(&spool, &[&address], "2s")));
    let told = destination(&spool);
    assert_eq!(told["next"], 0, "nothing counts as arrived: {told}");
    assert!(told["sent"].as_u64().unwrap() > 0 && said.contains("20000 may not have arrived"), "{told} {said}");
    drop(listener);
    // The next run delivers it, in order.
    let Some(mut rsyslog) = Receiver::rsyslog(folder.path(), "", TCP) else { return };
    rsyslog.start();
    let there = format!("tcp://127.0.0.1:{}?resend=1s", rsyslog.port());
    ended(started(&deliver(&spool, &[&there], "60s")));
    rsyslog.stop();
    assert_eq!(assert_all(&rsyslog, 20_000), 20_000);
    let lines = rsyslog.lines("raw");
    let ids: Vec<&str> = lines.iter().filter_map(|line| line.split_once("alert_id=\"")?.1.get(..16)).collect();
    assert!(ids.is_sorted(), "in the order in which they were raised");
}

/// A collector that reads little by little gets everything, in order and once, and each alert is accepted at the pace of the disk meanwhile.
#[test]
fn a_slow_collector_gets_everything() {
    const ALERTS: u64 = 3_000;
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://127.0.0.1:{}?framing=newline&resend=1s", listener.local_addr().unwrap().port());
    let reader = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let (mut heard, mut piece) = (Vec::new(), [0; 16 << 10]);
        loop {
            match stream.read(&mut piece).unwrap() {
                0 => return String::from_utf8(heard).unwrap(),
                read => heard.extend_from_slice(&piece[..read]),
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    let spool = spool_of(folder.path(), ALERTS);
    let said = ended(started(&deliver(&spool, &[&address], "60s")));
    let heard = reader.join().unwrap();
    let ids: Vec<_> = heard.lines().filter_map(|line| line.split_once("alert_id=\"")?.1.get(..16)).map(str::to_owned).collect();
    assert_eq!(ids, (0..ALERTS).map(|number| format!("{number:016x}")).collect::<Vec<_>>(), "{said}");
    let told = destination(&spool);
    assert_eq!((&told["waiting"], &told["sent"], &told["sent_again"]), (&json!(0), &json!(ALERTS), &json!(0)), "{told}");
}

/// syslog-ng reads structured data, with octet counting.
#[test]
fn syslog_ng_reads_what_is_sent() {
    for (source, scheme, options) in [
        ("syslog(ip(127.0.0.1) port({port}) transport(\"tcp\"));", "tcp", "?resend=1s"),
        ("network(ip(127.0.0.1) port({port}) transport(\"tcp\") flags(syslog-protocol));", "tcp", "?resend=1s&framing=newline"),
        (
            "syslog(ip(127.0.0.1) port({port}) transport(\"tls\") tls(key-file(\"{folder}/server.key\") \
             cert-file(\"{folder}/server.pem\") ca-file(\"{folder}/ca.pem\") peer-verify(required-trusted)));",
            "tls",
            "?resend=1s&ca={folder}/ca.pem&cert={folder}/client.pem&key={folder}/client.key",
        ),
    ] {
        let folder = folder();
        certificates::write(folder.path());
        let Some(mut receiver) = Receiver::syslog_ng(folder.path(), source) else { return };
        receiver.start();
        let spool = spool_of(folder.path(), 500);
        let options = options.replace("{folder}", folder.path().to_str().unwrap());
        let address = format!("{scheme}://127.0.0.1:{}{options}", receiver.port());
        let said = ended(started(&deliver(&spool, &[&address], "10s")));
        wait_until("all of them", || receiver.lines("raw").len() >= 500);
        receiver.stop();
        assert_all(&receiver, 500);
        let line = &receiver.lines("raw")[0];
        assert!(line.starts_with("<84>keywitness rtt_above_claim [keywitness@32473 "), "{line} {said}");
        assert!(line.contains("identity=\"a\\]s\\\"m\\\\ith\"") && line.ends_with("] a]s\"m\\ith: Too far."), "{line}");
    }
}

/// A million alerts through rsyslog that is killed every three seconds, for as long as there is something left. Takes a minute or two each, and
/// some gigabytes: `cargo test --release --test collectors -- --ignored --nocapture --test-threads 1`. What was sent, or confirmed, less than
/// `resend` before a break comes again: that has to be less than from one kill to the next, or nothing ever counts as arrived.
fn a_million(scheme: &str, options: &str, global: &str, inputs: &str) {
    const ALERTS: u64 = 1_000_000;
    let folder = folder();
    certificates::write(folder.path());
    let here = |text: &str| text.replace("{folder}", folder.path().to_str().unwrap());
    let Some(mut rsyslog) = Receiver::rsyslog(folder.path(), &here(global), inputs) else { return };
    let spool = spool_of(folder.path(), ALERTS);
    let address = format!("{scheme}://127.0.0.1:{}{}", rsyslog.port(), here(options));
    rsyslog.start();
    let begun = Instant::now();
    let mut child = started(&deliver(&spool, &[&address], "600s"));
    let mut kills = 0;
    while child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_secs(3));
        rsyslog.kill();
        kills += 1;
        thread::sleep(Duration::from_millis(200));
        rsyslog.start();
    }
    let (said, took) = (ended(child), begun.elapsed());
    rsyslog.stop();
    let lines = assert_all(&rsyslog, ALERTS);
    println!("{scheme}: {lines} lines of {ALERTS} alerts, {kills} kills in {took:?}; {}", destination(&spool));
    assert_eq!(destination(&spool)["waiting"], 0, "{said}");
}

#[test]
#[ignore = "takes minutes"]
fn a_million_alerts_arrive_over_tcp_at_a_receiver_that_is_killed_every_few_seconds() {
    a_million("tcp", "?resend=1s", "", TCP);
}

#[test]
#[ignore = "takes minutes"]
fn a_million_alerts_arrive_over_tls_at_a_receiver_that_is_killed_every_few_seconds() {
    let (global, inputs) = encrypted("server", ANYBODY);
    a_million("tls", "?resend=1s&ca={folder}/ca.pem", &global, &inputs);
}

#[test]
#[ignore = "takes minutes"]
fn a_million_alerts_arrive_over_relp_at_a_receiver_that_is_killed_every_few_seconds() {
    a_million("relp", "", "", RELP);
}
