//! From chances to keystrokes: which slots to name, and how sure to be of each.

use std::{cmp::Ordering, collections::BinaryHeap};

/// What is too unlikely to look at.
const NEGLIGIBLE: f64 = 0.05;
/// Less likely than this nothing is named, however little is known.
const LEAST: f64 = 0.2;
/// Not many more are named than are expected, as a ratio: half of those that would still be worth naming are chaff, and the count
/// would be a fifth too high.
const MOST: f64 = 1.1;

/// The chance that a key is told in time where it was sent in the slot that is named, in the one before, in the one after,
/// and two before. In time is what passes up to 62 ms after it could: a key waits for its slot, up to one interval, and 40 ms
/// are for what else is late. So two slots late is as late as may be, and one too early is right only where the key was held up.
const IN_TIME: [f64; 4] = [1.0, 0.9, 0.3, 0.7];
/// Slots this far apart, in milliseconds, are too late or too early for each other.
const TOO_FAR: f64 = 45.0;

/// A slot that is named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pick {
    /// Which.
    pub(super) slot: usize,
    /// The chance that it tells of a key in time, as far as no other pick claims that.
    pub(super) confidence: f64,
}

#[derive(PartialEq)]
struct Candidate(f64, usize);

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then_with(|| other.1.cmp(&self.1))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Names the slots that get the most keys right at the least cost, in order: as many as make twice the hits over named and
/// expected keys (F1) largest, but about as many as are expected.
pub(super) fn pick(chances: &[f64], slot_ms: f64) -> Vec<Pick> {
    let in_time = |slots: f64, in_time: f64| if slots * slot_ms < TOO_FAR { in_time } else { 0.0 };
    let [itself, before, after, two_before] = IN_TIME;
    let in_time = [itself, in_time(1.0, before), in_time(1.0, after), in_time(2.0, two_before)];
    let mut picks = gather(chances, in_time);
    picks.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let expected: f64 = chances.iter().sum();
    let most = (MOST * expected).ceil() as usize;
    let (mut hits, mut best, mut named) = (0.0, 0.0, 0);
    for (count, pick) in picks.iter().take(most).enumerate() {
        hits += pick.confidence;
        let f1 = 2.0 * hits / (count as f64 + 1.0 + expected);
        if f1 > best && pick.confidence >= LEAST {
            (best, named) = (f1, count + 1);
        }
    }
    picks.truncate(named);
    picks.sort_by_key(|pick| pick.slot);
    picks
}

/// Every slot that may be named: the one that tells of the most first, each with what the others leave it.
fn gather(chances: &[f64], in_time: [f64; 4]) -> Vec<Pick> {
    let mut left = chances.to_vec();
    let mut named = vec![false; chances.len()];
    let likely = (0..chances.len()).map(|slot| Candidate(confidence(&left, slot, in_time), slot));
    let mut heap: BinaryHeap<Candidate> = likely.filter(|likely| likely.0 > NEGLIGIBLE).collect();
    let mut picks = Vec::new();
    while let Some(Candidate(before, slot)) = heap.pop() {
        let now = confidence(&left, slot, in_time);
        if now < before {
            heap.extend((now > NEGLIGIBLE).then_some(Candidate(now, slot)));
            continue;
        }
        if named.get_mut(slot).is_none_or(|named| std::mem::replace(named, true)) {
            continue;
        }
        picks.push(Pick { slot, confidence: now });
        let claims: Vec<_> = claims(&left, slot, in_time).collect();
        for (of, claimed, _) in claims {
            left.get_mut(of).into_iter().for_each(|left| *left -= claimed);
        }
    }
    picks
}

/// The chance that naming this slot is right.
fn confidence(left: &[f64], slot: usize, in_time: [f64; 4]) -> f64 {
    claims(left, slot, in_time).map(|(_, claimed, in_time)| claimed * in_time).sum()
}

/// What naming a slot claims of it and of those around, one key in all: each with its worth.
fn claims(left: &[f64], slot: usize, in_time: [f64; 4]) -> impl Iterator<Item = (usize, f64, f64)> {
    let around = [Some(slot), slot.checked_sub(1), Some(slot + 1), slot.checked_sub(2)];
    let mut room = 1.0_f64;
    around.into_iter().zip(in_time).filter(|(_, in_time)| *in_time > 0.0).filter_map(move |(of, in_time)| {
        let claimed = left.get(of?)?.min(room);
        room -= claimed;
        Some((of?, claimed, in_time))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sure_is_named_and_what_is_unlikely_is_not() {
        let picks = pick(&[0.0, 0.98, 0.01, 0.0, 0.06, 0.0, 0.95], 20.0);
        assert_eq!(picks.iter().map(|pick| pick.slot).collect::<Vec<_>>(), [1, 6]);
        assert!(picks.iter().all(|pick| pick.confidence > 0.94 && pick.confidence <= 1.0));
    }

    #[test]
    fn one_key_that_may_be_in_two_slots_is_named_once() {
        let picks = pick(&[0.0, 0.4, 0.55, 0.0, 0.0, 0.0, 0.9], 20.0);
        assert_eq!(picks.iter().map(|pick| pick.slot).collect::<Vec<_>>(), [2, 6]);
        assert!((picks[0].confidence - 0.91).abs() < 1e-9);
    }

    #[test]
    fn a_little_late_is_rather_named_than_too_early() {
        let picks = pick(&[0.0, 0.5, 0.46, 0.0, 0.0], 20.0);
        assert_eq!(picks.iter().map(|pick| pick.slot).collect::<Vec<_>>(), [2]);
        let picks = pick(&[0.0, 0.5, 0.46, 0.0, 0.0], 80.0);
        assert_eq!(picks.first().unwrap().slot, 1, "the next slot is too late where slots are long");
    }

    #[test]
    fn two_keys_in_a_row_are_two() {
        assert_eq!(pick(&[0.9, 0.9, 0.9], 20.0).len(), 3);
        assert_eq!(pick(&[], 20.0), []);
    }
}
