//! Products for remote access through the program: recognised by names and first bytes, never by a port, and nobody is accused by it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod pcap;
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod program;
#[path = "program/talk.rs"]
mod talk;
#[path = "program/traffic.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod traffic;

use std::fs;

use program::of;
use serde_json::{Value, json};
use talk::{Speaker, Talk};

/// What the program says of a connection whose sides begin like this, followed by keys of a size that a terminal's would have.
fn analyze(port: u16, client: &[&[u8]], server: &[u8], more: &[&str]) -> (Vec<Value>, String) {
    begun(port, client, server).analyze(&[&["--keystrokes=all"], more].concat())
}

fn begun(port: u16, client: &[&[u8]], server: &[u8]) -> Talk {
    let mut talk = Talk::with(port);
    for piece in client {
        talk.say(22, Speaker::Client, piece);
    }
    talk.say(23, Speaker::Server, server);
    let record = [&[23, 3, 3, 0, 36][..], &[0; 36]].concat();
    for nth in 0..20 {
        talk.say(100 + 150 * nth, Speaker::Client, &record);
        talk.say(102 + 150 * nth, Speaker::Server, &record);
    }
    talk
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

/// A ClientHello that asks for no name.
fn nameless_hello() -> Vec<u8> {
    let groups = [0, 8, 0, 10, 0, 4, 0, 2, 0, 23]; // its only extension
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x30, 1, 0], &groups].concat();
    let message = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [&[22, 3, 1][..], &(message.len() as u16).to_be_bytes(), &message].concat()
}

/// What a server shows with a certificate for this name: its hello and the certificate, each in a record of its own.
fn certified(name: &str) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let with_length = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat();
    let message = [&[11][..], &with_length(&with_length(&with_length(certificate.der())))].concat();
    [&server_hello()[..], &[22, 3, 3], &(message.len() as u16).to_be_bytes(), &message].concat()
}

#[test]
fn a_certificate_says_whose_service_it_is_where_the_client_asks_for_no_name() {
    let sessions = |client: &[u8], server: &[u8]| {
        of(&analyze(443, &[client], server, &[]).0, "session").into_iter().cloned().collect::<Vec<_>>()
    };
    let session = sessions(&nameless_hello(), &certified("AnyNet Relay")).remove(0);
    let details = &session["details"];
    assert_eq!((&session["protocol"], &details["mark"]), (&json!("anydesk"), &json!("certificate")));
    assert_eq!((&details["confidence"], &details["tls_version"]), (&json!("medium"), &json!("TLS 1.2")));
    for name in ["AnyNet Relay.example", "Any", "example.org"] {
        assert!(sessions(&nameless_hello(), &certified(name)).is_empty(), "{name}");
    }
    assert!(sessions(&hello("example.org"), &certified("AnyNet Relay")).is_empty(), "whoever asks for a name is known by it");
    assert!(sessions(&nameless_hello(), &server_hello()).is_empty(), "what comes behind it is encrypted");
}

/// What the server shows comes in as many segments as it likes.
#[test]
fn a_certificate_in_pieces_is_read() {
    let shown = certified("AnyNet Root CA");
    for cut in [3, 40, 60, 120, shown.len() - 1] {
        let mut talk = Talk::with(443);
        talk.say(22, Speaker::Client, &nameless_hello());
        talk.say(23, Speaker::Server, &shown[..cut]);
        talk.say(24, Speaker::Server, &shown[cut..]);
        let (records, _) = talk.analyze(&[]);
        assert_eq!(of(&records, "session")[0]["protocol"], json!("anydesk"), "{cut}");
    }
}

#[test]
fn first_bytes_name_what_has_no_tls() {
    // Behind what ends TLS in front of a gateway; inside TLS nothing tells it from any other web server.
    let request = b"RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\nHost: gateway.example.org\r\n\r\n";
    let (records, _) = analyze(8_080, &[request], b"HTTP/1.1 200 OK\r\n", &[]);
    assert_eq!(of(&records, "session")[0]["protocol"], json!("rd_gateway"));
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

/// Behind CONNECT a name counts as it does without; other pages that are fetched so are no sessions.
#[test]
fn a_product_is_told_through_a_proxy_too() {
    let connect: &[u8] = b"CONNECT relay.example:443 HTTP/1.1\r\n\r\n";
    let answer = [b"HTTP/1.1 200 OK\r\n\r\n", &server_hello()[..]].concat();
    let (records, _) = analyze(3_128, &[connect, &hello("relay-0a1b2c3d.net.anydesk.com")], &answer, &[]);
    let session = of(&records, "session")[0].clone();
    assert_eq!((&session["protocol"], &session["details"]["tls_version"]), (&json!("anydesk"), &json!("TLS 1.2")));
    assert_eq!(session["carriers"], json!([{"kind": "http_connect", "host": "relay.example", "port": 443}]));
    for other in [&hello("www.example.org")[..], b"GET / HTTP/1.1\r\n", b"\0\x01\x02\x03"] {
        let (records, _) = analyze(3_128, &[connect, other], &answer, &[]);
        assert!(of(&records, "session").is_empty());
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
    let talk = begun(443, &[&hello("jdoe-laptop.screenconnect.com")], &server_hello());
    assert!(talk.analyze(&[]).1.contains("jdoe-laptop"));
    let text = talk.pseudonymized();
    assert!(text.contains("screenconnect") && !text.contains("jdoe-laptop"));
}
