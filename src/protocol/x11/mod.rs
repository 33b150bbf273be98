//! The X Window System's core protocol, version 11, over TCP.
//!
//! The keyboard is at the display, which accepts the connection; the program opens it. So the end that types is TCP's server, and
//! the roles are the other way round here. *Known*: each key's way down and up as the display tells the program, exact to the
//! event; never which. *Not known*: keys that a program asked for by the X Input Extension (GTK, Qt): where events of extensions come and
//! none of keys, nothing is told.

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::{
    cue::{Cue, KeyAction, KeyEvent, Output, OutputKind},
    flow::{Data, PerSide, Side},
};

/// Length of the program's first message without names, and of the head of the display's answer.
const SETUP: usize = 12;
const ANSWER: usize = 8;

/// Length of an event, an error, and of a reply's head.
const UNIT: usize = 32;

const REPLY: u8 = 1;
const KEY_PRESS: u8 = 2;
const KEY_RELEASE: u8 = 3;
const GENERIC_EVENT: u8 = 35;

/// What was read of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Whether the display let the program in; `None` where that was not captured.
    pub accepted: Option<bool>,
}

/// Decoder of one session, both directions.
#[derive(Clone, Debug, Default)]
pub struct X11 {
    /// The program's first message as far as it came; the display's unit that is not whole.
    head: PerSide<Vec<u8>>,
    big_endian: bool,
    /// Bytes of the display's current message that are passed over.
    skip: u64,
    /// A release that may be the first half of a repeat.
    held: Option<Key>,
    facts: Facts,
    stage: Stage,
    swapped: bool,
    core_keys: bool,
    generic_events: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// The program has not said all of its first message.
    #[default]
    Setup,
    /// The display has not answered.
    Asked,
    Open,
    /// Refused, or bytes are missing.
    Lost,
    NotOurs,
}

/// A transition of a key, and when that was by the display's clock, in its own bytes.
#[derive(Clone, Copy, Debug)]
struct Key {
    event: KeyEvent,
    at: [u8; 4],
}

impl X11 {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Self>() + 4 * UNIT;

    /// Whether a program can begin like this: with the order of bytes and version 11.0.
    #[must_use]
    pub fn may_begin(bytes: &[u8]) -> bool {
        matches!(*bytes, [b'l', 0, 11, 0, 0, 0, ..] | [b'B', 0, 0, 11, 0, 0, ..])
    }

    /// How sure it is that this is X11.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match (self.stage, self.facts.accepted) {
            (Stage::NotOurs, _) => Standing::NotOurs,
            (Stage::Setup, _) => Standing::Candidate,
            (_, None) => Standing::OneSide,
            (_, Some(_)) => Standing::Both,
        }
    }

    /// Whether this session's keys can be told.
    #[must_use]
    pub const fn keys_known(&self) -> bool {
        matches!(self.facts.accepted, Some(true)) && (self.core_keys || !self.generic_events)
    }

    /// Whether the roles turned out to be the other way round; asked once.
    pub fn take_role_swap(&mut self) -> bool {
        std::mem::take(&mut self.swapped)
    }

    /// Whether the roles rest on what the two ends said.
    #[must_use]
    pub const fn roles_known(&self) -> bool {
        matches!(self.standing(), Standing::Both)
    }

    /// What was read.
    #[must_use]
    pub const fn facts(&self) -> Facts {
        self.facts
    }

    /// Takes the next bytes of one side and adds what they mean to `cues`.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if side == Side::Server {
            self.let_go(cues);
        }
        match (self.stage, side) {
            (Stage::Setup, Side::Client) => self.on_setup(data.bytes),
            // From here on the display is the client.
            (Stage::Asked | Stage::Open, Side::Client) => self.on_display(data, cues),
            (Stage::Open, Side::Server) => {
                cues.push(Cue::Output(Output { time: data.time, acked: data.acked, bytes: data.len, kind: OutputKind::Text }));
            }
            (Stage::Setup, Side::Server) => self.stage = Stage::NotOurs,
            (Stage::Asked, Side::Server) | (Stage::Lost | Stage::NotOurs, _) => {}
        }
    }

    /// Bytes of one side were not captured.
    pub const fn on_gap(&mut self, side: Side) {
        self.stage = match (self.stage, side) {
            (Stage::Setup, _) => Stage::NotOurs,
            (Stage::Asked | Stage::Open, Side::Client) => Stage::Lost,
            (stage, _) => stage,
        };
    }

    fn on_setup(&mut self, bytes: &[u8]) {
        let head = &mut self.head.client;
        head.extend(bytes.iter().take(SETUP - head.len().min(SETUP)));
        if head.len() < SETUP {
            return;
        }
        self.big_endian = head.first() == Some(&b'B');
        self.stage = if Self::may_begin(head) { Stage::Asked } else { Stage::NotOurs };
        self.swapped = self.stage == Stage::Asked;
        *head = Vec::new();
    }

    fn on_display(&mut self, data: &Data<'_>, cues: &mut Vec<Cue>) {
        let mut rest = data.bytes;
        while !rest.is_empty() && matches!(self.stage, Stage::Asked | Stage::Open) {
            if self.skip > 0 {
                let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
                rest = rest.get(step..).unwrap_or_default();
                self.skip -= step as u64;
                continue;
            }
            let wanted = if self.stage == Stage::Asked { ANSWER } else { UNIT };
            let missing = wanted.saturating_sub(self.head.server.len()).min(rest.len());
            let (now, later) = rest.split_at(missing);
            self.head.server.extend_from_slice(now);
            rest = later;
            if self.head.server.len() < wanted {
                break;
            }
            let unit = std::mem::take(&mut self.head.server);
            if let Some(key) = self.on_unit(&unit, data) {
                self.on_key(key, cues);
            }
        }
        if data.bytes.len() < data.len as usize {
            self.stage = Stage::Lost; // cut by a snaplen
        }
    }

    /// A key that is held comes as a release and a press in the same millisecond, most often in two segments: of the two only the press
    /// counts. So a release waits for what comes next.
    fn on_key(&mut self, key: Key, cues: &mut Vec<Cue>) {
        let repeats = key.event.action == KeyAction::Down && self.held.is_some_and(|release| release.at == key.at);
        if repeats {
            self.held = None;
        }
        self.let_go(cues);
        if key.event.action == KeyAction::Up {
            self.held = Some(key);
        } else {
            cues.push(Cue::Key(key.event));
        }
    }

    /// A release that was one.
    fn let_go(&mut self, cues: &mut Vec<Cue>) {
        cues.extend(self.held.take().map(|release| Cue::Key(release.event)));
    }

    /// A whole unit of the display's: the answer to the setup, an event, an error or the head of a reply.
    fn on_unit(&mut self, unit: &[u8], data: &Data<'_>) -> Option<Key> {
        if self.stage == Stage::Asked {
            let accepted = unit.first() == Some(&1);
            self.facts.accepted = Some(accepted);
            self.stage = if accepted { Stage::Open } else { Stage::Lost };
            let &[high, low] = unit.get(6..8)? else { return None };
            self.skip =
                4 * u64::from(if self.big_endian { u16::from_be_bytes([high, low]) } else { u16::from_le_bytes([high, low]) });
            return None;
        }
        let kind = *unit.first()?;
        if matches!(kind, REPLY | GENERIC_EVENT) {
            let &[a, b, c, d] = unit.get(4..8)? else { return None };
            let units = if self.big_endian { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([a, b, c, d]) };
            self.skip = 4 * u64::from(units);
            self.generic_events |= kind == GENERIC_EVENT;
        }
        let action = match kind {
            KEY_PRESS => KeyAction::Down,
            KEY_RELEASE => KeyAction::Up,
            _ => return None, // 0x80 in it: another program's event
        };
        self.core_keys = true;
        let at = unit.get(4..8)?.try_into().ok()?;
        Some(Key { event: KeyEvent { time: data.time, end: data.end, sent: data.sent, bytes: 32, action }, at })
    }
}

#[cfg(test)]
mod tests;
