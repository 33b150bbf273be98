//! The same session in GRE tunnels.

use keywitness::{observation::SessionReport, time::Span, wire::WrapperKind};

use crate::{
    EXACT, HIDDEN, Session,
    common::{Rng, Shot, run},
    same_keys, shots,
    wrapped::{ETHERNET, fragments, same_facts_and_numbers},
};

/// The Ethernet header of the tunnel's ends.
pub(crate) const LINK: [u8; 14] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 8, 0];

/// What a tunnel from `198.51.100.1` to `198.51.100.2` makes of `packet`; its ends count their packets by `number`.
pub(crate) fn tunnel(number: u16, gre: &[u8], packet: &[u8]) -> Vec<u8> {
    let [total0, total1] = ((20 + gre.len() + packet.len()) as u16).to_be_bytes();
    let [number0, number1] = number.to_be_bytes();
    let ip = [0x45, 0, total0, total1, number0, number1, 0, 0, 255, 47, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2];
    [&ip, gre, packet].concat()
}

/// The same over IPv6.
fn tunnel_v6(gre: &[u8], packet: &[u8]) -> Vec<u8> {
    let [len0, len1] = ((gre.len() + packet.len()) as u16).to_be_bytes();
    let address = |last: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&[0x60, 0, 0, 0, len0, len1, 47, 255], &address(1)[..], &address(2), gre, packet].concat()
}

/// A frame with other bytes.
pub(crate) fn framed(shot: &Shot, bytes: Vec<u8>) -> Shot {
    Shot { original_len: bytes.len() as u32, bytes, ..shot.clone() }
}

/// The frame's IP packet in a tunnel.
fn tunnelled(shot: &Shot, number: u16, gre: &[u8]) -> Shot {
    framed(shot, [&LINK, &tunnel(number, gre, &shot.bytes[ETHERNET..])[..]].concat())
}

fn innermost(session: &SessionReport) -> (WrapperKind, Option<u32>) {
    session.encapsulation.wrappers().last().map(|wrapper| (wrapper.kind, wrapper.id)).unwrap()
}

const PLAIN: [u8; 4] = [0, 0, 8, 0];
const KEYED: [u8; 8] = [0x20, 0, 8, 0, 0, 0, 0, 77];

#[test]
fn every_tunnel_gives_the_same_session() {
    type Wrap = fn(&[u8]) -> Vec<u8>;
    let ways: [(&str, Option<u32>, Wrap); 5] = [
        ("plain", None, |ethernet| tunnel(1, &PLAIN, &ethernet[ETHERNET..])),
        ("key", Some(77), |ethernet| tunnel(1, &KEYED, &ethernet[ETHERNET..])),
        ("checksum and sequence", None, |ethernet| tunnel(1, &[0x90, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 3], &ethernet[ETHERNET..])),
        ("bridged", None, |ethernet| tunnel(1, &[0, 0, 0x65, 0x58], ethernet)),
        ("in another", Some(77), |ethernet| tunnel(1, &PLAIN, &tunnel(2, &KEYED, &ethernet[ETHERNET..]))),
    ];
    for name in HIDDEN.iter().chain(&EXACT) {
        let session = Session::load(name);
        let whole = shots(&session.segments);
        for (way, key, wrap) in ways {
            let found = run(&whole.iter().map(|shot| framed(shot, [&LINK, &wrap(&shot.bytes)[..]].concat())).collect::<Vec<_>>());
            same_facts_and_numbers(name, &found, &session.original);
            let (is, was) = (found.session(), session.original.session());
            assert_eq!((is.endpoints, is.stack), (was.endpoints, was.stack), "{name} {way}");
            assert_eq!(innermost(is), (WrapperKind::Gre, key), "{name} {way}");
            // The tunnel's ends are not the session's.
            let mac = if way == "bridged" { was.mac.client } else { None };
            assert_eq!(is.mac.client, mac, "{name} {way}");
            assert_eq!(found.counters.undecoded, 0, "{name} {way}");
        }
    }
}

#[test]
fn a_tunnel_over_ipv6_gives_the_same_session() {
    let session = Session::load(EXACT[0]);
    let link = [&LINK[..12], &[0x86, 0xdd]].concat();
    let over = |shot: &Shot| framed(shot, [&link[..], &tunnel_v6(&KEYED, &shot.bytes[ETHERNET..])].concat());
    let found = run(&shots(&session.segments).iter().map(over).collect::<Vec<_>>());
    same_facts_and_numbers(EXACT[0], &found, &session.original);
}

/// A tunnel leaves less room than the path: its packets come in fragments.
#[test]
fn a_tunnel_in_fragments_gives_the_same_session() {
    for (name, mut rng) in HIDDEN.iter().chain(&EXACT).zip((0..).map(Rng::new)) {
        let session = Session::load(name);
        let whole = shots(&session.segments).into_iter().zip(1..);
        let pieces = whole.flat_map(|(shot, number)| fragments(&tunnelled(&shot, number, &KEYED), &mut rng));
        let found = run(&pieces.collect::<Vec<_>>());
        same_facts_and_numbers(name, &found, &session.original);
        assert_eq!((found.counters.undecoded, found.counters.dropped_fragments), (0, 0), "{name}");
        assert!(found.counters.reassembled > 100, "{name}");
    }
}

#[test]
fn a_cut_tunnel_gives_what_a_cut_session_gives() {
    let cut = |shot: &Shot, bytes: usize| {
        let there = shot.bytes.len().min(bytes);
        Shot { bytes: shot.bytes[..there].to_vec(), ..shot.clone() }
    };
    for name in HIDDEN.iter().chain(&EXACT) {
        let whole = shots(&Session::load(name).segments);
        for snaplen in [54, 68, 96, 200] {
            let plain = run(&whole.iter().map(|shot| cut(shot, snaplen)).collect::<Vec<_>>());
            let wrapped = run(&whole.iter().map(|shot| cut(&tunnelled(shot, 1, &PLAIN), snaplen + 24)).collect::<Vec<_>>());
            assert_eq!(wrapped.sessions.len(), plain.sessions.len(), "{name} {snaplen}");
            for (is, was) in wrapped.sessions.iter().zip(&plain.sessions) {
                assert_eq!((&is.facts, is.rtt, is.keystrokes), (&was.facts, was.rtt, was.keystrokes), "{name} {snaplen}");
            }
        }
    }
}

/// Two networks with the same addresses behind tunnels with different keys; tunnels without keys cannot be told apart.
#[test]
fn overlapping_networks_are_told_apart_by_their_keys() {
    let name = EXACT[0];
    let session = Session::load(name);
    let whole = shots(&session.segments);
    let both = |keys: [[u8; 8]; 2]| {
        let in_both = whole.iter().zip(1..).flat_map(|(shot, number)| keys.map(|gre| tunnelled(shot, number, &gre)));
        run(&in_both.collect::<Vec<_>>())
    };
    let other = [0x20, 0, 8, 0, 0, 0, 0, 78];
    let parted = both([KEYED, other]);
    let mut keys: Vec<_> = parted.sessions.iter().map(|session| innermost(session).1).collect();
    keys.sort();
    assert_eq!(keys, [Some(77), Some(78)]);
    assert_ne!(parted.sessions[0].id, parted.sessions[1].id);
    for found in &parted.sessions {
        assert_eq!(found.keystrokes, session.original.session().keystrokes);
    }
    same_keys(name, &both([KEYED, KEYED]), &session.original);
}

/// A mirror that shows the packets before the tunnel and in it: copies of one session.
#[test]
fn a_session_before_and_in_its_tunnel_is_one() {
    let name = EXACT[0];
    let session = Session::load(name);
    let later = |shot: &Shot| Shot { time: shot.time + Span::from_nanos(20_000), ..shot.clone() };
    let whole = shots(&session.segments);
    let twice: Vec<Shot> = whole.iter().flat_map(|shot| [shot.clone(), later(&tunnelled(shot, 1, &PLAIN))]).collect();
    same_keys(name, &run(&twice), &session.original);
}
