//! Clients that add to their window at once for whatever they read (Go's `golang.org/x/crypto/ssh`): a message as long as a key comes a
//! round trip behind all that the server writes.
//!
//! Any client but OpenSSH's may be one, until something that the server wrote is followed by no such message; that shows at the first
//! prompt, mostly before anybody types. Once it was seen to do so, it takes three in a row to change that.

use std::collections::VecDeque;

use crate::time::{Span, Timestamp};

/// Messages of the server that wait for what the client owes for them, at most.
const MOST_OWED: usize = 64;

/// Adjustments after which a client is known to be one.
const SEEN: u32 = 4;

/// What was written in a row without one, of such a client, before it is none.
const MISSES: u32 = 3;

/// What a client takes beyond the round trip: it is a program, it does not think.
pub(super) const WITHIN: Span = Span::from_millis(60);

/// See the [module's documentation](self).
#[derive(Clone, Debug, Default)]
pub(super) struct EagerAdjusts {
    /// Whether the client may be one.
    possible: bool,
    owed: VecDeque<Timestamp>,
    last_paid: Option<Timestamp>,
    paid: u32,
    missed: u32,
}

impl EagerAdjusts {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = 2 * MOST_OWED * size_of::<Timestamp>();

    /// Who the client says it is.
    pub(super) const fn set_openssh(&mut self, is_openssh: bool) {
        self.possible = !is_openssh;
    }

    /// The server wrote something to a session that is open.
    pub(super) fn on_output(&mut self, time: Timestamp) {
        if self.possible && self.owed.len() < MOST_OWED {
            self.owed.push_back(time);
        }
    }

    /// Whether a message of the client that is as long as an adjustment is one. `rtt` is the client-side round trip.
    pub(super) fn takes(&mut self, now: Timestamp, rtt: Option<Span>) -> bool {
        let Some(rtt) = rtt.filter(|_| self.possible) else { return false };
        self.forget_what_is_over(now, rtt);
        let soonest = part(rtt, 49, 50); // never sooner than the smallest round trip, but for how exact stamps are
        let is_one = self.owed.front().is_some_and(|written| now - *written >= soonest);
        if is_one {
            self.owed.pop_front();
            (self.last_paid, self.missed) = (Some(now), 0);
            self.paid = self.paid.saturating_add(1);
        }
        is_one
    }

    /// One adjustment may be for several messages that were read at once: what came no later than what was paid for is no miss.
    fn forget_what_is_over(&mut self, now: Timestamp, rtt: Span) {
        let latest = part(rtt, 5, 4) + WITHIN;
        while let Some(&written) = self.owed.front().filter(|written| now - **written > latest) {
            self.owed.pop_front();
            if self.last_paid.is_some_and(|paid| paid - written >= part(rtt, 9, 10)) {
                continue;
            }
            self.missed += 1;
            if self.paid < SEEN || self.missed >= MISSES {
                (self.possible, self.owed) = (false, VecDeque::new());
            }
        }
    }
}

const fn part(span: Span, of: i64, parts: i64) -> Span {
    Span::from_nanos(span.as_nanos() / parts * of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Option<Span> = Some(Span::from_millis(30));

    /// Runs messages given as milliseconds: the server's are negative. Which of the client's are taken for adjustments.
    fn run(messages: &[i64]) -> Vec<bool> {
        let mut eager = EagerAdjusts::default();
        eager.set_openssh(false);
        let mut taken = Vec::new();
        for ms in messages {
            let time = Timestamp::from_nanos(ms.abs() * 1_000_000);
            if *ms < 0 {
                eager.on_output(time);
            } else {
                taken.push(eager.takes(time, RTT));
            }
        }
        taken
    }

    #[test]
    fn each_of_them_follows_what_was_written_by_a_round_trip() {
        // A prompt; a key, its echo, the adjustment; a key, three messages, which are read at once; two keys close together.
        let typed = [-100, 131, 500, -500, 530, 900, -900, -901, -902, 931, 1_500, -1_500, 1_520, -1_520, 1_531, 1_551];
        let (key, adjust) = (false, true);
        assert_eq!(run(&typed), [adjust, key, adjust, key, adjust, key, key, adjust, adjust]);
    }

    #[test]
    fn a_client_that_leaves_one_out_is_none() {
        assert_eq!(run(&[-100, 300, -300, 330, 500, -500, 530]), [false; 4]);
        // libssh adds to its window for the first thing that is written, and not again for a while.
        assert_eq!(run(&[-100, 131, 500, -500, 700, -700, 731]), [true, false, false, false]);
    }

    #[test]
    fn openssh_is_none_and_what_is_kept_is_bounded() {
        let mut eager = EagerAdjusts::default();
        for nth in 0..1_000 {
            eager.on_output(Timestamp::from_nanos(nth));
        }
        assert!(eager.owed.is_empty());
        eager.set_openssh(false);
        for nth in 0..1_000 {
            eager.on_output(Timestamp::from_nanos(nth));
        }
        assert_eq!(eager.owed.len(), MOST_OWED);
    }
}
