//! Classic pcap, after draft-ietf-opsawg-pcap: a 24-byte file header, then per frame a 16-byte record
//! header (seconds, fraction, captured length, length on the wire) and the captured bytes.
//!
//! Both byte orders and both resolutions are read, and the "modified" format of Kuznetzov's libpcap
//! patches (magic 0xa1b2cd34), whose record headers have eight more bytes that are skipped. Not read:
//! versions other than 2.x; in 2.0 to 2.2, of the early 1990s, the two lengths are swapped, which is not
//! undone. A fraction that is a second or more is added as it stands. Where the file header says that frames
//! end with an FCS, it stays: IP lengths leave it out.

use super::buffer::Window;
use super::{BATCH, ByteOrder, CaptureError, MAX_RECORD, Stop, Walked};
use crate::time::Timestamp;
use crate::wire::{FrameMeta, LinkType};

/// Length of the file header in bytes.
pub(super) const FILE_HEADER: usize = 24;
/// Length of a record header, section "Packet Record" of the draft, and with Kuznetzov's additions.
const RECORD_HEADER: usize = 16;
const MODIFIED_RECORD_HEADER: usize = 24;
/// What libpcap accepts (MAXIMUM_SNAPLEN) whatever the file's snaplen says.
const COMMON_SNAPLEN: u32 = 262_144;

/// How to read the records of one classic pcap.
#[derive(Debug)]
pub(super) struct Pcap {
    order: ByteOrder,
    nanos_per_unit: i64, // 1 or 1,000
    record_header: usize,
    link: LinkType,
    max_captured: u32, // in COMMON_SNAPLEN..=MAX_RECORD
}

impl Pcap {
    /// Reads the file header at the start of `bytes`; `None` where the magic is not that of a classic pcap.
    pub(super) fn detect(bytes: &[u8]) -> Option<Result<Self, CaptureError>> {
        let magic = *bytes.first_chunk::<4>()?;
        let order = match magic {
            [0xa1, ..] => ByteOrder::Big,
            _ => ByteOrder::Little,
        };
        let (nanos_per_unit, record_header) = match order.u32(magic) {
            0xa1b2_c3d4 => (1_000, RECORD_HEADER),
            0xa1b2_3c4d => (1, RECORD_HEADER),
            0xa1b2_cd34 => (1_000, MODIFIED_RECORD_HEADER),
            _ => return None,
        };
        // Magic, versions, two fields that nobody fills, snaplen, link type (section "File Header").
        let (&[_, [v0, v1, v2, v3], _, _, snaplen, network, ..], _) = bytes.as_chunks::<4>() else {
            return Some(Err(CaptureError::Truncated {
                offset: 0,
                what: "pcap file header",
                need: FILE_HEADER as u64,
                have: bytes.len() as u64,
            }));
        };
        let (major, minor) = (order.u16([v0, v1]), order.u16([v2, v3]));
        if major != 2 {
            return Some(Err(CaptureError::UnsupportedVersion { offset: 0, format: "pcap", major, minor }));
        }
        // The upper half of the field says whether frames end with an FCS.
        let [.., low_a, low_b] = order.u32(network).to_be_bytes();
        Some(Ok(Self {
            order,
            nanos_per_unit,
            record_header,
            link: LinkType::from_number(u16::from_be_bytes([low_a, low_b])),
            max_captured: order.u32(snaplen).clamp(COMMON_SNAPLEN, MAX_RECORD),
        }))
    }

    /// Walks over as many records as are whole, at most until `frames` holds [`BATCH`].
    pub(super) fn walk(&self, window: Window<'_>, frames: &mut Vec<FrameMeta>) -> Walked {
        // Two copies of the loop, so that the hot path does not ask for the byte order.
        match self.order {
            ByteOrder::Little => self.walk_as(window, frames, u32::from_le_bytes),
            ByteOrder::Big => self.walk_as(window, frames, u32::from_be_bytes),
        }
    }

    #[inline]
    fn walk_as(&self, window: Window<'_>, frames: &mut Vec<FrameMeta>, u32_from: impl Fn([u8; 4]) -> u32) -> Walked {
        let mut used = 0;
        let mut rest = window.bytes;
        let stop = loop {
            if frames.len() >= BATCH {
                break Stop::Full;
            }
            let (header, body) = rest.split_at_checked(self.record_header).unwrap_or_default();
            let (&[seconds, fraction, captured, original, ..], _) = header.as_chunks::<4>() else {
                break Stop::Short { what: "record header", need: self.record_header };
            };
            let captured_len = u32_from(captured);
            if captured_len > self.max_captured {
                break Stop::Bad(CaptureError::BadLength {
                    offset: window.after(used).offset,
                    what: "captured length of the record",
                    length: captured_len,
                    min: 0,
                    max: self.max_captured,
                });
            }
            let length = self.record_header + captured_len as usize;
            let Some(after) = body.get(captured_len as usize..) else {
                break Stop::Short { what: "record", need: length };
            };
            // Neither product nor sum can overflow: u32::MAX seconds are the year 2106.
            let nanos = i64::from(u32_from(seconds)) * 1_000_000_000 + i64::from(u32_from(fraction)) * self.nanos_per_unit;
            frames.push(FrameMeta {
                time: Timestamp::from_nanos(nanos),
                // The buffer is never larger than MAX_RECORD and a header, or its initial size.
                offset: (window.position + used + self.record_header) as u32,
                captured_len,
                original_len: u32_from(original).max(captured_len),
                link: self.link,
            });
            used += length;
            rest = after;
        };
        Walked { used, stop }
    }
}
