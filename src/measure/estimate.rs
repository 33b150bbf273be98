//! Distributions of timing samples in small, bounded memory.

use hdrhistogram::Histogram;

use crate::time::Span;

/// Samples kept as they are before a histogram takes over.
const INLINE: usize = 64;

/// The smallest samples, kept exactly for the floor.
const LOWEST: usize = 16;

/// Longest sample that the histogram resolves, in microseconds: 60 s. Longer ones count as that; the exact maximum is
/// kept beside it.
const LONGEST_MICROS: u64 = 60_000_000;

/// Share of the samples that the floor leaves below it, as one in so many: 2 %.
const FLOOR_SHARE: u64 = 50;

/// Samples of one quantity. Exact for the count, the extremes, the sixteen smallest, and for everything up to 64
/// samples; beyond that quantiles are right to 1 % (two digits, 1 µs to 60 s).
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    count: u64,
    max: Span,
    lowest: Vec<Span>,
    first: Vec<Span>,
    histogram: Option<Box<Histogram<u32>>>,
}

/// What is reported of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The estimate.
    pub value: Span,
    /// How it was chosen: `min` below ten samples, else the sample of this rank.
    pub method: FloorMethod,
}

/// See [`Floor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Adds a sample. Negative ones are not samples: time ran backwards.
    pub fn record(&mut self, sample: Span) {
        if sample.is_negative() {
            return;
        }
        self.count += 1;
        self.max = self.max.max(sample);
        let at = self.lowest.partition_point(|low| *low <= sample);
        if at < LOWEST {
            self.lowest.truncate(LOWEST - 1);
            self.lowest.insert(at, sample);
        }
        match &mut self.histogram {
            Some(histogram) => histogram.saturating_record(sample.as_micros()),
            None if self.first.len() < INLINE => self.first.push(sample),
            None => self.spill(sample),
        }
    }

    fn spill(&mut self, sample: Span) {
        let Ok(mut histogram) = Histogram::new_with_bounds(1, LONGEST_MICROS, 2) else { return };
        for earlier in self.first.drain(..) {
            histogram.saturating_record(earlier.as_micros());
        }
        histogram.saturating_record(sample.as_micros());
        self.histogram = Some(Box::new(histogram));
    }

    /// Number of samples.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The smallest sample.
    #[must_use]
    pub fn min(&self) -> Option<Span> {
        self.lowest.first().copied()
    }

    /// The median, where there is a sample.
    #[must_use]
    pub fn median(&self) -> Option<Span> {
        self.quantiles().map(|quantiles| quantiles.p50)
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
        let rank = self.count.div_ceil(FLOOR_SHARE).clamp(2, LOWEST as u64);
        let value = *self.lowest.get(usize::try_from(rank).ok()?.checked_sub(1)?)?;
        Some(Floor { value, method: FloorMethod::P2 })
    }

    /// Everything that is reported; `None` without a sample.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let min = self.min()?;
        let mut sorted = self.first.clone();
        sorted.sort_unstable();
        let at = |percent: u64| match &self.histogram {
            // A bucket's upper edge may lie beyond the extremes, which are known exactly.
            Some(histogram) => {
                let micros = histogram.value_at_quantile(percent as f64 / 100.0);
                Span::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)).clamp(min, self.max)
            }
            None => {
                let rank = (sorted.len() as u64 * percent).div_ceil(100).max(1);
                sorted.get(rank as usize - 1).copied().unwrap_or(min)
            }
        };
        Some(Quantiles {
            samples: self.count,
            min,
            p5: at(5),
            p10: at(10),
            p25: at(25),
            p50: at(50),
            p75: at(75),
            p95: at(95),
            max: self.max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
