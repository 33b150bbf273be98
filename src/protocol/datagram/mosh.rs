//! mosh, the mobile shell (Winstein and Balakrishnan, USENIX ATC 2012; `src/crypto/crypto.h` and `src/network/network.cc` of its 1.4).
//!
//! A datagram begins with eight bytes in clear, the nonce: its top bit is the direction, and the rest counts the datagrams of that
//! direction from 0. What follows is encrypted by AES-128-OCB: two times of 16 bits, a fragment of ten bytes and more, a tag of 16.
//! *Known*: who is the client, and which datagrams never came. *Not known*: everything else, the times that mosh itself measures
//! round trips by among it; and since either side sends when it has something to say, no datagram can be told for the answer to another.
//! So there are no round trips here.

use serde::{Deserialize, Serialize};

use crate::{
    flow::{Data, PerSide, Side},
    protocol::Standing,
};

/// The nonce, two times, a fragment's head, and the tag; what is compressed between takes a few bytes more.
const SHORTEST: u32 = 8 + 4 + 10 + 16;

/// More datagrams of one direction than this are no session that somebody types in: a hundred a second for two days.
const MOST: u64 = 1 << 24;

/// A counter that moves on by more than this is none: an outage is no reason to count on.
const FURTHEST: u64 = 4_096;

/// Datagrams in step before it is one: eight bytes of each are as they must be, but for the counter's low ones.
const ENOUGH: u32 = 3;

/// The same where only the server's direction was captured, whose top bit no plain counter has.
const ENOUGH_OF_SERVER: u32 = 8;

/// Datagrams of a client that nobody answers, at most: many protocols count from 0 like that, so they name nothing. mosh's server answers
/// within 0.1 s, and without that its client sends one datagram in 3 s, or what is typed.
const MOST_UNANSWERED: u32 = 32;

/// Datagrams that do not count on before it is one, at most: copies, or such as came late.
const MOST_STALE: u32 = 8;

/// How far back datagrams are told from copies of them. What comes later than that counts as missing, as it would for the one that waits.
const WINDOW: u64 = u128::BITS as u64;

/// How many of the first 16 encrypted bytes differ, at least; of random ones fewer do so one time in a million.
const DISTINCT: usize = 10;

/// What was read of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How many datagrams each side has sent by its own count, as far as that was seen.
    pub sent: PerSide<Option<u64>>,
    /// How many of those that lie between the first and the last did not pass; copies are none of them.
    pub missing: PerSide<Option<u64>>,
}

/// The first eight bytes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonce {
    pub(super) sender: Side,
    /// Datagrams of that side before it.
    pub(super) count: u64,
}

impl Nonce {
    /// Of a datagram that may be one of mosh.
    pub(super) fn of(bytes: &[u8], len: u32) -> Option<Self> {
        let (nonce, sealed) = bytes.split_first_chunk::<8>()?;
        let number = u64::from_be_bytes(*nonce);
        let count = number & (u64::MAX >> 1);
        if count >= MOST || len < SHORTEST {
            return None;
        }
        let start = sealed.first_chunk::<16>()?;
        let distinct =
            start.iter().enumerate().filter(|(at, byte)| !start.iter().take(*at).any(|before| before == *byte)).count();
        let sender = if number >> 63 == 0 { Side::Client } else { Side::Server };
        (distinct >= DISTINCT).then_some(Self { sender, count })
    }
}

/// Decoder of one session.
#[derive(Clone, Debug, Default)]
pub struct Mosh {
    counts: PerSide<Option<Counted>>,
    /// Datagrams that counted on.
    in_order: PerSide<u32>,
    stale: u32,
    broken: bool,
}

/// The datagrams of one direction, each once.
#[derive(Clone, Copy, Debug)]
struct Counted {
    first: u64,
    last: u64,
    seen: u64,
    /// Which of the last were seen: the lowest bit is the last, as in the window against replays of RFC 4303 §3.4.3.
    recent: u128,
}

impl Counted {
    fn note(&mut self, count: u64) {
        if count > self.last {
            let step = u32::try_from(count - self.last).unwrap_or(u32::MAX);
            self.recent = self.recent.checked_shl(step).unwrap_or(0);
            self.last = count;
        }
        let back = self.last - count;
        if back < WINDOW && self.recent >> back & 1 == 0 {
            self.recent |= 1 << back;
            self.seen += 1;
            self.first = self.first.min(count);
        }
    }

    const fn missing(self) -> u64 {
        (self.last - self.first + 1).saturating_sub(self.seen)
    }
}

impl Mosh {
    pub(super) const fn standing(&self) -> Standing {
        let (client, server) = (self.in_order.client, self.in_order.server);
        if self.broken {
            Standing::NotOurs
        } else if client > 0 && server > 0 && client + server >= ENOUGH {
            Standing::Both
        } else if server >= ENOUGH_OF_SERVER {
            Standing::OneSide
        } else if client >= MOST_UNANSWERED {
            Standing::NotOurs
        } else {
            Standing::Candidate
        }
    }

    pub(super) fn facts(&self) -> Facts {
        let counted = |side: Side| *self.counts.get(side);
        Facts {
            sent: PerSide::from_fn(|side| counted(side).map(|counted| counted.last + 1)),
            missing: PerSide::from_fn(|side| counted(side).map(|counted| counted.missing())),
        }
    }

    pub(super) fn on_datagram(&mut self, side: Side, data: &Data<'_>) {
        let nonce = Nonce::of(data.bytes, data.len).filter(|nonce| nonce.sender == side);
        let is_candidate = self.standing() == Standing::Candidate;
        let counted = self.counts.get_mut(side);
        let in_step = nonce.filter(|nonce| counted.is_none_or(|counted| nonce.count.abs_diff(counted.last) <= FURTHEST));
        let Some(nonce) = in_step else {
            // Anybody can send something to an open port: what is one stays one.
            self.broken |= is_candidate;
            return;
        };
        // A nonce is used once, so one that does not count on is a copy, or came late: it is no evidence.
        if counted.is_none_or(|counted| nonce.count > counted.last) {
            let in_order = self.in_order.get_mut(side);
            *in_order = in_order.saturating_add(1);
        } else if is_candidate {
            self.stale += 1;
            self.broken |= self.stale > MOST_STALE;
        }
        counted.get_or_insert(Counted { first: nonce.count, last: nonce.count, seen: 0, recent: 0 }).note(nonce.count);
    }
}
