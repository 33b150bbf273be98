//! Products for remote access through the program: recognised by names and first bytes, never by a port, and nobody is accused by it.
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
use program::{keywitness, of};
use serde_json::{Value, json};
use traffic::Traffic;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 9), 40_000);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

/// What the program says of a connection whose sides begin like this, followed by keys of a size that a terminal's would have.
fn analyze(port: u16, client: &[&[u8]], server: &[u8], more: &[&str]) -> (Vec<Value>, String) {
    let server_end = (SERVER, port);
    let mut traffic = Traffic(Vec::new());
    traffic.tcp(0, CLIENT, server_end, "S", 1_000, 0, b"");
    traffic.tcp(1, server_end, CLIENT, "SA", 5_000, 1_001, b"");
    traffic.tcp(21, CLIENT, server_end, "A", 1_001, 5_001, b"");
    let (mut ours, mut theirs) = (1_001, 5_001);
    for piece in client {
        traffic.tcp(22, CLIENT, server_end, "A", ours, theirs, piece);
        ours += piece.len() as u32;
    }
    traffic.tcp(23, server_end, CLIENT, "A", theirs, ours, server);
    theirs += server.len() as u32;
    for nth in 0..20_u64 {
        let record = [&[23, 3, 3, 0, 36][..], &[0; 36]].concat();
        traffic.tcp(100 + 150 * nth, CLIENT, server_end, "A", ours, theirs, &record);
        ours += record.len() as u32;
        traffic.tcp(102 + 150 * nth, server_end, CLIENT, "A", theirs, ours, &record);
        theirs += record.len() as u32;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    fs::write(&file, Classic { big_endian: false, microseconds: false }.write(&traffic.0)).unwrap();
    let args = ["analyze", "--format", "ndjson", "--keystrokes=all", file.to_str().unwrap()];
    let run = keywitness(args.into_iter().chain(more.iter().copied()));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    (run.records(), run.stdout)
}

/// A ClientHello for a name, in one record.
fn hello(name: &str) -> Vec<u8> {
    let len = name.len() as u16;
    let list = [&(len + 3).to_be_bytes()[..], &[0], &len.to_be_bytes(), name.as_bytes()].concat();
    let extension = [&[0, 0][..], &(list.len() as u16).to_be_bytes(), &list].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &(extension.len() as u16).to_be_bytes(), &extension].concat();
    let message = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [&[22, 3, 1][..], &(message.len() as u16).to_be_bytes(), &message].concat()
}

fn server_hello() -> Vec<u8> {
    let mut hello = vec![22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x30, 0]);
    hello
}

#[test]
fn a_name_in_tls_says_whose_service_it_is_and_how_that_is_known() {
    let hello = hello("relay-0a1b2c3d.net.anydesk.com");
    for pieces in [vec![&hello[..]], vec![&hello[..3], &hello[3..60], &hello[60..]]] {
        let (records, _) = analyze(443, &pieces, &server_hello(), &[]);
        let session = of(&records, "session")[0].clone();
        assert_eq!((&session["protocol"], &session["identified_by"]), (&json!("anydesk"), &json!("signature")));
        let details = &session["details"];
        assert_eq!(
            (&details["product"], &details["kind"], &details["mark"]),
            (&json!("AnyDesk"), &json!("remote_control"), &json!("server_name"))
        );
        assert_eq!((&details["confidence"], &details["source_status"]), (&json!("medium"), &json!("read")));
        assert_eq!(
            (&details["tls_version"], &details["tls_server_name"]),
            (&json!("TLS 1.2"), &json!("relay-0a1b2c3d.net.anydesk.com"))
        );
        assert_eq!((&session["keystrokes"], of(&records, "keystroke").len()), (&Value::Null, 0), "what is typed is not known");
    }
}

#[test]
fn first_bytes_name_what_has_no_tls() {
    let (records, _) = analyze(7_777, &[b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0"], b"REDQ\x02\0\0\0", &[]);
    let session = of(&records, "session")[0].clone();
    assert_eq!((&session["protocol"], &session["details"]["confidence"]), (&json!("spice"), &json!("high")));
}

/// TeamViewer's port, RDP's, NoMachine's and a web server's, and names that only look like a service's.
#[test]
fn a_port_or_a_like_name_is_no_mark() {
    for port in [5_938, 3_389, 4_000, 443] {
        for name in ["www.example.org", "net.anydesk.com.example.org", "www.teamviewer.com"] {
            assert!(of(&analyze(port, &[&hello(name)], &server_hello(), &[]).0, "session").is_empty(), "{name} on {port}");
        }
        assert!(of(&analyze(port, &[b"\0\x01\x02\x03"], b"\x04\x05", &[]).0, "session").is_empty());
    }
}

#[test]
fn whom_a_client_talks_to_accuses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let claims = folder.path().join("claims.csv");
    fs::write(&claims, "identity,place,client\njdoe,\"Boise, US\",203.0.113.9\n").unwrap();
    let more = ["--claims", claims.to_str().unwrap(), "--sensor", "Seattle, US"];
    let (records, _) = analyze(443, &[&hello("router3.teamviewer.com")], &server_hello(), &more);
    let session = of(&records, "session")[0].clone();
    assert_eq!((&session["claim"]["identity"], &session["findings"]), (&json!("jdoe"), &json!([])));
    assert!(of(&records, "alert").is_empty());
}

#[test]
fn under_pseudonyms_no_name_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n").unwrap();
    #[cfg(unix)]
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let hello = hello("jdoe-laptop.screenconnect.com");
    assert!(analyze(443, &[&hello], &server_hello(), &[]).1.contains("jdoe-laptop"));
    let (_, text) = analyze(443, &[&hello], &server_hello(), &["--pseudonymize", key.to_str().unwrap()]);
    assert!(text.contains("screenconnect") && !text.contains("jdoe-laptop"));
}
