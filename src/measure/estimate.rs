//! Distributions of timing samples in small, bounded memory.

use std::borrow::Cow;

use hdrhistogram::Histogram;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// Samples kept as they are before a histogram takes over: a session of some minutes has no more, and a histogram takes more
/// memory than these.
const EXACT: usize = 512;

/// Room for samples to begin with: most quantities of a session have more than a few.
const FIRST: usize = 32;

/// The smallest samples, kept exactly for the floor once a histogram has taken over.
const LOWEST: usize = 16;

/// Longest sample that the histogram resolves, in microseconds: 60 s. Longer ones count as that; the exact maximum is
/// kept beside it.
const LONGEST_MICROS: u64 = 60_000_000;

/// Share of the samples that the floor leaves below it, as one in so many: 2 %.
const FLOOR_SHARE: u64 = 50;

/// Samples of one quantity. Exact for the count, the extremes, the sixteen smallest, and for everything up to 512
/// samples; beyond that quantiles are right to 1 % (two digits, 1 µs to 60 s).
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    count: u64,
    min: Span,
    max: Span,
    /// All samples, as long as there are few.
    exact: Vec<Span>,
    many: Option<Box<Many>>,
}

/// Samples that are too many to keep.
#[derive(Clone, Debug)]
struct Many {
    /// The smallest, in order.
    lowest: [Span; LOWEST],
    histogram: Histogram<u32>,
}

impl Many {
    /// With these samples, at least [`LOWEST`] of them, in order.
    fn of(sorted: &[Span]) -> Option<Self> {
        let mut many = Self { lowest: *sorted.first_chunk()?, histogram: Histogram::new_with_bounds(1, LONGEST_MICROS, 2).ok()? };
        sorted.iter().for_each(|sample| many.histogram.saturating_record(sample.as_micros()));
        Some(many)
    }

    fn record(&mut self, sample: Span) {
        self.histogram.saturating_record(sample.as_micros());
        let at = self.lowest.partition_point(|low| *low <= sample);
        if let Some([place, behind @ ..]) = self.lowest.get_mut(at..) {
            let mut pushed_out = std::mem::replace(place, sample);
            behind.iter_mut().for_each(|low| std::mem::swap(low, &mut pushed_out));
        }
    }
}

/// What is reported of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Number of samples.
    pub samples: u64,
    /// Smallest.
    pub min: Span,
    /// 5th percentile.
    pub p5: Span,
    /// 10th percentile.
    pub p10: Span,
    /// 25th percentile.
    pub p25: Span,
    /// Median.
    pub p50: Span,
    /// 75th percentile.
    pub p75: Span,
    /// 95th percentile.
    pub p95: Span,
    /// Largest.
    pub max: Span,
}

/// The smallest value that is not an accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The estimate.
    pub value: Span,
    /// How it was chosen: `min` below ten samples, else the sample of this rank.
    pub method: FloorMethod,
}

/// See [`Floor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FloorMethod {
    /// The smallest sample: there are too few to leave one out.
    Min,
    /// The round trip of the handshake, which nobody delays; it lies below everything else.
    Handshake,
    /// The 2nd percentile, but never less than the second and never more than the sixteenth smallest sample.
    P2,
}

impl FloorMethod {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Handshake => "handshake",
            Self::P2 => "p2",
        }
    }
}

impl Distribution {
    /// Memory that it takes at most beside itself, in bytes: the histogram has 20 times 128 counts.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Many>() + 20 * 128 * size_of::<u32>();

    /// Adds a sample. Negative ones are not samples: time ran backwards.
    pub fn record(&mut self, sample: Span) {
        if sample.is_negative() {
            return;
        }
        self.min = if self.count == 0 { sample } else { self.min.min(sample) };
        self.max = self.max.max(sample);
        self.count += 1;
        match &mut self.many {
            Some(many) => many.record(sample),
            None => {
                if self.exact.is_empty() {
                    self.exact.reserve(FIRST);
                }
                self.exact.push(sample);
                if self.exact.len() > EXACT {
                    self.exact.sort_unstable();
                    self.many = Many::of(&std::mem::take(&mut self.exact)).map(Box::new);
                }
            }
        }
    }

    /// Number of samples.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The smallest sample.
    #[must_use]
    pub fn min(&self) -> Option<Span> {
        (self.count > 0).then_some(self.min)
    }

    /// The median, where there is a sample. Not for every packet: it looks at all samples.
    #[must_use]
    pub fn median(&self) -> Option<Span> {
        let [median] = self.percentiles([50])?;
        Some(median)
    }

    /// The same, at less cost: samples have no order to keep.
    fn median_in_place(&mut self) -> Option<Span> {
        let rank = (self.exact.len() * 50).div_ceil(100);
        match rank.checked_sub(1) {
            Some(place) if self.many.is_none() => Some(*self.exact.select_nth_unstable(place).1),
            _ => self.median(),
        }
    }

    /// The robust floor.
    ///
    /// Queues, delayed acknowledgements and busy hosts only ever add, so the smallest round trip is the path; but a stalled
    /// sensor or a connection being torn down can also make a single sample too small. Leaving out 2 % (at least one, at most
    /// fifteen samples) survives those; delayed acknowledgements, a tenth of all, never reach it from above.
    #[must_use]
    pub fn floor(&self) -> Option<Floor> {
        if self.count < 10 {
            return self.min().map(|value| Floor { value, method: FloorMethod::Min });
        }
        let place = self.count.div_ceil(FLOOR_SHARE).clamp(2, LOWEST as u64) as usize - 1;
        let value = match &self.many {
            Some(many) => *many.lowest.get(place)?,
            None => *self.sorted().get(place)?,
        };
        Some(Floor { value, method: FloorMethod::P2 })
    }

    /// Everything that is reported; `None` without a sample.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let [p5, p10, p25, p50, p75, p95] = self.percentiles([5, 10, 25, 50, 75, 95])?;
        Some(Quantiles { samples: self.count, min: self.min, p5, p10, p25, p50, p75, p95, max: self.max })
    }

    /// Percentiles by nearest rank, in the order of `percents`, which rise; `None` without a sample.
    fn percentiles<const N: usize>(&self, percents: [usize; N]) -> Option<[Span; N]> {
        let min = self.min()?;
        if let Some(many) = &self.many {
            return Some(percents.map(|percent| {
                let micros = many.histogram.value_at_quantile(percent as f64 / 100.0);
                // A bucket's upper edge may lie beyond the extremes, which are known exactly.
                Span::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)).clamp(min, self.max)
            }));
        }
        let samples = self.sorted();
        Some(percents.map(|percent| {
            let rank = (samples.len() * percent).div_ceil(100).max(1);
            samples.get(rank - 1).copied().unwrap_or(min)
        }))
    }

    /// Puts the samples in order, where they are kept: several questions are answered by one sorting then.
    pub fn sort(&mut self) {
        self.exact.sort_unstable();
    }

    /// The samples in order, where they are kept.
    fn sorted(&self) -> Cow<'_, [Span]> {
        if self.exact.is_sorted() {
            return Cow::Borrowed(&self.exact);
        }
        let mut sorted = self.exact.clone();
        sorted.sort_unstable();
        Cow::Owned(sorted)
    }
}

/// Share of new samples after which a running median is worked out anew: an eighth, which moves it by few per cent.
const STALE: u64 = 8;

/// A distribution whose median is asked for often.
#[derive(Clone, Debug, Default)]
pub struct RunningMedian {
    samples: Distribution,
    median: Option<Span>,
    /// Number of samples at which it is worked out anew.
    due: u64,
}

impl RunningMedian {
    /// Adds a sample.
    pub fn record(&mut self, sample: Span) {
        self.samples.record(sample);
        let count = self.samples.count();
        if count >= self.due {
            self.median = self.samples.median_in_place();
            self.due = count + (count / STALE).max(1);
        }
    }

    /// The median of the samples, those of the last eighth left out; `None` without a sample.
    #[must_use]
    pub const fn median(&self) -> Option<Span> {
        self.median
    }

    /// All samples.
    #[must_use]
    pub const fn samples(&self) -> &Distribution {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_takes_no_more_than_it_says() {
        let many = Many::of(&[Span::from_millis(1); LOWEST]).unwrap();
        assert_eq!(many.histogram.distinct_values(), 20 * 128);
        assert!(EXACT.next_power_of_two() * size_of::<Span>() <= Distribution::MOST_BYTES);
    }

    fn of(millis: impl IntoIterator<Item = i64>) -> Distribution {
        let mut distribution = Distribution::default();
        millis.into_iter().for_each(|ms| distribution.record(Span::from_millis(ms)));
        distribution
    }

    #[test]
    fn nothing_measured_is_nothing_reported() {
        assert_eq!(of([]).quantiles(), None);
        assert_eq!(of([]).floor(), None);
        assert_eq!(of([-5]).count(), 0);
    }

    #[test]
    fn few_samples_are_exact() {
        let q = of((1..=20).rev()).quantiles().unwrap();
        assert_eq!((q.samples, q.min, q.max), (20, Span::from_millis(1), Span::from_millis(20)));
        assert_eq!((q.p5, q.p50, q.p95), (Span::from_millis(1), Span::from_millis(10), Span::from_millis(19)));
    }

    #[test]
    fn up_to_512_samples_are_exact_and_one_more_is_right_to_a_percent() {
        // 7919 is prime: every value from 0 to n - 1 once, out of order.
        let shuffled = |n: i64| (0..n).map(move |i| i * 7919 % n);
        for n in [10, 99, 512] {
            let (found, rank) = (of(shuffled(n)), |percent: i64| Span::from_millis((n * percent + 99) / 100 - 1));
            let q = found.quantiles().unwrap();
            assert_eq!([q.p5, q.p10, q.p25, q.p50, q.p75, q.p95], [5, 10, 25, 50, 75, 95].map(rank));
            assert_eq!(
                (found.median(), found.floor().map(|floor| floor.value)),
                (Some(rank(50)), Some(rank(2).max(Span::from_millis(1))))
            );
        }
        let (few, many) = (of(shuffled(512)), of(shuffled(513)));
        assert_eq!(few.floor(), many.floor());
        let error = |a: Span, b: Span| (a.as_millis_f64() / b.as_millis_f64() - 1.0).abs();
        assert!(error(few.quantiles().unwrap().p50, many.quantiles().unwrap().p50) < 0.015);
    }

    #[test]
    fn the_smallest_stay_exact_among_many() {
        let mut distribution = of((0..600).map(|i| 1_000 + i));
        (0..20).rev().for_each(|ms| distribution.record(Span::from_millis(ms)));
        assert_eq!(distribution.floor().unwrap().value, Span::from_millis(12), "the 13th of 620");
        assert_eq!(distribution.min(), Some(Span::ZERO));
    }

    #[test]
    fn a_running_median_follows() {
        let mut running = RunningMedian::default();
        assert_eq!(running.median(), None);
        for i in 1..=1_000 {
            running.record(Span::from_millis(i));
            let lag = running.samples().median().unwrap() - running.median().unwrap();
            assert!(lag <= Span::from_millis(i / 15 + 1), "{lag:?} at {i}");
        }
    }

    #[test]
    fn many_samples_are_right_to_a_percent() {
        let q = of((1..=10_000).rev()).quantiles().unwrap();
        for (value, want) in [(q.p5, 500.0), (q.p50, 5_000.0), (q.p95, 9_500.0)] {
            assert!((value.as_millis_f64() / want - 1.0).abs() < 0.01, "{value:?} for {want}");
        }
        assert_eq!((q.min, q.max), (Span::from_millis(1), Span::from_millis(10_000)));
    }

    #[test]
    fn the_floor_survives_accidents_and_delayed_acknowledgements() {
        // 110 ms path, a tenth delayed by 40 ms, two samples spoilt by a stalled sensor.
        let path = (0..100).map(|i| 110 + i % 4 + if i % 10 == 0 { 40 } else { 0 });
        let floor = of(path.chain([39, 61])).floor().unwrap();
        assert_eq!((floor.value, floor.method), (Span::from_millis(110), FloorMethod::P2));
    }

    #[test]
    fn a_few_samples_give_their_minimum() {
        assert_eq!(of([12, 9, 30]).floor().unwrap(), Floor { value: Span::from_millis(9), method: FloorMethod::Min });
    }

    #[test]
    fn samples_beyond_the_range_count_and_keep_the_maximum() {
        let q = of((0..100).map(|_| 3_600_000)).quantiles().unwrap();
        assert_eq!((q.samples, q.max), (100, Span::from_millis(3_600_000)));
    }
}
