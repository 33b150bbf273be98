//! Keys without echo: single ones are keys like any other, four and more in a row are most likely a password. Those are counted
//! and marked as hidden, so that nobody writes their timing down by accident.

use super::Keystroke;

/// Silent characters in a row that make a password-like run.
const HIDDEN_RUN: usize = 4;

/// The silent characters since the last key that was echoed. Bounded: a hidden run is handed on as it grows.
#[derive(Debug, Default)]
pub(super) struct SilentRun {
    keys: Vec<Keystroke>,
}

impl SilentRun {
    /// Forgets it.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }

    /// Adds a silent character.
    pub(super) fn push(&mut self, keystroke: Keystroke, out: &mut Vec<Keystroke>) {
        self.keys.push(keystroke);
        if self.keys.len() > HIDDEN_RUN {
            self.hide(out);
        }
    }

    /// The run has ended. Where it was hidden its keys are handed on and there are none to time; otherwise they are
    /// given back, to be keys like any other.
    pub(super) fn end(&mut self, out: &mut Vec<Keystroke>) -> Ended {
        if self.keys.len() >= HIDDEN_RUN || self.keys.first().is_some_and(|first| first.hidden) {
            self.hide(out);
            self.keys.clear();
            return Ended::Hidden;
        }
        Ended::Plain(std::mem::take(&mut self.keys))
    }

    /// Hands on the keys of a hidden run. One of them stays as the mark that the run goes on.
    fn hide(&mut self, out: &mut Vec<Keystroke>) {
        let already = usize::from(self.keys.first().is_some_and(|first| first.hidden));
        for keystroke in self.keys.iter_mut().skip(already) {
            keystroke.hidden = true;
            out.push(*keystroke);
        }
        self.keys.truncate(1);
    }
}

/// How a run of silent characters ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was long enough to be a password.
    Hidden,
    /// It was not; here are its keys.
    Plain(Vec<Keystroke>),
}
