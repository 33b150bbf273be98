//! How good the capture of a session is. What is judged rests on times and on nothing missing; where those are in doubt,
//! nobody is accused.
//!
//! The score is 1 less these, and never below 0. They are set by what each does to a round-trip floor, not fitted:
//!
//! | defect | less | because |
//! |---|---|---|
//! | one direction alone | 1 | there is no round trip |
//! | the clock was set, once or more | 0.6 | times before and after do not compare, and how many samples lie across is not known |
//! | time stamps are multiples of 1 ms or more | 0.6 | their error is as large as the error that the floor is stated with |
//! | lost pieces, per cent of all packets | 0.1 each | an acknowledgement that was lost makes the next one look slow |
//! | merged segments | 0.1 | offloading (GRO, LRO, TSO) stamps several at once, late by some microseconds to milliseconds |

use serde::{Deserialize, Serialize};

use crate::{
    flow::{PerSide, Traffic},
    time::{Span, Timestamp},
};

/// Score from which on a session is judged.
pub const MIN_SCORE: f64 = 0.5;

const CLOCK_SET: f64 = 0.6;
const COARSE: f64 = 0.6;
const PER_LOST_PERCENT: f64 = 0.1;
const MERGED: f64 = 0.1;

/// Resolution from which on stamps are too coarse.
const TOO_COARSE: Span = Span::from_millis(1);

/// Stamps from which a resolution is told: that ten are multiples of a millisecond by chance is one in 10^30.
const MIN_STAMPS: u32 = 10;

/// The resolution of time stamps, from the stamps themselves: what a file states is often finer than the clock was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grain {
    stamps: u32,
    /// The largest power of ten, in nanoseconds and up to a second, that all are multiples of; 0 before the first.
    nanos: i64,
}

impl Grain {
    /// Takes a stamp in.
    pub const fn note(&mut self, time: Timestamp) {
        if self.stamps == 0 {
            self.nanos = 1_000_000_000;
        }
        self.stamps = self.stamps.saturating_add(1);
        while time.as_nanos() % self.nanos != 0 {
            self.nanos /= 10;
        }
    }

    /// The resolution; `None` with fewer than ten stamps.
    #[must_use]
    pub const fn resolution(self) -> Option<Span> {
        if self.stamps < MIN_STAMPS { None } else { Some(Span::from_nanos(self.nanos)) }
    }
}

/// What is known of a session's capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Packets of one side alone were seen.
    pub one_sided: bool,
    /// Pieces of the streams that arrived and did not pass the sensor, or were lost there.
    pub drops: u64,
    /// Packets that were seen, copies left out.
    pub packets: u64,
    /// Whether a segment was longer than its receiver allows, so that offloading must have merged several; `None` where what
    /// the receivers allow was not captured.
    pub merged_segments: Option<bool>,
    /// How often the sensor's clock was set during the session, as far as that shows.
    pub clock_steps: u32,
    /// Resolution of its time stamps; `None` with too few of them to tell.
    pub resolution: Option<Span>,
}

impl Quality {
    /// With what the counters tell.
    #[must_use]
    pub fn of(traffic: &PerSide<Traffic>) -> Self {
        Self {
            one_sided: traffic.client.packets == 0 || traffic.server.packets == 0,
            drops: u64::from(traffic.client.gaps) + u64::from(traffic.server.gaps),
            packets: traffic.client.packets + traffic.server.packets,
            ..Self::default()
        }
    }

    /// From 0 to 1, by the [table](self), to two decimals.
    #[must_use]
    pub fn score(&self) -> f64 {
        let less: f64 = self.defects().iter().map(|(less, _)| less).sum();
        ((1.0 - less).max(0.0) * 100.0).round() / 100.0
    }

    /// Why the session cannot be judged; `None` where it can.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        let score = self.score();
        if score >= MIN_SCORE {
            return None;
        }
        let defects: Vec<_> = self.defects().into_iter().map(|(_, what)| what).collect();
        Some(format!("quality of the capture is {score:.2}, {MIN_SCORE:.2} needed: {}", defects.join("; ")))
    }

    /// What each defect takes away, and its description.
    fn defects(&self) -> Vec<(f64, String)> {
        let mut defects = Vec::new();
        if self.one_sided {
            defects
                .push((1.0, "one direction alone was seen, so there are no round trips, no echoes and no keystrokes".to_owned()));
        }
        if self.clock_steps > 0 {
            let times = if self.clock_steps == 1 { "once".to_owned() } else { format!("{} times", self.clock_steps) };
            defects.push((CLOCK_SET, format!("the sensor's clock was set {times}")));
        }
        if let Some(resolution) = self.resolution.filter(|resolution| *resolution >= TOO_COARSE) {
            defects.push((COARSE, format!("time stamps are multiples of {} ms", resolution.as_millis_f64())));
        }
        if self.drops > 0 {
            let percent = self.drops as f64 * 100.0 / (self.packets + self.drops) as f64;
            defects.push((percent * PER_LOST_PERCENT, format!("{} pieces are missing ({percent:.1} %)", self.drops)));
        }
        if self.merged_segments == Some(true) {
            defects.push((MERGED, "segments were merged before they were stamped".to_owned()));
        }
        defects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(client: u64, server: u64, gaps: u32) -> Quality {
        let traffic = |packets, gaps| Traffic { packets, gaps, ..Traffic::default() };
        Quality::of(&PerSide { client: traffic(client, gaps), server: traffic(server, 0) })
    }

    #[test]
    fn a_whole_capture_is_worth_one_and_half_a_one_nothing() {
        assert_eq!(quality(100, 100, 0).score().to_bits(), 1f64.to_bits());
        assert_eq!(quality(100, 0, 0).score().to_bits(), 0f64.to_bits());
        assert_eq!(quality(100, 0, 50).score().to_bits(), 0f64.to_bits(), "never below");
    }

    #[test]
    fn each_defect_alone_forbids_or_permits_to_judge() {
        let whole = quality(500, 480, 0);
        assert_eq!(whole.objection(), None);
        assert_eq!(Quality { merged_segments: Some(true), ..whole }.objection(), None);
        assert_eq!(quality(500, 480, 20).objection(), None, "2 % missing");
        for (bad, word) in [
            (Quality { clock_steps: 1, ..whole }, "set once"),
            (Quality { clock_steps: 3, ..whole }, "3 times"),
            (Quality { resolution: Some(Span::from_millis(10)), ..whole }, "10 ms"),
            (quality(500, 480, 60), "60 pieces are missing (5.8 %)"),
            (quality(0, 480, 0), "one direction"),
        ] {
            let objection = bad.objection().unwrap();
            assert!(objection.contains(word) && objection.contains("0.50 needed"), "{objection}");
        }
    }

    #[test]
    fn the_stamps_tell_their_resolution() {
        let resolution = |nanos: i64, count: i64| {
            let mut grain = Grain::default();
            (0..count).for_each(|i| grain.note(Timestamp::from_nanos(i * 7 * nanos)));
            grain.resolution()
        };
        assert_eq!(resolution(1_000_000, 9), None);
        for nanos in [1, 1_000, 1_000_000, 10_000_000, 1_000_000_000] {
            assert_eq!(resolution(nanos, 50), Some(Span::from_nanos(nanos)));
        }
    }
}
