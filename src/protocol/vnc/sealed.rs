//! VNC inside TLS: what the lengths of records tell.
//!
//! A key is 12 bytes (QEMU's extended event) or 8, the pointer 6, the answer to a fence 10, a request for an update 10. Where the
//! suite shows lengths, a key is a record of its own length. Where all four share one block, an answer to a fence still does not
//! come alone: a server asks twice around an update, and both answers leave in one segment. A client that is not asked, and asks for
//! each update itself, would look as if it typed; so pairs have to be seen, and to stay common.

use super::output;
use crate::{
    cue::{Cue, Doubtful, KeyAction, KeyEvent, Step},
    flow::{Data, Side},
    protocol::{
        tls::{self, Content, Tls},
        turn::{self, TlsTurn},
    },
};

/// Content of a key event, in bytes.
const KEYS: [u32; 2] = [12, 8];

/// Content of a pointer event.
const POINTER: u32 = 6;

/// Content of the answer to a fence that carries one byte, and of a request for an update.
const ANSWER: u32 = 10;

/// Content of SetPixelFormat: longer than anything that a client says in authentication, and before its first input.
const SET_UP: u32 = 20;

/// Pairs of answers before one record alone is believed to be input, and records alone to each pair at most.
const ENOUGH_PAIRS: u32 = 4;
const ALONE_TO_PAIRS: u32 = 8;

/// Reader of a session inside TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct Sealed {
    tls: Tls,
    turn: TlsTurn,
    begun: bool,
    /// The client has said what pixels it wants: input may follow.
    set_up: bool,
    /// Segments with an even number of records that can be answers, and with an odd one.
    even: u32,
    odd: u32,
}

impl Sealed {
    pub(super) fn facts(&self) -> tls::Facts {
        self.tls.facts()
    }

    /// Whether a key's record can be known.
    pub(super) const fn keys_known(&self) -> bool {
        let alike = self.even > 0 || self.odd > 0;
        self.set_up && (!alike || self.answers_in_pairs())
    }

    /// Whether answers to fences travel in pairs here.
    const fn answers_in_pairs(&self) -> bool {
        self.even >= ENOUGH_PAIRS && self.even.saturating_mul(ALONE_TO_PAIRS) >= self.odd
    }

    pub(super) fn on_gap(&mut self, side: Side) {
        self.tls.on_gap(side);
    }

    pub(super) fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if side == Side::Client && !std::mem::replace(&mut self.begun, true) {
            turn::answer(Step::Security, data, cues);
        }
        self.turn.on_data(side, data, cues);
        let mut records = Vec::new();
        self.tls.on_data(side, data, |record| {
            if record.is_application_data {
                records.push(record.len);
            }
        });
        if side == Side::Server {
            if !records.is_empty() {
                cues.push(Cue::Output(output(data, data.len)));
            }
            return;
        }
        let mut alike = 0_u32;
        for &len in &records {
            let Some(content) = self.tls.content(len) else { continue };
            if !self.set_up {
                self.set_up = content.least >= SET_UP || content.most >= 2 * SET_UP;
                continue;
            }
            match input(content) {
                Some(Seen::Key) => cues.push(Cue::Key(event(data, len, KeyAction::Either(Doubtful::Nothing)))),
                Some(Seen::Something) => alike += 1,
                None => {}
            }
        }
        if alike == 0 {
            return;
        }
        let is_odd = alike % 2 == 1;
        let count = if is_odd { &mut self.odd } else { &mut self.even };
        *count = count.saturating_add(1);
        if is_odd && self.answers_in_pairs() {
            let bytes = records.first().copied().unwrap_or(data.len);
            cues.push(Cue::Key(event(data, bytes, KeyAction::Either(Doubtful::Pointer))));
        }
    }
}

/// What a record of the client can be.
enum Seen {
    /// A key, and nothing else that is usual.
    Key,
    /// A key, the pointer, or an answer.
    Something,
}

fn input(content: Content) -> Option<Seen> {
    if !KEYS.into_iter().any(|key| content.fits(key)) {
        return None;
    }
    let like_others = content.fits(POINTER) || content.fits(ANSWER);
    Some(if like_others { Seen::Something } else { Seen::Key })
}

fn event(data: &Data<'_>, bytes: u32, action: KeyAction) -> KeyEvent {
    KeyEvent { time: data.time, end: data.end, sent: data.sent, bytes, action }
}
