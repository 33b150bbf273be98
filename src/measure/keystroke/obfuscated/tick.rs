//! One message on the comb, and what the server said to it.

use crate::{
    cue::{Doubt, Input, InputKind, Output, OutputKind},
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// What comes later is not an answer.
const ANSWERED_WITHIN: Span = Span::from_secs(1);

/// What the client sent in one slot: chaff, keys, or several of both where they were held up together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick {
    pub(super) time: Timestamp,
    /// When the client sent it, by its own clock.
    pub(super) sent: Option<Span>,
    /// First sequence number behind it.
    end: SeqNumber,
    /// Length of one of its messages.
    pub(super) bytes: u32,
    /// Messages, of any length.
    pub(super) messages: u16,
    /// One of them is longer than chaff.
    pub(super) longer: bool,
    /// It may be a program's.
    pub(super) doubtful: bool,
    /// Bytes were lost before it, or among its answers.
    pub(super) lost: bool,
    answers: Answers,
}

/// What was answered until the next message got its own answer.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    /// Time of the first segment, from the message.
    first: Option<Span>,
    /// Messages as long as the answer to chaff in the first segment, and later.
    plain: u16,
    plain_later: u16,
    /// Messages of another length in the first segment, and later.
    other: bool,
    other_later: bool,
    /// The longest of these.
    longest: u32,
}

/// How a message was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// As chaff is, and as most letters are.
    Plain,
    /// The same, and then more.
    PlainAndMore,
    /// By something that has no room for an answer to chaff.
    Short,
    /// By something longer.
    Long,
    /// By something else and an answer to chaff.
    Both,
    /// Not at all.
    Nothing,
    /// Together with a later one.
    Late,
    /// Several plain answers at once.
    Several,
}

impl Answer {
    pub(super) const COUNT: usize = 8;
}

impl Tick {
    pub(super) fn new(input: &Input, lost: bool) -> Self {
        let (messages, longer) = shape(input);
        Self {
            time: input.time,
            sent: input.sent,
            end: input.end,
            bytes: input.bytes,
            messages,
            longer,
            doubtful: input.doubt != Doubt::None,
            lost,
            answers: Answers::default(),
        }
    }

    /// Another message in the same segment.
    pub(super) fn join(&mut self, input: &Input) {
        let (messages, longer) = shape(input);
        self.end = input.end;
        self.messages = self.messages.saturating_add(messages);
        self.longer |= longer;
    }

    /// Whether an output that acknowledged so much can answer it.
    pub(super) fn is_reached(&self, acked: Option<SeqNumber>) -> bool {
        acked.is_none_or(|acked| acked.since(self.end) >= 0)
    }

    /// Takes an answer. `plain` is the length of the answer to chaff.
    pub(super) fn answer(&mut self, output: &Output, plain: u32) {
        let delay = output.time - self.time;
        if delay > ANSWERED_WITHIN || delay.is_negative() || (output.kind == OutputKind::Status && output.bytes < plain) {
            return;
        }
        let answers = &mut self.answers;
        let is_first = answers.first.is_none() || answers.first == Some(delay);
        answers.first.get_or_insert(delay);
        let count = if plain > 0 && output.bytes.is_multiple_of(plain) { output.bytes / plain } else { 0 };
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        let (plain, other) = if is_first {
            (&mut answers.plain, &mut answers.other)
        } else {
            (&mut answers.plain_later, &mut answers.other_later)
        };
        *plain = plain.saturating_add(count);
        if count == 0 {
            *other = true;
            answers.longest = answers.longest.max(output.bytes);
        }
    }

    /// How it was answered, as far as its own answers tell; `plain` is the length of the answer to chaff.
    pub(super) const fn answered(&self, plain: u32) -> Answer {
        let answers = &self.answers;
        // No SSH packet is more than a block of 16 bytes shorter than the answer to chaff.
        let has_room = answers.longest + 16 >= 2 * plain;
        match (answers.first, answers.other, answers.plain) {
            (None, ..) => Answer::Nothing,
            (_, false, 1) if answers.other_later => Answer::PlainAndMore,
            (_, false, 1) => Answer::Plain,
            (_, false, _) => Answer::Several,
            (_, true, 1..) => Answer::Both,
            (_, true, 0) if answers.plain_later > 0 => Answer::Both,
            (_, true, 0) if has_room => Answer::Long,
            (_, true, 0) => Answer::Short,
        }
    }

    /// Plain answers beyond its own.
    pub(super) const fn spare_answers(&self) -> u16 {
        match (self.answers.first, self.answers.other) {
            (Some(_), false) => self.answers.plain.saturating_add(self.answers.plain_later).saturating_sub(1),
            _ => 0,
        }
    }

    /// How long the first answer took.
    pub(super) const fn turnaround(&self) -> Option<Span> {
        self.answers.first
    }

    /// Keys in a segment of several messages: chaff is answered at once and at the same length, keys are not.
    pub(super) fn keys_by_answers(&self) -> Option<u16> {
        (self.messages > 1 && self.answers.first.is_some() && !self.answers.other)
            .then(|| self.messages.saturating_sub(self.answers.plain))
    }

    /// Whether the server wrote anything but plain answers here.
    pub(super) const fn has_other_output(&self) -> bool {
        self.answers.other || self.answers.other_later
    }
}

/// How many messages an input is, and whether they are longer than chaff.
fn shape(input: &Input) -> (u16, bool) {
    match input.kind {
        InputKind::Char | InputKind::Key => (1, false),
        InputKind::Sequence => (1, true),
        InputKind::Bulk => (0, false),
        InputKind::Keys(count) | InputKind::KeysOrBulk(count) => (u16::from(count), false),
    }
}
