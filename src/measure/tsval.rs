//! TCP timestamps (RFC 7323): a second way to round trips, and the sender's own clock.
//!
//! *Round trips*: the first segment that carries a TSval, against the first that echoes it as TSecr. Unlike sequence
//! numbers, timestamps tell a retransmission from the original, so they still give a sample where Karn's rule gives none.
//! Only segments with data are timed: nothing prompts the echo of a pure acknowledgement.
//!
//! *The clock*: TSval is stamped when the sender's TCP transmits. The difference between two keys' TSvals is their interval at
//! the sender, free of the path's jitter, to one tick: a millisecond on Linux and macOS.

use smallvec::SmallVec;

use super::window::Window;
use crate::time::{Span, Timestamp};

/// TSvals in flight that are remembered.
const MAX_OUTSTANDING: usize = 32;

/// Rates that stacks use, in ticks a second: Linux and macOS 1000, older Linux 250 and 100, some BSDs 2 and 10, Linux with
/// microsecond timestamps 1,000,000.
const RATES: [u32; 6] = [1_000, 250, 100, 10, 2, 1_000_000];

/// How far a measured rate may be off a nominal one: crystals are right to 0.01 %, the rest is jitter over a short time.
const RATE_TOLERANCE: f64 = 0.03;

/// Time after which the rate is taken: jitter of tens of milliseconds is then within the tolerance.
const RATE_AFTER: Span = Span::from_millis(1_500);

/// Times the data of one side against the echoes of its timestamps.
#[derive(Clone, Debug, Default)]
pub struct EchoTimer {
    /// Nearly always one or two: those need no look elsewhere.
    outstanding: SmallVec<[(u32, Timestamp); 4]>,
    newest: Option<u32>,
}

impl EchoTimer {
    /// A segment with data of the side whose data is timed.
    pub fn note(&mut self, tsval: u32, time: Timestamp) {
        // Only the first segment of a tick, and only ticks that advance.
        if self.newest.is_some_and(|newest| tsval.wrapping_sub(newest) as i32 <= 0) {
            return;
        }
        self.newest = Some(tsval);
        if self.outstanding.len() >= MAX_OUTSTANDING {
            self.outstanding.remove(0);
        }
        self.outstanding.push((tsval, time));
    }

    /// A segment of the other side. Gives the round trip of the tick that it echoes, the first time it does.
    pub fn complete(&mut self, tsecr: u32, time: Timestamp) -> Option<Span> {
        let behind = |tsval: u32| tsecr.wrapping_sub(tsval) as i32;
        let passed = self.outstanding.iter().take_while(|(tsval, _)| behind(*tsval) > 0).count();
        if passed > 0 {
            self.outstanding.drain(..passed);
        }
        let (tsval, sent) = *self.outstanding.first()?;
        if behind(tsval) != 0 {
            return None;
        }
        self.outstanding.remove(0);
        Some(time - sent).filter(|rtt| !rtt.is_negative())
    }
}

/// Segments whose delay is remembered, to tell how a packet's delay stands to the usual.
const RECENT: usize = 64;

/// Jitter, in ticks, at which arrival times stop to refine a tick: at this much the two count the same.
const USEFUL_JITTER: f64 = 1.0;

/// Coarsest tick that helps: ten milliseconds are more than any path's jitter is worth.
const SLOWEST_HZ: u32 = 100;

/// A sender's timestamp clock: its rate, and when it says a segment was sent.
#[derive(Clone, Debug, Default)]
pub struct SenderClock {
    first: Option<Timestamp>,
    last: Option<(u32, Timestamp)>,
    /// Ticks since the first segment; TSval itself wraps.
    ticks: i64,
    /// Delays of the last segments that were stamped.
    delays: Window<RECENT>,
    stamped_ticks: Option<i64>,
}

impl SenderClock {
    /// Takes a segment of the sender in.
    pub fn note(&mut self, tsval: u32, time: Timestamp) {
        self.first.get_or_insert(time);
        if let Some((last, _)) = self.last {
            self.ticks = self.ticks.saturating_add(i64::from(tsval.wrapping_sub(last) as i32));
        }
        self.last = Some((tsval, time));
    }

    /// When the segment that was just noted was sent by the sender's clock, counted from the sender's first segment; `None`
    /// before the rate is known, and where the clock is too coarse to help.
    ///
    /// TSval is cut to a tick. Where the path's jitter is smaller than that, the arrival tells where in the tick the segment
    /// was sent; where it is larger, the middle of the tick is the best guess.
    pub fn stamp(&mut self) -> Option<Span> {
        let delay = self.last?.1 - self.first?;
        let hz = self.hz().filter(|hz| *hz > SLOWEST_HZ)?;
        let tick = Span::from_nanos(1_000_000_000 / i64::from(hz));
        let by_clock = tick.times(self.ticks);
        let delay = delay - by_clock;
        // One delay a tick: a message cut into many segments is one observation of the path.
        if self.stamped_ticks != Some(self.ticks) {
            self.delays.push(delay);
            self.stamped_ticks = Some(self.ticks);
        }
        Some(by_clock + self.within_tick(delay, tick))
    }

    /// Nominal ticks a second; `None` before it is known, and where the clock is none that stacks use (TSvals made up by a
    /// middlebox, say).
    #[must_use]
    pub fn hz(&self) -> Option<u32> {
        let span = self.last?.1 - self.first?;
        if span < RATE_AFTER {
            return None;
        }
        let measured = self.ticks as f64 * 1e9 / span.as_nanos() as f64;
        RATES.into_iter().find(|&rate| (measured / f64::from(rate) - 1.0).abs() <= RATE_TOLERANCE)
    }

    /// Where in its tick a segment with this delay was sent.
    fn within_tick(&self, delay: Span, tick: Span) -> Span {
        let least = self.delays.min().unwrap_or(delay);
        let middle = self.delays.median().unwrap_or(delay);
        let jitter = (middle - least).as_nanos() as f64 / tick.as_nanos() as f64;
        let weight = 1.0 / (1.0 + (jitter / USEFUL_JITTER).powi(2));
        let by_arrival = (delay - least).clamp(Span::ZERO, tick).as_nanos() as f64;
        let by_guess = tick.as_nanos() as f64 / 2.0;
        Span::from_nanos((weight * by_arrival + (1.0 - weight) * by_guess) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn the_first_echo_of_a_tick_is_its_round_trip() {
        let mut timer = EchoTimer::default();
        timer.note(100, at(0));
        timer.note(100, at(1)); // the same tick: not the first
        timer.note(130, at(30));
        assert_eq!(timer.complete(90, at(34)), None);
        assert_eq!(timer.complete(100, at(35)), Some(Span::from_millis(35)));
        assert_eq!(timer.complete(100, at(90)), None);
        assert_eq!(timer.complete(130, at(65)), Some(Span::from_millis(35)));
    }

    #[test]
    fn a_tick_that_was_passed_over_gives_nothing() {
        let mut timer = EchoTimer::default();
        timer.note(100, at(0));
        timer.note(110, at(10));
        assert_eq!(timer.complete(110, at(45)), Some(Span::from_millis(35)));
        assert_eq!(timer.complete(100, at(46)), None);
    }

    #[test]
    fn memory_is_bounded_and_ticks_wrap() {
        let mut timer = EchoTimer::default();
        (0..1_000u32).for_each(|i| timer.note((u32::MAX - 500).wrapping_add(i), at(i64::from(i))));
        assert_eq!(timer.outstanding.len(), MAX_OUTSTANDING);
        assert_eq!(timer.complete((u32::MAX - 500).wrapping_add(999), at(1_100)), Some(Span::from_millis(101)));
    }

    fn stamp(clock: &mut SenderClock, tsval: u32, time: Timestamp) -> Option<Span> {
        clock.note(tsval, time);
        clock.stamp()
    }

    /// A clock that has ticked 1000 times a second for four seconds, heard through this jitter in microseconds.
    fn clock(jitter: i64) -> SenderClock {
        let mut clock = SenderClock::default();
        for i in 0..80 {
            stamp(&mut clock, i * 50, Timestamp::from_nanos(i64::from(i) * 50_000_000 + i64::from(i * 37 % 11) * jitter * 100));
        }
        clock
    }

    #[test]
    fn the_rate_is_found_through_jitter() {
        for (rate, want) in [(1_000, Some(1_000)), (250, Some(250)), (100, Some(100)), (400, None)] {
            let mut clock = SenderClock::default();
            for ms in (0..4_000).step_by(50) {
                stamp(&mut clock, (ms * rate / 1_000) as u32, at(ms + ms % 7));
            }
            assert_eq!(clock.hz(), want);
        }
    }

    #[test]
    fn the_clock_takes_out_what_the_path_put_in() {
        let mut clock = clock(2_000);
        // Sent 120 ms apart; the second was held up by 30 ms on its way.
        let first = stamp(&mut clock, 4_100, at(4_101)).unwrap();
        let second = stamp(&mut clock, 4_220, at(4_251)).unwrap();
        assert!(((second - first).as_millis_f64() - 120.0).abs() < 1.0, "{:?}", second - first);
    }

    #[test]
    fn on_a_quiet_path_the_arrival_is_finer_than_the_tick() {
        let mut clock = clock(0);
        let first = stamp(&mut clock, 4_100, Timestamp::from_nanos(4_100_100_000)).unwrap();
        let second = stamp(&mut clock, 4_220, Timestamp::from_nanos(4_220_700_000)).unwrap();
        assert!(((second - first).as_millis_f64() - 120.6).abs() < 0.2, "{:?}", second - first);
    }

    /// Median error of 600 intervals in milliseconds: keys sent all over their ticks, on a path with up to this much jitter in
    /// microseconds, by a sender whose clock is this many millionths fast.
    fn interval_error(jitter: i64, parts_per_million: i64) -> f64 {
        let (mut clock, mut random, mut sent) = (SenderClock::default(), 1u64, 0);
        let mut next = |below: i64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as i64 % below.max(1)
        };
        let sends: Vec<_> = (0..600)
            .filter_map(|_| {
                sent += 80_000_000 + next(150_000_000);
                let tsval = (sent + sent / 1_000_000 * parts_per_million) / 1_000_000;
                let arrival = sent + 20_000_000 + next(jitter * 1_000);
                Some((sent, stamp(&mut clock, tsval as u32, Timestamp::from_nanos(arrival))?))
            })
            .collect();
        let later = sends.iter().skip(1);
        let mut errors: Vec<_> = sends
            .iter()
            .zip(later)
            .map(|(key, next)| (next.1 - key.1 - Span::from_nanos(next.0 - key.0)).abs().as_millis_f64())
            .collect();
        errors.sort_by(f64::total_cmp);
        *errors.get(errors.len() / 2).unwrap()
    }

    /// Two times that are cut to a tick are wrong by 0.29 of it in the median.
    #[test]
    fn an_interval_is_finer_than_the_tick_where_the_path_allows_and_no_coarser_elsewhere() {
        for (jitter, drift, most) in
            [(0, 0, 0.08), (100, 0, 0.1), (100, 20, 0.15), (100, -20, 0.15), (1_000, 0, 0.25), (30_000, 0, 0.32)]
        {
            let error = interval_error(jitter, drift);
            assert!(error < most, "{jitter} microseconds of jitter, drift {drift}: {error:.3} ms");
        }
    }

    #[test]
    fn ticks_that_wrap_go_on() {
        let mut clock = SenderClock::default();
        let stamps: Vec<_> = (0..100u32)
            .filter_map(|i| stamp(&mut clock, (u32::MAX - 2_000).wrapping_add(i * 50), at(i64::from(i) * 50)))
            .collect();
        assert!(stamps.is_sorted() && stamps.len() > 60);
    }
}
