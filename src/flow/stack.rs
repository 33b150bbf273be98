//! Marks that a TCP stack leaves in its headers: what it is, and how far away, in hops, it may stand.

use serde::{Deserialize, Serialize};

use crate::wire::{TcpFlags, TcpSegment};

/// What one side's headers say of its stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackMarks {
    /// IPv4 time to live or IPv6 hop limit of the first frame, as it passed the sensor: what the sender set (64 and 128 are
    /// usual) less the routers on the way (RFC 791 §3.1, RFC 8200 §3).
    pub ttl: Option<u8>,
    /// Maximum segment size in bytes, of its SYN (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
    /// Window scale, of its SYN: windows count in units of 2 to this power, 0 to 14 (RFC 7323 §2.3; stacks take more for 14).
    pub window_scale: Option<u8>,
}

impl StackMarks {
    /// Takes a segment in.
    pub fn note(&mut self, segment: &TcpSegment<'_>, ttl: u8) {
        self.ttl.get_or_insert(ttl);
        if segment.flags.has(TcpFlags::SYN) {
            (self.mss, self.window_scale) = segment.mss_and_window_scale();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(options: &[u8], flags: u8) -> TcpSegment<'_> {
        let mut header = [0; 20];
        (header[12], header[13]) = (5 << 4, flags);
        let fixed = TcpSegment::parse(&header, 20).map(|fixed| (fixed.flags, fixed.seq)).unwrap();
        TcpSegment {
            src_port: 1,
            dst_port: 2,
            seq: fixed.1,
            ack: fixed.1,
            flags: fixed.0,
            window: 0,
            options,
            payload: &[],
            payload_len: 0,
        }
    }

    #[test]
    fn the_syn_tells_sizes_and_the_first_frame_the_hops() {
        let mut marks = StackMarks::default();
        // What Linux sends: MSS 1460, SACK permitted, timestamps, NOP, window scale 7.
        let options = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        marks.note(&segment(&options, TcpFlags::SYN), 57);
        marks.note(&segment(&[2, 4, 0, 1, 3, 3, 1, 0], TcpFlags::ACK), 56);
        assert_eq!(marks, StackMarks { ttl: Some(57), mss: Some(1460), window_scale: Some(7) });
    }

    #[test]
    fn what_was_not_seen_is_not_told() {
        let mut marks = StackMarks::default();
        marks.note(&segment(&[], TcpFlags::ACK), 64);
        assert_eq!(marks, StackMarks { ttl: Some(64), mss: None, window_scale: None });
        marks.note(&segment(&[2, 4, 5], TcpFlags::SYN), 64);
        assert_eq!(marks.mss, None, "an option that is cut");
    }
}
