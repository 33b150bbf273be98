//! Keystrokes that OpenSSH hides among chaff (`ObscureKeystrokeTiming`, on by default since 9.5), as far as the server's
//! answers give them away.
//!
//! While somebody types, and up to 3 s longer, the client sends one message of a letter's size each 20 ms: the keys of
//! that time, or chaff. Chaff is answered by sshd itself, a key by what runs in the terminal, so an echo comes a little
//! later, is often of another size, or is missing. One slot tells little; so all slots of a stretch are weighed together by
//! a hidden Markov chain ([`chain`]) of what is known: how people type and how keys repeat ([`pace`]), that a burst begins
//! with a key and ends with a second of nothing but chaff, that a busy server is slow to everything. How long answers take
//! is learned from the connection itself ([`density`], [`model`]): the faster half of all answers is chaff, whose slower
//! answers only become rarer; an echo takes as long, and a detour besides.
//!
//! Nothing is decided before a stretch is long enough to learn from, or a minute has passed since its last message. Times
//! are those of the message that carried the key: up to one interval of the chaff after it was pressed.

mod chain;
mod density;
mod model;
mod pace;
mod pick;
mod pong;
mod seen;
mod tick;

use self::{
    chain::{Chances, Smoothed, State},
    model::{Model, Sums},
    pace::Pace,
    pick::{Pick, pick},
    pong::Pongs,
    seen::{Seen, look},
    tick::{Answer, Tick},
};
use crate::{
    cue::{Input, InputKind, Output},
    flow::Side,
    measure::estimate::Quantiles,
    time::{Span, Timestamp},
};

/// Messages in a stretch: 20 s of typing. Longer ones take memory and find no more.
const STRETCH: usize = 1_024;
/// The newest messages of a stretch are weighed again with the next: what follows tells of them, too.
const KEPT: usize = 256;
/// Without a message for so long, what waits is decided.
const QUIET: Span = Span::from_secs(60);
/// How often a stretch is gone over to learn from it: the first, and later ones.
const ROUNDS_AT_FIRST: usize = 6;
const ROUNDS_LATER: usize = 3;
/// How much of what was learned is kept from one stretch to the next.
const KEEP: f64 = 0.8;
/// The interval of the chaff until it is known.
const USUAL_SLOT_MS: f64 = 20.0;
/// Intervals that can be one.
const SLOT_MS: std::ops::Range<f64> = 5.0..300.0;
/// A client that is served at once sends no more keys in one slot.
const MOST_KEYS: u16 = 16;
/// Nothing is certain: a program that runs alongside may have written just then.
const SUREST: f64 = 0.99;

/// A keystroke among chaff.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recovered {
    /// When its message passed the sensor.
    pub(super) time: Timestamp,
    /// When the client sent it, by its own clock.
    pub(super) sent: Option<Span>,
    pub(super) bytes: u32,
    /// From the message to the server's answer.
    pub(super) echo: Option<Span>,
    pub(super) kind: Kind,
    /// A held key's repeat.
    pub(super) repeats: bool,
    /// Keys in the same message.
    pub(super) count: u16,
    /// The chance that it is one.
    pub(super) confidence: f64,
    /// Bytes were lost since the one before.
    pub(super) behind_gap: bool,
}

/// What it was, as far as its answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Letter,
    Edit,
    Sequence,
    Command,
    Unknown,
}

/// See the [module's documentation](self).
#[derive(Debug, Default)]
pub(super) struct Recovery {
    ticks: Vec<Tick>,
    /// The last message that was decided, and the state behind it.
    before: Option<Box<(Tick, State)>>,
    /// Length of the messages of the chaff in bytes.
    plain: u32,
    lost: bool,
    doubled: bool,
    learned: Option<Box<(Model, Sums)>>,
    slot_ms: Option<f64>,
    pongs: Pongs,
}

impl Recovery {
    /// For a client that sends chaff along with the keys of a slot (OpenSSH 9.5 to 9.7), or not.
    pub(super) fn new(doubled: bool) -> Self {
        Self { doubled, ..Self::default() }
    }

    /// The interval of the chaff, once it is known.
    pub(super) fn slot(&self) -> Option<Span> {
        self.slot_ms.map(|ms| Span::from_micros((ms * 1e3) as i64))
    }

    /// From chaff to its answer, which the server's program gives by itself; `None` without any.
    pub(super) fn pongs(&self) -> Option<Quantiles> {
        self.pongs.quantiles()
    }

    /// Bytes of one side were not captured.
    pub(super) fn on_lost(&mut self, side: Side) {
        self.pongs.on_lost();
        match (side, self.ticks.last_mut()) {
            (Side::Server, Some(last)) => last.lost = true,
            _ => self.lost = true,
        }
    }

    /// A message of the client.
    pub(super) fn on_input(&mut self, input: &Input, out: &mut Vec<Recovered>) {
        self.on_deadline(input.time, out);
        self.pongs.on_input(input.time);
        let several = match input.kind {
            InputKind::Bulk => return,
            InputKind::Char | InputKind::Key | InputKind::Keys(_) | InputKind::KeysOrBulk(_) => {
                self.plain = input.bytes;
                true
            }
            InputKind::Sequence => false,
        };
        match self.ticks.last_mut() {
            Some(last) if last.time == input.time => last.join(input),
            _ => self.ticks.push(Tick::new(input, std::mem::take(&mut self.lost))),
        }
        if self.ticks.len() >= STRETCH && several {
            self.decide(KEPT, out);
        }
    }

    /// A message of the server.
    pub(super) fn on_output(&mut self, output: &Output, out: &mut Vec<Recovered>) {
        self.on_deadline(output.time, out);
        if output.bytes == self.plain {
            self.pongs.on_plain(output.time);
        }
        if let Some(tick) = self.ticks.iter_mut().rev().find(|tick| tick.is_reached(output.acked)) {
            tick.answer(output, self.plain);
        }
    }

    /// When [`Self::on_deadline`] has something to decide.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.ticks.last().map(|last| last.time + QUIET)
    }

    /// Decides what waits, where nothing has come for long.
    pub(super) fn on_deadline(&mut self, now: Timestamp, out: &mut Vec<Recovered>) {
        if self.next_deadline().is_some_and(|deadline| now >= deadline) {
            self.decide(0, out);
        }
    }

    /// Decides everything.
    pub(super) fn finish(&mut self, out: &mut Vec<Recovered>) {
        self.pongs.finish();
        self.decide(0, out);
    }

    /// Decides all but the newest `keep` messages.
    fn decide(&mut self, keep: usize, out: &mut Vec<Recovered>) {
        let count = self.ticks.len().saturating_sub(keep);
        if count == 0 {
            return;
        }
        let slot_ms = *self.slot_ms.get_or_insert_with(|| slot_ms(&self.ticks));
        let before = self.before.as_ref().map(|before| &before.0);
        let (seen, usual) = look(before, &self.ticks, self.plain, slot_ms);
        let rounds = if self.learned.is_some() { ROUNDS_LATER } else { ROUNDS_AT_FIRST };
        let at_first = || Box::new((Model::at_first(usual, &seen, self.doubled), Sums::default()));
        let mut known = self.learned.take().unwrap_or_else(at_first);
        let (model, learned) = &mut *known;
        learned.fade(KEEP);
        let mut smoothed = self.smooth(model, &seen, slot_ms);
        for _ in 1..rounds {
            let mut sums = learned.clone();
            sums.add(&seen, &smoothed);
            model.learn(&sums, slot_ms);
            smoothed = self.smooth(model, &seen, slot_ms);
        }
        self.name(&seen, &smoothed.chances, count, out);

        smoothed.chances.truncate(count);
        learned.add(&seen, &smoothed);
        self.learned = Some(known);
        let last = self.ticks.get(count - 1).copied();
        self.before = last.zip(smoothed.states.into_iter().nth(count - 1)).map(Box::new);
        self.ticks.drain(..count);
        if self.ticks.is_empty() {
            self.ticks = Vec::new(); // who pauses holds no room
        }
    }

    fn smooth(&self, model: &Model, seen: &[Seen], slot_ms: f64) -> Smoothed {
        let evidence: Vec<_> = seen.iter().map(|seen| model.weigh(seen)).collect();
        let start = self.before.as_ref().map(|before| &before.1);
        chain::smooth(start, &evidence, &Pace::new(model.typist, slot_ms), model.load)
    }

    /// Names the keystrokes among the first `count` messages.
    fn name(&self, seen: &[Seen], chances: &[Chances], count: usize, out: &mut Vec<Recovered>) {
        let of_keys: Vec<f64> = chances.iter().take(count).map(Chances::of_a_key).collect();
        let mut behind_gap = false;
        let mut from = 0;
        for Pick { slot, confidence } in pick(&of_keys, self.slot_ms.unwrap_or(USUAL_SLOT_MS)) {
            let since = self.ticks.get(from..=slot).unwrap_or_default();
            behind_gap |= since.iter().any(|tick| tick.lost);
            from = slot + 1;
            let (Some(tick), Some(seen), Some(chances)) = (self.ticks.get(slot), seen.get(slot), chances.get(slot)) else {
                continue;
            };
            let answered = !matches!(seen.answer, Answer::Nothing | Answer::Late);
            out.push(Recovered {
                time: tick.time,
                sent: tick.sent,
                bytes: tick.bytes,
                echo: tick.turnaround().filter(|_| answered),
                kind: kind(tick, seen),
                repeats: f64::from(chances.repeat) > 0.5 * chances.of_a_key(),
                count: tick.keys_by_answers().unwrap_or(1).clamp(1, MOST_KEYS),
                confidence: (confidence.min(SUREST) * in_time(tick) * 100.0).round() / 100.0,
                behind_gap: std::mem::take(&mut behind_gap),
            });
        }
    }
}

/// The interval of the chaff: the middle one of those between its messages, where a relay gathers them too.
fn slot_ms(ticks: &[Tick]) -> f64 {
    let gaps = ticks
        .iter()
        .zip(ticks.iter().skip(1))
        .map(|(earlier, later)| (later.time - earlier.time).as_millis_f64() / f64::from(later.messages.max(1)));
    let mut gaps: Vec<f64> = gaps.filter(|gap| SLOT_MS.contains(gap)).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied().unwrap_or(USUAL_SLOT_MS)
}

/// The chance that a key of several messages that were gathered on the way was sent in the last slot or beside it.
fn in_time(tick: &Tick) -> f64 {
    (3.0 / f64::from(tick.messages.max(1))).min(1.0)
}

fn kind(tick: &Tick, seen: &Seen) -> Kind {
    match seen.answer {
        _ if tick.longer => Kind::Sequence,
        Answer::Plain => Kind::Letter,
        Answer::Short => Kind::Edit,
        Answer::PlainAndMore | Answer::Long | Answer::Both => Kind::Command,
        Answer::Nothing => Kind::Unknown,
        Answer::Late | Answer::Several => Kind::Letter,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
