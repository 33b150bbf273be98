//! What a stretch of messages shows, one by one: what the chain is asked to explain.

use super::{
    density,
    pace::LONGEST_GAP,
    tick::{Answer, Tick},
};
use crate::time::Span;

/// How far a late answer is looked for.
const LATE_BY: usize = 5;
/// Messages to each side whose answers say how fast the server is just then.
const AROUND: usize = 15;
/// How many answers of the whole stretch count with those.
const STRETCH_WEIGHS: f64 = 8.0;
/// A silence that may be the end of the chaff: longer than the client is likely to stall.
const MAY_HAVE_ENDED: f64 = 400.0;

/// Without another message within so many slots, one stands alone.
const ALONE: f64 = 4.0;

/// One message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Slots since the message before.
    pub(super) gap: usize,
    pub(super) pause: bool,
    pub(super) answer: Answer,
    /// How long its plain answer took, as a step of [`density`].
    pub(super) turnaround: Option<usize>,
    /// The server wrote something else in the slot before.
    pub(super) after_output: bool,
    pub(super) client: Client,
}

/// What the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// One message as long as chaff.
    One,
    /// One that is longer.
    Longer,
    /// One that may be a program's.
    Doubtful,
    /// Several together, and how many keys were among them, where their answers tell.
    Several { count: u16, keys: Option<u16> },
}

/// What the stretch shows, and the logarithm of what chaff takes in it, in milliseconds.
pub(super) fn look(before: Option<&Tick>, ticks: &[Tick], plain: u32, slot_ms: f64) -> (Vec<Seen>, f64) {
    let mut answers: Vec<Answer> = ticks.iter().map(|tick| tick.answered(plain)).collect();
    find_late(&mut answers, ticks);
    let turnarounds: Vec<Option<f64>> = ticks.iter().zip(&answers).map(|(tick, answer)| ln_turnaround(tick, *answer)).collect();
    let usual = median(turnarounds.iter().flatten().copied().collect()).unwrap_or_default();
    let mut seen = Vec::with_capacity(ticks.len());
    let mut previous = before;
    for (at, (tick, (answer, turnaround))) in ticks.iter().zip(answers.iter().zip(&turnarounds)).enumerate() {
        let around = turnarounds.get(at.saturating_sub(AROUND)..ticks.len().min(at + AROUND + 1)).unwrap_or_default();
        let around: Vec<f64> = around.iter().flatten().copied().collect();
        let weight = around.len() as f64;
        let base = median(around).map_or(usual, |near| (near * weight + usual * STRETCH_WEIGHS) / (weight + STRETCH_WEIGHS));
        let silence = previous.map_or(0.0, |previous| (tick.time - previous.time).as_millis_f64());
        seen.push(Seen {
            gap: ((silence / slot_ms).round() as usize).clamp(1, LONGEST_GAP),
            pause: silence > MAY_HAVE_ENDED.max(6.0 * slot_ms),
            answer: *answer,
            turnaround: turnaround.map(|ln| density::bin(ln - base)),
            after_output: previous.is_some_and(Tick::has_other_output),
            client: client(tick, silence, ticks.get(at + 1), slot_ms),
        });
        previous = Some(tick);
    }
    (seen, usual)
}

/// What a message can be. A program's own (keep-alives, and answers to those) come alone out of a silence; the first key
/// of a burst has chaff on its heels.
fn client(tick: &Tick, silence: f64, next: Option<&Tick>, slot_ms: f64) -> Client {
    let alone = || {
        let soon = |next: &Tick| (next.time - tick.time).as_millis_f64() < ALONE * slot_ms;
        silence > MAY_HAVE_ENDED && !next.is_some_and(soon)
    };
    match tick.messages {
        2.. => Client::Several { count: tick.messages, keys: tick.keys_by_answers() },
        _ if tick.doubtful && alone() => Client::Doubtful,
        _ if tick.longer => Client::Longer,
        _ => Client::One,
    }
}

/// A message without an answer of its own was answered late where a later one got more than its own.
fn find_late(answers: &mut [Answer], ticks: &[Tick]) {
    let mut spare: Vec<u16> = ticks.iter().map(Tick::spare_answers).collect();
    for at in 0..answers.len() {
        if answers.get(at) != Some(&Answer::Nothing) {
            continue;
        }
        let until = (at + 1 + LATE_BY).min(answers.len());
        let later = (at + 1..until).find(|later| {
            let waits = matches!(answers.get(*later), Some(Answer::Nothing | Answer::Late));
            !waits || spare.get(*later).is_some_and(|spare| *spare > 0)
        });
        let Some(spare) = later.and_then(|later| spare.get_mut(later)).filter(|spare| **spare > 0) else { continue };
        *spare -= 1;
        if let Some(answer) = answers.get_mut(at) {
            *answer = Answer::Late;
        }
    }
}

fn ln_turnaround(tick: &Tick, answer: Answer) -> Option<f64> {
    let took = tick.turnaround().filter(|_| matches!(answer, Answer::Plain | Answer::PlainAndMore))?;
    Some(took.max(Span::from_micros(1)).as_millis_f64().ln())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get((values.len().max(1) - 1) / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}
