//! Typing and programs, drawn by lot.

use super::is_human;
use crate::time::Span;

/// Numbers between 0 and 1, the same in every run.
struct Lot(u64);

impl Lot {
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as f64 + 0.5) / f64::from(1_u32 << 31)
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.draw().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.draw()).cos()
    }

    /// Intervals of a hand: fast pairs, letters, and now and then a word to think of.
    fn key(&mut self) -> f64 {
        match self.draw() {
            lot if lot < 0.18 => 88.0 * (0.28 * self.normal()).exp(),
            lot if lot < 0.82 => 155.0 * (0.36 * self.normal()).exp(),
            lot if lot < 0.95 => 260.0 * (0.5 * self.normal()).exp(),
            _ => 500.0 + 1_000.0 * self.draw(),
        }
    }
}

/// In how many of 100 runs of so many intervals a rhythm is taken for a person's.
fn taken(count: usize, seed: u64, mut draw: impl FnMut(&mut Lot) -> f64) -> usize {
    let mut lot = Lot(seed);
    let mut run = || -> Vec<Span> { (0..count).map(|_| Span::from_micros((draw(&mut lot) * 1_000.0) as i64)).collect() };
    (0..100).filter(|_| is_human(&run())).count()
}

#[test]
fn a_hand_is_most_often_known() {
    assert!(taken(72, 1, Lot::key) >= 60, "{}", taken(72, 1, Lot::key));
}

#[test]
fn programs_are_not_taken_for_hands() {
    assert_eq!(taken(96, 2, |_| 100.0), 0, "a comb");
    assert_eq!(taken(96, 3, |lot| 250.0 + 30.0 * lot.normal()), 0, "telemetry");
    assert_eq!(taken(96, 4, |lot| -200.0 * lot.draw().ln()), 0, "requests at random");
    assert_eq!(taken(96, 5, |lot| 100.0 + 200.0 * lot.draw()), 0, "sleep(uniform(0.1, 0.3))");
    assert_eq!(taken(96, 6, |lot| 50.0 + 550.0 * lot.draw()), 0, "sleep(uniform(0.05, 0.6))");
    assert_eq!(taken(96, 7, |lot| 30.0 - 150.0 * lot.draw().ln()), 0, "random requests, each behind an answer");
    assert_eq!(taken(96, 8, |lot| 20.0 + 0.5 * lot.normal()), 0, "voice");
    assert_eq!(taken(96, 9, |_| 33.0), 0, "a game, or a key that is held");
}

#[test]
fn little_says_nothing() {
    assert_eq!(taken(20, 1, Lot::key), 0);
}
