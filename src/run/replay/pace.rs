//! When each frame of a replay is due.

use std::time::Duration;

use crate::time::{Span, Timestamp};

/// How fast frames go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// With the gaps of the capture.
    Realtime,
    /// So many a second, at even distances.
    PerSecond(u32),
    /// One after the other.
    TopSpeed,
}

/// A pace and how far it is.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    frames: u64,
    /// Time of the first frame.
    first: Option<Timestamp>,
    /// The largest distance from it so far.
    furthest: Span,
}

impl Schedule {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, frames: 0, first: None, furthest: Span::ZERO }
    }

    /// When the next frame is due, counted from the first; none where there is nothing to wait for. Never earlier than the
    /// one before it: a frame whose time runs backwards follows at once.
    pub(super) fn next(&mut self, time: Timestamp) -> Option<Duration> {
        let index = self.frames;
        self.frames += 1;
        match self.pace {
            Pace::TopSpeed => None,
            Pace::PerSecond(rate) => {
                let rate = u64::from(rate.max(1));
                let rest = (index % rate) * 1_000_000_000 / rate; // below 2^32 * 10^9
                Some(Duration::from_secs(index / rate) + Duration::from_nanos(rest))
            }
            Pace::Realtime => {
                let first = *self.first.get_or_insert(time);
                self.furthest = self.furthest.max(time.saturating_since(first));
                Some(Duration::from_nanos(self.furthest.as_nanos().unsigned_abs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(pace: Pace, times: &[i64]) -> Vec<Option<u128>> {
        let mut schedule = Schedule::new(pace);
        times.iter().map(|&time| schedule.next(Timestamp::from_nanos(time)).map(|due| due.as_nanos())).collect()
    }

    #[test]
    fn real_time_keeps_gaps_and_never_goes_back() {
        let times = [1_000, 1_500, 900, 1_400, 4_000, i64::MIN, i64::MAX];
        let expected = [0, 500, 500, 500, 3_000, 3_000, i64::MAX as u128 - 1_000].map(Some);
        assert_eq!(dues(Pace::Realtime, &times), expected);
    }

    #[test]
    fn a_rate_is_even_and_does_not_drift() {
        assert_eq!(dues(Pace::PerSecond(3), &[9; 5]), [0, 333_333_333, 666_666_666, 1_000_000_000, 1_333_333_333].map(Some));
        let mut schedule = Schedule::new(Pace::PerSecond(u32::MAX));
        schedule.frames = u64::from(u32::MAX) * 1_000 - 1;
        assert_eq!(schedule.next(Timestamp::MIN), Some(Duration::from_nanos(999_999_999_999)));
        assert_eq!(schedule.next(Timestamp::MIN), Some(Duration::from_secs(1_000)));
    }

    #[test]
    fn top_speed_waits_for_nothing() {
        assert_eq!(dues(Pace::TopSpeed, &[0, 5]), [None, None]);
    }
}
