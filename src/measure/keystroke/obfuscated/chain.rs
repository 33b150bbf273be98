//! A hidden Markov chain over the slots of the chaff: how many slots ago the last key was, whether it is being held, and
//! whether the server is busy. Forward and backward over a stretch, it gives the chance of a key in each slot.

use super::pace::{Link, PHASES, Pace, SLOTS};

/// What answers a key: as much as a letter, something else, or the key itself is longer than a letter.
pub(super) const CLASSES: usize = 3;
/// A held key goes on repeating with this chance.
const HELD_ON: f32 = 0.94;
/// A held key was let go before the next repeat.
const LET_GO: f32 = 0.03;
/// The chance that a long silence is a stall of the client rather than the end of the chaff.
const STALL: f32 = 2e-3;
/// Whether the server is busy when the typing begins.
const AT_START: [f32; 2] = [0.8, 0.2];

/// What one slot shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// Slots since the message before.
    pub(super) gap: usize,
    /// It follows a silence in which the chaff may have ended.
    pub(super) pause: bool,
    /// How well it fits a key, on a calm server and on a busy one.
    pub(super) key: [f32; 2],
    /// The same for chaff.
    pub(super) chaff: [f32; 2],
    /// How much better it fits the repeat of a held key, by how that was answered.
    pub(super) repeat: [[f32; CLASSES]; 2],
    /// How it was answered itself, as far as that is known; weighed by how often such keys are held.
    pub(super) class: [f32; CLASSES],
}

/// The weight of each state on a calm server, or on a busy one.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// By the slots since the last key.
    typing: [f32; SLOTS],
    /// A held key, by the slots since its last repeat.
    held: [[f32; PHASES]; CLASSES],
}

/// Calm and busy.
pub(super) type State = [Track; 2];

impl Track {
    const NONE: Self = Self { typing: [0.0; SLOTS], held: [[0.0; PHASES]; CLASSES] };
    const ANY: Self = Self { typing: [1.0; SLOTS], held: [[1.0; PHASES]; CLASSES] };

    fn weights(&self) -> impl Iterator<Item = &f32> {
        self.typing.iter().chain(self.held.iter().flatten())
    }

    fn weights_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        self.typing.iter_mut().chain(self.held.iter_mut().flatten())
    }

    fn sum(&self) -> f32 {
        self.weights().sum()
    }

    fn dot(&self, other: &Self) -> f32 {
        self.weights().zip(other.weights()).map(|(a, b)| a * b).sum()
    }

    /// The weight of having just typed, and of having just repeated.
    fn just(&self) -> (f32, f32) {
        let [typed, ..] = self.typing;
        (typed, self.held.iter().map(|[repeated, ..]| repeated).sum())
    }
}

/// Typing begins with a key.
pub(super) fn beginning() -> State {
    AT_START.map(|share| {
        let mut track = Track::NONE;
        let [first, ..] = &mut track.typing;
        *first = share;
        track
    })
}

fn normalised(mut state: State) -> State {
    let sum: f32 = state.iter().map(Track::sum).sum();
    if sum > 0.0 && sum.is_finite() {
        state.iter_mut().flat_map(Track::weights_mut).for_each(|weight| *weight /= sum);
        state
    } else {
        beginning()
    }
}

/// How the server goes from calm to busy, and back: by where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) becomes_busy: f32,
    pub(super) becomes_calm: f32,
}

impl Load {
    /// Rows by where it goes to, columns by where it comes from.
    const fn into(self) -> [[f32; 2]; 2] {
        [[1.0 - self.becomes_busy, self.becomes_calm], [self.becomes_busy, 1.0 - self.becomes_calm]]
    }
}

fn mixed([calm, busy]: &State, [from_calm, from_busy]: [f32; 2]) -> Track {
    let mut out = Track::NONE;
    for (weight, (calm, busy)) in out.weights_mut().zip(calm.weights().zip(busy.weights())) {
        *weight = calm * from_calm + busy * from_busy;
    }
    out
}

/// The chance that the chaff ended behind this state.
fn ended(state: &State, pace: &Pace) -> f32 {
    state.iter().flat_map(|track| track.typing.iter().zip(&pace.ends)).map(|(weight, ends)| weight * ends).sum()
}

/// Likelihoods of one slot on one kind of server.
struct Side {
    key: f32,
    chaff: f32,
    repeat: [f32; CLASSES],
    class: [f32; CLASSES],
}

impl Evidence {
    fn sides(&self) -> [Side; 2] {
        let stall = if self.pause { STALL } else { 1.0 };
        let ([key_calm, key_busy], [chaff_calm, chaff_busy]) = (self.key, self.chaff);
        let [calm, busy] = self.repeat;
        let side = |key: f32, chaff: f32, repeat| Side { key: key * stall, chaff: chaff * stall, repeat, class: self.class };
        [side(key_calm, chaff_calm, calm), side(key_busy, chaff_busy, busy)]
    }

    /// How well it fits the first key of a burst, times the share of such servers.
    fn first(&self) -> [f32; 2] {
        let ([calm, busy], [key_calm, key_busy]) = (AT_START, self.key);
        [calm * key_calm, busy * key_busy]
    }
}

/// The weights behind the next message.
pub(super) fn forward(state: &State, link: &Link, evidence: &Evidence, load: Load, pace: &Pace) -> State {
    let restart = if evidence.pause { ended(state, pace) } else { 0.0 };
    let [into_calm, into_busy] = load.into();
    let [calm, busy] = evidence.sides();
    let mut next = [advance(&mixed(state, into_calm), link, &calm), advance(&mixed(state, into_busy), link, &busy)];
    for (track, first) in next.iter_mut().zip(evidence.first()) {
        let [typed, ..] = &mut track.typing;
        *typed += restart * first;
    }
    normalised(next)
}

fn advance(from: &Track, link: &Link, side: &Side) -> Track {
    let mut to = Track::NONE;
    let Track { typing, held } = &mut to;
    let (mut typed, mut first_repeat, mut released) = (0.0, 0.0, 0.0);
    for (slots, (weight, chance)) in from.typing.iter().zip(&link.typing).enumerate() {
        let weight = weight * chance.goes_on;
        let key = weight * chance.key * side.key;
        typed += key * (1.0 - chance.held);
        first_repeat += key * chance.held;
        if let Some(to) = typing.get_mut((slots + link.gap).min(SLOTS - 1)) {
            *to += weight * (1.0 - chance.key) * side.chaff;
        }
    }
    let classes = from.held.iter().zip(held).zip(side.repeat.iter().zip(&side.class));
    for ((from, to), (fits, class)) in classes {
        let mut repeated = 0.0;
        for (phase, (weight, chance)) in from.iter().zip(&link.repeat).enumerate() {
            repeated += weight * chance * side.key * fits;
            released += weight * LET_GO * side.chaff;
            let later = (phase + link.gap).min(SLOTS - 1);
            if let Some(to) = to.get_mut(later).or_else(|| typing.get_mut(later)) {
                *to += weight * (1.0 - chance) * side.chaff;
            }
        }
        let [just, ..] = to;
        *just += repeated * HELD_ON + first_repeat * class;
        typed += repeated * (1.0 - HELD_ON);
    }
    let [just, next, ..] = typing;
    *just += typed;
    *next += released;
    to
}

/// How well what follows fits, by the state before a message: the other way round than [`advance`]. And how much of that is
/// owed to a key.
fn retreat(to: &Track, link: &Link, side: &Side) -> (Track, [f32; SLOTS]) {
    let (mut from, mut keys) = (Track::NONE, [0.0; SLOTS]);
    let [typed, released, ..] = to.typing;
    let first_repeat: f32 = to.held.iter().zip(&side.class).map(|([just, ..], class)| just * class).sum();
    let last = to.typing.last().copied().unwrap_or_default();
    for (slots, (weight, (key, chance))) in from.typing.iter_mut().zip(keys.iter_mut().zip(&link.typing)).enumerate() {
        *key = chance.goes_on * chance.key * side.key * ((1.0 - chance.held) * typed + chance.held * first_repeat);
        let later = to.typing.get(slots + link.gap).unwrap_or(&last);
        *weight = *key + chance.goes_on * (1.0 - chance.key) * side.chaff * later;
    }
    for ((from, to_held), fits) in from.held.iter_mut().zip(&to.held).zip(&side.repeat) {
        let [just, ..] = to_held;
        let repeated = side.key * fits * (HELD_ON * just + (1.0 - HELD_ON) * typed);
        for (phase, (weight, chance)) in from.iter_mut().zip(&link.repeat).enumerate() {
            let later = phase + link.gap;
            let later = to_held.get(later).or_else(|| to.typing.get(later)).unwrap_or(&last);
            *weight = chance * repeated + (1.0 - chance) * side.chaff * later + LET_GO * side.chaff * released;
        }
    }
    (from, keys)
}

/// The chance of each of these in one slot; they add up to one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chances {
    /// A key, on a calm server and on a busy one.
    pub(super) key: [f32; 2],
    /// Chaff.
    pub(super) chaff: [f32; 2],
    /// A key that repeats a held one; part of `key`.
    pub(super) repeat: f32,
}

impl Chances {
    /// Of a key.
    pub(super) fn of_a_key(&self) -> f64 {
        let [calm, busy] = self.key;
        f64::from(calm) + f64::from(busy)
    }

    fn of(forward: &State, backward: &State) -> Self {
        let mut chances = Self::default();
        let places = chances.key.iter_mut().zip(&mut chances.chaff);
        let mut total = 0.0;
        for ((key, chaff), (forward, backward)) in places.zip(forward.iter().zip(backward)) {
            let ((typed, _), repeated) = (forward.just(), forward.held.iter().zip(&backward.held));
            let repeated: f32 = repeated.map(|([forward, ..], [backward, ..])| forward * backward).sum();
            let [weight, ..] = backward.typing;
            *key = typed * weight + repeated;
            chances.repeat += repeated;
            let all = forward.dot(backward);
            *chaff = (all - *key).max(0.0);
            total += all;
        }
        let total = if total > 0.0 { total } else { 1.0 };
        chances.repeat /= total;
        chances.key.iter_mut().chain(&mut chances.chaff).for_each(|chance| *chance /= total);
        chances
    }
}

/// What forward and backward together say of a stretch.
#[derive(Debug)]
pub(super) struct Smoothed {
    /// One for each slot.
    pub(super) chances: Vec<Chances>,
    /// The state behind each slot, from what went before alone.
    pub(super) states: Vec<State>,
    pub(super) expected: Expected,
}

/// What is expected to have happened.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// How often the server went from calm or busy (rows) to calm or busy.
    pub(super) moves: [[f64; 2]; 2],
    /// Keys, by the slots since the key before.
    pub(super) keys_after: Vec<f64>,
}

impl Default for Expected {
    fn default() -> Self {
        Self { moves: [[0.0; 2]; 2], keys_after: vec![0.0; SLOTS] }
    }
}

/// Goes over a stretch. Without a state to start from, its first message is the first key of all.
pub(super) fn smooth(start: Option<&State>, stretch: &[Evidence], pace: &Pace, load: Load) -> Smoothed {
    let next_slot = pace.link(1);
    let links: Vec<Option<Link>> = stretch.iter().map(|evidence| (evidence.gap > 1).then(|| pace.link(evidence.gap))).collect();
    let mut states: Vec<State> = Vec::with_capacity(stretch.len());
    for (evidence, link) in stretch.iter().zip(&links) {
        let state =
            states.last().or(start).map(|state| forward(state, link.as_ref().unwrap_or(&next_slot), evidence, load, pace));
        states.push(state.unwrap_or_else(beginning));
    }
    let mut smoothed = Smoothed { chances: Vec::with_capacity(states.len()), states, expected: Expected::default() };
    let mut backward = [Track::ANY, Track::ANY];
    for (at, (evidence, link)) in stretch.iter().zip(&links).enumerate().rev() {
        let Some(state) = smoothed.states.get(at) else { break };
        smoothed.chances.push(Chances::of(state, &backward));
        let before = at.checked_sub(1).and_then(|before| smoothed.states.get(before)).or(start);
        let Some(before) = before else { break };
        let link = link.as_ref().unwrap_or(&next_slot);
        let step = Step { link, evidence, load, pace };
        backward = step.back(before, &backward, &mut smoothed.expected);
    }
    smoothed.chances.reverse();
    smoothed
}

/// From one message to the next.
struct Step<'a> {
    link: &'a Link,
    evidence: &'a Evidence,
    load: Load,
    pace: &'a Pace,
}

impl Step<'_> {
    /// How well everything behind the message before fits, from the same behind this one. Adds what is expected here.
    fn back(&self, before: &State, behind: &State, expected: &mut Expected) -> State {
        let Self { link, evidence, load, pace } = *self;
        let [calm, busy] = evidence.sides();
        let [behind_calm, behind_busy] = behind;
        let (calm, busy) = (retreat(behind_calm, link, &calm), retreat(behind_busy, link, &busy));
        let first: f32 = evidence.first().iter().zip(behind).map(|(first, Track { typing: [just, ..], .. })| first * just).sum();
        let restart = if evidence.pause { first } else { 0.0 };

        let mut now = [[0.0_f32; 2]; 2];
        for ((from, state), from_row) in [0, 1].into_iter().zip(before).zip(&mut now) {
            for ((fits, _), (into, now)) in [&calm, &busy].into_iter().zip(load.into().iter().zip(from_row)) {
                *now = state.dot(fits) * into.get::<usize>(from).copied().unwrap_or_default();
            }
        }
        let total = now.iter().flatten().sum::<f32>() + restart * ended(before, pace);
        if total > 0.0 {
            let sums = expected.moves.iter_mut().flatten().zip(now.iter().flatten());
            sums.for_each(|(sum, now)| *sum += f64::from(now / total));
            for ((_, keys), into) in [&calm, &busy].into_iter().zip(load.into()) {
                let from = mixed(before, into);
                for (slots, (weight, key)) in from.typing.iter().zip(keys).enumerate() {
                    if let Some(sum) = expected.keys_after.get_mut((slots + link.gap).min(SLOTS - 1)) {
                        *sum += f64::from(weight * key / total);
                    }
                }
            }
        }
        let [[calm_calm, busy_calm], [calm_busy, busy_busy]] = load.into();
        let fits = [calm.0, busy.0];
        let mut out = [mixed(&fits, [calm_calm, calm_busy]), mixed(&fits, [busy_calm, busy_busy])];
        for track in &mut out {
            track.typing.iter_mut().zip(&pace.ends).for_each(|(weight, ends)| *weight += ends * restart);
        }
        normalised_back(out)
    }
}

/// Only ratios matter backwards.
fn normalised_back(mut state: State) -> State {
    let most = state.iter().flat_map(Track::weights).fold(0.0_f32, |most, weight| most.max(*weight));
    if most > 0.0 && most.is_finite() {
        state.iter_mut().flat_map(Track::weights_mut).for_each(|weight| *weight /= most);
        state
    } else {
        [Track::ANY, Track::ANY]
    }
}
