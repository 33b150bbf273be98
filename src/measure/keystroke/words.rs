//! What is said of keystrokes: of one, and of all of a session.

use serde::{Deserialize, Serialize};

use super::{EchoLevels, InputOrigin};
use crate::{
    measure::estimate::Quantiles,
    time::{Span, Timestamp},
};

/// One keystroke, decided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keystroke {
    /// When its message passed the sensor.
    pub time: Timestamp,
    /// Position in the session, from 0.
    pub index: u64,
    /// Press, repeat or paste.
    pub kind: KeystrokeKind,
    /// What the key did, as far as sizes tell.
    pub class: KeyClass,
    /// Length of its message on the wire in bytes.
    pub bytes: u32,
    /// Time since the key before it; `None` for the first, for the second of two keys in one segment, behind a gap in the
    /// capture, and around hidden runs.
    pub interval: Option<Span>,
    /// From the key to the server's answer, at the sensor.
    pub echo: Option<Span>,
    /// What it rests on.
    pub method: Method,
    /// The chance that it is real.
    pub confidence: f64,
    /// Part of a run of keys without echo, such as a password: counted, not timed.
    pub hidden: bool,
}

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeystrokeKind {
    /// A key went down.
    Press,
    /// A held key repeated.
    Repeat,
    /// A key went up.
    Release,
    /// More than a key can send, at once.
    Paste,
}

/// What the key did. Never which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyClass {
    /// A character that was echoed as one.
    Char,
    /// A character that changed the line, such as Backspace.
    Edit,
    /// An escape sequence: arrows and function keys.
    Navigation,
    /// It made the server write: Enter, Tab, Ctrl-C, a command key.
    Control,
    /// The cipher, or a missing echo, hides it.
    Unknown,
}

/// What a keystroke rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Its size, and the server's answer.
    #[default]
    SizeAndEcho,
    /// Its size alone, in an open terminal.
    Size,
    /// The server's answer to one of the messages among which it was hidden.
    SlotAndAnswer,
    /// A message in clear.
    Message,
    /// The size of its record, and the rhythm.
    RecordSize,
    /// How many records came together, and the rhythm.
    RecordParity,
}

impl Method {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SizeAndEcho => "size+echo",
            Self::Size => "size",
            Self::SlotAndAnswer => "slot+answer",
            Self::Message => "message",
            Self::RecordSize => "record_size+rhythm",
            Self::RecordParity => "record_parity+rhythm",
        }
    }
}

/// One of the reasons for an origin. By this name, as serde would take a bare `&'static str` for part of what is read.
pub(super) type Reason = &'static str;

/// What is reported of a session's keystrokes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeystrokeSummary {
    /// All of them.
    pub count: u64,
    /// Presses, the keys of hidden runs included.
    pub presses: u64,
    /// Keys let go; `None` where the protocol does not show them.
    pub releases: Option<u64>,
    /// Repeats of held keys.
    pub repeats: u64,
    /// Pastes.
    pub pastes: u64,
    /// Keys without echo.
    pub silent: u64,
    /// Mean confidence; `None` without keys.
    pub reliability: Option<f64>,
    /// Between one press and the next, repeats and hidden runs left out.
    pub interval: Option<Quantiles>,
    /// From press to release; `None` where the protocol does not show releases.
    pub hold: Option<Quantiles>,
    /// From key to echo, at the sensor.
    pub echo: Option<Quantiles>,
    /// From the end of output that was more than an echo to the next key, at the sensor: a reaction, and the round trip.
    pub response: Option<Quantiles>,
    /// What they were recognised by, at best.
    pub method: Method,
    /// Who or what typed.
    pub origin: InputOrigin,
    /// Why that is believed.
    #[serde(deserialize_with = "super::cadence::known_reason")]
    pub origin_reason: Reason,
    /// Where keystrokes are hidden among chaff: its interval, which is the step of all their times.
    pub step: Option<Span>,
    /// How long echoes took, from host to host of the longest chain; `None` where the protocol has no echo, where keystrokes are
    /// hidden among chaff, and with fewer than 16 echoes.
    pub levels: Option<EchoLevels>,
    /// From the last chaff of each burst to the server program's own answer to it, at the sensor; `None` without any.
    pub pongs: Option<Quantiles>,
}
