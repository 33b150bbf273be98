use etherparse::PacketBuilder;

use super::*;
use crate::{time::Timestamp, wire::TcpFlags};

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
    assert_eq!(packet.vlan, Some(100));
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
    assert_eq!((packet.mac, packet.vlan), (None, None));
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

#[test]
fn a_fragment_is_told_and_not_read_as_tcp() {
    let mut bytes = tcp_frame(&[0; 64], false);
    bytes[20] = 0x20; // more fragments
    let packet = decode(&frame(LinkType::Ethernet, &bytes, bytes.len())).unwrap();
    assert!(matches!(packet.transport, Transport::Other(Undecoded::Fragment)));
}
