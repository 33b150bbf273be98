//! Whether a client acts at any time, or only on the beats of a clock: a process that is held up at an even pace (a quota of a
//! container, a throttled window) answers everything one period later, and looks like one behind a longer path. What is
//! typed tells the two apart: behind a path, keys come at any interval; from such a process, at multiples of its period.
//!
//! And whether a relay that does not set TCP_NODELAY combs what passes it: Nagle's algorithm (RFC 896) holds a key back until the
//! one before it is acknowledged, so segments come never closer than the round trip behind the relay, with several keys in many.

use serde::{Deserialize, Serialize};

use crate::{
    cue::{Input, InputKind},
    time::{Span, Timestamp},
};

/// Intervals that are kept.
const MOST: usize = 128;

/// Shorter intervals may lie within one beat.
const SHORTEST: Span = Span::from_millis(15);

/// Longer ones are pauses.
const LONGEST: Span = Span::from_secs(1);

/// Intervals that say something, at least.
const ENOUGH: usize = 20;

/// How near to a multiple of the period an interval counts as on the beat, as a share of the period in per cent: 40 % of
/// all intervals are by chance.
const NEAR: i64 = 20;

/// As many multiples are looked at: the period is known to some per cent.
const MULTIPLES: i64 = 3;

/// Share of the intervals on the beat, in per cent, up to which no clock made them.
const BY_CHANCE: usize = 75;

/// Share from which on a clock did.
const BY_CLOCK: usize = 90;

/// Messages that hold several keys, each in a packet of its own: a process that was held up has them in one.
const MERGED: u64 = 5;

/// Intervals of which a comb is believed, at least.
const COMBED: usize = 40;

/// Intervals between [`Comb::period`] and 15 % more: at least this share of all, in per cent. Of typed ones a few are.
const IN_COMB: usize = 25;

/// Messages with several keys: at least this share of all, in per cent.
const MERGED_IN_COMB: u64 = 10;

/// The rhythm of a relay without TCP_NODELAY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comb {
    /// The shortest interval between two segments of the client, but for 2 % of them.
    pub period: Span,
    /// Share of the intervals within 15 % above it, in per cent.
    pub share: u8,
    /// Share of the segments that hold several keys, in per cent.
    pub merged: u8,
    /// How many intervals that rests on.
    pub samples: u64,
}

/// See the [module's documentation](self).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    last: Option<Timestamp>,
    /// In microseconds: there are many sessions.
    intervals: Vec<u32>,
    /// Intervals too short for a beat, those of one segment left out.
    short: u64,
    messages: u64,
    merged: u64,
    /// The shortest segment, where lengths are all that is known.
    shortest: u32,
}

impl Pace {
    /// The client sent something that may have been typed.
    pub fn on_input(&mut self, input: &Input) {
        self.note(input.time, matches!(input.kind, InputKind::Keys(_) | InputKind::KeysOrBulk(_)));
    }

    /// The client sent a segment of which nothing is known but its length.
    pub fn on_segment(&mut self, time: Timestamp, len: u32) {
        if self.shortest == 0 || len < self.shortest {
            (self.shortest, self.merged) = (len, 0);
        }
        self.note(time, len > self.shortest && len.is_multiple_of(self.shortest));
    }

    fn note(&mut self, time: Timestamp, merged: bool) {
        if self.intervals.len() >= MOST {
            return;
        }
        let interval = self.last.replace(time).map(|last| time - last);
        if interval == Some(Span::ZERO) {
            self.merged += 1; // another packet of the same segment
            return;
        }
        self.messages += 1;
        self.merged += u64::from(merged);
        let Some(interval) = interval else { return };
        if interval < SHORTEST {
            self.short += 1;
        } else if interval <= LONGEST {
            self.intervals.extend(u32::try_from(interval.as_micros()).ok());
        }
    }

    /// The comb of a relay without TCP_NODELAY, where there is one.
    #[must_use]
    pub fn comb(&self) -> Option<Comb> {
        if self.intervals.len() < COMBED || self.merged * 100 < self.messages * MERGED_IN_COMB {
            return None;
        }
        let mut intervals = self.intervals.clone();
        intervals.sort_unstable();
        let period = *intervals.get(intervals.len() / 50)?;
        let upper = period / 100 * 115;
        let inside = intervals.iter().filter(|interval| (period..=upper).contains(*interval)).count();
        let comb = Comb {
            period: Span::from_micros(i64::from(period)),
            share: u8::try_from(inside * 100 / intervals.len()).ok()?,
            merged: u8::try_from(self.merged.min(self.messages) * 100 / self.messages.max(1)).ok()?,
            samples: intervals.len() as u64,
        };
        let holds = self.short * 50 <= comb.samples && inside * 100 >= intervals.len() * IN_COMB;
        holds.then_some(comb)
    }

    /// Whether the client was seen to act at other times than every `period` or so: up to 5 % less, or 15 % more.
    #[must_use]
    pub fn is_free_of(&self, period: Span) -> bool {
        self.merged >= MERGED || around(period).all(|period| self.on_beat(period).is_some_and(|share| share <= BY_CHANCE))
    }

    /// Whether it was seen to act every `period` or so, and hardly at other times.
    #[must_use]
    pub fn keeps_beat(&self, period: Span) -> bool {
        self.merged < MERGED && around(period).any(|period| self.on_beat(period).is_some_and(|share| share >= BY_CLOCK))
    }

    /// Share of the intervals near a multiple of the period, in per cent; `None` where there are too few.
    fn on_beat(&self, period: i64) -> Option<usize> {
        let counted = self.intervals.iter().map(|&micros| i64::from(micros) * 1_000).filter(|&ns| ns <= period * MULTIPLES);
        let (mut all, mut near) = (0, 0);
        for ns in counted {
            let off = ns % period;
            all += 1;
            near += usize::from(ns > period / 2 && off.min(period - off) * 100 <= period * NEAR);
        }
        (all >= ENOUGH).then(|| near * 100 / all)
    }
}

/// The periods that a delay may come from, in nanoseconds.
fn around(period: Span) -> impl Iterator<Item = i64> {
    (95..=115).map(move |percent| (period.as_nanos() / 100 * percent).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cue::{DataRange, Doubt},
        wire::SeqNumber,
    };

    fn typed(times_ms: impl IntoIterator<Item = i64>, kind: InputKind) -> Pace {
        let mut pace = Pace::default();
        for ms in times_ms {
            let time = Timestamp::from_nanos(ms * 1_000_000);
            let data = DataRange { least: 1, most: 2 };
            let doubt = Doubt::None;
            pace.on_input(&Input { time, sent: None, end: SeqNumber(0), bytes: 36, data, kind, doubt });
        }
        pace
    }

    /// Intervals between 60 and 300 ms.
    fn by_hand() -> impl Iterator<Item = i64> {
        (0..200).scan(0, |time, i| {
            *time += 60 + i * 7919 % 241;
            Some(*time)
        })
    }

    #[test]
    fn a_hand_keeps_no_beat_and_a_throttled_process_does() {
        for period in [60, 100, 190, 240] {
            // What waits for one beat is sent in one message.
            let mut beats: Vec<i64> = by_hand().map(|ms| ms / period).collect();
            beats.dedup();
            let held_up = beats.into_iter().map(|beat| beat * period + beat % 5);
            assert!(typed(by_hand(), InputKind::Char).is_free_of(Span::from_millis(period)), "{period} ms");
            let held_up = typed(held_up, InputKind::Char);
            assert!(!held_up.is_free_of(Span::from_millis(period)), "{period} ms");
            assert!(held_up.keeps_beat(Span::from_millis(period)), "{period} ms");
            assert!(!typed(by_hand(), InputKind::Char).keeps_beat(Span::from_millis(period)), "{period} ms");
        }
    }

    #[test]
    fn little_says_nothing_and_packets_that_wait_together_do() {
        assert!(!typed(by_hand().take(20), InputKind::Char).is_free_of(Span::from_millis(190)));
        assert!(!typed([], InputKind::Char).is_free_of(Span::from_millis(190)));
        assert!(typed((0..5).map(|i| i * 190), InputKind::Keys(2)).is_free_of(Span::from_millis(190)));
    }

    #[test]
    fn a_relay_that_waits_for_acknowledgements_combs_what_passes() {
        // Keys wait until the segment before is acknowledged, 190 ms after it left.
        let mut segments: Vec<(i64, u32)> = Vec::new();
        for ms in by_hand().flat_map(|ms| [ms, ms + 45]) {
            match segments.last_mut() {
                Some((left, len)) if ms <= *left => *len += 36,
                Some((left, _)) if ms < *left + 190 => {
                    let left = *left + 190;
                    segments.push((left, 36));
                }
                _ => segments.push((ms, 36)),
            }
        }
        let mut pace = Pace::default();
        segments.iter().for_each(|&(ms, len)| pace.on_segment(Timestamp::from_nanos(ms * 1_000_000), len));
        let comb = pace.comb().unwrap();
        assert_eq!((comb.period, comb.samples), (Span::from_millis(190), MOST.min(segments.len() - 1) as u64));
        assert_eq!(typed(by_hand(), InputKind::Char).comb(), None);
        let repeats = (0..100).map(|i| i * 33);
        assert_eq!(typed(repeats, InputKind::Char).comb(), None, "a held key");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        assert_eq!(typed((0..10_000).map(|i| i * 100), InputKind::Char).intervals.len(), MOST);
    }
}
