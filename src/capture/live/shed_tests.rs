use etherparse::{Ethernet2Header, IpNumber, Ipv4Header, PacketBuilder};
use proptest::prelude::*;

use super::*;
use crate::{
    time::Timestamp,
    wire::{Ip, LinkType},
};

const CLIENT: [u8; 4] = [203, 0, 113, 7];
const SERVER: [u8; 4] = [198, 51, 100, 1];

fn frame(bytes: &[u8]) -> Frame<'_> {
    let (time, original_len) = (Timestamp::from_nanos(0), bytes.len() as u32);
    Frame { number: 0, input: 0, time, link: LinkType::Ethernet, bytes, original_len }
}

/// A segment from the client.
fn segment(flags: u8, payload: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
    let mut tcp = etherparse::TcpHeader::new(50_000, 22, 7, 1000);
    (tcp.syn, tcp.fin, tcp.rst, tcp.ack) = (flags & 2 != 0, flags & 1 != 0, flags & 4 != 0, flags & 16 != 0);
    let mut bytes = Vec::new();
    builder.tcp_header(tcp).write(&mut bytes, &vec![0; payload]).unwrap();
    bytes
}

fn datagram(payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
    builder.udp(50_000, 53).write(&mut bytes, &vec![0; payload]).unwrap();
    bytes
}

/// An IPv4 packet in Ethernet.
fn packet(protocol: u8, fragment: bool, payload: &[u8]) -> Vec<u8> {
    let mut header = Ipv4Header::new(payload.len() as u16, 64, IpNumber(protocol), CLIENT, SERVER).unwrap();
    header.more_fragments = fragment;
    let mut bytes = Vec::new();
    let ethernet = Ethernet2Header { source: [2; 6], destination: [4; 6], ether_type: etherparse::EtherType::IPV4 };
    ethernet.write(&mut bytes).unwrap();
    header.write(&mut bytes).unwrap();
    bytes.extend_from_slice(payload);
    bytes
}

fn tagged(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..12], &[0x81, 0, 0, 5], &bytes[12..]].concat()
}

fn in_gre(bytes: &[u8]) -> Vec<u8> {
    packet(47, false, &[&[0, 0, 8, 0], &bytes[14..]].concat())
}

fn kept() -> Kept {
    let kept = Kept::default();
    kept.add((Ip::v4(SERVER), 22), (Ip::v4(CLIENT), 50_000));
    kept
}

/// On which levels a frame is shed, and as what.
fn levels(bytes: &[u8], kept: &Kept) -> [Option<Kind>; 3] {
    [Level::Nothing, Level::Bulk, Level::New].map(|level| shed(&frame(bytes), level, kept))
}

const NEVER: [Option<Kind>; 3] = [None, None, None];
const AS_NEW: [Option<Kind>; 3] = [None, None, Some(Kind::New)];
const AS_BULK: [Option<Kind>; 3] = [None, Some(Kind::Bulk), Some(Kind::Bulk)];

#[test]
fn bulk_goes_first_then_all_but_what_is_kept() {
    let (kept, none) = (kept(), Kept::default());
    let long = LONGEST_SHORT as usize + 1;
    for (bytes, otherwise) in [
        (segment(2, 0), AS_NEW),
        (segment(16, 0), AS_NEW),
        (segment(16, long - 1), AS_NEW),
        (segment(16, long), AS_BULK),
        (segment(17, long), AS_NEW),
        (segment(4, 0), AS_NEW),
        (tagged(&segment(16, long)), AS_BULK),
        (tagged(&segment(16, 36)), AS_NEW),
        (in_gre(&segment(16, long)), AS_BULK),
        (tagged(&in_gre(&segment(16, 36))), AS_NEW),
        (packet(6, true, &[0; 1400]), AS_BULK),
    ] {
        assert_eq!(levels(&bytes, &none), otherwise, "{bytes:02x?}");
        assert_eq!(levels(&bytes, &kept), NEVER, "{bytes:02x?}");
    }
    for (bytes, always) in [
        (datagram(long), AS_BULK),
        (datagram(12), AS_NEW),
        (packet(17, true, &[0; 1400]), NEVER), // may be of VXLAN
        (packet(47, true, &[0; 1400]), NEVER),
        (packet(1, false, &[0; 64]), AS_NEW),
        (vec![0; 60], AS_NEW),
        (Vec::new(), AS_NEW),
    ] {
        assert_eq!([levels(&bytes, &none), levels(&bytes, &kept)], [always; 2], "{bytes:02x?}");
    }
}

proptest! {
    /// A level sheds what the one below it sheds, as the same; nothing sheds nothing, whatever the bytes.
    #[test]
    fn levels_only_add(bytes in prop::collection::vec(any::<u8>(), 0..200), changes in prop::collection::vec((0usize..90, any::<u8>()), 0..4)) {
        let mut changed = tagged(&in_gre(&segment(16, 600)));
        changes.iter().for_each(|&(at, value)| changed[at] = value);
        for bytes in [bytes, changed] {
            let [nothing, bulk, new] = levels(&bytes, &kept());
            prop_assert!(nothing.is_none() && (bulk.is_none() || bulk == new) && bulk != Some(Kind::New));
        }
    }

    /// Levels rise only by one of the two reasons, fall one by one, and never within a second of anything that is not calm.
    #[test]
    fn what_was_not_calm_is_not_forgotten(steps in prop::collection::vec((0u64..120, any::<bool>(), 1i64..400), 1..200)) {
        let (mut overload, mut now, mut last_stir) = (Overload::default(), Span::ZERO, Span::ZERO);
        for (in_use, dropped, millis) in steps {
            now = now + Span::from_millis(millis);
            let before = overload.level();
            let changed = overload.update(now, Pressure { in_use, dropped: dropped && in_use > 100 });
            prop_assert_eq!(changed.is_some(), overload.level() != before);
            if in_use >= CALM_BELOW {
                prop_assert!(overload.level() >= before);
                last_stir = now;
            }
            if overload.level() > before {
                prop_assert!(in_use >= BULK_FROM);
            } else if overload.level() < before {
                prop_assert!(now - last_stir >= SHORTEST_HOLD && before as u8 - overload.level() as u8 == 1);
            }
        }
    }
}

/// Levels with the time in milliseconds at which they began, where the ring is full while nothing is shed and empty otherwise.
fn changes_of_a_steady_flood(millis: i64) -> Vec<(i64, Level)> {
    let mut overload = Overload::default();
    let step = |now: i64| {
        let in_use = if overload.level() == Level::Nothing { 90 } else { 5 };
        overload.update(Span::from_millis(now), Pressure { in_use, dropped: false }).map(|level| (now, level))
    };
    (0..millis).filter_map(step).collect()
}

#[test]
fn under_a_steady_flood_it_tries_less_and_less_often() {
    let changes = changes_of_a_steady_flood(300_000);
    assert_eq!(changes[..4], [(0, Level::New), (1_001, Level::Bulk), (2_001, Level::Nothing), (2_002, Level::New)]);
    let rises: Vec<_> = changes.iter().filter(|(_, level)| *level == Level::New).map(|(at, _)| *at).collect();
    assert!(rises.windows(3).take(5).all(|at| at[2] - at[1] > (at[1] - at[0]) * 3 / 2), "{rises:?}");
    assert!(rises.len() < 10, "{rises:?}");
}

#[test]
fn the_ring_is_as_full_as_frames_wait_in_it() {
    let mebibyte = 1 << 20;
    let mut gauge = Gauge::default();
    assert_eq!(gauge.in_use(1_000, 64 * mebibyte), 0, "nothing was read");
    gauge.read(256, 256 * (1_024 - OVERHEAD));
    assert_eq!([0, 32_768, 65_536].map(|waiting| gauge.in_use(waiting, 64 * mebibyte)), [0, 50, 100]);
    (0..50).for_each(|_| gauge.read(256, 256 * (128 - OVERHEAD)));
    assert!((6..=7).contains(&gauge.in_use(32_768, 64 * mebibyte)), "frames have become shorter");
    assert_eq!(gauge.in_use(u64::MAX, 0), u64::MAX);
}
