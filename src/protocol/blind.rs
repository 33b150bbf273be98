//! A session whose protocol nobody can read, or nobody knows here: somebody types into it, as the lengths and times of its segments
//! or datagrams have shown.
//!
//! *Known*: what it is wrapped in, by the heads of its segments. *Not known* of datagrams: what answers what; an answer is taken to be of all that passed before. *Inferred*: that a segment as long as a letter has shown to be is a
//! key, if it is echoed. *Not known*: what protocol it is, and whether what is longer is a key at all.

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::{
    cue::{Cue, DataRange, Doubt, Input, InputKind, Output, OutputKind, Shape},
    flow::{Data, PerSide, Reactions, Side},
    wire::SeqNumber,
};

/// Head of a TLS record with application data (RFC 8446 §5.1).
const TLS_HEAD: [u8; 3] = [23, 3, 3];
const TLS_HEADER: usize = 5;

/// Of a DTLS record in its versions 1.0 and 1.2 (RFC 6347 §4.1); behind it stand epoch and number.
const DTLS_HEADS: [[u8; 3]; 2] = [[23, 0xfe, 0xff], [23, 0xfe, 0xfd]];
const DTLS_HEADER: usize = 13;

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
    /// UDP, and nothing that is known here.
    Udp,
    /// DTLS.
    Dtls,
    /// QUIC.
    Quic,
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

    /// What a client's datagram is wrapped in, where its flow does not begin as QUIC does.
    #[must_use]
    pub fn of_datagram(bytes: &[u8]) -> Self {
        let is_dtls = bytes.first_chunk().is_some_and(|head| DTLS_HEADS.contains(head));
        let len = bytes.get(DTLS_HEADER - 2..).and_then(|rest| rest.first_chunk()).map(|len| u16::from_be_bytes(*len));
        if is_dtls && len.is_some_and(|len| is_rest(bytes, DTLS_HEADER, len)) { Self::Dtls } else { Self::Udp }
    }

    const fn is_of_datagrams(self) -> bool {
        matches!(self, Self::Udp | Self::Dtls | Self::Quic)
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
            Wrapping::Udp => "udp",
            Wrapping::Dtls => "dtls",
            Wrapping::Quic => "quic",
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
    reactions: Reactions,
    /// Bytes that each side has sent in datagrams, which have no numbers of their own.
    sent: PerSide<SeqNumber>,
}

impl Blind {
    /// Of a session of this shape, in which a sequence takes up to `sequence` bytes more than a letter.
    #[must_use]
    pub fn new(wrapping: Wrapping, shape: Shape, sequence: u32) -> Self {
        let Shape { key, echo, reaction } = shape;
        Self { wrapping, key, echo, sequence, reactions: Reactions::new(reaction), sent: PerSide::default() }
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

    /// Takes a segment's data, or a datagram's.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if !self.wrapping.is_of_datagrams() {
            return self.on_message(side, data, cues);
        }
        let sent = self.sent.get_mut(side);
        *sent = sent.plus(data.len);
        let (end, acked) = (*sent, Some(*self.sent.get(side.other())));
        let is_reaction = self.reactions.take(side, data.time);
        if side == Side::Server || !(is_reaction || data.len < self.key) {
            self.on_message(side, &Data { end, acked, ..*data }, cues);
        }
    }

    fn on_message(&self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
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
