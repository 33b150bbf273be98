//! Alerts posted to a web server of the test's own: one that fails, redirects, dies in the middle, or is not who it should be.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "collectors/alerts.rs"]
mod alerts;
#[path = "collectors/certificates.rs"]
mod certificates;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
};

use alerts::{record, spool_of};
use program::{Run, keywitness};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::Value;

/// A request as the server got it.
struct Request {
    line: String,
    key: String,
    body: Value,
}

/// Reads one; nothing where the other end has no more.
fn request(from: &mut impl BufRead) -> Option<Request> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let field = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let mut body = vec![0; field("Content-Length:").parse().unwrap()];
    from.read_exact(&mut body).ok()?;
    assert_eq!(field("Content-Type:"), "application/json");
    let body = serde_json::from_slice(&body).unwrap();
    Some(Request { line: head[0].clone(), key: field("Idempotency-Key:"), body })
}

/// What the server does with one request.
#[derive(Clone, Copy)]
enum Does {
    /// Answers, and goes on.
    Says(&'static str),
    /// Sends this and hangs up.
    Dies(&'static str),
}

const OK: Does = Does::Says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

/// Does one thing after the other, then the last for ever. What it got comes back once all that there is has an answer.
fn serve(listener: TcpListener, does: Vec<Does>, until: String) -> thread::JoinHandle<Vec<Request>> {
    thread::spawn(move || {
        let (mut got, mut does) = (Vec::new(), does.into_iter());
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some(request) = request(&mut stream) {
                let is_last = request.key == until;
                got.push(request);
                let (text, dies) = match does.next().unwrap_or(OK) {
                    Does::Says(text) => (text, false),
                    Does::Dies(text) => (text, true),
                };
                stream.get_mut().write_all(text.as_bytes()).unwrap();
                if is_last && text.contains(" 200 ") && !dies {
                    return got;
                }
                if dies {
                    break;
                }
            }
        }
        got
    })
}

fn deliver(spool: &Path, to: &str, wait: &str) -> Run {
    let words = [
        "analyze",
        "--format",
        "ndjson",
        "pcaps/scp-up.pcap",
        "--alert-wait",
        wait,
        "--spool",
        spool.to_str().unwrap(),
        "--alert-to",
        to,
    ];
    keywitness(words)
}

fn key(number: u64) -> String {
    format!("\"{number:016x}-{}\"", number % 3)
}

fn waiting(spool: &Path) -> u64 {
    let run = keywitness(["spool", "status", "--format", "ndjson", spool.to_str().unwrap()]);
    run.records()[0]["destinations"][0]["waiting"].as_u64().unwrap()
}

/// Each is sent until it is answered with 2xx, with the same key, and those behind it wait for it.
#[test]
fn nothing_but_2xx_says_that_it_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool_of(folder.path(), 20);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let does = vec![
        Does::Says("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"),
        Does::Dies("HTTP/1.1 20"),
        Does::Dies(""),
        Does::Says("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        OK,
        Does::Dies("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
        Does::Dies("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        Does::Says("HTTP/1.1 503 Later\r\nContent-Length: 5\r\n\r\nlater"),
        OK,
    ];
    let server = serve(listener, does, key(19));
    let run = deliver(&spool, &format!("http://127.0.0.1:{port}/alerts/in?format=record"), "60s");
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("the server answered 500"), "{}", run.stderr);
    let got = server.join().unwrap();
    let keys: Vec<String> = got.iter().map(|request| request.key.clone()).collect();
    let numbers = [0, 0, 0, 0, 0, 1, 2, 3].into_iter().chain(3..20);
    assert_eq!(keys, numbers.map(key).collect::<Vec<_>>());
    assert!(got.iter().all(|request| request.line == "POST /alerts/in HTTP/1.1"));
    assert_eq!(got[24].body, record(19));
    assert_eq!(waiting(&spool), 0);
}

/// A certificate of the right server, and of one that others vouch for, who is sent nothing.
#[test]
fn only_the_right_server_is_sent_anything() {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path());
    for (ca, certificate, arrives) in [("ca", "server", true), ("other-ca", "server", false), ("ca", "expired", false)] {
        let place = tempfile::tempdir().unwrap();
        let spool = spool_of(place.path(), 3);
        let file = |name: &str| folder.path().join(name);
        let chain = CertificateDer::pem_file_iter(file(&format!("{certificate}.pem"))).unwrap().map(Result::unwrap).collect();
        let private = PrivateKeyDer::from_pem_file(file(&format!("{certificate}.key"))).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(builder.with_single_cert(chain, private).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || accept(&listener, &config, if arrives { 3 } else { 1 }));
        let to = format!("https://127.0.0.1:{port}/?format=ecs&ca={}", file(&format!("{ca}.pem")).display());
        let run = deliver(&spool, &to, if arrives { "60s" } else { "1s" });
        let got = server.join().unwrap();
        if arrives {
            assert_eq!((run.status, got.len(), waiting(&spool)), (0, 3, 0), "{}", run.stderr);
            assert_eq!(got[0].body["event"]["id"], format!("{:016x}-0", 0));
        } else {
            assert!(run.stderr.contains("certificate"), "{}", run.stderr);
            assert_eq!((got.len(), waiting(&spool)), (0, 3), "{ca} {certificate}");
        }
    }
}

/// One connection: answers so many requests.
fn accept(listener: &TcpListener, config: &Arc<ServerConfig>, requests: usize) -> Vec<Request> {
    let stream: TcpStream = listener.accept().unwrap().0;
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut got = Vec::new();
    while got.len() < requests
        && let Some(request) = request(&mut stream)
    {
        got.push(request);
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    }
    got
}
