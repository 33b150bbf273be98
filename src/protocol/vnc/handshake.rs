//! From the version lines to ServerInit: two sides that take turns (RFC 6143 §7.1 to §7.3).

use serde::{Deserialize, Serialize};

use super::{ra2_turns, security};
use crate::{
    cue::Step,
    flow::{PerSide, Side},
    protocol::bytes::Bytes,
};

/// Bytes of one side that wait for the other side's turn, at most: a desktop name, a reason, a public key.
pub(super) const MAX_WAITING: usize = 16 * 1024;

/// Bytes kept of the desktop's name.
const MAX_NAME: usize = 1_024;

/// A version line: `RFB 003.008` and a line feed.
const VERSION_LINE: usize = 12;

/// The version line, without its line feed, is the two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// 3, as far as this goes.
    pub major: u16,
    /// 3, 7, 8; 889 for Apple.
    pub minor: u16,
}

/// What was read of the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) versions: PerSide<Option<Version>>,
    pub(super) security_type: Option<u8>,
    pub(super) subtype: Option<u32>,
    pub(super) security_ok: Option<bool>,
    pub(super) shared: Option<bool>,
    pub(super) size: Option<(u16, u16)>,
    pub(super) desktop_name: Option<Vec<u8>>,
    pub(super) key_bits: Option<u32>,
}

/// Whose turn it is, and what comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    ServerVersion,
    ClientVersion,
    SecurityTypes,
    SecurityChoice,
    VncChallenge,
    VncResponse,
    ArdKey,
    ArdAnswer(u16),
    TightTunnels,
    TightTunnelChoice,
    TightAuths,
    TightAuthChoice,
    VencryptVersion,
    VencryptVersionBack,
    VencryptStatus,
    VencryptSubtypes,
    VencryptChoice,
    VencryptGo,
    PlainCredentials,
    Ra2(ra2_turns::Turn),
    Result,
    ClientInit,
    ServerInit,
    /// Messages in clear from here on.
    Messages,
    /// TLS from here on.
    Tls,
    /// RSA-AES from here on.
    Ra2Messages,
    /// The server refused, or nothing more can be read.
    Over,
    /// This is something else.
    NotOurs,
}

/// Reader of the handshake.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshake {
    pub(super) stage: Stage,
    pub(super) read: Read,
    waiting: PerSide<Vec<u8>>,
    tight: bool,
}

impl Handshake {
    /// Takes the next bytes of one side.
    pub(super) fn push(&mut self, side: Side, bytes: &[u8]) {
        let waiting = self.waiting.get_mut(side);
        waiting.extend_from_slice(bytes);
        if waiting.len() > MAX_WAITING {
            self.stage = Stage::Over;
        }
        while !self.is_done() && self.step().is_some() {}
    }

    /// Whether there is nothing more to read here.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Messages | Stage::Tls | Stage::Ra2Messages | Stage::Over | Stage::NotOurs)
    }

    /// The turn that the client is to take now, most often by itself: what the server has asked for.
    pub(super) const fn turn_of_client(&self) -> Option<Step> {
        Some(match self.stage {
            Stage::ClientVersion => Step::Banner,
            Stage::SecurityChoice
            | Stage::TightTunnelChoice
            | Stage::TightAuthChoice
            | Stage::VencryptVersionBack
            | Stage::VencryptChoice
            | Stage::Tls => Step::Security,
            Stage::Ra2(turn) => return turn.of_client(),
            Stage::VncResponse | Stage::ArdAnswer(_) | Stage::PlainCredentials => Step::Auth,
            Stage::ClientInit | Stage::Messages => Step::Init,
            _ => return None,
        })
    }

    /// What came of one side behind the handshake.
    pub(super) fn take_rest(&mut self, side: Side) -> Vec<u8> {
        std::mem::take(self.waiting.get_mut(side))
    }

    /// The version in use: the client's choice, not above the server's.
    pub(super) fn agreed(&self) -> Option<Version> {
        let (client, server) = (self.read.versions.client?, self.read.versions.server?);
        Some(if client.minor <= server.minor { client } else { server })
    }

    /// How the versions differ: 3.3 lets the server choose, only 3.8 and later tell that "none" went well and why not.
    fn minor(&self) -> u16 {
        match self.agreed().map_or(0, |version| version.minor) {
            0..7 => 3,
            7 => 7,
            _ => 8,
        }
    }

    /// One turn, if it is whole.
    fn step(&mut self) -> Option<()> {
        match self.stage {
            Stage::ServerVersion => self.version(Side::Server, Stage::ClientVersion),
            Stage::ClientVersion => self.version(Side::Client, Stage::SecurityTypes),
            Stage::SecurityTypes if self.minor() == 3 => {
                let code = self.turn(Side::Server, |bytes| bytes.u32())?;
                self.chosen(u8::try_from(code).unwrap_or(0));
                Some(())
            }
            Stage::SecurityTypes => {
                let count = self.turn(Side::Server, |bytes| bytes.part8().map(|types| types.0.len()))?;
                self.stage = if count == 0 { self.refused() } else { Stage::SecurityChoice };
                Some(())
            }
            Stage::SecurityChoice => {
                let code = self.turn(Side::Client, |bytes| bytes.u8())?;
                self.chosen(code);
                Some(())
            }
            Stage::VncChallenge => self.pass(Side::Server, 16, Stage::VncResponse),
            Stage::VncResponse => self.pass(Side::Client, 16, Stage::Result),
            Stage::ArdKey => {
                let len = self.turn(Side::Server, |bytes| {
                    bytes.u16()?; // generator
                    let len = bytes.u16()?;
                    bytes.take(2 * usize::from(len)).map(|_| len)
                })?;
                self.stage = Stage::ArdAnswer(len);
                Some(())
            }
            Stage::ArdAnswer(len) => self.pass(Side::Client, 128 + usize::from(len), Stage::Result),
            Stage::Result => {
                let code = self.turn(Side::Server, |bytes| bytes.u32())?;
                self.read.security_ok = Some(code == 0);
                self.stage = if code == 0 { Stage::ClientInit } else { Stage::Over };
                Some(())
            }
            Stage::ClientInit => {
                let shared = self.turn(Side::Client, |bytes| bytes.u8())?;
                self.read.shared = Some(shared != 0);
                self.stage = Stage::ServerInit;
                Some(())
            }
            Stage::ServerInit => self.server_init(),
            Stage::Ra2(turn) => self.step_of_ra2(turn),
            Stage::Messages | Stage::Tls | Stage::Ra2Messages | Stage::Over | Stage::NotOurs => None,
            _ => self.step_of_extension(),
        }
    }

    /// A turn of Tight or VeNCrypt.
    fn step_of_extension(&mut self) -> Option<()> {
        self.stage = match self.stage {
            Stage::TightTunnels => {
                let count = self.turn(Side::Server, |bytes| counted(bytes, 16))?;
                if count == 0 { Stage::TightAuths } else { Stage::TightTunnelChoice }
            }
            Stage::TightTunnelChoice => {
                let code = self.turn(Side::Client, |bytes| bytes.u32())?;
                if code == 0 { Stage::TightAuths } else { Stage::Over }
            }
            Stage::TightAuths => {
                let count = self.turn(Side::Server, |bytes| counted(bytes, 16))?;
                if count == 0 { self.after_none() } else { Stage::TightAuthChoice }
            }
            Stage::TightAuthChoice => match self.turn(Side::Client, |bytes| bytes.u32())? {
                1 => self.after_none(),
                2 => Stage::VncChallenge,
                _ => Stage::Over,
            },
            Stage::VencryptVersion => self.turn(Side::Server, |bytes| bytes.u16()).map(|_| Stage::VencryptVersionBack)?,
            Stage::VencryptVersionBack => match self.turn(Side::Client, |bytes| bytes.u16())? {
                0x0002 => Stage::VencryptStatus,
                _ => Stage::Over, // 0.1 has other subtypes
            },
            Stage::VencryptStatus => match self.turn(Side::Server, |bytes| bytes.u8())? {
                0 => Stage::VencryptSubtypes,
                _ => Stage::Over,
            },
            Stage::VencryptSubtypes => {
                let count = self.turn(Side::Server, |bytes| {
                    let count = bytes.u8()?;
                    bytes.take(4 * usize::from(count)).map(|_| count)
                })?;
                if count == 0 { Stage::Over } else { Stage::VencryptChoice }
            }
            Stage::VencryptChoice => {
                let subtype = self.turn(Side::Client, |bytes| bytes.u32())?;
                self.read.subtype = Some(subtype);
                match subtype {
                    security::VENCRYPT_PLAIN => Stage::PlainCredentials,
                    _ if security::begins_tls(subtype) => Stage::VencryptGo,
                    _ => Stage::Over,
                }
            }
            Stage::VencryptGo => match self.turn(Side::Server, |bytes| bytes.u8())? {
                1 => Stage::Tls,
                _ => Stage::Over,
            },
            Stage::PlainCredentials => {
                self.turn(Side::Client, |bytes| {
                    let (user, password) = (bytes.u32()?, bytes.u32()?);
                    bytes.take((user as usize).checked_add(password as usize)?).map(|_| ())
                })?;
                Stage::Result
            }
            _ => return None,
        };
        Some(())
    }

    fn chosen(&mut self, code: u8) {
        self.read.security_type = Some(code);
        self.stage = match code {
            0 => self.refused(),
            security::NONE => self.after_none(),
            security::VNC => Stage::VncChallenge,
            security::TIGHT => {
                self.tight = true;
                Stage::TightTunnels
            }
            security::TLS => Stage::Tls,
            security::VENCRYPT => Stage::VencryptVersion,
            security::ARD => Stage::ArdKey,
            _ if security::is_ra2(code) => Stage::Ra2(ra2_turns::Turn::ServerKey),
            _ => Stage::Over,
        };
    }

    /// Before 3.8 nobody says that no security went well.
    fn after_none(&mut self) -> Stage {
        if self.minor() == 8 {
            return Stage::Result;
        }
        self.read.security_ok = Some(true);
        Stage::ClientInit
    }

    /// The server wants no connection, and says why.
    fn refused(&mut self) -> Stage {
        self.read.security_type = Some(0);
        self.read.security_ok = Some(false);
        Stage::Over
    }

    fn version(&mut self, side: Side, then: Stage) -> Option<()> {
        let Some(line) = self.turn(side, |bytes| bytes.array::<VERSION_LINE>()) else {
            if !is_version_prefix(self.waiting.get(side)) {
                self.stage = Stage::NotOurs;
            }
            return None;
        };
        let version = parse_version(&line);
        *self.read.versions.get_mut(side) = version;
        self.stage = match version {
            None => Stage::NotOurs,
            // RealVNC's 4 and 5 are their own.
            Some(version) if version.major != 3 && side == Side::Client => Stage::Over,
            Some(_) => then,
        };
        Some(())
    }

    fn server_init(&mut self) -> Option<()> {
        let tight = self.tight;
        let (size, name) = self.turn(Side::Server, |bytes| {
            let size = (bytes.u16()?, bytes.u16()?);
            bytes.take(16)?; // pixel format
            let len = bytes.u32()?;
            let name = bytes.take(len as usize)?;
            if tight {
                let counts = [bytes.u16()?, bytes.u16()?, bytes.u16()?, bytes.u16()?];
                bytes.take(16 * counts.iter().take(3).map(|count| usize::from(*count)).sum::<usize>())?;
            }
            Some((size, name.iter().take(MAX_NAME).copied().collect()))
        })?;
        self.read.size = Some(size);
        self.read.desktop_name = Some(name);
        self.stage = Stage::Messages;
        Some(())
    }

    /// So many bytes that say nothing.
    fn pass(&mut self, side: Side, len: usize, then: Stage) -> Option<()> {
        self.turn(side, |bytes| bytes.take(len).map(|_| ()))?;
        self.stage = then;
        Some(())
    }

    /// What `read` makes of one side's waiting bytes; they go only when it is whole.
    pub(super) fn turn<T>(&mut self, side: Side, read: impl FnOnce(&mut Bytes<'_>) -> Option<T>) -> Option<T> {
        let waiting = self.waiting.get_mut(side);
        let mut bytes = Bytes(waiting);
        let value = read(&mut bytes)?;
        let used = waiting.len() - bytes.0.len();
        waiting.drain(..used);
        Some(value)
    }
}

/// A list that says its length in four bytes, of entries of `size` bytes.
fn counted(bytes: &mut Bytes<'_>, size: usize) -> Option<u32> {
    let count = bytes.u32()?;
    bytes.take((count as usize).checked_mul(size)?).map(|_| count)
}

fn parse_version(line: &[u8; VERSION_LINE]) -> Option<Version> {
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0u16, |number, digit| Some(number * 10 + u16::from(digit.checked_sub(b'0').filter(|d| *d < 10)?)))
    };
    let (major, minor) = match line {
        [b'R', b'F', b'B', b' ', a, b, c, b'.', d, e, f, b'\n'] => (number(&[*a, *b, *c])?, number(&[*d, *e, *f])?),
        _ => return None,
    };
    Some(Version { major, minor })
}

fn is_version_prefix(bytes: &[u8]) -> bool {
    let seen = bytes.len().min(4);
    bytes.get(..seen) == b"RFB ".get(..seen)
}
