//! Telling the repeats of a held key from presses.
//!
//! A held key is silent for 180 ms to 1.1 s after its press and then repeats at an even pace: 25 to 40 a second by
//! default on X11, Windows and macOS, 11 on the Linux console. People do not keep that pace within a fifth over
//! four keys at 60 ms, nor slower ones within a tenth over six.

use std::collections::VecDeque;

use crate::time::{Span, Timestamp};

/// Keys before and behind the one in question that are looked at.
const NEIGHBOURS: usize = 8;

/// Slowest repeat that is believed: 8 a second.
const SLOWEST: Span = Span::from_millis(125);
/// Fastest: 67 a second.
const FASTEST: Span = Span::from_millis(15);
/// Up to this pace four even intervals are enough.
const FAST: Span = Span::from_millis(60);
/// The pause between a press and its first repeat.
const DELAY: std::ops::RangeInclusive<Span> = Span::from_millis(180)..=Span::from_millis(1_100);

/// A key for this purpose: when, and how long its message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) time: Timestamp,
    pub(super) bytes: u32,
}

/// Adds a decided key to those remembered.
pub(super) fn remember(decided: &mut VecDeque<Beat>, beat: Beat) {
    if decided.len() > NEIGHBOURS {
        decided.pop_front();
    }
    decided.push_back(beat);
}

/// Whether `beat` is a repeat, going by the keys before and behind it.
pub(super) fn is_repeat(before: &VecDeque<Beat>, beat: Beat, behind: impl Iterator<Item = Beat>) -> bool {
    let mut run = Vec::with_capacity(2 * NEIGHBOURS + 1);
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
    let mut intervals: Vec<Span> = run.windows(2).filter_map(|pair| Some(pair.get(1)?.time - pair.first()?.time)).collect();
    intervals.sort_unstable();
    let Some(&median) = intervals.get(intervals.len() / 2) else { return false };
    let (least, share, slack) = if median <= FAST { (3, 5, 4) } else { (5, 16, 3) };
    let tolerance = Span::from_nanos(median.as_nanos() / share) + Span::from_millis(slack);
    let even = intervals.iter().filter(|interval| (**interval - median).abs() <= tolerance).count();
    if intervals.len() < least || even * 5 < intervals.len() * 4 {
        return false;
    }
    // The first of an even run is a repeat only if its press came before, the usual pause earlier.
    position > 0 || press.is_some_and(|press| press.bytes == beat.bytes && DELAY.contains(&(beat.time - press.time)))
}

fn follows(earlier: Beat, later: Beat) -> bool {
    earlier.bytes == later.bytes && (FASTEST..=SLOWEST).contains(&(later.time - earlier.time))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the keys at these milliseconds are repeats.
    fn repeats(millis: &[i64]) -> Vec<bool> {
        let beats: Vec<_> = millis.iter().map(|ms| Beat { time: Timestamp::from_nanos(ms * 1_000_000), bytes: 44 }).collect();
        let mut before = VecDeque::new();
        (0..beats.len())
            .map(|i| {
                let repeat = is_repeat(&before, beats[i], beats[i + 1..].iter().copied());
                remember(&mut before, beats[i]);
                repeat
            })
            .collect()
    }

    #[test]
    fn a_held_key_is_one_press_and_repeats() {
        let held: Vec<i64> = [0, 500].into_iter().chain((1..12).map(|i| 500 + i * 33 + i % 3)).collect();
        let found = repeats(&held);
        assert!(!found[0]);
        assert!(found[1..].iter().all(|repeat| *repeat), "{found:?}");
    }

    #[test]
    fn a_slow_even_repeat_counts_too() {
        let held: Vec<i64> = [0, 250].into_iter().chain((1..12).map(|i| 250 + i * 92)).collect();
        assert_eq!(repeats(&held).iter().filter(|repeat| **repeat).count(), 12);
    }

    #[test]
    fn typing_is_not_repeating() {
        assert!(repeats(&[0, 95, 250, 310, 420, 640, 700, 860, 1_000, 1_080]).iter().all(|repeat| !repeat));
        assert!(repeats(&[0, 45, 88]).iter().all(|repeat| !repeat), "three fast keys are a word's end");
    }
}
