//! Whether input has a person's rhythm or a program's.
//!
//! People spread: the middle half of their intervals is as wide as two thirds of the median, and of 50,000 intervals of 21
//! people 0.4 % were shorter than 20 ms. A program types at an even pace, or as fast as it can.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{measure::estimate::Quantiles, time::Span};

/// Intervals below which nothing is said.
const ENOUGH: u64 = 20;
/// Pastes below which nothing is said of them.
const ENOUGH_PASTES: u64 = 4;
/// No person's median.
const INHUMAN_MEDIAN: Span = Span::from_millis(25);
/// Intervals shorter than this are rare in typing.
pub(in crate::measure) const FAST: Span = Span::from_millis(20);
/// Fifty times the share of such intervals that people have.
const FAST_SHARE: f64 = 0.2;
/// Width of the middle half over the median: a coefficient of variation of 0.1, if it were a normal distribution.
const EVEN: f64 = 0.135;

const FEW: &str = "fewer than 20 intervals between keys";
const EVEN_PASTES: &str = "pastes at an even pace";
const HALF_FAST: &str = "half of the intervals are shorter than 25 ms";
const EVEN_PACE: &str = "an even pace";
const SOME_FAST: &str = "a fifth of the intervals or more are shorter than 20 ms, the others are not";
const PERSON_AND_PASTES: &str = "a person's rhythm, and pastes at an even pace";
const UNEVEN: &str = "uneven intervals, few of them short";
/// Where the rhythm is hidden.
pub(super) const AMONG_CHAFF: &str = "keystrokes are hidden among chaff, and their rhythm with them";

/// Every reason that is given for an origin.
const REASONS: [&str; 8] = [FEW, EVEN_PASTES, HALF_FAST, EVEN_PACE, SOME_FAST, PERSON_AND_PASTES, UNEVEN, AMONG_CHAFF];

/// Reads a reason that was written by this version.
pub(super) fn known_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    REASONS.into_iter().find(|reason| *reason == text).ok_or_else(|| D::Error::custom("an unknown reason for an origin"))
}

/// Who or what typed, as far as the rhythm tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputOrigin {
    /// A person's rhythm; a program can imitate it.
    Human,
    /// A program's.
    Scripted,
    /// Both.
    Mixed,
    /// Too little to tell.
    #[default]
    Unknown,
}

impl InputOrigin {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Scripted => "scripted",
            Self::Mixed => "mixed",
            Self::Unknown => "unknown",
        }
    }
}

/// What the rhythm says, and why. `fast` counts the intervals shorter than [`FAST`].
pub(in crate::measure) fn origin(keys: Option<&Quantiles>, fast: u64, pastes: Option<&Quantiles>) -> (InputOrigin, &'static str) {
    let typed = keys.filter(|keys| keys.samples >= ENOUGH);
    let pasted = pastes.filter(|pastes| pastes.samples + 1 >= ENOUGH_PASTES).map(spread);
    let Some(keys) = typed else {
        return match pasted {
            Some(spread) if spread < EVEN => (InputOrigin::Scripted, EVEN_PASTES),
            _ => (InputOrigin::Unknown, FEW),
        };
    };
    let fast_share = fast as f64 / keys.samples as f64;
    if keys.p50 < INHUMAN_MEDIAN {
        (InputOrigin::Scripted, HALF_FAST)
    } else if spread(keys) < EVEN {
        (InputOrigin::Scripted, EVEN_PACE)
    } else if fast_share >= FAST_SHARE {
        (InputOrigin::Mixed, SOME_FAST)
    } else if pasted.is_some_and(|spread| spread < EVEN) {
        (InputOrigin::Mixed, PERSON_AND_PASTES)
    } else {
        (InputOrigin::Human, UNEVEN)
    }
}

/// Width of the middle half, over the median.
fn spread(quantiles: &Quantiles) -> f64 {
    (quantiles.p75 - quantiles.p25).as_millis_f64() / quantiles.p50.as_millis_f64().max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::estimate::Distribution;

    fn quantiles(millis: impl IntoIterator<Item = i64>) -> Option<Quantiles> {
        let mut distribution = Distribution::default();
        millis.into_iter().for_each(|ms| distribution.record(Span::from_millis(ms)));
        distribution.quantiles()
    }

    fn kind(millis: &[i64], pastes: &[i64]) -> InputOrigin {
        let fast = millis.iter().filter(|ms| **ms < 20).count() as u64;
        let (keys, pastes) = (quantiles(millis.iter().copied()), quantiles(pastes.iter().copied()));
        let (origin, reason) = origin(keys.as_ref(), fast, pastes.as_ref());
        assert!(REASONS.contains(&reason), "whoever reads it again knows it");
        origin
    }

    #[test]
    fn rhythms_are_told_apart() {
        let person: Vec<i64> = (0..60).map(|i| 90 + (i * 37) % 160).collect();
        let machine: Vec<i64> = (0..60).map(|i| 5 + i % 3).collect();
        let metronome: Vec<i64> = (0..60).map(|i| 100 + i % 4).collect();
        let both: Vec<i64> = person.iter().copied().chain((0..25).map(|_| 6)).collect();
        assert_eq!(kind(&person, &[]), InputOrigin::Human);
        assert_eq!(kind(&machine, &[]), InputOrigin::Scripted);
        assert_eq!(kind(&metronome, &[]), InputOrigin::Scripted);
        assert_eq!(kind(&both, &[]), InputOrigin::Mixed);
        assert_eq!(kind(&person, &[3_000, 3_010, 3_005, 2_990]), InputOrigin::Mixed);
    }

    #[test]
    fn little_says_nothing() {
        assert_eq!(kind(&[100; 19], &[]), InputOrigin::Unknown);
        assert_eq!(kind(&[], &[500, 9_000]), InputOrigin::Unknown);
        assert_eq!(kind(&[], &[3_055, 3_066, 3_041, 3_066]), InputOrigin::Scripted);
    }
}
