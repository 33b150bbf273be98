//! Properties of the fragment table for arbitrary fragments in arbitrary order.

use std::collections::HashMap;

use keywitness::{
    flow::{FragmentKey, FragmentLimits, FragmentTable, Joined},
    time::{Span, Timestamp},
    wire::{Frame, LinkType, Transport, decode},
};
use proptest::{collection::vec, prelude::*};

use crate::arbitrary::seeded;

/// Any fragment of one of a few packets: identification, offset and length in units of 8 bytes, last, other bytes than its
/// fellows, milliseconds since the one before.
fn fragments() -> impl Strategy<Value = Vec<(u8, u16, u16, bool, bool, i64)>> {
    let odd = prop::bool::weighted(0.03);
    let wait = prop_oneof![20 => 0i64..5, 1 => -100i64..40_000];
    vec((0u8..6, prop_oneof![20 => 0u16..8, 1 => any::<u16>()], 0u16..5, any::<bool>(), odd, wait), 1..400)
}

fn byte_at(id: u8, place: u32) -> u8 {
    (place.wrapping_mul(31) >> 2) as u8 ^ id
}

/// An IPv4 frame that holds one fragment of a TCP packet, without link header.
fn frame(id: u8, place: u16, bytes: &[u8], more: bool) -> Vec<u8> {
    let [total0, total1] = (20 + bytes.len() as u16).to_be_bytes();
    let [place0, place1] = (place & 0x1fff | if more { 0x2000 } else { 0 }).to_be_bytes();
    let header = [0x45, 0, total0, total1, 0, id, place0, place1, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    [&header, bytes].concat()
}

proptest! {
    #![proptest_config(seeded(600))]

    #[test]
    fn a_packet_is_whole_at_most_once_and_holds_what_was_sent(fragments in fragments(), max_packets in 1usize..8, kib in 0usize..3) {
        let max_bytes = 256 + kib * 1_024;
        let mut table = FragmentTable::new(FragmentLimits { max_packets, max_bytes, ..FragmentLimits::default() });
        let mut now = Timestamp::from_nanos(0);
        let mut last_whole: HashMap<u8, Timestamp> = HashMap::new();
        let (mut pushed, mut accounted) = (0u64, 0u64);
        for (id, place, len, last, odd, wait) in fragments {
            now = now.max(now + Span::from_millis(wait));
            let start = u32::from(place & 0x1fff) * 8;
            let len = u32::from(len) * 8 + if last { 3 } else { 0 };
            let bytes: Vec<u8> = (start..start + len).map(|place| byte_at(id, place) ^ u8::from(odd)).collect();
            let bytes = frame(id, place, &bytes, !last);
            let original_len = bytes.len() as u32;
            let frame = Frame { number: 0, input: 0, time: now, link: LinkType::RawIp, bytes: &bytes, original_len };
            let packet = decode(&frame).unwrap();
            let Transport::Fragment(fragment) = packet.transport else { continue };
            pushed += 1;
            match table.push(FragmentKey::of(&packet, &fragment, None), &fragment, original_len, now) {
                Joined::Whole(whole) => {
                    let before = last_whole.insert(id, now);
                    prop_assert!(before.is_none_or(|before| now - before > Span::from_millis(100)), "delivered twice");
                    prop_assert_eq!((whole.protocol, whole.bytes.len()), (6, whole.len as usize));
                    for (place, byte) in whole.bytes.iter().enumerate() {
                        prop_assert!([0, 1].contains(&(byte ^ byte_at(id, place as u32))), "byte {} in its place", place);
                    }
                    accounted += u64::from((whole.frame_bytes - whole.len) / 20);
                }
                Joined::Copy => accounted += 1,
                Joined::Waiting | Joined::Refused => {}
            }
            prop_assert!(table.len() <= max_packets && table.held_bytes() <= max_bytes);
        }
        table.finish();
        prop_assert_eq!((table.len(), table.held_bytes()), (0, 0));
        prop_assert_eq!(accounted + table.dropped(), pushed, "every fragment came to something or is counted");
    }
}
