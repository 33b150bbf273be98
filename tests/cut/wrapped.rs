//! The same session in fragments, behind other link headers, over IPv6, in VLANs.

use keywitness::{engine::EngineLimits, time::Span, wire::LinkType};

use crate::{
    EXACT, HIDDEN, Session,
    common::{Outcome, Rng, Shot, run, run_with},
    same_keys, shots,
};

/// Bytes of an Ethernet header without tags.
pub(crate) const ETHERNET: usize = 14;

/// Bytes of an IPv4 header without options.
const IPV4: usize = 20;

/// A frame in which other bytes than the Ethernet header lead to the IP header.
fn relinked(shot: &Shot, link: LinkType, header: &[u8]) -> Shot {
    let bytes = [header, &shot.bytes[ETHERNET..]].concat();
    Shot { link, original_len: bytes.len() as u32, bytes, ..shot.clone() }
}

/// The frame's IPv4 packet in fragments of 8 to 64 bytes, in any order, some twice; the last at the frame's own time.
pub(crate) fn fragments(shot: &Shot, rng: &mut Rng) -> Vec<Shot> {
    let (headers, payload) = shot.bytes.split_at(ETHERNET + IPV4);
    let mut pieces = Vec::new();
    let mut place = 0;
    while place < payload.len() {
        let end = (place + 8 * (1 + rng.below(8))).min(payload.len());
        let mut bytes = [headers, &payload[place..end]].concat();
        let more = if end < payload.len() { 0x2000 } else { 0 };
        bytes[ETHERNET + 2..][..2].copy_from_slice(&((IPV4 + end - place) as u16).to_be_bytes());
        bytes[ETHERNET + 6..][..2].copy_from_slice(&((place / 8) as u16 | more).to_be_bytes());
        pieces.push(Shot { original_len: bytes.len() as u32, bytes, ..shot.clone() });
        place = end;
    }
    for at in (1..pieces.len()).rev() {
        pieces.swap(at, rng.below(at + 1));
    }
    if rng.below(4) == 0 && pieces.len() > 1 {
        let copied = rng.below(pieces.len() - 1);
        pieces.insert(copied + 1, pieces[copied].clone());
    }
    let count = pieces.len() as i64;
    for (at, piece) in pieces.iter_mut().enumerate() {
        piece.time = piece.time - Span::from_nanos(count - 1 - at as i64);
    }
    pieces
}

/// How many fragments are there before.
fn copies(pieces: &[Shot]) -> u64 {
    let recent = |at: usize| &pieces[at.saturating_sub(200)..at];
    (0..pieces.len()).filter(|&at| recent(at).iter().any(|other| other.bytes == pieces[at].bytes)).count() as u64
}

/// The same keystrokes and the same round trips.
pub(crate) fn same_facts_and_numbers(name: &str, found: &Outcome, original: &Outcome) {
    same_keys(name, found, original);
    assert_eq!(found.session().rtt, original.session().rtt, "{name}");
}

#[test]
fn a_session_in_fragments_is_the_same_session() {
    for (name, mut rng) in HIDDEN.iter().chain(&EXACT).zip((0..).map(Rng::new)) {
        let session = Session::load(name);
        let whole = shots(&session.segments);
        let pieces: Vec<Shot> = whole.iter().flat_map(|shot| fragments(shot, &mut rng)).collect();
        let copies = copies(&pieces);
        let found = run(&pieces);
        same_facts_and_numbers(name, &found, &session.original);
        let counters = found.counters;
        assert_eq!((counters.undecoded, counters.dropped_fragments, counters.duplicated_fragments), (0, 0, copies), "{name}");
        assert!(counters.reassembled > 100, "{name}");
    }
}

/// Half of the fragments of one packet do not make a packet; the rest of the session is as if it had been lost.
#[test]
fn a_lost_fragment_is_a_lost_segment() {
    let name = EXACT[0];
    let session = Session::load(name);
    let mut rng = Rng::new(4);
    let whole = shots(&session.segments);
    let lost = session.segments.iter().rposition(|segment| segment.payload.len() > 40).unwrap();
    let pieces = whole.iter().enumerate().flat_map(|(at, shot)| {
        let pieces = fragments(shot, &mut rng);
        pieces.into_iter().skip(usize::from(at == lost) * 2).collect::<Vec<_>>()
    });
    let found = run(&pieces.collect::<Vec<_>>());
    let missing = run(whole.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, shot)| shot));
    same_keys(name, &found, &missing);
    assert!(found.counters.dropped_fragments > 0);
    assert_eq!(found.counters.undecoded, found.counters.dropped_fragments);
}

#[test]
fn every_link_gives_the_same_session() {
    let links: [(LinkType, &[u8]); 6] = [
        (LinkType::RawIp, &[]),
        (LinkType::Null, &[2, 0, 0, 0]),
        (LinkType::Null, &[0, 0, 0, 2]),
        (LinkType::Loop, &[0, 0, 0, 2]),
        (LinkType::LinuxSll, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]),
        (LinkType::LinuxSll2, &[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]),
    ];
    for name in HIDDEN.iter().chain(&EXACT) {
        let session = Session::load(name);
        let whole = shots(&session.segments);
        for (link, header) in links {
            let found = run(&whole.iter().map(|shot| relinked(shot, link, header)).collect::<Vec<_>>());
            same_facts_and_numbers(name, &found, &session.original);
            assert_eq!(found.counters.undecoded, 0, "{name} over {link:?}");
        }
    }
}

/// The frame's TCP segment over IPv6 behind destination options, whole or in two fragments.
pub(crate) fn over_ipv6(shot: &Shot, number: u32, in_two: bool) -> Vec<Shot> {
    let ip = &shot.bytes[ETHERNET..][..IPV4];
    let address = |at: usize| [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0], &ip[at..at + 4]].concat();
    let behind = [&[6, 0, 1, 4, 0, 0, 0, 0], &shot.bytes[ETHERNET + IPV4..]].concat();
    let packet = |extension: &[u8], payload: &[u8]| {
        let [len0, len1] = ((extension.len() + payload.len()) as u16).to_be_bytes();
        let first = if extension.is_empty() { 60 } else { 44 };
        let bytes = [&[0x60, 0, 0, 0, len0, len1, first, 64], &*address(12), &address(16), extension, payload].concat();
        Shot { link: LinkType::RawIp, original_len: bytes.len() as u32, bytes, ..shot.clone() }
    };
    if !in_two {
        return vec![packet(&[], &behind)];
    }
    let (first, second) = behind.split_at(16);
    let [a, b, c, d] = number.to_be_bytes();
    vec![packet(&[60, 0, 0, 16, a, b, c, d], second), packet(&[60, 0, 0, 1, a, b, c, d], first)]
}

#[test]
fn fragments_of_ipv6_give_what_ipv6_gives() {
    for name in HIDDEN.iter().chain(&EXACT) {
        let session = Session::load(name);
        let whole = shots(&session.segments);
        let over = |in_two| {
            let packets = whole.iter().zip(0..).flat_map(|(shot, number)| over_ipv6(shot, number, in_two));
            run(&packets.collect::<Vec<_>>())
        };
        let (plain, fragmented) = (over(false), over(true));
        same_facts_and_numbers(name, &fragmented, &plain);
        assert_eq!(plain.session().facts, session.original.session().facts, "{name}");
        assert_eq!(fragmented.counters.reassembled, whole.len() as u64, "{name}");
        assert_eq!(fragmented.counters.undecoded, 0, "{name}");
    }
}

/// Two networks with the same addresses, told apart by their VLANs alone.
#[test]
fn overlapping_networks_are_told_apart_where_asked() {
    let name = EXACT[0];
    let session = Session::load(name);
    let tagged = |shot: &Shot, vlan: u8| {
        let bytes = [&shot.bytes[..12], &[0x81, 0, 0, vlan], &shot.bytes[12..]].concat();
        Shot { original_len: bytes.len() as u32, bytes, ..shot.clone() }
    };
    let whole = shots(&session.segments);
    let both: Vec<Shot> = whole.iter().flat_map(|shot| [tagged(shot, 10), tagged(shot, 20)]).collect();
    let parted = run_with(EngineLimits { vlan_in_key: true, ..EngineLimits::default() }, &both);
    let mut vlans: Vec<_> = parted.sessions.iter().map(|session| session.encapsulation.vlan()).collect();
    vlans.sort();
    assert_eq!(vlans, [Some(10), Some(20)]);
    assert_ne!(parted.sessions[0].id, parted.sessions[1].id);
    for found in &parted.sessions {
        assert_eq!(found.keystrokes, session.original.session().keystrokes);
    }
    assert_eq!(run(&both).session().encapsulation.vlan(), Some(10), "else they are copies of one");
    // The two directions in different VLANs, as an asymmetric mirror gives them: one session by default.
    let asymmetric: Vec<Shot> =
        session.segments.iter().map(|segment| tagged(&segment.shot(), 10 + (session.side(segment) as u8))).collect();
    same_keys(name, &run(&asymmetric), &session.original);
}
