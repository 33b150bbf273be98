//! Sessions over UDP through the program: found by their first datagrams, on any port, and nothing else is.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod program;
#[path = "program/traffic.rs"]
#[expect(dead_code, reason = "only some of its helpers are needed here")]
mod traffic;

use std::{fs, net::Ipv4Addr};

use pcap::{Classic, Packet};
use program::{keywitness, of};
use serde_json::{Value, json};
use traffic::{End, Traffic};

const CLIENT: End = (Ipv4Addr::new(203, 0, 113, 9), 40_000);
const SERVER: End = (Ipv4Addr::new(198, 51, 100, 2), 7_000);

fn sessions(file: &str, more: &[&str]) -> Vec<Value> {
    let args = ["analyze", "--format", "ndjson", "--keystrokes=all", file];
    let run = keywitness(args.into_iter().chain(more.iter().copied()));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let records = run.records();
    let over_udp = |id: &Value| of(&records, "session").iter().any(|of| of["session_id"] == *id && of["transport"] == "udp");
    assert!(!of(&records, "keystroke").iter().any(|key| over_udp(&key["session_id"])));
    of(&records, "session").into_iter().cloned().collect()
}

fn of_traffic(traffic: &Traffic, more: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcap");
    fs::write(&file, Classic { big_endian: false, microseconds: false }.write(&traffic.0)).unwrap();
    sessions(file.to_str().unwrap(), more)
}

/// Both were recorded over an emulated path: 60 ms to mosh's client, 40 ms to WireGuard's, a tenth of a millisecond to either server.
#[test]
fn what_real_programs_say_is_found_whoever_reads() {
    for workers in ["1", "2"] {
        let mosh = sessions("pcaps/udp/mosh.pcap", &["--workers", workers])[0].clone();
        assert_eq!(
            (&mosh["protocol"], &mosh["transport"], &mosh["identified_by"]),
            (&json!("mosh"), &json!("udp"), &json!("handshake"))
        );
        assert_eq!((&mosh["client"]["ip"], &mosh["client_evidence"]), (&json!("203.0.113.77"), &json!("banner")));
        assert_eq!(mosh["details"], json!({"client_sent": 128, "server_sent": 146, "client_missing": 0, "server_missing": 0}));
        assert_eq!((&mosh["rtt"]["client"]["min_ms"], &mosh["keystrokes"]), (&Value::Null, &Value::Null), "it is not known");

        let wireguard = sessions("pcaps/udp/wireguard.pcap", &["--workers", workers])[0].clone();
        assert_eq!((&wireguard["protocol"], &wireguard["identified_by"]), (&json!("wireguard"), &json!("handshake")));
        assert_eq!((&wireguard["details"]["kind"], &wireguard["details"]["mark"]), (&json!("vpn"), &json!("datagram")));
        let far = wireguard["rtt"]["client"]["handshake_ms"].as_f64().unwrap();
        let near = wireguard["rtt"]["server"]["handshake_ms"].as_f64().unwrap();
        assert!((40.0..44.0).contains(&far) && (0.0..6.0).contains(&near), "{far} {near}");
    }
}

/// Recorded over a path of 50 ms.
#[test]
fn openvpn_is_found_with_its_control_channel_hidden_signed_or_not() {
    for (name, confidence) in
        [("openvpn", "high"), ("openvpn-crypt", "medium"), ("openvpn-crypt-v2", "medium"), ("openvpn-auth", "high")]
    {
        let session = sessions(&format!("pcaps/udp/{name}.pcap"), &[])[0].clone();
        assert_eq!((&session["protocol"], &session["identified_by"]), (&json!("openvpn"), &json!("handshake")), "{name}");
        assert_eq!(session["details"]["confidence"], json!(confidence));
        let far = session["rtt"]["client"]["handshake_ms"].as_f64().unwrap();
        assert!((50.0..58.0).contains(&far), "{name}: {far}");
    }
}

/// Recorded over a path of 40 ms: a client that asks for a name which AnyDesk's relays have.
#[test]
fn a_product_is_named_by_what_its_client_asks_for() {
    for (name, far) in [("quic", None), ("dtls", Some(40.0..44.0))] {
        let session = sessions(&format!("pcaps/udp/{name}.pcap"), &[])[0].clone();
        assert_eq!((&session["protocol"], &session["identified_by"]), (&json!("anydesk"), &json!("handshake")), "{name}");
        assert_eq!((&session["client"]["ip"], &session["client_evidence"]), (&json!("203.0.113.77"), &json!("banner")));
        let details = &session["details"];
        assert_eq!(
            (&details["mark"], &details["tls_server_name"]),
            (&json!("server_name"), &json!("relay-1a2b3c4d.net.anydesk.com"))
        );
        let round_trip = |side: &str| session["rtt"][side]["handshake_ms"].as_f64();
        assert!(round_trip("server").is_some_and(|near| (0.0..15.0).contains(&near)), "{name}: {:?}", round_trip("server"));
        match far {
            Some(range) => assert!(range.contains(&round_trip("client").unwrap()), "{name}: {:?}", round_trip("client")),
            None => assert_eq!(round_trip("client"), None, "no answer of its client is known for one"),
        }
    }
}

#[test]
fn what_is_no_session_is_not_reported_and_counts_as_a_flow() {
    let mut traffic = Traffic::default();
    for nth in 0..200u16 {
        let client = (CLIENT.0, 30_000 + nth);
        let bytes: Vec<u8> = (0..200).map(|at| (nth as u8).wrapping_mul(31) ^ (at as u8).wrapping_mul(77)).collect();
        for step in 0..8 {
            let server = (SERVER.0, [443, 3_389, 60_001, 51_820][usize::from(nth) % 4]);
            let (from, to) = if step % 2 == 0 { (client, server) } else { (server, client) };
            traffic.udp(u64::from(nth) * 10 + step, from, to, &bytes);
        }
    }
    assert!(of_traffic(&traffic, &[]).is_empty());
    let all = of_traffic(&traffic, &["--all-flows"]);
    assert!(
        all.len() == 200 && all.iter().all(|flow| flow["protocol"] == "unknown" && flow["traffic"]["client"]["packets"] == 4)
    );
}

/// A counter in front of what is encrypted, as much that is sent one way has it; the other end, where it speaks, counts the same way.
#[test]
fn a_counter_is_not_yet_mosh() {
    for every in [1, 20, u64::MAX] {
        let mut traffic = Traffic::default();
        for count in 0..100u64 {
            let sealed: Vec<u8> = (0..200).map(|at| (count as u8).wrapping_mul(31) ^ (at as u8).wrapping_mul(77)).collect();
            let bytes = [&count.to_be_bytes()[..], &sealed].concat();
            traffic.udp(count * 10, CLIENT, SERVER, &bytes);
            if count % every == every - 1 {
                traffic.udp(count * 10 + 3, SERVER, CLIENT, &bytes);
            }
        }
        assert!(of_traffic(&traffic, &[]).is_empty(), "an answer to every {every}");
    }
}

/// The first datagrams went astray: the middle is known by its shape alone, and only after some of it.
#[test]
fn a_tunnel_is_found_in_its_middle() {
    let mut traffic = Traffic::default();
    for nth in 0..6u8 {
        let data = [&[4, 0, 0, 0, 1, 2, 3, 4, nth, 1, 0, 0, 0, 0, 0, 0][..], &[0x5a; 80]].concat();
        traffic.udp(u64::from(nth) * 20, CLIENT, SERVER, &data);
        traffic.udp(u64::from(nth) * 20 + 5, SERVER, CLIENT, &data);
    }
    let session = of_traffic(&traffic, &[])[0].clone();
    assert_eq!(
        (&session["protocol"], &session["identified_by"], &session["midstream"]),
        (&json!("wireguard"), &json!("signature"), &json!(true))
    );
    assert_eq!(session["rtt"]["client"]["min_ms"], Value::Null);
    traffic.0.truncate(3);
    assert!(of_traffic(&traffic, &[]).is_empty());
}

#[test]
fn a_device_that_announces_itself_late_is_found_and_renamed() {
    let mdns = (Ipv4Addr::new(224, 0, 0, 251), 5_353);
    let device = (Ipv4Addr::new(192, 0, 2, 40), 5_353);
    let named = |name: &str| {
        let (host, domain) = name.split_once('.').unwrap();
        let labels = [&[host.len() as u8], host.as_bytes(), &[domain.len() as u8], domain.as_bytes()].concat();
        [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &labels, &[0, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 40]].concat()
    };
    let mut traffic = Traffic::default();
    for nth in 0..10 {
        traffic.udp(nth * 1_000, device, mdns, &named("printer.local"));
    }
    assert!(of_traffic(&traffic, &[]).is_empty());
    traffic.udp(20_000, device, mdns, &named("pikvm.local"));
    let session = of_traffic(&traffic, &[])[0].clone();
    assert_eq!((&session["protocol"], &session["details"]["mark"]), (&json!("pikvm"), &json!("dns_name")));
    assert_eq!((&session["details"]["dns_name"], &session["details"]["confidence"]), (&json!("pikvm.local"), &json!("low")));
}

/// As [MS-RDPEUDP] §2.2 has it, filled up to 1232 bytes.
fn rdp_opening(acked: u32, flags: u16, initial: u32) -> Vec<u8> {
    let head = [&acked.to_be_bytes()[..], &64u16.to_be_bytes(), &flags.to_be_bytes(), &initial.to_be_bytes()].concat();
    let mut bytes = [&head[..], &1_232u16.to_be_bytes(), &1_200u16.to_be_bytes()].concat();
    bytes.resize(1_232, 0);
    bytes
}

/// A recorded session over TCP, from another port of its client's, so many milliseconds later.
fn rdp_over_tcp(port: u16, ms: u64) -> (Vec<Packet>, [End; 2]) {
    let mut packets = pcap::read("rdp-tls");
    let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&packets[0].bytes[at..at + 4]).unwrap());
    let (client, server) = (address(26), address(30));
    for packet in &mut packets {
        let at = if packet.bytes[26..30] == client.octets() { 34 } else { 36 };
        packet.bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        packet.time += ms * 1_000_000;
    }
    (packets, [(client, port), (server, 3_389)])
}

/// What is said of a session over UDP that opens three seconds after the first over TCP.
fn rdp_over_udp(over_tcp: &[u16], opened_by: usize, more: &[&str]) -> (Value, Vec<Value>) {
    let mut packets: Vec<Packet> = over_tcp.iter().flat_map(|port| rdp_over_tcp(*port, 0).0).collect();
    let (whole, mut ends) = rdp_over_tcp(1, 3_000);
    ends.rotate_left(opened_by);
    let [client, server] = ends;
    let mut udp = Traffic::default();
    udp.udp(0, client, server, &rdp_opening(u32::MAX, 1, 500));
    udp.udp(2, server, client, &rdp_opening(500, 5, 900));
    udp.udp(40, client, server, &[0, 0, 3, 132, 0, 64, 0, 4]);
    packets.extend(udp.0.into_iter().map(|packet| Packet { time: packet.time - traffic::BEGIN + whole[0].time, ..packet }));
    packets.sort_by_key(|packet| packet.time);
    let mut sessions = of_traffic(&Traffic(packets), more);
    let place = sessions.iter().position(|session| session["transport"] == "udp").unwrap();
    (sessions.remove(place), sessions)
}

#[test]
fn rdp_over_udp_names_the_session_over_tcp_that_it_belongs_to() {
    for workers in ["1", "2"] {
        let (udp, tcp) = rdp_over_udp(&[50_001], 0, &["--workers", workers]);
        assert_eq!((&udp["protocol"], &udp["identified_by"]), (&json!("rdp"), &json!("handshake")));
        assert_eq!((&udp["details"]["tcp_session_id"], tcp.len()), (&tcp[0]["session_id"], 1));
    }
    for (over_tcp, opened_by, why) in
        [(&[][..], 0, "there is none"), (&[50_001, 50_002], 0, "it may be either"), (&[50_001], 1, "the server opened it")]
    {
        let (udp, _) = rdp_over_udp(over_tcp, opened_by, &[]);
        assert_eq!(udp["details"]["tcp_session_id"], Value::Null, "{why}");
    }
}

/// As SoftEther writes a list: how many values, the length of a name and a zero behind it, the name.
#[test]
fn softether_is_named_by_the_list_that_it_sends() {
    let list = |name: &[u8]| [&[0, 0, 0, 3, 0, 0, 0, 10][..], name, &[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, b'x']].concat();
    let mut traffic = Traffic::default();
    traffic.udp(0, CLIENT, SERVER, b"A");
    traffic.udp(5, SERVER, CLIENT, &list(b"host_name"));
    assert_eq!(of_traffic(&traffic, &[])[0]["protocol"], json!("softether"));
    let mut other = Traffic::default();
    other.udp(0, CLIENT, SERVER, b"A");
    other.udp(5, SERVER, CLIENT, &list(b"host_nane"));
    assert!(of_traffic(&other, &[]).is_empty());
}

/// Made up, each from another port, between the same two addresses as a client that asks for a product's relay.
#[test]
fn of_a_flood_of_first_packets_of_quic_some_are_opened_in_each_second() {
    let real = pcap::read("udp/quic");
    // The session has three packets that look like a first one.
    for (forged, earlier, expected) in [(15, 0, (1, 0)), (16, 0, (0, 3)), (40, 0, (0, 27)), (40, 1_000_000_000, (1, 24))] {
        let mut packets = real.clone();
        packets.extend((0..forged).map(|nth: u16| {
            let mut bytes = real[0].bytes.clone();
            bytes[34..36].copy_from_slice(&(1_000 + nth).to_be_bytes());
            bytes[150] ^= 1; // behind the header: the seal is broken
            Packet { bytes, time: real[0].time - 1 - earlier }
        }));
        packets.sort_by_key(|packet| packet.time);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("capture.pcap");
        fs::write(&file, Classic { big_endian: false, microseconds: false }.write(&packets)).unwrap();
        for workers in ["1", "2"] {
            let records = keywitness(["analyze", "--format", "ndjson", "--workers", workers, file.to_str().unwrap()]).records();
            let unread = of(&records, "summary")[0]["flows"]["unread"].as_u64().unwrap();
            assert_eq!((of(&records, "session").len(), unread), expected, "{forged} forged, {earlier} ns earlier");
        }
    }
}
