use rustls::{
    Side as End,
    crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    quic::{Keys, Version},
};

use super::*;
use crate::{
    protocol::datagram::{Datagrams, Miss, Recognised, recognise},
    time::{Span, Timestamp},
    wire::SeqNumber,
};

const SERVER_ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
const CLIENT_ID: [u8; 5] = [1, 2, 3, 4, 5];
const OURS: &str = "relay-0a1b2c3d.net.anydesk.com";

/// A ClientHello for a name; DTLS has a cookie in it.
fn hello(name: &str, cookie: Option<&[u8]>) -> Vec<u8> {
    let len = name.len() as u16;
    let list = [&(len + 3).to_be_bytes()[..], &[0], &len.to_be_bytes(), name.as_bytes()].concat();
    let extensions = [&[0, 43, 0, 3, 2, 3, 4, 0, 0][..], &(list.len() as u16).to_be_bytes(), &list].concat();
    let cookie = cookie.map(|cookie| [&[cookie.len() as u8], cookie].concat()).unwrap_or_default();
    let lists = [&[0][..], &cookie, &[0, 2, 0x13, 1, 1, 0], &(extensions.len() as u16).to_be_bytes(), &extensions].concat();
    [&[3, 3][..], &[7; 32], &lists].concat()
}

fn message(body: &[u8]) -> Vec<u8> {
    [&[1, 0][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

/// A client's Initial of 1,200 bytes with these parts of a message, each with its place.
fn initial(version: Version, number: u8, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let (first, name): (u8, [u8; 4]) =
        if matches!(version, Version::V2) { (0xd0, [0x6b, 0x33, 0x43, 0xcf]) } else { (0xc0, [0, 0, 0, 1]) };
    let long = |number: usize| (number as u16 | 0x4000).to_be_bytes();
    let mut payload: Vec<u8> = vec![1, 0, 0];
    for (offset, part) in parts {
        payload.extend([&[6][..], &long(*offset), &long(part.len()), part, &[0]].concat());
    }
    let mut header = [&[first][..], &name, &[8], &SERVER_ID, &[5], &CLIENT_ID, &[0]].concat();
    payload.resize(1_200 - header.len() - 2 - 1 - 16, 0);
    header.extend(long(1 + payload.len() + 16));
    header.push(number);
    let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap().quic_suite().unwrap();
    let keys = Keys::initial(version, suite.suite, suite.quic, &SERVER_ID, End::Client).local;
    let tag = keys.packet.encrypt_in_place(u64::from(number), &header, &mut payload).unwrap();
    let number_at = header.len() - 1;
    let mut packet = [&header[..], &payload, tag.as_ref()].concat();
    let sample = packet[number_at + 4..number_at + 20].to_vec();
    let (first, rest) = packet.split_at_mut(1);
    keys.header.encrypt_in_place(&sample, &mut first[0], &mut rest[number_at - 1..number_at]).unwrap();
    packet
}

/// A fragment of a client's first message in a record of its own.
fn record(kind: u8, body: &[u8], part: std::ops::Range<usize>) -> Vec<u8> {
    let [_, len @ ..] = (body.len() as u32).to_be_bytes();
    let [_, at @ ..] = (part.start as u32).to_be_bytes();
    let [_, of @ ..] = (part.len() as u32).to_be_bytes();
    let handshake = [&[kind][..], &len, &[0, 0], &at, &of, &body[part]].concat();
    [&[22, 0xfe, 0xfd][..], &[0; 8], &(handshake.len() as u16).to_be_bytes(), &handshake].concat()
}

fn begin(bytes: &[u8]) -> Result<Datagrams, Miss> {
    recognise(bytes, bytes.len() as u32, [40_000, 443], &mut 9).map(|Recognised { decoder, .. }| decoder)
}

fn say(session: &mut Datagrams, side: Side, ms: i64, bytes: &[u8]) -> Vec<Cue> {
    let mut cues = Vec::new();
    let time = Timestamp::from_nanos(ms * 1_000_000);
    let len = bytes.len() as u32;
    session.on_datagram(side, &Data { bytes, len, time, end: SeqNumber(0), acked: None, sent: None }, &mut cues);
    cues
}

fn rtt(side: Side, ms: i64) -> Vec<Cue> {
    vec![Cue::RoundTrip { side, rtt: Span::from_millis(ms) }]
}

#[test]
fn quic_is_named_by_its_first_packet() {
    let message = message(&hello(OURS, None));
    for version in [Version::V1, Version::V2] {
        let first = initial(version, 3, &[(0, &message)]);
        let mut session = begin(&first).unwrap();
        assert!(say(&mut session, Side::Client, 0, &first).is_empty());
        assert_eq!((session.standing(), session.facts().unwrap().protocol()), (Standing::OneSide, "anydesk"));
        let foreign = [&[0xc0, 0, 0, 0, 1, 2, 9, 9, 0][..], &[0; 40]].concat();
        assert!(say(&mut session, Side::Server, 3, &foreign).is_empty() && session.standing() == Standing::OneSide);
        let answer = [&[0xc0, 0, 0, 0, 1, 5][..], &CLIENT_ID, &[0; 40]].concat();
        assert_eq!(say(&mut session, Side::Server, 5, &answer), rtt(Side::Server, 5));
        assert_eq!(session.standing(), Standing::Both);
        assert!(say(&mut session, Side::Server, 9, &answer).is_empty(), "answered once");
    }
}

/// Browsers cut it up, and mix the parts.
#[test]
fn a_message_in_parts_and_in_two_packets_is_read() {
    let message = message(&hello(OURS, None));
    let (head, tail) = message.split_at(60);
    let first = initial(Version::V1, 0, &[(30, &head[30..]), (0, &head[..30])]);
    let mut session = begin(&first).unwrap();
    say(&mut session, Side::Client, 0, &first);
    assert_eq!(session.standing(), Standing::Candidate);
    say(&mut session, Side::Client, 0, &initial(Version::V1, 1, &[(60, tail)]));
    assert_eq!(session.standing(), Standing::OneSide);

    let mut other = begin(&first).unwrap();
    for ms in 0..10 {
        say(&mut other, Side::Client, ms, &first);
    }
    assert_eq!(other.standing(), Standing::NotOurs, "the rest never came");
}

#[test]
fn what_is_asked_for_of_others_is_let_go_of_at_once() {
    for name in ["www.example.org", "net.anydesk.com.example.org"] {
        let message = message(&hello(name, None));
        assert_eq!(begin(&initial(Version::V1, 0, &[(0, &message)])).unwrap_err(), Miss::Flow);
        let body = hello(name, Some(b""));
        assert_eq!(begin(&record(1, &body, 0..body.len())).unwrap_err(), Miss::Flow);
    }
    let ours = initial(Version::V1, 0, &[(0, &message(&hello(OURS, None)))]);
    for at in [5, 20, 28, 60, 1_199] {
        let mut broken = ours.clone();
        broken[at] ^= 1;
        assert!(begin(&broken).is_err(), "byte {at}");
    }
    assert!(begin(&ours[..1_199]).is_err() && begin(&[0xc0; 1_300]).is_err());
    assert_eq!(begin(&record(2, &[0; 40], 0..40)).unwrap_err(), Miss::Datagram, "a server's");
}

#[test]
fn none_is_opened_beyond_those_that_may_be() {
    let ours = initial(Version::V1, 0, &[(0, &message(&hello(OURS, None)))]);
    let mut left = 2;
    let mut again = || recognise(&ours, ours.len() as u32, [1, 2], &mut left).map(|_| ());
    assert_eq!([again(), again(), again()], [Ok(()), Ok(()), Err(Miss::Unread)]);
}

/// RFC 9001, appendix A.2: the header and the frames of a packet that others have sealed; it is for `example.com`.
#[test]
fn keys_are_those_of_the_specification() {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap().quic_suite().unwrap();
    let keys = Keys::initial(Version::V1, suite.suite, suite.quic, &SERVER_ID, End::Server).remote;
    let sample = [0xd1, 0xb1, 0xc9, 0x8d, 0xd7, 0x68, 0x9f, 0xb8, 0xec, 0x11, 0xd2, 0x42, 0xb1, 0x23, 0xdc, 0x9b];
    let (mut first, mut number) = (0xc0, [0x7b, 0x9a, 0xec, 0x34]);
    keys.header.decrypt_in_place(&sample, &mut first, &mut number).unwrap();
    assert_eq!((first, number), (0xc3, [0, 0, 0, 2]));
}

#[test]
fn dtls_tells_both_round_trips_where_the_client_is_asked_to_show_itself() {
    let (without, with) = (hello(OURS, Some(b"")), hello(OURS, Some(b"cookie")));
    let first = record(1, &without, 0..without.len());
    let mut session = begin(&first).unwrap();
    say(&mut session, Side::Client, 0, &first);
    let request = record(3, &[0xfe, 0xff, 1, 9], 0..4);
    assert_eq!(say(&mut session, Side::Server, 2, &request), rtt(Side::Server, 2));
    assert!(say(&mut session, Side::Client, 30, &first).is_empty(), "sent again, and not on request");
    assert_eq!(session.standing(), Standing::Both);

    let mut session = begin(&first).unwrap();
    say(&mut session, Side::Client, 0, &first);
    say(&mut session, Side::Server, 2, &request);
    assert_eq!(say(&mut session, Side::Client, 42, &record(1, &with, 0..with.len())), rtt(Side::Client, 40));
    assert_eq!(say(&mut session, Side::Server, 45, &record(2, &[0; 50], 0..50)), rtt(Side::Server, 3));
}

#[test]
fn fragments_of_dtls_are_put_together() {
    let body = hello(OURS, Some(b""));
    let first = record(1, &body, 0..50);
    let mut session = begin(&first).unwrap();
    say(&mut session, Side::Client, 0, &first);
    assert_eq!(session.standing(), Standing::Candidate);
    say(&mut session, Side::Client, 0, &record(1, &body, 50..body.len()));
    assert_eq!(session.facts().unwrap().protocol(), "anydesk");
}

#[test]
fn whatever_comes_is_no_panic() {
    let body = hello(OURS, Some(b"x"));
    for whole in [initial(Version::V1, 0, &[(0, &message(&hello(OURS, None)))]), record(1, &body, 0..body.len())] {
        for cut in 0..whole.len() {
            let _ = recognise(&whole[..cut], 1_200, [1, 2], &mut 9);
        }
        for nth in 0..whole.len().min(120) * 8 {
            let mut broken = whole.clone();
            broken[nth / 8] ^= 1 << (nth % 8);
            if let Ok(mut session) = begin(&broken) {
                say(&mut session, Side::Client, 0, &broken);
                say(&mut session, Side::Server, 1, &broken);
            }
        }
    }
}
