//! The lengths of a session whose beginning was not captured, by what is typed into it: most of what a client sends then is as long as one
//! key, and is answered by as much. Which cipher and MAC these are is not told by that, and only keys of that length are told.

use super::sizes::Sizes;
use crate::{
    flow::Side,
    time::{Span, Timestamp},
};

/// Longer messages are no keys with any cipher and MAC.
const LONGEST: u32 = 128;

/// An echo comes within this time.
const ECHOED_WITHIN: Span = Span::from_millis(300);

/// Echoes of one length that are asked for. Of messages of that length so many in ten are to be echoed (a client that adds to its window for
/// all it reads sends two for each echo), and of all short ones half.
const LEAST_ECHOES: u16 = 12;
const IN_TEN: u16 = 8;

/// Short messages after which older ones count half.
const MEMORY: u16 = 256;

/// Lengths that are told apart; others only count.
const MOST_LENGTHS: usize = 24;

#[derive(Clone, Copy, Debug)]
struct Count {
    len: u32,
    sent: u16,
    echoed: u16,
}

/// See the [module's documentation](self).
#[derive(Clone, Debug, Default)]
pub(super) struct TypedLengths {
    last: Option<(u32, Timestamp)>,
    sent: u16,
    /// The client's short messages, by length.
    counts: Vec<Count>,
}

impl TypedLengths {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = 2 * MOST_LENGTHS * size_of::<Count>();

    /// Takes a segment; `Some` once what is typed shows.
    pub(super) fn push(&mut self, side: Side, len: u32, time: Timestamp) -> Option<Sizes> {
        if side == Side::Client {
            self.last = (len <= LONGEST).then_some((len, time));
            if self.last.is_some() {
                self.on_sent(len);
            }
            return None;
        }
        let (typed, _) = self.last.take().filter(|(typed, sent)| *typed == len && time - *sent <= ECHOED_WITHIN)?;
        let count = self.counts.iter_mut().find(|count| count.len == typed)?;
        count.echoed += 1;
        let (echoed, sent) = (count.echoed, count.sent);
        let shows = echoed >= LEAST_ECHOES && echoed * 10 >= sent * IN_TEN && echoed * 2 >= self.sent;
        // The end of what the server writes at length may be of any length; what the client sends is short.
        let seen = || self.counts.iter().map(|count| count.len);
        shows.then(|| Sizes::by_key(typed, seen)).flatten()
    }

    fn on_sent(&mut self, len: u32) {
        self.sent += 1;
        if self.sent >= MEMORY {
            self.sent /= 2;
            for count in &mut self.counts {
                (count.sent, count.echoed) = (count.sent / 2, count.echoed / 2);
            }
        }
        if let Some(count) = self.counts.iter_mut().find(|count| count.len == len) {
            count.sent += 1;
        } else if self.counts.len() < MOST_LENGTHS {
            self.counts.push(Count { len, sent: 1, echoed: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs keys and their answers, given as lengths, a tenth of a second apart.
    fn run(pairs: &[(u32, u32)]) -> Option<Sizes> {
        let mut lengths = TypedLengths::default();
        let at = |ms: usize| Timestamp::from_nanos(ms as i64 * 1_000_000);
        pairs.iter().enumerate().find_map(|(nth, (key, answer))| {
            lengths.push(Side::Client, *key, at(100 * nth));
            lengths.push(Side::Server, *answer, at(100 * nth + 1))
        })
    }

    #[test]
    fn keys_that_are_echoed_tell_their_length() {
        for (cipher, mac) in [
            ("chacha20-poly1305@openssh.com", ""),
            ("aes128-gcm@openssh.com", ""),
            ("aes128-ctr", "hmac-sha2-512"),
            ("aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
            ("3des-cbc", "hmac-sha1"),
        ] {
            let sizes = Sizes::of(cipher, mac, "none").unwrap();
            let found = run(&[(sizes.key(), sizes.key()); 12]).unwrap();
            assert_eq!((found.key(), found.length_in_clear), (sizes.key(), false), "{cipher} {mac}");
            assert_eq!(run(&[(sizes.key(), sizes.key()); 11]), None, "too few");
        }
    }

    #[test]
    fn what_is_not_typed_does_not() {
        assert_eq!(run(&[(36, 100); 100]), None, "answers, but no echoes");
        assert_eq!(run(&[(30, 30); 100]), None, "no cipher's");
        let mixed: Vec<_> = (0..100).map(|nth| if nth % 4 == 0 { (36, 36) } else { (76 + nth, 36) }).collect();
        assert_eq!(run(&mixed), None, "a tunnel");
        let eager: Vec<_> = (0..100).map(|nth| (36, if nth % 2 == 0 { 36 } else { 60 })).collect();
        assert_eq!(run(&eager), None, "every other one is no key");
        // zlib makes keys of several lengths.
        let compressed: Vec<_> = (0..100).map(|nth| if nth % 2 == 0 { (36, 44) } else { (44, 36) }).collect();
        assert_eq!(run(&compressed), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut lengths = TypedLengths::default();
        for nth in 0..100_000_u32 {
            let time = Timestamp::from_nanos(i64::from(nth) * 1_000_000);
            lengths.push(Side::Client, nth % LONGEST, time);
            lengths.push(Side::Server, nth % LONGEST, time);
        }
        assert!(lengths.counts.len() <= MOST_LENGTHS && lengths.sent <= MEMORY);
    }
}
