//! Keys of protocols that show them on their way down and on their way up (VNC, RDP): presses, releases, repeats, intervals and
//! hold times.
//!
//! Where the protocol says which way a key went, only repeats have to be told from presses, by their rhythm. Where down and up
//! look alike, the rhythm tells. Which key it is, nobody knows here: a release belongs to the press
//! that is down longest, unless nobody holds a key that long and another fits far better (a modifier, a press whose release was
//! not seen).
//! An event waits for the server's answer and for what follows, a second at most; then it is decided, in order, once.

mod chances;
mod learned;
mod quiet;
mod rhythm;

use std::collections::VecDeque;

use self::{
    learned::ANSWER,
    quiet::QuietRun,
    rhythm::{Happening, Meaning, Rhythm},
};
use super::{
    estimate::Distribution,
    keystroke::{KeyClass, Keystroke, KeystrokeKind, KeystrokeSummary, LONGEST_INTERVAL, Method, cadence},
};
use crate::{
    cue::{Doubtful, KeyAction, KeyEvent, Output},
    flow::Side,
    time::{Span, Timestamp},
};

/// How long an event waits for its answer, and for the stories to agree.
const HORIZON: Span = Span::from_millis(1_000);

/// Events that wait, at most; the oldest are decided early beyond that.
const MAX_WAITING: usize = 256;

/// Keys that are down at once: a press beyond that forgets the oldest.
const MAX_DOWN: usize = 8;

/// How many times likelier a younger press has to be for a release to be its own.
const FAR_BETTER: f64 = 50.0;

/// Longest hold that is reported: beyond that the release was missed.
const LONGEST_HOLD: Span = Span::from_secs(60);

/// See the [module's documentation](self).
#[derive(Debug, Default)]
pub struct Keys {
    /// Events that are not decided, in order. The first `told` of them the rhythm knows.
    waiting: VecDeque<Waiting>,
    told: usize,
    rhythm: Rhythm,
    /// When the keys that are down were pressed, the oldest first.
    down: VecDeque<Timestamp>,
    last_key: Option<(Timestamp, Option<Span>)>,
    quiet: QuietRun,
    summary: KeystrokeSummary,
    releases: u64,
    confidence_sum: f64,
    intervals: Distribution,
    fast_intervals: u64,
    holds: Distribution,
    /// The client holds back presses, so that holds are not told.
    held_back: bool,
    /// The server shows something on this connection.
    shows: bool,
    echoes: Distribution,
}

/// An event that is not decided.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    event: KeyEvent,
    /// Its place in time: never before the one before it, as where something was sent again.
    time: Timestamp,
    /// From it to the first output that acknowledges it.
    answer: Option<Span>,
}

impl Keys {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Self>()
        + (MAX_WAITING + 1).next_power_of_two() * size_of::<Waiting>()
        + rhythm::MOST_BYTES
        + 3 * Distribution::MOST_BYTES
        + quiet::MOST_BYTES;

    /// A key, or what may be one.
    pub fn on_key(&mut self, event: KeyEvent, out: &mut Vec<Keystroke>) {
        self.on_deadline(event.time, out);
        let latest = self.waiting.back().map_or(event.time, |last| last.time.max(event.time));
        self.waiting.push_back(Waiting { event, time: latest, answer: None });
        if self.waiting.len() > MAX_WAITING {
            self.tell_next();
            self.decide(true, out);
        }
    }

    /// The client was seen to hold back presses.
    pub const fn on_held_back(&mut self) {
        self.held_back = true;
    }

    /// The server showed something.
    pub fn on_output(&mut self, output: Output, out: &mut Vec<Keystroke>) {
        self.shows = true;
        self.on_deadline(output.time, out);
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.answer.is_none()) {
            let reached = output.acked.is_none_or(|acked| acked.since(waiting.event.end) >= 0);
            let after = output.time - waiting.event.time;
            if reached && !after.is_negative() {
                waiting.answer = Some(after);
            }
        }
        while self.decide(false, out) {}
    }

    /// Bytes of one side were not captured: which keys are down is not known any more.
    pub fn on_lost(&mut self, side: Side, out: &mut Vec<Keystroke>) {
        if side == Side::Client {
            self.decide_all(out);
            self.rhythm.forget_keys();
            self.down.clear();
            self.last_key = None;
        }
    }

    /// When [`Self::on_deadline`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let tell = self.waiting.get(self.told).map(|next| next.time + ANSWER);
        let decide = self.rhythm.undecided_since().map(|first| first + HORIZON);
        match (tell, decide) {
            (Some(tell), Some(decide)) => Some(tell.min(decide)),
            (one, other) => one.or(other),
        }
    }

    /// Decides whatever has waited long enough by `now`.
    pub fn on_deadline(&mut self, now: Timestamp, out: &mut Vec<Keystroke>) {
        while self.next_deadline().is_some_and(|deadline| deadline <= now) {
            let tell = self.waiting.get(self.told).map(|next| next.time + ANSWER);
            let decide = self.rhythm.undecided_since().map(|first| first + HORIZON);
            if decide.is_some_and(|decide| tell.is_none_or(|tell| decide <= tell)) {
                self.decide(true, out);
            } else {
                self.tell_next();
            }
            while self.decide(false, out) {}
        }
    }

    /// The session is over: decides everything.
    pub fn finish(&mut self, out: &mut Vec<Keystroke>) {
        self.decide_all(out);
    }

    /// What was decided so far.
    #[must_use]
    pub fn summary(&self) -> KeystrokeSummary {
        let interval = self.intervals.quantiles();
        let (origin, origin_reason) = cadence::origin(interval.as_ref(), self.fast_intervals, None);
        KeystrokeSummary {
            releases: Some(self.releases),
            reliability: (self.summary.count > 0).then(|| self.confidence_sum / self.summary.count as f64),
            interval,
            hold: if self.held_back { None } else { self.holds.quantiles() },
            echo: self.echoes.quantiles(),
            origin,
            origin_reason,
            ..self.summary
        }
    }

    fn decide_all(&mut self, out: &mut Vec<Keystroke>) {
        while self.told < self.waiting.len() {
            self.tell_next();
            while self.decide(false, out) {}
        }
        while self.decide(true, out) {}
        self.end_quiet_run(out);
    }

    /// Tells the rhythm of the next event: its answer has come, or comes no more.
    fn tell_next(&mut self) {
        if let Some(next) = self.waiting.get(self.told) {
            let answer = next.answer.filter(|answer| *answer < ANSWER);
            self.rhythm.push(Happening { time: next.time, action: next.event.action, answer });
            self.told += 1;
        }
    }

    /// Decides the first event, where it can be or has to be.
    fn decide(&mut self, anyway: bool, out: &mut Vec<Keystroke>) -> bool {
        let waits = self.waiting.front().is_none_or(|first| first.answer.is_none());
        if waits && !anyway && !self.rhythm.is_full() {
            return false;
        }
        let Some((meaning, sure)) = self.rhythm.decide(anyway) else { return false };
        let Some(first) = self.waiting.pop_front() else { return false };
        self.told = self.told.saturating_sub(1);
        match meaning {
            Meaning::Press | Meaning::Repeat => self.on_down(&first, meaning, sure, out),
            Meaning::Release => self.on_up(&first, sure, out),
            Meaning::Other => {}
        }
        true
    }

    fn on_down(&mut self, key: &Waiting, meaning: Meaning, sure: f64, out: &mut Vec<Keystroke>) {
        let interval = self.last_key.map(|(time, by_client)| {
            by_client.zip(key.event.sent).map_or(key.event.time - time, |(earlier, later)| later - earlier)
        });
        let interval = interval.filter(|interval| !interval.is_negative());
        self.last_key = Some((key.event.time, key.event.sent));
        let kind = if meaning == Meaning::Press { KeystrokeKind::Press } else { KeystrokeKind::Repeat };
        if meaning == Meaning::Press {
            self.summary.presses += 1;
            if self.down.len() >= MAX_DOWN {
                self.down.pop_front();
            }
            self.down.push_back(key.event.time);
        } else {
            self.summary.repeats += 1;
        }
        match key.answer {
            Some(echo) => self.echoes.record(echo),
            None => self.summary.silent += 1,
        }
        self.push(key, kind, interval, key.answer, sure, out);
    }

    fn on_up(&mut self, key: &Waiting, sure: f64, out: &mut Vec<Keystroke>) {
        self.releases += 1;
        if let Some(held) = self.take_pressed(key.event.time) {
            self.holds.record(held);
        }
        self.push(key, KeystrokeKind::Release, None, None, sure, out);
    }

    /// How long the key was held that goes up now.
    fn take_pressed(&mut self, now: Timestamp) -> Option<Span> {
        self.down.retain(|pressed| now - *pressed <= LONGEST_HOLD);
        let fit = |pressed: &Timestamp| chances::hold(now - *pressed);
        let best = self.down.iter().map(fit).fold(0.0, f64::max);
        let oldest = self.down.iter().position(|pressed| fit(pressed) >= best / FAR_BETTER)?;
        self.down.remove(oldest).map(|pressed| now - pressed)
    }

    fn push(
        &mut self,
        key: &Waiting,
        kind: KeystrokeKind,
        interval: Option<Span>,
        echo: Option<Span>,
        sure: f64,
        out: &mut Vec<Keystroke>,
    ) {
        let (method, confidence) = method(key.event.action, sure);
        let index = self.summary.count;
        self.summary.count += 1;
        self.confidence_sum += confidence;
        self.summary.method = method;
        let keystroke = Keystroke {
            time: key.event.time,
            index,
            kind,
            class: KeyClass::Unknown,
            bytes: key.event.bytes,
            interval,
            echo,
            method,
            confidence,
            hidden: false,
        };
        let mut quiet = std::mem::take(&mut self.quiet);
        quiet.push(keystroke, &mut |keystroke| self.emit(keystroke, out));
        self.quiet = quiet;
    }

    fn end_quiet_run(&mut self, out: &mut Vec<Keystroke>) {
        let mut quiet = std::mem::take(&mut self.quiet);
        quiet.end(&mut |keystroke| self.emit(keystroke, out));
    }

    /// Hands a keystroke on; the intervals of hidden ones are not kept, unless all are, for want of anything that could answer them.
    fn emit(&mut self, keystroke: Keystroke, out: &mut Vec<Keystroke>) {
        let interval = keystroke.interval.filter(|interval| *interval <= LONGEST_INTERVAL && !(keystroke.hidden && self.shows));
        if let (KeystrokeKind::Press, Some(interval)) = (keystroke.kind, interval) {
            self.intervals.record(interval);
            self.fast_intervals += u64::from(interval < cadence::FAST);
        }
        out.push(keystroke);
    }
}

/// What an event rests on, and the chance that it is what it is said to be.
fn method(action: KeyAction, sure: f64) -> (Method, f64) {
    match action {
        KeyAction::Down | KeyAction::Up => (Method::Message, 0.99),
        KeyAction::Either(Doubtful::Nothing) => (Method::RecordSize, 0.98 * sure),
        KeyAction::Either(Doubtful::Pointer) => (Method::RecordParity, 0.95 * sure),
    }
}

#[cfg(test)]
mod tests;
