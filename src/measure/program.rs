//! Round trips of the client *program*: from a message of the server that a client answers by itself to that answer, at
//! the sensor.
//!
//! Covers sensor → whatever ends the TCP connection → the program → sensor, and the program's own work. Where the
//! program sits behind a relay (SOCKS, a jump host), TCP is answered by the relay and the program is not: the difference is
//! the hidden leg. Busy programs, queues and people only add, so the smallest is the path.
//!
//! Several messages may be asked at once; the answer is held against the last of them that it can be an answer to: whose
//! bytes its segment acknowledges, and that passed at least TCP's round trip ago. That can only make a round trip too small.

use smallvec::SmallVec;

use serde::{Deserialize, Serialize};

use super::{
    estimate::{Distribution, Quantiles},
    pace::Pace,
    terminal::{TerminalAnswers, TerminalSummary},
};
use crate::{
    cue::{Ask, Input, Output, Reply, Step},
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// Messages that wait for an answer, at most; the oldest is forgotten beyond that.
const MAX_ASKED: usize = 8;

/// The smallest answers that are kept.
const LOWEST: usize = 16;

/// An answer later than this was given by a person, or by nobody.
const LONGEST: Span = Span::from_secs(60);

/// Every step, in order.
pub const STEPS: [Step; 15] = [
    Step::Banner,
    Step::KexInit,
    Step::Kex,
    Step::Service,
    Step::Auth,
    Step::Open,
    Step::Request,
    Step::KeepAlive,
    Step::Security,
    Step::Tls,
    Step::Join,
    Step::Init,
    Step::Fence,
    Step::Update,
    Step::Ping,
];

impl Step {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Banner => "banner",
            Self::KexInit => "kexinit",
            Self::Kex => "kex",
            Self::Service => "service",
            Self::Auth => "auth",
            Self::Open => "open",
            Self::Request => "request",
            Self::KeepAlive => "keepalive",
            Self::Security => "security",
            Self::Tls => "tls",
            Self::Join => "join",
            Self::Init => "init",
            Self::Fence => "fence",
            Self::Update => "update",
            Self::Ping => "ping",
        }
    }
}

/// One answer of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// To what.
    pub step: Step,
    /// From message to answer.
    pub rtt: Span,
    /// What of that is the program's own work, at least.
    pub work: Span,
}

impl Answer {
    /// Without the work; never negative.
    #[must_use]
    pub fn path(&self) -> Span {
        (self.rtt - self.work).max(Span::ZERO)
    }
}

/// The answers to one kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSummary {
    /// To what.
    pub step: Step,
    /// How many.
    pub samples: u64,
    /// The fastest.
    pub min: Span,
    /// What of that is the program's own work, at least.
    pub work: Span,
}

/// What is reported of the program's round trips.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRoundTrips {
    /// All answers; `None` without one.
    pub samples: Option<Quantiles>,
    /// By kind, in the order of a session; kinds without an answer are missing.
    pub steps: Vec<StepSummary>,
    /// The smallest by [`Answer::path`], in order: sixteen at most.
    pub lowest: Vec<Answer>,
    /// TCP's own round trip over the same messages, where the client acknowledged one before it answered: the smallest.
    pub tcp: Option<Span>,
    /// How many messages were acknowledged before they were answered.
    pub acked_first: u64,
    /// What the terminal answered by itself.
    pub terminal: TerminalSummary,
    /// When the client sends what is typed.
    pub pace: Pace,
}

/// A message of the server that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    ask: Ask,
    /// When a segment without data acknowledged it.
    acked: Option<Timestamp>,
}

/// The same answer may come to be one by accident where a message is recognised by its length alone: the fastest of those is
/// left out.
#[derive(Clone, Copy, Debug, Default)]
struct StepCount {
    samples: u64,
    min: Span,
    work: Span,
    held: Option<Answer>,
}

/// See the [module's documentation](self).
#[derive(Debug, Default)]
pub struct ProgramTimer {
    asked: SmallVec<[Asked; 2]>,
    kept: Option<Box<Kept>>,
}

/// What is kept once there is something: many flows never have an answer.
#[derive(Debug, Default)]
struct Kept {
    all: Distribution,
    steps: [StepCount; STEPS.len()],
    lowest: Vec<Answer>,
    tcp: Option<Span>,
    acked_first: u64,
    terminal: TerminalAnswers,
    pace: Pace,
}

impl ProgramTimer {
    /// Whether an acknowledgement would be of interest.
    #[must_use]
    #[inline]
    pub fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The server has asked.
    pub fn on_ask(&mut self, ask: Ask) {
        if self.asked.len() >= MAX_ASKED {
            self.asked.remove(0);
        }
        self.asked.push(Asked { ask, acked: None });
    }

    /// A segment of the client without data.
    pub fn on_ack(&mut self, ack: SeqNumber, time: Timestamp) {
        for asked in self.asked.iter_mut().filter(|asked| asked.acked.is_none() && ack.since(asked.ask.end) >= 0) {
            asked.acked = Some(time);
        }
    }

    /// The client has answered; `tcp` is the smallest round trip of its TCP, where known.
    pub fn on_reply(&mut self, reply: Reply, tcp: Option<Span>) {
        let least = tcp.unwrap_or(Span::ZERO);
        let can_answer = |asked: &&Asked| {
            asked.ask.step == reply.step
                && reply.acked.is_none_or(|acked| acked.since(asked.ask.end) >= 0)
                && (least..=LONGEST).contains(&(reply.time - asked.ask.time))
        };
        let found = self.asked.iter().filter(can_answer).max_by_key(|asked| asked.ask.time).copied();
        self.asked.retain(|asked| asked.ask.step > reply.step || (found.is_none() && asked.ask.step == reply.step));
        let Some(Asked { ask, acked }) = found else { return };
        let kept = self.kept.get_or_insert_default();
        if let Some(tcp) = acked.map(|acked| acked - ask.time).filter(|tcp| !tcp.is_negative()) {
            kept.tcp = Some(kept.tcp.map_or(tcp, |least| least.min(tcp)));
            kept.acked_first += 1;
        }
        kept.record(Answer { step: reply.step, rtt: reply.time - ask.time, work: reply.work });
    }

    /// The client sent what may have been typed; `tcp` is the smallest round trip of its TCP, where known.
    pub fn on_input(&mut self, input: &Input, tcp: Option<Span>) {
        let kept = self.kept.get_or_insert_default();
        kept.terminal.on_input(input, tcp);
        kept.pace.on_input(input);
    }

    /// The client sent a segment of a session whose packets cannot be told apart.
    pub fn on_unread(&mut self, time: Timestamp, len: u32) {
        self.kept.get_or_insert_default().pace.on_segment(time, len);
    }

    /// The server sent what may be shown.
    pub fn on_output(&mut self, output: &Output) {
        if let Some(kept) = &mut self.kept {
            kept.terminal.on_output(output);
        }
    }

    /// Bytes were not captured: what waits may have been answered.
    pub fn on_lost(&mut self) {
        self.asked.clear();
        if let Some(kept) = &mut self.kept {
            kept.terminal.on_lost();
        }
    }

    /// What is known so far; `None` where nothing is. Among chaff, which comes all the time and at any length, and where a relay
    /// merges keys, no answer of a terminal can be told.
    #[must_use]
    pub fn summary(&self, chaff: bool) -> Option<ProgramRoundTrips> {
        let kept = self.kept.as_deref()?;
        let comb = kept.pace.comb().is_some();
        let steps = STEPS.iter().zip(&kept.steps).filter(|(step, count)| count.samples > u64::from(**step == Step::KeepAlive));
        let summary = ProgramRoundTrips {
            samples: kept.all.quantiles(),
            steps: steps.map(|(&step, &StepCount { samples, min, work, .. })| StepSummary { step, samples, min, work }).collect(),
            lowest: kept.lowest.clone(),
            tcp: kept.tcp,
            acked_first: kept.acked_first,
            terminal: if chaff || comb { TerminalSummary::default() } else { kept.terminal.summary() },
            pace: kept.pace.clone(),
        };
        (summary.samples.is_some() || !summary.terminal.is_empty() || comb).then_some(summary)
    }
}

impl Kept {
    fn record(&mut self, answer: Answer) {
        self.all.record(answer.rtt);
        let Some(count) = self.steps.get_mut(answer.step as usize) else { return };
        if count.samples == 0 || answer.rtt < count.min {
            (count.min, count.work) = (answer.rtt, answer.work);
        }
        count.samples += 1;
        let counts = match (answer.step, count.held) {
            (Step::KeepAlive, None) => {
                count.held = Some(answer);
                return;
            }
            (Step::KeepAlive, Some(held)) if answer.path() < held.path() => {
                count.held = Some(answer);
                held
            }
            _ => answer,
        };
        let at = self.lowest.partition_point(|low| low.path() <= counts.path());
        if at < LOWEST {
            self.lowest.truncate(LOWEST - 1);
            self.lowest.insert(at, counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_nanos(ms * 1_000_000)
    }

    fn ask(step: Step, ms: i64, end: u32) -> Ask {
        Ask { step, time: at(ms), end: SeqNumber(end) }
    }

    fn reply(step: Step, ms: i64, acked: u32) -> Reply {
        Reply { step, time: at(ms), acked: Some(SeqNumber(acked)), work: Span::from_millis(1) }
    }

    fn paths(timer: &ProgramTimer) -> Vec<i64> {
        timer.summary(false).unwrap().lowest.iter().map(|answer| answer.path().as_nanos() / 1_000_000).collect()
    }

    #[test]
    fn an_answer_belongs_to_the_last_message_that_it_can_answer() {
        let mut timer = ProgramTimer::default();
        let tcp = Some(Span::from_millis(10));
        timer.on_ask(ask(Step::Open, 0, 100));
        timer.on_ask(ask(Step::Open, 30, 200));
        timer.on_ask(ask(Step::Open, 95, 300));
        timer.on_reply(reply(Step::Open, 101, 300), tcp);
        assert_eq!(paths(&timer), [70], "95 is too near, 0 is further than need be");
        timer.on_ask(ask(Step::Request, 200, 400));
        timer.on_reply(reply(Step::Request, 250, 399), tcp);
        assert_eq!(paths(&timer), [70], "it has not been received yet");
        timer.on_reply(reply(Step::Request, 260, 400), tcp);
        assert_eq!(paths(&timer), [59, 70]);
    }

    #[test]
    fn an_acknowledgement_before_the_answer_is_tcps_own() {
        let mut timer = ProgramTimer::default();
        timer.on_ask(ask(Step::Service, 0, 100));
        assert!(timer.is_waiting());
        timer.on_ack(SeqNumber(99), at(11));
        timer.on_ack(SeqNumber(100), at(12));
        timer.on_ack(SeqNumber(100), at(50));
        timer.on_reply(reply(Step::Service, 195, 100), None);
        let summary = timer.summary(false).unwrap();
        assert_eq!((summary.tcp, summary.acked_first), (Some(Span::from_millis(12)), 1));
        assert!(!timer.is_waiting());
    }

    #[test]
    fn the_fastest_keep_alive_may_be_an_accident() {
        let mut timer = ProgramTimer::default();
        for (i, delay) in [40, 41, 9, 42].into_iter().enumerate() {
            let start = i as i64 * 15_000;
            timer.on_ask(ask(Step::KeepAlive, start, 100));
            timer.on_reply(reply(Step::KeepAlive, start + delay, 100), None);
        }
        assert_eq!(paths(&timer), [39, 40, 41]);
        let step = timer.summary(false).unwrap().steps[0];
        assert_eq!((step.samples, step.min), (4, Span::from_millis(9)));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut timer = ProgramTimer::default();
        for i in 0..1_000 {
            timer.on_ask(ask(Step::Auth, i, 100));
            assert!(timer.asked.len() <= MAX_ASKED);
        }
        timer.on_lost();
        for i in 0..1_000 {
            timer.on_ask(ask(Step::Auth, 2_000 * i, 100));
            timer.on_reply(reply(Step::Auth, 2_000 * i + 1_000 - i, 100), None);
        }
        assert_eq!(paths(&timer), (0..16).collect::<Vec<_>>());
    }
}
