//! Whether intervals are a person's between keys, or a program's between requests.
//!
//! The likelihood of the intervals under the shape that published typing has (72 people, 42,659 intervals: a middle half of 116 to
//! 306 ms around 168 ms, 5 % under 65 ms and 5 % over 741 ms), at whatever speed fits best, is held against those of what programs
//! do: wait for a time that is drawn from an exponential, an even or a normal distribution, each with the parameters that fit best,
//! the exponential one also from the shortest interval on, as where the next request waits for the answer.

use crate::time::Span;

/// Shorter intervals are not between two keys; longer ones are pauses.
const SHORTEST: Span = Span::from_millis(5);
const LONGEST: Span = Span::from_secs(2);

/// Intervals as short as this, one after the other and alike, are a key that is held.
const HELD: Span = Span::from_millis(60);
const ALIKE: Span = Span::from_millis(10);

/// Intervals below which nothing is said.
const ENOUGH: usize = 32;

/// How much likelier typing must be than every program, as a logarithm: a factor of 400. Of the 72 people whose typing this was taken
/// from, four in five are known within 600 keys; of 600 drawn programs of 2,000 requests each, with random pauses behind an answer
/// that takes 60 ms among them, the factor let through four that draw from a gamma distribution, which no margin tells from a hand.
const MARGIN: f64 = 6.0;

/// Speeds, as multiples of the median; slow hands have more and longer pauses.
const SPEEDS: [f64; 7] = [0.6, 0.75, 0.9, 1.1, 1.35, 1.65, 2.0];
const HANDS: [Hand; 2] = [
    Hand { fluent: 0.84, spread: 0.5, pause_ms: 700.0, pause_spread: 1.2 },
    Hand { fluent: 0.7, spread: 0.4, pause_ms: 350.0, pause_spread: 0.7 },
];

/// Median interval of fluent typing.
const MEDIAN_MS: f64 = 155.0;

/// A mixture of two lognormal distributions.
struct Hand {
    /// Share of the first.
    fluent: f64,
    spread: f64,
    pause_ms: f64,
    pause_spread: f64,
}

impl Hand {
    /// Density per millisecond.
    fn density(&self, ms: f64, speed: f64) -> f64 {
        self.fluent * lognormal(ms, MEDIAN_MS * speed, self.spread)
            + (1.0 - self.fluent) * lognormal(ms, self.pause_ms * speed, self.pause_spread)
            + 1e-6
    }
}

/// Whether these intervals, in order, are far likelier a person's than a program's.
pub(super) fn is_human(intervals: &[Span]) -> bool {
    let is_held = |one: Span, other: Span| one < HELD && other < HELD && (one - other).abs() <= ALIKE;
    let held_with_next = |at: usize| match (intervals.get(at), intervals.get(at + 1)) {
        (Some(&one), Some(&other)) => is_held(one, other),
        _ => false,
    };
    let is_single = |at: usize| !(held_with_next(at) || (at > 0 && held_with_next(at - 1)));
    let millis: Vec<f64> = intervals
        .iter()
        .enumerate()
        .filter(|(at, interval)| **interval >= SHORTEST && **interval <= LONGEST && is_single(*at))
        .map(|(_, interval)| interval.as_millis_f64())
        .collect();
    // Bursts of several in an instant are a program's, whatever is between them.
    let bursts = intervals.iter().filter(|interval| **interval < SHORTEST).count();
    if millis.len() < ENOUGH || bursts * 10 > intervals.len() {
        return false;
    }
    let person = person(&millis);
    programs(&millis).into_iter().all(|program| person - program >= MARGIN)
}

/// Log-likelihood under typing.
fn person(millis: &[f64]) -> f64 {
    let of = |hand: &Hand, speed: f64| millis.iter().map(|ms| hand.density(*ms, speed).ln()).sum::<f64>();
    HANDS.iter().flat_map(|hand| SPEEDS.map(|speed| of(hand, speed))).fold(f64::NEG_INFINITY, f64::max)
}

/// Log-likelihoods under exponential waiting from the shortest on, and from nothing on, even, and normal distributions.
fn programs(millis: &[f64]) -> [f64; 4] {
    let count = millis.len() as f64;
    let mean = millis.iter().sum::<f64>() / count;
    let least = millis.iter().copied().fold(f64::INFINITY, f64::min);
    let most = millis.iter().copied().fold(0.0, f64::max);
    let deviation = (millis.iter().map(|ms| (ms - mean).powi(2)).sum::<f64>() / count).sqrt() + 0.5;
    [
        // Nine tenths of the shortest: that is always a little longer than what everybody waits.
        -count * (mean - 0.9 * least + 0.5).ln() - count,
        -count * mean.max(0.5).ln() - count,
        -count * (most - least + 0.5).ln(),
        -count * (deviation * (2.0 * std::f64::consts::PI).sqrt()).ln() - count / 2.0,
    ]
}

fn lognormal(ms: f64, median: f64, spread: f64) -> f64 {
    let deviate = (ms / median).ln() / spread;
    (-0.5 * deviate * deviate).exp() / (ms * spread * (2.0 * std::f64::consts::PI).sqrt())
}

#[cfg(test)]
#[path = "rhythm_tests.rs"]
mod tests;
