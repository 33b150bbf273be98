//! RDP over TCP (MS-RDPBCGR).
//!
//! *Known*: the cookie or routing token, the security protocols asked for and chosen, TLS versions; under RDP's own security also
//! the client's name, build, keyboard layout and desktop. *Inferred*: which records are keys, from their lengths. Under TLS a
//! key's way down and its way up look alike; the rhythm tells them apart.

mod alphabet;
mod clear;
mod client;
mod joining;
mod negotiation;

pub(super) use self::negotiation::may_begin;
use serde::{Deserialize, Serialize};

use self::{
    alphabet::Alphabet,
    clear::Pdus,
    joining::Joining,
    negotiation::{Found, MAX_FIRST, Request},
};
pub use self::{
    client::Client,
    negotiation::{Answer, failure_name, security_protocol_name},
};
use super::{
    Standing,
    tls::{self, Tls},
    turn::{self, TlsTurn},
};
use crate::{
    cue::{Cue, Doubtful, KeyAction, KeyEvent, Output, OutputKind, Step},
    flow::{Data, PerSide, Side},
};

/// Records that wait until it is known what a key's length is.
const MAX_WAITING: usize = 16;

/// What was read of a session in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The name that the client gives for load balancing, most often the user's; hostile until escaped.
    pub cookie: Option<Vec<u8>>,
    /// What a load balancer gave to the client instead; hostile until escaped.
    pub routing_token: Option<Vec<u8>>,
    /// Bits of the security protocols that the client asked for; see [`Answer::Selected`].
    pub requested: Option<u32>,
    /// What the server answered.
    pub answer: Option<Answer>,
    /// What the client says of itself, where TLS does not hide it.
    pub client: Option<Client>,
    /// What TLS said, where there is any.
    pub tls: Option<tls::Facts>,
}

/// Decoder of one session, both directions.
#[derive(Clone, Debug, Default)]
pub struct Rdp {
    first: PerSide<Vec<u8>>,
    request: Option<Request>,
    answer: Option<Answer>,
    phase: Phase,
}

/// How the bytes are to be read now.
#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    Request,
    Answer,
    Clear(Box<Pdus>),
    Sealed(Box<Sealed>),
    /// A refusal, or a gap in what is in clear.
    Lost,
    NotOurs,
}

/// A session inside TLS.
#[derive(Clone, Debug, Default)]
struct Sealed {
    tls: Tls,
    turn: TlsTurn,
    joining: Joining,
    alphabet: Alphabet,
    waiting: Vec<(u32, KeyEvent)>,
}

impl Rdp {
    /// What it allocates at most, in bytes: the first messages of each side, doubled as they grow, and TLS.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize =
        size_of::<Self>() + size_of::<Sealed>() + 2 * 4 * MAX_FIRST + (64 << 10) + Tls::MOST_BYTES;

    /// How sure it is that this is RDP.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match (&self.phase, &self.request, &self.answer) {
            (Phase::NotOurs, ..) => Standing::NotOurs,
            (_, Some(_), Some(_)) => Standing::Both,
            (_, None, None) => Standing::Candidate,
            _ => Standing::OneSide,
        }
    }

    /// Whether this session's keys can be told at all.
    #[must_use]
    pub fn keys_known(&self) -> bool {
        match &self.phase {
            Phase::Sealed(sealed) => sealed.alphabet.is_known(),
            Phase::Clear(pdus) => pdus.fast_path,
            _ => false,
        }
    }

    /// Whether the roles rest on what the two ends said.
    #[must_use]
    pub const fn roles_known(&self) -> bool {
        self.request.is_some()
    }

    /// What was read in clear.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let request = self.request.clone().unwrap_or_default();
        Facts {
            cookie: request.cookie,
            routing_token: request.routing_token,
            requested: request.protocols,
            answer: self.answer,
            client: match &self.phase {
                Phase::Clear(pdus) => pdus.client.clone(),
                _ => None,
            },
            tls: match &self.phase {
                Phase::Sealed(sealed) => Some(sealed.tls.facts()),
                _ => None,
            },
        }
    }

    /// Takes the next bytes of one side and adds what they mean to `cues`.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match &mut self.phase {
            Phase::Request | Phase::Answer => self.on_negotiation(side, data, cues),
            Phase::Clear(_) | Phase::Sealed(_) => self.on_session(side, data, cues),
            Phase::Lost | Phase::NotOurs => {}
        }
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self, side: Side) {
        match &mut self.phase {
            Phase::Request | Phase::Answer => self.phase = Phase::Lost,
            Phase::Clear(pdus) if side == Side::Client => pdus.on_gap(),
            Phase::Sealed(sealed) => sealed.tls.on_gap(side),
            Phase::Clear(_) | Phase::Lost | Phase::NotOurs => {}
        }
    }

    fn on_negotiation(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        let first = self.first.get_mut(side);
        first.extend_from_slice(data.bytes);
        if data.bytes.len() < data.len as usize || first.len() > 2 * MAX_FIRST {
            self.phase = Phase::Lost;
            return;
        }
        if self.request.is_none() {
            match negotiation::request(&self.first.client) {
                Found::NotYet => {}
                Found::NotOurs => self.phase = Phase::NotOurs,
                Found::Whole(request, len) => {
                    self.first.client.drain(..len);
                    self.request = Some(request);
                    self.phase = Phase::Answer;
                }
            }
        }
        if !matches!(self.phase, Phase::Answer) {
            return;
        }
        match negotiation::answer(&self.first.server) {
            Found::NotYet => {}
            Found::NotOurs => self.phase = Phase::Lost,
            Found::Whole(answer, len) => {
                self.first.server.drain(..len);
                self.answer = Some(answer);
                turn::ask(Step::Security, data, cues);
                self.phase = match answer {
                    Answer::Failed(_) => Phase::Lost,
                    Answer::Silent | Answer::Selected(0) => Phase::Clear(Box::default()),
                    Answer::Selected(_) => Phase::Sealed(Box::default()),
                };
                for side in [Side::Server, Side::Client] {
                    let rest = std::mem::take(self.first.get_mut(side));
                    if !rest.is_empty() {
                        let rest = Data { bytes: &rest, len: u32::try_from(rest.len()).unwrap_or(u32::MAX), ..*data };
                        self.on_session(side, &rest, cues);
                    }
                }
            }
        }
    }

    fn on_session(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (&mut self.phase, side) {
            (Phase::Clear(pdus), Side::Client) => {
                pdus.push(data, |key| cues.push(Cue::Key(event(data, key.bytes, key.action))));
            }
            (Phase::Clear(_), Side::Server) => cues.push(Cue::Output(output(data))),
            (Phase::Sealed(sealed), _) => sealed.on_data(side, data, cues),
            _ => {}
        }
    }
}

impl Sealed {
    fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if side == Side::Client && self.turn == TlsTurn::Silent {
            turn::answer(Step::Security, data, cues);
        }
        self.turn.on_data(side, data, cues);
        let mut records = Vec::new();
        self.tls.on_data(side, data, |record| {
            if record.is_application_data {
                records.push(record.len);
            }
        });
        for content in records.iter().filter_map(|len| self.tls.content(*len)?.exact()) {
            self.joining.on_message(side, content, data, cues);
        }
        if side == Side::Server {
            if !records.is_empty() {
                cues.push(Cue::Output(output(data)));
            }
            return;
        }
        for len in records {
            // Blocks of a cipher hide what is five bytes longer: nothing is a key then.
            let Some(content) = self.tls.content(len).and_then(tls::Content::exact) else { continue };
            let key = event(data, len, KeyAction::Either(Doubtful::Nothing));
            self.alphabet.learn(content);
            if !self.alphabet.is_known() {
                if Alphabet::may_be_key(content) && self.waiting.len() < MAX_WAITING {
                    self.waiting.push((content, key));
                }
                continue;
            }
            let waited = std::mem::take(&mut self.waiting);
            for (content, key) in waited.into_iter().chain([(content, key)]) {
                cues.extend((0..self.alphabet.keys(content)).map(|_| Cue::Key(key)));
            }
        }
    }
}

fn event(data: &Data<'_>, bytes: u32, action: KeyAction) -> KeyEvent {
    KeyEvent { time: data.time, end: data.end, sent: data.sent, bytes, action }
}

/// What the server showed.
fn output(data: &Data<'_>) -> Output {
    Output { time: data.time, acked: data.acked, bytes: data.len, kind: OutputKind::Text }
}

#[cfg(test)]
mod tests;
