//! `app_rtt` of a session.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    judge::relay_before_client::tcp_reference,
    measure::{
        estimate::Quantiles,
        keystroke::{EchoLevel, EchoLevels, LEAST_LEG},
        pace::Comb,
        program::{ProgramRoundTrips, StepSummary},
        terminal::TerminalSummary,
    },
    observation::{RoundTrips, SessionReport},
    time::Span,
};

/// Round trips of programs, beyond TCP's.
#[derive(Serialize, JsonSchema)]
pub(super) struct AppRttRecord {
    /// Of the client program: from a message that it answers by itself to the answer, at the sensor.
    client: ProgramRecord,
    /// How much the client program's floor exceeds TCP's round trip to the client, in milliseconds: the leg behind whatever ends the
    /// connection, or next to nothing, or a little less where both vary. Null where one of the two was not measured.
    excess_ms: Option<f64>,
    /// Of the terminal in front of the person, which some programs ask what it is; null where nothing like it was seen.
    terminal: Option<TerminalRecord>,
    /// The rhythm that a relay without TCP_NODELAY gives what is typed; null where there is none.
    comb: Option<CombRecord>,
    /// Of the program behind the server, from key to echo at the sensor; null without keys that were echoed.
    server: Option<EchoRecord>,
    /// Of the server program itself: from chaff, which hides keystrokes, to its answer (OpenSSH's PING and PONG) at the sensor; null without chaff.
    server_program: Option<PongRecord>,
}

impl AppRttRecord {
    /// `None` where no program answered.
    pub(super) fn of(report: &SessionReport) -> Option<Self> {
        let program = report.program.as_ref()?;
        let tcp = tcp_reference(&report.rtt.client, program);
        let floor = program.lowest.first().map(|answer| answer.path());
        // TCP ends at the proxy where there is one: its round trip is not the server's.
        let server = if report.carriers.is_empty() { report.rtt.server } else { RoundTrips::default() };
        Some(Self {
            client: ProgramRecord::new(program),
            excess_ms: floor.zip(tcp).map(|(floor, tcp)| (floor - tcp).as_millis_f64()),
            terminal: (!program.terminal.answers.is_empty()).then(|| TerminalRecord::new(&program.terminal, tcp)),
            comb: program.pace.comb().as_ref().map(CombRecord::new),
            server: report
                .keystrokes
                .and_then(|keystrokes| Some(EchoRecord::new(&keystrokes.echo?, keystrokes.levels.as_ref(), &server))),
            server_program: report.keystrokes.and_then(|keystrokes| Some(PongRecord::new(&keystrokes.pongs?, &server))),
        })
    }
}

#[derive(Serialize, JsonSchema)]
struct ProgramRecord {
    /// How many answers were timed.
    samples: u64,
    /// The fastest, in milliseconds, raw; null without samples.
    min_ms: Option<f64>,
    /// The fastest without the program's own work, in milliseconds: what is judged; null without samples.
    floor_ms: Option<f64>,
    /// Median in milliseconds; null without samples.
    p50_ms: Option<f64>,
    /// The fastest answer to each kind of message, in the order of a session.
    steps: Vec<StepRecord>,
}

impl ProgramRecord {
    fn new(program: &ProgramRoundTrips) -> Self {
        let of = |pick: fn(&Quantiles) -> Span| program.samples.as_ref().map(|quantiles| pick(quantiles).as_millis_f64());
        Self {
            samples: program.samples.map_or(0, |quantiles| quantiles.samples),
            min_ms: of(|q| q.min),
            floor_ms: program.lowest.first().map(|answer| answer.path().as_millis_f64()),
            p50_ms: of(|q| q.p50),
            steps: program.steps.iter().map(StepRecord::new).collect(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct StepRecord {
    /// What was answered.
    #[schemars(extend("enum" = ["banner", "kexinit", "kex", "service", "auth", "open", "request", "keepalive", "security", "tls", "join", "init", "fence", "update", "ping"]))]
    step: &'static str,
    /// How many answers.
    samples: u64,
    /// The fastest, in milliseconds, raw.
    ms: f64,
    /// What of it is the program's own work, at least, in milliseconds.
    work_ms: f64,
}

impl StepRecord {
    fn new(step: &StepSummary) -> Self {
        Self { step: step.step.name(), samples: step.samples, ms: step.min.as_millis_f64(), work_ms: step.work.as_millis_f64() }
    }
}

#[derive(Serialize, JsonSchema)]
struct EchoRecord {
    /// How many echoes.
    samples: u64,
    /// The fastest, in milliseconds.
    min_ms: f64,
    /// The 5th percentile, in milliseconds: the fastest that is no accident.
    floor_ms: f64,
    /// Median in milliseconds.
    p50_ms: f64,
    /// How much the floor exceeds TCP's round trip to the server, in milliseconds: what the server takes, and legs behind it where it
    /// passes the keys on. Null where TCP's was not measured, and through proxies (`carriers`), where TCP ends at the first.
    excess_ms: Option<f64>,
    /// Hosts behind the server that keys were passed on to, one after the other, as far as echoes came later in steps of 10 ms and
    /// more: an estimate, and at least so many. 0: none so far away. Null with fewer than 16 echoes in step, where keystrokes are hidden
    /// among chaff, where TCP's round trip was not measured, and through proxies.
    extra_hops: Option<u64>,
    /// The legs between those hosts, the server's first; empty where `extra_hops` is 0 or null.
    legs: Vec<LegRecord>,
}

/// What sshd takes to answer a PING, at least: to read a packet, to encrypt one and to write it.
const PONG_WORK: Span = Span::from_micros(50);

#[derive(Serialize, JsonSchema)]
struct PongRecord {
    /// How many answers: one for each burst of chaff, to its last.
    samples: u64,
    /// The fastest, in milliseconds, raw.
    min_ms: f64,
    /// The fastest without the program's own work, 0.05 ms at least, in milliseconds.
    floor_ms: f64,
    /// Median in milliseconds, raw.
    p50_ms: f64,
    /// How much the floor exceeds TCP's round trip to the server, in milliseconds: the leg behind what ends the connection there, or next to nothing.
    /// Null where TCP's was not measured, and through proxies (`carriers`), where TCP ends at the first.
    excess_ms: Option<f64>,
}

impl PongRecord {
    fn new(pongs: &Quantiles, tcp: &RoundTrips) -> Self {
        let floor = (pongs.min - PONG_WORK).max(Span::ZERO);
        Self {
            samples: pongs.samples,
            min_ms: pongs.min.as_millis_f64(),
            floor_ms: floor.as_millis_f64(),
            p50_ms: pongs.p50.as_millis_f64(),
            excess_ms: tcp.floor.map(|tcp| (floor - tcp.value).as_millis_f64()),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct LegRecord {
    /// Round trip of the leg, with what the host takes, in milliseconds.
    ms: f64,
    /// Its error to both sides, in milliseconds: how much echoes vary.
    error_ms: f64,
    /// How many echoes came over it, and over none behind it.
    samples: u64,
}

impl LegRecord {
    /// The legs that the levels of echoes show behind a server that TCP reaches in `tcp`.
    fn all(levels: &EchoLevels, tcp: Span) -> Vec<Self> {
        let mut nearer = EchoLevel { delay: tcp, ..EchoLevel::default() };
        let mut legs = Vec::new();
        for level in levels.iter() {
            let leg = level.delay - nearer.delay;
            if leg >= LEAST_LEG {
                let error_ms = (level.width + nearer.width).as_millis_f64();
                legs.push(Self { ms: leg.as_millis_f64(), error_ms, samples: level.samples });
            }
            nearer = *level;
        }
        legs
    }
}

impl EchoRecord {
    fn new(echo: &Quantiles, levels: Option<&EchoLevels>, tcp: &RoundTrips) -> Self {
        let legs = levels.zip(tcp.floor).map(|(levels, tcp)| LegRecord::all(levels, tcp.value));
        Self {
            samples: echo.samples,
            min_ms: echo.min.as_millis_f64(),
            floor_ms: echo.p5.as_millis_f64(),
            p50_ms: echo.p50.as_millis_f64(),
            excess_ms: tcp.floor.map(|tcp| (echo.p5 - tcp.value).as_millis_f64()),
            extra_hops: legs.as_ref().map(|legs| legs.len() as u64),
            legs: legs.unwrap_or_default(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct CombRecord {
    /// The shortest interval between two segments of the client, but for 2 % of them, in milliseconds: the round trip behind the
    /// relay.
    period_ms: f64,
    /// Intervals that this rests on.
    samples: u64,
    /// Share of them up to 15 % longer than the period, 0 to 1.
    share: f64,
    /// Share of the segments that hold several keys, 0 to 1.
    merged_share: f64,
}

impl CombRecord {
    fn new(comb: &Comb) -> Self {
        Self {
            period_ms: comb.period.as_millis_f64(),
            samples: comb.samples,
            share: f64::from(comb.share) / 100.0,
            merged_share: f64::from(comb.merged) / 100.0,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct TerminalRecord {
    /// How many messages look like automatic answers; 32 are looked at.
    samples: u64,
    /// How many messages came where an answer could, and too late for one.
    late: u64,
    /// The shortest delay that most answers have in common, in milliseconds; null where there is none, or too few.
    floor_ms: Option<f64>,
    /// The first quartile of those that agree, in milliseconds: what is judged; null as `floor_ms`.
    p25_ms: Option<f64>,
    /// How much `p25_ms` exceeds TCP's round trip to the client, in milliseconds: the leg between the client and the terminal, and
    /// what the terminal takes. Null as `floor_ms`, and where TCP's was not measured.
    excess_ms: Option<f64>,
}

impl TerminalRecord {
    fn new(terminal: &TerminalSummary, tcp: Option<Span>) -> Self {
        let common = terminal.common_delay(tcp.unwrap_or(Span::ZERO));
        Self {
            samples: terminal.answers.len() as u64,
            late: terminal.late,
            floor_ms: common.as_ref().map(|common| common.shortest.as_millis_f64()),
            p25_ms: common.as_ref().map(|common| common.typical.as_millis_f64()),
            excess_ms: common.as_ref().zip(tcp).map(|(common, tcp)| (common.typical - tcp).as_millis_f64()),
        }
    }
}
