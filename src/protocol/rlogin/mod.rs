//! rlogin (RFC 1282).
//!
//! *Known*: both user names, the terminal and its speed; each key, exact to the segment, never which. The client's answers about
//! its window are told from keys by their two leading bytes.

use serde::{Deserialize, Serialize};

use super::{Standing, terminal};
use crate::{
    cue::{Cue, Terminal},
    flow::{Data, Side},
};

/// Bytes of the client's first message at most.
const MOST_OPENING: usize = 256;

/// What a window size begins with, and how long it is.
const WINDOW_SIZE: &[u8] = b"\xff\xffss";
const WINDOW_SIZE_LEN: usize = 12;

/// What was read of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The user's name at the client; hostile until escaped.
    pub client_user: Option<Vec<u8>>,
    /// The user's name at the server; hostile until escaped.
    pub server_user: Option<Vec<u8>>,
    /// Terminal and speed, such as `xterm/38400`; hostile until escaped.
    pub terminal: Option<Vec<u8>>,
}

/// Decoder of one session, both directions.
#[derive(Clone, Debug, Default)]
pub struct Rlogin {
    opening: Vec<u8>,
    facts: Facts,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The client has not said all of what it says first.
    #[default]
    Opening,
    /// It has.
    Asked,
    /// The server has granted it.
    Open,
    NotOurs,
}

impl Rlogin {
    /// What it allocates at most, in bytes: the client's first message, doubled as it grows, and its parts.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Self>() + 3 * MOST_OPENING;

    /// Whether a client can begin like this: a zero, two names and a terminal with its speed, each with a zero behind it.
    #[must_use]
    pub fn may_begin(bytes: &[u8]) -> bool {
        let Some((0, rest)) = bytes.split_first() else { return false };
        let mut parts = rest.split(|byte| *byte == 0);
        let named = parts.by_ref().take(2).all(|name| name.iter().all(u8::is_ascii_graphic));
        let terminal = parts.next().unwrap_or_default();
        let is_empty = rest.first() == Some(&0);
        let is_whole = parts.next().is_some();
        let has_speed = terminal.rsplit(|byte| *byte == b'/').next().is_some_and(|speed| speed.iter().all(u8::is_ascii_digit));
        named
            && !is_empty
            && terminal.iter().all(u8::is_ascii_graphic)
            && rest.len() < MOST_OPENING
            && (!is_whole || (terminal.contains(&b'/') && has_speed))
            && parts.next().is_none()
    }

    /// How sure it is that this is rlogin.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self.state {
            State::Opening => Standing::Candidate,
            State::Asked => Standing::OneSide,
            State::Open => Standing::Both,
            State::NotOurs => Standing::NotOurs,
        }
    }

    /// Whether this session's keys can be told.
    #[must_use]
    pub const fn keys_known(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// What was read.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.facts.clone()
    }

    /// Takes the next bytes of one side and adds what they mean to `cues`.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (self.state, side) {
            (State::Opening, Side::Client) => self.on_opening(data.bytes),
            (State::Asked, Side::Server) => {
                if data.bytes.first() == Some(&0) {
                    self.state = State::Open;
                    cues.push(Cue::Terminal(Terminal::Open));
                    self.on_output(data, 1, cues);
                } else {
                    self.state = State::NotOurs;
                }
            }
            (State::Opening, Side::Server) => self.state = State::NotOurs,
            (State::Open, Side::Server) => self.on_output(data, 0, cues),
            (State::Open, Side::Client) => {
                let typed = match data.bytes.starts_with(WINDOW_SIZE) {
                    true => data.bytes.get(WINDOW_SIZE_LEN..).unwrap_or_default(),
                    false => data.bytes,
                };
                cues.extend(terminal::input(data, typed).map(Cue::Input));
            }
            (State::Asked, Side::Client) | (State::NotOurs, _) => {}
        }
    }

    /// Bytes were not captured. What is typed needs none of those before it; what is said first does.
    pub fn on_gap(&mut self) {
        if self.state == State::Opening {
            self.state = State::NotOurs;
        }
    }

    fn on_output(&self, data: &Data<'_>, skip: u32, cues: &mut Vec<Cue>) {
        let len = data.len.saturating_sub(skip);
        if len > 0 {
            cues.push(Cue::Output(terminal::output(data, len)));
        }
    }

    fn on_opening(&mut self, bytes: &[u8]) {
        self.opening.extend(bytes.iter().take(MOST_OPENING));
        if !Self::may_begin(&self.opening) {
            self.state = State::NotOurs;
            self.opening = Vec::new();
            return;
        }
        let mut parts = self.opening.get(1..).unwrap_or_default().split(|byte| *byte == 0).map(<[u8]>::to_vec);
        if let (Some(client), Some(server), Some(terminal), Some(_)) = (parts.next(), parts.next(), parts.next(), parts.next()) {
            self.facts = Facts { client_user: Some(client), server_user: Some(server), terminal: Some(terminal) };
            self.state = State::Asked;
            self.opening = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests;
