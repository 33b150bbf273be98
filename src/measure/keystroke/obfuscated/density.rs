//! How long the server takes to answer: a letter's echo goes through the terminal and the shell, the answer to chaff does not.
//!
//! Everything is relative to what this connection's chaff takes around that time, on a logarithmic scale. An echo takes as
//! long as chaff, and what the terminal and the shell take besides; so its distribution follows from that of chaff and from
//! two numbers.

/// Steps of the logarithm of the ratio: from e^-3 to e^8.
pub(super) const BINS: usize = 110;
const LEAST: f64 = -3.0;
const STEP: f64 = 0.1;
/// So that nothing is impossible.
const FLOOR: f64 = 1e-6;

/// A distribution over those steps.
pub(super) type Density = Vec<f64>;

/// The step that a logarithm of a ratio falls in.
pub(super) fn bin(ln_ratio: f64) -> usize {
    (((ln_ratio - LEAST) / STEP).clamp(0.0, BINS as f64 - 1.0)) as usize
}

/// The middles of all steps.
pub(super) fn middles() -> impl Iterator<Item = f64> + Clone {
    (0..BINS).map(|bin| LEAST + STEP * (bin as f64 + 0.5))
}

fn normalised(weights: impl Iterator<Item = f64>) -> Density {
    let weights: Density = weights.collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The answers of a busy server: lognormal.
pub(super) fn broad(mean: f64, deviation: f64) -> Density {
    normalised(middles().map(|x| (-((x - mean) / deviation).powi(2) / 2.0).exp() + 10.0 * FLOOR))
}

/// Answers to chaff on a calm server: a core with one width to each side, and a tail that only falls.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Chaff {
    heavy: bool,
    left: f64,
    right: f64,
}

impl Chaff {
    fn core(self) -> Density {
        normalised(middles().map(|x| {
            let x = x / if x < 0.0 { self.left } else { self.right };
            // Normal, or logistic of the same variance.
            FLOOR + if self.heavy { (x * 0.5 * 1.8138).cosh().powi(-2) } else { (-x * x / 2.0).exp() }
        }))
    }

    fn falling(decay: f64) -> Density {
        normalised(middles().map(|x| if x > 0.0 { (-x / decay).exp() } else { FLOOR }))
    }
}

/// A share of one and the rest of the other.
fn blend(most: &[f64], some: &[f64], share: f64) -> Density {
    most.iter().zip(some).map(|(most, some)| (1.0 - share) * most + share * some).collect()
}

/// What chaff takes before anything was learned, but for the width of its faster half, which no key widens.
pub(super) fn chaff_at_first(left: f64) -> Density {
    blend(&Chaff { heavy: true, left, right: left }.core(), &Chaff::falling(1.2), 0.05)
}

/// What chaff takes, from how often which answer was most likely to chaff. What is slower than most may only become rarer
/// with every step: a hump there is keys.
pub(super) fn fit_chaff(counts: &[f64], left: f64) -> Density {
    let tails = [0.25, 0.4, 0.6, 0.9, 1.3].map(Chaff::falling);
    let mut best: Option<(f64, Density)> = None;
    let cores = [false, true].into_iter().flat_map(|heavy| {
        [0.8, 0.9, 1.0].into_iter().flat_map(move |width| {
            let left = left * width;
            SKEWS.into_iter().map(move |skew| (skew, Chaff { heavy, left, right: left * skew }.core()))
        })
    });
    for (skew, core) in cores {
        for tail in &tails {
            for share in [0.01_f64, 0.02, 0.03, 0.05, 0.08, 0.12, 0.18, 0.26, 0.36] {
                let density = blend(&core, tail, share);
                let prior = -20.0 * (skew - 1.0).powi(2) + share.ln() + 20.0 * (1.0 - share).ln();
                let fits = ln_likelihood(counts, &density) + prior;
                if best.as_ref().is_none_or(|(most, _)| fits > *most) {
                    best = Some((fits, density));
                }
            }
        }
    }
    best.map_or_else(|| chaff_at_first(left), |(_, density)| density)
}

/// How much wider the slower half of the core may be.
const SKEWS: [f64; 6] = [0.8, 0.9, 1.0, 1.1, 1.25, 1.4];

fn ln_likelihood(counts: &[f64], density: &[f64]) -> f64 {
    counts.iter().zip(density).filter(|(count, _)| **count > 0.0).map(|(count, density)| count * density.ln()).sum()
}

/// What the terminal and the shell take, relative to what chaff takes: lognormal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Detour {
    /// Logarithm of the median.
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

/// Before anything was learned: 0.15 to 0.35 ms were measured between the answer to chaff and the echo, on servers that do
/// nothing else.
const USUAL_DETOUR_MS: f64 = 0.2;
const USUAL_DEVIATION: f64 = 0.45;

impl Detour {
    /// Where chaff takes so long.
    pub(super) fn at_first(chaff_ms: f64) -> Self {
        Self { mean: (USUAL_DETOUR_MS / chaff_ms).ln(), deviation: USUAL_DEVIATION }
    }

    /// How long echoes take where chaff takes so long.
    pub(super) fn behind(self, chaff: &[f64]) -> Density {
        self.over(&detours(chaff))
    }

    fn over(self, detours: &[(f64, Density)]) -> Density {
        let weight = |ln: f64| (-((ln - self.mean) / self.deviation).powi(2) / 2.0).exp();
        let mut out = vec![0.1 * FLOOR; BINS];
        for (ln, density) in detours {
            let share = weight(*ln);
            if share > 1e-5 {
                out.iter_mut().zip(density).for_each(|(out, density)| *out += share * density);
            }
        }
        normalised(out.into_iter())
    }

    /// The detour that fits keys on a calm server and on a busy one best; `stall` is the chance that a calm server holds one
    /// up like a busy one.
    pub(super) fn fit(at_first: Self, [calm_keys, busy_keys]: [&[f64]; 2], calm: &[f64], busy: &[f64], stall: f64) -> Self {
        let (over_calm, over_busy) = (detours(calm), detours(busy));
        let mut best = (f64::NEG_INFINITY, at_first);
        for step in 0..31 {
            for deviation in [0.25, 0.35, 0.5, 0.7, 1.0] {
                let detour = Self { mean: at_first.mean - 1.5 + 0.15 * f64::from(step), deviation };
                let (behind_calm, behind_busy) = (detour.over(&over_calm), detour.over(&over_busy));
                let prior = 1.5 * ((detour.mean - at_first.mean) / 0.7).powi(2)
                    + 1.5 * ((deviation / USUAL_DEVIATION).ln() / 0.4).powi(2);
                let fits = ln_likelihood(calm_keys, &with_stalls(&behind_calm, &behind_busy, stall))
                    + ln_likelihood(busy_keys, &behind_busy)
                    - prior;
                if fits > best.0 {
                    best = (fits, detour);
                }
            }
        }
        best.1
    }
}

/// What chaff takes and one detour besides, for detours of e^-3 to e^4.8 times what chaff takes.
fn detours(chaff: &[f64]) -> Vec<(f64, Density)> {
    let behind = |ln: f64| {
        let (mut out, detour) = (vec![0.0; BINS], ln.exp());
        for (x, chaff) in middles().zip(chaff) {
            let at = ((x.exp() + detour).ln() - LEAST) / STEP - 0.5;
            let below = at.floor().clamp(0.0, BINS as f64 - 2.0);
            let part = (at - below).clamp(0.0, 1.0);
            let bins = out.iter_mut().skip(below as usize).take(2);
            bins.zip([1.0 - part, part]).for_each(|(bin, part)| *bin += chaff * part);
        }
        (ln, out)
    };
    (0..40).map(|step| behind(-3.0 + 0.2 * f64::from(step))).collect()
}

/// Some answers of a calm server are held up as a busy one's are.
pub(super) fn with_stalls(calm: &[f64], busy: &[f64], stall: f64) -> Density {
    blend(calm, busy, stall)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median(density: &[f64]) -> f64 {
        let mut below = 0.0;
        middles()
            .zip(density)
            .find(|(_, weight)| {
                below += **weight;
                below >= 0.5
            })
            .map_or(f64::NAN, |(x, _)| x)
    }

    #[test]
    fn an_echo_takes_what_chaff_takes_and_the_detour() {
        let chaff = chaff_at_first(0.2);
        assert!(median(&chaff).abs() < 0.1);
        let echo = Detour { mean: 0.0, deviation: 0.3 }.behind(&chaff);
        assert!((median(&echo) - 2.0_f64.ln()).abs() < 0.1, "twice as long: {}", median(&echo));
    }

    #[test]
    fn chaff_is_fitted_without_the_keys_hump() {
        let truth = blend(&Chaff { heavy: true, left: 0.2, right: 0.2 }.core(), &Chaff::falling(0.9), 0.03);
        let echo = Detour { mean: 0.0, deviation: 0.3 }.behind(&truth);
        let counts: Vec<f64> = truth.iter().zip(&echo).map(|(chaff, echo)| 900.0 * chaff + 100.0 * echo).collect();
        let fitted = fit_chaff(&counts, 0.2);
        let beyond =
            |density: &[f64]| middles().zip(density).filter(|(x, _)| (0.5..0.9).contains(x)).map(|(_, y)| y).sum::<f64>();
        assert!(beyond(&fitted) < 0.75 * beyond(&counts) / 1_000.0, "{} {}", beyond(&fitted), beyond(&counts) / 1_000.0);
    }

    #[test]
    fn a_detour_is_found_again() {
        let (calm, busy) = (chaff_at_first(0.2), broad(2.0, 1.2));
        let at_first = Detour::at_first(0.2);
        let slower = Detour { mean: at_first.mean + 0.9, deviation: 0.35 };
        let counts: Vec<f64> = slower.behind(&calm).iter().map(|share| 300.0 * share).collect();
        let found = Detour::fit(at_first, [&counts, &[]], &calm, &busy, 0.02);
        assert!((found.mean - slower.mean).abs() < 0.2, "{found:?}");
    }
}
