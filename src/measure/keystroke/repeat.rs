//! Telling the repeats of a held key from presses, and counting those that share a message.
//!
//! A held key is silent for 180 ms to 1.1 s after its press and then repeats at an even pace: 25 to 40 a second by
//! default on X11, Windows and macOS, 11 on the Linux console. People do not keep that pace within a fifth over
//! four keys at 60 ms, nor slower ones within a tenth over six.
//!
//! A client that is held up reads several repeats at once and sends them in one message. The pace is the keyboard's and does not
//! change within a session, so once it is known, the time that has passed tells how many there were; the message's length
//! bounds it from both sides.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::{
    cue::DataRange,
    measure::estimate::RunningMedian,
    time::{Span, Timestamp},
};

/// Keys before and behind the one in question that are looked at.
const NEIGHBOURS: usize = 8;

/// Longest run of keys that is looked at.
const RUN: usize = 2 * NEIGHBOURS + 2;

/// Slowest repeat that is believed: 8 a second.
const SLOWEST: Span = Span::from_millis(125);
/// Fastest: 67 a second.
const FASTEST: Span = Span::from_millis(15);
/// Up to this pace four even intervals are enough.
const FAST: Span = Span::from_millis(60);
/// So many intervals of one key at this pace, however uneven they arrive, are no fingers' work: the fastest pairs of
/// letters are 40 ms apart (5th percentile of people's intervals: 67 ms), and not five in a row.
const LONG_RUN: usize = 5;
/// See [`LONG_RUN`].
const NO_FINGERS: Span = Span::from_millis(50);
/// The pause between a press and its first repeat.
const DELAY: std::ops::RangeInclusive<Span> = Span::from_millis(180)..=Span::from_millis(1_100);
/// Clean intervals after which the keyboard's pace is known.
const PACE_KNOWN: u64 = 5;
/// A hold that was interrupted for longer is over.
const LONGEST_STALL: Span = Span::from_millis(2_500);
/// Most repeats in one message.
const MOST_IN_ONE: u32 = 16;

/// A message for this purpose: when, how long, and what it can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) time: Timestamp,
    pub(super) bytes: u32,
    pub(super) data: DataRange,
    /// By its length it can be one key.
    pub(super) single: bool,
    /// It was answered by no more than one character.
    pub(super) short_echo: bool,
    /// A character that changed the line: most likely the same as another such.
    pub(super) erases: bool,
    /// About as much came back as went in: what a paste does.
    pub(super) mirrored: bool,
}

/// The holds of a session: the last keys, and the pace of its keyboard.
#[derive(Debug, Default)]
pub(super) struct Holds {
    decided: VecDeque<Beat>,
    last_repeated: bool,
    pace: RunningMedian,
}

impl Holds {
    /// Adds a decided message to those remembered.
    pub(super) fn remember(&mut self, beat: Beat, repeated: bool) {
        if let Some(last) = self.decided.back()
            && repeated
            && self.last_repeated
            && follows(*last, beat)
            && beat.time - last.time <= FAST
        {
            self.pace.record(beat.time - last.time);
        }
        self.last_repeated = repeated;
        if self.decided.len() > NEIGHBOURS {
            self.decided.pop_front();
        }
        self.decided.push_back(beat);
    }

    /// How many repeats of a held key a message is; 0 where it is none. `behind` are the messages after it.
    pub(super) fn repeats_in(&self, beat: Beat, behind: impl Iterator<Item = Beat> + Clone) -> u8 {
        let run = beat.single.then(|| even_run(&self.decided, beat, behind.clone())).flatten();
        let pace = self.known_pace().or_else(|| pace_behind(behind.clone()));
        let count = match (pace, self.decided.back()) {
            // People, too, type evenly now and then; a keyboard does not change its pace.
            (Some(pace), _) if run.is_some_and(|run| !near(run, pace)) => 0,
            (Some(pace), Some(&last)) if last.single && beat.time - last.time <= LONGEST_STALL => {
                if beat.bytes == last.bytes {
                    self.same_key(beat, last, pace, run.is_some(), behind)
                } else {
                    self.longer_message(beat, last, pace, behind)
                }
            }
            _ => u32::from(run.is_some()),
        };
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    fn known_pace(&self) -> Option<Span> {
        if self.pace.samples().count() < PACE_KNOWN {
            return None;
        }
        self.pace.median()
    }

    /// A message as long as the one before it.
    fn same_key(&self, beat: Beat, last: Beat, pace: Span, even: bool, behind: impl Iterator<Item = Beat>) -> u32 {
        let gap = beat.time - last.time;
        let (caught_up, goes_on) = catch_up(beat, last, pace, behind);
        if !self.last_repeated {
            // No finger presses one key twice within 45 ms; two letters do come like that.
            let one_key = last.data.least > 1 || (last.erases && beat.erases);
            let begins = goes_on == GoesOn::AtPace && DELAY.contains(&gap) && one_key;
            return u32::from(even || begins);
        }
        if gap <= pace || near(gap, pace) {
            return 1;
        }
        let goes_on = match goes_on {
            GoesOn::No => false,
            GoesOn::Soon => gap <= pace.times(3),
            GoesOn::AtPace => gap <= pace.times(6),
        };
        if !goes_on {
            return 0; // the hold is over: the same key pressed again
        }
        ratio(gap - caught_up - ahead(&self.decided, pace), pace).clamp(1, (beat.data.most / last.data.least.max(1)).max(1))
    }

    /// A message longer than the one before it: several repeats of that one's key, or another key.
    fn longer_message(&self, beat: Beat, last: Beat, pace: Span, behind: impl Iterator<Item = Beat>) -> u32 {
        // One repeat is what the shortest message that can carry this key carries: one byte, or an escape sequence of three.
        let unit = last.data.least.max(1);
        let (fewest, most) = (beat.data.least.div_ceil(unit), (beat.data.most / unit).min(MOST_IN_ONE));
        let gap = beat.time - last.time;
        let (caught_up, goes_on) = catch_up(beat, last, pace, behind);
        let in_hold = match (self.last_repeated, goes_on) {
            (true, GoesOn::AtPace) => true,
            (true, _) => gap > pace.times(3) / 2,
            (false, GoesOn::No) => unit > 1 && gap >= *DELAY.start(),
            (false, _) => gap >= *DELAY.start(),
        };
        // What several keys do takes more than one character to show, and is not what went in.
        if beat.bytes < last.bytes || fewest > most || !in_hold || beat.short_echo || (beat.mirrored && !beat.single) {
            return 0;
        }
        if self.last_repeated && gap > pace.times(6) {
            return (fewest + most).div_ceil(2); // held all along, or let go: the middle of what the length allows
        }
        let since_due = if self.last_repeated { gap } else { gap - *DELAY.start() };
        ratio(since_due - caught_up, pace).clamp(fewest, most)
    }
}

/// Whether an interval is one of a pace, within a third.
fn near(interval: Span, pace: Span) -> bool {
    (interval - pace).abs() <= pace / 3
}

/// Whether the messages behind one go on in the same hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoesOn {
    No,
    /// Soon, though not at the pace.
    Soon,
    /// At the pace.
    AtPace,
}

/// By how much the messages behind a late one came early, and whether they go on with the key of `last`.
fn catch_up(beat: Beat, last: Beat, pace: Span, behind: impl Iterator<Item = Beat>) -> (Span, GoesOn) {
    let (mut early, mut before, mut goes_on) = (Span::ZERO, beat.time, GoesOn::No);
    for (next, nth) in behind.take_while(|next| next.single && next.bytes >= last.bytes).zip(1..=4) {
        let gap = next.time - before;
        let same = next.bytes == last.bytes;
        if same && near(gap, pace) {
            goes_on = GoesOn::AtPace;
        } else if goes_on == GoesOn::No && ((same && gap <= pace.times(4)) || gap <= pace / 3) {
            goes_on = GoesOn::Soon;
        }
        early = early.max(pace.times(nth) - (next.time - beat.time));
        before = next.time;
    }
    (early, goes_on)
}

/// By how much the last message came early itself, going by those before it.
fn ahead(decided: &VecDeque<Beat>, pace: Span) -> Span {
    let mut newest_first = decided.iter().rev();
    let Some(last) = newest_first.next() else { return Span::ZERO };
    newest_first
        .take_while(|beat| beat.bytes == last.bytes && last.time - beat.time < pace.times(5))
        .zip(1..=3)
        .fold(Span::ZERO, |early, (beat, nth)| early.max(pace.times(nth) - (last.time - beat.time)))
}

/// The pace of an even run of at least three intervals behind a message.
fn pace_behind(behind: impl Iterator<Item = Beat>) -> Option<Span> {
    let mut behind = behind.take(NEIGHBOURS);
    let mut last = behind.next()?;
    let mut intervals: SmallVec<[Span; NEIGHBOURS]> = behind
        .map_while(|next| {
            let before = std::mem::replace(&mut last, next);
            follows(before, next).then(|| next.time - before.time)
        })
        .collect();
    intervals.sort_unstable();
    let median = *intervals.get(intervals.len() / 2)?;
    let even = intervals.iter().all(|interval| near(*interval, median));
    (intervals.len() >= 3 && even && median <= FAST).then_some(median)
}

/// How many times `pace` goes into `span`, to the nearest.
fn ratio(span: Span, pace: Span) -> u32 {
    let pace = pace.as_nanos().max(1);
    u32::try_from((span.as_nanos() + pace / 2) / pace).unwrap_or(0)
}

/// The pace of the even run that `beat` is a repeat in, going by the keys before and behind it.
fn even_run(before: &VecDeque<Beat>, beat: Beat, behind: impl Iterator<Item = Beat>) -> Option<Span> {
    let mut run = SmallVec::<[Beat; RUN]>::new();
    let mut next = beat;
    let mut press = None;
    for &earlier in before.iter().rev() {
        if !follows(earlier, next) {
            press = Some(earlier);
            break;
        }
        run.push(earlier);
        next = earlier;
    }
    run.reverse();
    let position = run.len();
    run.push(beat);
    for later in behind.take(NEIGHBOURS) {
        if !follows(*run.last().unwrap_or(&beat), later) {
            break;
        }
        run.push(later);
    }
    let mut intervals: SmallVec<[Span; RUN]> =
        run.windows(2).filter_map(|pair| Some(pair.get(1)?.time - pair.first()?.time)).collect();
    intervals.sort_unstable();
    let median = *intervals.get(intervals.len() / 2)?;
    let (least, share, slack) = if median <= FAST { (3, 5, 4) } else { (5, 16, 3) };
    let tolerance = median / share + Span::from_millis(slack);
    let even = intervals.iter().filter(|interval| (**interval - median).abs() <= tolerance).count();
    let is_even = intervals.len() >= least && even * 5 >= intervals.len() * 4;
    let total = intervals.iter().fold(Span::ZERO, |sum, interval| sum + *interval);
    let mean = total / i64::try_from(intervals.len()).unwrap_or(i64::MAX);
    let too_fast_for_fingers = intervals.len() >= LONG_RUN && mean <= NO_FINGERS;
    if !is_even && !too_fast_for_fingers {
        return None;
    }
    // The first of an even run is a repeat only if its press came before, the usual pause earlier.
    let pressed = press.is_some_and(|press| press.bytes == beat.bytes && DELAY.contains(&(beat.time - press.time)));
    (position > 0 || pressed).then_some(if is_even { median } else { mean })
}

fn follows(earlier: Beat, later: Beat) -> bool {
    earlier.bytes == later.bytes && (FASTEST..=SLOWEST).contains(&(later.time - earlier.time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAR: (u32, DataRange) = (36, DataRange { least: 1, most: 2 });
    const ARROW: (u32, DataRange) = (44, DataRange { least: 3, most: 10 });
    const LONG: (u32, DataRange) = (68, DataRange { least: 27, most: 34 });

    fn beat(ms: i64, (bytes, data): (u32, DataRange)) -> Beat {
        Beat {
            time: Timestamp::from_nanos(ms * 1_000_000),
            bytes,
            data,
            single: bytes <= 44,
            short_echo: false,
            erases: false,
            mirrored: false,
        }
    }

    /// How many repeats each message is.
    fn repeats(beats: &[Beat]) -> Vec<u8> {
        let mut holds = Holds::default();
        (0..beats.len())
            .map(|i| {
                let count = holds.repeats_in(beats[i], beats[i + 1..].iter().copied());
                holds.remember(beats[i], count > 0);
                count
            })
            .collect()
    }

    fn all(millis: impl IntoIterator<Item = i64>, what: (u32, DataRange)) -> Vec<Beat> {
        millis.into_iter().map(|ms| beat(ms, what)).collect()
    }

    #[test]
    fn a_held_key_is_one_press_and_repeats() {
        let held = all([0, 500].into_iter().chain((1..12).map(|i| 500 + i * 33 + i % 3)), ARROW);
        let found = repeats(&held);
        assert_eq!(found[0], 0);
        assert!(found[1..].iter().all(|count| *count == 1), "{found:?}");
    }

    #[test]
    fn a_slow_even_repeat_counts_too() {
        let held = all([0, 250].into_iter().chain((1..12).map(|i| 250 + i * 92)), CHAR);
        assert_eq!(repeats(&held).iter().filter(|count| **count == 1).count(), 12);
    }

    #[test]
    fn typing_is_not_repeating() {
        let typed = all([0, 95, 250, 310, 420, 640, 700, 860, 1_000, 1_080], CHAR);
        assert!(repeats(&typed).iter().all(|count| *count == 0));
        assert!(repeats(&all([0, 45, 88], CHAR)).iter().all(|count| *count == 0), "three fast keys are a word's end");
    }

    #[test]
    fn even_typing_at_another_pace_is_not_repeating() {
        let mut beats = all([0, 500].into_iter().chain((1..12).map(|i| 500 + i * 33)), CHAR);
        beats.extend(all((0..8).map(|i| 2_000 + i * 82), CHAR));
        assert!(repeats(&beats)[13..].iter().all(|count| *count == 0));
    }

    #[test]
    fn repeats_that_share_a_message_are_counted_by_the_time_that_passed() {
        // One beat is missing at 731 ms: two repeats came in the message at 764 ms.
        let held = all((0..8).map(|i| 500 + i * 33).chain((9..16).map(|i| 500 + i * 33)), CHAR);
        let mut beats = all([0], CHAR);
        beats.extend(held);
        let found = repeats(&beats);
        assert_eq!(found.iter().map(|count| u32::from(*count)).sum::<u32>(), 16, "{found:?}");
    }

    #[test]
    fn a_message_that_was_only_late_is_one_repeat() {
        // The ninth comes 40 ms late, the tenth right behind it: nothing is missing.
        let late = [804, 805].into_iter().chain((10..16).map(|i| 500 + i * 33));
        let beats = all([0].into_iter().chain((0..8).map(|i| 500 + i * 33)).chain(late), CHAR);
        assert_eq!(repeats(&beats).iter().map(|count| u32::from(*count)).sum::<u32>(), 16);
    }

    #[test]
    fn a_long_message_in_a_hold_is_many_repeats_within_its_length() {
        let mut beats = all([0, 500].into_iter().chain((1..12).map(|i| 500 + i * 33)), ARROW);
        beats.push(beat(863 + 11 * 33, LONG));
        let found = repeats(&beats);
        assert!((9..=11).contains(found.last().unwrap()), "{found:?}");
    }

    #[test]
    fn a_paste_after_an_arrow_is_no_hold() {
        let mut beats = all([0, 500].into_iter().chain((1..12).map(|i| 500 + i * 33)), ARROW);
        beats.extend(all([3_000], ARROW));
        beats.push(Beat { mirrored: true, ..beat(3_700, LONG) });
        assert_eq!(repeats(&beats).last(), Some(&0));
    }

    #[test]
    fn a_key_pressed_after_a_hold_is_a_press() {
        let mut beats = all([0, 500].into_iter().chain((1..12).map(|i| 500 + i * 33)), CHAR);
        beats.push(beat(863 + 108, CHAR));
        assert_eq!(repeats(&beats).last(), Some(&0));
        beats.pop();
        beats.push(Beat { short_echo: true, ..beat(863 + 400, ARROW) });
        assert_eq!(repeats(&beats).last(), Some(&0), "an arrow moves the cursor by one");
    }
}
