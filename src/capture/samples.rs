//! Captures made by hand, for the tests of this folder.

use std::io::{self, Read};

use super::{CaptureError, Reader};
use crate::time::Timestamp;
use crate::wire::LinkType;

/// A frame as a test wants to see it: nanoseconds, link type, bytes, length on the wire.
pub(super) type Seen = (i64, LinkType, Vec<u8>, u32);

/// Writes numbers in one byte order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) const BOTH: [Self; 2] = [Self::Little, Self::Big];

    pub(super) fn u16(self, n: u16) -> Vec<u8> {
        match self {
            Self::Little => n.to_le_bytes().to_vec(),
            Self::Big => n.to_be_bytes().to_vec(),
        }
    }

    pub(super) fn u32(self, n: u32) -> Vec<u8> {
        match self {
            Self::Little => n.to_le_bytes().to_vec(),
            Self::Big => n.to_be_bytes().to_vec(),
        }
    }

    fn u32s(self, numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|&n| self.u32(n)).collect()
    }

    pub(super) fn pcap_header(self, magic: u32, snaplen: u32, network: u32) -> Vec<u8> {
        let (major, minor) = (self.u16(2), self.u16(4));
        [self.u32(magic), major, minor, self.u32s(&[0, 0, snaplen, network])].concat()
    }

    pub(super) fn record(self, seconds: u32, fraction: u32, bytes: &[u8], wire: u32) -> Vec<u8> {
        let head = self.u32s(&[seconds, fraction, bytes.len() as u32, wire]);
        [head, bytes.to_vec()].concat()
    }

    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let body = padded(body);
        let length = self.u32(body.len() as u32 + 12);
        [self.u32(kind), length.clone(), body, length].concat()
    }

    pub(super) fn section(self) -> Vec<u8> {
        let body = [self.u32(0x1a2b_3c4d), self.u16(1), self.u16(0), vec![0xff; 8]];
        self.block(0x0a0d_0d0a, &body.concat())
    }

    pub(super) fn interface(self, link: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
        let body = [self.u16(link), self.u16(0), self.u32(snaplen), options.to_vec()];
        self.block(1, &body.concat())
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        [self.u16(code), self.u16(value.len() as u16), padded(value)].concat()
    }

    /// An enhanced packet block with a comment behind the packet.
    pub(super) fn enhanced(self, interface: u32, units: u64, bytes: &[u8], wire: u32) -> Vec<u8> {
        let (high, low) = ((units >> 32) as u32, units as u32);
        let head = self.u32s(&[interface, high, low, bytes.len() as u32, wire]);
        let comment = self.option(1, b"hello");
        self.block(6, &[head, padded(bytes), comment].concat())
    }

    pub(super) fn obsolete(self, interface: u16, units: u64, bytes: &[u8], wire: u32) -> Vec<u8> {
        let (high, low) = ((units >> 32) as u32, units as u32);
        let head = [self.u16(interface), self.u16(7), self.u32s(&[high, low])];
        let lengths = self.u32s(&[bytes.len() as u32, wire]);
        self.block(2, &[head.concat(), lengths, padded(bytes)].concat())
    }

    pub(super) fn simple(self, bytes: &[u8], wire: u32) -> Vec<u8> {
        self.block(3, &[self.u32(wire), padded(bytes)].concat())
    }

    /// A microsecond pcap of Ethernet frames, each holding its place in the file.
    pub(super) fn pcap_at(self, seconds: &[u32]) -> Vec<u8> {
        let mut file = self.pcap_header(0xa1b2_c3d4, 65_535, 1);
        for (place, &seconds) in seconds.iter().enumerate() {
            file.extend(self.record(seconds, 0, &[place as u8; 60], 60));
        }
        file
    }
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Gives at most `step` bytes at a time, with an interruption before each.
pub(super) struct Drip {
    pub(super) bytes: io::Cursor<Vec<u8>>,
    pub(super) step: usize,
    pub(super) interrupted: bool,
}

impl Read for Drip {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = into.len().min(self.step);
        self.bytes.read(into.get_mut(..length).unwrap_or_default())
    }
}

/// A reader of bytes in memory.
pub(super) fn reader(name: &str, bytes: Vec<u8>) -> Reader {
    Reader::from_stream(name, Box::new(io::Cursor::new(bytes)))
}

/// All frames, and what ended the input early.
pub(super) fn drain(reader: &mut Reader) -> (Vec<Seen>, Option<CaptureError>) {
    let mut seen = Vec::new();
    let mut error = None;
    loop {
        match reader.fill() {
            Ok(true) => {}
            Ok(false) => return (seen, error),
            Err(told) => {
                assert!(error.is_none(), "an error is told once");
                error = Some(told);
            }
        }
        let batch = reader.take(Timestamp::MAX, usize::MAX, 0);
        seen.extend(batch.iter().map(|frame| {
            let nanos = frame.time.as_nanos();
            (nanos, frame.link, frame.bytes.to_vec(), frame.original_len)
        }));
    }
}
