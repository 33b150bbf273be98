//! From an encrypted byte stream to packets, as far as an observer can tell them apart.
//!
//! Where the length field is in clear (AES-GCM, encrypt-then-MAC), packets are exact. Where it is encrypted, the segment is
//! the unit: a program writes what it has at once, so a segment begins with a packet unless the one before was full.

use crate::{
    flow::Data,
    time::{Span, Timestamp},
    wire::SeqNumber,
};

use super::sizes::Sizes;

/// A segment of at least this length may be full, and the next one its continuation: the smallest payload that
/// IPv6 paths carry (RFC 8200 §5: 1280, less 40 + 20 and options).
const FULL_SEGMENT: u32 = 1_200;

/// Longest packet that is believed: 256 KiB is OpenSSH's own limit (`PACKET_MAX_SIZE`).
const MAX_PACKET: u32 = 256 * 1024;

/// One packet, or one segment that may hold several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Length on the wire in bytes.
    pub(super) len: u32,
    /// Exactly one packet; otherwise what one segment carried.
    pub(super) exact: bool,
    /// When its last byte passed the sensor.
    pub(super) time: Timestamp,
    /// First sequence number behind it.
    pub(super) end: SeqNumber,
    /// What its segment acknowledged.
    pub(super) acked: Option<SeqNumber>,
    /// When it was sent by the sender's own clock, where that is known.
    pub(super) sent: Option<Span>,
}

/// Splits one direction into [`Record`]s.
#[derive(Clone, Debug)]
pub(super) struct Framer {
    pub(super) sizes: Sizes,
    /// Bytes of the current packet that are still to come (clear lengths).
    remaining: u32,
    /// Length of the current packet (clear lengths).
    current: u32,
    header: Vec<u8>,
    synced: bool,
    /// Longest segment so far (hidden lengths).
    longest: u32,
    /// The segment before was full (hidden lengths).
    continues: bool,
}

impl Framer {
    pub(super) const fn new(sizes: Sizes) -> Self {
        Self { sizes, remaining: 0, current: 0, header: Vec::new(), synced: true, longest: FULL_SEGMENT, continues: false }
    }

    /// Bytes are missing: where the next packet begins has to be found again.
    pub(super) fn on_gap(&mut self) {
        self.synced = false;
        self.continues = false;
        self.header.clear();
        self.remaining = 0;
    }

    pub(super) fn push(&mut self, data: &Data<'_>, mut emit: impl FnMut(Record)) {
        if self.sizes.length_in_clear { self.push_clear(data, &mut emit) } else { self.push_hidden(data, &mut emit) }
    }

    fn push_hidden(&mut self, data: &Data<'_>, emit: &mut impl FnMut(Record)) {
        let continued = self.continues;
        self.longest = self.longest.max(data.len);
        self.continues = data.len >= self.longest;
        if !continued {
            emit(Record { len: data.len, exact: false, time: data.time, end: data.end, acked: data.acked, sent: data.sent });
        } else if !self.continues {
            // The tail of a longer message: never a packet of its own, but it counts as output.
            emit(Record {
                len: data.len.max(FULL_SEGMENT),
                exact: false,
                time: data.time,
                end: data.end,
                acked: data.acked,
                sent: data.sent,
            });
        }
    }

    fn push_clear(&mut self, data: &Data<'_>, emit: &mut impl FnMut(Record)) {
        let mut at = 0u32;
        if !self.synced {
            self.synced = self.looks_like_a_start(data);
        }
        while self.synced && at < data.len {
            if self.remaining == 0 {
                let Some(&byte) = data.bytes.get(at as usize) else {
                    self.on_gap(); // cut by the snaplen: the length field was not captured
                    return;
                };
                self.header.push(byte);
                at += 1;
                let Ok(field) = <[u8; 4]>::try_from(self.header.as_slice()) else { continue };
                self.header.clear();
                self.current = self.sizes.with_length_field(u32::from_be_bytes(field));
                if self.current > MAX_PACKET || !self.sizes.is_packet(self.current) {
                    self.on_gap();
                    return;
                }
                self.remaining = self.current - 4;
            } else {
                let taken = self.remaining.min(data.len - at);
                self.remaining -= taken;
                at += taken;
                if self.remaining == 0 {
                    let end = data.end.plus(0u32.wrapping_sub(data.len - at));
                    emit(Record { len: self.current, exact: true, time: data.time, end, acked: data.acked, sent: data.sent });
                }
            }
        }
    }

    /// After a gap: whether this segment is made of whole packets, going by their length fields.
    fn looks_like_a_start(&self, data: &Data<'_>) -> bool {
        let mut rest = data.bytes;
        while let Some((field, _)) = rest.split_first_chunk::<4>() {
            let len = self.sizes.with_length_field(u32::from_be_bytes(*field));
            if !self.sizes.is_packet(len) {
                return false;
            }
            let Some((_, tail)) = rest.split_at_checked(len as usize) else { return false };
            rest = tail;
        }
        rest.is_empty() && data.bytes.len() as u32 == data.len && data.len > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gcm_packet(payload_and_padding: usize) -> Vec<u8> {
        let mut out = (payload_and_padding as u32).to_be_bytes().to_vec();
        out.extend(vec![0xee; payload_and_padding + 16]);
        out
    }

    fn feed(framer: &mut Framer, bytes: &[u8], cut: usize) -> Vec<(u32, bool)> {
        let mut out = Vec::new();
        for chunk in bytes.chunks(cut) {
            let data = Data {
                bytes: chunk,
                len: chunk.len() as u32,
                time: Timestamp::from_nanos(0),
                end: SeqNumber(0),
                acked: None,
                sent: None,
            };
            framer.push(&data, |record| out.push((record.len, record.exact)));
        }
        out
    }

    fn gcm() -> Framer {
        Framer::new(Sizes::of("aes128-gcm@openssh.com", "", "none").unwrap())
    }

    fn chacha() -> Framer {
        Framer::new(Sizes::of("chacha20-poly1305@openssh.com", "", "none").unwrap())
    }

    #[test]
    fn clear_lengths_give_exact_packets_however_they_are_cut() {
        let bytes = [gcm_packet(16), gcm_packet(16), gcm_packet(1008), gcm_packet(32)].concat();
        for cut in [1, 3, 36, 50, 5_000] {
            assert_eq!(feed(&mut gcm(), &bytes, cut), [(36, true), (36, true), (1028, true), (52, true)], "cut {cut}");
        }
    }

    #[test]
    fn after_a_gap_only_whole_packets_count() {
        let mut framer = gcm();
        framer.on_gap();
        assert_eq!(feed(&mut framer, &[0x55; 1400], 1400), []);
        assert_eq!(feed(&mut framer, &gcm_packet(16), 100), [(36, true)]);
    }

    #[test]
    fn hidden_lengths_give_segments_and_never_the_tail_of_a_long_one() {
        assert_eq!(feed(&mut chacha(), &[0; 36], 36), [(36, false)]);
        let mut framer = chacha();
        let long = feed(&mut framer, &[0; 1448 + 1448 + 36], 1448);
        assert_eq!(long, [(1448, false), (1200, false)]);
        assert_eq!(feed(&mut framer, &[0; 36], 36), [(36, false)]);
    }
}
