use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{cue::OutputKind, wire::SeqNumber};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

fn key(ms: i64, action: KeyAction) -> KeyEvent {
    KeyEvent { time: at(ms), end: SeqNumber(0), sent: None, bytes: 27, action }
}

fn output(ms: i64) -> Output {
    Output { time: at(ms), acked: None, bytes: 100, kind: OutputKind::Text }
}

/// What is measured of events; the server answers 9 ms behind each press.
fn measure(events: &[(i64, KeyAction, KeystrokeKind)]) -> (Keys, Vec<Keystroke>) {
    let (mut keys, mut out) = (Keys::default(), Vec::new());
    let mut talk: Vec<(i64, Option<KeyAction>)> = events.iter().map(|(ms, action, _)| (*ms, Some(*action))).collect();
    let answered = events.iter().filter(|(.., kind)| *kind != Release);
    talk.extend(answered.map(|(ms, ..)| (ms + 9, None)));
    talk.sort_by_key(|(ms, _)| *ms);
    for (ms, action) in talk {
        match action {
            Some(action) => keys.on_key(key(ms, action), &mut out),
            None => keys.on_output(output(ms), &mut out),
        }
    }
    keys.finish(&mut out);
    (keys, out)
}

use KeystrokeKind::{Press, Release, Repeat};

/// Somebody types: intervals and holds that differ, some keys before the last one is up.
fn typing(action: impl Fn(KeystrokeKind) -> KeyAction) -> Vec<(i64, KeyAction, KeystrokeKind)> {
    let mut events = Vec::new();
    let mut ms = 1_000;
    for i in 0..60_i64 {
        ms += 90 + (i * 37) % 160;
        events.push((ms, action(Press), Press));
        events.push((ms + 60 + (i * 13) % 55, action(Release), Release));
    }
    events.sort_by_key(|(ms, ..)| *ms);
    events
}

fn exact(kind: KeystrokeKind) -> KeyAction {
    if kind == Release { KeyAction::Up } else { KeyAction::Down }
}

fn kinds(out: &[Keystroke]) -> Vec<KeystrokeKind> {
    out.iter().map(|key| key.kind).collect()
}

fn expected(events: &[(i64, KeyAction, KeystrokeKind)]) -> Vec<KeystrokeKind> {
    events.iter().map(|(.., kind)| *kind).collect()
}

#[test]
fn what_is_in_clear_is_taken_as_it_is() {
    let events = typing(exact);
    let (keys, out) = measure(&events);
    assert_eq!(kinds(&out), expected(&events));
    let summary = keys.summary();
    assert_eq!((summary.count, summary.presses, summary.releases, summary.repeats), (120, 60, Some(60), 0));
    let hold = summary.hold.unwrap();
    assert_eq!((hold.samples, hold.min >= Span::from_millis(60), hold.max < Span::from_millis(115)), (60, true, true));
    assert_eq!(summary.echo.unwrap().p50, Span::from_millis(9));
}

#[test]
fn where_down_and_up_look_alike_the_rhythm_tells() {
    let events = typing(|_| KeyAction::Either(Doubtful::Nothing));
    let (_, out) = measure(&events);
    let wrong = kinds(&out).iter().zip(expected(&events)).filter(|(found, kind)| **found != *kind).count();
    assert!(out.len() == 120 && wrong <= 2, "{wrong} of {} are wrong", out.len());
}

/// A key that is held for so many repeats, 33 ms apart, behind some typing.
fn held(action: impl Fn(KeystrokeKind) -> KeyAction, repeats: i64) -> Vec<(i64, KeyAction, KeystrokeKind)> {
    let mut events = typing(&action);
    let from = 20_000;
    events.push((from, action(Press), Press));
    events.extend((0..repeats).map(|i| (from + 500 + 33 * i + i % 3, action(Repeat), Repeat)));
    events.push((from + 500 + 33 * repeats - 12, action(Release), Release));
    events
}

#[test]
fn a_held_key_is_one_press_and_repeats() {
    for action in [exact as fn(KeystrokeKind) -> KeyAction, |_| KeyAction::Either(Doubtful::Nothing)] {
        let events = held(action, 15);
        let (keys, out) = measure(&events);
        assert_eq!(keys.summary().repeats, 15);
        assert_eq!(kinds(&out)[120..], expected(&events)[120..]);
    }
}

#[test]
fn rollover_is_not_repeating() {
    // Three keys down before the first is up: no keysym is needed to see that none repeats.
    let events = [(0, Press), (60, Press), (110, Press), (140, Release), (180, Release), (230, Release)];
    let events = events.map(|(ms, kind)| (ms, exact(kind), kind));
    let (keys, out) = measure(&events);
    assert_eq!(kinds(&out), expected(&events));
    let hold = keys.summary().hold.unwrap();
    assert_eq!((hold.min, hold.max), (Span::from_millis(120), Span::from_millis(140)), "the oldest press first");
}

/// On a busy machine repeats come up to half a period early or late; they are still those of one key.
#[test]
fn shaken_repeats_are_those_of_one_key() {
    let pointer = KeyAction::Either(Doubtful::Pointer);
    let mut events = typing(|_| pointer);
    events.push((30_000, pointer, Press));
    let late = [7, 27, 8, 16, 9, 9, 22, 17, 19, 12, 18, 5, 19, 0, 8, 19];
    events.extend(late.iter().enumerate().map(|(i, late)| (30_660 + 40 * i as i64 + late, pointer, Repeat)));
    events.push((30_660 + 40 * late.len() as i64, pointer, Release));
    let (_, out) = measure(&events);
    let wrong = kinds(&out).iter().zip(expected(&events)).skip(120).filter(|(found, kind)| **found != *kind).count();
    assert!(wrong <= 1, "{wrong} of {} are wrong", late.len() + 2);
}

#[test]
fn a_moving_pointer_is_not_typing() {
    let pointer = KeyAction::Either(Doubtful::Pointer);
    let mut events = typing(|_| pointer);
    events.extend((0..60).map(|i| (30_000 + 17 * i, pointer, Release)));
    let (_, out) = measure(&events);
    let later = out.iter().filter(|key| key.time >= at(30_000)).count();
    assert!(later <= 2, "{later} of 60 moves were taken for keys");
}

/// More than the rhythm holds, and none of it answered.
#[test]
fn a_burst_that_nothing_answers_is_decided_too() {
    let (mut keys, mut out) = (Keys::default(), Vec::new());
    for i in 0..150 {
        keys.on_key(key(6 * i, KeyAction::Either(Doubtful::Nothing)), &mut out);
    }
    keys.finish(&mut out);
    assert_eq!(keys.next_deadline(), None);
    assert!(out.len() <= 150, "{}", out.len());
}

#[test]
fn a_gap_forgets_which_keys_are_down() {
    let (mut keys, mut out) = (Keys::default(), Vec::new());
    keys.on_key(key(0, KeyAction::Down), &mut out);
    keys.on_lost(Side::Client, &mut out);
    keys.on_key(key(5_000, KeyAction::Up), &mut out);
    keys.finish(&mut out);
    assert_eq!(kinds(&out), [Press, Release]);
    assert_eq!(keys.summary().hold, None);
}

#[test]
fn keys_that_nothing_answers_are_hidden_where_they_are_many() {
    let quiet = |presses: i64| {
        let (mut keys, mut out) = (Keys::default(), Vec::new());
        let mut typed = |ms: i64, answered: bool| {
            keys.on_key(key(ms, KeyAction::Down), &mut out);
            keys.on_key(key(ms + 80, KeyAction::Up), &mut out);
            if answered {
                keys.on_output(output(ms + 300), &mut out);
            }
        };
        typed(0, true);
        (1..=presses).for_each(|i| typed(i * 5_000, false));
        typed(100_000, true);
        keys.finish(&mut out);
        let hidden = out.iter().filter(|key| key.hidden).count();
        let in_order = out.iter().enumerate().all(|(i, key)| key.index == i as u64);
        (hidden, in_order, keys.summary().silent)
    };
    assert_eq!(quiet(3), (0, true, 3));
    assert_eq!(quiet(4), (8, true, 4), "the releases too");
    assert_eq!(quiet(9), (18, true, 9));
}

#[test]
fn everything_is_decided_once_and_in_order_and_in_time() {
    let (mut keys, mut out) = (Keys::default(), Vec::new());
    for (ms, action, _) in typing(|_| KeyAction::Either(Doubtful::Nothing)) {
        keys.on_key(key(ms, action), &mut out);
        assert!(keys.next_deadline().is_some_and(|deadline| deadline > at(ms) && deadline <= at(ms) + HORIZON));
    }
    keys.on_deadline(Timestamp::MAX, &mut out);
    assert_eq!((out.len(), keys.next_deadline()), (120, None));
    assert!(out.iter().enumerate().all(|(i, key)| key.index == i as u64));
}

proptest! {
    #[test]
    fn whatever_comes_little_is_kept(events in vec((0_i64..400, 0_u8..6), 0..300)) {
        let (mut keys, mut out) = (Keys::default(), Vec::new());
        let (mut ms, mut shown) = (0, 0);
        for (step, what) in events {
            ms += step - 40; // also backwards
            match what {
                0 => keys.on_output(output(ms), &mut out),
                1 => keys.on_lost(Side::Client, &mut out),
                2 => keys.on_key(key(ms, KeyAction::Down), &mut out),
                3 => keys.on_key(key(ms, KeyAction::Up), &mut out),
                4 => keys.on_key(key(ms, KeyAction::Either(Doubtful::Nothing)), &mut out),
                _ => keys.on_key(key(ms, KeyAction::Either(Doubtful::Pointer)), &mut out),
            }
            prop_assert!(keys.waiting.len() <= MAX_WAITING && keys.down.len() <= MAX_DOWN);
            shown = out.len();
        }
        keys.finish(&mut out);
        prop_assert!(out.len() >= shown && keys.waiting.is_empty());
        prop_assert!(out.iter().all(|key| (0.0..=1.0).contains(&key.confidence)));
    }
}
