//! How people type, and how long OpenSSH keeps up the chaff: what is known of a slot before its answer is looked at.

/// Slots that are counted since the last key: 3.07 s of chaff at the default interval, and what jitter adds.
pub(super) const SLOTS: usize = 160;
/// Slots that one gap between two messages spans at most; longer ones count as that.
pub(super) const LONGEST_GAP: usize = 200;

/// The chaff ends this long after the last key, in milliseconds: `SSH_KEYSTROKE_CHAFF_MIN_MS`, and up to
/// `SSH_KEYSTROKE_CHAFF_RNG_MS` more (`clientloop.c`).
const CHAFF_LEAST: f64 = 1_024.0;
const CHAFF_SPREAD: f64 = 2_047.0;
/// What a slot may be late.
const CHAFF_SLACK: f64 = 40.0;
/// The chance, a slot, that the chaff ends for another reason: the session does, keys are exchanged anew.
const ENDS_EARLY: f64 = 1e-5;

/// The share of intervals between a person's keys that are longer than so many milliseconds: 42,659 intervals of free
/// text and of shell commands by many people. Linear in between.
const LONGER_THAN: [(f64, f64); 28] = [
    (0.0, 1.0),
    (20.0, 0.9986),
    (30.0, 0.9965),
    (40.0, 0.9903),
    (50.0, 0.9818),
    (60.0, 0.964),
    (70.0, 0.9397),
    (80.0, 0.9039),
    (90.0, 0.8628),
    (100.0, 0.8236),
    (120.0, 0.7222),
    (140.0, 0.6305),
    (160.0, 0.5265),
    (180.0, 0.4491),
    (200.0, 0.3746),
    (230.0, 0.3062),
    (260.0, 0.2534),
    (300.0, 0.2077),
    (350.0, 0.1709),
    (400.0, 0.1425),
    (500.0, 0.1028),
    (600.0, 0.0761),
    (800.0, 0.0447),
    (1_000.0, 0.0266),
    (1_300.0, 0.0128),
    (1_700.0, 0.0055),
    (2_300.0, 0.0023),
    (3_100.0, 0.0008),
];
/// Reading and thinking, which those texts lack: as likely to end at any time up to this.
const LONGEST_THOUGHT: f64 = 3_500.0;

/// A held key repeats after 250 to 660 ms on all common systems, and then each 25 to 50 ms.
const HOLD_DELAY: std::ops::Range<f64> = 180.0..720.0;
/// The chance that a key that follows another in that time is the first repeat of a held one.
const IS_HELD: f64 = 0.015;
/// The chance that a repeat comes in the next slot, in the one after, and so on, for repeats 33 ms apart.
const REPEATS_IN: [f64; PHASES] = [0.4, 0.9, 0.97, 0.97];
/// Slots that are counted since the last repeat.
pub(super) const PHASES: usize = 4;

/// What a typist's pace is scaled by, and how much thinking is in it: learned from the session within these.
pub(super) const SCALES: [f64; 8] = [0.6, 0.75, 0.9, 1.0, 1.15, 1.35, 1.6, 1.9];
pub(super) const THOUGHTS: [f64; 5] = [0.015, 0.04, 0.08, 0.15, 0.25];
/// How sure it is before anything was seen that somebody types like everybody.
const SCALE_SPREAD: f64 = 0.35;
const THOUGHT_MEDIAN: f64 = 0.04;
const THOUGHT_SPREAD: f64 = 0.8;
/// Keys that this prior knowledge weighs.
const PRIOR_KEYS: f64 = 4.0;

/// How somebody types.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Typist {
    /// Intervals are so much longer than everybody's.
    pub(super) scale: f64,
    /// Share of intervals that are thinking.
    pub(super) thought: f64,
}

impl Default for Typist {
    fn default() -> Self {
        Self { scale: 1.0, thought: 0.03 }
    }
}

impl Typist {
    /// The typist whose intervals these are: expected keys by the slots since the key before.
    pub(super) fn fit(keys: &[f64], slot_ms: f64) -> Self {
        let all = SCALES.into_iter().flat_map(|scale| THOUGHTS.into_iter().map(move |thought| Self { scale, thought }));
        let likely = |typist: &Self| {
            let longer: Vec<f64> = (0..=SLOTS).map(|slots| typist.longer_than(slots as f64 * slot_ms)).collect();
            let steps = longer.iter().zip(longer.iter().skip(1)).map(|(from, to)| (from - to).max(1e-9).ln());
            let fits: f64 = keys.iter().skip(1).zip(steps).map(|(count, ln)| count * ln).sum();
            let prior = |x: f64, spread: f64| (x.ln() / spread).powi(2) / 2.0 * PRIOR_KEYS;
            fits - prior(typist.scale, SCALE_SPREAD) - prior(typist.thought / THOUGHT_MEDIAN, THOUGHT_SPREAD)
        };
        all.map(|typist| (likely(&typist), typist)).max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(Self::default, |best| best.1)
    }

    /// The chance that the next key takes longer.
    fn longer_than(self, ms: f64) -> f64 {
        let thinking = (1.0 - ms / LONGEST_THOUGHT).max(0.0);
        ((1.0 - self.thought) * typing_longer_than(ms / self.scale) + self.thought * thinking).max(1e-9)
    }
}

fn typing_longer_than(ms: f64) -> f64 {
    let between = LONGER_THAN.iter().zip(LONGER_THAN.iter().skip(1)).find(|(_, (to, _))| ms < *to);
    between.map_or(1e-6, |((from, left), (to, right))| left + (right - left) * (ms - from) / (to - from))
}

/// What may happen from one message to the next, by the slots since the last key.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Slots from one to the next.
    pub(super) gap: usize,
    pub(super) typing: Vec<Chance>,
    /// The chance of a repeat, by the slots since the last one.
    pub(super) repeat: [f32; PHASES],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Chance {
    /// Of a key.
    pub(super) key: f32,
    /// That the chaff has not ended.
    pub(super) goes_on: f32,
    /// That a key, if there is one, repeats a held one.
    pub(super) held: f32,
}

/// The above for one typist and one interval of chaff.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    slot_ms: f64,
    longer: Vec<f64>,
    goes_on: Vec<f64>,
    /// The chance that the chaff ends behind this slot.
    pub(super) ends: Vec<f32>,
}

impl Pace {
    pub(super) fn new(typist: Typist, slot_ms: f64) -> Self {
        let slots = 0..SLOTS + LONGEST_GAP;
        let ms = |slots: usize| slots as f64 * slot_ms;
        let goes_on = |slots: usize| ((CHAFF_LEAST + CHAFF_SPREAD + CHAFF_SLACK - ms(slots)) / CHAFF_SPREAD).clamp(1e-6, 1.0);
        let ends = |slots: usize| {
            let may_end = CHAFF_LEAST - 2.0 * slot_ms..CHAFF_LEAST + CHAFF_SPREAD + 3.0 * slot_ms;
            if may_end.contains(&ms(slots)) { (slot_ms / CHAFF_SPREAD) as f32 } else { ENDS_EARLY as f32 }
        };
        Self {
            slot_ms,
            longer: slots.clone().map(|slots| typist.longer_than(ms(slots))).collect(),
            goes_on: slots.map(goes_on).collect(),
            ends: (0..SLOTS).map(ends).collect(),
        }
    }

    /// From a message to the next one, `gap` slots later.
    pub(super) fn link(&self, gap: usize) -> Link {
        let gap = gap.clamp(1, LONGEST_GAP);
        let key = self.longer.iter().zip(self.longer.iter().skip(gap)).map(|(now, then)| 1.0 - then / now);
        let goes_on = self.goes_on.iter().zip(self.goes_on.iter().skip(gap)).map(|(now, then)| then / now);
        let chances = key.zip(goes_on).take(SLOTS).enumerate().map(|(slots, (key, goes_on))| Chance {
            key: key as f32,
            goes_on: goes_on as f32,
            held: if HOLD_DELAY.contains(&((slots + gap) as f64 * self.slot_ms)) { IS_HELD as f32 } else { 0.0 },
        });
        let mut repeat = [0.0; PHASES];
        for (phase, chance) in repeat.iter_mut().enumerate() {
            *chance = *REPEATS_IN.get(phase + gap - 1).unwrap_or(&0.97) as f32;
        }
        Link { gap, typing: chances.collect(), repeat }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slower_typist_is_recognised() {
        let count = |scale: f64| {
            let typist = Typist { scale, thought: 0.04 };
            let longer = |slots: usize| typist.longer_than(slots as f64 * 20.0);
            (0..SLOTS)
                .map(|slots| if slots == 0 { 0.0 } else { 1_000.0 * (longer(slots - 1) - longer(slots)) })
                .collect::<Vec<_>>()
        };
        for scale in SCALES {
            assert_eq!(Typist::fit(&count(scale), 20.0).scale, scale);
        }
        assert_eq!(Typist::fit(&[0.0; SLOTS], 20.0).scale, 1.0, "nobody types like everybody");
    }

    #[test]
    fn chances_are_chances_at_any_interval() {
        for slot_ms in [1.0, 20.0, 80.0, 1_000.0] {
            let pace = Pace::new(Typist::default(), slot_ms);
            for gap in [0, 1, 2, 7, 1_000] {
                let link = pace.link(gap);
                assert_eq!(link.typing.len(), SLOTS);
                let within =
                    |chance: &Chance| [chance.key, chance.goes_on, chance.held].iter().all(|chance| (0.0..=1.0).contains(chance));
                assert!(link.typing.iter().all(within), "{slot_ms} ms, {gap} slots");
            }
        }
    }
}
