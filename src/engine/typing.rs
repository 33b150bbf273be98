//! What is typed into a session: through a terminal, or by keys that go down and up.

use crate::{
    cue::Cue,
    measure::{
        keys::Keys,
        keystroke::{Keystroke, KeystrokeSummary, Keystrokes},
    },
    time::{Span, Timestamp},
};

/// The measurer of a session's keystrokes.
#[expect(clippy::large_enum_variant, reason = "most sessions are SSH, and each of their packets looks here")]
#[derive(Debug)]
pub(super) enum Typing {
    /// Of a terminal.
    Terminal(Keystrokes),
    /// Of a remote desktop.
    Keyboard(Box<Keys>),
}

impl Default for Typing {
    fn default() -> Self {
        Self::Terminal(Keystrokes::default())
    }
}

impl Typing {
    /// The protocol turned out to show releases.
    pub(super) fn expect_releases(&mut self) {
        if let Self::Terminal(_) = self {
            *self = Self::Keyboard(Box::default());
        }
    }

    /// Takes a cue in; `rtt` is the smallest client-side round trip, where known.
    pub(super) fn on_cue(&mut self, cue: Cue, rtt: Option<Span>, decided: &mut Vec<Keystroke>) {
        match self {
            Self::Terminal(keystrokes) => match cue {
                Cue::Input(input) => keystrokes.on_input(input, rtt, decided),
                Cue::Output(output) => keystrokes.on_output(output, decided),
                Cue::Terminal(terminal) => keystrokes.on_terminal(terminal),
                Cue::CanObfuscate { doubled, near } => keystrokes.on_can_obfuscate(doubled, near),
                Cue::Rekeyed { since } => keystrokes.on_rekeyed(since),
                Cue::Lost(side) => keystrokes.on_lost(side),
                Cue::Key(_) | Cue::HeldBack | Cue::Asked(_) | Cue::Answered(_) | Cue::RoundTrip { .. } => {}
            },
            Self::Keyboard(keys) => match cue {
                Cue::Key(event) => keys.on_key(event, decided),
                Cue::Output(output) => keys.on_output(output, decided),
                Cue::Lost(side) => keys.on_lost(side, decided),
                Cue::HeldBack => keys.on_held_back(),
                Cue::Input(_)
                | Cue::Terminal(_)
                | Cue::CanObfuscate { .. }
                | Cue::Rekeyed { .. }
                | Cue::Asked(_)
                | Cue::Answered(_)
                | Cue::RoundTrip { .. } => {}
            },
        }
    }

    /// The client has closed the connection.
    pub(super) fn on_client_gone(&mut self, now: Timestamp) {
        if let Self::Terminal(keystrokes) = self {
            keystrokes.on_client_gone(now);
        }
    }

    /// When [`Self::on_deadline`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Terminal(keystrokes) => keystrokes.next_deadline(),
            Self::Keyboard(keys) => keys.next_deadline(),
        }
    }

    /// Decides whatever has waited long enough by `now`.
    pub(super) fn on_deadline(&mut self, now: Timestamp, decided: &mut Vec<Keystroke>) {
        match self {
            Self::Terminal(keystrokes) => keystrokes.on_deadline(now, decided),
            Self::Keyboard(keys) => keys.on_deadline(now, decided),
        }
    }

    /// The session is over: decides everything.
    pub(super) fn finish(&mut self, decided: &mut Vec<Keystroke>) {
        match self {
            Self::Terminal(keystrokes) => keystrokes.finish(decided),
            Self::Keyboard(keys) => keys.finish(decided),
        }
    }

    /// What was decided so far, `None` where the keystrokes are hidden.
    pub(super) fn summary(&self) -> Option<KeystrokeSummary> {
        match self {
            Self::Terminal(keystrokes) => keystrokes.summary(),
            Self::Keyboard(keys) => Some(keys.summary()),
        }
    }

    /// Whether keystrokes are hidden among chaff, where that can be told.
    pub(super) const fn obfuscated(&self) -> Option<bool> {
        match self {
            Self::Terminal(keystrokes) => keystrokes.obfuscated(),
            Self::Keyboard(_) => None,
        }
    }
}
