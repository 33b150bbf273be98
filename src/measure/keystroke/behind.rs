//! Hosts behind the server: a key that an `ssh` inside the session passes on is echoed later, by the round trip behind the
//! server (Yung, RAID 2002), and each further host adds a step.
//!
//! Echoes are matched in order, from one pause to the next: the nth key is answered by the nth message. What they mostly
//! take is the shortest span that holds half of eight; a network's are close together, a busy server's are not.
//! A level counts once two such groups agree that a pause divides: what goes out of step stays so until the next.
//! Held keys do not count, for one that is out of step by a repeat is late by just as much each time. Later by a leg: the session was passed on; earlier: it came back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    cue::OutputKind,
    time::{Span, Timestamp},
};

/// Echoes in a group.
const GROUP: usize = 8;
/// Behind so long a pause, nothing is on its way any more. Echoes that take longer are not matched.
const PAUSE: Span = Span::from_millis(600);
/// Keys closer to the one before are repeats for the most part.
const REPEATS: Span = Span::from_millis(60);
/// Keys on their way at most: more are no typing.
const MOST_WAITING: usize = 24;
/// The shortest leg that is told: shells with much to do at each key take as long as a shorter one.
pub const LEAST_LEG: Span = Span::from_millis(10);
/// How wide half of a group may be: an `ssh` on the way that hides keystrokes holds each back by up to 20 ms.
const WIDEST: Span = Span::from_millis(12);
/// Levels remembered: the server's own and four hosts behind it.
const MOST_LEVELS: usize = 5;

/// How long echoes took for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoLevel {
    /// The shortest that is no accident.
    pub delay: Span,
    /// How much longer they usually took: the error of `delay`.
    pub width: Span,
    /// How many there were.
    pub samples: u64,
}

impl EchoLevel {
    fn of(group: &mut [Span]) -> Option<Self> {
        group.sort_unstable();
        let halves = group.iter().zip(group.iter().skip(GROUP / 2 - 1));
        let (delay, longest) = halves.min_by_key(|(from, to)| **to - **from)?;
        let width = *longest - *delay;
        let tight = width <= WIDEST.max(part(*delay, 4));
        tight.then_some(Self { delay: *delay, width, samples: group.len() as u64 })
    }

    fn is_near(&self, other: &Self) -> bool {
        let tolerance = LEAST_LEG.max(part(self.delay.max(other.delay), 5));
        (self.delay - other.delay).abs() < tolerance
    }

    fn join(&mut self, other: &Self) {
        self.delay = self.delay.min(other.delay);
        self.width = self.width.min(other.width);
        self.samples += other.samples;
    }
}

/// The levels of the longest chain of hosts, from the server on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoLevels {
    levels: [EchoLevel; MOST_LEVELS],
    count: usize,
}

impl EchoLevels {
    /// One for each host, the nearest first.
    pub fn iter(&self) -> impl Iterator<Item = &EchoLevel> {
        self.levels.iter().take(self.count)
    }

    /// The session is at this level now: passed on to it, or back at it.
    fn arrive(&mut self, level: &EchoLevel) {
        while let Some(top) = self.count.checked_sub(1).and_then(|top| self.levels.get_mut(top)) {
            if top.is_near(level) {
                return top.join(level);
            }
            if top.delay < level.delay {
                break;
            }
            self.count -= 1;
        }
        if let Some(next) = self.levels.get_mut(self.count) {
            *next = *level;
            self.count += 1;
        }
    }
}

/// See the [module's documentation](self).
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// Keys that wait for their echo, and whether it counts.
    waiting: VecDeque<(Timestamp, bool)>,
    last_input: Option<Timestamp>,
    /// What answers what is not known before the next pause.
    out_of_step: bool,
    /// Pauses so far.
    pauses: u64,
    group: Vec<Span>,
    /// The last group, and the pauses before it.
    candidate: Option<(EchoLevel, u64)>,
    now: EchoLevels,
    longest: EchoLevels,
}

impl Behind {
    /// Memory that it takes at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize =
        size_of::<Self>() + MOST_WAITING.next_power_of_two() * size_of::<(Timestamp, bool)>() + GROUP * size_of::<Span>();

    /// A message of the client.
    pub(super) fn on_input(&mut self, time: Timestamp) {
        let last = self.last_input.replace(time);
        if last.is_none_or(|last| time - last > PAUSE) {
            self.waiting.clear();
            self.out_of_step = false;
            self.pauses += 1;
        }
        if self.waiting.len() >= MOST_WAITING {
            self.lose_step();
        }
        if !self.out_of_step {
            self.waiting.push_back((time, last.is_none_or(|last| time - last >= REPEATS)));
        }
    }

    /// A message of the server.
    pub(super) fn on_output(&mut self, time: Timestamp, kind: OutputKind) {
        if kind == OutputKind::Status {
            return;
        }
        let Some((key, counts)) = self.waiting.pop_front() else { return };
        let delay = time - key;
        if delay > PAUSE || delay.is_negative() || (kind == OutputKind::Text && !self.waiting.is_empty()) {
            return self.lose_step();
        }
        if kind == OutputKind::Text || !counts {
            return; // a command takes its own time
        }
        self.group.push(delay);
        if self.group.len() >= GROUP {
            let level = EchoLevel::of(&mut self.group);
            self.group.clear();
            self.take(level);
        }
    }

    /// Bytes were lost, or more came than was asked for.
    pub(super) fn lose_step(&mut self) {
        self.waiting.clear();
        self.out_of_step = true;
    }

    fn take(&mut self, level: Option<EchoLevel>) {
        let Some(level) = level else { return };
        let top = self.now.count.checked_sub(1).and_then(|top| self.now.levels.get(top));
        let before = self.candidate.filter(|(before, _)| before.is_near(&level));
        let mut arrived = level;
        match (top.is_some_and(|top| top.is_near(&level)), before) {
            (true, _) => {}
            (false, Some((before, pauses))) if pauses < self.pauses => arrived.join(&before),
            (false, Some(_)) => return,
            (false, None) => {
                self.candidate = Some((level, self.pauses));
                return;
            }
        }
        self.candidate = None;
        self.now.arrive(&arrived);
        if self.now.count >= self.longest.count {
            self.longest = self.now;
        }
    }

    /// What was found so far; `None` before two groups agreed.
    pub(super) fn levels(&self) -> Option<EchoLevels> {
        (self.longest.count > 0).then_some(self.longest)
    }
}

const fn part(span: Span, of: i64) -> Span {
    Span::from_nanos(span.as_nanos() / of)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types keys 130 ms apart, echoed after `delay(n)` milliseconds, with a pause every ten.
    fn type_keys(behind: &mut Behind, from: i64, count: i64, delay: impl Fn(i64) -> i64) -> i64 {
        let start = |n: i64| from + 130 * n + 900 * (n / 10);
        let ms = |ms: i64| Timestamp::from_nanos(ms * 1_000_000);
        let mut events: Vec<_> = (0..count).flat_map(|n| [(start(n), true), (start(n) + delay(n), false)]).collect();
        events.sort_unstable();
        for (time, is_key) in events {
            if is_key {
                behind.on_input(ms(time));
            } else {
                behind.on_output(ms(time), OutputKind::Echo);
            }
        }
        start(count) + 2_000
    }

    fn delays(behind: &Behind) -> Vec<i64> {
        let levels = behind.levels().unwrap_or_default();
        levels.iter().map(|level| level.delay.as_nanos() / 1_000_000).collect()
    }

    #[test]
    fn each_host_adds_a_level_even_where_echoes_overtake_keys() {
        let mut behind = Behind::default();
        let next = type_keys(&mut behind, 0, 40, |_| 1);
        let next = type_keys(&mut behind, next, 40, |n| 41 + n % 3);
        let next = type_keys(&mut behind, next, 40, |n| 221 + n % 3);
        type_keys(&mut behind, next, 40, |_| 1);
        assert_eq!(delays(&behind), [1, 41, 221], "it stays known after the session came back");
    }

    #[test]
    fn two_hosts_one_after_the_other_are_no_chain() {
        let mut behind = Behind::default();
        let mut next = 0;
        for delay in [1, 31, 1, 81, 1] {
            next = type_keys(&mut behind, next, 40, |_| delay);
        }
        assert_eq!(delays(&behind).len(), 2);
    }

    #[test]
    fn a_held_key_that_is_out_of_step_is_no_level() {
        let mut behind = Behind::default();
        let mut next = type_keys(&mut behind, 0, 40, |_| 1);
        let ms = |ms: i64| Timestamp::from_nanos(ms * 1_000_000);
        for _ in 0..4 {
            for n in 0..30 {
                behind.on_input(ms(next + 33 * n));
                if n != 2 {
                    behind.on_output(ms(next + 33 * n + 1), OutputKind::Echo);
                }
            }
            next += 3_000;
        }
        assert_eq!(delays(&behind), [1]);
    }

    #[test]
    fn a_busy_server_is_no_level() {
        let mut behind = Behind::default();
        let next = type_keys(&mut behind, 0, 40, |_| 1);
        type_keys(&mut behind, next, 80, |n| 5 + (n * 37) % 97);
        assert_eq!(delays(&behind), [1]);
    }
}
