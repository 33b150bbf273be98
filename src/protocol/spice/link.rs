//! The link: what each channel begins with, up to the server's word that the client is in (SPICE protocol, "Link stages";
//! `spice/protocol.h`). All integers have their least significant byte first.

use serde::{Deserialize, Serialize};

use crate::{
    cue::Step,
    flow::{PerSide, Side},
    protocol::bytes::Bytes,
};

/// What both sides' first message begins with.
pub(super) const MAGIC: &[u8; 4] = b"REDQ";

/// The only version in use; minor versions only add capabilities.
const MAJOR: u32 = 2;

/// Longest body of a link message; servers refuse longer ones.
const LONGEST_LINK: u32 = 4_096;

/// Bytes of one side that wait, at most.
pub(super) const MAX_WAITING: usize = 2 * LONGEST_LINK as usize;

/// A public key of 1,024 bits as the server sends it, and a password encrypted to it.
const PUBLIC_KEY: usize = 162;
const TICKET: usize = 128;

/// Capabilities that both sides have to show.
const AUTH_SELECTION: u32 = 1 << 0;
const MINI_HEADER: u32 = 1 << 3;

const AUTH_TICKET: u32 = 1;

/// What was read of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Major and minor version that each side named.
    pub versions: PerSide<Option<(u32, u32)>>,
    /// The session's id, by which a channel belongs to one; 0 for the first, main channel, which is told its id later.
    pub connection_id: u32,
    /// The kind of channel; see [`channel_name`].
    pub channel: u8,
    /// Which of its kind.
    pub channel_id: u8,
    /// How the client makes itself known: 1 by a ticket, 2 by SASL.
    pub auth: Option<u32>,
    /// What the server said of the link, before the client made itself known or after; 0 where it went well. See [`result_name`].
    pub result: Option<u32>,
    /// Whether messages have the short header.
    pub mini_header: Option<bool>,
}

/// Whose turn it is, and what comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    ClientLink,
    ServerLink,
    AuthChoice,
    Ticket,
    Result,
    /// Messages in clear from here on.
    Messages,
    /// The server refused, or SASL, which may encrypt what follows.
    Over,
    /// This is something else.
    NotOurs,
}

/// Reader of the link.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshake {
    pub(super) stage: Stage,
    pub(super) read: Link,
    capabilities: u32,
    selects: bool,
    waiting: PerSide<Vec<u8>>,
}

impl Handshake {
    /// Takes the next bytes of one side.
    pub(super) fn push(&mut self, side: Side, bytes: &[u8]) {
        let waiting = self.waiting.get_mut(side);
        waiting.extend_from_slice(bytes);
        if waiting.len() > MAX_WAITING {
            self.stage = Stage::Over;
        }
        while self.step().is_some() {}
    }

    /// The turn that the client program is to take by itself.
    pub(super) const fn turn_of_client(&self) -> Option<Step> {
        match self.stage {
            Stage::AuthChoice => Some(Step::Security),
            Stage::Ticket if !self.selects => Some(Step::Security),
            Stage::Messages => Some(Step::Init),
            _ => None,
        }
    }

    /// What came of one side behind the link.
    pub(super) fn take_rest(&mut self, side: Side) -> Vec<u8> {
        std::mem::take(self.waiting.get_mut(side))
    }

    /// One turn, if it is whole.
    fn step(&mut self) -> Option<()> {
        match self.stage {
            Stage::ClientLink => self.client_link(),
            Stage::ServerLink => self.server_link(),
            Stage::AuthChoice => {
                let auth = self.turn(Side::Client, |bytes| bytes.u32_le())?;
                self.read.auth = Some(auth);
                self.stage = if auth == AUTH_TICKET { Stage::Ticket } else { Stage::Over };
                Some(())
            }
            Stage::Ticket => {
                self.turn(Side::Client, |bytes| bytes.take(TICKET).map(|_| ()))?;
                self.stage = Stage::Result;
                Some(())
            }
            Stage::Result => {
                let result = self.turn(Side::Server, |bytes| bytes.u32_le())?;
                self.read.result = Some(result);
                self.stage = if result == 0 { Stage::Messages } else { Stage::Over };
                Some(())
            }
            Stage::Messages | Stage::Over | Stage::NotOurs => None,
        }
    }

    fn client_link(&mut self) -> Option<()> {
        let version = self.version(Side::Client)?;
        let (connection_id, channel, channel_id, capabilities) = self.link(Side::Client, |bytes| {
            let (connection_id, channel, channel_id) = (bytes.u32_le()?, bytes.u8()?, bytes.u8()?);
            Some((connection_id, channel, channel_id, capabilities(bytes, 18)?))
        })?;
        self.capabilities = capabilities;
        self.read = Link { connection_id, channel, channel_id, ..Link::default() };
        self.read.versions.client = Some(version);
        self.stage = Stage::ServerLink;
        Some(())
    }

    fn server_link(&mut self) -> Option<()> {
        let version = self.version(Side::Server)?;
        let (error, capabilities) = self.link(Side::Server, |bytes| {
            let error = bytes.u32_le()?;
            bytes.take(PUBLIC_KEY)?;
            Some((error, capabilities(bytes, 178)?))
        })?;
        self.read.versions.server = Some(version);
        if error != 0 {
            self.read.result = Some(error);
            self.stage = Stage::Over;
            return Some(());
        }
        let both = self.capabilities & capabilities;
        self.read.mini_header = Some(both & MINI_HEADER != 0);
        self.selects = both & AUTH_SELECTION != 0;
        self.stage = if self.selects { Stage::AuthChoice } else { Stage::Ticket };
        self.read.auth = (!self.selects).then_some(AUTH_TICKET);
        Some(())
    }

    /// The version that one side's link message begins with, once that is there; it stays in front.
    fn version(&mut self, side: Side) -> Option<(u32, u32)> {
        let waiting = self.waiting.get(side);
        let seen = waiting.len().min(MAGIC.len());
        let mut bytes = Bytes(waiting);
        let head = bytes.array::<4>().and_then(|_| Some((bytes.u32_le()?, bytes.u32_le()?, bytes.u32_le()?)));
        let is_ours = waiting.get(..seen) == MAGIC.get(..seen)
            && head.is_none_or(|(major, _, size)| major == MAJOR && size <= LONGEST_LINK);
        if !is_ours {
            self.stage = Stage::NotOurs;
        }
        head.filter(|_| is_ours).map(|(major, minor, _)| (major, minor))
    }

    /// What `read` makes of the body of one side's link message, once it is whole; a body that cannot be one is none of SPICE.
    fn link<T>(&mut self, side: Side, read: impl FnOnce(&mut Bytes<'_>) -> Option<T>) -> Option<T> {
        let value = self.turn(side, |bytes| {
            bytes.take(12)?;
            let size = bytes.u32_le()?;
            Some(read(&mut Bytes(bytes.take(size as usize)?)))
        })?;
        if value.is_none() {
            self.stage = Stage::NotOurs;
        }
        value
    }

    /// What `read` makes of one side's waiting bytes; they go only when it is whole.
    fn turn<T>(&mut self, side: Side, read: impl FnOnce(&mut Bytes<'_>) -> Option<T>) -> Option<T> {
        let waiting = self.waiting.get_mut(side);
        let mut bytes = Bytes(waiting);
        let value = read(&mut bytes)?;
        let used = waiting.len() - bytes.0.len();
        waiting.drain(..used);
        Some(value)
    }
}

/// The first word of the capabilities that channels have in common; 0 where there is none. `at` is where the body stands after them: the
/// list stands at an offset from the body's beginning.
fn capabilities(bytes: &mut Bytes<'_>, at: usize) -> Option<u32> {
    let (common, _channel, offset) = (bytes.u32_le()?, bytes.u32_le()?, bytes.u32_le()?);
    if common == 0 {
        return Some(0);
    }
    bytes.take((offset as usize).checked_sub(at)?)?;
    bytes.u32_le()
}

/// The name of a kind of channel; `None` where none is known.
#[must_use]
pub const fn channel_name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "main",
        2 => "display",
        INPUTS => "inputs",
        4 => "cursor",
        5 => "playback",
        6 => "record",
        7 => "tunnel",
        8 => "smartcard",
        9 => "usbredir",
        10 => "port",
        11 => "webdav",
        _ => return None,
    })
}

/// The main channel, and that of keyboard and mouse.
pub(super) const MAIN: u8 = 1;
pub(super) const INPUTS: u8 = 3;

/// The name of what the server said of a link; `None` where none is known.
#[must_use]
pub const fn result_name(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "ok",
        1 => "error",
        2 => "invalid_magic",
        3 => "invalid_data",
        4 => "version_mismatch",
        5 => "need_secured",
        6 => "need_unsecured",
        7 => "permission_denied",
        8 => "bad_connection_id",
        9 => "channel_not_available",
        _ => return None,
    })
}

/// The name of a way in which a client makes itself known; `None` where none is known.
#[must_use]
pub const fn auth_name(code: u32) -> Option<&'static str> {
    match code {
        1 => Some("ticket"),
        2 => Some("sasl"),
        _ => None,
    }
}
