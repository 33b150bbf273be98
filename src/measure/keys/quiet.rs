//! Keys that the server answers with nothing: single ones are keys like any other, four and more in a row are most likely a
//! password. Those are counted and marked as hidden, with the releases among them, so that nobody writes their timing down by
//! accident.

use crate::measure::keystroke::{Keystroke, KeystrokeKind};

/// Presses in a row without an answer that make a password-like run.
const HIDDEN_RUN: u32 = 4;

/// Keystrokes of a run that wait, at most: more releases than presses are no run.
const MOST_WAITING: usize = 16;

/// What it allocates at most, in bytes.
#[cfg(test)]
pub(super) const MOST_BYTES: usize = 2 * MOST_WAITING * size_of::<Keystroke>();

/// Presses, and releases between them, since the last press that was answered. Bounded: a hidden run is handed on as it grows.
#[derive(Debug, Default)]
pub(super) struct QuietRun {
    keys: Vec<Keystroke>,
    presses: u32,
}

impl QuietRun {
    /// Takes a keystroke and hands on what is decided; all of them come out, in order.
    pub(super) fn push(&mut self, keystroke: Keystroke, out: &mut impl FnMut(Keystroke)) {
        let answered = keystroke.echo.is_some();
        match keystroke.kind {
            KeystrokeKind::Press if !answered => {
                self.presses = self.presses.saturating_add(1);
                self.keys.push(keystroke);
            }
            KeystrokeKind::Release if self.presses > 0 => self.keys.push(keystroke),
            KeystrokeKind::Release => out(keystroke),
            _ => {
                self.end(out);
                out(keystroke);
            }
        }
        if self.presses > HIDDEN_RUN {
            self.hand_on(true, out);
        }
        if self.keys.len() >= MOST_WAITING {
            self.end(out);
        }
    }

    /// The run ends here.
    pub(super) fn end(&mut self, out: &mut impl FnMut(Keystroke)) {
        self.hand_on(self.presses >= HIDDEN_RUN, out);
        self.presses = 0;
    }

    fn hand_on(&mut self, hidden: bool, out: &mut impl FnMut(Keystroke)) {
        self.keys.drain(..).for_each(|keystroke| out(Keystroke { hidden, ..keystroke }));
    }
}
