//! What the terminal answers by itself: a program that starts (vim, tmux, fish) asks the terminal what it is and where its
//! cursor stands, and the emulator replies, nobody typing. The question goes through every nested session to the
//! emulator in front of the person, and so does the answer: it crosses legs that no handshake at the sensor does.
//!
//! Recognised by structure and rhythm: a key, then a screen of output, then a message longer than a key sends without any
//! key between (but for escape sequences as short as arrows). What it is taken for never depends on particular lengths. The
//! answer often makes the program ask again at once: that is a further round.
//!
//! Which piece of the output asked cannot be seen. So each answer has several delays, one for each piece that it may be an
//! answer to, and the delay that counts is the shortest that most answers have in common. A mouse, a paste or a script
//! looks like an answer too, and has no delay in common with others.

use smallvec::SmallVec;

use serde::{Deserialize, Serialize};

use crate::{
    cue::{Input, InputKind, Output, OutputKind},
    time::{Span, Timestamp},
};

/// Output after which a terminal may have been asked something, in bytes on the wire: a screen's beginning, no echo.
const SCREEN: u32 = 200;

/// What one answer is made of passes within this time.
const ONE_ANSWER: Span = Span::from_millis(5);

/// Pieces of output nearer together than this are one.
const ONE_WRITE: Span = Span::from_micros(500);

/// The longest delay that is believed to be a path's.
const LONGEST: Span = Span::from_secs(1);

/// Answers in a row, at most: a program that starts asks two or three times, a mouse goes on.
const MAX_ROUNDS: u8 = 4;

/// Pieces of output that are remembered.
const MAX_OUTPUTS: usize = 32;

/// Answers that are kept.
const MAX_ANSWERS: usize = 32;

/// Answers that have to have a delay in common, and how many of them right behind a key.
const AGREEING: usize = 3;
const AGREEING_FIRST: usize = 2;

/// Share of all answers that have it, in per cent, at least.
const MOST_OF_THEM: usize = 66;

/// What a terminal emulator takes to answer, at most (xterm: 2 to 18 ms).
pub const TERMINAL_WORK: Span = Span::from_millis(18);

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalAnswer {
    /// Right behind a key's output, and not behind what another answer brought.
    pub first: bool,
    /// Since each piece of output that it can be an answer to, the shortest first.
    pub delays: SmallVec<[Span; 4]>,
}

/// What is reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSummary {
    /// The first 32 answers.
    pub answers: Vec<TerminalAnswer>,
    /// Messages that came where a first answer could, and too late for one.
    pub late: u64,
}

/// The delay that answers have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommonDelay {
    /// The shortest of those that agree: no shorter delay explains the answers.
    pub shortest: Span,
    /// The first quartile of those that agree: stalls only add, and what is shown between question and answer may take away.
    pub typical: Span,
    /// Those that agree, in order.
    pub delays: Vec<Span>,
}

impl TerminalSummary {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.late == 0
    }

    /// The shortest delay, `least` at least, that two thirds of the answers have in common, and of what came where a
    /// first one could: give or take what a terminal takes and a tenth. `None` where there is none, or too few have it.
    #[must_use]
    pub fn common_delay(&self, least: Span) -> Option<CommonDelay> {
        let mut candidates: Vec<Span> = self.answers.iter().flat_map(|answer| answer.delays.iter().copied()).collect();
        candidates.retain(|delay| *delay >= least);
        candidates.sort_unstable();
        candidates.dedup();
        candidates.into_iter().find_map(|shortest| self.agreeing(shortest, least))
    }

    fn agreeing(&self, shortest: Span, least: Span) -> Option<CommonDelay> {
        let longest = shortest + TERMINAL_WORK + Span::from_nanos((shortest - least).as_nanos() / 10);
        let within = |answer: &TerminalAnswer| answer.delays.iter().copied().find(|delay| (shortest..=longest).contains(delay));
        let mut delays: Vec<Span> = self.answers.iter().filter_map(within).collect();
        let chances =
            self.answers.iter().filter(|answer| answer.first).count() + usize::try_from(self.late).unwrap_or(usize::MAX);
        let first = self.answers.iter().filter(|answer| answer.first && within(answer).is_some()).count();
        let agree = delays.len() >= AGREEING
            && delays.len() * 100 >= self.answers.len() * MOST_OF_THEM
            && first >= AGREEING_FIRST
            && first.saturating_mul(3) >= chances.saturating_mul(2);
        delays.sort_unstable();
        let typical = *delays.get(delays.len() / 4)?;
        agree.then_some(CommonDelay { shortest, typical, delays })
    }
}

/// See the [module's documentation](self).
#[derive(Clone, Debug, Default)]
pub(super) struct TerminalAnswers {
    /// The client's message that goes on, or was last.
    flight: Option<Flight>,
    /// What the one before it was.
    before: Kind,
    /// Since the last key: when the server showed more than an echo, and how much.
    shown: Vec<Shown>,
    summary: TerminalSummary,
}

/// A piece of output.
#[derive(Clone, Copy, Debug)]
struct Shown {
    time: Timestamp,
    bytes: u32,
}

/// Long messages of the client that were sent together.
#[derive(Clone, Debug)]
struct Flight {
    start: Timestamp,
    last: Timestamp,
    delays: SmallVec<[Span; 4]>,
}

/// What a message of the client was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    Key,
    /// An answer, and how many there were in a row.
    Answer(u8),
}

impl TerminalAnswers {
    pub(super) fn on_output(&mut self, output: &Output) {
        if output.kind != OutputKind::Text {
            return;
        }
        let mut bytes = output.bytes;
        if let Some(last) = self.shown.pop_if(|last| output.time - last.time < ONE_WRITE) {
            bytes = bytes.saturating_add(last.bytes);
        }
        if self.shown.len() >= MAX_OUTPUTS {
            self.shown.remove(0);
        }
        self.shown.push(Shown { time: output.time, bytes });
    }

    /// A message of the client; `tcp` is the smallest round trip of its TCP: nothing is an answer sooner.
    pub(super) fn on_input(&mut self, input: &Input, tcp: Option<Span>) {
        let long = matches!(input.kind, InputKind::Bulk | InputKind::KeysOrBulk(_));
        if let Some(flight) = self.flight.as_mut().filter(|flight| input.time - flight.last <= ONE_ANSWER) {
            flight.last = input.time;
            return;
        }
        if input.kind == InputKind::Sequence {
            return; // an arrow key, or the place of the cursor, which is asked for among the rest
        }
        self.settle();
        if !long {
            self.before = Kind::Key;
            self.shown.clear();
            return;
        }
        let possible = tcp.unwrap_or(Span::ZERO)..=LONGEST;
        let delays =
            self.shown.iter().rev().map(|shown| input.time - shown.time).filter(|delay| possible.contains(delay)).collect();
        self.flight = Some(Flight { start: input.time, last: input.time, delays });
    }

    pub(super) fn on_lost(&mut self) {
        self.settle();
        self.before = Kind::Unknown;
        self.shown.clear();
    }

    pub(super) fn summary(&self) -> TerminalSummary {
        let mut settled = self.clone();
        settled.settle();
        settled.summary
    }

    /// The message is complete: what it was.
    fn settle(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        let before = self.shown.iter().take_while(|shown| shown.time < flight.start);
        let screen = before.map(|shown| shown.bytes).fold(0, u32::saturating_add) >= SCREEN;
        let rounds = match (self.before, flight.delays.is_empty()) {
            (Kind::Key, false) if screen => 1,
            (Kind::Answer(rounds), false) if rounds < MAX_ROUNDS => rounds + 1,
            (before, empty) => {
                self.summary.late += u64::from(before == Kind::Key && empty && screen);
                self.before = Kind::Unknown;
                return;
            }
        };
        self.before = Kind::Answer(rounds);
        if self.summary.answers.len() < MAX_ANSWERS {
            self.summary.answers.push(TerminalAnswer { first: rounds == 1, delays: flight.delays });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cue::{DataRange, Doubt},
        wire::SeqNumber,
    };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn input(kind: InputKind, ms: i64) -> Input {
        let data = DataRange { least: 1, most: 2 };
        Input { time: at(ms), sent: None, end: SeqNumber(0), bytes: 36, data, kind, doubt: Doubt::None }
    }

    fn output(kind: OutputKind, bytes: u32, ms: i64) -> Output {
        Output { time: at(ms), acked: None, bytes, kind }
    }

    /// An editor starts at `start`; its terminal is `rtt` away.
    fn start(answers: &mut TerminalAnswers, start: i64, rtt: i64) {
        let tcp = Some(Span::from_millis(12));
        answers.on_input(&input(InputKind::Char, start), tcp);
        answers.on_output(&output(OutputKind::Text, 1448, start + 80));
        answers.on_output(&output(OutputKind::Text, 900, start + 81));
        answers.on_input(&input(InputKind::Sequence, start + 81 + rtt), tcp);
        answers.on_input(&input(InputKind::Bulk, start + 81 + rtt), tcp);
        answers.on_output(&output(OutputKind::Text, 140, start + 82 + rtt));
        answers.on_input(&input(InputKind::Bulk, start + 82 + 2 * rtt), tcp);
    }

    #[test]
    fn a_program_that_starts_is_answered_twice() {
        let mut answers = TerminalAnswers::default();
        start(&mut answers, 0, 192);
        start(&mut answers, 5_000, 193);
        let summary = answers.summary();
        assert_eq!(summary.answers.iter().map(|answer| answer.first).collect::<Vec<_>>(), [true, false, true, false]);
        let common = summary.common_delay(Span::from_millis(12)).unwrap();
        assert_eq!(common.delays, [192, 192, 193, 193].map(Span::from_millis));
    }

    #[test]
    fn keys_echoes_and_what_comes_late_are_no_answers() {
        let mut answers = TerminalAnswers::default();
        for ms in (0..20_000).step_by(200) {
            answers.on_input(&input(InputKind::Char, ms), None);
            answers.on_output(&output(OutputKind::Echo, 36, ms + 1));
        }
        answers.on_input(&input(InputKind::Bulk, 20_100), None);
        assert!(answers.summary().is_empty(), "a paste at the prompt");
        answers.on_input(&input(InputKind::Char, 21_000), None);
        answers.on_output(&output(OutputKind::Text, 1448, 21_001));
        answers.on_input(&input(InputKind::Bulk, 24_000), None);
        assert_eq!((answers.summary().answers.len(), answers.summary().late), (0, 1), "a click");
    }

    #[test]
    fn what_is_shown_between_question_and_answer_misleads_nobody() {
        let mut answers = TerminalAnswers::default();
        let tcp = Some(Span::from_millis(12));
        for (i, late) in [5, 30, 60, 95].into_iter().enumerate() {
            let from = i as i64 * 5_000;
            answers.on_input(&input(InputKind::Char, from), tcp);
            answers.on_output(&output(OutputKind::Text, 1448, from + 80));
            answers.on_output(&output(OutputKind::Text, 1448, from + 80 + late));
            answers.on_input(&input(InputKind::Bulk, from + 192), tcp);
        }
        let common = answers.summary().common_delay(Span::from_millis(12)).unwrap();
        assert_eq!(common.shortest, Span::from_millis(107));
        assert_eq!(common.typical, Span::from_millis(112), "of 107, 112, 112, 112");
    }

    #[test]
    fn people_have_no_delay_in_common() {
        let mut answers = TerminalAnswers::default();
        let tcp = Some(Span::from_millis(12));
        for (i, reaction) in [420, 510, 790, 350, 940, 610].into_iter().enumerate() {
            let from = i as i64 * 5_000;
            answers.on_input(&input(InputKind::Char, from), tcp);
            answers.on_output(&output(OutputKind::Text, 1448, from + 80));
            // A click, what it brings, and the button let go; then the wheel.
            let mut at = from + 80 + reaction;
            for later in [0, 80, 60, 60, 60, 60] {
                at += later;
                answers.on_input(&input(InputKind::Bulk, at), tcp);
                answers.on_output(&output(OutputKind::Text, 300, at + 1));
            }
        }
        assert!(answers.summary().answers.len() > 10);
        assert_eq!(answers.summary().common_delay(Span::from_millis(12)), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut answers = TerminalAnswers::default();
        for i in 0..500 {
            start(&mut answers, i * 5_000, 100 + i % 7);
        }
        for ms in 0..100 {
            answers.on_output(&output(OutputKind::Text, 1448, 3_000_000 + ms));
        }
        assert!(answers.summary.answers.len() <= MAX_ANSWERS && answers.shown.len() <= MAX_OUTPUTS);
    }
}
