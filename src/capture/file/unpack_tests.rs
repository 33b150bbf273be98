//! Compressed captures: whole, in parts, cut, damaged, and made to hurt.

use std::io::{Cursor, Read, Write};

use super::*;
use crate::capture::samples::{Drip, Order, Seen, drain, reader};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Pack = fn(&[u8]) -> Vec<u8>;

const PACKERS: [Pack; 2] = [gzip, zstd];

fn capture() -> Vec<u8> {
    Order::Little.pcap_at(&(0..200).collect::<Vec<_>>())
}

fn read(bytes: Vec<u8>) -> (Vec<Seen>, Option<String>) {
    let (frames, error) = drain(&mut reader("test", bytes));
    (frames, error.map(|error| error.to_string()))
}

fn whole() -> (Vec<Seen>, Option<String>) {
    read(capture())
}

#[test]
fn both_compressions_of_both_formats_in_one_part_and_in_several() {
    let order = Order::Big;
    let pcapng = [order.section(), order.interface(1, 0, &[]), order.enhanced(0, 7, b"hello", 60)].concat();
    for pack in PACKERS {
        assert_eq!(read(pack(&capture())), whole());
        assert_eq!(read(pack(&pcapng)), read(pcapng.clone()));
        let parts: Vec<u8> = capture().chunks(777).flat_map(pack).collect();
        assert_eq!(read(parts), whole());
    }
    let capture = capture();
    let (start, rest) = capture.split_at(5000);
    assert_eq!(read([gzip(start), gzip(b""), zstd(rest), zstd(b"")].concat()), whole());
}

#[test]
fn frames_to_skip_and_padding_are_no_part_of_it() {
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"skip"].concat();
    assert_eq!(read([skippable.clone(), zstd(&capture()), skippable].concat()), whole());
    for pack in PACKERS {
        assert_eq!(read([pack(&capture()), vec![0; 100_000]].concat()), whole());
    }
}

#[test]
fn small_reads_give_the_same_frames() {
    for pack in PACKERS {
        let packed: Vec<u8> = capture().chunks(5000).flat_map(pack).collect();
        for (step, read_size) in [(1, 1), (1, 4096), (7, 64), (4096, 30)] {
            let drip = Drip { bytes: Cursor::new(packed.clone()), step, interrupted: false };
            let mut dripping = Reader::with_read_size("drip".to_owned(), Box::new(drip), read_size);
            assert_eq!(drain(&mut dripping).0, whole().0);
        }
    }
}

/// Whatever the cut, the frames are a prefix, and only a cut between two parts is none to be told.
#[test]
fn every_prefix_gives_a_prefix_of_the_frames() {
    for pack in PACKERS {
        let capture = capture();
        let (start, rest) = capture.split_at(24 + 76 * 100);
        let (start, rest) = (pack(start), pack(rest));
        let packed = [start.clone(), rest].concat();
        for cut in 1..packed.len() {
            let (frames, error) = read(packed[..cut].to_vec());
            assert!(whole().0.starts_with(&frames), "{cut}");
            assert!(cut <= start.len() || frames.len() >= 100, "{cut}: all of the first part is there");
            assert_eq!(error.is_none(), cut == start.len(), "{cut}: {error:?}");
            assert!(cut < 6 || error.is_none_or(|error| error.starts_with("cut short: ")), "{cut}");
        }
    }
}

#[test]
fn a_cut_loses_no_more_than_what_cannot_be_decompressed() {
    // Nothing to compress, so that the place of a frame is nearly its place in the capture.
    let mut state = 1_u32;
    let noise = (0..2_000_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let order = Order::Big;
    let mut capture = order.pcap_header(0xa1b2_c3d4, 65_535, 1);
    for (place, bytes) in noise.collect::<Vec<_>>().chunks(1000).enumerate() {
        capture.extend(order.record(place as u32, 0, bytes, 1000));
    }
    for (pack, lost) in PACKERS.into_iter().zip([66, 131]) {
        let packed = pack(&capture);
        let (frames, error) = read(packed[..packed.len() / 2].to_vec());
        assert!(frames.len() + lost >= 1000, "{}", frames.len());
        let error = error.unwrap();
        assert!(error.ends_with(&format!("at byte {} of the compressed input", packed.len() / 2)), "{error}");
    }
}

#[test]
fn damage_and_garbage_are_told_after_the_frames_before_them() {
    for (pack, kind) in PACKERS.into_iter().zip(["gzip", "zstd"]) {
        let packed = pack(&capture());
        let (frames, error) = read([packed.clone(), b"\0\0\x1b[2J".to_vec()].concat());
        let told =
            format!("garbage follows the {kind} data, from byte {} of the compressed input on, and was left out: ", packed.len());
        assert_eq!(frames, whole().0);
        assert_eq!(error.unwrap(), told + "00 00 1b 5b 32 4a (\"...[2J\")");

        // The checksum at the end.
        let mut damaged = packed.clone();
        let checksum = packed.len() - if kind == "gzip" { 8 } else { 4 };
        damaged[checksum] ^= 1;
        let (frames, error) = read(damaged);
        assert!(whole().0.starts_with(&frames) && (kind == "zstd" || frames.len() == 200), "{}", frames.len());
        assert!(error.unwrap().starts_with(&format!("damaged: {kind} data near byte ")));
    }
}

/// Any byte may be anything: there is an end, told or not, and no panic.
#[test]
fn changed_bytes_do_no_harm() {
    for pack in PACKERS {
        let packed = pack(&Order::Big.pcap_at(&[1, 2, 3]));
        for place in 0..packed.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut changed = packed.clone();
                changed[place] = value;
                read(changed);
            }
        }
    }
}

#[test]
fn what_is_in_it_may_be_no_capture() {
    for (pack, kind) in PACKERS.into_iter().zip(["gzip", "zstd"]) {
        let error = |bytes: &[u8]| read(pack(bytes)).1.unwrap();
        assert_eq!(error(b""), "empty: not a single byte");
        assert!(error(b"a text").starts_with("not a capture file: begins with 61 20"));
        let twice = format!("compressed twice, inside with {kind}, which is not supported: decompress it first");
        assert_eq!(error(&pack(&capture())), twice);
        assert!(error(b"\xfd7zXZ\0").starts_with("compressed twice, inside with xz, "));
    }
}

/// Repeats bytes for a while, and never holds more of them than one round.
struct Rounds {
    round: Vec<u8>,
    at: usize,
    left: usize,
}

impl Read for Rounds {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.round.len() && self.left > 0 {
            (self.at, self.left) = (0, self.left - 1);
        }
        let count = (&self.round[self.at..]).read(into)?;
        self.at += count;
        Ok(count)
    }
}

/// Frames and bytes of a stream that is longer than anybody would keep, and the largest buffer meanwhile.
fn measure(start: &[u8], round: Vec<u8>, rounds: usize) -> (usize, u64, usize) {
    let stream = Cursor::new(start.to_vec()).chain(Rounds { at: round.len(), round, left: rounds });
    let mut reader = Reader::from_stream("long", Box::new(stream));
    let (mut frames, mut bytes, mut buffer) = (0, 0, 0);
    while reader.fill().unwrap() {
        let batch = reader.take(Timestamp::MAX, BATCH, 0);
        frames += batch.frames.len();
        bytes += batch.iter().map(|frame| frame.bytes.len() as u64).sum::<u64>();
        buffer = buffer.max(batch.data.len());
    }
    (frames, bytes, buffer.max(reader.buffer.capacity()))
}

/// 256 MB of frames, as they are and as a bomb of 1 MB or less: the buffer stays as it was.
#[test]
fn long_streams_take_no_more_memory_than_short_ones() {
    let order = Order::Little;
    let header = order.pcap_header(0xa1b2_c3d4, 65_535, 1);
    let megabyte: Vec<u8> = (0..1000).flat_map(|place| order.record(place, 0, &[0; 1000], 1000)).collect();
    for (start, round) in [(header.clone(), megabyte.clone()), (gzip(&header), gzip(&megabyte)), (zstd(&header), zstd(&megabyte))]
    {
        assert_eq!(measure(&start, round, 256), (256_000, 256_000_000, READ_SIZE));
    }
}

/// A frame that asks for a window of 2 GiB, and one that makes a record of nothing but zeros.
#[test]
fn a_bomb_does_not_exhaust_memory() {
    // Magic; no content size, no checksum, a window descriptor; the window's exponent is 10 + 21 (RFC 8878 §3.1.1.1.2).
    let greedy = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3][..], &[0; 100]].concat();
    let error = read(greedy).1.unwrap();
    assert!(error.starts_with("damaged: zstd data near byte ") && error.contains("too much memory"), "{error}");

    let order = Order::Big;
    let endless = [order.pcap_header(0xa1b2_c3d4, u32::MAX, 1), vec![0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]];
    for pack in PACKERS {
        let bomb = pack(&[endless.concat(), vec![0; 64 << 20]].concat());
        assert!(bomb.len() < 1 << 20);
        let mut reader = reader("bomb", bomb);
        assert!(matches!(reader.fill(), Err(CaptureError::BadLength { .. })));
        assert!(reader.buffer.capacity() <= READ_SIZE);
    }
}
