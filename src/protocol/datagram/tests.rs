use super::*;
use crate::{
    time::{Span, Timestamp},
    wire::SeqNumber,
};

const PORTS: [u16; 2] = [40_000, 50_000];

fn at(ms: i64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

fn begin(bytes: &[u8]) -> Option<Recognised> {
    recognise(bytes, bytes.len() as u32, PORTS, &mut 9).ok()
}

fn say(datagrams: &mut Datagrams, side: Side, ms: i64, bytes: &[u8]) -> Vec<Cue> {
    let mut cues = Vec::new();
    let len = bytes.len() as u32;
    let data = Data { bytes, len, time: at(ms), end: SeqNumber(0), acked: None, sent: None };
    datagrams.on_datagram(side, &data, &mut cues);
    cues
}

/// Bytes that look encrypted.
fn sealed(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|nth| (nth as u8).wrapping_mul(151).wrapping_add(seed) ^ 0x5a).collect()
}

fn wireguard(kind: u8, len: usize) -> Vec<u8> {
    [&[kind, 0, 0, 0][..], &sealed(9, len - 4)].concat()
}

fn mosh(number: u64) -> Vec<u8> {
    [&number.to_be_bytes()[..], &sealed(number as u8, 60)].concat()
}

const TO_CLIENT: u64 = 1 << 63;

#[test]
fn wireguard_is_its_two_messages_and_what_confirms_them() {
    let recognised = begin(&wireguard(1, 148)).unwrap();
    assert_eq!((recognised.sender, recognised.midstream), (Some(Side::Client), false));
    let mut session = recognised.decoder;
    assert_eq!(say(&mut session, Side::Client, 0, &wireguard(1, 148)), []);
    assert_eq!(session.standing(), Standing::OneSide);
    let answered = say(&mut session, Side::Server, 3, &wireguard(2, 92));
    assert_eq!(answered, [Cue::RoundTrip { side: Side::Server, rtt: Span::from_millis(3) }]);
    let confirmed = say(&mut session, Side::Client, 45, &wireguard(4, 32));
    assert_eq!(confirmed, [Cue::RoundTrip { side: Side::Client, rtt: Span::from_millis(42) }]);
    assert_eq!((session.standing(), session.facts().unwrap().protocol()), (Standing::Both, "wireguard"));
    assert_eq!(say(&mut session, Side::Client, 50, &wireguard(4, 96)), []);
    for len in [147, 149, 32] {
        assert!(begin(&wireguard(1, len)).is_none(), "{len} bytes");
    }
}

#[test]
fn a_question_that_was_sent_again_times_nothing() {
    let mut session = begin(&wireguard(1, 148)).unwrap().decoder;
    for ms in [0, 5_000] {
        say(&mut session, Side::Client, ms, &wireguard(1, 148));
    }
    assert_eq!(say(&mut session, Side::Server, 5_003, &wireguard(2, 92)), []);
    assert_eq!(say(&mut session, Side::Server, 5_009, &wireguard(2, 92)), [], "nor does an answer that came twice");
    assert_eq!(say(&mut session, Side::Client, 5_045, &wireguard(4, 32)), []);
}

#[test]
fn mosh_counts_both_ways_from_the_ends_that_its_top_bit_names() {
    for (first, midstream) in [(mosh(0), false), (mosh(77), true)] {
        assert_eq!(begin(&first).map(|found| (found.sender, found.midstream)), Some((Some(Side::Client), midstream)));
    }
    let mut session = begin(&mosh(TO_CLIENT | 5)).unwrap().decoder;
    say(&mut session, Side::Server, 0, &mosh(TO_CLIENT | 5));
    say(&mut session, Side::Client, 1, &mosh(3));
    assert_eq!(session.standing(), Standing::Candidate);
    say(&mut session, Side::Client, 1, &mosh(6));
    assert_eq!(session.standing(), Standing::Both);
    say(&mut session, Side::Client, 2, b"noise"); // anybody can send that
    assert_eq!(session.standing(), Standing::Both);
    let Facts::Mosh(facts) = session.facts().unwrap() else { panic!("{session:?}") };
    assert_eq!((facts.sent.client, facts.missing.client), (Some(7), Some(2)));
    assert_eq!((facts.sent.server, facts.missing.server), (Some(6), Some(0)));
}

/// Many protocols put a counter in front of what is encrypted: only the top bit of the other end tells that this is mosh's.
#[test]
fn a_counter_that_nobody_answers_names_nothing() {
    let stands = |side, numbers: &[u64]| {
        let mut session = begin(&mosh(numbers[0])).unwrap().decoder;
        numbers.iter().for_each(|number| _ = say(&mut session, side, 0, &mosh(*number)));
        session.standing()
    };
    let counted: Vec<u64> = (0..40).collect();
    assert_eq!(stands(Side::Client, &counted[..12]), Standing::Candidate);
    assert_eq!(stands(Side::Client, &counted), Standing::NotOurs);
    assert_eq!(stands(Side::Client, &[7; 40]), Standing::NotOurs, "that is no counter");
    let of_server: Vec<u64> = counted.iter().map(|number| TO_CLIENT | number).collect();
    assert_eq!(stands(Side::Server, &of_server[..7]), Standing::Candidate);
    assert_eq!(stands(Side::Server, &of_server[..8]), Standing::OneSide);
    assert_eq!(stands(Side::Server, &[TO_CLIENT; 40]), Standing::NotOurs);

    let mut session = begin(&mosh(0)).unwrap().decoder;
    [0, 2, 1].iter().for_each(|number| _ = say(&mut session, Side::Client, 0, &mosh(*number)));
    let Facts::Mosh(facts) = session.facts().unwrap() else { panic!("{session:?}") };
    assert_eq!(facts.missing.client, Some(0), "what came late is not missing");
}

/// A mirror shows some datagrams twice: neither does that make up for one that is missing, nor is a copy one.
#[test]
fn copies_count_as_one() {
    let mut session = begin(&mosh(0)).unwrap().decoder;
    let passed: Vec<u64> = (0..600).filter(|number| number % 100 != 50).collect();
    let copied = passed.iter().flat_map(|number| [*number, number.saturating_sub(3), *number, number.saturating_sub(200)]);
    for number in copied.filter(|number| number % 100 != 50) {
        say(&mut session, Side::Client, 0, &mosh(number));
        say(&mut session, Side::Server, 0, &mosh(TO_CLIENT | number));
    }
    let Facts::Mosh(facts) = session.facts().unwrap() else { panic!("{session:?}") };
    assert_eq!((facts.sent.client, facts.missing.client, facts.missing.server), (Some(600), Some(6), Some(6)));

    let mut session = begin(&mosh(900)).unwrap().decoder;
    [900, 100, 899, 901].iter().for_each(|number| _ = say(&mut session, Side::Client, 0, &mosh(*number)));
    let Facts::Mosh(facts) = session.facts().unwrap() else { panic!("{session:?}") };
    assert_eq!(facts.missing.client, Some(0), "one of long before is not where it begins");
}

#[test]
fn what_only_looks_like_mosh_is_let_go_of() {
    let zeros = [0; 80];
    let far = mosh(1 << 30);
    let short = mosh(0);
    for other in [&zeros[..], &far, short.get(..37).unwrap(), b"", b"\0\0\0"] {
        assert!(begin(other).is_none(), "{other:?}");
    }
    for second in [mosh(9_999), mosh(TO_CLIENT), sealed(1, 80)] {
        let mut session = begin(&mosh(0)).unwrap().decoder;
        say(&mut session, Side::Client, 0, &mosh(0));
        say(&mut session, Side::Client, 1, &second);
        assert_eq!(session.standing(), Standing::NotOurs);
    }
}

/// As [MS-RDPEUDP] §2.2 has it, filled up to 1232 bytes.
fn opening(acked: u32, flags: u16, initial: u32, more: &[u8]) -> Vec<u8> {
    let head = [&acked.to_be_bytes()[..], &64u16.to_be_bytes(), &flags.to_be_bytes(), &initial.to_be_bytes()].concat();
    let mut bytes = [&head[..], &1_232u16.to_be_bytes(), &1_200u16.to_be_bytes(), more].concat();
    bytes.resize(1_232, 0);
    bytes
}

#[test]
fn rdp_over_udp_tells_its_version_its_datagrams_and_both_round_trips() {
    let hash = sealed(7, 32);
    let third = [&[0, 1, 1, 1][..], &hash].concat();
    let mut session = begin(&opening(u32::MAX, 0x1001, 500, &third)).unwrap().decoder;
    say(&mut session, Side::Client, 0, &opening(u32::MAX, 0x1001, 500, &third));
    assert!(say(&mut session, Side::Server, 1, &opening(499, 0x1005, 900, &[0, 1, 0, 2])).is_empty(), "of another connection");
    let answered = say(&mut session, Side::Server, 2, &opening(500, 0x1005, 900, &[0, 1, 0, 2]));
    assert_eq!(answered, [Cue::RoundTrip { side: Side::Server, rtt: Span::from_millis(2) }]);
    let confirmed = say(&mut session, Side::Client, 40, &[0, 0, 3, 132, 0, 64, 0, 4]);
    assert_eq!(confirmed, [Cue::RoundTrip { side: Side::Client, rtt: Span::from_millis(38) }]);
    let Facts::RdpUdp(facts) = session.facts().unwrap() else { panic!("{session:?}") };
    assert_eq!(
        (facts.version.client.and_then(RdpVersion::number), facts.version.server.and_then(RdpVersion::number)),
        (Some(3), Some(2))
    );
    assert_eq!((facts.cookie_hash.map(|hash| hash.to_vec()), facts.mtu), (Some(hash), Some([1_232, 1_200])));
    assert_eq!((session.standing(), facts.lossy), (Standing::Both, false));
    assert!(begin(&opening(u32::MAX, 0x0041, 1, &[])).is_none() && begin(&opening(7, 1, 1, &[])).is_none());
}

fn dns(answers: bool, name: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    *bytes.get_mut(if answers { 7 } else { 5 }).unwrap() = 1;
    for label in name.split(|byte| *byte == b'.') {
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.extend([0, 0, 1, 0, 1]);
    if answers {
        bytes.extend([0, 0, 0, 120, 0, 4, 192, 0, 2, 1]);
    }
    bytes
}

#[test]
fn a_device_is_named_by_dns_and_a_service_is_not() {
    for answers in [false, true] {
        let found = recognise(&dns(answers, b"PiKVM.local"), 60, [5_353, 5_353], &mut 9).unwrap();
        assert_eq!(found.decoder.facts().unwrap().protocol(), "pikvm");
        for other in [&b"www.example.org"[..], b"relay.net.anydesk.com", b"pikvm.example.org"] {
            assert!(recognise(&dns(answers, other), 60, [5_353, 5_353], &mut 9).is_err());
        }
    }
    assert!(begin(&dns(false, b"pikvm.local")).is_none(), "on no other port");
    let mut loops = dns(false, b"a");
    loops.splice(12.., [0xc0, 12, 0, 1, 0, 1]);
    assert!(recognise(&loops, 20, [53, 9], &mut 9).is_err());
}

#[test]
fn whatever_comes_is_no_panic() {
    let wholes = [wireguard(1, 148), mosh(3), opening(u32::MAX, 0x1801, 5, &sealed(3, 80)), dns(true, b"pikvm.local")];
    for whole in wholes {
        for cut in 0..=whole.len() {
            let bytes = whole.get(..cut).unwrap();
            for ports in [PORTS, [53, 4_000], [5_353; 2]] {
                if let Ok(mut found) = recognise(bytes, cut as u32, ports, &mut 9) {
                    say(&mut found.decoder, Side::Client, 0, bytes);
                    say(&mut found.decoder, Side::Server, 1, bytes);
                    let _ = found.decoder.facts();
                }
            }
        }
        for nth in 0..whole.len().min(200) * 8 {
            let mut broken = whole.clone();
            *broken.get_mut(nth / 8).unwrap() ^= 1 << (nth % 8);
            let _ = recognise(&broken, broken.len() as u32, PORTS, &mut 9);
            let _ = recognise(&broken, 5, [53, 53], &mut 9);
        }
    }
}
