//! Which way keys went, from when something happened: the most likely story of presses, repeats and releases.
//!
//! Every event is a press, a repeat of the key that was pressed last, a release of some key that is down, or nothing of a key. A
//! handful of stories is told in parallel, each with the keys that are down in it; a story's chance is the product of how
//! likely its intervals and holds are, and of whether the server answered as it answers presses. What all stories agree on is
//! decided; what is a second old is decided by the likeliest. Where the protocol shows which way a key went, stories differ
//! only in what was a repeat.

use std::collections::VecDeque;

use super::{chances, learned::Learned};
use crate::{
    cue::{Doubtful, KeyAction},
    time::{Span, Timestamp},
};

/// Stories told in parallel.
const STORIES: usize = 32;

/// Keys that are down at once, in one story; two hands and modifiers hold fewer.
const MOST_DOWN: usize = 6;

/// Events that are not decided yet, at most.
const MOST_UNDECIDED: usize = 64;

/// From repeat to repeat, before a flow has shown its own: between X's 40 ms and the console's 33 ms.
const TYPICAL_PERIOD: Span = Span::from_millis(36);

/// A key that is down longer than this and does not repeat is no key that is down: its release was not seen, or it was no key. Kept,
/// a few of these would fill all stories with which of them a release is of.
const LONGEST_DOWN: Span = Span::from_secs(3);

/// What it allocates at most, in bytes, between two calls.
#[cfg(test)]
pub(super) const MOST_BYTES: usize = 2 * STORIES * (size_of::<Story>() + 2 * MOST_DOWN * size_of::<Timestamp>())
    + MOST_UNDECIDED.next_power_of_two() * size_of::<Happening>();

/// What an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A key went down.
    Press,
    /// A key that is down repeated.
    Repeat,
    /// A key went up.
    Release,
    /// The pointer, or half of a repeat.
    Other,
}

impl Meaning {
    const fn code(self) -> u128 {
        match self {
            Self::Press => 0,
            Self::Repeat => 1,
            Self::Release => 2,
            Self::Other => 3,
        }
    }

    const fn of(code: u128) -> Self {
        match code & 3 {
            0 => Self::Press,
            1 => Self::Repeat,
            2 => Self::Release,
            _ => Self::Other,
        }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happening {
    /// When; never before the one before it.
    pub(super) time: Timestamp,
    /// What the protocol says of it.
    pub(super) action: KeyAction,
    /// How soon the server answered, where it did within [`super::learned::ANSWER`].
    pub(super) answer: Option<Span>,
}

/// One story.
#[derive(Clone, Debug, Default)]
struct Story {
    /// Logarithm of its chance.
    chance: f64,
    /// When the keys that are down were pressed, the oldest first.
    down: Vec<Timestamp>,
    last_press: Option<Timestamp>,
    /// The key pressed last repeats.
    repeating: Option<Repeating>,
    last_pointer: Option<Timestamp>,
    /// What the undecided events mean, two bits each, the first in the lowest.
    meanings: u128,
}

/// A key that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Repeating {
    last: Timestamp,
    /// When the next repeat is due.
    due: Timestamp,
    period: Option<Span>,
    repeats: u32,
}

/// See the [module's documentation](self).
#[derive(Clone, Debug, Default)]
pub(super) struct Rhythm {
    stories: Vec<Story>,
    undecided: VecDeque<Happening>,
    learned: Learned,
}

impl Rhythm {
    /// Takes the next event in.
    pub(super) fn push(&mut self, happening: Happening) {
        let place = self.undecided.len();
        if self.stories.is_empty() {
            self.stories.push(Story::default());
        }
        let mut next = Vec::with_capacity(self.stories.len() * 5);
        for story in &mut self.stories {
            story.forget(happening.time);
            story.go_on(&happening, &self.learned, |mut after, meaning| {
                after.meanings |= meaning.code() << (2 * place);
                let rank = after.chance + after.open_ends(happening.time);
                next.push((rank, after));
            });
        }
        next.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best = next.first().map_or(0.0, |(_, story)| story.chance);
        self.stories.clear();
        for (_, mut story) in next {
            if self.stories.len() >= STORIES {
                break;
            }
            story.chance -= best;
            if !self.stories.iter().any(|kept| kept.is_where(&story)) {
                self.stories.push(story);
            }
        }
        self.undecided.push_back(happening);
    }

    /// Time of the first event that is not decided.
    pub(super) fn undecided_since(&self) -> Option<Timestamp> {
        self.undecided.front().map(|first| first.time)
    }

    /// Whether there is no room for another event.
    pub(super) fn is_full(&self) -> bool {
        self.undecided.len() >= MOST_UNDECIDED
    }

    /// Decides the first event that is not decided, where all stories agree on it, there is no room for more, or it has to be.
    /// With it, the chance that it is what it is said to be.
    pub(super) fn decide(&mut self, anyway: bool) -> Option<(Meaning, f64)> {
        let meaning = Meaning::of(self.stories.first()?.meanings);
        let agreed = self.stories.iter().all(|story| Meaning::of(story.meanings) == meaning);
        if !agreed && !anyway && !self.is_full() {
            return None;
        }
        let now = self.undecided.back()?.time;
        let first = self.undecided.pop_front()?;
        let ranks: Vec<f64> = self.stories.iter().map(|story| story.chance + story.open_ends(now)).collect();
        let best = ranks.iter().copied().fold(f64::MIN, f64::max);
        let (mut ours, mut all) = (0.0, 0.0);
        for (story, rank) in self.stories.iter().zip(&ranks) {
            let weight = (rank - best).exp();
            all += weight;
            ours += if is_down(Meaning::of(story.meanings)) == is_down(meaning) { weight } else { 0.0 };
        }
        let sure = ours / all;
        self.stories.retain(|story| Meaning::of(story.meanings) == meaning);
        self.stories.iter_mut().for_each(|story| story.meanings >>= 2);
        self.learned.decided(first.time, first.answer, meaning, sure);
        Some((meaning, sure))
    }

    /// Bytes are missing: which keys are down is not known any more. Only when everything is decided.
    pub(super) fn forget_keys(&mut self) {
        self.stories.clear();
    }
}

/// Presses and repeats are alike to whoever counts keys.
const fn is_down(meaning: Meaning) -> u8 {
    match meaning {
        Meaning::Press | Meaning::Repeat => 0,
        Meaning::Release => 1,
        Meaning::Other => 2,
    }
}

impl Story {
    /// Every way in which this story can go on.
    fn go_on(&self, happening: &Happening, learned: &Learned, mut tell: impl FnMut(Self, Meaning)) {
        let (press, release) = match happening.action {
            KeyAction::Either(_) => learned.answer(happening.answer),
            KeyAction::Down | KeyAction::Up => (0.0, 0.0),
        };
        if happening.action != KeyAction::Up {
            tell(self.pressed(happening.time, press), Meaning::Press);
            if let Some(mut after) = self.repeated(happening.time, learned) {
                after.chance += press / 2.0; // a screen that repeats does not always change
                tell(after, Meaning::Repeat);
            }
        }
        if happening.action != KeyAction::Down {
            for place in 0..self.down.len() {
                if let Some(after) = self.released(place, happening.time, release) {
                    tell(after, Meaning::Release);
                }
            }
            tell(Self { chance: self.chance + chances::STRAY.ln() + release, ..self.clone() }, Meaning::Release);
        }
        if let KeyAction::Either(doubt) = happening.action {
            if let Some(repeating) = &self.repeating {
                let chance = chances::half_of_repeat(happening.time - repeating.last);
                tell(Self { chance: self.chance + chance.ln(), ..self.clone() }, Meaning::Other);
            }
            if doubt == Doubtful::Pointer {
                let chance = chances::pointer(self.last_pointer.map(|last| happening.time - last)).ln() + release;
                let after = Self { chance: self.chance + chance, last_pointer: Some(happening.time), ..self.clone() };
                tell(after, Meaning::Other);
            }
        }
    }

    /// Forgets keys that can hardly be down any more.
    fn forget(&mut self, now: Timestamp) {
        let repeats = self.repeating.and_then(|_| self.down.last().copied());
        self.down.retain(|pressed| now - *pressed <= LONGEST_DOWN || Some(*pressed) == repeats);
    }

    fn pressed(&self, time: Timestamp, answer: f64) -> Self {
        let chance = chances::interval(self.last_press.map(|last| time - last)).ln();
        let mut after = Self { chance: self.chance + chance + answer, last_press: Some(time), repeating: None, ..self.clone() };
        if after.down.len() >= MOST_DOWN {
            after.down.remove(0);
        }
        after.down.push(time);
        after
    }

    fn repeated(&self, time: Timestamp, learned: &Learned) -> Option<Self> {
        let pressed = *self.down.last()?;
        let (chance, next) = match self.repeating {
            None => {
                let period = learned.period;
                let due = time + period.unwrap_or(TYPICAL_PERIOD);
                (chances::first_repeat(time - pressed, learned.delay), Repeating { last: time, due, period, repeats: 1 })
            }
            Some(Repeating { last, period: None, .. }) => {
                let since = time - last;
                let period = (since + TYPICAL_PERIOD) / 2; // one interval may be anything: half of it is believed
                (chances::second_repeat(since), Repeating { last: time, due: time + period, period: Some(period), repeats: 2 })
            }
            Some(Repeating { last, due, period: Some(period), repeats }) => {
                let late = time - due;
                let chance = chances::repeat(late, time - last, period);
                // Half a period late: one was not seen.
                let (seen, late) = if late > period / 2 { (due + period, late - period) } else { (due, late) };
                let period = period + clamp(late, 8) / i64::from(repeats.min(10) + 1);
                let due = seen + clamp(late, 16) / 4 + period;
                (chance, Repeating { last: time, due, period: Some(period), repeats: repeats + 1 })
            }
        };
        Some(Self { chance: self.chance + chance.ln(), repeating: Some(next), ..self.clone() })
    }

    fn released(&self, place: usize, time: Timestamp, answer: f64) -> Option<Self> {
        let pressed = *self.down.get(place)?;
        let newest = place + 1 == self.down.len();
        let chance = match self.repeating.filter(|_| newest) {
            Some(repeating) => chances::release_of_repeating(time - repeating.due, repeating.period, repeating.repeats),
            None => chances::hold(time - pressed),
        };
        let mut after = Self { chance: self.chance + chance.ln() + answer, ..self.clone() };
        after.down.remove(place);
        after.repeating = self.repeating.filter(|_| !newest);
        Some(after)
    }

    /// How likely it is that the keys that are down still are: logarithm.
    fn open_ends(&self, now: Timestamp) -> f64 {
        let held = if self.repeating.is_some() { self.down.split_last().map_or(&[][..], |(_, rest)| rest) } else { &self.down };
        held.iter().map(|pressed| chances::still_held(now - *pressed).ln()).sum()
    }

    /// Whether two stories go on alike.
    fn is_where(&self, other: &Self) -> bool {
        self.last_press == other.last_press
            && self.last_pointer == other.last_pointer
            && self.repeating.map(|repeating| repeating.last) == other.repeating.map(|repeating| repeating.last)
            && self.down == other.down
    }
}

/// Not more than so many milliseconds either way.
fn clamp(span: Span, ms: i64) -> Span {
    span.clamp(Span::ZERO - Span::from_millis(ms), Span::from_millis(ms))
}
