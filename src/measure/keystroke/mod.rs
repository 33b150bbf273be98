//! Keystrokes, from what a protocol takes for input and output.
//!
//! A key is held back for one second. By then it has been echoed or it has not, what follows shows whether it was
//! repeated by a held key, and a hidden rhythm has shown itself; then it is decided, in order, once. Times are those at
//! which the message passed the sensor, so an interval carries the jitter of the path from the client.
//!
//! What makes a message a keystroke depends on what is known of the session: with a terminal open, every message of a
//! key's size that nothing else explains; with the terminal unknown, only those that the server echoed. Without a terminal
//! there are none. Where bytes were not captured, nothing is timed across the gap: neither an interval nor an echo.

mod behind;
pub(super) mod cadence;
mod chaff;
mod message;
mod obfuscated;
mod repeat;
mod silence;
mod words;

use std::collections::VecDeque;

use self::{
    behind::Behind,
    chaff::ChaffDetector,
    message::{Answer, Message, confidence},
    obfuscated::{Kind, Recovered, Recovery},
    repeat::Holds,
    silence::{Ended, SilentRun},
};
pub use self::{
    behind::{EchoLevel, EchoLevels, LEAST_LEG},
    cadence::InputOrigin,
    words::{KeyClass, Keystroke, KeystrokeKind, KeystrokeSummary, Method},
};
use super::estimate::{Distribution, RunningMedian};
use crate::{
    cue::{Input, InputKind, Output, OutputKind, Terminal},
    flow::{PerSide, Side},
    time::{Span, Timestamp},
};

/// How long a key waits for its echo and for what follows. Longer than the shortest stretch of chaff that OpenSSH sends
/// (1,024 ms) less the interval, so that no chaff is decided before it is recognised; echoes later than
/// this are called silent.
const HOLD: Span = Span::from_millis(1_000);

/// Messages that wait at most; the oldest is decided early beyond that. Enough for the ten seconds in which a hidden
/// rhythm has to show, at 50 messages a second.
const MAX_WAITING: usize = 1_024;

/// How long after a key its output is added up, to tell a paste from keys and Enter from a letter.
const ANSWER_WINDOW: Span = Span::from_millis(300);

/// Two keys this far apart are echoed apart by any server that is not stalled; the younger one's echo is not the older's.
const LEAST_APART: Span = Span::from_millis(100);

/// What a client sends this shortly before it closes the connection is not typed.
const FAREWELL: Span = Span::from_millis(50);

/// A pause that is no interval between keys: the next key begins anew. Only for statistics.
pub(super) const LONGEST_INTERVAL: Span = Span::from_secs(60);

/// See the [module's documentation](self).
#[derive(Debug, Default)]
pub struct Keystrokes {
    terminal: Terminal,
    chaff: ChaffDetector,
    /// Where keystrokes are hidden, or may be.
    hidden: Option<Box<Recovery>>,
    waiting: VecDeque<Message>,
    /// When the first of these was sent: asked for at every packet.
    waiting_since: Option<Timestamp>,
    holds: Holds,
    silent_run: SilentRun,
    last_key: Option<Sent>,
    last_paste: Option<Timestamp>,
    last_output: Option<Timestamp>,
    /// The server has written more than echoes since the last input.
    text_shown: bool,
    /// Bytes were lost in front of a side's next message.
    lost: PerSide<bool>,
    confidence_sum: f64,
    counts: Counts,
    intervals: Distribution,
    fast_intervals: u64,
    paste_intervals: Distribution,
    echoes: RunningMedian,
    responses: Distribution,
    /// From the first key on.
    behind: Option<Box<Behind>>,
}

/// Keystrokes by kind; see [`KeystrokeSummary`].
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    count: u64,
    presses: u64,
    repeats: u64,
    pastes: u64,
    silent: u64,
}

/// When a key was sent: at the sensor, and by the client's own clock where that is known.
#[derive(Clone, Copy, Debug)]
struct Sent {
    time: Timestamp,
    by_client: Option<Span>,
}

impl Keystrokes {
    /// Memory that it takes at most beside itself, in bytes: what waits for an answer, and the distributions.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize =
        (MAX_WAITING + 1).next_power_of_two() * size_of::<Message>() + 5 * Distribution::MOST_BYTES + Behind::MOST_BYTES;

    /// What became known of the terminal.
    pub fn on_terminal(&mut self, terminal: Terminal) {
        self.terminal = terminal;
    }

    /// Both programs can hide keystrokes. Where the server is not near, no key is looked for among chaff.
    pub fn on_can_obfuscate(&mut self, doubled: bool, near: bool) {
        self.chaff.expect();
        self.hidden = near.then(|| Box::new(Recovery::new(doubled)));
    }

    /// Bytes of one side were not captured.
    pub fn on_lost(&mut self, side: Side) {
        *self.lost.get_mut(side) = true;
        self.behind.iter_mut().for_each(|behind| behind.lose_step());
        if let Some(hidden) = &mut self.hidden {
            hidden.on_lost(side);
        }
    }

    /// `Some(true)` where keystrokes are hidden among chaff, `Some(false)` where they are not, `None` where it cannot be told.
    #[must_use]
    pub const fn obfuscated(&self) -> Option<bool> {
        self.chaff.verdict()
    }

    /// When [`Self::on_deadline`] has something to decide.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.chaff.verdict() == Some(true) {
            return self.hidden.as_ref().and_then(|hidden| hidden.next_deadline());
        }
        let first = self.waiting_since? + HOLD;
        Some(self.chaff.undecided_until().map_or(first, |until| first.max(until)))
    }

    /// A message of the client. `rtt` is the smallest client-side round trip, where known.
    pub fn on_input(&mut self, input: Input, rtt: Option<Span>, out: &mut Vec<Keystroke>) {
        self.on_deadline(input.time, out);
        let behind_gap = std::mem::take(&mut self.lost.client);
        self.on_hidden(out, |hidden, found| hidden.on_input(&input, found));
        if self.chaff.push(&input) {
            // Everything that waits, and all that was counted, is chaff for the most part.
            self.waiting.clear();
            self.waiting_since = None;
            self.silent_run.clear();
            return;
        }
        if self.chaff.verdict() == Some(true) {
            return;
        }
        self.behind.get_or_insert_default().on_input(input.time);
        let on_the_second = match (self.last_output, rtt) {
            (Some(output), Some(rtt)) => is_whole_seconds(input.time - output - rtt, rtt),
            _ => false,
        };
        // Where input had to wait for what was missing before it, its echo has gone by.
        let answer = if self.last_output.is_some_and(|output| output > input.time) { Answer::Lost } else { Answer::None };
        let shown = self.last_output.filter(|_| std::mem::take(&mut self.text_shown));
        let response = shown.map(|shown| input.time - shown).filter(|response| !response.is_negative());
        self.waiting_since.get_or_insert(input.time);
        self.waiting.push_back(Message { input, answer, output_bytes: 0, on_the_second, behind_gap, response });
        if self.waiting.len() > MAX_WAITING {
            self.decide_first(out);
        }
    }

    /// A message of the server.
    pub fn on_output(&mut self, output: Output, out: &mut Vec<Keystroke>) {
        self.on_deadline(output.time, out);
        self.on_hidden(out, |hidden, found| hidden.on_output(&output, found));
        if let Some(behind) = &mut self.behind {
            behind.on_output(output.time, output.kind);
        }
        self.last_output = Some(output.time);
        self.text_shown |= output.kind == OutputKind::Text;
        let behind_gap = std::mem::take(&mut self.lost.server);
        let reached = |input: &Input| output.acked.is_none_or(|acked| acked.since(input.end) >= 0);
        let apart = self.echoes.median().map_or(LEAST_APART, |echo| echo.times(4).max(LEAST_APART));
        let youngest = self.waiting.iter().rev().find(|waiting| reached(&waiting.input)).map(|waiting| waiting.input.time);
        let Some(youngest) = youngest else { return };
        for waiting in self.waiting.iter_mut().filter(|waiting| reached(&waiting.input)) {
            if output.time - waiting.input.time <= ANSWER_WINDOW && waiting.input.time == youngest {
                waiting.output_bytes = waiting.output_bytes.saturating_add(output.bytes);
            }
            if waiting.answer == Answer::None {
                waiting.answer = if behind_gap {
                    Answer::Lost
                } else if youngest - waiting.input.time > apart {
                    Answer::Silent
                } else {
                    Answer::Echo { delay: output.time - waiting.input.time, kind: output.kind }
                };
            }
        }
    }

    /// The client has closed the connection. What it sent right before, and nobody answered, was its farewell: end of
    /// file, channel close, disconnect.
    pub fn on_client_gone(&mut self, now: Timestamp) {
        self.waiting.retain(|waiting| waiting.answer != Answer::None || now - waiting.input.time > FAREWELL);
        self.waiting_since = self.waiting.front().map(|first| first.input.time);
    }

    /// What the client has sent since then was an exchange of keys, but for what was typed right before it.
    pub fn on_rekeyed(&mut self, since: Timestamp) {
        self.waiting.retain(|waiting| waiting.input.time < since || waiting.input.kind != InputKind::Bulk);
        self.waiting_since = self.waiting.front().map(|first| first.input.time);
    }

    /// Decides whatever has waited long enough by `now`.
    pub fn on_deadline(&mut self, now: Timestamp, out: &mut Vec<Keystroke>) {
        if self.chaff.verdict() == Some(true) {
            return self.on_hidden(out, |hidden, found| hidden.on_deadline(now, found));
        }
        while self.next_deadline().is_some_and(|deadline| now >= deadline) {
            self.chaff.decide(now);
            self.decide_first(out);
        }
        if self.chaff.verdict() == Some(false) {
            self.hidden = None;
        }
    }

    /// Tells what watches for keys among chaff, and takes over what it found.
    fn on_hidden(&mut self, out: &mut Vec<Keystroke>, tell: impl FnOnce(&mut Recovery, &mut Vec<Recovered>)) {
        let Some(hidden) = &mut self.hidden else { return };
        let mut found = Vec::new();
        tell(hidden, &mut found);
        if self.chaff.verdict() == Some(true) && self.terminal != Terminal::Absent {
            found.into_iter().for_each(|found| self.take_recovered(found, out));
        }
    }

    fn take_recovered(&mut self, found: Recovered, out: &mut Vec<Keystroke>) {
        let sent = Sent { time: found.time, by_client: found.sent };
        for nth in 0..found.count {
            let interval = if nth > 0 || found.behind_gap { None } else { self.since_last_key(sent) };
            self.push(
                Keystroke {
                    time: found.time,
                    index: 0,
                    kind: if found.repeats { KeystrokeKind::Repeat } else { KeystrokeKind::Press },
                    class: match found.kind {
                        Kind::Letter => KeyClass::Char,
                        Kind::Edit => KeyClass::Edit,
                        Kind::Sequence => KeyClass::Navigation,
                        Kind::Command => KeyClass::Control,
                        Kind::Unknown => KeyClass::Unknown,
                    },
                    bytes: found.bytes,
                    interval,
                    echo: found.echo,
                    method: Method::SlotAndAnswer,
                    confidence: found.confidence,
                    hidden: false,
                },
                out,
            );
        }
        self.last_key = Some(sent);
    }

    /// The session is over: decides everything.
    pub fn finish(&mut self, out: &mut Vec<Keystroke>) {
        while !self.waiting.is_empty() {
            self.decide_first(out);
        }
        if self.chaff.verdict() == Some(true) {
            self.on_hidden(out, Recovery::finish);
        }
        self.end_silent_run(out);
    }

    /// What was decided so far; `None` where chaff hid keys that nobody looked for among it.
    #[must_use]
    pub fn summary(&self) -> Option<KeystrokeSummary> {
        if self.chaff.verdict() == Some(true) && self.hidden.is_none() {
            return None; // the chaff was found when it had been ruled out: what was counted before may be chaff
        }
        let step = self.hidden.as_ref().filter(|_| self.chaff.verdict() == Some(true)).map(|hidden| hidden.slot());
        let reliability = (self.counts.count > 0).then(|| self.confidence_sum / self.counts.count as f64);
        let interval = self.intervals.quantiles();
        let (origin, origin_reason) = match step {
            Some(_) => (InputOrigin::Unknown, cadence::AMONG_CHAFF),
            None => cadence::origin(interval.as_ref(), self.fast_intervals, self.paste_intervals.quantiles().as_ref()),
        };
        let Counts { count, presses, repeats, pastes, silent } = self.counts;
        Some(KeystrokeSummary {
            count,
            presses,
            releases: None,
            repeats,
            pastes,
            silent,
            reliability,
            interval,
            hold: None,
            echo: self.echoes.samples().quantiles(),
            response: self.responses.quantiles(),
            method: if step.is_some() { Method::SlotAndAnswer } else { Method::SizeAndEcho },
            origin,
            origin_reason,
            step: step.flatten(),
            levels: self.behind.as_ref().filter(|_| step.is_none()).and_then(|behind| behind.levels()),
            pongs: self.hidden.as_ref().filter(|_| step.is_some()).and_then(|hidden| hidden.pongs()),
        })
    }

    fn decide_first(&mut self, out: &mut Vec<Keystroke>) {
        let Some(first) = self.waiting.pop_front() else { return };
        self.waiting_since = self.waiting.front().map(|first| first.input.time);
        let beat = first.beat();
        let repeats = match self.terminal {
            Terminal::Open => self.holds.repeats_in(beat, self.waiting.iter().map(Message::beat)),
            _ => 0,
        };
        let decided = if repeats > 0 { Some((KeystrokeKind::Repeat, repeats)) } else { first.judge(self.terminal) };
        let Some((kind, count)) = decided else {
            // It may have been a key all the same: what follows has no interval.
            if first.answer == Answer::Lost {
                self.last_key = None;
            }
            return;
        };
        self.holds.remember(beat, kind == KeystrokeKind::Repeat);
        let echo = match first.answer {
            Answer::Echo { delay, .. } => Some(delay),
            _ => None,
        };
        let sent = Sent { time: first.input.time, by_client: first.input.sent };
        for nth in 0..count {
            let interval = if nth > 0 || first.behind_gap { None } else { self.since_last_key(sent) };
            self.push(
                Keystroke {
                    time: first.input.time,
                    index: 0,
                    kind,
                    class: first.class(),
                    bytes: first.input.bytes,
                    interval,
                    echo,
                    method: if echo.is_some() { Method::SizeAndEcho } else { Method::Size },
                    confidence: confidence(self.terminal, echo.is_some(), count),
                    hidden: false,
                },
                out,
            );
        }
        self.last_key = Some(sent);
        match kind {
            KeystrokeKind::Press => first.response.into_iter().for_each(|response| self.responses.record(response)),
            KeystrokeKind::Repeat | KeystrokeKind::Release => {}
            KeystrokeKind::Paste => {
                let last = self.last_paste.replace(first.input.time);
                last.into_iter().for_each(|last| self.paste_intervals.record(first.input.time - last));
            }
        }
    }

    /// The interval to the key before, by the client's clock where it helps.
    fn since_last_key(&self, sent: Sent) -> Option<Span> {
        let last = self.last_key?;
        let by_client = last.by_client.zip(sent.by_client).map(|(earlier, later)| later - earlier);
        // A key that passed while the one before it was being sent again comes out behind it, and earlier.
        by_client.or(Some(sent.time - last.time)).filter(|since| !since.is_negative())
    }

    /// Counts a keystroke and hands it on, unless it may belong to a password.
    fn push(&mut self, mut keystroke: Keystroke, out: &mut Vec<Keystroke>) {
        keystroke.index = self.counts.count;
        self.counts.count += 1;
        match keystroke.kind {
            KeystrokeKind::Press => self.counts.presses += 1,
            KeystrokeKind::Repeat => self.counts.repeats += 1,
            KeystrokeKind::Paste => self.counts.pastes += 1,
            KeystrokeKind::Release => {}
        }
        self.confidence_sum += keystroke.confidence;
        if let Some(echo) = keystroke.echo {
            self.echoes.record(echo);
        } else {
            self.counts.silent += 1;
        }
        if keystroke.echo.is_none() && keystroke.kind == KeystrokeKind::Press && keystroke.class == KeyClass::Unknown {
            self.silent_run.push(keystroke, out);
            return;
        }
        // The interval to what ends a hidden run would time the run's last key.
        if self.end_silent_run(out) {
            keystroke.interval = None;
        }
        self.emit(keystroke, out);
    }

    /// The run of silent keys ends here. True where it was hidden.
    fn end_silent_run(&mut self, out: &mut Vec<Keystroke>) -> bool {
        match self.silent_run.end(out) {
            Ended::Hidden => true,
            Ended::Plain(keys) => {
                keys.into_iter().for_each(|keystroke| self.emit(keystroke, out));
                false
            }
        }
    }

    fn emit(&mut self, keystroke: Keystroke, out: &mut Vec<Keystroke>) {
        if let (KeystrokeKind::Press, Some(interval)) = (keystroke.kind, keystroke.interval.filter(|i| *i <= LONGEST_INTERVAL)) {
            self.intervals.record(interval);
            self.fast_intervals += u64::from(interval < cadence::FAST);
        }
        out.push(keystroke);
    }
}

/// Whether `silence` is a whole number of seconds, as near as the path's jitter lets it be told.
fn is_whole_seconds(silence: Span, rtt: Span) -> bool {
    let second = Span::from_secs(1).as_nanos();
    let tolerance = Span::from_millis(10).as_nanos() + rtt.as_nanos() / 20;
    let beyond = silence.as_nanos().rem_euclid(second);
    silence.as_nanos() > second / 2 && (beyond <= tolerance || second - beyond <= tolerance)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
