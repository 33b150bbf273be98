//! VNC, the remote framebuffer protocol: RFB 3.3, 3.7, 3.8 (RFC 6143) and Apple's 3.889.
//!
//! *Known*: versions, security type, its result, the shared flag, name and size of the desktop. In clear, every key's way down
//! and up, to the message; never which key. *Inferred* under TLS: which records are input, by their length where the suite
//! shows it; where it does not (CBC), by the segment: answers to the server's fences travel in pairs, so a segment with an odd
//! number of the smallest records holds one that is not an answer. In RSA-AES each message says its length, and a key's has its own.

mod handshake;
mod loops;
mod messages;
mod ra2;
mod ra2_turns;
mod sealed;
mod security;

use serde::{Deserialize, Serialize};

pub use self::{
    handshake::Version,
    security::{subtype_name, type_name},
};
use self::{
    handshake::{Handshake, Stage},
    loops::Loops,
    messages::{Messages, Seen},
    ra2::Ra2,
    sealed::Sealed,
};
use super::{Standing, tls, turn};
use crate::{
    cue::{Cue, KeyEvent, Output, OutputKind},
    flow::{Data, PerSide, Side},
};

/// What was read of a session in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The version that each side named.
    pub versions: PerSide<Option<Version>>,
    /// The version in use.
    pub version: Option<Version>,
    /// The security type; 0 where the server refused.
    pub security_type: Option<u8>,
    /// The subtype, where the type is VeNCrypt.
    pub subtype: Option<u32>,
    /// Whether the client was let in; `None` where nothing said so, or not in clear.
    pub security_ok: Option<bool>,
    /// Whether the client lets others stay.
    pub shared: Option<bool>,
    /// Width and height of the desktop in pixels.
    pub size: Option<(u16, u16)>,
    /// Name of the desktop; hostile until escaped.
    pub desktop_name: Option<Vec<u8>>,
    /// Length of the server's public key in bits, in RSA-AES.
    pub key_bits: Option<u32>,
    /// What TLS said, where there is any.
    pub tls: Option<tls::Facts>,
}

/// Decoder of one session, both directions.
#[derive(Clone, Debug)]
pub struct Vnc {
    handshake: Handshake,
    phase: Phase,
    spoken: PerSide<bool>,
    swapped: bool,
}

/// How the bytes are to be read now.
#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    Handshake,
    Clear(Messages, Loops),
    Sealed(Box<Sealed>),
    Ra2(Ra2),
    /// A refusal, a gap, or a security type that is not read.
    Lost,
}

impl Default for Vnc {
    fn default() -> Self {
        Self::new()
    }
}

impl Vnc {
    /// What it allocates at most, in bytes: what waits of each side, with a segment and doubled as it grows, and TLS.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize =
        size_of::<Self>() + size_of::<Sealed>() + 2 * 2 * (handshake::MAX_WAITING + (4 << 10)) + tls::Tls::MOST_BYTES;

    /// A session of which nothing was read.
    #[must_use]
    pub fn new() -> Self {
        Self { handshake: Handshake::default(), phase: Phase::Handshake, spoken: PerSide::default(), swapped: false }
    }

    /// How sure it is that this is VNC.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        let versions = &self.handshake.read.versions;
        match (self.handshake.stage, versions.client.is_some(), versions.server.is_some()) {
            (Stage::NotOurs, ..) => Standing::NotOurs,
            (_, true, true) => Standing::Both,
            (_, false, false) => Standing::Candidate,
            _ => Standing::OneSide,
        }
    }

    /// Whether this session's keys can be told at all.
    #[must_use]
    pub fn keys_known(&self) -> bool {
        match &self.phase {
            Phase::Clear(..) => true,
            Phase::Sealed(sealed) => sealed.keys_known(),
            Phase::Ra2(ra2) => ra2.keys_known(),
            Phase::Handshake | Phase::Lost => false,
        }
    }

    /// Whether what was said shows that client and server are the other way round (a viewer that listens); asked once, it swaps
    /// its own roles.
    pub fn take_role_swap(&mut self) -> bool {
        std::mem::take(&mut self.swapped)
    }

    /// Whether the roles rest on what the two ends said: the server speaks first.
    #[must_use]
    pub const fn roles_known(&self) -> bool {
        matches!(self.standing(), Standing::Both)
    }

    /// What was read in clear.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let read = &self.handshake.read;
        Facts {
            versions: read.versions,
            version: self.handshake.agreed(),
            security_type: read.security_type,
            subtype: read.subtype,
            security_ok: match &self.phase {
                Phase::Ra2(ra2) => ra2.let_in.then_some(true),
                _ => read.security_ok,
            },
            shared: read.shared,
            size: read.size,
            desktop_name: read.desktop_name.clone(),
            key_bits: read.key_bits,
            tls: match &self.phase {
                Phase::Sealed(sealed) => Some(sealed.facts()),
                _ => None,
            },
        }
    }

    /// Takes the next bytes of one side and adds what they mean to `cues`.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match &mut self.phase {
            Phase::Handshake => self.on_handshake(side, data, cues),
            Phase::Clear(..) | Phase::Sealed(_) | Phase::Ra2(_) => self.on_session(side, data, cues),
            Phase::Lost => {}
        }
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self, side: Side) {
        match &mut self.phase {
            Phase::Handshake => self.phase = Phase::Lost,
            Phase::Clear(messages, loops) => {
                loops.on_gap();
                if side == Side::Client {
                    messages.on_gap();
                }
            }
            Phase::Sealed(sealed) => sealed.on_gap(side),
            Phase::Ra2(ra2) => ra2.on_gap(side),
            Phase::Lost => {}
        }
    }

    fn on_handshake(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if data.bytes.len() < data.len as usize {
            self.phase = Phase::Lost; // cut by a snaplen
            return;
        }
        let side = self.role_of(side);
        let asked = self.handshake.turn_of_client();
        self.handshake.push(side, data.bytes);
        match (side, asked, self.handshake.turn_of_client()) {
            (Side::Client, Some(step), now) if now != asked => turn::answer(step, data, cues),
            (Side::Server, before, Some(step)) if before != Some(step) => turn::ask(step, data, cues),
            _ => {}
        }
        self.phase = match self.handshake.stage {
            Stage::Messages => Phase::Clear(Messages::default(), Loops::default()),
            Stage::Tls => Phase::Sealed(Box::default()),
            Stage::Ra2Messages => Phase::Ra2(Ra2::default()),
            Stage::Over | Stage::NotOurs => Phase::Lost,
            _ => return,
        };
        for side in [Side::Server, Side::Client] {
            let rest = self.handshake.take_rest(side);
            if !rest.is_empty() {
                let rest = Data { bytes: &rest, len: u32::try_from(rest.len()).unwrap_or(u32::MAX), ..*data };
                self.on_session(side, &rest, cues);
            }
        }
    }

    /// The server speaks first; where the supposed client does, the roles are the other way round.
    fn role_of(&mut self, side: Side) -> Side {
        let first = !self.spoken.client && !self.spoken.server;
        *self.spoken.get_mut(side) = true;
        if first && side == Side::Client {
            self.swapped = true;
            self.spoken.swap();
        }
        if self.swapped { side.other() } else { side }
    }

    fn on_session(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (&mut self.phase, side) {
            (Phase::Clear(messages, loops), Side::Client) => {
                loops.begin(data, cues);
                messages.push(data, |seen| {
                    loops.on_client(data, seen, cues);
                    if let Seen::Key(key) = seen {
                        let (bytes, action) = (key.bytes, key.action);
                        cues.push(Cue::Key(KeyEvent { time: data.time, end: data.end, sent: data.sent, bytes, action }));
                    }
                });
                if messages.has_ended() {
                    self.phase = Phase::Lost;
                }
            }
            (Phase::Clear(_, loops), Side::Server) => {
                loops.on_server(data, cues);
                cues.push(Cue::Output(output(data, data.len)));
            }
            (Phase::Sealed(sealed), _) => sealed.on_data(side, data, cues),
            (Phase::Ra2(ra2), _) => ra2.on_data(side, data, cues),
            (Phase::Handshake | Phase::Lost, _) => {}
        }
    }
}

/// What the server showed.
fn output(data: &Data<'_>, bytes: u32) -> Output {
    Output { time: data.time, acked: data.acked, bytes, kind: OutputKind::Text }
}

#[cfg(test)]
mod tests;
