//! Recognising that keystrokes are hidden among chaff (OpenSSH's `ObscureKeystrokeTiming`, on by default since 9.5).
//!
//! While somebody types, and for 1.02 to 3.07 s after the last key, the client sends one message of a key's size each
//! 20 ms (18 to 22; the interval can be set). The rhythm begins with the first key at once. A held key is as
//! even, but only after a pause behind its press.

use std::collections::VecDeque;

use crate::{
    cue::{Input, InputKind},
    time::{Span, Timestamp},
};

/// How long after the first input a rhythm has to show itself: several stretches of chaff, since a stall of the
/// client can spoil one.
const TO_SHOW: Span = Span::from_secs(10);

/// Messages remembered.
const MEMORY: usize = 64;

/// Messages in a second of chaff at the default interval: 45 to 56, less what jitter moves over the edge.
const RATE: std::ops::RangeInclusive<usize> = 40..=62;

/// Messages of an even rhythm that are not typed, at any interval.
const EVEN_RUN: usize = 10;
/// How long such a rhythm lasts at least: the shortest stretch of chaff is 1,024 ms.
const EVEN_FOR: Span = Span::from_millis(900);
/// Longest interval that is looked for.
const LONGEST_INTERVAL: Span = Span::from_millis(250);
/// Silence before a rhythm that no held key explains: longer than any delay before repeats.
const FROM_NOTHING: Span = Span::from_millis(1_200);

/// See the [module's documentation](self).
#[derive(Debug, Default)]
pub(super) struct ChaffDetector {
    able: bool,
    found: bool,
    /// No sign of it within [`TO_SHOW`].
    ruled_out: bool,
    first: Option<Timestamp>,
    recent: VecDeque<Timestamp>,
    /// Messages of the even run that goes on, its interval, and whether it began out of silence.
    run: usize,
    run_start: Timestamp,
    run_interval: Span,
    from_nothing: bool,
}

impl ChaffDetector {
    /// Both programs are able to.
    pub(super) const fn expect(&mut self) {
        self.able = true;
    }

    /// `Some(false)` after ten seconds of input without a sign of it.
    pub(super) const fn verdict(&self) -> Option<bool> {
        match (self.found, self.ruled_out) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }

    /// Until when it may still show itself; nothing is decided before.
    pub(super) fn undecided_until(&self) -> Option<Timestamp> {
        let first = self.first.filter(|_| self.able && self.verdict().is_none())?;
        Some(first + TO_SHOW)
    }

    /// Time has passed.
    pub(super) fn decide(&mut self, now: Timestamp) {
        self.ruled_out |= self.undecided_until().is_some_and(|until| now >= until);
    }

    /// Takes an input into account. True where this one gives it away.
    pub(super) fn push(&mut self, input: &Input) -> bool {
        if !self.able || self.found {
            return false;
        }
        let count = match input.kind {
            InputKind::Char | InputKind::Sequence | InputKind::Key => 1,
            InputKind::Keys(count) | InputKind::KeysOrBulk(count) => count,
            InputKind::Bulk => return false,
        };
        let time = input.time;
        self.first.get_or_insert(time);
        self.extend_run(time);
        for _ in 0..count {
            if self.recent.len() >= MEMORY {
                self.recent.pop_front();
            }
            self.recent.push_back(time);
        }
        let within = self.recent.iter().rev().take_while(|earlier| time - **earlier < Span::from_secs(1)).count();
        let even = self.from_nothing && self.run >= EVEN_RUN && time - self.run_start >= EVEN_FOR;
        self.found = even || (RATE.contains(&within) && self.has_a_seconds_history(time));
        self.found
    }

    /// The rate of a second is known only once a second is remembered, or nearly one.
    fn has_a_seconds_history(&self, time: Timestamp) -> bool {
        self.recent.front().is_some_and(|first| time - *first >= Span::from_millis(700))
    }

    fn extend_run(&mut self, time: Timestamp) {
        let Some(&last) = self.recent.back() else {
            (self.run, self.run_start, self.from_nothing) = (1, time, true);
            return;
        };
        let gap = time - last;
        let expected = self.run_interval;
        let tolerance = Span::from_nanos(expected.as_nanos() / 8) + Span::from_millis(3);
        if self.run > 1 && (gap - expected).abs() <= tolerance {
            self.run += 1;
            // Follow the middle of the run's intervals, not the last one's jitter.
            self.run_interval = Span::from_nanos((time - self.run_start).as_nanos() / (self.run as i64 - 1));
        } else if self.run == 1 && gap <= LONGEST_INTERVAL {
            (self.run, self.run_interval) = (2, gap);
        } else {
            (self.run, self.run_start, self.from_nothing) = (1, time, gap > FROM_NOTHING);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cue::{DataRange, Doubt},
        wire::SeqNumber,
    };

    fn found(able: bool, millis: impl IntoIterator<Item = i64>) -> Option<bool> {
        let mut detector = ChaffDetector { able, ..ChaffDetector::default() };
        for ms in millis {
            let time = Timestamp::from_nanos(ms * 1_000_000);
            detector.push(&Input {
                time,
                sent: None,
                end: SeqNumber(0),
                bytes: 36,
                data: DataRange { least: 1, most: 2 },
                kind: InputKind::Char,
                doubt: Doubt::None,
            });
        }
        let last = detector.recent.back().copied();
        last.into_iter().for_each(|last| detector.decide(last + TO_SHOW));
        detector.verdict()
    }

    #[test]
    fn the_default_rhythm_shows_within_a_second() {
        assert_eq!(found(true, (0..50).map(|i| i * 20 + i % 3)), Some(true));
        assert_eq!(found(true, (0..50).map(|i| i * 20 + (i * 7) % 19)), Some(true), "jitter does not hide the rate");
    }

    #[test]
    fn a_slower_rhythm_shows_by_its_evenness() {
        assert_eq!(found(true, (0..13).map(|i| i * 85 + i % 5)), Some(true));
    }

    #[test]
    fn typing_and_a_held_key_are_not_chaff() {
        assert_eq!(found(true, [0, 500].into_iter().chain((1..60).map(|i| 500 + i * 33))), Some(false));
        assert_eq!(found(true, (0..40).map(|i| i * 150 + (i * 37) % 90)), Some(false));
        assert_eq!(found(true, (0..100).map(|i| i * 5)), Some(false), "a script that types is faster");
    }

    #[test]
    fn a_program_that_cannot_does_not() {
        assert_eq!(found(false, (0..50).map(|i| i * 20)), None);
    }
}
