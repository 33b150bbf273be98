//! Whether a flow of which nothing is known is typed into: by the lengths, the order and the times of its segments alone.
//!
//! A terminal without line editing of its own sends each key at once, and its server sends it back. So: small messages of the client,
//! of lengths that repeat; each answered by a small message that acknowledges it, of lengths that repeat as well; a server that is
//! silent otherwise; and intervals that are a person's (`rhythm`). All of it has to hold in the same stretch of at most
//! [`MOST_MESSAGES`] messages. Whatever lacks one of these is nothing: a false session is worse than none.

mod rhythm;

use std::collections::BTreeMap;

use crate::{
    cue::Shape,
    flow::{PerSide, Reaction, Reactions, Side},
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// A longer message of the client carries no key.
pub const LONGEST_MESSAGE: u32 = 256;

/// A longer answer is no echo.
const LONGEST_ECHO: u32 = 256;

/// Messages of the client after which it is judged; after the first of them, only whether it can be anything.
const STEPS: [usize; 8] = [16, 40, 56, 72, 96, 128, 160, 192];

/// Messages of the client that are looked at, at most.
pub const MOST_MESSAGES: usize = 192;

/// Segments that are kept at most, both sides together.
const MOST_SEGMENTS: usize = 512;

/// Longest stretch in which the messages have to come.
const LONGEST_STRETCH: Span = Span::from_secs(600);

/// An echo comes within this.
const ECHO: Span = Span::from_millis(300);

/// Before a key the server has been silent for this long; without having been asked it speaks this long after a key.
const QUIET: Span = Span::from_millis(30);
const UNASKED: Span = Span::from_millis(500);

/// Keys that send sequences are so much longer than a letter, in bytes, at most.
pub const SEQUENCE: u32 = 8;

/// Shares that have to hold, in percent: of the most frequent length among the client's messages; of this and the lengths of
/// sequences; of keys that are echoed; of the most frequent length among the echoes; of keys before which the server was silent.
const SAME_LENGTH: usize = 60;
const KEYS: usize = 75;
const ECHOED: usize = 85;
const SAME_ECHO: usize = 40;
const BEHIND_SILENCE: usize = 60;

/// What a client's program confirms by itself comes within its own delay: 25 ms (`max_ack_delay`, RFC 9000 §18.2), and what paths differ by; so
/// much of what follows a server's datagram, in percent, is such that it is taken to be that.
const CONFIRMED: Span = Span::from_millis(30);
const EARLIER: Span = Span::from_millis(3);
const REACTIONS: usize = 80;

/// Segments that the server sends unasked, in percent of the keys, at most.
const MOST_UNASKED: usize = 30;

/// A segment with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When it passed the sensor.
    pub time: Timestamp,
    /// Who sent it.
    pub side: Side,
    /// Bytes of data.
    pub len: u32,
    /// First sequence number behind it.
    pub end: SeqNumber,
    /// What it acknowledged, where it did.
    pub acked: Option<SeqNumber>,
}

/// What is known so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too little.
    Open,
    /// Nobody types here.
    Refused,
    /// Somebody types.
    Typed(Shape),
}

/// Looks at one flow until something is known.
#[derive(Debug, Default)]
pub struct Watch {
    segments: Vec<Segment>,
    messages: usize,
    /// Bytes that each side has sent in datagrams, where the flow has any.
    sent: Option<PerSide<SeqNumber>>,
    reactions: Reactions,
}

impl Watch {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = MOST_SEGMENTS.next_power_of_two() * size_of::<Segment>();

    /// What was seen, in order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Of a flow over UDP.
    #[must_use]
    pub fn of_datagrams() -> Self {
        Self { sent: Some(PerSide::default()), ..Self::default() }
    }

    /// Takes a datagram, which has no number and confirms nothing: it is taken to answer all that passed before.
    pub fn on_datagram(&mut self, time: Timestamp, side: Side, len: u32) -> Verdict {
        let sent = self.sent.get_or_insert_default();
        let end = sent.get(side).plus(len);
        *sent.get_mut(side) = end;
        let acked = Some(*sent.get(side.other()));
        self.on_segment(Segment { time, side, len, end, acked })
    }

    /// Takes a segment with data that was not seen before.
    pub fn on_segment(&mut self, segment: Segment) -> Verdict {
        if self.sent.is_some() && self.reactions.take(segment.side, segment.time) {
            return Verdict::Open;
        }
        self.segments.push(segment);
        let stretch = segment.time - self.segments.first().map_or(segment.time, |first| first.time);
        if segment.side == Side::Client {
            self.messages += 1;
            // The echo of the last one is not there yet.
            if STEPS.contains(&self.messages) {
                self.leave_out_reactions();
                if let verdict @ (Verdict::Typed(_) | Verdict::Refused) = self.judge() {
                    return verdict;
                }
            }
        }
        let is_over = self.messages >= MOST_MESSAGES || self.segments.len() >= MOST_SEGMENTS || stretch > LONGEST_STRETCH;
        if is_over { Verdict::Refused } else { Verdict::Open }
    }

    /// The length of a letter that became a byte longer on the way, with the number of its place in a stream (QUIC, RFC 9000 §16); and how many
    /// letters have either.
    fn grown(&self, (len, same): (u32, usize)) -> (u32, usize) {
        let of = |len| self.segments.iter().filter(|segment| segment.side == Side::Client && segment.len == len).count();
        let (shorter, longer) = (of(len.saturating_sub(1)), of(len + 1));
        if shorter > longer { (len - 1, same + shorter) } else { (len, same + longer) }
    }

    /// Drops what the client's program sent by itself, once that shows.
    fn leave_out_reactions(&mut self) {
        let is_open = self.sent.is_some() && self.reactions.known().is_none();
        let Some(reaction) = reaction(&self.segments).filter(|_| is_open) else { return };
        let mut reactions = Reactions::new(Some(reaction));
        self.segments.retain(|segment| !reactions.take(segment.side, segment.time));
        self.messages = self.segments.iter().filter(|segment| segment.side == Side::Client).count();
        self.reactions = reactions;
    }

    fn judge(&self) -> Verdict {
        let messages = || self.segments.iter().filter(|segment| segment.side == Side::Client);
        let (Some(frequent), count) = (most_frequent(messages().map(|message| message.len)), messages().count()) else {
            return Verdict::Open;
        };
        let (key, same) = if self.sent.is_some() { self.grown(frequent) } else { frequent };
        let keys: Vec<Key> = keys(&self.segments, key);
        let echoes = || keys.iter().filter_map(|key| key.echo);
        let silent = keys.iter().filter(|key| key.behind_silence).count();
        let (echo, same_echo) = most_frequent(echoes()).unwrap_or_default();
        // The last key's echo is still to come.
        let is_echo_like = key <= LONGEST_MESSAGE
            && has_share(same, count, SAME_LENGTH)
            && has_share(keys.len(), count, KEYS)
            && has_share(echoes().count() + 1, keys.len(), ECHOED)
            && has_share(same_echo, keys.len(), SAME_ECHO)
            && has_share(silent, keys.len(), BEHIND_SILENCE)
            && !has_share(unasked(&self.segments), keys.len().max(1), MOST_UNASKED);
        let is_first = STEPS.first().is_none_or(|first| self.messages <= *first);
        if !is_echo_like {
            // Later, a screen that is drawn may hide it for a while.
            return if is_first { Verdict::Refused } else { Verdict::Open };
        }
        let intervals: Vec<Span> = keys.iter().zip(keys.iter().skip(1)).map(|(before, key)| key.time - before.time).collect();
        if !is_first && rhythm::is_human(&intervals) {
            Verdict::Typed(Shape { key, echo, reaction: self.reactions.known() })
        } else {
            Verdict::Open
        }
    }
}

/// Messages as long as a key, and what came back.
fn keys(segments: &[Segment], len: u32) -> Vec<Key> {
    let mut last_output = None;
    let mut keys: Vec<Key> = Vec::new();
    for segment in segments {
        match segment.side {
            Side::Client if (len..=len + SEQUENCE).contains(&segment.len) => keys.push(Key {
                time: segment.time,
                end: segment.end,
                echo: None,
                behind_silence: last_output.is_none_or(|last| segment.time - last >= QUIET),
            }),
            Side::Client => {}
            Side::Server => {
                last_output = Some(segment.time);
                if let Some(key) = keys.last_mut()
                    && key.echo.is_none()
                    && segment.time - key.time <= ECHO
                    && segment.acked.is_some_and(|acked| acked.since(key.end) >= 0)
                    && segment.len <= LONGEST_ECHO
                {
                    key.echo = Some(segment.len);
                }
            }
        }
    }
    keys
}

/// Segments of the server long after anything that the client said.
fn unasked(segments: &[Segment]) -> usize {
    let mut last_input = None;
    let mut unasked = 0;
    for segment in segments {
        match segment.side {
            Side::Client => last_input = Some(segment.time),
            Side::Server => unasked += usize::from(last_input.is_none_or(|last| segment.time - last > UNASKED)),
        }
    }
    unasked
}

/// How soon the client's program confirms by itself what the server sends, where it does (QUIC, SCTP): most of what the client sends next follows at the
/// same distance. What a person sends does not.
fn reaction(segments: &[Segment]) -> Option<Reaction> {
    let pairs = segments.iter().zip(segments.iter().skip(1));
    let next = pairs.filter(|(one, next)| one.side == Side::Server && next.side == Side::Client);
    let mut lags: Vec<Span> = next.map(|(one, next)| next.time - one.time).collect();
    lags.sort_unstable();
    let least = *lags.get(lags.len() / 10)?;
    let reaction = Reaction { least: least - EARLIER, most: least + CONFIRMED };
    let holding = lags.iter().filter(|lag| reaction.holds(**lag)).count();
    has_share(holding, lags.len(), REACTIONS).then_some(reaction)
}

/// A message that is as long as a key.
#[derive(Clone, Copy, Debug)]
struct Key {
    time: Timestamp,
    end: SeqNumber,
    /// Length of the first answer, where it came in time.
    echo: Option<u32>,
    behind_silence: bool,
}

fn has_share(part: usize, whole: usize, percent: usize) -> bool {
    part * 100 >= whole * percent
}

/// The most frequent of some lengths, the least of those where there are several, and how often it is there.
fn most_frequent(lengths: impl Iterator<Item = u32>) -> Option<(u32, usize)> {
    let mut counts = BTreeMap::new();
    lengths.for_each(|len| *counts.entry(len).or_insert(0) += 1);
    counts.into_iter().max_by_key(|(len, count)| (*count, std::cmp::Reverse(*len)))
}

#[cfg(test)]
mod tests;
