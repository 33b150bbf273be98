//! SPICE, the protocol of virtual machines' consoles (QEMU, Proxmox, oVirt), in clear.
//!
//! Each channel is a connection of its own, and a session here; `connection_id` says which belong together. *Known*: of every channel its
//! kind, versions, how the client makes itself known and whether it was let in; of the inputs' channel each key's way down and up, never
//! which, apart from the pointer; of the main channel the machine's name. PING and PONG are the client program's round trips. *Not
//! known*: what the screen shows, which is on another connection, so that no key has an echo; anything behind SASL; and
//! inside TLS, which begins with the connection's first byte and names nothing of SPICE, not even that it is SPICE.

mod link;
mod messages;

use serde::{Deserialize, Serialize};

pub use self::link::{Link, auth_name, channel_name, result_name};
use self::{
    link::{Handshake, Stage},
    messages::{Keep, Message, Messages},
};
use super::{Standing, turn};
use crate::{
    cue::{Cue, KeyAction, KeyEvent, Step},
    flow::{Data, PerSide, Side},
};

/// Messages of the server: a ping, the main channel's first message and its name.
const PING: u16 = 4;
const MAIN_INIT: u16 = 103;
const MAIN_NAME: u16 = 113;

/// Messages of the client.
const PONG: u16 = 3;
const KEY_DOWN: u16 = 101;
const KEY_UP: u16 = 102;
const KEY_SCANCODE: u16 = 104;

/// Body of a ping without a load, and of its answer: an identifier and a time.
const PING_BODY: usize = 12;

/// What was read of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What it began with.
    pub link: Link,
    /// The session's identifier, as the client gave it or, in the main channel, was given it.
    pub connection_id: Option<u32>,
    /// Name of the machine; hostile until escaped.
    pub name: Option<Vec<u8>>,
    /// The client holds back presses: those of keys that go up soon come with the release.
    pub holds_back: bool,
}

/// Decoder of one channel, both directions.
#[derive(Clone, Debug, Default)]
pub struct Spice {
    handshake: Handshake,
    phase: Phase,
    given_id: Option<u32>,
    name: Option<Vec<u8>>,
    holds_back: bool,
    /// The ping that waits for its answer.
    ping: Option<[u8; PING_BODY]>,
    answered: bool,
}

/// How the bytes are to be read now.
#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    Link,
    Messages(Box<PerSide<Messages>>),
    Lost,
}

impl Spice {
    /// What it allocates at most, in bytes: what waits of each side, with a segment and doubled as it grows.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Self>()
        + 2 * 2 * (link::MAX_WAITING + (4 << 10))
        + 2 * (size_of::<Messages>() + Messages::MOST_BYTES)
        + messages::MOST_KEPT;

    /// Whether a client that begins like this may open a channel.
    #[must_use]
    pub fn may_begin(bytes: &[u8]) -> bool {
        let seen = bytes.len().min(link::MAGIC.len());
        bytes.get(..seen) == link::MAGIC.get(..seen)
    }

    /// How sure it is that this is SPICE.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        let versions = &self.handshake.read.versions;
        match (self.handshake.stage, versions.client.is_some(), versions.server.is_some()) {
            (Stage::NotOurs, ..) => Standing::NotOurs,
            (_, true, true) => Standing::Both,
            (_, true, false) => Standing::OneSide,
            _ => Standing::Candidate,
        }
    }

    /// Whether this channel is the one with the keys, and they can be told.
    #[must_use]
    pub fn keys_known(&self) -> bool {
        self.handshake.read.channel == link::INPUTS && matches!(self.phase, Phase::Messages(_))
    }

    /// Whether the roles rest on what the two ends said.
    #[must_use]
    pub const fn roles_known(&self) -> bool {
        matches!(self.standing(), Standing::Both)
    }

    /// What was read.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let link = self.handshake.read;
        let asked_for = Some(link.connection_id).filter(|id| *id != 0);
        Facts { link, connection_id: asked_for.or(self.given_id), name: self.name.clone(), holds_back: self.holds_back }
    }

    /// Takes the next bytes of one side and adds what they mean to `cues`.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match self.phase {
            Phase::Link => self.on_link(side, data, cues),
            Phase::Messages(_) => self.on_messages(side, data, cues),
            Phase::Lost => {}
        }
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self, side: Side) {
        self.ping = None;
        match &mut self.phase {
            Phase::Link => self.phase = Phase::Lost,
            Phase::Messages(messages) => messages.get_mut(side).on_gap(),
            Phase::Lost => {}
        }
    }

    fn on_link(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if data.bytes.len() < data.len as usize {
            self.phase = Phase::Lost; // cut by a snaplen
            return;
        }
        let asked = self.handshake.turn_of_client();
        self.handshake.push(side, data.bytes);
        match (side, asked, self.handshake.turn_of_client()) {
            (Side::Client, Some(step), now) if now != asked => turn::answer(step, data, cues),
            (Side::Server, before, Some(step)) if before != Some(step) => turn::ask(step, data, cues),
            _ => {}
        }
        self.phase = match self.handshake.stage {
            Stage::Messages => {
                let messages = || Messages::new(self.handshake.read.mini_header == Some(true));
                Phase::Messages(Box::new(PerSide { client: messages(), server: messages() }))
            }
            Stage::Over | Stage::NotOurs => Phase::Lost,
            _ => return,
        };
        for side in [Side::Server, Side::Client] {
            let rest = self.handshake.take_rest(side);
            if !rest.is_empty() {
                let rest = Data { bytes: &rest, len: u32::try_from(rest.len()).unwrap_or(u32::MAX), ..*data };
                self.on_messages(side, &rest, cues);
            }
        }
    }

    fn on_messages(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        let Phase::Messages(mut messages) = std::mem::take(&mut self.phase) else { return };
        let channel = self.handshake.read.channel;
        match side {
            Side::Server => {
                let keep = |kind| match (kind, channel) {
                    (PING, _) => Keep::Bytes(PING_BODY + 1),
                    (MAIN_INIT, link::MAIN) => Keep::Bytes(4),
                    (MAIN_NAME, link::MAIN) => Keep::Bytes(messages::MOST_KEPT),
                    _ => Keep::Nothing,
                };
                messages.server.push(data, keep, |message| self.on_server(message, data, cues));
            }
            Side::Client => {
                if !std::mem::replace(&mut self.answered, true) {
                    turn::answer(Step::Init, data, cues);
                }
                if messages.client.is_lost() && channel == link::INPUTS && is_whole_input(data, self.handshake.read.mini_header) {
                    messages.client.begin_anew();
                }
                let keep = |kind| match (kind, channel) {
                    (PONG, _) => Keep::Bytes(PING_BODY + 1),
                    (KEY_SCANCODE, link::INPUTS) => Keep::Ways,
                    _ => Keep::Nothing,
                };
                messages.client.push(data, keep, |message| self.on_client(message, data, cues));
            }
        }
        self.phase = Phase::Messages(messages);
    }

    fn on_server(&mut self, message: Message<'_>, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (message.kind, message.kept) {
            // One that carries a load to measure the line's rate is not timed, nor one behind another.
            (PING, kept) if self.ping.is_none() => {
                if let Ok(ping) = kept.try_into() {
                    self.ping = Some(ping);
                    turn::ask(Step::Ping, data, cues);
                }
            }
            (MAIN_INIT, &[a, b, c, d]) => self.given_id = Some(u32::from_le_bytes([a, b, c, d])),
            (MAIN_NAME, [_, _, _, _, name @ ..]) => {
                self.name = Some(name.iter().copied().take_while(|byte| *byte != 0).collect());
            }
            _ => {}
        }
    }

    fn on_client(&mut self, message: Message<'_>, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if message.kind == PONG && self.ping.is_some_and(|ping| ping.as_slice() == message.kept) {
            self.ping = None;
            turn::answer(Step::Ping, data, cues);
        }
        if self.handshake.read.channel != link::INPUTS {
            return;
        }
        let bytes = message.bytes;
        let mut key = |action| {
            cues.push(Cue::Key(KeyEvent { time: data.time, end: data.end, sent: data.sent, bytes, action }));
        };
        match message.kind {
            KEY_DOWN => key(KeyAction::Down),
            KEY_UP => key(KeyAction::Up),
            KEY_SCANCODE => {
                let ways = message.kept.iter();
                ways.for_each(|way| key(if *way == messages::UP { KeyAction::Up } else { KeyAction::Down }));
                let both = message.kept.contains(&messages::UP) && message.kept.contains(&messages::DOWN);
                if both && !std::mem::replace(&mut self.holds_back, true) {
                    cues.push(Cue::HeldBack);
                }
            }
            _ => {}
        }
    }
}

/// Whether a segment of the inputs' channel is whole messages, each as long as its kind is, and nothing else.
fn is_whole_input(data: &Data<'_>, mini_header: Option<bool>) -> bool {
    let mut bytes = data.bytes;
    if bytes.len() != data.len as usize || bytes.is_empty() {
        return false;
    }
    while !bytes.is_empty() {
        let head = if mini_header == Some(true) { Some(bytes) } else { bytes.get(8..) };
        let Some(&[low, high, a, b, c, d, ..]) = head else { return false };
        let (kind, size) = (u16::from_le_bytes([low, high]), u32::from_le_bytes([a, b, c, d]));
        let fits = match kind {
            KEY_DOWN | KEY_UP | 1 => size == 4,
            KEY_SCANCODE => (1..=16).contains(&size),
            2 => size == 0,
            PONG => size == 12,
            103 => size == 2,
            111 => size == 10,
            112 => size == 11,
            113 | 114 => size == 3,
            _ => false,
        };
        let header = if mini_header == Some(true) { 6 } else { 18 };
        let Some(rest) = bytes.get(header + size as usize..).filter(|_| fits) else { return false };
        bytes = rest;
    }
    true
}

#[cfg(test)]
mod tests;
