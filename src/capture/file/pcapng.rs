//! pcapng, after draft-ietf-opsawg-pcapng: a chain of blocks, each with its type in front and its total
//! length at both ends. A section header block opens a section and sets its byte order; interface
//! description blocks give link types and clocks; three kinds of block carry packets.
//!
//! `pcap-parser` reads interface descriptions with their options. The chain and the packets are walked
//! here: it is the hot path, and version 0.17 of the crate knows no obsolete packet block, resolves no
//! `if_tsresol` that is a power of two, reads `if_tsoffset` as little-endian always, does not
//! apply the snaplen to simple packet blocks, and allocates for packets with options.

use pcap_parser::pcapng::{
    BOM_MAGIC, EPB_MAGIC, IDB_MAGIC, OptionCode, SHB_MAGIC, SPB_MAGIC, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le,
};

use super::buffer::Window;
use super::{BATCH, ByteOrder, CaptureError, MAX_RECORD, Stop, Walked};
use crate::time::Timestamp;
use crate::wire::{FrameMeta, LinkType};

/// Type of the packet block, "Packet Block (obsolete!)" in the draft's appendix.
const OPB_MAGIC: u32 = 2;
/// Type and total length in front of a block's body, section "General Block Structure".
const BLOCK_HEAD: usize = 8;
/// Type, total length, and total length again: the smallest block.
const BLOCK_MIN: u32 = 12;
/// Fields of an enhanced or obsolete packet block before the packet: interface, time, lengths.
const PACKET_FIELDS: usize = 20;
/// Fields of a simple packet block before the packet: the length on the wire.
const SIMPLE_FIELDS: usize = 4;
/// Interfaces that are kept per section. The obsolete packet block cannot name more.
const MAX_INTERFACES: usize = 65_536;

/// The section that is being read.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    last_time: Timestamp, // of the packet before, over all sections; 0 before the first
}

/// What an interface description says about the packets that refer to it.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    snaplen: u32, // 0: no limit
    clock: Clock,
}

/// One block, whole, its two lengths compared.
struct Block<'a> {
    kind: u32,
    bytes: &'a [u8], // all of it
    body: &'a [u8],  // without head and trailing length
    place: Window<'a>,
}

impl Pcapng {
    /// A reader for `bytes` that begin with a section header block; `None` where they do not.
    pub(super) fn detect(bytes: &[u8]) -> Option<Self> {
        // The type is a palindrome, so that it can be read before the byte order is known.
        (*bytes.first_chunk::<4>()? == SHB_MAGIC.to_be_bytes()).then(|| Self {
            order: ByteOrder::Little,
            interfaces: Vec::new(),
            last_time: Timestamp::from_nanos(0),
        })
    }

    /// Walks over as many blocks as are whole, at most until `frames` holds [`BATCH`].
    pub(super) fn walk(&mut self, window: Window<'_>, frames: &mut Vec<FrameMeta>) -> Walked {
        let mut used = 0;
        let stop = loop {
            if frames.len() >= BATCH {
                break Stop::Full;
            }
            let block = match self.next_block(window.after(used)) {
                Ok(block) => block,
                Err(stop) => break stop,
            };
            match self.handle(&block) {
                Ok(frame) => frames.extend(frame),
                Err(error) => break Stop::Bad(error),
            }
            used += block.bytes.len();
        };
        Walked { used, stop }
    }

    /// The block at the front of `place`, in the byte order of its section.
    fn next_block<'a>(&mut self, place: Window<'a>) -> Result<Block<'a>, Stop> {
        let (&[kind, length, first, ..], _) = place.bytes.as_chunks::<4>() else {
            return Err(Stop::Short { what: "block header", need: BLOCK_MIN as usize });
        };
        if kind == SHB_MAGIC.to_be_bytes() {
            self.order = byte_order(first, place.offset)?;
        }
        let kind = self.order.u32(kind);
        let length = self.order.u32(length);
        if !(BLOCK_MIN..=MAX_RECORD).contains(&length) {
            return Err(Stop::Bad(bad_length(place, "block", length, BLOCK_MIN, MAX_RECORD)));
        }
        let whole = place.bytes.split_at_checked(length as usize);
        let Some((bytes, Some((inner, &back)))) = whole.map(|(b, _)| (b, b.split_last_chunk::<4>())) else {
            return Err(Stop::Short { what: "block", need: length as usize });
        };
        let back = self.order.u32(back);
        if back != length {
            return Err(Stop::Bad(CaptureError::LengthMismatch { offset: place.offset, front: length, back }));
        }
        Ok(Block { kind, bytes, body: inner.get(BLOCK_HEAD..).unwrap_or_default(), place })
    }

    /// Takes in what a block says; a frame where it carries one. Unknown blocks are skipped, as the
    /// draft demands, and so are those that say nothing about packets (names, statistics, secrets).
    fn handle(&mut self, block: &Block<'_>) -> Result<Option<FrameMeta>, CaptureError> {
        match block.kind {
            EPB_MAGIC | OPB_MAGIC => self.packet(block).map(Some),
            SPB_MAGIC => self.simple_packet(block).map(Some),
            IDB_MAGIC => self.describe_interface(block).map(|()| None),
            SHB_MAGIC => self.open_section(block).map(|()| None),
            _ => Ok(None),
        }
    }

    /// Section "Section Header Block". The length of the section is not used: blocks are read one after the other.
    fn open_section(&mut self, block: &Block<'_>) -> Result<(), CaptureError> {
        let (&[_, [a, b, c, d], _, _, ..], _) = block.body.as_chunks::<4>() else {
            return Err(too_short(block, "section header block", 28));
        };
        let (major, minor) = (self.order.u16([a, b]), self.order.u16([c, d]));
        // The draft has readers take 1.2, which some tools wrote, for 1.0.
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(CaptureError::UnsupportedVersion { offset: block.place.offset, format: "pcapng", major, minor });
        }
        self.interfaces.clear();
        Ok(())
    }

    /// Section "Interface Description Block", with the options `if_tsresol` and `if_tsoffset`.
    fn describe_interface(&mut self, block: &Block<'_>) -> Result<(), CaptureError> {
        let offset = block.place.offset;
        let parsed = match self.order {
            ByteOrder::Little => parse_interfacedescriptionblock_le(block.bytes),
            ByteOrder::Big => parse_interfacedescriptionblock_be(block.bytes),
        };
        let Ok((_, description)) = parsed else {
            return Err(CaptureError::BadInterface { offset });
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(CaptureError::TooManyInterfaces { offset, limit: MAX_INTERFACES });
        }
        let (mut resolution, mut shift_seconds) = (6, 0);
        let options = description.options.iter();
        for option in options.take_while(|option| option.code != OptionCode::EndOfOpt) {
            match (option.code, option.as_bytes()) {
                (OptionCode::IfTsresol, Ok(&[value])) => resolution = value,
                (OptionCode::IfTsoffset, Ok(value)) => {
                    shift_seconds = value.try_into().map_or(0, |value| self.order.i64(value));
                }
                _ => {}
            }
        }
        self.interfaces.push(Interface {
            link: u16::try_from(description.linktype.0).map_or(LinkType::Unknown(u16::MAX), LinkType::from_number),
            snaplen: description.snaplen,
            clock: Clock::new(resolution, shift_seconds),
        });
        Ok(())
    }

    /// Sections "Enhanced Packet Block" and "Packet Block (obsolete!)": in the latter the interface shares
    /// its word with a drop counter.
    fn packet(&mut self, block: &Block<'_>) -> Result<FrameMeta, CaptureError> {
        let ((&[interface, high, low, captured, original, ..], _), Some(data)) =
            (block.body.as_chunks::<4>(), block.body.get(PACKET_FIELDS..))
        else {
            return Err(too_short(block, "packet block", 32));
        };
        let [a, b, ..] = interface;
        let interface = match block.kind {
            OPB_MAGIC => u32::from(self.order.u16([a, b])),
            _ => self.order.u32(interface),
        };
        let Interface { link, clock, .. } = self.interface(interface, block)?;
        let captured_len = self.order.u32(captured);
        if captured_len as usize > data.len() {
            let what = "captured length of the packet";
            return Err(bad_length(block.place, what, captured_len, 0, data.len() as u32));
        }
        let units = u64::from(self.order.u32(high)) << 32 | u64::from(self.order.u32(low));
        self.last_time = clock.time(units);
        Ok(FrameMeta {
            time: self.last_time,
            offset: (block.place.position + BLOCK_HEAD + PACKET_FIELDS) as u32,
            captured_len,
            original_len: self.order.u32(original).max(captured_len),
            link,
        })
    }

    /// Section "Simple Packet Block": a packet of the first interface, cut at its snaplen, without a time of its own. It
    /// gets that of the packet before it, so that the order of the file is kept.
    fn simple_packet(&self, block: &Block<'_>) -> Result<FrameMeta, CaptureError> {
        let ((&[original, ..], _), Some(data)) = (block.body.as_chunks::<4>(), block.body.get(SIMPLE_FIELDS..)) else {
            return Err(too_short(block, "simple packet block", 16));
        };
        let Interface { link, snaplen, .. } = self.interface(0, block)?;
        let original_len = self.order.u32(original);
        let limit = if snaplen == 0 { u32::MAX } else { snaplen };
        let captured_len = original_len.min(limit);
        if captured_len as usize > data.len() {
            let what = "captured length of the simple packet";
            return Err(bad_length(block.place, what, captured_len, 0, data.len() as u32));
        }
        Ok(FrameMeta {
            time: self.last_time,
            offset: (block.place.position + BLOCK_HEAD + SIMPLE_FIELDS) as u32,
            captured_len,
            original_len,
            link,
        })
    }

    fn interface(&self, interface: u32, block: &Block<'_>) -> Result<Interface, CaptureError> {
        let known = self.interfaces.get(interface as usize);
        known.copied().ok_or(CaptureError::UnknownInterface {
            offset: block.place.offset,
            interface,
            known: self.interfaces.len(),
        })
    }
}

/// How an interface counts time: its options `if_tsresol` and `if_tsoffset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    tick: Tick,
    offset: i128, // nanoseconds, added to every time
}

/// How units become nanoseconds; what is finer than a nanosecond is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    /// A unit is so many nanoseconds: resolutions from 1 s to 1 ns.
    Nanos(u64),
    /// So many units are a nanosecond: finer powers of ten.
    PerNano(u64),
    /// A unit is a second over 2 to this power, below 128.
    Binary(u8),
}

impl Clock {
    fn new(resolution: u8, shift_seconds: i64) -> Self {
        let power = u32::from(resolution & 0x7f);
        let tick = if resolution & 0x80 != 0 {
            Tick::Binary(resolution & 0x7f)
        } else if power <= 9 {
            Tick::Nanos(10_u64.pow(9 - power))
        } else {
            // Where the power does not fit, not even u64::MAX units are a nanosecond.
            Tick::PerNano(10_u64.saturating_pow(power - 9))
        };
        Self { tick, offset: i128::from(shift_seconds) * 1_000_000_000 }
    }

    /// The time after so many units; saturates where 64 bits of nanoseconds do not hold it.
    fn time(self, units: u64) -> Timestamp {
        let nanos = match self.tick {
            Tick::Nanos(nanos) => u128::from(units) * u128::from(nanos),
            Tick::PerNano(units_per_nano) => u128::from(units / units_per_nano.max(1)),
            Tick::Binary(power) => (u128::from(units) * 1_000_000_000) >> power,
        };
        // At most 94 bits of nanoseconds and of offset each.
        let total = nanos as i128 + self.offset;
        let nanos = total.clamp(i64::MIN.into(), i64::MAX.into());
        Timestamp::from_nanos(nanos as i64)
    }
}

/// The byte order of the section whose byte-order magic this is.
fn byte_order(magic: [u8; 4], offset: u64) -> Result<ByteOrder, Stop> {
    match u32::from_be_bytes(magic) {
        BOM_MAGIC => Ok(ByteOrder::Big),
        magic if magic.swap_bytes() == BOM_MAGIC => Ok(ByteOrder::Little),
        magic => Err(Stop::Bad(CaptureError::BadByteOrder { offset, magic })),
    }
}

fn too_short(block: &Block<'_>, what: &'static str, min: u32) -> CaptureError {
    bad_length(block.place, what, block.bytes.len() as u32, min, MAX_RECORD)
}

fn bad_length(place: Window<'_>, what: &'static str, length: u32, min: u32, max: u32) -> CaptureError {
    CaptureError::BadLength { offset: place.offset, what, length, min, max }
}
