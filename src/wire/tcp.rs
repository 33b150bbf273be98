//! TCP segments: header fields, options on demand, payload with its length on the wire.

use std::fmt;

use etherparse::{TcpOptionElement, TcpOptionsIterator, TcpSlice};

/// Length of a TCP header without options in bytes (RFC 9293 §3.1).
const FIXED_HEADER: usize = 20;

/// A TCP sequence number. Arithmetic wraps (RFC 9293 §3.4); there is no ordering, only a signed
/// distance, which is what a passive observer of hostile numbers can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// Bytes from `earlier` to `self`; negative where `self` lies before it. Right while the two are
    /// less than 2 GiB apart.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }

    /// The number `bytes` further on.
    #[must_use]
    pub const fn plus(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// Whether `self` lies behind `other` in the stream.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.since(other) > 0
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Control bits (RFC 9293 §3.1), as they stand in byte 13 of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;

    /// Whether all of `bits` are set.
    #[must_use]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }
}

/// One TCP segment as it passed the sensor.
#[derive(Clone, Copy, Debug)]
pub struct TcpSegment<'a> {
    /// Sending port.
    pub src_port: u16,
    /// Receiving port.
    pub dst_port: u16,
    /// Sequence number of the first payload byte (of the SYN or FIN itself where there is none).
    pub seq: SeqNumber,
    /// Next byte expected from the other side; counts only with [`TcpFlags::ACK`].
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: TcpFlags,
    /// Receive window as sent, not scaled.
    pub window: u16,
    /// Raw options; empty where the snaplen cut them.
    pub options: &'a [u8],
    /// Captured payload.
    pub payload: &'a [u8],
    /// Payload length on the wire in bytes: more than `payload` holds where the frame was cut.
    pub payload_len: u32,
}

impl<'a> TcpSegment<'a> {
    /// Reads a segment from the payload of an IP packet.
    ///
    /// `wire_len` is the length that the IP header promises for the whole segment. A segment whose options
    /// are cut off still gives its fixed header; `None` where not even that was captured.
    #[must_use]
    pub fn parse(bytes: &'a [u8], wire_len: u32) -> Option<Self> {
        match TcpSlice::from_slice(bytes) {
            Ok(tcp) => {
                let header = tcp.header_slice();
                let options = header.get(FIXED_HEADER..).unwrap_or_default();
                let payload_len = wire_len.saturating_sub(header.len() as u32);
                Self::from_fixed(header, options, tcp.payload(), payload_len)
            }
            Err(_) => {
                let promised = u32::from(bytes.get(12)? >> 4) * 4;
                if promised < FIXED_HEADER as u32 || (bytes.len() as u32) >= promised {
                    return None; // the data offset itself is wrong, not the capture short
                }
                Self::from_fixed(bytes, &[], &[], wire_len.saturating_sub(promised))
            }
        }
    }

    /// A segment of which nothing is cut; `None` for any other.
    #[inline(always)] // see `plain`
    pub(super) fn whole(bytes: &'a [u8]) -> Option<Self> {
        let header_len = usize::from(bytes.get(12)? >> 4) * 4;
        let options = bytes.get(FIXED_HEADER..header_len)?;
        let payload = bytes.get(header_len..)?;
        Self::from_fixed(bytes, options, payload, payload.len() as u32)
    }

    #[inline(always)] // see `plain`
    fn from_fixed(header: &'a [u8], options: &'a [u8], payload: &'a [u8], payload_len: u32) -> Option<Self> {
        let fixed: &[u8; FIXED_HEADER] = header.first_chunk()?;
        let &[sp0, sp1, dp0, dp1, s0, s1, s2, s3, a0, a1, a2, a3, _, flags, w0, w1, ..] = fixed;
        Some(Self {
            src_port: u16::from_be_bytes([sp0, sp1]),
            dst_port: u16::from_be_bytes([dp0, dp1]),
            seq: SeqNumber(u32::from_be_bytes([s0, s1, s2, s3])),
            ack: SeqNumber(u32::from_be_bytes([a0, a1, a2, a3])),
            flags: TcpFlags(flags),
            window: u16::from_be_bytes([w0, w1]),
            options,
            payload,
            payload_len,
        })
    }

    /// The acknowledgement number, where it counts.
    #[must_use]
    pub fn acked(&self) -> Option<SeqNumber> {
        self.flags.has(TcpFlags::ACK).then_some(self.ack)
    }

    /// First sequence number behind this segment; SYN and FIN count one each.
    #[must_use]
    pub fn end_seq(&self) -> SeqNumber {
        let controls = u32::from(self.flags.has(TcpFlags::SYN)) + u32::from(self.flags.has(TcpFlags::FIN));
        self.seq.plus(self.payload_len.wrapping_add(controls))
    }

    /// TSval and TSecr (RFC 7323 §3), where the option is there.
    #[must_use]
    #[inline]
    pub fn timestamps(&self) -> Option<(u32, u32)> {
        // The layout that nearly every stack sends: NOP NOP kind=8 len=10.
        match self.options {
            &[1, 1, 8, 10, a, b, c, d, e, f, g, h, ..] => {
                Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
            }
            [] => None,
            _ => self.timestamps_elsewhere(),
        }
    }

    #[inline(never)]
    fn timestamps_elsewhere(&self) -> Option<(u32, u32)> {
        // As nearly every SYN has it: behind MSS and SACK permitted (or two NOPs).
        if let &([2, 4, _, _, 4, 2, 8, 10, a, b, c, d, e, f, g, h, ..] | [2, 4, _, _, 1, 1, 8, 10, a, b, c, d, e, f, g, h, ..]) =
            self.options
        {
            return Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
        }
        self.elements().find_map(|element| match element {
            TcpOptionElement::Timestamp(value, echo) => Some((value, echo)),
            _ => None,
        })
    }

    /// The maximum segment size in bytes (RFC 9293 §3.7.1), where the option is there; only SYNs have it.
    #[must_use]
    pub fn mss(&self) -> Option<u16> {
        self.elements().find_map(|element| match element {
            TcpOptionElement::MaximumSegmentSize(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// The window scale (RFC 7323 §2), where the option is there; only SYNs have it.
    #[must_use]
    pub fn window_scale(&self) -> Option<u8> {
        self.elements().find_map(|element| match element {
            TcpOptionElement::WindowScale(power) => Some(power),
            _ => None,
        })
    }

    /// Both of these, from one look at the options.
    #[must_use]
    pub fn mss_and_window_scale(&self) -> (Option<u16>, Option<u8>) {
        // As nearly every stack with timestamps has it: MSS, SACK permitted (or two NOPs), timestamps, NOP, window scale.
        if let &([2, 4, high, low, 4, 2, 8, 10, _, _, _, _, _, _, _, _, 1, 3, 3, power, ..]
        | [2, 4, high, low, 1, 1, 8, 10, _, _, _, _, _, _, _, _, 1, 3, 3, power, ..]) = self.options
        {
            return (Some(u16::from_be_bytes([high, low])), Some(power));
        }
        let (mut mss, mut window_scale) = (None, None);
        for element in self.elements() {
            match element {
                TcpOptionElement::MaximumSegmentSize(bytes) => mss = mss.or(Some(bytes)),
                TcpOptionElement::WindowScale(power) => window_scale = window_scale.or(Some(power)),
                _ => {}
            }
        }
        (mss, window_scale)
    }

    /// Whether a SACK block is there (RFC 2018): the receiver misses something.
    #[must_use]
    pub fn has_sack(&self) -> bool {
        self.options.len() > 12
            && self.elements().any(|element| matches!(element, TcpOptionElement::SelectiveAcknowledgement(..)))
    }

    fn elements(&self) -> impl Iterator<Item = TcpOptionElement> + use<'a> {
        TcpOptionsIterator::from_slice(self.options).map_while(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_wrap() {
        let near_end = SeqNumber(u32::MAX - 1);
        assert_eq!(near_end.plus(4).since(near_end), 4);
        assert_eq!(near_end.since(near_end.plus(4)), -4);
        assert!(near_end.plus(4).is_after(near_end));
    }

    #[test]
    fn cut_options_leave_the_fixed_header() {
        let mut bytes = [0u8; 24];
        bytes[0..2].copy_from_slice(&22u16.to_be_bytes());
        bytes[12] = 8 << 4; // 32 bytes promised, 24 there
        bytes[13] = TcpFlags::ACK;
        let segment = TcpSegment::parse(&bytes, 32 + 36).unwrap();
        assert_eq!((segment.src_port, segment.payload_len, segment.payload.len()), (22, 36, 0));
        assert_eq!(segment.timestamps(), None);
    }

    #[test]
    fn options_in_the_usual_places_say_what_etherparse_says() {
        let usual: [&[u8]; 4] = [
            &[2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7],
            &[2, 4, 5, 180, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7],
            &[2, 4, 5, 180, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
            &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
        ];
        for options in usual {
            // A byte changed at each place in turn: the pattern no longer holds, or another value does.
            for (at, value) in (0..options.len()).flat_map(|at| [0, 1, 2, 4, 9].map(|value| (at, value))) {
                let mut options = options.to_vec();
                options[at] = value;
                let bytes = [&[0; 12][..], &[(5 + options.len() as u8 / 4) << 4], &[0; 7], &options].concat();
                let segment = TcpSegment::parse(&bytes, bytes.len() as u32).unwrap();
                let (mut stamps, mut mss, mut scale) = (None, None, None);
                for element in segment.elements() {
                    match element {
                        TcpOptionElement::Timestamp(value, echo) => stamps = stamps.or(Some((value, echo))),
                        TcpOptionElement::MaximumSegmentSize(bytes) => mss = mss.or(Some(bytes)),
                        TcpOptionElement::WindowScale(power) => scale = scale.or(Some(power)),
                        _ => {}
                    }
                }
                assert_eq!((segment.timestamps(), segment.mss_and_window_scale()), (stamps, (mss, scale)), "{options:?}");
            }
        }
    }

    #[test]
    fn a_wrong_data_offset_is_not_a_segment() {
        let mut bytes = [0u8; 40];
        bytes[12] = 4 << 4;
        assert!(TcpSegment::parse(&bytes, 40).is_none());
        assert!(TcpSegment::parse(&bytes[..10], 40).is_none());
    }
}
