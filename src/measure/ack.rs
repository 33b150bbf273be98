//! Round trips from data to its acknowledgement, by sequence number, for one direction.
//!
//! Covers sensor → receiver → sensor, and whatever the receiver waited before it acknowledged: up to 40 ms and more with
//! delayed acknowledgements (RFC 9293 §3.8.6.3), which is why the floor, not the mean, is the path.
//! A sample is taken only where an acknowledgement advances exactly to the end of a segment that was sent once, with
//! nothing missing before it (Karn's rule over ranges). Pure acknowledgements are never timed: nothing answers them.

use smallvec::SmallVec;

use crate::{
    flow::Arrival,
    time::{Span, Timestamp},
    wire::{SeqNumber, TcpSegment},
};

/// Segments in flight that are remembered; a transfer keeps more in flight, and loses only samples.
const MAX_OUTSTANDING: usize = 64;

/// Times the data of one side against the other side's acknowledgements.
#[derive(Clone, Debug, Default)]
pub struct AckTimer {
    /// Nearly always one or two: those need no look elsewhere.
    outstanding: SmallVec<[Outstanding; 4]>,
    acked: Option<SeqNumber>,
    repeated: u8,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    end: SeqNumber,
    sent: Timestamp,
}

impl AckTimer {
    /// How many segments in flight are remembered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.outstanding.len()
    }

    /// A segment of the side whose data is timed.
    pub fn note(&mut self, segment: &TcpSegment<'_>, arrival: Arrival, time: Timestamp) {
        if segment.payload_len == 0 {
            return;
        }
        match arrival {
            Arrival::New if self.outstanding.len() < MAX_OUTSTANDING => {
                self.outstanding.push(Outstanding { end: segment.end_seq(), sent: time });
            }
            // Sent again, or order lost: every range in flight may be acknowledged for one reason or the other.
            Arrival::Retransmitted | Arrival::OutOfOrder => self.outstanding.clear(),
            _ => {}
        }
    }

    /// A segment of the other side. Gives the round trip that it completes.
    pub fn complete(&mut self, segment: &TcpSegment<'_>, arrival: Arrival, time: Timestamp) -> Option<Span> {
        let ack = segment.acked()?;
        if arrival == Arrival::Duplicate {
            return None;
        }
        let advance = self.acked.map_or(1, |acked| ack.since(acked));
        if advance <= 0 {
            self.on_repeated(segment, advance, arrival);
            return None;
        }
        self.acked = Some(ack);
        self.repeated = 0;
        let acked = self.outstanding.iter().take_while(|sent| ack.since(sent.end) >= 0).count();
        let last = self.outstanding.drain(..acked).next_back();
        if segment.has_sack() {
            self.outstanding.clear();
            return None;
        }
        let last = last.filter(|last| last.end == ack)?;
        Some(time - last.sent).filter(|rtt| !rtt.is_negative())
    }

    /// The same acknowledgement again. Where it tells of a hole, what is in flight will be acknowledged late, when the hole
    /// is filled.
    fn on_repeated(&mut self, segment: &TcpSegment<'_>, advance: i32, arrival: Arrival) {
        if advance < 0 || arrival != Arrival::Bare {
            return;
        }
        self.repeated = self.repeated.saturating_add(1);
        if segment.has_sack() || self.repeated >= 2 {
            self.outstanding.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::TcpFlags;

    const SACK: [u8; 16] = [1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0];

    fn segment(seq: u32, len: u32, ack: u32, options: &'static [u8]) -> TcpSegment<'static> {
        TcpSegment {
            src_port: 1,
            dst_port: 2,
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            flags: TcpFlags(TcpFlags::ACK),
            window: 0,
            options,
            payload: &[],
            payload_len: len,
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn data(timer: &mut AckTimer, seq: u32, len: u32, ms: i64) {
        timer.note(&segment(seq, len, 0, &[]), Arrival::New, at(ms));
    }

    fn ack(timer: &mut AckTimer, ack: u32, ms: i64) -> Option<i64> {
        timer.complete(&segment(0, 0, ack, &[]), Arrival::Bare, at(ms)).map(|rtt| rtt.as_nanos() / 1_000_000)
    }

    #[test]
    fn an_acknowledgement_of_two_segments_times_the_second() {
        let mut timer = AckTimer::default();
        data(&mut timer, 100, 50, 0);
        data(&mut timer, 150, 50, 10);
        assert_eq!(ack(&mut timer, 200, 35), Some(25));
        assert_eq!(ack(&mut timer, 200, 90), None);
    }

    #[test]
    fn an_acknowledgement_inside_a_segment_times_nothing() {
        let mut timer = AckTimer::default();
        data(&mut timer, 100, 50, 0);
        assert_eq!(ack(&mut timer, 120, 35), None);
        assert_eq!(ack(&mut timer, 150, 40), Some(40));
    }

    #[test]
    fn a_retransmission_makes_what_is_in_flight_ambiguous() {
        let mut timer = AckTimer::default();
        data(&mut timer, 100, 50, 0);
        timer.note(&segment(100, 50, 0, &[]), Arrival::Retransmitted, at(200));
        assert_eq!(ack(&mut timer, 150, 210), None);
        data(&mut timer, 150, 50, 300);
        assert_eq!(ack(&mut timer, 200, 335), Some(35));
    }

    #[test]
    fn a_hole_at_the_receiver_spoils_what_is_behind_it() {
        for options in [&SACK[..], &[]] {
            let mut timer = AckTimer::default();
            assert_eq!(ack(&mut timer, 100, 0), None);
            data(&mut timer, 100, 50, 0);
            data(&mut timer, 150, 50, 1);
            data(&mut timer, 200, 50, 2);
            for _ in 0..2 {
                timer.complete(&segment(0, 0, 100, options), Arrival::Bare, at(20));
            }
            assert_eq!(ack(&mut timer, 250, 400), None);
        }
    }

    #[test]
    fn memory_is_bounded_and_time_never_negative() {
        let mut timer = AckTimer::default();
        (0..1_000).for_each(|i| data(&mut timer, i * 10, 10, 50));
        assert_eq!(timer.outstanding.len(), MAX_OUTSTANDING);
        assert_eq!(ack(&mut timer, 10, 20), None);
    }
}
