//! What one session has shown of its keyboard and its server, from decisions that were sure.

use super::rhythm::Meaning;
use crate::time::{Span, Timestamp};

/// Upper ends of the classes of answer times, in milliseconds; a last class holds what came later or not at all.
const CLASSES_MS: [i64; 11] = [3, 6, 9, 12, 16, 20, 26, 35, 50, 80, 120];

/// What a press, and a release, weigh in each class before anything was learned: a press is answered within the time that a
/// program takes to draw, a release most often not at all.
const PRESSES: [u32; CLASSES_MS.len() + 1] = [2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1];
const RELEASES: [u32; CLASSES_MS.len() + 1] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 6];

/// A decision this sure is learned from.
const SURE: f64 = 0.9;

/// Repeats of one key that show how long a keyboard waits and how fast it repeats.
const WHOLE_HOLD: u32 = 6;

/// Longest wait for an answer that is told from none.
pub(super) const ANSWER: Span = Span::from_millis(120);

/// See the [module's documentation](self).
#[derive(Clone, Debug)]
pub(super) struct Learned {
    /// From press to first repeat, and from repeat to repeat.
    pub(super) delay: Option<Span>,
    pub(super) period: Option<Span>,
    presses: [u32; CLASSES_MS.len() + 1],
    releases: [u32; CLASSES_MS.len() + 1],
    /// The press that was decided last, and the repeats since.
    press: Option<Timestamp>,
    first_repeat: Option<Timestamp>,
    repeats: u32,
}

impl Default for Learned {
    fn default() -> Self {
        Self { delay: None, period: None, presses: PRESSES, releases: RELEASES, press: None, first_repeat: None, repeats: 0 }
    }
}

impl Learned {
    /// How much more an answer after this time speaks for a press than for a release, as two logarithms: of the press, of
    /// the release. A press changes the screen; a release seldom does.
    pub(super) fn answer(&self, after: Option<Span>) -> (f64, f64) {
        let class = class(after);
        let share = |counts: &[u32]| {
            let count = counts.get(class).copied().unwrap_or(1);
            f64::from(count) / f64::from(counts.iter().sum::<u32>())
        };
        let (press, release) = (share(&self.presses), share(&self.releases));
        let middle = (press + release) / 2.0;
        ((press / middle).ln(), (release / middle).ln())
    }

    /// Takes a decision into account.
    pub(super) fn decided(&mut self, time: Timestamp, after: Option<Span>, meaning: Meaning, sure: f64) {
        if sure > SURE && matches!(meaning, Meaning::Press | Meaning::Release) {
            let counts = if meaning == Meaning::Press { &mut self.presses } else { &mut self.releases };
            if let Some(count) = counts.get_mut(class(after)) {
                *count = count.saturating_add(1);
            }
        }
        match meaning {
            Meaning::Repeat => {
                self.repeats += 1;
                let first = *self.first_repeat.get_or_insert(time);
                if let (Some(press), true) = (self.press, self.repeats >= WHOLE_HOLD) {
                    self.delay = Some(first - press);
                    self.period = Some((time - first) / i64::from(self.repeats - 1));
                }
            }
            Meaning::Other => {}
            Meaning::Press | Meaning::Release => {
                (self.first_repeat, self.repeats) = (None, 0);
                self.press = (meaning == Meaning::Press && sure > SURE).then_some(time);
            }
        }
    }
}

fn class(after: Option<Span>) -> usize {
    let Some(after) = after.filter(|after| *after < ANSWER) else { return CLASSES_MS.len() };
    CLASSES_MS.iter().position(|edge| after < Span::from_millis(*edge)).unwrap_or(CLASSES_MS.len())
}
