//! Keys that are exchanged anew in mid-session (RFC 4253 §9): told by lengths, so that none of it is taken for typing, and timed, since
//! the client program answers twice by itself.
//!
//! ```text
//! the client begins        the server begins
//! C offer
//! S offer                  S offer
//! C message                C offer, message      timed, from the server's offer
//! S message, NEWKEYS       S message, NEWKEYS
//! C NEWKEYS                C NEWKEYS             timed, from the server's message
//! ```
//!
//! A group exchange (RFC 4419) has two more behind the client's message, which asks for a group: the server's group, and the client's message
//! in it, which is timed too.
//!
//! Both offers and the first message were seen in clear at the beginning of the same session, so their lengths are known: the offers
//! come again without what marks a first one, the message comes as it was. All three have to be found in this order, else nothing is
//! concluded.

use super::{
    ladder::{answer, ask},
    sizes::{Sizes, payload},
};
use crate::{
    cue::{Cue, Step},
    flow::{Data, PerSide, Side},
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// What the first offer lists besides, in bytes at most: `ext-info-c` (RFC 8308 §2.1) and `kex-strict-c-v00@openssh.com` (OpenSSH
/// PROTOCOL §1.10), each behind a comma.
const ONLY_AT_FIRST: u32 = 64;
/// Keys that may go out right before an offer.
const KEYS_BEFORE: u32 = 4;
/// Segments of one side this near to each other, with none of the other between them, are one message.
const TOGETHER: Span = Span::from_millis(50);
/// A number of a group that is shorter by more than these bytes comes once in 2³² exchanges.
const FEW_ZEROS: u32 = 4;
/// What does not fit into one segment leaves at least this much in the first: the smallest that TCP has to take (RFC 9293 §3.7.1).
const LEAST_SEGMENT: u32 = 536;
/// The other side's part comes within this, or it was none.
const LONGEST: Span = Span::from_secs(30);

/// Payload lengths in bytes of one side's messages of the first exchange, in clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lengths {
    /// KEXINIT.
    pub(super) offer: u32,
    /// The message behind it.
    pub(super) first: u32,
    /// The next one, in the group that was asked for; 0 where none was.
    pub(super) in_group: u32,
}

/// What a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// The session.
    Session,
    /// The exchange.
    Exchange,
    /// The session, but for NEWKEYS, which it begins with.
    BehindNewKeys,
}

/// Segments of one side, with nothing of the other between them.
#[derive(Clone, Copy, Debug)]
struct Run {
    side: Side,
    bytes: u32,
    began: Timestamp,
    /// What its first segment acknowledged.
    acked: Option<SeqNumber>,
    last: Timestamp,
    end: SeqNumber,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Idle,
    /// One side has sent what may be its offer.
    Offered(Run),
    /// Both have, the client first; the server's is held.
    Both(Run),
    /// The client has asked for a group; the server's goes on.
    Grouping(Option<Run>),
    /// The client has sent its message.
    Answered,
    /// The server's message goes on.
    Closing(Run),
}

/// See the [module's documentation](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rekey {
    run: Option<Run>,
    stage: Stage,
    /// What the method takes the client, besides.
    pub(super) work: Span,
}

/// What is known of the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) lengths: PerSide<Lengths>,
    /// Of the direction that the segment goes.
    pub(super) sizes: Sizes,
}

impl Known {
    /// The lengths that an offer of this side can have on the wire, with keys before it.
    fn offer(&self, side: Side) -> std::ops::RangeInclusive<u32> {
        let offer = self.lengths.get(side).offer;
        if offer <= ONLY_AT_FIRST {
            return u32::MAX..=u32::MAX; // not seen: nothing is one
        }
        self.sizes.packet(offer - ONLY_AT_FIRST)..=self.sizes.packet(offer) + KEYS_BEFORE * self.sizes.key()
    }

    /// The length of the client's message behind its offer.
    fn first(&self) -> Option<u32> {
        (self.lengths.client.first > 0).then(|| self.sizes.packet(self.lengths.client.first))
    }

    /// Whether the client's message in a group can be as long as this: numbers of one group differ by a few leading zeros.
    fn is_in_group(&self, len: u32) -> bool {
        let in_group = self.lengths.client.in_group;
        (self.sizes.packet(in_group.saturating_sub(FEW_ZEROS))..=self.sizes.packet(in_group + 1)).contains(&len)
    }
}

impl Rekey {
    /// Bytes were not captured.
    pub(super) fn on_gap(&mut self) {
        *self = Self { work: self.work, ..Self::default() };
    }

    /// Whether a segment of so many bytes cannot be of an exchange: most cannot.
    #[inline]
    pub(super) fn is_none_with(&mut self, side: Side, len: u32) -> bool {
        let none = len < LEAST_SEGMENT && matches!(self.stage, Stage::Idle) && self.run.is_none_or(|run| run.side != side);
        if none {
            self.run = None;
        }
        none
    }

    /// Takes the next encrypted segment of one side.
    pub(super) fn on_segment(&mut self, side: Side, data: &Data<'_>, known: &Known, cues: &mut Vec<Cue>) -> Belongs {
        let run = match self.run {
            Some(run) if run.side == side && data.time - run.last <= TOGETHER => {
                Run { bytes: run.bytes.saturating_add(data.len), last: data.time, end: data.end, ..run }
            }
            _ => Run { side, bytes: data.len, began: data.time, acked: data.acked, last: data.time, end: data.end },
        };
        self.run = Some(run);
        let (belongs, stage) = self.go_on(run, known, cues);
        self.stage = stage;
        belongs
    }

    fn go_on(&self, run: Run, known: &Known, cues: &mut Vec<Cue>) -> (Belongs, Stage) {
        let idle =
            || (Belongs::Session, if known.offer(run.side).contains(&run.bytes) { Stage::Offered(run) } else { Stage::Idle });
        match self.stage {
            Stage::Idle => idle(),
            Stage::Offered(offer) if run.began - offer.last > LONGEST => idle(),
            Stage::Offered(offer) if offer.side == run.side => idle(),
            Stage::Offered(client) if run.side == Side::Server => {
                let offer = known.offer(Side::Server);
                if offer.contains(&run.bytes) {
                    cues.push(Cue::Rekeyed { since: client.began });
                    (Belongs::Exchange, Stage::Both(run))
                } else if run.bytes < *offer.start() {
                    (Belongs::Session, self.stage) // the first segment of it, or output that was on its way
                } else {
                    idle()
                }
            }
            Stage::Offered(server) => match known.first() {
                Some(first) => {
                    let offer = known.offer(Side::Client);
                    let both = offer.start() + first..=offer.end() + first;
                    if both.contains(&run.bytes) {
                        cues.push(Cue::Rekeyed { since: run.began });
                        (Belongs::Exchange, self.answered(server, run, known, cues))
                    } else if run.bytes < *both.start() {
                        (Belongs::Session, self.stage)
                    } else {
                        idle()
                    }
                }
                None => idle(),
            },
            Stage::Both(server) if run.began == server.began => (Belongs::Exchange, Stage::Both(run)),
            Stage::Both(_) if run.side == Side::Server => idle(),
            Stage::Both(server) => match known.first() {
                Some(first) if run.bytes == first => (Belongs::Exchange, self.answered(server, run, known, cues)),
                Some(first) if (LEAST_SEGMENT..first).contains(&run.bytes) => (Belongs::Exchange, self.stage),
                _ => idle(),
            },
            Stage::Grouping(None) if run.side == Side::Client => (Belongs::Exchange, self.stage),
            Stage::Grouping(_) if run.side == Side::Server => (Belongs::Exchange, Stage::Grouping(Some(run))),
            Stage::Grouping(Some(group)) if known.is_in_group(run.bytes) => {
                ask(Step::Kex, group.last, group.end, cues);
                answer(Step::Kex, run.began, run.acked, self.work, cues);
                (Belongs::Exchange, Stage::Answered)
            }
            // Its first segment.
            Stage::Grouping(_) if (LEAST_SEGMENT..known.sizes.packet(known.lengths.client.in_group)).contains(&run.bytes) => {
                (Belongs::Exchange, self.stage)
            }
            Stage::Grouping(_) => idle(),
            Stage::Answered if run.side == Side::Client => (Belongs::Exchange, Stage::Answered),
            Stage::Answered => (Belongs::Exchange, Stage::Closing(run)),
            Stage::Closing(_) if run.side == Side::Server => (Belongs::Exchange, Stage::Closing(run)),
            Stage::Closing(server) => {
                ask(Step::Kex, server.last, server.end, cues);
                answer(Step::Kex, run.began, run.acked, self.work, cues);
                (Belongs::BehindNewKeys, Stage::Idle)
            }
        }
    }

    /// The server's offer was answered.
    fn answered(&self, server: Run, client: Run, known: &Known, cues: &mut Vec<Cue>) -> Stage {
        let asks_for_group = known.lengths.client.in_group > 0;
        let work = if asks_for_group { Span::ZERO } else { self.work }; // no key is made for that
        ask(Step::KexInit, server.last, server.end, cues);
        answer(Step::KexInit, client.began, client.acked, work, cues);
        if asks_for_group { Stage::Grouping(None) } else { Stage::Answered }
    }
}

/// NEWKEYS on the wire.
pub(super) const fn new_keys(sizes: Sizes) -> u32 {
    sizes.packet(payload::STATUS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let lengths = PerSide {
            client: Lengths { offer: 1_391, first: 1_221, in_group: 0 },
            server: Lengths { offer: 980, first: 0, in_group: 0 },
        };
        Known { lengths, sizes: Sizes::of("aes128-gcm@openssh.com", "", "none").unwrap() }
    }

    /// What becomes of segments (side, bytes, milliseconds), and the steps that are asked and answered.
    fn hear(segments: &[(Side, u32, i64)]) -> (Vec<Belongs>, Vec<(Step, i64)>) {
        hear_with(known(), segments)
    }

    fn hear_with(known: Known, segments: &[(Side, u32, i64)]) -> (Vec<Belongs>, Vec<(Step, i64)>) {
        let (mut rekey, mut cues) = (Rekey::default(), Vec::new());
        let mut sent = 0;
        let mut belongs = |&(side, len, ms): &(Side, u32, i64)| {
            sent += len;
            let time = Timestamp::from_nanos(ms * 1_000_000);
            let data = Data { bytes: &[], len, time, end: SeqNumber(sent), acked: None, sent: None };
            rekey.on_segment(side, &data, &known, &mut cues)
        };
        let all = segments.iter().map(&mut belongs).collect();
        let steps = cues.iter().filter_map(|cue| match cue {
            Cue::Asked(ask) => Some((ask.step, ask.time.as_nanos() / 1_000_000)),
            Cue::Answered(reply) => Some((reply.step, reply.time.as_nanos() / 1_000_000)),
            _ => None,
        });
        (all, steps.collect())
    }

    use Belongs::{BehindNewKeys, Exchange, Session};
    use Side::{Client as C, Server as S};

    const TIMED: [Step; 4] = [Step::KexInit, Step::KexInit, Step::Kex, Step::Kex];

    #[test]
    fn an_exchange_that_the_client_begins() {
        let (all, steps) = hear(&[
            (C, 36, 0),
            (S, 36, 1),
            (C, 1_380, 900),
            (S, 980, 901),
            (C, 1_252, 960),
            (S, 1_336, 962),
            (C, 72, 1_022),
            (S, 36, 1_023),
        ]);
        assert_eq!(all, [Session, Session, Session, Exchange, Exchange, Exchange, BehindNewKeys, Session]);
        let times = [901, 960, 962, 1_022];
        assert_eq!(steps, TIMED.into_iter().zip(times).collect::<Vec<_>>());
    }

    #[test]
    fn an_exchange_that_the_server_begins() {
        let (all, steps) =
            hear(&[(C, 36, 0), (S, 980, 500), (C, 1_448, 560), (C, 1_184, 561), (S, 1_336, 563), (C, 36, 623), (C, 36, 700)]);
        assert_eq!(all, [Session, Session, Session, Exchange, Exchange, BehindNewKeys, Session]);
        assert_eq!(steps, TIMED.into_iter().zip([500, 560, 563, 623]).collect::<Vec<_>>());
    }

    /// As OpenSSH 10 sends them, with a group of 8,192 bits.
    #[test]
    fn an_exchange_in_a_group_that_is_asked_for() {
        let lengths = Lengths { offer: 1_391, first: 13, in_group: 1_030 };
        let known = Known { lengths: PerSide { client: lengths, server: known().lengths.server }, ..known() };
        let group = [(S, 1_068, 962), (C, 1_060, 1_022), (S, 1_448, 1_030), (S, 272, 1_030), (C, 36, 1_100), (C, 36, 1_500)];
        let behind = [Exchange, Exchange, Exchange, Exchange, BehindNewKeys, Session];
        let times = [901, 960, 962, 1_022, 1_030, 1_100];
        let begun = [(C, 1_380, 900), (S, 980, 901), (C, 52, 960)];
        let (all, steps) = hear_with(known, &[&begun[..], &group].concat());
        assert_eq!(all, [&[Session, Exchange, Exchange][..], &behind].concat());
        let kex = [Step::KexInit, Step::KexInit, Step::Kex, Step::Kex, Step::Kex, Step::Kex];
        assert_eq!(steps, kex.into_iter().zip(times).collect::<Vec<_>>());
        // The server begins.
        let (all, steps) = hear_with(known, &[&[(S, 980, 901), (C, 1_432, 960)][..], &group].concat());
        assert_eq!(all, [&[Session, Exchange][..], &behind].concat());
        assert_eq!(steps.len(), 6);
        // What the client sends in it comes in two segments, or is something else.
        let (all, _) = hear_with(known, &[&begun[..], &[(S, 1_068, 962), (C, 600, 1_022), (C, 460, 1_023)]].concat());
        assert_eq!(all[3..], [Exchange; 3]);
        let (all, steps) = hear_with(known, &[&begun[..], &[(S, 1_068, 962), (C, 36, 1_022)]].concat());
        assert_eq!((all.last(), steps.len()), (Some(&Session), 2));
    }

    #[test]
    fn a_length_alone_is_nothing() {
        for third in [(C, 1_380, 960), (C, 36, 960), (C, 4_000, 960)] {
            let (all, steps) = hear(&[(C, 1_380, 900), (S, 980, 901), third, (S, 500, 962), (C, 36, 1_022), (S, 36, 1_023)]);
            assert_eq!((&all[2..], steps), (&[Session; 4][..], Vec::new()), "{third:?}");
        }
        let (all, steps) = hear(&[(C, 1_380, 0), (C, 1_380, 1), (S, 980, 2), (C, 1_252, 60), (S, 1_336, 62), (C, 72, 130)]);
        assert_eq!((all, steps.len()), (vec![Session; 6], 0), "a message that goes on is longer");
    }
}
