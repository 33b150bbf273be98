//! What keys and chaff look like on one connection: learned from it, starting from what is known of all.

use super::{
    chain::{CLASSES, Chances, Evidence, Expected, Load, Smoothed},
    density::{self, Density, Detour, broad, chaff_at_first, fit_chaff, middles, with_stalls},
    pace::Typist,
    seen::{Client, Seen},
    tick::Answer,
};

/// Shares of each [`Answer`], in its order, before anything was learned.
type Shares = [f64; Answer::COUNT];
const CHAFF_CALM: Shares = [0.985, 0.003, 0.0005, 0.002, 0.002, 0.002, 0.001, 0.002];
const CHAFF_BUSY: Shares = [0.80, 0.02, 0.002, 0.02, 0.02, 0.02, 0.08, 0.038];
const KEY_CALM: Shares = [0.66, 0.06, 0.12, 0.12, 0.005, 0.03, 0.002, 0.003];
const KEY_BUSY: Shares = [0.5, 0.06, 0.1, 0.12, 0.01, 0.05, 0.1, 0.06];
/// Output that nobody typed for comes in runs: so much more likely behind other output.
const RUNS: f64 = 6.0;
/// Messages that this weighs.
const CHAFF_WEIGHS: f64 = 60.0;
const KEY_WEIGHS: f64 = 30.0;

/// A busy server's answers to chaff, on the scale of [`density`], and answers that this weighs.
const BUSY_MEAN: f64 = 2.0;
const BUSY_DEVIATION: f64 = 1.2;
const BUSY_WEIGHS: f64 = 10.0;
const LEAST_BUSY_DEVIATION: f64 = 0.6;
/// How often a server becomes busy, and calm, a slot; and how many slots that weighs.
const LOAD: Load = Load { becomes_busy: 0.03, becomes_calm: 0.35 };
const CALM_WEIGHS: f64 = 100.0;
const BUSY_SLOTS_WEIGH: f64 = 20.0;

/// Answers slower than this, as a logarithm of the ratio, were held up.
const HELD_UP: f64 = 1.2;
/// An echo waits for three programs to be scheduled (sshd, the shell, sshd again), chaff for one.
const WAITS: f64 = 3.0;
/// The least and the most that keys on a calm server are held up.
const HELD_UP_LEAST: f64 = 0.02;
const HELD_UP_MOST: f64 = 0.5;

/// How much likelier a repeat is answered as its key was than not.
const SAME_ANSWER: f64 = 0.9;
/// A letter is held so much more seldom than what erases or moves, for each time it is pressed: people hold Backspace and the arrows. A
/// server that is a little slower for a while looks like a letter that is held.
const HELD_LETTER: f32 = 0.1;
/// Keys that are longer than a letter.
const LONGER_KEYS: f64 = 0.05;
/// A turnaround that says nothing.
const NO_TURNAROUND: f64 = 0.03;

/// See the [module's documentation](self).
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Logarithm of what chaff takes, in milliseconds.
    usual: f64,
    /// The width of the faster half of the answers to chaff.
    left: f64,
    chaff: [Density; 2],
    keys: [Density; 2],
    detour: Detour,
    shares: Split<[Shares; 2]>,
    pub(super) load: Load,
    pub(super) typist: Typist,
    /// A key shares its slot with chaff (OpenSSH 9.5 to 9.7): one message alone is chaff.
    pub(super) doubled: bool,
}

/// Something for keys and for chaff, each on a calm server and on a busy one.
#[derive(Clone, Debug, Default)]
struct Split<T> {
    key: [T; 2],
    chaff: [T; 2],
}

/// What was expected of the messages so far.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    turnarounds: Split<Density>,
    answers: Split<[Shares; 2]>,
    expected: Expected,
}

impl Default for Sums {
    fn default() -> Self {
        let none = || [vec![0.0; density::BINS], vec![0.0; density::BINS]];
        Self { turnarounds: Split { key: none(), chaff: none() }, answers: Split::default(), expected: Expected::default() }
    }
}

impl Sums {
    /// Forgets a part.
    pub(super) fn fade(&mut self, keep: f64) {
        let Split { key, chaff } = &mut self.turnarounds;
        key.iter_mut().chain(chaff).flatten().for_each(|sum| *sum *= keep);
        let Split { key, chaff } = &mut self.answers;
        key.iter_mut().chain(chaff).flatten().flatten().for_each(|sum| *sum *= keep);
        self.expected.moves.iter_mut().flatten().chain(&mut self.expected.keys_after).for_each(|sum| *sum *= keep);
    }

    /// Adds what a stretch is expected to be.
    pub(super) fn add(&mut self, seen: &[Seen], smoothed: &Smoothed) {
        for (seen, chances) in seen.iter().zip(&smoothed.chances).filter(|(seen, _)| seen.client == Client::One) {
            let Chances { key, chaff, .. } = chances;
            add_to(&mut self.turnarounds.key, &mut self.answers.key, seen, *key);
            add_to(&mut self.turnarounds.chaff, &mut self.answers.chaff, seen, *chaff);
        }
        let (sums, now) = (&mut self.expected, &smoothed.expected);
        sums.moves.iter_mut().flatten().zip(now.moves.iter().flatten()).for_each(|(sum, moves)| *sum += moves);
        sums.keys_after.iter_mut().zip(&now.keys_after).for_each(|(sum, keys)| *sum += keys);
    }
}

fn add_to(turnarounds: &mut [Density; 2], answers: &mut [[Shares; 2]; 2], seen: &Seen, chances: [f32; 2]) {
    for ((turnarounds, answers), chance) in turnarounds.iter_mut().zip(answers).zip(chances.map(f64::from)) {
        if let Some(sum) = seen.turnaround.and_then(|bin| turnarounds.get_mut(bin)) {
            *sum += chance;
        }
        let [quiet, after] = answers;
        let answers = if seen.after_output { after } else { quiet };
        if let Some(sum) = answers.get_mut(seen.answer as usize) {
            *sum += chance;
        }
    }
}

/// What is known of answers before a connection was seen.
fn usual_shares() -> Split<[Shares; 2]> {
    let in_runs = |shares: Shares| {
        let [plain, more, short, long, both, nothing, late, several] = shares;
        let runs = [plain, more * RUNS, short, long * RUNS, both * RUNS, nothing, late, several];
        let sum: f64 = runs.iter().sum();
        [shares, runs.map(|share| share / sum)]
    };
    Split { key: [[KEY_CALM; 2], [KEY_BUSY; 2]], chaff: [in_runs(CHAFF_CALM), in_runs(CHAFF_BUSY)] }
}

impl Model {
    /// Before anything was learned but how long answers take: `usual` as a logarithm of milliseconds, `seen` for their spread.
    pub(super) fn at_first(usual: f64, seen: &[Seen], doubled: bool) -> Self {
        let mut bins: Vec<usize> = seen.iter().filter_map(|seen| seen.turnaround).collect();
        bins.sort_unstable();
        let at = |share: f64| bins.get((bins.len() as f64 * share) as usize).copied().unwrap_or_default();
        let left = (0.1 * (at(0.5) - at(0.16)) as f64).max(0.08);
        let detour = Detour::at_first(usual.exp());
        let mut model = Self {
            usual,
            left,
            chaff: [chaff_at_first(left), broad(BUSY_MEAN, BUSY_DEVIATION)],
            keys: [Vec::new(), Vec::new()],
            detour,
            shares: usual_shares(),
            load: LOAD,
            typist: Typist::default(),
            doubled,
        };
        model.keys = model.keys_held_up(0.1);
        model
    }

    fn keys_held_up(&self, stall: f64) -> [Density; 2] {
        let [calm, busy] = &self.chaff;
        let (calm, busy) = (self.detour.behind(calm), self.detour.behind(busy));
        [with_stalls(&calm, &busy, stall), busy]
    }

    /// Learns from what was expected under what was known before.
    pub(super) fn learn(&mut self, sums: &Sums, slot_ms: f64) {
        self.learn_answers(sums);
        let [calm, busy] = &sums.turnarounds.chaff;
        self.left = faster_half(calm, self.left);
        self.chaff = [fit_chaff(calm, self.left), fit_busy(busy)];
        let [calm_chaff, busy_chaff] = &self.chaff;
        let held_up = middles().zip(calm.iter().zip(busy)).filter(|(x, _)| *x > HELD_UP).map(|(_, (calm, busy))| calm + busy);
        let all: f64 = calm.iter().chain(busy).sum();
        let stall = (HELD_UP_LEAST + WAITS * held_up.sum::<f64>() / (all + 1.0)).min(HELD_UP_MOST);
        let [calm_keys, busy_keys] = &sums.turnarounds.key;
        let at_first = Detour::at_first(self.usual.exp());
        self.detour = Detour::fit(at_first, [calm_keys, busy_keys], calm_chaff, busy_chaff, stall);
        self.keys = self.keys_held_up(stall);
        let [[calm_calm, calm_busy], [busy_calm, busy_busy]] = sums.expected.moves;
        let becomes = |to: f64, stays: f64, usual: f32, weighs: f64| (to + f64::from(usual) * weighs) / (to + stays + weighs);
        self.load = Load {
            becomes_busy: becomes(calm_busy, calm_calm, LOAD.becomes_busy, CALM_WEIGHS) as f32,
            becomes_calm: becomes(busy_calm, busy_busy, LOAD.becomes_calm, BUSY_SLOTS_WEIGH).clamp(0.05, 0.9) as f32,
        };
        self.typist = Typist::fit(&sums.expected.keys_after, slot_ms);
    }

    fn learn_answers(&mut self, sums: &Sums) {
        let usual = usual_shares();
        let learned = |usual: &[[Shares; 2]; 2], sums: &[[Shares; 2]; 2], weighs: f64| {
            let mut out = *usual;
            for (shares, sums) in out.iter_mut().flatten().zip(sums.iter().flatten()) {
                let all = weighs + sums.iter().sum::<f64>();
                shares.iter_mut().zip(sums).for_each(|(share, sum)| *share = (*share * weighs + sum) / all);
            }
            out
        };
        self.shares = Split {
            key: learned(&usual.key, &sums.answers.key, KEY_WEIGHS),
            chaff: learned(&usual.chaff, &sums.answers.chaff, CHAFF_WEIGHS),
        };
    }

    /// How well a message fits a key and chaff.
    pub(super) fn weigh(&self, seen: &Seen) -> Evidence {
        let (key, chaff) = match seen.client {
            Client::One => self.one(seen),
            Client::Longer => ([1.0; 2], [1e-4; 2]),
            Client::Doubtful => ([0.5; 2], [1.0; 2]),
            Client::Several { keys: Some(0), .. } => ([0.02; 2], [1.0; 2]),
            Client::Several { keys: Some(_), .. } => ([1.0; 2], [0.02; 2]),
            Client::Several { count, keys: None } if usize::from(count) > seen.gap => ([1.0; 2], [0.05; 2]),
            Client::Several { .. } => ([1.0; 2], [1.0; 2]),
        };
        let (repeat, class) = self.repeats(seen);
        let single = |pair: [f64; 2]| pair.map(|x| x as f32);
        Evidence { gap: seen.gap, pause: seen.pause, key: single(key), chaff: single(chaff), repeat, class }
    }

    fn one(&self, seen: &Seen) -> ([f64; 2], [f64; 2]) {
        let fits = |shares: &[[Shares; 2]; 2], turnarounds: &[Density; 2]| {
            let mut out = [0.0; 2];
            for ((out, shares), density) in out.iter_mut().zip(shares).zip(turnarounds) {
                let share = share(shares, seen);
                *out = share * seen.turnaround.map_or(NO_TURNAROUND, |bin| density.get(bin).copied().unwrap_or(NO_TURNAROUND));
            }
            out
        };
        let key = fits(&self.shares.key, &self.keys);
        let alone = if self.doubled && !seen.pause { 0.02 } else { 1.0 };
        (key.map(|fit| fit * alone), fits(&self.shares.chaff, &self.chaff))
    }

    /// How much better it fits a repeat, by how the held key was answered; and how this one was, weighed by how often such keys are held.
    fn repeats(&self, seen: &Seen) -> ([[f32; CLASSES]; 2], [f32; CLASSES]) {
        let longer = seen.client == Client::Longer;
        let mut out = [[0.0; CLASSES]; 2];
        for (out, shares) in out.iter_mut().zip(&self.shares.key) {
            let [quiet, after] = shares;
            let [plain, more, short, long, both, ..] = *if seen.after_output { after } else { quiet };
            let other = more + short + long + both;
            *out = match seen.answer {
                _ if longer => [0.02, 0.02, 0.95 / LONGER_KEYS],
                Answer::Plain => [SAME_ANSWER / plain, 0.1 / plain, 0.02],
                Answer::PlainAndMore | Answer::Short | Answer::Long | Answer::Both => [0.06 / other, 0.85 / other, 0.02],
                Answer::Nothing | Answer::Late | Answer::Several => [0.5, 0.5, 0.1],
            }
            .map(|fits| fits as f32);
        }
        let class = match seen.answer {
            _ if longer => [0.0, 0.0, 1.0],
            Answer::Plain => [HELD_LETTER, 0.0, 0.0],
            Answer::PlainAndMore | Answer::Short | Answer::Long | Answer::Both => [0.0, 1.0, 0.0],
            Answer::Nothing | Answer::Late | Answer::Several => [0.6 * HELD_LETTER, 0.25, 0.15],
        };
        (out, class)
    }
}

fn share([quiet, after]: &[Shares; 2], seen: &Seen) -> f64 {
    let shares = if seen.after_output { after } else { quiet };
    shares.get(seen.answer as usize).copied().unwrap_or_default()
}

/// The spread of what is faster than usual: no key is.
fn faster_half(counts: &[f64], before: f64) -> f64 {
    let faster = middles().zip(counts).filter(|(x, _)| *x < 0.0);
    let (count, squares) = faster.fold((0.0, 0.0), |(count, squares), (x, n)| (count + n, squares + n * x * x));
    ((squares + 20.0 * before * before) / (count + 20.0)).sqrt()
}

/// What a busy server's answers take.
fn fit_busy(counts: &[f64]) -> Density {
    let count: f64 = counts.iter().sum();
    let sum: f64 = middles().zip(counts).map(|(x, n)| x * n).sum();
    let mean = (sum + BUSY_WEIGHS * BUSY_MEAN) / (count + BUSY_WEIGHS);
    let squares: f64 = middles().zip(counts).map(|(x, n)| n * (x - mean).powi(2)).sum();
    let variance = (squares + BUSY_WEIGHS * BUSY_DEVIATION.powi(2)) / (count + BUSY_WEIGHS);
    broad(mean, variance.sqrt().max(LEAST_BUSY_DEVIATION))
}
