//! `--save-evidence` as its users have it: for each alert a capture with the headers of its session and nothing behind them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
mod program;

use std::{
    collections::HashMap,
    fs,
    io::Write,
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
};

use program::{Run, captures, command, keywitness, nanos, of, repository};
use serde_json::Value;

const OPTIONS: [&str; 5] = ["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml"];

const KEY: &str = "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301";

fn analyze<'a>(more: impl IntoIterator<Item = &'a str>) -> Run {
    keywitness(OPTIONS.into_iter().chain(more))
}

/// A frame of a slice.
struct Cut {
    time: u64,
    length: usize,
    bytes: Vec<u8>,
}

/// A slice: little-endian, nanoseconds, Ethernet.
fn slice(path: &Path) -> Vec<Cut> {
    let file = fs::read(path).unwrap();
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((number(0), number(4), number(20)), (0xa1b2_3c4d, 0x0004_0002, 1));
    let mut cuts = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let end = at + 16 + number(at + 8) as usize;
        let time = u64::from(number(at)) * 1_000_000_000 + u64::from(number(at + 4));
        cuts.push(Cut { time, length: number(at + 12) as usize, bytes: file[at + 16..end].to_vec() });
        at = end;
    }
    cuts
}

/// Where TCP's header begins and ends in a frame over IPv4 over Ethernet.
fn tcp(bytes: &[u8]) -> (usize, usize) {
    let start = 14 + usize::from(bytes[14] & 0xf) * 4;
    (start, start + usize::from(bytes[start + 12] >> 4) * 4)
}

/// Files of a folder, by name.
fn files(folder: &str) -> HashMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())).collect()
}

fn file_name(alert: &Value) -> String {
    format!("{}-{}.pcap", alert["alert_id"].as_str().unwrap(), alert["revision"])
}

#[test]
fn each_alert_has_the_headers_of_its_session_and_nothing_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().join("new/folder");
    let inputs: Vec<String> = captures().into_iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let args = ["--save-evidence", evidence.to_str().unwrap()];
    let run = analyze(args.into_iter().chain(inputs.iter().map(String::as_str)));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let records = run.records();
    let alerts = of(&records, "alert");
    assert_eq!((alerts.len(), files(evidence.to_str().unwrap()).len()), (4, 4), "ssh-far, ssh-rtt110, ssh-relayed, ssh-nested");
    for alert in alerts {
        let path = evidence.join(file_name(alert));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let session = of(&records, "session").into_iter().find(|session| session["session_id"] == alert["session_id"]).unwrap();
        let input = session["input"].as_str().unwrap();
        // The capture holds nothing but this session.
        let whole = pcap::read(Path::new(input).file_stem().unwrap().to_str().unwrap());
        let cuts = slice(&path);
        assert_eq!(cuts.len(), whole.len(), "{input}");
        for (cut, frame) in cuts.iter().zip(&whole) {
            assert_eq!((cut.time, cut.length), (frame.time, frame.bytes.len()));
            let (start, end) = tcp(&frame.bytes);
            assert_eq!(cut.bytes.len(), end, "the headers, and not a byte of what is behind");
            let mut headers = frame.bytes[..end].to_vec();
            if usize::from(u16::from_be_bytes([headers[16], headers[17]])) + 14 > end {
                headers[start + 16..start + 18].fill(0); // a sum over payload would tell of it
            }
            assert_eq!(cut.bytes, headers);
        }
    }
}

/// The handshake, and the smallest time from data of the server to the first acknowledgement of exactly its end, in milliseconds.
fn measured(cuts: &[Cut], client_port: u16) -> (f64, f64) {
    let mut waiting: HashMap<u32, u64> = HashMap::new();
    let (mut syn_ack, mut handshake, mut least) = (None, None, u64::MAX);
    for cut in cuts {
        let (start, end) = tcp(&cut.bytes);
        let number = |at: usize| u32::from_be_bytes(cut.bytes[start + at..start + at + 4].try_into().unwrap());
        let source = u16::from_be_bytes([cut.bytes[start], cut.bytes[start + 1]]);
        let payload = (u16::from_be_bytes([cut.bytes[16], cut.bytes[17]]) as usize + 14 - end) as u32;
        if source == client_port {
            let sent = waiting.remove(&number(8));
            least = sent.map_or(least, |sent| least.min(cut.time - sent));
            handshake = handshake.or_else(|| syn_ack.map(|sent| cut.time - sent));
        } else if cut.bytes[start + 13] & 2 != 0 {
            syn_ack = Some(cut.time);
        } else if payload > 0 {
            waiting.insert(number(4).wrapping_add(payload), cut.time);
        }
    }
    (handshake.unwrap() as f64 / 1e6, least as f64 / 1e6)
}

/// Of a session over UDP it ends with UDP's header: what stands in clear behind that is payload too.
#[test]
fn a_session_over_udp_has_evidence_of_lengths_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let [evidence, key, claims, capture] = ["evidence", "key", "claims", "capture"].map(|name| folder.path().join(name));
    let [evidence, key, claims, capture] = [&evidence, &key, &claims, &capture].map(|path| path.to_str().unwrap());
    fs::write(key, KEY).unwrap();
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    // Twelve handshakes, two minutes apart as WireGuard has them; their 40 ms are too little for light.
    let again = |nth: u64| pcap::read("udp/wireguard").into_iter().map(move |packet| (nth, packet));
    let moved = |(nth, packet): (u64, pcap::Packet)| pcap::Packet { time: packet.time + nth * 120_000_000_000, ..packet };
    let whole: Vec<_> = (0..12).flat_map(again).map(moved).collect();
    fs::write(capture, pcap::Classic { big_endian: false, microseconds: false }.write(&whole)).unwrap();
    let claim = [
        "[sensor]\nname = 't'\nplace = 'Seattle, US'\n[[claim]]\nidentity = 'i'\n",
        "[[claim.match]]\nclient = ['203.0.113.0/24']\n[[claim.place]]\nplace = 'Sydney, AU'\n",
    ];
    fs::write(claims, claim.concat()).unwrap();
    let args = ["analyze", "--format", "ndjson", "--claims", claims, "--save-evidence", evidence, capture];
    for more in [&[][..], &["--pseudonymize", key]] {
        let run = keywitness(args.into_iter().chain(more.iter().copied()));
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        let cuts = slice(&Path::new(evidence).join(file_name(of(&run.records(), "alert")[0])));
        assert_eq!(cuts.len(), whole.len());
        for (cut, frame) in cuts.iter().zip(&whole) {
            assert_eq!((cut.time, cut.length, cut.bytes.len()), (frame.time, frame.bytes.len(), 14 + 20 + 8));
            assert_eq!(
                (&cut.bytes[34..40], &cut.bytes[40..42]),
                (&frame.bytes[34..40], &[0, 0][..]),
                "ports, length, no checksum"
            );
            assert_eq!(cut.bytes[..34] == frame.bytes[..34], more.is_empty(), "addresses");
        }
    }
}

#[test]
fn round_trips_can_be_measured_again_also_under_pseudonyms() {
    let folder = tempfile::tempdir().unwrap();
    let (evidence, key) = (folder.path().join("evidence"), folder.path().join("key"));
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let open = ["--save-evidence", evidence.to_str().unwrap(), "pcaps/ssh-far.pcap"];
    let closed: Vec<&str> = open.into_iter().chain(["--pseudonymize", key.to_str().unwrap()]).collect();
    for args in [&open[..], &closed] {
        let records = analyze(args.iter().copied()).records();
        let (session, alert) = (of(&records, "session")[0], of(&records, "alert")[0]);
        let cuts = slice(&evidence.join(file_name(alert)));
        let (handshake, least) = measured(&cuts, session["client"]["port"].as_u64().unwrap() as u16);
        let told = |name: &str| session["rtt"]["client"][name].as_f64().unwrap();
        assert!((handshake - told("handshake_ms")).abs() < 1e-9, "{handshake}");
        assert!((least - told("min_ms")).abs() < 1e-9, "{least}");
        assert_eq!(cuts[0].time, nanos(&session["start"]) as u64);
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&cuts[0].bytes[at..at + 4]).unwrap()).to_string();
        assert_eq!((session["client"]["ip"] == address(26), session["server"]["ip"] == address(30)), (true, true));
        let mac = |at: usize| cuts[0].bytes[at..at + 6].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
        assert_eq!((session["client"]["mac"] == mac(6), session["server"]["mac"] == mac(0)), (true, true));
    }
    assert_eq!(files(evidence.to_str().unwrap()).len(), 2, "the alert has another identifier under pseudonyms");
}

#[test]
fn no_address_is_in_the_bytes_under_pseudonyms() {
    let folder = tempfile::tempdir().unwrap();
    let (evidence, key) = (folder.path().join("evidence"), folder.path().join("key"));
    fs::write(&key, KEY).unwrap();
    let options = ["--pseudonymize", key.to_str().unwrap(), "--save-evidence", evidence.to_str().unwrap()];
    let run = analyze(options.into_iter().chain(["pcaps/ssh-far.pcap", "pcaps/ssh-rtt110.pcap"]));
    assert_eq!(run.status, 0);
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for packet in ["ssh-far", "ssh-rtt110"].into_iter().flat_map(pcap::read) {
        secrets.extend([0..6, 6..12, 26..30, 30..34].map(|place| packet.bytes[place].to_vec()));
    }
    secrets.sort();
    secrets.dedup();
    let files = files(evidence.to_str().unwrap());
    assert_eq!(files.len(), 2);
    for (name, bytes) in &files {
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{secret:?} in {name}");
        }
    }
}

/// The tunnel's ends have pseudonyms too.
#[test]
fn a_session_in_a_tunnel_has_evidence_and_no_address_under_pseudonyms() {
    let folder = tempfile::tempdir().unwrap();
    let [evidence, key, capture] = ["evidence", "key", "capture"].map(|name| folder.path().join(name));
    fs::write(&key, KEY).unwrap();
    let mut packets = pcap::read("ssh-far");
    let ends = [[192, 0, 2, 77], [192, 0, 2, 78]];
    for packet in &mut packets {
        let gre = [0x20, 0, 8, 0, 0, 0, 0, 9];
        let length = (20 + gre.len() + packet.bytes.len() - 14) as u16;
        let ip = [&[0x45, 0][..], &length.to_be_bytes(), &[0, 0, 0, 0, 64, 47, 0, 0], &ends.concat()].concat();
        packet.bytes = [&packet.bytes[..14], &ip, &gre, &packet.bytes[14..]].concat();
    }
    fs::write(&capture, pcap::Classic { big_endian: false, microseconds: false }.write(&packets)).unwrap();
    let options = ["--pseudonymize", key.to_str().unwrap(), "--save-evidence", evidence.to_str().unwrap()];
    let records = analyze(options.into_iter().chain([capture.to_str().unwrap()])).records();
    let cuts = slice(&evidence.join(file_name(of(&records, "alert")[0])));
    assert_eq!(cuts.len(), packets.len());
    let mut secrets: Vec<Vec<u8>> = ends.iter().map(|end| end.to_vec()).collect();
    secrets.extend([0..6, 6..12, 54..58, 58..62].map(|place| packets[0].bytes[place].to_vec()));
    for (cut, packet) in cuts.iter().zip(&packets) {
        assert_eq!((cut.time, cut.length), (packet.time, packet.bytes.len()));
        assert_eq!(cut.bytes.len(), tcp(&packet.bytes[28..]).1 + 28);
        assert!(secrets.iter().all(|secret| !cut.bytes.windows(secret.len()).any(|window| window == secret)));
    }
}

#[test]
fn a_second_run_and_standard_input_give_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().to_str().unwrap();
    assert_eq!(analyze(["--save-evidence", evidence, "pcaps/ssh-far.pcap"]).status, 0);
    let first = files(evidence);
    let (name, content) = first.iter().next().unwrap();
    // What has the name is replaced, and a link is not followed.
    let (path, elsewhere) = (folder.path().join(name), tempfile::NamedTempFile::new().unwrap());
    fs::remove_file(&path).unwrap();
    symlink(elsewhere.path(), &path).unwrap();
    let args = OPTIONS.into_iter().chain(["--save-evidence", evidence, "-"]);
    let mut child = command(args).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(repository().join("pcaps/ssh-far.pcap")).unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!((files(evidence), fs::read(elsewhere.path()).unwrap()), (first.clone(), Vec::new()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!content.is_empty());
}

#[test]
fn who_is_not_accused_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().to_str().unwrap();
    assert_eq!(analyze(["--save-evidence", evidence, "pcaps/ssh-home.pcap"]).status, 0);
    assert_eq!(keywitness(["analyze", "--save-evidence", evidence, "pcaps/ssh-far.pcap"]).status, 0, "nothing is claimed");
    assert!(files(evidence).is_empty());
}

#[test]
fn what_cannot_be_written_is_told_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().to_str().unwrap();
    let plain = analyze(["pcaps/ssh-far.pcap"]).records();
    let taken = folder.path().join(file_name(of(&plain, "alert")[0]));
    fs::create_dir(&taken).unwrap();
    for more in [&[][..], &["--fail-on-finding", "no-such-file"]] {
        let run = analyze(["--save-evidence", evidence, "pcaps/ssh-far.pcap"].into_iter().chain(more.iter().copied()));
        assert_eq!(run.status, 4, "it wins");
        assert!(run.stderr.contains("--save-evidence: ") && run.stderr.contains(taken.to_str().unwrap()), "{}", run.stderr);
        assert_eq!((of(&run.records(), "alert").len(), of(&run.records(), "summary").len()), (1, 1));
    }
}

#[test]
fn a_folder_that_is_none_or_is_read_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture.pcap");
    fs::copy(repository().join("pcaps/ssh-far.pcap"), &capture).unwrap();
    let (inside, capture) = (folder.path().to_str().unwrap(), capture.to_str().unwrap());
    for (evidence, input, part) in [
        (capture, "pcaps/ssh-far.pcap", "capture.pcap: "),
        (inside, inside, "is read by this run"),
        (inside, capture, "is read by"),
    ] {
        let run = analyze(["--save-evidence", evidence, input]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{evidence}");
        assert!(run.stderr.starts_with("--save-evidence: ") && run.stderr.contains(part), "{}", run.stderr);
    }
}
