//! How likely times are, as densities per millisecond. None of it was fitted to this project's own captures.
//!
//! Holds and intervals are those of 21 people's published typing (50,114 intervals): a key is held for 88 ms in the median, 55 and
//! 148 ms at the 5th and 95th percentile; from one press to the next 154 ms, the middle half 112 to 227 ms, 5 % over 686 ms.
//! Repeats are what keyboards do: after a quarter of a second to a second, every 20 to 100 ms, on time or late.

use crate::time::Span;

/// A chance that is never quite none.
const NEVER: f64 = 1e-9;

/// Typical period of a held key, before a flow has shown its own: between X's 40 ms and the console's 33 ms.
const PERIOD_MS: f64 = 36.0;

/// How long the first repeat of a held key can take.
const DELAY_MS: std::ops::Range<f64> = 180.0..1_100.0;

/// From one press to the next.
pub(super) fn interval(since: Option<Span>) -> f64 {
    // Where nothing came before, a press is as likely as after a pause.
    let ms = since.map_or(1_500.0, Span::as_millis_f64);
    0.84 * lognormal(ms, 155.0, 0.5) + 0.15 * lognormal(ms, 700.0, 1.2) + clumped(ms) + 1e-6
}

/// From press to release: letters, then modifiers and slow hands.
pub(super) fn hold(held: Span) -> f64 {
    let ms = held.as_millis_f64();
    0.92 * lognormal(ms, 88.0, 0.31) + 0.05 * lognormal(ms, 250.0, 0.6) + 0.02 * lognormal(ms, 1_000.0, 1.0) + clumped(ms) + NEVER
}

/// The chance to be held longer than this.
pub(super) fn still_held(held: Span) -> f64 {
    let ms = held.as_millis_f64();
    0.93 * beyond(ms, 88.0, 0.31) + 0.05 * beyond(ms, 250.0, 0.6) + 0.02 * beyond(ms, 1_000.0, 1.0) + NEVER
}

/// From press to the first repeat. `known` is what the flow has shown before.
pub(super) fn first_repeat(held: Span, known: Option<Span>) -> f64 {
    let ms = held.as_millis_f64();
    if !DELAY_MS.contains(&ms) {
        return NEVER;
    }
    let anywhere = 1.0 / (DELAY_MS.end - DELAY_MS.start);
    match known {
        Some(known) => 0.05 * (0.9 * laplace(ms - known.as_millis_f64(), 6.0) + 0.1 * anywhere),
        None => 0.02 * anywhere,
    }
}

/// From the first repeat to the second, where the period is not known.
pub(super) fn second_repeat(since: Span) -> f64 {
    let ms = since.as_millis_f64();
    if (15.0..130.0).contains(&ms) { 0.95 * lognormal(ms, PERIOD_MS, 0.4) + NEVER } else { NEVER }
}

/// A later repeat: on the keyboard's grid, a period behind the one before it (where the one who repeats counts from there), behind
/// one that was not seen, or shaken by a busy machine and the path.
pub(super) fn repeat(late: Span, since: Span, period: Span) -> f64 {
    let (late, period) = (late.as_millis_f64(), period.as_millis_f64());
    let again = since.as_millis_f64() - period;
    0.95 * (0.5 * laplace(late, 4.0)
        + 0.3 * laplace(again, 4.0)
        + 0.08 * laplace(again - period, 5.0)
        + 0.12 * laplace(late, 14.0))
}

/// The release of a key that repeats: anywhere before the next repeat is due. A key that has repeated but twice is most likely
/// none that repeats.
pub(super) fn release_of_repeating(late: Span, period: Option<Span>, repeats: u32) -> f64 {
    let ms = late.as_millis_f64();
    let width = period.map_or(45.0, Span::as_millis_f64) + 8.0;
    let chance = if ms < 8.0 { 0.95 / width } else { 0.05 * (-ms / 60.0).exp() / 60.0 };
    chance * if repeats < 4 { 0.03 } else { 1.0 } + NEVER
}

/// A client (X) that lets a held key go and presses it again at each repeat, if only for an instant.
pub(super) fn half_of_repeat(since: Span) -> f64 {
    let ms = since.as_millis_f64();
    if ms < 3.0 { 0.15 * (-ms / 0.7).exp() / 0.7 + NEVER } else { NEVER }
}

/// A move of the pointer: seldom the first one, then one or two each sixtieth or thirtieth of a second; or a click where it rests.
pub(super) fn pointer(since: Option<Span>) -> f64 {
    match since.map(Span::as_millis_f64) {
        Some(ms) if ms <= 120.0 => {
            let even = 0.4 * normal(ms - 16.7, 4.0) + 0.3 * normal(ms - 33.3, 4.0) + 0.3 * (-ms / 15.0).exp() / 15.0;
            0.85 * even + 0.15 * (-ms / 120.0).exp() / 120.0
        }
        Some(ms) if ms <= 1_000.0 => 0.15 * (-ms / 120.0).exp() / 120.0 + 1e-5,
        _ => 1e-5,
    }
}

/// A release of a key whose press was not seen.
pub(super) const STRAY: f64 = 1e-7;

/// One time in a hundred is no hand's: a client or a path that stalled lets go of everything at once, or nearly.
fn clumped(ms: f64) -> f64 {
    if ms < 0.0 { 0.0 } else { 0.007 * (-ms / 2.0).exp() / 2.0 + 0.003 * (-ms / 30.0).exp() / 30.0 }
}

fn lognormal(ms: f64, median: f64, sigma: f64) -> f64 {
    let ms = ms.max(0.05);
    normal((ms / median).ln(), sigma) / ms
}

/// The share of a lognormal distribution that lies beyond; the logistic function is near enough to the normal one's.
fn beyond(ms: f64, median: f64, sigma: f64) -> f64 {
    1.0 / (1.0 + (1.702 * (ms.max(0.05) / median).ln() / sigma).exp())
}

fn normal(x: f64, sigma: f64) -> f64 {
    (-0.5 * (x / sigma).powi(2)).exp() / (sigma * (2.0 * std::f64::consts::PI).sqrt())
}

fn laplace(x: f64, scale: f64) -> f64 {
    (-x.abs() / scale).exp() / (2.0 * scale)
}
