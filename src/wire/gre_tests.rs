use super::*;
use crate::{
    time::Timestamp,
    wire::{Encapsulation, Frame, LinkType, Transport, Wrapper, decode, decode_tunnel},
};

/// An IPv4 packet with a UDP header: `192.0.2.1` port 7 to `192.0.2.2` port 9.
const UDP: [u8; 28] = [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 7, 0, 9, 0, 8, 0, 0];

/// Decodes what an IPv4 packet without link header holds whose payload is GRE.
fn inner(payload: &[u8]) -> Result<(Encapsulation, u16), Undecoded> {
    let total = (20 + payload.len() as u16).to_be_bytes();
    let outer = [0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, 47, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2];
    let bytes = [&outer, payload].concat();
    let original_len = bytes.len() as u32;
    let frame = Frame { number: 0, input: 0, time: Timestamp::from_nanos(0), link: LinkType::RawIp, bytes: &bytes, original_len };
    let mut packet = decode(&frame)?;
    while let Transport::Tunnel(tunnel) = packet.transport {
        packet = decode_tunnel(&frame, &packet, &tunnel)?;
    }
    match packet.transport {
        Transport::Udp(datagram) => Ok((packet.encapsulation, datagram.src_port)),
        other => unreachable!("expected UDP, got {other:?}"),
    }
}

/// So many GRE headers with these keys.
fn around(keys: &[Option<u32>]) -> Encapsulation {
    let wrappers = keys.iter().map(|&id| Wrapper { kind: WrapperKind::Gre, id, bridges: false });
    wrappers.fold(Encapsulation::default(), |all, wrapper| all.with(wrapper).unwrap())
}

/// Key 0x01020304 stands behind the checksum and before the sequence number (RFC 2890 §2).
#[test]
fn every_optional_field_is_stepped_over_and_the_key_read() {
    let headers: [(&[u8], Option<u32>); 5] = [
        (&[0, 0, 8, 0], None),
        (&[0x80, 0, 8, 0, 9, 9, 0, 0], None),
        (&[0x20, 0, 8, 0, 1, 2, 3, 4], Some(0x0102_0304)),
        (&[0x10, 0, 8, 0, 0, 0, 0, 5], None),
        (&[0xb0, 0, 8, 0, 9, 9, 0, 0, 1, 2, 3, 4, 0, 0, 0, 5], Some(0x0102_0304)),
    ];
    for (header, key) in headers {
        assert_eq!(inner(&[header, &UDP].concat()), Ok((around(&[key]), 7)), "{header:?}");
    }
}

#[test]
fn every_cut_header_says_what_is_missing() {
    let header = [0xb0, 0, 8, 0, 9, 9, 0, 0, 1, 2, 3, 4, 0, 0, 0, 5];
    for have in 0..16 {
        let need = if have < 4 { 4 } else { 16 };
        let want = Undecoded::Short { layer: Layer::Wrapper(WrapperKind::Gre), offset: 0, need, have };
        assert_eq!(inner(&header[..usize::from(have)]), Err(want));
    }
    assert!(matches!(inner(&header), Err(Undecoded::Short { layer: Layer::Ip, .. })), "no packet in it");
}

#[test]
fn what_is_not_a_tunnel_of_packets_is_told() {
    let other = [0x30, 0x81, 0x12, 0x34, 0, 4, 0, 1, 0, 0, 0, 1];
    assert_eq!(inner(&[&other[..], &UDP].concat()), Err(Undecoded::Protocol(47)), "another version");
    let acknowledges = [0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 1];
    assert_eq!(inner(&acknowledges), Err(Undecoded::Protocol(47)), "of PPTP");
    let control = [0x30, 1, 0x88, 0x0b, 0, 4, 0, 1, 0, 0, 0, 1, 0xff, 3, 0xc0, 0x21];
    assert_eq!(inner(&control), Err(Undecoded::NotIp(0xc021)), "PPP's own");
    assert_eq!(inner(&[0; 8]), Err(Undecoded::NotIp(0)), "a keepalive");
    assert_eq!(
        inner(&[&[0x40, 0, 8, 0, 0, 0, 0, 0], &UDP[..]].concat()),
        Err(Undecoded::Malformed(Layer::Wrapper(WrapperKind::Gre)))
    );
}

#[test]
fn tunnels_are_followed_so_deep_and_no_deeper() {
    let mut packet = UDP.to_vec();
    for depth in 1..=8 {
        let found = inner(&[&[0, 0, 8, 0], &packet[..]].concat());
        let want = if depth <= 6 { Ok((around(&vec![None; depth]), 7)) } else { Err(Undecoded::Nested) };
        assert_eq!(found, want);
        let total = (24 + packet.len() as u16).to_be_bytes();
        let outer = [0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 0, 8, 0];
        packet = [&outer[..], &packet].concat();
    }
}
