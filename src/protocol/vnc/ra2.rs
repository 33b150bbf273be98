//! RSA-AES inside RFB (rfbproto, "RSA-AES Security Type"; TigerVNC 1.13 and later, UltraVNC, RealVNC): AES-EAX in messages that say
//! their length in clear, two bytes before and a tag of sixteen behind.
//!
//! A program that flushes after each event, as TigerVNC does, gives a key 12 bytes (QEMU's extended event) or 8, the pointer 6, and a
//! request for an update or the answer to a fence 10. So a key's message has a length of its own, apart from what a clipboard of a few
//! bytes takes. Which way the key went only the rhythm tells.

use super::output;
use crate::{
    cue::{Cue, Doubtful, KeyAction, KeyEvent},
    flow::{Data, PerSide, Side},
};

/// Bytes of the length, and of the tag.
const LENGTH: usize = 2;
const TAG: u64 = 16;

/// Content of a key event, in bytes.
const KEYS: [u16; 2] = [12, 8];

/// Content of the client's word that it shares the desktop: it was let in.
const CLIENT_INIT: u16 = 1;

/// Content of SetPixelFormat: before the client's first input.
const SET_UP: u16 = 20;

/// Reader of a session behind the handshake.
#[derive(Clone, Debug, Default)]
pub(super) struct Ra2 {
    sides: PerSide<Frames>,
    /// The client went on after the server's result.
    pub(super) let_in: bool,
    /// The client has said what pixels it wants: input may follow.
    set_up: bool,
}

impl Ra2 {
    /// Whether keys can be told.
    pub(super) const fn keys_known(&self) -> bool {
        self.set_up
    }

    pub(super) const fn on_gap(&mut self, side: Side) {
        *self.sides.get_mut(side) = Frames::LOST;
    }

    pub(super) fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if side == Side::Server {
            cues.push(Cue::Output(output(data, data.len)));
            return; // what it says is seen by its size alone
        }
        let (let_in, set_up) = (&mut self.let_in, &mut self.set_up);
        self.sides.client.push(data, |content| {
            *let_in |= content == CLIENT_INIT;
            if !*set_up {
                *set_up = content == SET_UP;
            } else if KEYS.contains(&content) {
                let (bytes, action) = (u32::from(content) + 18, KeyAction::Either(Doubtful::Nothing));
                cues.push(Cue::Key(KeyEvent { time: data.time, end: data.end, sent: data.sent, bytes, action }));
            }
        });
    }
}

/// Splits one side's bytes into messages.
#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    high: Option<u8>,
    content: u16,
    /// Bytes of the current message, with its tag, that are still to come.
    left: u64,
    lost: bool,
}

impl Frames {
    const LOST: Self = Self { high: None, content: 0, left: 0, lost: true };

    /// Calls `emit` with the length of each message's content, as its last byte comes.
    fn push(&mut self, data: &Data<'_>, mut emit: impl FnMut(u16)) {
        if self.lost && is_whole(data) {
            *self = Self::default();
        }
        let (mut bytes, mut left) = (data.bytes, u64::from(data.len));
        while left > 0 && !self.lost {
            let step = if self.left > 0 { self.left.min(left) } else { 1 };
            if self.left == 0 {
                let Some(&byte) = bytes.first() else {
                    *self = Self::LOST; // cut off by a snaplen
                    return;
                };
                match self.high.take() {
                    None => self.high = Some(byte),
                    Some(high) => {
                        self.content = u16::from_be_bytes([high, byte]);
                        self.left = u64::from(self.content) + TAG;
                    }
                }
            } else {
                self.left -= step;
                if self.left == 0 {
                    emit(self.content);
                }
            }
            left -= step;
            bytes = usize::try_from(step).ok().and_then(|step| bytes.get(step..)).unwrap_or_default();
        }
    }
}

/// Whether a segment is whole messages and nothing else.
fn is_whole(data: &Data<'_>) -> bool {
    let mut bytes = data.bytes;
    while let Some((&[high, low], rest)) = bytes.split_first_chunk::<LENGTH>() {
        let Some(rest) = rest.get(usize::from(u16::from_be_bytes([high, low])) + TAG as usize..) else { return false };
        bytes = rest;
    }
    bytes.is_empty() && data.bytes.len() == data.len as usize
}
