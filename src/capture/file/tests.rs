//! Each format in each byte order and resolution, then all that a hostile or broken input can do.

use std::io::{Cursor, Read};

use super::*;
use crate::capture::samples::{Drip, Order, Seen, drain, reader};
use crate::wire::LinkType;

const ETHERNET: LinkType = LinkType::Ethernet;
const SECOND: i64 = 1_000_000_000;

fn read(bytes: Vec<u8>) -> (Vec<Seen>, Option<CaptureError>) {
    drain(&mut reader("test", bytes))
}

fn frames(bytes: Vec<u8>) -> Vec<Seen> {
    let (frames, error) = read(bytes);
    assert!(error.is_none(), "{error:?}");
    frames
}

fn error(bytes: Vec<u8>) -> String {
    read(bytes).1.unwrap().to_string()
}

fn seen(nanos: i64, bytes: &[u8], wire: u32) -> Seen {
    (nanos, ETHERNET, bytes.to_vec(), wire)
}

/// A capture with every kind of block that carries packets or says something about them.
fn rich_pcapng(order: Order) -> Vec<u8> {
    let clock = [order.option(2, b"eth0"), order.option(9, &[9]), order.option(0, &[])].concat();
    [
        order.section(),
        order.interface(1, 4, &[]),
        order.interface(101, 0, &clock),
        order.simple(b"abcd", 1000),
        order.enhanced(0, 5_000_001, b"hello", 60),
        order.block(0x0bad, b"skip me"),
        order.enhanced(1, 7, b"ip", 2),
        order.obsolete(0, 6_000_000, b"old", 3),
        order.block(5, b"statistics"),
        order.simple(b"xyz", 3),
    ]
    .concat()
}

fn rich_frames() -> Vec<Seen> {
    vec![
        seen(0, b"abcd", 1000),
        seen(5 * SECOND + 1000, b"hello", 60),
        (7, LinkType::RawIp, b"ip".to_vec(), 2),
        seen(6 * SECOND, b"old", 3),
        seen(6 * SECOND, b"xyz", 3),
    ]
}

#[test]
fn pcap_in_both_orders_and_resolutions() {
    for order in Order::BOTH {
        for (magic, nanos_per_unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let mut file = order.pcap_header(magic, 0, 1);
            file.extend(order.record(1, 999_999, b"one", 60));
            file.extend(order.record(u32::MAX, u32::MAX, b"", 0));
            let end = i64::from(u32::MAX);
            let expected =
                [seen(SECOND + 999_999 * nanos_per_unit, b"one", 60), seen(end * SECOND + end * nanos_per_unit, b"", 0)];
            assert_eq!(frames(file), expected, "{order:?} {magic:x}");
        }
    }
}

#[test]
fn modified_pcap_has_longer_record_headers() {
    for order in Order::BOTH {
        let mut file = order.pcap_header(0xa1b2_cd34, 65_535, 1);
        for bytes in [b"one", b"two"] {
            let record = order.record(3, 0, bytes, 60);
            file.extend_from_slice(&record[..16]);
            file.extend([0xee; 8]);
            file.extend_from_slice(&record[16..]);
        }
        assert_eq!(frames(file), [seen(3 * SECOND, b"one", 60), seen(3 * SECOND, b"two", 60)]);
    }
}

#[test]
fn pcap_link_type_is_the_lower_half_of_its_field() {
    for order in Order::BOTH {
        for (network, link) in [(0x2400_0001, ETHERNET), (101, LinkType::RawIp), (0x0001_0114, LinkType::LinuxSll2)] {
            let mut file = order.pcap_header(0xa1b2_c3d4, 65_535, network);
            file.extend(order.record(0, 0, b"x", 1));
            assert_eq!(frames(file)[0].1, link);
        }
    }
}

#[test]
fn a_frame_longer_than_it_was_on_the_wire_is_as_long_as_its_bytes() {
    let mut file = Order::Big.pcap_header(0xa1b2_c3d4, 65_535, 1);
    file.extend(Order::Big.record(0, 0, b"long", 2));
    assert_eq!(frames(file)[0].3, 4);
}

#[test]
fn pcapng_in_both_orders_with_all_kinds_of_packet() {
    for order in Order::BOTH {
        assert_eq!(frames(rich_pcapng(order)), rich_frames(), "{order:?}");
    }
}

#[test]
fn pcapng_sections_have_their_own_order_and_interfaces() {
    let [little, big] = Order::BOTH.map(rich_pcapng);
    let mut second = rich_frames();
    second[0].0 = 6 * SECOND; // without a time of its own: that of the frame before, in the section before
    let expected = [rich_frames(), second].concat();
    assert_eq!(frames([little.clone(), big.clone()].concat()), expected);
    assert_eq!(frames([big, little.clone()].concat()), expected);

    let order = Order::Big;
    let orphan = [little, order.section(), order.enhanced(0, 0, b"x", 1)].concat();
    let (frames, error) = read(orphan);
    assert_eq!(frames, rich_frames());
    let error = error.unwrap();
    assert!(matches!(error, CaptureError::UnknownInterface { interface: 0, known: 0, .. }), "{error}");
}

#[test]
fn pcapng_clocks() {
    let units = 0x0004_0000_0000_0000;
    for order in Order::BOTH {
        for (resolution, nanos) in [
            (0, i64::MAX),
            (3, i64::MAX),
            (6, units as i64 * 1000),
            (9, units as i64),
            (12, units as i64 / 1000),
            (127, 0),
            (0x80 | 20, (units >> 20) as i64 * SECOND),
            (0x80 | 51, SECOND / 2),
            (0xff, 0),
        ] {
            let options = order.option(9, &[resolution]);
            let file = [order.section(), order.interface(1, 0, &options), order.enhanced(0, units, b"x", 1)];
            assert_eq!(frames(file.concat())[0].0, nanos, "{resolution:#x}");
        }
        for (shift, nanos) in [(-3_i64, -2 * SECOND), (10, 11 * SECOND), (i64::MIN, i64::MIN), (i64::MAX, i64::MAX)] {
            let value = match order {
                Order::Little => shift.to_le_bytes(),
                Order::Big => shift.to_be_bytes(),
            };
            let options = order.option(14, &value);
            let file = [order.section(), order.interface(1, 0, &options), order.enhanced(0, 1_000_000, b"x", 1)];
            assert_eq!(frames(file.concat())[0].0, nanos, "{shift}");
        }
    }
}

/// Whatever the cut, the frames are a prefix, and an error is told unless the cut lies between items.
#[test]
fn every_prefix_gives_a_prefix_of_the_frames() {
    let pcap = Order::Big.pcap_at(&[1, 2, 3]);
    let pcap_items: Vec<_> = (0..=3).map(|n| 24 + n * 76).collect();
    let pcapng = rich_pcapng(Order::Little);
    let mut pcapng_items = vec![];
    let mut at = 0;
    while at < pcapng.len() {
        at += u32::from_le_bytes(pcapng[at + 4..at + 8].try_into().unwrap()) as usize;
        pcapng_items.push(at);
    }
    for (file, items) in [(pcap, pcap_items), (pcapng, pcapng_items)] {
        let whole = frames(file.clone());
        for cut in 0..=file.len() {
            let (frames, error) = read(file[..cut].to_vec());
            assert!(whole.starts_with(&frames), "{cut}");
            assert_eq!(error.is_none(), items.contains(&cut), "{cut}: {error:?}");
        }
    }
}

/// Any byte may be anything: there is an end, told or not, and no panic.
#[test]
fn changed_bytes_do_no_harm() {
    for order in Order::BOTH {
        for file in [order.pcap_at(&[1, 2]), rich_pcapng(order)] {
            for place in 0..file.len() {
                for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                    let mut changed = file.clone();
                    changed[place] = value;
                    read(changed);
                }
            }
        }
    }
}

#[test]
fn small_reads_give_the_same_frames() {
    for file in [Order::Little.pcap_at(&[1, 2, 3]), rich_pcapng(Order::Big)] {
        for (step, read_size) in [(1, 1), (1, 4096), (7, 64), (4096, 30)] {
            let drip = Drip { bytes: Cursor::new(file.clone()), step, interrupted: false };
            let mut dripping = Reader::with_read_size("drip".to_owned(), Box::new(drip), read_size);
            assert_eq!(drain(&mut dripping).0, frames(file.clone()));
        }
    }
}

#[test]
fn records_across_many_buffers_keep_their_bytes() {
    let order = Order::Little;
    let mut file = order.pcap_header(0xa1b2_c3d4, 262_144, 1);
    let lengths = (0..2000_u32).map(|n| n * 7919 % 1500).chain([200_000, 3, 262_144, 1]);
    let mut expected = Vec::new();
    for length in lengths {
        let bytes: Vec<u8> = (0..length).map(|n| (n ^ length) as u8).collect();
        file.extend(order.record(length, 0, &bytes, length));
        expected.push(seen(i64::from(length) * SECOND, &bytes, length));
    }
    assert!(frames(file) == expected);
}

#[test]
fn a_cut_record_is_told_after_the_frames_before_it() {
    let mut file = Order::Big.pcap_at(&[1, 2]);
    file.truncate(24 + 76 + 16 + 10);
    let mut reader = reader("cut", file);
    assert!(reader.fill().unwrap());
    assert_eq!(reader.take(Timestamp::MAX, 9, 5).iter().next().unwrap().number, 5);
    assert_eq!(reader.fill().unwrap_err().to_string(), "cut short: record at byte 100 needs 76 bytes, 26 are there");
    assert!(!reader.fill().unwrap());
    assert_eq!(reader.head_time(), None);
    assert!(reader.take(Timestamp::MAX, 9, 5).frames.is_empty());
}

#[test]
fn what_is_not_a_capture_says_what_it_is() {
    assert_eq!(error(vec![]), "empty: not a single byte");
    assert_eq!(error(b"Hello".to_vec()), "not a capture file: begins with 48 65 6c 6c 6f (\"Hello\")");
    assert_eq!(
        error(b"\x1b[2J\xff0123456789abcdef and on it goes".to_vec()),
        "not a capture file: begins with 1b 5b 32 4a ff 30 31 32 33 34 35 36 37 38 39 61 (\".[2J.0123456789a\")"
    );
    assert!(error(vec![0x1f, 0x8b, 8, 0]).starts_with("compressed with gzip"));
    assert!(error(vec![0x28, 0xb5, 0x2f, 0xfd]).starts_with("compressed with zstd"));
    let old = [&[0xa1, 0xb2, 0xc3, 0xd4, 0, 1, 0, 4], &[0; 16][..]].concat();
    assert_eq!(error(old), "pcap version 1.4 at byte 0 is not supported");
}

#[test]
fn an_absurd_record_length_keeps_what_was_read_before() {
    let mut file = Order::Little.pcap_at(&[1]);
    file.extend([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 60, 0, 0, 0]);
    file.extend([0; 1000]);
    let (frames, error) = read(file);
    assert_eq!(frames.len(), 1);
    assert_eq!(
        error.unwrap().to_string(),
        "damaged: captured length of the record at byte 100 has length 262145, possible are 0 to 262144"
    );
}

#[test]
fn damaged_blocks_end_the_input() {
    let order = Order::Big;
    let start = [order.section(), order.interface(1, 0, &[])].concat();
    let damaged = |block: &[u8]| error([&start, block].concat());

    let mut other_end = order.block(9, b"");
    other_end[11] = 16;
    assert_eq!(damaged(&other_end), "damaged: block at byte 48 is 12 bytes long by its front, 16 by its end");
    assert!(damaged(&[0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 8]).contains("has length 8, possible are 12 to 16777216"));
    assert!(damaged(&[0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).contains("has length 4294967295"));
    for (kind, least) in [(1, 20), (2, 32), (3, 16), (6, 32)] {
        let message = damaged(&order.block(kind, b""));
        assert!(
            message.contains(&format!("has length 12, possible are {least}")) || message.contains("cannot be read"),
            "{message}"
        );
    }
    assert!(damaged(&order.block(3, &[0, 0, 0, 9, 1, 2, 3, 4])).contains("has length 9, possible are 0 to 4"));
    assert!(damaged(&order.enhanced(1, 0, b"", 0)).contains("is of interface 1, 1 are described"));
    let mut no_order = order.section();
    no_order[8] = 0;
    assert!(damaged(&no_order).contains("byte-order magic 0x002b3c4d"));
    let mut version = order.section();
    version[13] = 2;
    assert!(damaged(&version).contains("pcapng version 2.0"));
}

#[test]
fn interfaces_are_bounded() {
    let order = Order::Little;
    let mut file = order.section();
    for _ in 0..=65_536 {
        file.extend(order.interface(1, 0, &[]));
    }
    assert!(error(file).starts_with("more than 65536 interfaces in one section"));
}

/// A length field makes the buffer grow only as far as bytes really come, and never beyond the cap.
#[test]
fn memory_is_bounded_by_what_is_there_and_by_the_cap() {
    let order = Order::Big;
    let hostile = [order.pcap_header(0xa1b2_c3d4, u32::MAX, 1), vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]];
    let mut short = reader("short", [hostile.concat(), vec![0; 300_000]].concat());
    assert!(matches!(short.fill(), Err(CaptureError::Truncated { need: 0x0100_0010, .. })));
    assert!(short.buffer.capacity() <= 2 * 300_016, "{}", short.buffer.capacity());

    let mut endless = Reader::from_stream("endless", Box::new(Cursor::new(hostile.concat()).chain(io::repeat(0))));
    for _ in 0..100 {
        assert!(endless.fill().unwrap());
        endless.take(Timestamp::MAX, usize::MAX, 0);
    }
    assert!(endless.buffer.capacity() <= MAX_RECORD as usize + 64);

    let zeros = Box::new(Cursor::new(order.section()).chain(io::repeat(0)));
    let mut zeros = Reader::from_stream("zeros", zeros);
    assert!(matches!(zeros.fill(), Err(CaptureError::BadLength { .. })));
}

#[test]
fn an_error_of_the_system_is_kept() {
    let missing = Reader::open(Path::new("/nonexistent/capture")).unwrap_err();
    assert!(matches!(&missing, CaptureError::Open { source } if source.kind() == io::ErrorKind::NotFound));
    let mut folder = Reader::open(Path::new("/")).unwrap();
    assert!(matches!(folder.fill(), Err(CaptureError::Read { offset: 0, .. })));
}

#[test]
fn a_run_stops_before_a_later_frame_but_gives_at_least_one() {
    let mut reader = reader("run", Order::Little.pcap_at(&[5, 4, 6, 7]));
    let at = |seconds| Timestamp::from_nanos(seconds * SECOND);
    assert!(reader.fill().unwrap());
    assert_eq!(reader.head_time(), Some(at(5)));
    assert_eq!(reader.take(at(0), 9, 0).frames.len(), 1);
    assert_eq!(reader.take(at(6), 9, 1).frames.len(), 2);
    assert_eq!(reader.head_time(), Some(at(7)));
    assert_eq!(reader.take(at(9), 0, 3).frames.len(), 1);
    assert!(!reader.fill().unwrap());
}
