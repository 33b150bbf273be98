//! The smallest round trip of each side, for flows that keep no history: two numbers, and the last few segments in flight.
//!
//! Samples are those of [`super::ack`], fewer of them where much is in flight. There is no floor: it cannot be told whether the
//! smallest sample is an accident.

use serde::{Deserialize, Serialize};

use super::ack::AckTimer;
use crate::{
    flow::{Arrival, PerSide, Side},
    time::{Span, Timestamp},
    wire::TcpSegment,
};

/// Segments of one side in flight that are remembered.
const IN_FLIGHT: usize = 4;

/// Times the data of both sides. About 150 bytes, and 64 more for each side that has sent any.
#[derive(Clone, Debug, Default)]
pub struct LeastRoundTrips {
    timers: PerSide<AckTimer>,
    least: PerSide<Option<Least>>,
}

/// What is kept of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Least {
    /// How many there were.
    pub samples: u64,
    /// The smallest.
    pub min: Span,
}

impl Least {
    /// One sample more.
    #[must_use]
    pub fn and(least: Option<Self>, rtt: Span) -> Self {
        least.map_or(Self { samples: 1, min: rtt }, |least| Self { samples: least.samples + 1, min: least.min.min(rtt) })
    }
}

impl LeastRoundTrips {
    /// Takes a segment in.
    pub fn on_segment(&mut self, side: Side, segment: &TcpSegment<'_>, arrival: Arrival, time: Timestamp) {
        let own = self.timers.get_mut(side);
        if arrival != Arrival::New || own.in_flight() < IN_FLIGHT {
            own.note(segment, arrival, time);
        }
        // Data of one side is timed against the acknowledgements of the other: the round trip belongs to who answers.
        if let Some(rtt) = self.timers.get_mut(side.other()).complete(segment, arrival, time) {
            let least = self.least.get_mut(side);
            *least = Some(Least::and(*least, rtt));
        }
    }

    /// What was measured of each side so far, the handshake not among it.
    #[must_use]
    pub const fn least(&self) -> PerSide<Option<Least>> {
        self.least
    }

    /// Client and server turned out to be the other way round.
    pub const fn swap(&mut self) {
        self.timers.swap();
        self.least.swap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{SeqNumber, TcpFlags};

    /// Feeds (side, sequence number, bytes, acknowledgement, milliseconds).
    fn run(feed: &[(Side, u32, u32, u32, i64)]) -> PerSide<Option<Least>> {
        let mut rtt = LeastRoundTrips::default();
        for &(side, seq, len, ack, ms) in feed {
            let segment = TcpSegment {
                src_port: 1,
                dst_port: 2,
                seq: SeqNumber(seq),
                ack: SeqNumber(ack),
                flags: TcpFlags(TcpFlags::ACK),
                window: 0,
                options: &[],
                payload: &[],
                payload_len: len,
            };
            let arrival = if len > 0 { Arrival::New } else { Arrival::Bare };
            rtt.on_segment(side, &segment, arrival, Timestamp::from_nanos(ms * 1_000_000));
        }
        rtt.least()
    }

    #[test]
    fn each_side_has_its_count_and_its_smallest() {
        let (c, s) = (Side::Client, Side::Server);
        let least = run(&[
            (c, 0, 10, 0, 0),
            (s, 0, 20, 10, 3),
            (c, 10, 0, 20, 40),
            (s, 20, 20, 10, 50),
            (c, 10, 0, 40, 81),
            (s, 40, 0, 10, 90),
        ]);
        assert_eq!(least.server, Some(Least { samples: 1, min: Span::from_millis(3) }));
        assert_eq!(least.client, Some(Least { samples: 2, min: Span::from_millis(31) }));
        assert_eq!(run(&[(c, 0, 10, 0, 0)]), PerSide::default());
    }

    #[test]
    fn what_is_not_remembered_gives_no_sample() {
        let burst = |count: u32| (0..count).map(|i| (Side::Server, i * 100, 100, 0, i64::from(i))).collect::<Vec<_>>();
        let acked = |count, ack| run(&[burst(count), vec![(Side::Client, 0, 0, ack, 60)]].concat()).client;
        assert_eq!(acked(4, 400), Some(Least { samples: 1, min: Span::from_millis(57) }));
        assert_eq!(acked(5, 500), None);
    }
}
