//! Connections that pass through a session without a terminal (`ssh -N` with `-L`, `-D` or `-R`), and typing inside a reverse tunnel. All of
//! it is inferred.
//!
//! While no channel is open there is little that either side can say, and only one thing that is answered by an
//! OPEN_CONFIRMATION (RFC 4254 §5.1, §7.2):
//!
//! ```text
//! ports of the client                          ports of the server, which the client asked for
//! C CHANNEL_OPEN direct-tcpip    45 + h + a    S CHANNEL_OPEN forwarded-tcpip   48 + h + a
//! S OPEN_CONFIRMATION            17            C OPEN_CONFIRMATION              17
//! ```
//!
//! (*h*, *a*: the names or addresses of both ends.) Other messages of those lengths are answered by other lengths: a server's host keys by
//! nothing, the client's wish to have them proved by signatures. Once a channel is open, data can be of any length, and
//! nothing is concluded from openings any more. Beside a terminal or a command it never is: what they print is as long.

use std::collections::VecDeque;

use super::{
    records::Record,
    sizes::{Sizes, payload},
};
use crate::{
    flow::Side,
    time::{Span, Timestamp},
};

/// A connection is confirmed within this time beyond the round trip. After a second of silence, the shortest that programs can be told, it may
/// be a keep-alive, which AES makes as long.
const CONFIRMED_WITHIN: Span = Span::from_millis(900);
/// Confirmations that one segment may hold.
const MOST_CONFIRMED: u32 = 4;

/// See the [module's documentation](self).
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    state: State,
    /// The client may have opened something that was not confirmed, or bytes are missing: that it opened nothing cannot be said.
    unclear: bool,
    from_client: bool,
    from_server: bool,
    typing: Option<Box<Typing>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// No channel is open.
    #[default]
    Quiet,
    /// This side sent what may open one.
    Proposed { by: Side, since: Timestamp },
    /// One is, or may be.
    Open,
}

impl Ports {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = size_of::<Typing>() + Typing::MOST_BYTES;

    /// Bytes are missing: a channel may have been opened with them.
    pub(super) fn give_up(&mut self) {
        (self.state, self.unclear) = (State::Open, true);
    }

    /// Takes a record of a session that was opened without a terminal or command.
    pub(super) fn push(&mut self, side: Side, record: &Record, sizes: Sizes, rtt: Option<Span>) {
        if let Some(typing) = &mut self.typing {
            typing.push(side, record, sizes, rtt);
        }
        // Longer than what keeps a session alive, and promises to open none.
        self.unclear |= side == Side::Client && record.len > sizes.packet(payload::NO_MORE_SESSIONS);
        self.state = match self.state {
            State::Open => return,
            State::Proposed { by, since }
                if by != side && record.time - since <= within(by, rtt) && confirms(record.len, sizes) =>
            {
                match by {
                    Side::Client => self.from_client = true,
                    Side::Server => {
                        self.from_server = true;
                        self.typing = Some(Box::default());
                    }
                }
                State::Open
            }
            State::Proposed { by: Side::Client, .. } if side == Side::Client => self.state,
            _ if sizes.is_relay(record.len) => State::Proposed { by: side, since: record.time },
            state => state,
        };
    }

    /// Whether the client opened connections from ports of its own.
    pub(super) fn local(&self) -> Option<bool> {
        match self.state {
            _ if self.from_client => Some(true),
            State::Quiet | State::Proposed { .. } if !self.unclear => Some(false),
            _ => None,
        }
    }

    /// Whether a connection came in by a port of the server's; `None` where that was not seen.
    pub(super) const fn reverse(&self) -> Option<bool> {
        if self.from_server { Some(true) } else { None }
    }

    /// Whether somebody types through it; `None` where that was not seen.
    pub(super) fn typing(&self) -> Option<bool> {
        self.typing.as_ref().is_some_and(|typing| typing.shows()).then_some(true)
    }
}

fn within(by: Side, rtt: Option<Span>) -> Span {
    match (by, rtt) {
        (Side::Server, Some(rtt)) => rtt + CONFIRMED_WITHIN,
        _ => CONFIRMED_WITHIN,
    }
}

fn confirms(len: u32, sizes: Sizes) -> bool {
    let one = sizes.packet(payload::OPEN_CONFIRMATION);
    len.is_multiple_of(one) && len / one <= MOST_CONFIRMED
}

/// The longest data that one key makes inside a tunnel: a packet of another SSH session, of any cipher and MAC.
const LONGEST_KEY: u32 = 128;
/// What the far program takes for an echo beyond the round trip.
const ECHOED_WITHIN: Span = Span::from_millis(300);
/// The round trip that is assumed before one was measured.
const UNKNOWN_RTT: Span = Span::from_millis(300);
/// Keys that wait for their echo, at most.
const MOST_WAITING: usize = 64;

/// Echoes that are asked for; and of the short messages of a server half.
const LEAST_ECHOES: u32 = 20;
/// Intervals of a person's keys: some shorter than `QUICK`, some longer than `SLOW`, of each a few. What a program sends has one pace.
const QUICK: Span = Span::from_millis(160);
const SLOW: Span = Span::from_millis(240);
const LEAST_OF_EACH: u32 = 4;
/// Sooner after another no person presses a key as a rule; chaff comes each 20 ms.
const SOONEST: Span = Span::from_millis(40);
/// Later it is a pause, or a program's timer.
const LATEST: Span = Span::from_secs(2);
/// Keys that were answered by more than an echo, such as Enter.
const LEAST_ANSWERS: u32 = 2;

/// Keys of the server's side that the client's side echoes.
#[derive(Clone, Debug, Default)]
struct Typing {
    waiting: VecDeque<(u32, Timestamp)>,
    last: Option<(u32, Timestamp)>,
    sent: u32,
    echoed: u32,
    answered: u32,
    hasty: u32,
    quick: u32,
    slow: u32,
}

impl Typing {
    #[cfg(test)]
    const MOST_BYTES: usize = 2 * MOST_WAITING * size_of::<(u32, Timestamp)>();

    fn push(&mut self, side: Side, record: &Record, sizes: Sizes, rtt: Option<Span>) {
        if side == Side::Server {
            if (sizes.key()..=sizes.data(LONGEST_KEY)).contains(&record.len) {
                self.on_key(record);
            }
            return;
        }
        let rtt = rtt.unwrap_or(UNKNOWN_RTT);
        let latest = rtt + Span::from_nanos(rtt.as_nanos() / 4) + ECHOED_WITHIN;
        while self.waiting.front().is_some_and(|(_, sent)| record.time - *sent > latest) {
            self.waiting.pop_front();
        }
        match self.waiting.front() {
            Some((len, _)) if *len == record.len => self.echoed = self.echoed.saturating_add(1),
            Some((len, _)) if *len < record.len => self.answered = self.answered.saturating_add(1),
            None if self.is_more(record, latest) => self.answered = self.answered.saturating_add(1),
            _ => return,
        }
        self.waiting.pop_front();
    }

    /// Whether a message, with every key echoed, is what the last of them brought besides.
    fn is_more(&self, record: &Record, latest: Span) -> bool {
        self.last.is_some_and(|(len, sent)| len < record.len && record.time - sent <= latest)
    }

    fn on_key(&mut self, record: &Record) {
        let interval = self.last.replace((record.len, record.time)).map(|(_, last)| record.time - last);
        let counter = match interval {
            Some(interval) if interval < SOONEST => Some(&mut self.hasty),
            Some(interval) if interval < QUICK => Some(&mut self.quick),
            Some(interval) if interval > SLOW && interval < LATEST => Some(&mut self.slow),
            _ => None,
        };
        if let Some(counter) = counter {
            *counter = counter.saturating_add(1);
        }
        self.sent = self.sent.saturating_add(1);
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back((record.len, record.time));
        }
    }

    fn shows(&self) -> bool {
        let paced = self.quick.min(self.slow) >= LEAST_OF_EACH && self.hasty * 4 <= self.sent;
        self.echoed >= LEAST_ECHOES && self.echoed * 2 >= self.sent && self.answered >= LEAST_ANSWERS && paced
    }
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
