//! The same session in everything that a mirror's port brings: tags, labels, tunnels, mirrors of mirrors.

use keywitness::{
    engine::EngineLimits,
    time::Span,
    wire::{Layout, LinkType, WrapperKind, WrapperKind::*},
};

use crate::{
    EXACT, HIDDEN, Session,
    common::{Outcome, Rng, Shot, run, run_with},
    same_keys, shots,
    tunnelled::{LINK, framed, tunnel},
    wrapped::{ETHERNET, fragments, over_ipv6, same_facts_and_numbers},
};

/// What makes other bytes of an Ethernet frame.
type Wrap = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// The same with a number.
type Numbered = fn(&[u8], u8) -> Vec<u8>;

/// A way to wrap an Ethernet frame, and what is told of it.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    around: Vec<(WrapperKind, Option<u32>)>,
    /// Whether the session's hardware addresses are still there.
    has_mac: bool,
    wrap: Wrap,
}

impl Way {
    pub(crate) fn shot(&self, shot: &Shot) -> Shot {
        framed(shot, (self.wrap)(&shot.bytes))
    }
}

/// Bytes between a frame's addresses and its EtherType.
fn tagged(ethernet: &[u8], tags: &[u8]) -> Vec<u8> {
    [&ethernet[..12], tags, &ethernet[12..]].concat()
}

/// Bytes in place of a frame's EtherType.
fn shimmed(ethernet: &[u8], shim: &[u8]) -> Vec<u8> {
    [&ethernet[..12], shim, &ethernet[ETHERNET..]].concat()
}

/// In IPv4 as this protocol.
fn in_ip(protocol: u8, header: &[u8], inner: &[u8]) -> Vec<u8> {
    let mut packet = tunnel(1, header, inner);
    packet[9] = protocol;
    [&LINK, &packet[..]].concat()
}

/// In a UDP datagram to this port.
fn in_udp(port: u16, header: &[u8], inner: &[u8]) -> Vec<u8> {
    let len = (8 + header.len() + inner.len()) as u16;
    let udp = [[0xc0, 1], port.to_be_bytes(), len.to_be_bytes(), [0xab, 0xcd]].concat();
    in_ip(17, &[&udp, header].concat(), inner)
}

/// GTP-U's header for so many bytes behind it, with more behind its first eight.
fn gtp(flags: u8, more: &[u8], inner: &[u8]) -> Vec<u8> {
    let len = ((more.len() + inner.len()) as u16).to_be_bytes();
    [&[flags, 0xff], &len[..], &[0, 0, 1, 9], more].concat()
}

fn pppoe(ethernet: &[u8], protocol: &[u8]) -> Vec<u8> {
    let len = ((ethernet.len() - ETHERNET + protocol.len()) as u16).to_be_bytes();
    shimmed(ethernet, &[&[0x88, 0x64, 0x11, 0, 0, 9], &len[..], protocol].concat())
}

/// Labels 16 and 100, the last.
const LABELS: [u8; 8] = [0, 1, 0, 64, 0, 6, 0x41, 64];
const ERSPAN_II: [u8; 16] = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 7, 0x10, 0x0a, 0x1b, 0x2c, 0, 0, 0, 1];
const VXLAN: [u8; 8] = [8, 0, 0, 0, 0, 0, 42, 0];

fn way(
    name: &'static str,
    around: &[(WrapperKind, Option<u32>)],
    has_mac: bool,
    wrap: impl Fn(&[u8]) -> Vec<u8> + 'static,
) -> Way {
    Way { name, around: around.to_vec(), has_mac, wrap: Box::new(wrap) }
}

/// Tags and shims of a link.
fn links() -> Vec<Way> {
    let label = (Mpls, Some(100));
    vec![
        way("a VLAN", &[(Vlan, Some(10))], true, |e| tagged(e, &[0x81, 0, 0, 10])),
        way("a priority", &[], true, |e| tagged(e, &[0x81, 0, 0xe0, 0])),
        way("QinQ", &[(Vlan, Some(100)), (Vlan, Some(200))], true, |e| tagged(e, &[0x88, 0xa8, 0, 100, 0x81, 0, 0, 200])),
        way("five tags", &[1, 2, 3, 4, 5].map(|id| (Vlan, Some(id))), true, |e| {
            tagged(e, &[1, 2, 3, 4, 5].map(|id| [0x91, 0, 0, id]).concat())
        }),
        way("a VN-Tag", &[(VnTag, Some(5)), (Vlan, Some(10))], true, |e| tagged(e, &[0x89, 0x26, 0, 0, 0, 5, 0x81, 0, 0, 10])),
        way("a VN-Tag of the other way", &[(VnTag, Some(6))], true, |e| tagged(e, &[0x89, 0x26, 0x80, 6, 0, 0])),
        way("an E-Tag", &[(ETag, Some(0x1007)), (Vlan, Some(10))], true, |e| {
            tagged(e, &[0x89, 0x3f, 0xe0, 0, 0x10, 7, 0, 0, 0x81, 0, 0, 10])
        }),
        way("a service", &[(Vlan, Some(3)), (Pbb, Some(0x123))], true, |e| {
            [&LINK[..12], &[0x88, 0xa8, 0, 3, 0x88, 0xe7, 0, 0, 1, 0x23], e].concat()
        }),
        way("labels", &[label], true, |e| shimmed(e, &[&[0x88, 0x47], &LABELS[..]].concat())),
        way("labels in a VLAN", &[(Vlan, Some(10)), label], true, |e| {
            shimmed(e, &[&[0x81, 0, 0, 10, 0x88, 0x47], &LABELS[..]].concat())
        }),
        way("a pseudowire", &[label], true, |e| [&LINK[..12], &[0x88, 0x47], &LABELS[..], e].concat()),
        way("a pseudowire with a control word", &[label, (Vlan, Some(7))], true, |e| {
            [&LINK[..12], &[0x88, 0x47], &LABELS[..], &[0; 4], &tagged(e, &[0x81, 0, 0, 7])].concat()
        }),
        way("PPPoE", &[(Pppoe, Some(9))], true, |e| pppoe(e, &[0, 0x21])),
        way("PPPoE, protocol compressed", &[(Pppoe, Some(9))], true, |e| pppoe(e, &[0x21])),
    ]
}

/// Tunnels in IP.
fn tunnels() -> Vec<Way> {
    let (session, mirrored) = ((Erspan, Some(0x32c)), |header: &[u8]| header.to_vec());
    let three = |flags, more: &[u8]| {
        [&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 7, 0x20, 0x0a, 0x1b, 0x2c, 1, 2, 3, 4, 0, 0, 0x80, flags], more].concat()
    };
    let (plain, with_subheader) = (three(0, &[]), three(1, &[0x50, 1, 2, 3, 4, 5, 6, 7]));
    vec![
        way("IP in IP", &[(IpInIp, None)], false, |e| in_ip(4, &[], &e[ETHERNET..])),
        way("Ethernet in IP", &[(EtherIp, None)], true, |e| in_ip(97, &[0x30, 0], e)),
        way("labels in IP", &[(Mpls, Some(100))], false, |e| in_ip(137, &LABELS, &e[ETHERNET..])),
        way("PPTP", &[(Gre, None)], false, |e| {
            in_ip(47, &[0x30, 0x81, 0x88, 0x0b, 0, 9, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 3, 0, 0x21], &e[ETHERNET..])
        }),
        way("labels in GRE", &[(Gre, None), (Mpls, Some(100))], false, |e| {
            in_ip(47, &[&[0, 0, 0x88, 0x47], &LABELS[..]].concat(), &e[ETHERNET..])
        }),
        way("ERSPAN I", &[(Erspan, None)], true, |e| in_ip(47, &[0, 0, 0x88, 0xbe], e)),
        way("ERSPAN II", &[session], true, |e| in_ip(47, &ERSPAN_II, e)),
        way("ERSPAN II of a VLAN", &[session, (Vlan, Some(10))], true, |e| in_ip(47, &ERSPAN_II, &tagged(e, &[0x81, 0, 0, 10]))),
        way("ERSPAN III", &[session], true, move |e| in_ip(47, &mirrored(&plain), e)),
        way("ERSPAN III with a subheader", &[session], true, move |e| in_ip(47, &with_subheader, e)),
        way("VXLAN", &[(Vxlan, Some(42))], true, |e| in_udp(4789, &VXLAN, e)),
        way("VXLAN as Linux had it", &[(Vxlan, Some(42))], true, |e| in_udp(8472, &VXLAN, e)),
        way("VXLAN with a policy", &[(Vxlan, Some(42))], true, |e| in_udp(4789, &[0x88, 0, 0, 9, 0, 0, 42, 1], e)),
        way("Geneve", &[(Geneve, Some(43))], true, |e| {
            in_udp(6081, &[2, 0, 0x65, 0x58, 0, 0, 43, 0, 1, 2, 0x80, 1, 9, 9, 9, 9], e)
        }),
        way("Geneve of packets", &[(Geneve, Some(43))], false, |e| in_udp(6081, &[0, 0, 8, 0, 0, 0, 43, 0], &e[ETHERNET..])),
        way("GTP", &[(Gtp, Some(265))], false, |e| in_udp(2152, &gtp(0x30, &[], &e[ETHERNET..]), &e[ETHERNET..])),
        way("GTP with an extension", &[(Gtp, Some(265))], false, |e| {
            in_udp(2152, &gtp(0x34, &[0, 0, 0, 0x85, 1, 0x10, 9, 0], &e[ETHERNET..]), &e[ETHERNET..])
        }),
        way("GRE in UDP", &[(Gre, Some(77))], false, |e| in_udp(4754, &[0x20, 0, 8, 0, 0, 0, 0, 77], &e[ETHERNET..])),
        way("labels in UDP", &[(Mpls, Some(100))], false, |e| in_udp(6635, &LABELS, &e[ETHERNET..])),
        way(
            "a mirrored overlay",
            &[(Vlan, Some(9)), session, (Vlan, Some(10)), (Vlan, Some(11)), (Vxlan, Some(42)), (Vlan, Some(12))],
            true,
            |e| {
                let overlay = in_udp(4789, &VXLAN, &tagged(e, &[0x81, 0, 0, 12]));
                tagged(&in_ip(47, &ERSPAN_II, &tagged(&overlay, &[0x88, 0xa8, 0, 10, 0x81, 0, 0, 11])), &[0x81, 0, 0, 9])
            },
        ),
    ]
}

fn ways() -> Vec<Way> {
    links().into_iter().chain(tunnels()).collect()
}

fn around(found: &Outcome) -> Vec<(WrapperKind, Option<u32>)> {
    found.session().encapsulation.wrappers().map(|wrapper| (wrapper.kind, wrapper.id)).collect()
}

/// All that was counted but lengths of frames, which are longer, and copies.
fn counts(found: &Outcome) -> Vec<(u64, u64, u32, u32, u32)> {
    let traffic = &found.session().traffic;
    let sides = [traffic.client, traffic.server];
    sides.iter().map(|t| (t.packets, t.payload_bytes, t.retransmitted, t.out_of_order, t.gaps)).collect()
}

#[test]
fn every_way_gives_the_same_session() {
    for name in [HIDDEN[0], EXACT[0], EXACT[1]] {
        let session = Session::load(name);
        let whole = shots(&session.segments);
        for way in ways() {
            let found = run(&whole.iter().map(|shot| way.shot(shot)).collect::<Vec<_>>());
            let name = format!("{name} in {}", way.name);
            assert_eq!(found.counters.undecoded, 0, "{name}");
            same_facts_and_numbers(&name, &found, &session.original);
            let (is, was) = (found.session(), session.original.session());
            assert_eq!((is.endpoints, is.stack, counts(&found)), (was.endpoints, was.stack, counts(&session.original)), "{name}");
            assert_eq!(around(&found), way.around, "{name}");
            assert_eq!(is.mac.client, if way.has_mac { was.mac.client } else { None }, "{name}");
            assert_eq!((found.counters.tcp_flows, found.counters.udp_flows), (1, 0), "{name}");
        }
    }
}

/// The tunnel in which the addresses are of another family.
#[test]
fn ipv6_in_either_and_in_ipv6_gives_what_ipv6_gives() {
    let session = Session::load(EXACT[0]);
    let whole: Vec<Shot> = shots(&session.segments).iter().flat_map(|shot| over_ipv6(shot, 1, false)).collect();
    let plain = run(&whole);
    let in_v6 = |next: u8, packet: &[u8]| {
        let [len0, len1] = (packet.len() as u16).to_be_bytes();
        let address = |last: u8| [0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        [&[0x60, 0, 0, 0, len0, len1, next, 64][..], &address(1), &address(2), packet].concat()
    };
    for (name, six_in_six) in [("6in4", false), ("6in6", true)] {
        let wrapped = whole.iter().map(|shot| {
            let bytes = if six_in_six { in_v6(41, &shot.bytes) } else { in_ip(41, &[], &shot.bytes)[ETHERNET..].to_vec() };
            framed(shot, bytes)
        });
        let found = run(&wrapped.collect::<Vec<_>>());
        same_facts_and_numbers(name, &found, &plain);
        assert_eq!(around(&found), [(IpInIp, None)], "{name}");
    }
    let four_in_six = shots(&session.segments);
    let four_in_six =
        four_in_six.iter().map(|shot| Shot { link: LinkType::RawIp, ..framed(shot, in_v6(4, &shot.bytes[ETHERNET..])) });
    same_facts_and_numbers("4in6", &run(&four_in_six.collect::<Vec<_>>()), &session.original);
}

/// Serial lines: PPP with all of its header and with the least of it, Cisco's HDLC, and PPPoE without Ethernet.
#[test]
fn serial_links_give_the_same_session() {
    let session = Session::load(EXACT[0]);
    let ways: [(u16, &[u8]); 5] = [
        (9, &[0xff, 3, 0, 0x21]),
        (9, &[0x21]),
        (50, &[0, 0x21]),
        (104, &[0x0f, 0, 8, 0]),
        (51, &[0x11, 0, 0, 9, 0, 0, 0, 0x21]),
    ];
    for (number, header) in ways {
        let link = LinkType::from_number(number);
        let on = |shot: &Shot| Shot { link, ..framed(shot, [header, &shot.bytes[ETHERNET..]].concat()) };
        let found = run(&shots(&session.segments).iter().map(on).collect::<Vec<_>>());
        same_facts_and_numbers(&format!("link type {number}"), &found, &session.original);
    }
}

#[test]
fn tunnels_in_fragments_give_the_same_session() {
    let session = Session::load(EXACT[0]);
    let whole = shots(&session.segments);
    for (way, mut rng) in tunnels().into_iter().filter(|way| way.name != "a mirrored overlay").zip((0..).map(Rng::new)) {
        let pieces = whole.iter().zip(1u16..).flat_map(|(shot, number)| {
            let mut shot = way.shot(shot);
            shot.bytes[ETHERNET + 4..][..2].copy_from_slice(&number.to_be_bytes());
            fragments(&shot, &mut rng)
        });
        let found = run(&pieces.collect::<Vec<_>>());
        same_facts_and_numbers(way.name, &found, &session.original);
        assert_eq!((found.counters.undecoded, found.counters.dropped_fragments), (0, 0), "{}", way.name);
        assert!(found.counters.reassembled > 100, "{}", way.name);
    }
}

/// A mirror that cuts what it sends on: the tunnel's frame is whole.
#[test]
fn what_a_mirror_cuts_is_known_by_its_length() {
    let session = Session::load(EXACT[0]);
    let whole = shots(&session.segments);
    let cut = |shot: &Shot| shot.bytes[..shot.bytes.len().min(96)].to_vec();
    let plain = run(&whole.iter().map(|shot| Shot { bytes: cut(shot), ..shot.clone() }).collect::<Vec<_>>());
    let mirrored = run(&whole.iter().map(|shot| framed(shot, in_ip(47, &ERSPAN_II, &cut(shot)))).collect::<Vec<_>>());
    same_facts_and_numbers("cut", &mirrored, &plain);
    assert_eq!(counts(&mirrored), counts(&plain));
}

#[test]
fn too_many_headers_are_counted_and_not_followed() {
    let session = Session::load(EXACT[0]);
    let shot = &shots(&session.segments)[0];
    let nested = |depth| {
        let inner = (0..depth).fold(shot.bytes.clone(), |inner, _| in_udp(4789, &VXLAN, &inner));
        run([&framed(shot, inner)]).counters
    };
    assert_eq!((nested(6).tcp_flows, nested(6).undecoded), (1, 0));
    assert_eq!((nested(7).tcp_flows, nested(7).undecoded), (0, 1));
}

/// What is sent to a tunnel's port and is none: a flow like any other.
#[test]
fn datagrams_that_only_have_the_port_are_flows() {
    let session = Session::load(EXACT[0]);
    let shot = &shots(&session.segments)[0];
    let no_flag = [&[0, 0, 0, 0, 0, 0, 42, 0][..], &shot.bytes].concat();
    let version_one = [&[0x40, 0, 0x65, 0x58, 0, 0, 43, 0][..], &shot.bytes].concat();
    let control = [&[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0][..], &shot.bytes[ETHERNET..]].concat();
    let too_long = [&[0x30, 0xff, 9, 9, 0, 0, 1, 9][..], &shot.bytes[ETHERNET..]].concat();
    let other_type = [&VXLAN[..], &shot.bytes[..12], b"\x12\x34", &shot.bytes[ETHERNET..]].concat();
    let text = b"GET / HTTP/1.1\r\nHost: example.net\r\n\r\n".to_vec();
    let datagrams = [(4789, no_flag), (6081, version_one), (2152, control), (2152, too_long), (8472, other_type)];
    let texts = [2152, 4754, 4789, 6081, 6635, 8472].map(|port| (port, text.clone()));
    let empty = [2152, 4754, 4789, 6081, 6635, 8472].map(|port| (port, Vec::new()));
    for (port, payload) in datagrams.into_iter().chain(texts).chain(empty) {
        let counters = run([&framed(shot, in_udp(port, &[], &payload))]).counters;
        assert_eq!((counters.udp_flows, counters.tcp_flows, counters.undecoded), (1, 0, 0), "{port}");
    }
}

/// Whatever becomes of a header: no panic, and every frame counted once at most.
#[test]
fn damaged_and_cut_headers_are_counted() {
    let session = Session::load(EXACT[0]);
    let whole = shots(&session.segments);
    for (way, mut rng) in ways().into_iter().zip((0..).map(Rng::new)) {
        let mut damaged: Vec<Shot> = whole.iter().map(|shot| way.shot(shot)).collect();
        for shot in &mut damaged {
            for _ in 0..rng.below(3) {
                let at = rng.below(shot.bytes.len().min(110));
                shot.bytes[at] = rng.next() as u8;
            }
            if rng.below(3) == 0 {
                shot.bytes.truncate(rng.below(120));
            }
        }
        let limits = EngineLimits { all_flows: true, slices: Some(Default::default()), ..EngineLimits::default() };
        let counters = run_with(limits, &damaged).counters;
        assert!(counters.undecoded > 0 && counters.undecoded <= counters.packets, "{}", way.name);
    }
    for way in ways() {
        let shot = way.shot(&whole[0]);
        for there in 0..shot.bytes.len() {
            let cut = Shot { bytes: shot.bytes[..there].to_vec(), ..shot.clone() };
            let counters = run([&cut]).counters;
            let found = counters.tcp_flows + counters.udp_flows + counters.undecoded;
            assert!(found == 1 || (found == 0 && there < 90), "{} {there} {counters:?}", way.name);
        }
    }
}

/// Whoever keeps or changes headers finds the same ones.
#[test]
fn headers_are_found_where_they_are_read() {
    let shot = &shots(&Session::load(EXACT[0]).segments)[0];
    for way in ways() {
        let wrapped = way.shot(shot);
        let layout = Layout::of(wrapped.link, &wrapped.bytes, wrapped.original_len).unwrap();
        assert_eq!(layout.transport.end, wrapped.bytes.len(), "{}", way.name);
        let kinds: Vec<_> = way.around.iter().map(|(kind, _)| *kind).filter(|kind| *kind != Vlan).collect();
        assert_eq!(layout.envelopes.iter().filter_map(|envelope| envelope.kind).collect::<Vec<_>>(), kinds, "{}", way.name);
        let cut = &wrapped.bytes[..layout.transport.end - 1];
        assert!(Layout::of(wrapped.link, cut, wrapped.original_len).is_none_or(|cut| cut.envelopes == layout.envelopes));
    }
}

/// Two overlays with the same addresses; and a mirror's sessions, an operator's endpoints and labels, which are others in each
/// direction and part nothing.
#[test]
fn networks_are_told_apart_and_directions_are_not() {
    let name = EXACT[0];
    let session = Session::load(name);
    let alternating = |wrap: Numbered| {
        let both = session.segments.iter().map(|segment| {
            let shot = segment.shot();
            framed(&shot, wrap(&shot.bytes, 1 + session.side(segment) as u8))
        });
        run(&both.collect::<Vec<_>>())
    };
    let parts: [Numbered; 4] = [
        |e, id| in_ip(47, &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 7, 0x10, 0x0a, 0, id, 0, 0, 0, 1], e),
        |e, id| {
            let [len0, len1] = ((e.len() - ETHERNET) as u16).to_be_bytes();
            in_udp(2152, &[0x30, 0xff, len0, len1, 0, 0, 0, id], &e[ETHERNET..])
        },
        |e, id| shimmed(e, &[0x88, 0x47, 0, 6, id << 4 | 1, 64]),
        |e, id| tagged(e, &[0x89, 0x26, 0, 0, 0, id]),
    ];
    for (at, wrap) in parts.into_iter().enumerate() {
        same_keys(&format!("{name} {at}"), &alternating(wrap), &session.original);
    }
    let overlays: [Numbered; 2] =
        [|e, id| in_udp(4789, &[8, 0, 0, 0, 0, 0, id, 0], e), |e, id| in_udp(6081, &[0, 0, 0x65, 0x58, 0, 0, id, 0], e)];
    for overlay in overlays {
        let whole = shots(&session.segments);
        let both = whole.iter().flat_map(|shot| [7, 8].map(|id| framed(shot, overlay(&shot.bytes, id))));
        let found = run(&both.collect::<Vec<_>>());
        assert_eq!(found.sessions.len(), 2);
        assert_ne!(found.sessions[0].id, found.sessions[1].id);
        assert!(found.sessions.iter().all(|is| is.keystrokes == session.original.session().keystrokes));
    }
}

/// The frame as it leaves a router: other hardware addresses, one hop less.
fn routed(ethernet: &[u8]) -> Vec<u8> {
    let mut bytes = [&LINK[..12], &ethernet[12..]].concat();
    bytes[ETHERNET + 8] -= 1;
    bytes
}

/// The same packets twice: in two VLANs before and behind a router, plain and in a mirror's tunnel, in two mirrors. What is counted
/// and measured is that of the packets that came first.
#[test]
fn copies_of_mirrors_are_counted_once() {
    type Wrap = fn(&[u8]) -> Vec<u8>;
    let plain: Wrap = |e| e.to_vec();
    let mirror: Wrap = |e| in_ip(47, &ERSPAN_II, e);
    let pairs: [(&str, Wrap, Wrap); 6] = [
        ("two VLANs", |e| tagged(e, &[0x81, 0, 0, 10]), |e| tagged(e, &[0x81, 0, 0, 20])),
        ("routed", |e| tagged(e, &[0x81, 0, 0, 10]), |e| tagged(&routed(e), &[0x81, 0, 0, 20])),
        ("a VLAN and none", |e| tagged(e, &[0x81, 0, 0, 10]), plain),
        ("plain and ERSPAN", plain, mirror),
        ("ERSPAN and plain", mirror, plain),
        ("two mirrors", mirror, |e| in_ip(47, &[0, 0, 0x88, 0xbe], &tagged(e, &[0x81, 0, 0, 20]))),
    ];
    for name in HIDDEN.iter().chain(&EXACT) {
        let session = Session::load(name);
        let whole = shots(&session.segments);
        for (pair, first, second) in pairs {
            for late in [Span::from_nanos(20_000), Span::from_millis(1), Span::from_millis(5)] {
                let mut both: Vec<Shot> = whole.iter().map(|shot| framed(shot, first(&shot.bytes))).collect();
                let alone = run(&both);
                both.extend(whole.iter().map(|shot| Shot { time: shot.time + late, ..framed(shot, second(&shot.bytes)) }));
                both.sort_by_key(|shot| shot.time);
                let (found, name) = (run(&both), format!("{name} {pair} {late:?}"));
                same_facts_and_numbers(&name, &found, &alone);
                assert_eq!(counts(&found), counts(&alone), "{name}");
                let (is, was) = (&found.session().traffic, &alone.session().traffic);
                for (is, was) in [(is.client, was.client), (is.server, was.server)] {
                    assert_eq!(
                        (is.bytes, u64::from(is.duplicated)),
                        (was.bytes, u64::from(was.duplicated) + was.packets),
                        "{name}"
                    );
                }
            }
        }
    }
}
