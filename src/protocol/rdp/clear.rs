//! The client's stream under RDP's own security: PDUs with clear headers, and input in them whose length says how many keys
//! there are (MS-RDPBCGR §2.2.8.1.2, fast-path input). Slow-path input is passed over.

use super::client::Client;
use crate::{
    cue::{Doubtful, KeyAction},
    flow::Data,
};

/// Bytes kept of one PDU: more than any Connect-Initial, whose client is looked for.
const MAX_KEPT: usize = 8 * 1024;

/// Bytes of the signature behind an encrypted header.
const SIGNATURE: u32 = 8;

/// Bytes of a key event, of a mouse event.
const KEY_EVENT: u32 = 2;
const MOUSE_EVENT: u32 = 7;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) action: KeyAction,
    /// Length of its PDU in bytes.
    pub(super) bytes: u32,
}

/// Splits the client's bytes into PDUs.
#[derive(Clone, Debug, Default)]
pub(super) struct Pdus {
    kept: Vec<u8>,
    /// Bytes of the current PDU that are still to come.
    remaining: u32,
    len: u32,
    lost: bool,
    pub(super) client: Option<Client>,
    /// Fast-path input was seen: keys can be told.
    pub(super) fast_path: bool,
}

impl Pdus {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, data: &Data<'_>, mut emit: impl FnMut(Key)) {
        if self.lost {
            // A client writes whole PDUs: one begins with the segment, or the search goes on.
            self.lost = data.bytes.first_chunk().is_none_or(|head: &[u8; 4]| pdu_len(head) != Some(data.len));
        }
        let (mut bytes, mut left) = (data.bytes, data.len);
        while left > 0 && !self.lost {
            if self.remaining > 0 {
                let step = self.remaining.min(left);
                let (body, rest) = bytes.split_at_checked(step as usize).unwrap_or((bytes, &[]));
                let room = MAX_KEPT.saturating_sub(self.kept.len());
                self.kept.extend(body.iter().take(room));
                bytes = rest;
                left -= step;
                self.remaining -= step;
                if self.remaining == 0 {
                    self.end(&mut emit);
                }
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                self.on_gap(); // cut off by a snaplen
                return;
            };
            bytes = rest;
            left -= 1;
            self.kept.push(byte);
            let header = header_len(&self.kept);
            if self.kept.len() == header {
                match pdu_len(&self.kept).and_then(|len| Some((len, len.checked_sub(header as u32)?))) {
                    Some((len, remaining)) => (self.len, self.remaining) = (len, remaining),
                    None => return self.on_gap(),
                }
                if self.remaining == 0 {
                    self.end(&mut emit);
                }
            }
        }
    }

    /// Bytes are missing.
    pub(super) fn on_gap(&mut self) {
        self.lost = true;
        self.remaining = 0;
        self.kept.clear();
    }

    fn end(&mut self, emit: &mut impl FnMut(Key)) {
        let pdu = std::mem::take(&mut self.kept);
        if pdu.first() == Some(&3) {
            if self.client.is_none() {
                self.client = Client::find(&pdu);
            }
        } else if keys(&pdu, self.len, emit).is_some() {
            self.fast_path = true;
        }
    }
}

/// Bytes of the header that begins so, once that can be told.
fn header_len(head: &[u8]) -> usize {
    match head {
        [3, ..] => 4,
        [_, len, ..] if len & 0x80 != 0 => 3,
        _ => 2,
    }
}

/// The length of a PDU that begins so, header included.
fn pdu_len(head: &[u8]) -> Option<u32> {
    match *head {
        [3, 0, high, low, ..] => Some(u32::from(u16::from_be_bytes([high, low]))),
        [action, high, low, ..] if action & 3 == 0 && high & 0x80 != 0 => Some(u32::from(u16::from_be_bytes([high & 0x7f, low]))),
        [action, len, ..] if action & 3 == 0 && len & 0x80 == 0 => Some(u32::from(len)),
        _ => None,
    }
}

/// The keys of a fast-path input PDU; `None` where it cannot be told what it holds.
fn keys(pdu: &[u8], len: u32, emit: &mut impl FnMut(Key)) -> Option<()> {
    let header = header_len(pdu);
    let first = *pdu.first()?;
    let (count, flags) = (u32::from(first >> 2 & 0xf), first >> 6);
    if count == 0 {
        return None; // the count is elsewhere, perhaps encrypted
    }
    if flags & 2 == 0 {
        return clear_keys(pdu.get(header..)?, count, len, emit);
    }
    let body = len.checked_sub(header as u32 + SIGNATURE)?;
    // So many keys and so many moves of the mouse fill it, if nothing else is in it.
    let short = (count * MOUSE_EVENT).checked_sub(body)?;
    let pressed = short / (MOUSE_EVENT - KEY_EVENT);
    let exact = short % (MOUSE_EVENT - KEY_EVENT) == 0 && pressed <= count;
    for _ in 0..if exact { pressed } else { 0 } {
        emit(Key { action: KeyAction::Either(Doubtful::Nothing), bytes: len });
    }
    exact.then_some(())
}

/// The keys among events that are not encrypted. Which keys they are is passed over.
fn clear_keys(mut events: &[u8], count: u32, len: u32, emit: &mut impl FnMut(Key)) -> Option<()> {
    for _ in 0..count {
        let header = *events.first()?;
        let size = match header >> 5 {
            0 => 2,     // scan code
            1 | 2 => 7, // mouse
            3 => 1,     // synchronise
            4 => 3,     // Unicode
            6 => 5,     // time stamp
            _ => return None,
        };
        if matches!(header >> 5, 0 | 4) {
            let action = if header & 1 == 0 { KeyAction::Down } else { KeyAction::Up };
            emit(Key { action, bytes: len });
        }
        events = events.get(size..)?;
    }
    Some(())
}
