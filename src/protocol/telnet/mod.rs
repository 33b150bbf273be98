//! Telnet (RFC 854), with the options that decide what its bytes are: ECHO (RFC 857), SUPPRESS-GO-AHEAD (RFC 858), LINEMODE
//! (RFC 1184), TERMINAL-TYPE (RFC 1091) and NAWS (RFC 1073).
//!
//! *Known*: the options, terminal type and window size; where the server echoes and goes on without being told to, a segment
//! is a key, exact to the segment. Which key it was is not kept. *Not known*: keys in line mode, which leave the client as lines.

mod options;

use serde::{Deserialize, Serialize};

pub use self::options::{Mode, Window};
use self::options::{Options, Splitter};
use super::{Standing, terminal};
use crate::{
    cue::{Cue, Terminal},
    flow::{Data, PerSide, Side},
};

/// What was read of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How the client sends what is typed.
    pub mode: Mode,
    /// What the client says its terminal is; hostile until escaped.
    pub terminal_type: Option<Vec<u8>>,
    /// Size of the client's window, as it was last told.
    pub window: Option<Window>,
}

/// Decoder of one session, both directions.
#[derive(Clone, Debug, Default)]
pub struct Telnet {
    splitters: PerSide<Splitter>,
    options: Options,
    /// A terminal that sends each key by itself was seen.
    was_character: bool,
}

impl Telnet {
    /// What it allocates at most, in bytes: a subnegotiation of each side, doubled as it grows, the terminal's type, and the data
    /// of one segment.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Self>() + 5 * options::MOST_KEPT + (4 << 10);

    /// Whether one side can begin like this: with a command about an option that IANA knows.
    #[must_use]
    pub fn may_begin(bytes: &[u8]) -> bool {
        match *bytes {
            [options::IAC] | [options::IAC, options::WILL..=options::DONT] => true,
            [options::IAC, options::WILL..=options::DONT, option, ..] => option <= options::LAST_KNOWN,
            _ => false,
        }
    }

    /// How sure it is that this is Telnet.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match (self.splitters.client.commands, self.splitters.server.commands) {
            (0, 0) => Standing::Candidate,
            (0, _) | (_, 0) => Standing::OneSide,
            _ => Standing::Both,
        }
    }

    /// Whether this session's keys can be told: not those of lines.
    #[must_use]
    pub const fn keys_known(&self) -> bool {
        self.was_character
    }

    /// What was read.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let Options { terminal_type, window, .. } = &self.options;
        Facts { mode: self.options.mode(), terminal_type: terminal_type.clone(), window: *window }
    }

    /// Takes the next bytes of one side and adds what they mean to `cues`.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        let mode = self.options.mode();
        let options = &mut self.options;
        let text = self.splitters.get_mut(side).split(data.bytes, |command| options.on_command(side, command));
        if data.bytes.len() < data.len as usize {
            self.splitters.get_mut(side).on_gap(); // cut by a snaplen
        }
        if mode != Mode::Character && self.options.mode() == Mode::Character && !self.was_character {
            self.was_character = true;
            cues.push(Cue::Terminal(Terminal::Open));
        }
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        match side {
            Side::Client if mode == Mode::Character => cues.extend(terminal::input(data, &text).map(Cue::Input)),
            Side::Server if len > 0 => cues.push(Cue::Output(terminal::output(data, len))),
            _ => {}
        }
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self, side: Side) {
        self.splitters.get_mut(side).on_gap();
    }
}

#[cfg(test)]
mod tests;
