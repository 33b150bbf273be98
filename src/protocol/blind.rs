//! A session whose protocol nobody can read, or nobody knows here: somebody types into it, as the lengths and times of its segments
//! have shown.
//!
//! *Known*: what it is wrapped in, by the heads of its segments. *Inferred*: that a segment as long as a letter has shown to be is a
//! key, if it is echoed. *Not known*: what protocol it is, and whether what is longer is a key at all.

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::{
    cue::{Cue, DataRange, Doubt, Input, InputKind, Output, OutputKind},
    flow::{Data, Side},
};

/// Head of a TLS record with application data (RFC 8446 §5.1).
const TLS_HEAD: [u8; 3] = [23, 3, 3];
const TLS_HEADER: usize = 5;

/// A client's WebSocket frame: final, text or binary; masked, and short (RFC 6455 §5.2).
const FRAME_KINDS: [u8; 2] = [0x81, 0x82];
const MASKED: u8 = 0x80;
const FRAME_HEADER: usize = 6;
const LONGEST_SHORT: u8 = 125;

/// Keys in one segment, at most.
const MOST_TOGETHER: u32 = 8;

/// What the heads of segments say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wrapping {
    /// Nothing that is known here.
    #[default]
    None,
    /// TLS.
    Tls,
    /// WebSocket in clear.
    WebSocket,
}

impl Wrapping {
    /// What a client's segment is wrapped in.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match *bytes {
            [a, b, c, high, low, ..] if [a, b, c] == TLS_HEAD && is_rest(bytes, TLS_HEADER, u16::from_be_bytes([high, low])) => {
                Self::Tls
            }
            [kind, masked, ..] if FRAME_KINDS.contains(&kind) && masked >= MASKED => {
                let len = masked - MASKED;
                let is_frame = len <= LONGEST_SHORT && is_rest(bytes, FRAME_HEADER, u16::from(len));
                if is_frame { Self::WebSocket } else { Self::None }
            }
            _ => Self::None,
        }
    }
}

/// Whether so much follows a header, and nothing else.
fn is_rest(bytes: &[u8], header: usize, len: u16) -> bool {
    bytes.len() == header + usize::from(len)
}

/// What was read of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What it is wrapped in.
    pub wrapping: Wrapping,
}

impl Facts {
    /// The name of the protocol, as far as it is known.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self.wrapping {
            Wrapping::None => "tcp",
            Wrapping::Tls => "tls",
            Wrapping::WebSocket => "websocket",
        }
    }
}

/// Decoder of such a session.
#[derive(Clone, Copy, Debug)]
pub struct Blind {
    wrapping: Wrapping,
    /// Lengths of a letter's segment and its echo's, and how much longer sequences are at most, in bytes.
    key: u32,
    echo: u32,
    sequence: u32,
}

impl Blind {
    /// Of a session in which a letter takes `key` bytes, a sequence up to `sequence` more, and an echo most often `echo`.
    #[must_use]
    pub const fn new(wrapping: Wrapping, key: u32, sequence: u32, echo: u32) -> Self {
        Self { wrapping, key, echo, sequence }
    }

    /// What is known of it.
    #[must_use]
    pub const fn facts(&self) -> Facts {
        Facts { wrapping: self.wrapping }
    }

    /// Both sides have taken part in what showed it.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        Standing::Both
    }

    /// Takes a segment's data.
    pub fn on_data(&self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        let &Data { time, acked, len, .. } = data;
        if side == Side::Server {
            let is_echo = len <= self.echo.saturating_add(self.sequence);
            let kind = if is_echo { OutputKind::Echo } else { OutputKind::Text };
            cues.push(Cue::Output(Output { time, acked, bytes: len, kind }));
            return;
        }
        let (bytes, kind) = match self.together(data) {
            Some(count) => (self.key, InputKind::Keys(count)),
            None if (self.key..=self.key + self.sequence).contains(&len) => (len, InputKind::Key),
            None => (len, InputKind::Bulk),
        };
        let data_range = DataRange { least: 1, most: self.sequence };
        let input = Input { time, sent: data.sent, end: data.end, bytes, data: data_range, kind, doubt: Doubt::None };
        cues.push(Cue::Input(input));
    }

    /// How many letters a segment carries, each in a record of its own, where it is more than one.
    fn together(&self, data: &Data<'_>) -> Option<u8> {
        if self.wrapping != Wrapping::Tls || data.bytes.len() != data.len as usize {
            return None;
        }
        let count = data.len.checked_div(self.key).filter(|count| (2..=MOST_TOGETHER).contains(count))?;
        let mut records = data.bytes.chunks(self.key as usize);
        records.all(|record| record.len() == self.key as usize && Wrapping::of(record) == Wrapping::Tls).then_some(count as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_segment_says_what_it_is_wrapped_in() {
        assert_eq!(Wrapping::of(&[23, 3, 3, 0, 2, 7, 7]), Wrapping::Tls);
        assert_eq!(Wrapping::of(&[23, 3, 3, 0, 3, 7, 7]), Wrapping::None);
        assert_eq!(Wrapping::of(&[0x81, 0x81, 1, 2, 3, 4, 9]), Wrapping::WebSocket);
        assert_eq!(Wrapping::of(&[0x81, 0x01, 1]), Wrapping::None);
        assert_eq!(Wrapping::of(b"l"), Wrapping::None);
        assert_eq!(Wrapping::of(&[]), Wrapping::None);
    }
}
