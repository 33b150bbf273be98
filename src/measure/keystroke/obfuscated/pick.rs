//! From chances to keystrokes: which slots to name, and how sure to be of each.

use std::{cmp::Ordering, collections::BinaryHeap};

/// What is too unlikely to look at.
const NEGLIGIBLE: f64 = 0.05;
/// Less likely than this nothing is named, however little is known.
const LEAST: f64 = 0.2;

/// A slot that is named.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pick {
    /// Which.
    pub(super) slot: usize,
    /// The chance that a key was sent in it or right beside it, as far as no other pick claims that.
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
/// expected keys (F1) largest.
pub(super) fn pick(chances: &[f64]) -> Vec<Pick> {
    let mut picks = gather(chances);
    picks.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let expected: f64 = chances.iter().sum();
    let (mut hits, mut best, mut named) = (0.0, 0.0, 0);
    for (count, pick) in picks.iter().enumerate() {
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

/// Every slot that may be named: the likeliest first, each with what its neighbours leave it.
fn gather(chances: &[f64]) -> Vec<Pick> {
    let mut left = chances.to_vec();
    let mut named = vec![false; chances.len()];
    let likely = chances.iter().enumerate().filter(|(_, chance)| **chance > NEGLIGIBLE);
    let mut heap: BinaryHeap<Candidate> = likely.map(|(slot, chance)| Candidate(*chance, slot)).collect();
    let mut picks = Vec::new();
    while let Some(Candidate(chance, slot)) = heap.pop() {
        let now = left.get(slot).copied().unwrap_or_default();
        if now < chance {
            heap.extend((now > NEGLIGIBLE).then_some(Candidate(now, slot)));
            continue;
        }
        let mut confidence = now;
        for beside in [slot.checked_sub(1), Some(slot + 1)].into_iter().flatten() {
            if named.get(beside) == Some(&false)
                && let Some(rest) = left.get_mut(beside)
            {
                let taken = rest.min(1.0 - confidence);
                *rest -= taken;
                confidence += taken;
            }
        }
        named.iter_mut().skip(slot).take(1).for_each(|named| *named = true);
        picks.push(Pick { slot, confidence });
    }
    picks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sure_is_named_and_what_is_unlikely_is_not() {
        let picks = pick(&[0.0, 0.98, 0.01, 0.0, 0.06, 0.0, 0.95]);
        assert_eq!(picks.iter().map(|pick| pick.slot).collect::<Vec<_>>(), [1, 6]);
        assert!(picks.iter().all(|pick| pick.confidence > 0.94 && pick.confidence <= 1.0));
    }

    #[test]
    fn one_key_that_may_be_in_two_slots_is_named_once() {
        let picks = pick(&[0.0, 0.4, 0.55, 0.0, 0.0, 0.9]);
        assert_eq!(picks.iter().map(|pick| pick.slot).collect::<Vec<_>>(), [2, 5]);
        assert!((picks[0].confidence - 0.95).abs() < 1e-9);
    }

    #[test]
    fn two_keys_in_a_row_are_two() {
        assert_eq!(pick(&[0.9, 0.9, 0.9]).len(), 3);
        assert_eq!(pick(&[]), []);
    }
}
