//! Proxies that end TCP and carry another connection: SOCKS4 and 4a, SOCKS5 (RFC 1928, with the passwords of RFC 1929), CONNECT of
//! HTTP/1 (RFC 9110 §9.3.6), and WebSocket without extensions (RFC 6455), as browsers speak it to what stands before a desktop or a shell.
//! What the client asks for and the proxy's answer are read; from the byte behind them on, each direction is the session's that is
//! carried (of WebSocket what its frames carry), whatever its protocol. A chain of proxies is a carrier in a carrier.
//!
//! *Known*: to which host the client had itself connected, by the name or the address that it gave. *Not kept*: the names and passwords by
//! which it made itself known to a proxy; they do not enter a buffer.

mod beyond;
mod frames;
mod reply;
mod request;

use serde::{Deserialize, Serialize};

pub use self::request::{Kind, Target};
use self::{beyond::Beyond, frames::Frames, reply::Reply, request::Request};
use super::{Decoder, Facts, Standing};
use crate::{
    cue::Cue,
    flow::{Data, PerSide, Side},
    time::Span,
};

/// Requests to proxies in one connection, at most: each of a chain, and those again that a proxy wanted a password for.
const MOST_REQUESTS: usize = 4;

/// What came of one more byte of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It goes on.
    More,
    /// It was the last one.
    Done,
    /// It was the last one, and the client has to ask again.
    Again,
    /// No handshake, or one that was refused.
    NotOurs,
}

/// One proxy that a session passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// How it was spoken to.
    pub kind: Kind,
    /// Where it was asked to connect to.
    pub target: Target,
}

/// Decoder of a connection through proxies, both directions.
#[derive(Clone, Debug)]
pub struct Carried {
    stages: Vec<Stage>,
    /// How many stages each direction is through with.
    passed: PerSide<usize>,
    /// Which direction has come to what is carried.
    inside: PerSide<bool>,
    inner: Decoder,
    beyond: Beyond,
    /// Where what is carried is in frames; a side of which bytes are missing has none, until a segment is whole frames.
    frames: Option<Box<PerSide<Option<Frames>>>>,
    not_ours: bool,
}

/// One request and its answer.
#[derive(Clone, Debug)]
struct Stage {
    request: Request,
    reply: Reply,
    refused: bool,
}

impl Default for Carried {
    /// A connection of which nothing was read.
    fn default() -> Self {
        Self {
            stages: Vec::new(),
            passed: PerSide::default(),
            inside: PerSide::default(),
            inner: Decoder::new(PerSide { client: true, server: true }),
            beyond: Beyond::default(),
            frames: None,
            not_ours: false,
        }
    }
}

impl Carried {
    /// What it allocates at most beside what it carries, in bytes.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Self>()
        + MOST_REQUESTS * (size_of::<Stage>() + request::MOST_KEPT)
        + 2 * (request::MOST_KEPT + reply::MOST_KEPT)
        + size_of::<PerSide<Option<Frames>>>()
        + 2 * Frames::MOST_BYTES
        + Beyond::MOST_BYTES;

    /// Whether a client that begins like this may ask a proxy.
    #[must_use]
    pub fn may_begin(bytes: &[u8]) -> bool {
        let Some(mut request) = bytes.first().copied().and_then(Request::begun_by) else { return false };
        if request.kind() == Kind::WebSocket && !request::asks_for_websocket(bytes) {
            return false; // most are for pages: no flow is kept for those
        }
        let last = bytes.iter().map(|byte| request.push(*byte)).find(|turn| *turn != Turn::More);
        last != Some(Turn::NotOurs)
    }

    /// The proxies, from the client's on.
    #[must_use]
    pub fn carriers(&self) -> Vec<Carrier> {
        let asked = self.stages.iter().filter(|stage| !stage.refused);
        asked.filter_map(|stage| Some(Carrier { kind: stage.request.kind(), target: stage.request.target()?.clone() })).collect()
    }

    /// What is carried.
    #[must_use]
    pub const fn inner(&self) -> &Decoder {
        &self.inner
    }

    /// How sure it is that something is carried that is read.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if self.not_ours { Standing::NotOurs } else { self.inner.standing() }
    }

    /// Whether nothing more is read in clear.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_through() && self.inner.is_settled()
    }

    /// Whether it matters what segments carry, besides how much it is.
    #[must_use]
    pub fn reads_bytes(&self) -> bool {
        !self.is_through() || self.frames.is_some() || self.inner.reads_bytes()
    }

    /// Whether what is carried shows that client and server are the other way round; asked once.
    pub fn take_role_swap(&mut self) -> bool {
        let swapped = self.inner.take_role_swap();
        if swapped {
            self.passed.swap();
            self.inside.swap();
            self.frames.iter_mut().for_each(|frames| frames.swap());
        }
        swapped
    }

    /// What was read in clear of what is carried; `None` before anything was.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        self.inner.facts()
    }

    /// Takes the next bytes of one side.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, rtt: Option<Span>, cues: &mut Vec<Cue>) {
        let mut rest = *data;
        if !*self.inside.get(side) {
            let used = data.bytes.iter().take_while(|byte| self.takes(side, **byte)).count();
            rest.bytes = data.bytes.get(used..).unwrap_or_default();
            rest.len = data.len.saturating_sub(used as u32); // no longer than a segment
            if !*self.inside.get(side) && rest.len > 0 && !self.not_ours {
                self.lose(side); // cut by a snaplen
            }
        }
        if rest.len > 0 && *self.inside.get(side) && !self.not_ours {
            rest.acked = self.beyond.acked(side, &rest);
            let before = cues.len();
            match &mut self.frames {
                Some(_) => self.on_frames(side, &rest, rtt, cues),
                None => self.inner.on_data(side, &rest, rtt, cues),
            }
            for cue in cues.iter_mut().skip(before) {
                if let Cue::CanObfuscate { near, .. } = cue {
                    *near = false;
                }
            }
        }
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self, side: Side, cues: &mut Vec<Cue>) {
        if !*self.inside.get(side) {
            self.lose(side);
        }
        if let Some(frames) = &mut self.frames {
            *frames.get_mut(side) = None;
        }
        if !self.not_ours {
            self.inner.on_gap(side, cues);
        }
    }

    fn on_frames(&mut self, side: Side, data: &Data<'_>, rtt: Option<Span>, cues: &mut Vec<Cue>) {
        let Some(kept) = self.frames.as_mut().map(|frames| frames.get_mut(side)) else { return };
        if kept.is_none() && data.bytes.len() == data.len as usize && Frames::are_whole(data.bytes) {
            *kept = Some(Frames::default());
        }
        let Some(frames) = kept else { return };
        let inner = &mut self.inner;
        let came = frames.push(data.bytes, |bytes| {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            inner.on_data(side, &Data { bytes, len, ..*data }, rtt, cues);
        });
        let missing = data.len.saturating_sub(u32::try_from(data.bytes.len()).unwrap_or(u32::MAX));
        let is_cut = missing > 0 && came.is_ok(); // by a snaplen
        if came.is_err() || (is_cut && !frames.skip(missing)) {
            *kept = None;
        }
        if came.is_err() || is_cut {
            self.inner.on_gap(side, cues);
        }
    }

    /// Whether a byte still belongs to the handshakes of this side.
    fn takes(&mut self, side: Side, byte: u8) -> bool {
        let at = *self.passed.get(side);
        if side == Side::Client && at == self.stages.len() {
            self.begin(byte);
        }
        let Some(stage) = self.stages.get_mut(at).filter(|_| !self.not_ours) else {
            *self.inside.get_mut(side) = true;
            return false;
        };
        let turn = match side {
            Side::Client => stage.request.push(byte),
            Side::Server => stage.reply.push(byte),
        };
        match turn {
            Turn::More => {}
            Turn::Done | Turn::Again => {
                stage.refused |= turn == Turn::Again;
                match side {
                    Side::Client => stage.request.finish(),
                    Side::Server => stage.reply.finish(),
                }
                *self.passed.get_mut(side) += 1;
                if stage.request.kind() == Kind::WebSocket && self.frames.is_none() {
                    self.frames = Some(Box::new(PerSide::from_fn(|_| Some(Frames::default()))));
                }
            }
            Turn::NotOurs => self.not_ours = true,
        }
        turn != Turn::NotOurs
    }

    /// The next request begins with this byte, unless something else does.
    fn begin(&mut self, byte: u8) {
        // Whoever is carried may speak first; what follows is an answer then.
        let Some(request) = Request::begun_by(byte).filter(|_| !self.inside.server) else { return };
        if self.stages.len() < MOST_REQUESTS {
            self.stages.push(Stage { reply: Reply::to(request.kind()), request, refused: false });
        } else {
            self.not_ours = true;
        }
    }

    /// Where in its handshakes a side is cannot be told any more: of a client nothing can; that of a proxy is missed by nobody.
    const fn lose(&mut self, side: Side) {
        match side {
            Side::Client => self.not_ours = true,
            Side::Server => self.inside.server = true,
        }
    }

    const fn is_through(&self) -> bool {
        self.inside.client && self.inside.server
    }
}

#[cfg(test)]
mod tests;
