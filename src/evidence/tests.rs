use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{
    EtherType, IpHeaders, IpNumber, Ipv4Header, Ipv4Options, Ipv6Extensions, Ipv6Header, Ipv6RawExtHeader, PacketBuilder,
    PacketBuilderStep, TcpHeader, ip_number,
};
use proptest::prelude::*;

use super::*;
use crate::{
    time::Timestamp,
    wire::{Ip, MacPair, Packet, Transport, decode, decode_tunnel},
};

const MACS: [[u8; 6]; 2] = [[0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0x01], [0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0x02]];
const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(203, 0, 113, 9), Ipv4Addr::new(198, 51, 100, 2)];
const PAYLOAD: &[u8] = b"payload that nobody may see";

fn v6() -> [Ipv6Addr; 2] {
    ["2001:db8:1234:5678::9".parse().unwrap(), "2001:db8:8765:4321::2".parse().unwrap()]
}

fn pseudonyms() -> Pseudonyms {
    Pseudonyms::parse(b"0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301").unwrap()
}

fn frame(link: LinkType, bytes: &[u8], nanos: i64) -> Frame<'_> {
    Frame { number: 0, input: 0, time: Timestamp::from_nanos(nanos), link, bytes, original_len: bytes.len() as u32 }
}

fn ipv4() -> IpHeaders {
    let mut header = Ipv4Header::new(0, 64, IpNumber::TCP, V4[0].octets(), V4[1].octets()).unwrap();
    header.options = Ipv4Options::try_from(&[&[7, 7, 8][..], &V4[0].octets(), &[0]].concat()[..]).unwrap(); // Record Route
    IpHeaders::Ipv4(header, Default::default())
}

fn ipv6() -> IpHeaders {
    let header = Ipv6Header { source: v6()[0].octets(), destination: v6()[1].octets(), hop_limit: 64, ..Default::default() };
    let home = [&[0xc9, 16][..], &v6()[0].octets(), &[1, 2, 0, 0]].concat(); // Home Address (RFC 6275 §6.3)
    let options = Ipv6RawExtHeader::new_raw(ip_number::TCP, &home).unwrap();
    let extensions = Ipv6Extensions { destination_options: Some(options), ..Default::default() };
    IpHeaders::Ipv6(header, extensions)
}

/// An acknowledgement or data, with every option that is kept and one that load balancers write the client's address into.
fn write(step: PacketBuilderStep<IpHeaders>, payload: &[u8]) -> Vec<u8> {
    let mut tcp = TcpHeader::new(40_000, 22, 1000, 65_000);
    (tcp.ack, tcp.acknowledgment_number) = (true, 77);
    let address = [&[254, 8, 1, 2][..], &V4[0].octets()].concat();
    tcp.set_options_raw(&[&[8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 5, 10, 9, 9, 9, 9, 9, 9, 9, 10, 3, 3, 7, 1][..], &address].concat())
        .unwrap();
    let mut bytes = Vec::new();
    step.tcp_header(tcp).write(&mut bytes, payload).unwrap();
    bytes
}

fn ethernet(ip: IpHeaders, payload: &[u8]) -> Vec<u8> {
    write(PacketBuilder::ethernet2(MACS[0], MACS[1]).ip(ip), payload)
}

fn double_vlan(ip: IpHeaders, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(MACS[0], MACS[1]);
    write(builder.double_vlan(100.try_into().unwrap(), 200.try_into().unwrap()).ip(ip), payload)
}

/// The IP packet of an Ethernet frame behind another link header.
fn behind(header: &[u8], ethernet: &[u8]) -> Vec<u8> {
    [header, &ethernet[14..]].concat()
}

/// A MACsec tag without encryption and with a secure channel identifier, between Ethernet and IPv4.
fn macsec(payload: &[u8]) -> Vec<u8> {
    let plain = ethernet(ipv4(), payload);
    let tag = [&[0x88, 0xe5, 0x20, 0, 0, 0, 0, 1][..], &MACS[0], &[0, 1]].concat();
    [&plain[..12], &tag, &plain[12..]].concat()
}

/// A GRE tunnel whose ends are those of the session.
fn in_tunnel(gre: &[u8], packet: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(MACS[0], MACS[1]).ip(ipv4());
    builder.write(&mut bytes, ip_number::GRE, &[gre, packet].concat()).unwrap();
    bytes
}

/// A UDP tunnel whose ends are those of the session.
fn in_udp(port: u16, header: &[u8], packet: &[u8]) -> Vec<u8> {
    let length = (8 + header.len() + packet.len()) as u16;
    let udp = [&[0xc0, 1], &port.to_be_bytes()[..], &length.to_be_bytes(), &[0, 0]].concat();
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(MACS[0], MACS[1]).ip(ipv4());
    builder.write(&mut bytes, ip_number::UDP, &[&udp, header, packet].concat()).unwrap();
    bytes
}

/// What is in a frame, out of all tunnels.
fn unwrapped<'a>(frame: &Frame<'a>) -> Packet<'a> {
    let mut packet = decode(frame).unwrap();
    while let Transport::Tunnel(tunnel) = packet.transport {
        packet = decode_tunnel(frame, &packet, &tunnel).unwrap();
    }
    packet
}

/// Frames in everything that is decoded.
fn frames(payload: &[u8]) -> Vec<(LinkType, Vec<u8>)> {
    let (four, six) = (ethernet(ipv4(), payload), ethernet(ipv6(), payload));
    let cooked = |length: u8| [&[0, 0, 0, 1, 0, length][..], &MACS[0], &[0, 0, 8, 0]].concat();
    let tunnel = [&[0, 0, 3, 0, 0, 4][..], &V4[0].octets(), &V4[1].octets(), &[8, 0]].concat();
    let option = [V4[0].octets(), V4[1].octets()].concat();
    let length = ((12 + four.len() - 14) as u16).to_be_bytes();
    let gtp = [&[0x34, 0xff, length[0], length[1], 0, 0, 0, 9, 0, 0, 0, 0xc0, 2, 0], &option[..4], &[0, 0]].concat();
    let cooked2 = [&[0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6][..], &MACS[0], &[0, 0]].concat();
    vec![
        (LinkType::Ethernet, in_tunnel(&[0x90, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 3], &four[14..])),
        (LinkType::Ethernet, in_tunnel(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 77], &six)),
        (LinkType::Ethernet, in_tunnel(&[0, 0, 8, 0], &in_tunnel(&[0, 0, 0x86, 0xdd], &six[14..])[14..])),
        (LinkType::Ethernet, in_udp(4789, &[8, 0, 0, 0, 0, 0, 42, 0], &four)),
        (LinkType::Ethernet, in_udp(6081, &[&[3, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 2][..], &option].concat(), &six)),
        (LinkType::Ethernet, in_udp(2152, &gtp, &four[14..])),
        (LinkType::Ethernet, in_tunnel(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 9][..], &[0; 4]].concat(), &four)),
        (LinkType::Ethernet, [&four[..12], &[0x88, 0x47, 0, 6, 0x41, 64, 0, 0, 0, 0], &six].concat()),
        (LinkType::Ethernet, [&four[..12], &[0x88, 0x64, 0x11, 0, 0, 9, 0, 99, 0, 0x21], &four[14..]].concat()),
        (LinkType::Ethernet, [&four[..12], &[0x89, 0x26, 0, 0, 0, 5], &four[12..]].concat()),
        (LinkType::Ethernet, double_vlan(ipv4(), payload)),
        (LinkType::Ethernet, double_vlan(ipv6(), payload)),
        (LinkType::Ethernet, macsec(payload)),
        (LinkType::RawIp, behind(&[], &four)),
        (LinkType::RawIp, behind(&[], &six)),
        (LinkType::Null, behind(&[2, 0, 0, 0], &four)),
        (LinkType::Loop, behind(&[0, 0, 0, 24], &six)),
        (LinkType::LinuxSll, behind(&cooked(6), &four)),
        (LinkType::LinuxSll, behind(&tunnel, &four)),
        (LinkType::LinuxSll2, behind(&cooked2, &six)),
        (LinkType::Ethernet, four),
        (LinkType::Ethernet, six),
    ]
}

fn slice(limits: SliceLimits, frames: &[Frame<'_>]) -> Slice {
    let (mut keeper, mut slice) = (SliceKeeper::new(limits), None);
    for frame in frames {
        keeper.push(&mut slice, frame, true, true);
    }
    assert_eq!(keeper.held(), slice.as_ref().unwrap().bytes());
    *keeper.take(&mut slice).unwrap()
}

/// Records of a slice: seconds, nanoseconds, length on the wire, bytes.
fn records(slice: &Slice) -> Vec<(u32, u32, u32, Vec<u8>)> {
    let file = slice.pcap();
    let mut rest = &file[24..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let end = 16 + number(8) as usize;
        records.push((number(0), number(4), number(12), rest[16..end].to_vec()));
        rest = &rest[end..];
    }
    assert_eq!(records.len() as u64, slice.kept());
    records
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn headers_are_kept_as_they_are_and_nothing_behind_them() {
    for (link, bytes) in frames(PAYLOAD) {
        let kept = slice(SliceLimits::default(), &[frame(link, &bytes, 7_000_000_123)]);
        let (seconds, nanos, length, headers) = &records(&kept)[0];
        assert_eq!((*seconds, *nanos, *length as usize), (7, 123, bytes.len()), "{link:?}");
        assert_eq!(headers.len(), bytes.len() - PAYLOAD.len(), "{link:?}");
        let mut bytes = bytes;
        if bytes[14..].get(28..30) == Some(&[0x90, 0]) {
            bytes[14 + 28 + 4..][..2].fill(0); // the checksum of a tunnel
        }
        let checksum = headers.len() - 52 + CHECKSUM; // of 52 bytes of TCP header
        assert_eq!(headers[..checksum], bytes[..checksum]);
        assert_eq!(
            (&headers[checksum..checksum + 2], &headers[checksum + 2..]),
            (&[0, 0][..], &bytes[checksum + 2..headers.len()])
        );
        assert_eq!(kept.pcap()[20..24], u32::from(link.number()).to_le_bytes());
    }
}

#[test]
fn no_address_is_left_under_pseudonyms_and_the_rest_is_as_it_was() {
    for (link, bytes) in frames(PAYLOAD) {
        let kept = slice(SliceLimits::default(), &[frame(link, &bytes, 0)]).pseudonymized(&pseudonyms());
        let headers = &records(&kept)[0].3;
        assert_eq!(headers.len(), bytes.len() - PAYLOAD.len(), "{link:?}");
        for real in V4.iter().map(|ip| ip.octets().to_vec()).chain(v6().iter().map(|ip| ip.octets().to_vec())) {
            assert!(!holds(headers, &real), "{link:?}");
        }
        assert!(MACS.iter().all(|mac| !holds(headers, mac)), "{link:?}");

        let (frame_was, frame_is) =
            (frame(link, &bytes, 0), Frame { original_len: bytes.len() as u32, ..frame(link, headers, 0) });
        let (was, is) = (unwrapped(&frame_was), unwrapped(&frame_is));
        let of = |ip: Ip| Ip::from(pseudonyms().ip(ip.into()));
        assert_eq!((is.ip.source, is.ip.destination), (of(was.ip.source), of(was.ip.destination)), "{link:?}");
        assert_eq!((is.encapsulation, is.ip.ttl, is.ip.identification), (was.encapsulation, was.ip.ttl, was.ip.identification));
        let mac = |pair: MacPair| {
            let destination = pair.destination.map(|mac| pseudonyms().mac(mac));
            MacPair { source: pseudonyms().mac(pair.source), destination }
        };
        assert_eq!(is.mac, was.mac.map(mac), "{link:?}");
        let (Transport::Tcp(was), Transport::Tcp(is)) = (was.transport, is.transport) else { unreachable!("{link:?}") };
        assert_eq!((is.seq, is.ack, is.src_port, is.payload_len), (was.seq, was.ack, was.src_port, was.payload_len));
        assert_eq!((is.timestamps(), is.has_sack(), is.window_scale()), (was.timestamps(), was.has_sack(), was.window_scale()));
    }
}

/// Headers as `etherparse` writes them are the measure.
#[test]
fn checksums_of_what_has_no_payload_are_right() {
    for (link, bytes) in frames(b"") {
        let kept = slice(SliceLimits::default(), &[frame(link, &bytes, 0)]).pseudonymized(&pseudonyms());
        let headers = &records(&kept)[0].3;
        let layout = Layout::of(link, headers, bytes.len() as u32).unwrap();
        let tcp = etherparse::TcpHeaderSlice::from_slice(&headers[layout.transport.clone()]).unwrap();
        let ip = &headers[layout.envelopes.last().unwrap().ip.clone()];
        let right = if ip[0] >> 4 == 4 {
            let ip = etherparse::Ipv4HeaderSlice::from_slice(ip).unwrap();
            assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum(), "{link:?}");
            tcp.calc_checksum_ipv4(&ip, &[]).unwrap()
        } else {
            tcp.calc_checksum_ipv6(&etherparse::Ipv6HeaderSlice::from_slice(ip).unwrap(), &[]).unwrap()
        };
        assert_eq!(tcp.checksum(), right, "{link:?}");
    }
}

#[test]
fn the_first_and_the_last_frames_stay_in_order_and_the_rest_is_counted() {
    let bytes = ethernet(ipv4(), PAYLOAD);
    let frames: Vec<_> = (0..100).map(|second| frame(LinkType::Ethernet, &bytes, second * 1_000_000_000)).collect();
    let record = slice(SliceLimits::default(), &frames[..1]).bytes();
    let limits = SliceLimits { first: 10 * record + 1, last: 5 * record, total: 20 * record };
    let kept = slice(limits, &frames);
    let seconds: Vec<u32> = records(&kept).iter().map(|record| record.0).collect();
    assert_eq!(seconds, (0..10).chain(95..100).collect::<Vec<_>>());
    assert_eq!((kept.kept(), kept.left_out()), (15, 85));
}

#[test]
fn all_flows_together_are_bounded_and_half_is_for_sessions() {
    let bytes = ethernet(ipv4(), PAYLOAD);
    let frame = frame(LinkType::Ethernet, &bytes, 0);
    let record = slice(SliceLimits::default(), &[frame]).bytes();
    let mut keeper = SliceKeeper::new(SliceLimits { first: 10 * record, last: 10 * record, total: 30 * record });
    let mut slices: Vec<Option<Box<Slice>>> = vec![None; 6];
    for _ in 0..100 {
        for (place, slice) in slices.iter_mut().enumerate() {
            keeper.push(slice, &frame, true, place >= 3);
            assert!(keeper.held() <= 30 * record);
        }
    }
    let kept = |slices: &[Option<Box<Slice>>]| slices.iter().flatten().map(|slice| slice.kept()).sum::<u64>();
    assert_eq!((kept(&slices[..3]) <= 15, kept(&slices)), (true, 30));
    assert!(slices.iter().flatten().all(|slice| slice.kept() > 0 && slice.kept() + slice.left_out() == 100));
    for slice in &mut slices {
        keeper.take(slice);
    }
    assert_eq!(keeper.held(), 0);
}

#[test]
fn what_does_not_belong_is_left_out() {
    let bytes = ethernet(ipv4(), PAYLOAD);
    let mut fragment = bytes.clone();
    fragment[20] = 0x20; // more fragments
    let mut arp = bytes.clone();
    arp[12..14].copy_from_slice(&EtherType::ARP.0.to_be_bytes());
    let mut icmp = bytes.clone();
    icmp[23] = 1;
    let link = LinkType::Ethernet;
    let others = [(link, &fragment), (link, &arp), (link, &icmp), (LinkType::LinuxSll, &bytes)];
    let mut frames = vec![frame(link, &bytes, 0), frame(link, &bytes, -1), frame(link, &bytes, i64::MAX)];
    frames.extend(others.iter().map(|(link, bytes)| frame(*link, bytes, 0)));
    let kept = slice(SliceLimits::default(), &frames);
    assert_eq!((kept.kept(), kept.left_out()), (1, 6));
}

proptest! {
    /// Whatever options say, and wherever a snaplen cut: no panic, and the lengths stay.
    #[test]
    fn any_options_are_disarmed(options in prop::collection::vec(any::<u8>(), 0..40), cut in 0_usize..120) {
        let mut tcp = TcpHeader::new(40_000, 22, 1000, 65_000);
        let padded = [&options[..], &vec![0; options.len().wrapping_neg() % 4]].concat();
        tcp.set_options_raw(&padded).unwrap();
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2(MACS[0], MACS[1]).ip(ipv4()).tcp_header(tcp).write(&mut bytes, b"").unwrap();
        let bytes = &bytes[..cut.min(bytes.len())];
        let kept = slice(SliceLimits::default(), &[frame(LinkType::Ethernet, bytes, 0)]).pseudonymized(&pseudonyms());
        for record in records(&kept) {
            prop_assert_eq!(record.3.len(), bytes.len());
        }
    }
}
