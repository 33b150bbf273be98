use super::*;
use crate::{
    cue::{DataRange, Doubt, OutputKind},
    wire::SeqNumber,
};

/// A client that sends something each 20 ms, and a server whose answers take their time.
struct Comb {
    recovery: Recovery,
    found: Vec<Recovered>,
    micros: i64,
    seq: u32,
    random: u64,
}

/// What a slot carries.
#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Chaff,
    /// A key whose echo takes so much longer than the answer to chaff, in microseconds.
    Key(i64),
    /// A key that is not echoed.
    Silent,
    /// Chaff and a key (OpenSSH 9.5 to 9.7).
    Both,
}

impl Comb {
    fn new(doubled: bool) -> Self {
        Self { recovery: Recovery::new(doubled), found: Vec::new(), micros: 0, seq: 0, random: 1 }
    }

    /// Below `most`.
    fn random(&mut self, most: i64) -> i64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as i64 % most
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.micros * 1_000)
    }

    fn input(&mut self, kind: InputKind, bytes: u32) {
        self.seq = self.seq.wrapping_add(bytes);
        let (end, data) = (SeqNumber(self.seq), DataRange { least: 1, most: 2 });
        let input = Input { time: self.now(), sent: None, end, bytes: 36, data, kind, doubt: Doubt::None };
        self.recovery.on_input(&input, &mut self.found);
    }

    fn output(&mut self, later: i64, bytes: u32) {
        let time = self.now() + Span::from_micros(later);
        let kind = if bytes == 36 { OutputKind::Echo } else { OutputKind::Text };
        let output = Output { time, acked: Some(SeqNumber(self.seq)), bytes, kind };
        self.recovery.on_output(&output, &mut self.found);
    }

    fn slot(&mut self, slot: Slot) {
        self.micros += 18_500 + self.random(3_000);
        let answer = 150 + self.random(60);
        match slot {
            Slot::Both => self.input(InputKind::Keys(2), 72),
            _ => self.input(InputKind::Char, 36),
        }
        match slot {
            Slot::Chaff => self.output(answer, 36),
            Slot::Key(longer) => self.output(answer + longer, 36),
            Slot::Silent => {}
            Slot::Both => {
                self.output(answer, 36);
                self.output(answer + 250, 36);
            }
        }
    }

    /// Somebody types `keys` keys, five to sixteen slots apart, and then nothing until the chaff ends. The times of the keys.
    fn burst(&mut self, keys: usize, mut key: impl FnMut(usize) -> Slot) -> Vec<Timestamp> {
        let mut times = Vec::new();
        self.micros += 5_000_000;
        for nth in 0..keys {
            self.slot(key(nth));
            times.push(self.now());
            let pause = 4 + self.random(12);
            (0..pause).for_each(|_| self.slot(Slot::Chaff));
        }
        let tail = 52 + self.random(90);
        (0..tail).for_each(|_| self.slot(Slot::Chaff));
        times
    }

    fn finish(mut self) -> Vec<Recovered> {
        self.recovery.finish(&mut self.found);
        self.found
    }
}

/// The share of reports that are keys, and of keys that are reported.
fn compare(found: &[Recovered], keys: &[Timestamp]) -> (f64, f64) {
    let hits = found.iter().filter(|found| keys.contains(&found.time)).count() as f64;
    (hits / found.len().max(1) as f64, hits / keys.len().max(1) as f64)
}

#[test]
fn keys_are_found_by_echoes_that_take_longer() {
    let mut comb = Comb::new(false);
    let keys: Vec<_> = (0..6).flat_map(|_| comb.burst(30, |nth| Slot::Key(180 + nth as i64 * 7 % 90))).collect();
    let found = comb.finish();
    let (precision, recall) = compare(&found, &keys);
    assert!(precision > 0.97 && recall > 0.97, "{precision} {recall}");
    assert!(found.iter().all(|found| found.kind == Kind::Letter && found.echo.is_some()));
}

#[test]
fn what_chaff_alone_shows_is_the_key_that_begins_it() {
    let mut comb = Comb::new(false);
    let keys: Vec<_> = (0..10).flat_map(|_| comb.burst(1, |_| Slot::Key(0))).collect();
    let found = comb.finish();
    let sure: Vec<_> = found.iter().filter(|found| found.confidence >= 0.9).map(|found| found.time).collect();
    assert_eq!(sure, keys);
    assert!(found.len() <= keys.len() + 2, "{} of 10", found.len());
}

/// Where echoes take no longer than the answers to chaff, only bursts give keys away: nothing is made up between.
#[test]
fn without_evidence_little_is_named_and_none_of_it_is_sure() {
    let mut comb = Comb::new(false);
    let keys: Vec<_> = (0..6).flat_map(|_| comb.burst(30, |_| Slot::Key(0))).collect();
    let found = comb.finish();
    let sure: Vec<_> = found.iter().copied().filter(|found| found.confidence >= 0.9).collect();
    let (precision, _) = compare(&sure, &keys);
    assert!(precision > 0.95 && sure.len() < 20, "{} sure, {precision} of them right", sure.len());
}

#[test]
fn a_slot_without_an_answer_is_a_key_without_echo() {
    let mut comb = Comb::new(false);
    let keys: Vec<_> = (0..3).flat_map(|_| comb.burst(20, |nth| if nth < 8 { Slot::Key(200) } else { Slot::Silent })).collect();
    let found = comb.finish();
    let (precision, recall) = compare(&found, &keys);
    assert!(precision > 0.95 && recall > 0.95, "{precision} {recall}");
    assert_eq!(found.iter().filter(|found| found.kind == Kind::Unknown && found.echo.is_none()).count(), 36);
}

#[test]
fn chaff_that_is_sent_along_with_keys_gives_them_away() {
    let mut comb = Comb::new(true);
    let keys: Vec<_> = (0..3).flat_map(|_| comb.burst(25, |nth| if nth == 0 { Slot::Key(250) } else { Slot::Both })).collect();
    let (precision, recall) = compare(&comb.finish(), &keys);
    assert_eq!((precision, recall), (1.0, 1.0));
}

/// A relay that waits gathers nine slots in one segment: chaff is answered at once, a key on its own.
#[test]
fn keys_among_gathered_chaff_are_counted_and_not_timed() {
    let mut comb = Comb::new(false);
    for nth in 0..200 {
        comb.micros += 180_000 + comb.random(4_000);
        comb.input(InputKind::KeysOrBulk(9), 9 * 36);
        let keys = i64::from(nth % 3 == 0);
        comb.output(200, 36 * (9 - keys as u32));
        (0..keys).for_each(|_| comb.output(600, 36));
    }
    let found = comb.finish();
    assert!((60..=70).contains(&found.len()), "{} of 67", found.len());
    assert!(found.iter().all(|found| found.confidence < 0.5), "which of nine slots it was is not known");
}

#[test]
fn what_waits_is_bounded_and_is_decided_after_a_minute() {
    let mut comb = Comb::new(false);
    for _ in 0..5 * STRETCH {
        comb.slot(Slot::Chaff);
        assert!(comb.recovery.ticks.len() <= STRETCH);
    }
    let deadline = comb.recovery.next_deadline().unwrap();
    comb.recovery.on_deadline(deadline, &mut comb.found);
    assert_eq!((comb.recovery.ticks.capacity(), comb.recovery.next_deadline()), (0, None));
}

#[test]
fn intervals_do_not_cross_what_was_lost() {
    let mut comb = Comb::new(false);
    let keys = comb.burst(20, |_| Slot::Key(300));
    comb.recovery.on_lost(Side::Client);
    comb.burst(20, |_| Slot::Key(300));
    let found = comb.finish();
    let behind: Vec<_> = found.iter().filter(|found| found.behind_gap).collect();
    assert!(behind.len() == 1 && behind[0].time > keys[19], "{behind:?}");
}
