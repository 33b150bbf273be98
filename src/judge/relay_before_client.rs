//! `relay_before_client`: the client program, or the terminal in front of the person, answers later than the client's TCP.
//! Something ends the TCP connection, or the session, in front of it. A model: honest relays do the same, and a busy host
//! answers late too; so several answers must agree, which a host that is merely busy hardly brings about.

use super::{Basis, Finding, Outcome, Severity, Test, round_trip_error, verdict::MIN_SAMPLES};
use crate::{
    measure::{
        pace::Comb,
        program::{Answer, ProgramRoundTrips},
        terminal::TERMINAL_WORK,
    },
    observation::RoundTrips,
    time::Span,
};

pub(super) const ID: &str = "relay_before_client";

/// Less than this beyond TCP's round trip happens to direct clients (Xue et al., NDSS 2025: 15 ms).
const INFLATED: Span = Span::from_millis(15);

/// This much beyond hardly ever does (Chiapponi et al. 2022, Ramesh et al. 2024: 50 ms).
const STRONG: Span = Span::from_millis(50);

/// Answers that have to agree: a busy client delays each by another amount.
const AGREEING: usize = 3;

const INNOCENT: &[&str] = &[
    "a jump host, bastion or SOCKS proxy that the organisation knows (to be named as a middlebox in the claims)",
    "a security gateway, a VPN's or satellite operator's accelerator or a mobile carrier that ends TCP on the way",
    "a terminal in a browser, or an SSH session that was opened inside another one for good reason",
    "a client that was overloaded or throttled at an even pace during the whole login",
];

const ATTACK: &[&str] = &["T1090", "T1572"];

/// How much later than TCP the program or the terminal answers, and how well that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leg {
    /// The smallest answer, without the program's own work.
    answer: Span,
    /// TCP's round trip that it is held against.
    tcp: Span,
    /// What judges it: never more than `answer - tcp`.
    sure: Span,
    /// What `answer - tcp` may be off by.
    error: Span,
    /// Answers within the spread of a path, and all of them.
    agreeing: usize,
    samples: u64,
    /// Whether so many agree that no busy host explains it.
    repeated: bool,
    /// Whether the client was seen to act at any time, so that no even pace explains it; and whether it was seen to keep one.
    free: bool,
    paced: bool,
}

impl Leg {
    fn size(&self) -> Span {
        self.answer - self.tcp
    }
}

/// The test, its finding, and whether something does not fit that is too little for one.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// The test.
    pub test: Test,
    /// What does not fit.
    pub finding: Option<Finding>,
    /// The answers come late, and do not agree.
    pub in_doubt: bool,
}

impl Relay {
    /// A test that could not run.
    #[must_use]
    pub fn not_testable(reason: &str, samples: u64) -> Self {
        let test = Test { id: ID, outcome: Outcome::NotTestable, reason: reason.to_owned(), samples };
        Self { test, finding: None, in_doubt: false }
    }
}

/// TCP's round trip to the client that the program's is held against: the repeated floor, or what TCP took over
/// the same messages and the handshake, where that was more: the path may have been slower then.
#[must_use]
pub fn tcp_reference(rtt: &RoundTrips, program: &ProgramRoundTrips) -> Option<Span> {
    let floor = rtt.repeated_floor?.value;
    let then = [program.tcp, rtt.handshake].into_iter().flatten().min();
    Some(then.map_or(floor, |then| then.max(floor)))
}

/// Holds the program's and the terminal's answers against TCP's round trip to the client.
#[must_use]
pub fn test(rtt: &RoundTrips, program: Option<&ProgramRoundTrips>) -> Relay {
    let Some(program) = program else {
        let reason = "no answer of the client program was recognised (the login was not captured, or is not understood)";
        return Relay::not_testable(reason, 0);
    };
    let (Some(tcp), true) = (tcp_reference(rtt, program), rtt.count() >= MIN_SAMPLES) else {
        let reason = format!("{} round trips of the client's TCP measured, {MIN_SAMPLES} needed", rtt.count());
        return Relay::not_testable(&reason, rtt.count());
    };
    let shows = |leg: &Leg| leg.sure >= INFLATED && leg.repeated && !leg.paced;
    let by_program = program_leg(program, tcp);
    let by_terminal = terminal_leg(program, tcp);
    let comb = program.pace.comb();
    match (by_program, by_terminal, comb) {
        (Some(leg), terminal, comb) if shows(&leg) => {
            let terminal = terminal.filter(shows);
            exceeds(&leg, By::Program, &by_step(program), &further(terminal.as_ref(), comb.as_ref()))
        }
        (_, Some(leg), comb) if shows(&leg) => {
            exceeds(&leg, By::Terminal, &by_round(program, tcp), &further(None, comb.as_ref()))
        }
        (Some(leg), ..) if leg.sure < INFLATED => fits(&leg, By::Program),
        (None, Some(leg), _) if leg.sure < INFLATED => fits(&leg, By::Terminal),
        (Some(leg), ..) | (None, Some(leg), _) => doubt(&leg),
        (None, None, Some(comb)) => match comb_leg(&comb, tcp) {
            Some(leg) => exceeds(&leg, By::Comb, &by_comb(&comb), ""),
            None => Relay::not_testable("what the client sends waits for acknowledgements, as its own TCP may do", comb.samples),
        },
        (None, None, None) => Relay::not_testable("the client program gave no answer that could be timed", 0),
    }
}

/// Answers of the program: at least three, of two kinds, must agree within 15 % and the error of a round trip.
fn program_leg(program: &ProgramRoundTrips, tcp: Span) -> Option<Leg> {
    let least = program.lowest.first()?;
    let excess = least.path() - tcp;
    let within = excess + part(excess, 15) + round_trip_error(tcp);
    let agreeing: Vec<&Answer> = program.lowest.iter().filter(|answer| answer.path() - tcp <= within).collect();
    let kinds = agreeing.iter().any(|answer| answer.step != least.step);
    let spread = agreeing.get(AGREEING - 1).map_or(Span::ZERO, |third| third.path() - least.path());
    Some(Leg {
        answer: least.path(),
        tcp,
        sure: excess,
        error: round_trip_error(tcp) + spread + part(excess, 5),
        agreeing: agreeing.len(),
        samples: program.samples.map_or(0, |samples| samples.samples),
        repeated: agreeing.len() >= AGREEING && kinds,
        free: excess >= INFLATED && program.pace.is_free_of(least.path()),
        paced: excess >= INFLATED && program.pace.keeps_beat(least.path()),
    })
}

/// Answers of the terminal, where they have a delay in common. What judges is the shortest that explains them, less all that an
/// emulator may take; what is told of the leg is the first quartile.
fn terminal_leg(program: &ProgramRoundTrips, tcp: Span) -> Option<Leg> {
    let common = program.terminal.common_delay(tcp)?;
    Some(Leg {
        answer: common.typical,
        tcp,
        sure: common.shortest - tcp - TERMINAL_WORK,
        error: round_trip_error(tcp) + TERMINAL_WORK,
        agreeing: common.delays.len(),
        samples: program.terminal.answers.len() as u64,
        free: program.pace.is_free_of(common.typical),
        paced: program.pace.keeps_beat(common.typical),
        repeated: true,
    })
}

/// The comb of a relay that waits for acknowledgements: its period is the round trip behind it. A client that waits for them
/// itself has the period of its own TCP, and up to 40 ms more; so nothing shorter than a strong leg shows this way.
fn comb_leg(comb: &Comb, tcp: Span) -> Option<Leg> {
    let leg = Leg {
        answer: comb.period + tcp,
        tcp,
        sure: comb.period - tcp,
        error: round_trip_error(tcp) + part(comb.period, 5),
        agreeing: usize::from(comb.share) * comb.samples as usize / 100,
        samples: comb.samples,
        repeated: true,
        free: false,
        paced: false,
    };
    (leg.sure >= STRONG).then_some(leg)
}

fn part(span: Span, percent: i64) -> Span {
    Span::from_nanos(span.as_nanos() / 100 * percent).max(Span::ZERO)
}

fn fits(leg: &Leg, by: By) -> Relay {
    let reason = format!(
        "the {} answers within {:.1} ms, the client's TCP within {:.1} ms",
        by.name(),
        leg.answer.as_millis_f64(),
        leg.tcp.as_millis_f64()
    );
    Relay { test: Test { id: ID, outcome: Outcome::Fits, reason, samples: leg.samples }, finding: None, in_doubt: false }
}

fn doubt(leg: &Leg) -> Relay {
    let (samples, later) = (leg.samples, leg.size().as_millis_f64());
    let reason = if leg.paced && leg.repeated {
        format!(
            "the fastest of {samples} answers came {later:.1} ms later than TCP's, but all that the client sends comes at an even pace: it is held up itself"
        )
    } else {
        format!(
            "the fastest of {samples} answers came {later:.1} ms later than TCP's, and {} agree where {AGREEING} of two kinds are \
             needed: a busy client looks the same",
            leg.agreeing
        )
    };
    Relay { in_doubt: true, ..Relay::not_testable(&reason, leg.samples) }
}

/// What a leg was measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Program,
    Terminal,
    Comb,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Program => "client program",
            Self::Terminal => "terminal",
            Self::Comb => "comb",
        }
    }

    /// What was seen, and where it puts the leg.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Program => (
                "The client program answers no sooner than",
                "behind what ends the client's connection, be it a proxy, a jump host or a gateway that ends TCP",
            ),
            Self::Terminal => (
                "The terminal answers the server's questions by itself, typically after",
                "between the client and the terminal in front of the person, be it a session inside another one, a terminal in a \
                 browser or a slow one",
            ),
            Self::Comb => (
                "What is typed comes as from behind a round trip of",
                "behind what ends the client's connection, be it a proxy without TCP_NODELAY or a program that sends in turns",
            ),
        }
    }
}

fn exceeds(leg: &Leg, by: By, evidence: &str, further: &str) -> Relay {
    let expected = leg.tcp + INFLATED;
    let ms = Span::as_millis_f64;
    let pace = if leg.free { "" } else { ", unless the client is held up at an even pace, which nothing typed contradicts" };
    let (seen, place) = by.words();
    let explanation = format!(
        "{seen} {:.1} ms, though the client's TCP needs {:.1} ms: {} of {} samples agree ({evidence}), so a leg of {:.1} ms \
         (within {:.1} ms) lies {place}{pace}.{further}",
        ms(leg.answer),
        ms(leg.tcp),
        leg.agreeing,
        leg.samples,
        ms(leg.size()),
        ms(leg.error),
    );
    let finding = Finding {
        id: ID,
        severity: if leg.sure >= STRONG && leg.free { Severity::Medium } else { Severity::Low },
        basis: Basis::Model,
        measured: leg.answer,
        expected,
        margin: leg.answer - expected,
        samples: leg.samples,
        explanation,
        innocent_causes: INNOCENT,
        attack: ATTACK,
    };
    let name = by.name();
    let reason = format!("{name} {:.1} ms, TCP {:.1} ms, up to {:.1} ms expected", ms(leg.answer), ms(leg.tcp), ms(expected));
    let test = Test { id: ID, outcome: Outcome::Exceeds, reason, samples: leg.samples };
    Relay { test, finding: Some(finding), in_doubt: false }
}

/// What else says so, as text.
fn further(terminal: Option<&Leg>, comb: Option<&Comb>) -> String {
    let terminal = terminal
        .map(|leg| format!(" The terminal's own answers say the same: {:.1} ms more than TCP.", leg.size().as_millis_f64()))
        .unwrap_or_default();
    let comb = comb
        .map(|comb| format!(" What is typed comes combed ({}), as from a relay without TCP_NODELAY.", by_comb(comb)))
        .unwrap_or_default();
    terminal + &comb
}

/// A comb, as text.
fn by_comb(comb: &Comb) -> String {
    format!(
        "segments never closer than {:.1} ms, {} % of {} intervals just above that, several keys in {} % of segments",
        comb.period.as_millis_f64(),
        comb.share,
        comb.samples,
        comb.merged
    )
}

/// The fastest answer of each kind, as text.
fn by_step(program: &ProgramRoundTrips) -> String {
    let step = |step: &crate::measure::program::StepSummary| format!("{} {:.1}", step.step.name(), step.min.as_millis_f64());
    program.steps.iter().map(step).collect::<Vec<_>>().join(", ")
}

/// The terminal's answers, as text.
fn by_round(program: &ProgramRoundTrips, tcp: Span) -> String {
    let delays = program.terminal.common_delay(tcp).map(|common| common.delays).unwrap_or_default();
    let list: Vec<String> = delays.iter().take(6).map(|delay| format!("{:.1}", delay.as_millis_f64())).collect();
    format!("the terminal's automatic answers to programs that start, {}", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cue::Step,
        measure::{
            estimate::{Distribution, Floor, FloorMethod},
            program::StepSummary,
            terminal::{TerminalAnswer, TerminalSummary},
        },
        time::Timestamp,
    };

    fn ms(ms: i64) -> Span {
        Span::from_millis(ms)
    }

    fn quantiles(millis: &[i64]) -> Option<crate::measure::estimate::Quantiles> {
        let mut distribution = Distribution::default();
        millis.iter().for_each(|&millis| distribution.record(ms(millis)));
        distribution.quantiles()
    }

    fn tcp(floor: i64) -> RoundTrips {
        let floor = Some(Floor { value: ms(floor), method: FloorMethod::P2 });
        RoundTrips { handshake: None, samples: quantiles(&[12; 40]), least: None, prompt: 40, floor, repeated_floor: floor }
    }

    fn program(answers: &[(Step, i64)]) -> ProgramRoundTrips {
        let mut lowest: Vec<Answer> =
            answers.iter().map(|&(step, rtt)| Answer { step, rtt: ms(rtt), work: Span::ZERO }).collect();
        lowest.sort_by_key(Answer::path);
        let step = |&(step, rtt): &(Step, i64)| StepSummary { step, samples: 1, min: ms(rtt), work: Span::ZERO };
        ProgramRoundTrips {
            samples: quantiles(&answers.iter().map(|(_, rtt)| *rtt).collect::<Vec<_>>()),
            steps: answers.iter().map(step).collect(),
            lowest,
            ..ProgramRoundTrips::default()
        }
    }

    fn login(millis: [i64; 6]) -> ProgramRoundTrips {
        let steps = [Step::Banner, Step::KexInit, Step::Service, Step::Auth, Step::Open, Step::Request];
        program(&steps.into_iter().zip(millis).collect::<Vec<_>>())
    }

    fn severity(relay: &Relay) -> Option<Severity> {
        relay.finding.as_ref().map(|finding| finding.severity)
    }

    #[test]
    fn a_program_behind_a_relay_is_found_and_its_leg_measured() {
        let relay = test(&tcp(12), Some(&typed(login([372, 387, 196, 198, 207, 410]))));
        let finding = relay.finding.clone().unwrap();
        assert_eq!((finding.severity, finding.measured - ms(12)), (Severity::Medium, ms(184)));
        for part in ["184.0 ms", "12.0 ms", "service 196.0", "proxy"] {
            assert!(finding.explanation.contains(part), "{part} missing in: {}", finding.explanation);
        }
        assert_eq!(severity(&test(&tcp(12), Some(&login([90, 60, 54, 52, 53, 71])))), Some(Severity::Low), "40 ms");
    }

    #[test]
    fn one_prompt_answer_shows_that_nothing_lies_between() {
        for login in [[115, 114, 212, 146, 785, 579], [111, 900, 900, 900, 900, 900], [124, 125, 125, 126, 124, 125]] {
            let relay = test(&tcp(111), Some(&self::login(login)));
            assert_eq!((relay.test.outcome, relay.finding), (Outcome::Fits, None));
        }
    }

    #[test]
    fn a_busy_client_accuses_nobody() {
        for busy in [[146, 656, 212, 170, 785, 579], [300, 180, 260, 350, 420, 900], [161, 700, 700, 168, 800, 900]] {
            let relay = test(&tcp(111), Some(&login(busy)));
            assert_eq!((relay.test.outcome, relay.finding, relay.in_doubt), (Outcome::NotTestable, None, true), "{busy:?}");
        }
    }

    #[test]
    fn answers_of_one_kind_may_all_be_of_one_person() {
        let prompts = program(&[(Step::Auth, 900), (Step::Auth, 910), (Step::Auth, 905)]);
        assert_eq!(test(&tcp(12), Some(&prompts)).finding, None);
    }

    #[test]
    fn a_path_that_was_slower_during_the_login_excuses() {
        let mut login = login([62, 63, 61, 62, 61, 64]);
        assert!(test(&tcp(12), Some(&login)).finding.is_some());
        login.tcp = Some(ms(60));
        assert_eq!(test(&tcp(12), Some(&login)).test.outcome, Outcome::Fits);
    }

    fn terminal(first: &[i64], further: &[i64], late: u64) -> ProgramRoundTrips {
        let answer = |first| move |&delay: &i64| TerminalAnswer { first, delays: [ms(delay)].into_iter().collect() };
        let answers = first.iter().map(answer(true)).chain(further.iter().map(answer(false))).collect();
        ProgramRoundTrips { terminal: TerminalSummary { answers, late }, ..login([13, 14, 13, 14, 13, 13]) }
    }

    #[test]
    fn a_terminal_behind_the_client_is_found_by_its_answers() {
        let relay = test(&tcp(12), Some(&typed(terminal(&[191, 222], &[212, 213], 0))));
        let finding = relay.finding.clone().unwrap();
        assert_eq!(finding.severity, Severity::Medium);
        assert!(finding.explanation.contains("terminal's automatic answers"), "{}", finding.explanation);
        assert_eq!(severity(&test(&tcp(12), Some(&typed(terminal(&[60, 62], &[63], 0))))), Some(Severity::Low));
    }

    #[test]
    fn people_who_click_accuse_nobody() {
        let clicks: [(&[i64], &[i64], u64); 5] = [
            (&[13, 15], &[14], 0),
            (&[420, 800, 510], &[80, 85, 90], 6),
            (&[300, 310], &[305], 4),
            (&[300], &[305, 310, 320], 0),
            (&[], &[], 3),
        ];
        for (first, further, late) in clicks {
            assert_eq!(test(&tcp(12), Some(&typed(terminal(first, further, late)))).finding, None, "{first:?} {further:?}");
        }
    }

    /// The same, and keys at any interval.
    fn typed(mut program: ProgramRoundTrips) -> ProgramRoundTrips {
        let mut time = 0;
        for i in 0..100 {
            time += 60 + i * 7919 % 241;
            program.pace.on_segment(Timestamp::from_nanos(time * 1_000_000), 36);
        }
        program
    }

    #[test]
    fn a_client_that_keeps_a_pace_accuses_nobody() {
        let login = || login([160, 165, 201, 200, 201, 202]);
        let late = || self::login([279, 279, 202, 199, 201, 200]);
        assert_eq!(severity(&test(&tcp(101), Some(&typed(late())))), Some(Severity::Medium));
        let unknown = test(&tcp(101), Some(&late()));
        assert_eq!(severity(&unknown), Some(Severity::Low), "nothing was typed");
        assert!(unknown.finding.unwrap().explanation.contains("even pace"));
        let mut paced = late();
        for i in 0..60 {
            paced.pace.on_segment(Timestamp::from_nanos((i + i % 3) * 200_000_000), 36);
        }
        let relay = test(&tcp(101), Some(&paced));
        assert!(relay.finding.is_none() && relay.in_doubt && relay.test.reason.contains("even pace"), "{}", relay.test.reason);
        assert_eq!(test(&tcp(101), Some(&typed(login()))).finding, None);
    }

    #[test]
    fn without_evidence_it_says_what_is_missing() {
        let none = test(&tcp(12), None);
        assert_eq!((none.test.outcome, none.in_doubt), (Outcome::NotTestable, false));
        let few = RoundTrips { samples: quantiles(&[12; 9]), ..tcp(12) };
        let few = test(&few, Some(&login([372, 387, 196, 198, 207, 410])));
        assert!(few.finding.is_none() && few.test.reason.contains("10 needed"), "{}", few.test.reason);
    }
}
