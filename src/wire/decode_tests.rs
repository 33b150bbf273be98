use etherparse::PacketBuilder;

use super::*;
use crate::{
    time::Timestamp,
    wire::{TcpFlags, decode_reassembled},
};

fn frame(link: LinkType, bytes: &[u8], original_len: usize) -> Frame<'_> {
    Frame { number: 0, input: 0, time: Timestamp::from_nanos(0), link, bytes, original_len: original_len as u32 }
}

fn tcp_frame(payload: &[u8], vlan: bool) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([1; 6], [2; 6]);
    let mut out = Vec::new();
    let options =
        [etherparse::TcpOptionElement::Noop, etherparse::TcpOptionElement::Noop, etherparse::TcpOptionElement::Timestamp(7, 9)];
    if vlan {
        ethernet.double_vlan(100.try_into().unwrap(), 200.try_into().unwrap()).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
    } else {
        ethernet.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
    }
    .tcp(40000, 22, 1000, 65000)
    .ack(77)
    .options(&options)
    .unwrap()
    .write(&mut out, payload)
    .unwrap();
    out
}

fn tcp<'a>(packet: &Packet<'a>) -> TcpSegment<'a> {
    match packet.transport {
        Transport::Tcp(segment) => segment,
        other => unreachable!("expected TCP, got {other:?}"),
    }
}

#[test]
fn ethernet_with_two_vlan_tags_gives_the_outer_one() {
    let bytes = tcp_frame(b"hello", true);
    let packet = decode(&frame(LinkType::Ethernet, &bytes, bytes.len())).unwrap();
    assert_eq!(packet.encapsulation.vlan(), Some(100));
    assert_eq!(packet.mac.unwrap().source, [1; 6]);
    let segment = tcp(&packet);
    assert_eq!((segment.src_port, segment.dst_port, segment.payload), (40000, 22, &b"hello"[..]));
    assert_eq!(segment.timestamps(), Some((7, 9)));
    assert!(segment.flags.has(TcpFlags::ACK));
    assert_eq!(segment.end_seq().since(segment.seq), 5);
}

#[test]
fn raw_ip_needs_no_link_header() {
    let bytes = tcp_frame(b"x", false);
    let packet = decode(&frame(LinkType::RawIp, &bytes[14..], bytes.len() - 14)).unwrap();
    assert_eq!((packet.mac, packet.encapsulation.vlan()), (None, None));
    assert_eq!(tcp(&packet).payload, b"x");
}

#[test]
fn ethernet_padding_is_not_payload() {
    let mut bytes = tcp_frame(b"", false);
    bytes.resize(80, 0xaa);
    assert_eq!(tcp(&decode(&frame(LinkType::Ethernet, &bytes, 80)).unwrap()).payload_len, 0);
}

#[test]
fn every_snaplen_gives_the_headers_that_are_there() {
    let bytes = tcp_frame(&[b'p'; 100], false);
    for snaplen in 0..bytes.len() {
        let decoded = decode(&frame(LinkType::Ethernet, &bytes[..snaplen], bytes.len()));
        if snaplen < 34 {
            assert!(matches!(decoded, Err(Undecoded::Short { .. })), "{snaplen}: {decoded:?}");
        } else if snaplen < 54 {
            let short = Undecoded::Short { layer: Layer::Tcp, offset: 34, need: 20, have: snaplen as u16 - 34 };
            assert!(matches!(decoded.unwrap().transport, Transport::Other(reason) if reason == short));
        } else {
            let segment = tcp(&decoded.unwrap());
            assert_eq!((segment.seq.0, segment.payload_len), (1000, 100), "snaplen {snaplen}");
            assert_eq!(segment.payload.len(), snaplen.saturating_sub(66));
        }
    }
}

#[test]
fn what_is_not_ip_says_so() {
    let mut bytes = tcp_frame(b"x", false);
    bytes[12..14].copy_from_slice(&[0x88, 0xcc]);
    assert_eq!(decode(&frame(LinkType::Ethernet, &bytes, bytes.len())).unwrap_err(), Undecoded::NotIp(0x88cc));
    let unknown = LinkType::Unknown(147);
    assert_eq!(decode(&frame(unknown, &bytes, bytes.len())).unwrap_err(), Undecoded::Link(unknown));
}

/// A segment behind every link header that names it: `bytes` without their Ethernet header.
fn behind(header: &[u8], bytes: &[u8]) -> Vec<u8> {
    [header, &bytes[14..]].concat()
}

const SLL: [u8; 16] = [0, 4, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0, 8, 0];
const SLL2: [u8; 20] = [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 2, 2, 2, 2, 2, 0, 0];

#[test]
fn cooked_captures_tell_the_sender_alone() {
    let bytes = tcp_frame(b"hello", false);
    for (link, header) in [(LinkType::LinuxSll, &SLL[..]), (LinkType::LinuxSll2, &SLL2)] {
        let cooked = behind(header, &bytes);
        let packet = decode(&frame(link, &cooked, cooked.len())).unwrap();
        assert_eq!(packet.mac, Some(MacPair { source: [2; 6], destination: None }), "{link:?}");
        assert_eq!((tcp(&packet).payload, packet.encapsulation.vlan()), (&b"hello"[..], None));
    }
    // A tunnel device: hardware type 0xfffe, no address. `etherparse` would refuse it.
    let tunnel = behind(&[0, 0, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], &bytes);
    let packet = decode(&frame(LinkType::LinuxSll, &tunnel, tunnel.len())).unwrap();
    assert_eq!((packet.mac, tcp(&packet).payload), (None, &b"hello"[..]));
}

#[test]
fn a_vlan_tag_behind_a_cooked_header_counts() {
    let bytes = tcp_frame(b"x", true);
    let mut header = SLL;
    header[14..].copy_from_slice(&bytes[12..14]);
    let cooked = behind(&header, &bytes);
    assert_eq!(decode(&frame(LinkType::LinuxSll, &cooked, cooked.len())).unwrap().encapsulation.vlan(), Some(100));
    let mut untagged = bytes.clone();
    untagged[15] = 0; // priority only: the tag within counts
    assert_eq!(decode(&frame(LinkType::Ethernet, &untagged, untagged.len())).unwrap().encapsulation.vlan(), Some(200));
}

#[test]
fn loopback_families_in_either_order() {
    let v4 = tcp_frame(b"x", false);
    let v6 = tcp6(&[], 6, &tcp_bytes(b"x"));
    for (family, body) in [(2u32, &v4[14..]), (10, &v6), (24, &v6), (28, &v6), (30, &v6)] {
        let own = [&family.to_be_bytes(), body].concat();
        let swapped = [&family.to_le_bytes(), body].concat();
        for bytes in [&own, &swapped] {
            let packet = decode(&frame(LinkType::Null, bytes, bytes.len())).unwrap();
            assert_eq!((packet.mac, tcp(&packet).payload), (None, &b"x"[..]), "{family}");
        }
        assert!(decode(&frame(LinkType::Loop, &own, own.len())).is_ok());
        let other = decode(&frame(LinkType::Loop, &swapped, swapped.len())).unwrap_err();
        assert_eq!(other, Undecoded::Family(family.swap_bytes()), "network byte order alone");
    }
    assert_eq!(decode(&frame(LinkType::Null, &[7, 0, 0, 0], 4)).unwrap_err(), Undecoded::Family(0x0700_0000));
}

#[test]
fn a_cut_frame_of_any_link_says_where_it_ends() {
    let bytes = tcp_frame(&[b'p'; 100], false);
    let links = [
        (LinkType::Null, &[2, 0, 0, 0][..]),
        (LinkType::Loop, &[0, 0, 0, 2]),
        (LinkType::LinuxSll, &SLL),
        (LinkType::LinuxSll2, &SLL2),
    ];
    for (link, header) in links {
        let whole = behind(header, &bytes);
        for snaplen in 0..whole.len() {
            let decoded = decode(&frame(link, &whole[..snaplen], whole.len()));
            let start = header.len();
            if snaplen < start {
                let (need, have) = (start as u16, snaplen as u16);
                assert_eq!(decoded.unwrap_err(), Undecoded::Short { layer: Layer::Link, offset: 0, need, have });
            } else if snaplen < start + 20 {
                assert!(
                    matches!(decoded, Err(Undecoded::Short { layer: Layer::Ip, offset, .. }) if usize::from(offset) == start)
                );
            } else if snaplen >= start + 40 {
                assert_eq!(tcp(&decoded.unwrap()).payload_len, 100, "{link:?}, {snaplen}");
            }
        }
    }
}

/// A TCP header without options, and a payload.
fn tcp_bytes(payload: &[u8]) -> Vec<u8> {
    tcp_frame(payload, false)[34..].to_vec()
}

/// An IPv6 packet with these extension headers, of which the first is of the kind `first`.
fn tcp6(extensions: &[u8], first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend(((extensions.len() + payload.len()) as u16).to_be_bytes());
    out.extend([first, 64]);
    out.extend([[0x20; 16], [0x21; 16]].concat());
    [out, extensions.to_vec(), payload.to_vec()].concat()
}

#[test]
fn extension_headers_are_passed_over() {
    let segment = tcp_bytes(b"hello");
    let padding = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let routing = |next: u8| [next, 0, 0, 0, 0, 0, 0, 0];
    let atomic = |next: u8| [next, 0, 0, 0, 1, 2, 3, 4]; // a fragment header of a packet in one piece (RFC 6946)
    let chains: [(u8, Vec<u8>); 6] = [
        (0, padding(6).to_vec()),
        (43, routing(6).to_vec()),
        (60, padding(6).to_vec()),
        (44, atomic(6).to_vec()),
        (0, [padding(60), padding(43), routing(60), padding(6)].concat()),
        (0, [padding(44), atomic(60), padding(6)].concat()),
    ];
    for (first, chain) in chains {
        let bytes = tcp6(&chain, first, &segment);
        let packet = decode(&frame(LinkType::RawIp, &bytes, bytes.len())).unwrap();
        assert_eq!(tcp(&packet).payload, b"hello", "{first}: {chain:?}");
        let cut = &bytes[..bytes.len() - 3];
        let packet = decode(&frame(LinkType::RawIp, cut, bytes.len())).unwrap();
        assert_eq!((tcp(&packet).payload, tcp(&packet).payload_len), (&b"he"[..], 5), "{first}: {chain:?}");
    }
}

fn fragment<'a>(packet: &Packet<'a>) -> Fragment<'a> {
    match packet.transport {
        Transport::Fragment(fragment) => fragment,
        other => unreachable!("expected a fragment, got {other:?}"),
    }
}

#[test]
fn an_ipv4_fragment_tells_its_place() {
    let mut bytes = tcp_frame(&[7; 64], false);
    bytes[18..20].copy_from_slice(&[0x12, 0x34]);
    bytes[20..22].copy_from_slice(&[0x20, 0x05]); // more fragments, offset 5 * 8
    let payload = bytes.len() - 34;
    for cut in [0, 10] {
        let packet = decode(&frame(LinkType::Ethernet, &bytes[..bytes.len() - cut], bytes.len())).unwrap();
        let fragment = fragment(&packet);
        assert_eq!((fragment.identification, fragment.protocol, fragment.offset, fragment.more), (0x1234, 6, 40, true));
        assert_eq!((fragment.bytes.len(), fragment.len as usize), (payload - cut, payload));
    }
    bytes[23] = 1;
    let packet = decode(&frame(LinkType::Ethernet, &bytes, bytes.len())).unwrap();
    assert!(matches!(packet.transport, Transport::Other(Undecoded::Protocol(1))), "fragments of ICMP are nobody's");
}

/// What lies behind the fragment header of a later fragment looks like extension headers only by chance.
#[test]
fn an_ipv6_fragment_is_taken_from_its_header_on() {
    let header = |next: u8, place: u16| [vec![next, 0], place.to_be_bytes().to_vec(), vec![0, 0, 9, 9]].concat();
    for payload in [&[6, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8][..], &[44; 16], &[255; 16]] {
        for (next, place) in [(6, 1), (6, 8), (60, 8), (60, 1)] {
            let bytes = tcp6(&header(next, place), 44, payload);
            for cut in [0, 2] {
                let packet = decode(&frame(LinkType::RawIp, &bytes[..bytes.len() - cut], bytes.len())).unwrap();
                let fragment = fragment(&packet);
                assert_eq!((fragment.identification, fragment.protocol), (0x0909, next));
                assert_eq!((fragment.offset, fragment.more), (u32::from(place & !7), place & 1 == 1));
                assert_eq!((fragment.bytes, fragment.len), (&payload[..16 - cut], 16), "{next} {place} {cut}");
            }
        }
    }
    let bytes = tcp6(&header(58, 8), 44, &[0; 16]);
    let packet = decode(&frame(LinkType::RawIp, &bytes, bytes.len())).unwrap();
    assert!(matches!(packet.transport, Transport::Other(Undecoded::Protocol(58))));
}

#[test]
fn what_was_put_together_is_read_through_its_extension_headers() {
    let segment = tcp_bytes(b"hello");
    let behind_options = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &segment].concat();
    for (protocol, bytes) in [(6, &segment), (60, &behind_options)] {
        match decode_reassembled(protocol, bytes, bytes.len() as u32 + 7) {
            Transport::Tcp(segment) => assert_eq!((segment.payload, segment.payload_len), (&b"hello"[..], 12)),
            other => unreachable!("{other:?}"),
        }
    }
    let again = [&[6, 0, 0, 1, 0, 0, 0, 0][..], &segment].concat();
    let nested = decode_reassembled(44, &again, again.len() as u32);
    assert!(matches!(nested, Transport::Other(Undecoded::Fragment)));
}
