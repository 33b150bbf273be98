//! Alerts published to NATS JetStream: nats-server as Debian has it, killed and started again. Skipped with a word where it is not
//! installed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[path = "collectors/alerts.rs"]
mod alerts;
#[path = "collectors/certificates.rs"]
mod certificates;
#[path = "collectors/delivery.rs"]
mod delivery;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;
#[path = "nats/server.rs"]
mod server;

use std::{fs, thread, time::Duration};

use alerts::{record, spool_of};
use delivery::{deliver, destination, ended, started};
use program::{Run, keywitness};
use serde_json::Value;
use server::{Server, wait_until};

/// The server dies under load, again and again: each alert is in the stream once, in order.
#[test]
fn nothing_is_missing_nor_there_twice_when_the_server_is_killed() {
    const ALERTS: u64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = Server::start(folder.path(), "") else { return };
    server.make_stream("ALERTS", "kw.alerts");
    let spool = spool_of(folder.path(), ALERTS);
    let to = format!("nats://127.0.0.1:{}/kw.alerts", server.port());
    let child = started(&deliver(&spool, &[&to], "120s"));
    let mut before = 0;
    for _ in 0..3 {
        wait_until("some more", || {
            let now = server.messages("ALERTS");
            now > before + 2_000 || now >= ALERTS
        });
        server.kill();
        thread::sleep(Duration::from_millis(300));
        server.restart();
        before = server.messages("ALERTS");
    }
    let said = ended(child);
    let told = destination(&spool);
    println!("{told}; {said}");
    assert_eq!((told["waiting"].as_u64(), told["next"].as_u64()), (Some(0), Some(ALERTS)), "{said}");
    assert!(told["connections"].as_u64().unwrap() >= 2 && told["sent_again"].as_u64().unwrap() > 0, "{told} {said}");
    assert_eq!(server.messages("ALERTS"), ALERTS);
    for number in (0..ALERTS).step_by(97).chain([ALERTS - 1]) {
        let (key, body) = server.message("ALERTS", number + 1);
        assert_eq!(key, format!("{number:016x}-{}", number % 3));
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), record(number));
    }
}

/// What JetStream does not keep stays in the spool, and the log says why.
#[test]
fn what_is_not_kept_has_not_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = Server::start(folder.path(), "authorization { user: me, password: secret }") else { return };
    let login = folder.path().join("login");
    fs::write(&login, "me:wrong\n").unwrap();
    let spool = spool_of(folder.path(), 3);
    let to = format!("nats://127.0.0.1:{}/kw.alerts?login={}", server.port(), login.display());
    let run = |why: &str| {
        let Run { status, stderr, .. } = keywitness(deliver(&spool, &[&to], "2s"));
        assert!(status == 0 && stderr.contains(why), "{why}: {stderr}");
        assert!(!stderr.contains("secret") && !stderr.contains("wrong"), "{stderr}");
    };
    run("the server refused: 'Authorization Violation'");
    fs::write(&login, "me:secret\n").unwrap();
    run("no stream of JetStream has the subject kw.alerts");
    assert_eq!(destination(&spool)["waiting"], 3);
    server.login("me", "secret");
    server.make_stream("ALERTS", "kw.alerts");
    let Run { status, stderr, .. } = keywitness(deliver(&spool, &[&to], "30s"));
    assert_eq!((status, server.messages("ALERTS"), &destination(&spool)["waiting"]), (0, 3, &Value::from(0)), "{stderr}");
}

/// Nothing is sent to a server that is not the one that was named.
#[test]
fn the_server_shows_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let tls = |certificate: &str| {
        let (cert, key) = (path(&format!("{certificate}.pem")), path(&format!("{certificate}.key")));
        format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\", ca_file: \"{}\", verify: true }}", path("ca.pem"))
    };
    let spool = spool_of(folder.path(), 3);
    for (name, arrives) in [("collector.test", true), ("other.test", false)] {
        let Some(mut server) = Server::start(folder.path(), &tls("server")) else { return };
        let to = format!(
            "nats+tls://127.0.0.1:{}/kw.alerts?name={name}&ca={}&cert={}&key={}",
            server.port(),
            path("ca.pem"),
            path("client.pem"),
            path("client.key")
        );
        let Run { status, stderr, .. } = keywitness(deliver(&spool, &[&to], "2s"));
        // There is no stream: that is what the right server says, behind the handshake.
        let why = if arrives { "no stream of JetStream" } else { "certificate" };
        assert!(status == 0 && stderr.contains(why), "{name}: {stderr}");
        server.kill();
    }
}
