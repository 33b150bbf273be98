//! The clock that the frames were stamped with, as far as they betray that somebody set it.
//!
//! * **Backwards**: a frame is more than [`BACKWARDS`] earlier than the one before it in the same input. Mixed-up queues and
//!   interfaces come to milliseconds.
//! * **Forwards**: between two segments of one direction much more time passed by the capture than by their sender's
//!   timestamps. Those tick at least once a second (RFC 7323 §5.4), and a segment lives at most two minutes on its way
//!   (RFC 9293 §3.4.2); so what exceeds both is neither a pause nor a slow path. Without TCP timestamps a step forwards is
//!   not noticed, nor is one below two minutes: it looks like a pause. One that is longer than flows are kept without a packet
//!   ends them all and is not noticed either.

use crate::{
    flow::{PerSide, Side},
    time::{Span, Timestamp},
    wire::TcpSegment,
};

/// Less than this is disorder, not a step.
const BACKWARDS: Span = Span::from_secs(1);

/// Seconds that a segment may live, RFC 9293 §3.4.2 (MSL).
const LIFETIME: u32 = 120;

/// Steps back so far. Steps forwards are told by flows, several of one: what stands behind the engines counts them.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Time of the last frame of each input, by position.
    last: Vec<Timestamp>,
    steps: u32,
}

impl Clock {
    /// How often the clock was set back.
    pub(super) const fn steps(&self) -> u32 {
        self.steps
    }

    /// Takes note of a frame's time.
    pub(super) fn on_frame(&mut self, input: u32, time: Timestamp) {
        let Some(last) = self.last.get_mut(input as usize) else {
            // Inputs are numbered as they were named: as many as files fit on a command line.
            self.last.resize(input as usize + 1, Timestamp::MIN);
            return self.on_frame(input, time);
        };
        if *last - time > BACKWARDS {
            self.steps = self.steps.saturating_add(1);
        }
        *last = time;
    }
}

/// What a flow keeps of the clock, in little.
#[derive(Debug, Default)]
pub(super) struct ClockOfFlow {
    before: u32,
    now: u32,
    stamps: PerSide<Option<Stamp>>,
}

/// A segment's timestamp, and its capture time in seconds.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    value: u32,
    second: u32,
}

impl ClockOfFlow {
    /// Of a flow that began after so many steps.
    pub(super) const fn since(steps: u32) -> Self {
        Self { before: steps, now: steps, stamps: PerSide { client: None, server: None } }
    }

    /// How often the clock was set back between the first and the last segment.
    pub(super) const fn steps(&self) -> u32 {
        self.now.saturating_sub(self.before)
    }

    /// Takes a segment in. Gives the stretch in which a step forwards lies, where it shows one.
    pub(super) fn on_segment(
        &mut self,
        clock: &Clock,
        side: Side,
        segment: &TcpSegment<'_>,
        time: Timestamp,
    ) -> Option<(Timestamp, Timestamp)> {
        self.on_packet(clock);
        let (value, _) = segment.timestamps()?;
        let second = u32::try_from(time.as_nanos().div_euclid(1_000_000_000)).unwrap_or_default();
        let stamp = Stamp { value, second };
        let last = self.stamps.get_mut(side).replace(stamp).filter(|last| last.precedes(stamp))?;
        Some((Timestamp::from_nanos(i64::from(last.second) * 1_000_000_000), time))
    }

    /// Takes note of a packet that is no segment.
    pub(super) const fn on_packet(&mut self, clock: &Clock) {
        self.now = clock.steps;
    }

    /// Client and server turned out to be the other way round.
    pub(super) fn swap(&mut self) {
        self.stamps.swap();
    }
}

impl Stamp {
    /// Whether the capture's clock was set forwards between this segment and that one.
    fn precedes(self, next: Self) -> bool {
        let ticks = next.value.wrapping_sub(self.value);
        let passed = next.second.saturating_sub(self.second);
        // One second each for the tick that had begun and for the second that is cut off.
        ticks < u32::MAX / 2 && passed > ticks.saturating_add(LIFETIME + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn only_a_jump_back_inside_of_one_input_is_a_step() {
        let mut clock = Clock::default();
        for (input, seconds) in [(0, 100), (0, 99), (1, 50), (0, 100), (1, 51)] {
            clock.on_frame(input, at(seconds));
        }
        assert_eq!(clock.steps(), 0);
        for seconds in [90, 91, 92, 200, 100, 101] {
            clock.on_frame(0, at(seconds));
        }
        assert_eq!(clock.steps(), 2);
    }

    #[test]
    fn a_pause_is_no_step_forwards_and_what_timestamps_deny_is() {
        let precedes = |(value, second), (next, later)| Stamp { value, second }.precedes(Stamp { value: next, second: later });
        assert!(!precedes((0, 0), (3600, 3600)), "a clock that ticks once a second");
        assert!(!precedes((0, 0), (3_600_000, 3600)), "a pause");
        assert!(!precedes((7, 0), (7, 122)), "a slow path");
        assert!(precedes((7, 0), (17, 3600)));
        assert!(precedes((u32::MAX, 0), (9, 3600)), "timestamps wrap");
        assert!(!precedes((9, 0), (8, 3600)), "a late segment");
        assert!(!precedes((9, 3600), (10, 0)), "backwards is seen elsewhere");
    }
}
