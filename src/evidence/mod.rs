//! Evidence: the headers of a session's frames, up to the end of TCP's or UDP's, so that whoever doubts an alert can measure its round
//! trips again. Never a byte of payload, nor what betrays one: the checksum of a segment with payload is left out too,
//! and that of a datagram or tunnel.
//!
//! A session's first frames are kept for good, which holds the handshake, and its last ones; what lies between gives way.

mod keeper;
mod rewrite;

use std::collections::VecDeque;

pub use self::keeper::{SliceKeeper, SliceLimits};
use self::rewrite::Rewriter;
use crate::{
    pseudonym::Pseudonyms,
    wire::{Envelope, Frame, Layout, LinkType, WrapperKind},
};

/// Bytes of a record's header in a capture file.
const RECORD: usize = 16;

/// Where the checksum stands in a TCP header (RFC 9293 §3.1), and in one of UDP (RFC 768), in bytes.
const CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;

/// Headers of the frames of one flow, as records of a capture file.
#[derive(Clone, Debug)]
pub struct Slice {
    link: LinkType,
    first: Vec<u8>,
    last: VecDeque<u8>,
    kept: u64,
    left_out: u64,
}

impl Slice {
    const fn new(link: LinkType) -> Self {
        Self { link, first: Vec::new(), last: VecDeque::new(), kept: 0, left_out: 0 }
    }

    /// Frames in it.
    #[must_use]
    pub const fn kept(&self) -> u64 {
        self.kept
    }

    /// Frames of the flow that are not in it: for want of room, or because they were fragments or of another link type.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// As a capture file: pcap, little-endian, nanoseconds, with the link type of the input.
    #[must_use]
    pub fn pcap(&self) -> Vec<u8> {
        let header = [0xa1b2_3c4d, 2 | 4 << 16, 0, 0, 1 << 18, u32::from(self.link.number())];
        let (last, more) = self.last.as_slices();
        let header: Vec<u8> = header.iter().copied().flat_map(u32::to_le_bytes).collect();
        [&header, self.first.as_slice(), last, more].concat()
    }

    /// The same under pseudonyms: hardware and IP addresses. Whatever else in the headers may hold an address is blanked: IP
    /// options, the content of extension headers, and TCP options but those that measuring needs. Checksums are right, but for
    /// UDP's, and TCP's of segments with payload, which are left out. A frame that cannot be read again is left out.
    #[must_use]
    pub fn pseudonymized(&self, pseudonyms: &Pseudonyms) -> Self {
        let mut rewriter = Rewriter::new(pseudonyms);
        let mut slice = Self { left_out: self.left_out, ..Self::new(self.link) };
        let (last, more) = self.last.as_slices();
        let mut rest = [self.first.as_slice(), last, more].concat();
        let mut rest = rest.as_mut_slice();
        while let Some((record, others)) = rest.split_at_mut_checked(record_len(rest.iter())) {
            let Some((header, bytes)) = record.split_at_mut_checked(RECORD) else { break };
            if rewriter.rewrite(self.link, bytes, original_len(header)).is_some() {
                slice.first.extend_from_slice(header);
                slice.first.extend_from_slice(bytes);
                slice.kept += 1;
            } else {
                slice.left_out += 1;
            }
            rest = others;
        }
        slice
    }

    fn bytes(&self) -> usize {
        self.first.len() + self.last.len()
    }

    /// Drops the oldest of the last records; the bytes that it took, 0 where there is none.
    fn drop_oldest(&mut self) -> usize {
        let bytes = record_len(self.last.iter()).min(self.last.len());
        if bytes > 0 {
            self.last.drain(..bytes);
            self.kept -= 1;
            self.left_out += 1;
        }
        bytes
    }
}

/// Length of the record that begins here, header included, in bytes.
fn record_len<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    let captured = bytes.skip(8).take(4).enumerate().fold(0, |sum, (place, byte)| sum | usize::from(*byte) << (8 * place));
    RECORD + captured
}

/// Writes the record of a frame: its headers, and none for a frame without TCP's or UDP's or outside of the years that the format knows.
fn write_record(frame: &Frame<'_>, has_payload: bool, record: &mut Vec<u8>) -> Option<()> {
    let layout = Layout::of(frame.link, frame.bytes, frame.original_len)?;
    let headers = frame.bytes.get(..layout.transport.end)?;
    let nanos = frame.time.as_nanos();
    let seconds = u32::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    let captured = u32::try_from(headers.len()).ok()?;
    record.clear();
    for number in [seconds, nanos.rem_euclid(1_000_000_000) as u32, captured, frame.original_len.max(captured)] {
        record.extend(number.to_le_bytes());
    }
    record.extend_from_slice(headers);
    if has_payload || layout.is_udp {
        let checksum = if layout.is_udp { UDP_CHECKSUM } else { CHECKSUM };
        record.get_mut(RECORD + layout.transport.start + checksum..)?.get_mut(..2)?.fill(0);
    }
    for envelope in &layout.envelopes {
        blank_checksums(envelope, record.get_mut(RECORD..)?)?;
    }
    Some(())
}

/// Length of a record's frame on the wire in bytes.
fn original_len(header: &[u8]) -> u32 {
    header.get(12..16).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Leaves the checksums around a tunnel out: they are over all that it carries. Such are UDP's, and that of a GRE header that has one
/// (RFC 2784 §2.1).
fn blank_checksums(envelope: &Envelope, frame: &mut [u8]) -> Option<()> {
    if !envelope.udp.is_empty() {
        frame.get_mut(envelope.udp.clone())?.get_mut(UDP_CHECKSUM..)?.fill(0);
    }
    if matches!(envelope.kind, Some(WrapperKind::Gre | WrapperKind::Erspan)) {
        let gre = frame.get_mut(envelope.wrapper.clone())?;
        if gre.first()? & 0x80 != 0 {
            gre.get_mut(4..6)?.fill(0);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests;
