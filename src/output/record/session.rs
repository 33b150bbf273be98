//! `session`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    ClaimRecord, EndpointRecord, FindingRecord, Head, carrier::CarrierRecord, details::DetailsRecord, program::AppRttRecord,
    quality::QualityRecord, rfc3339, stack::StackRecord, traffic::TrafficRecord,
};
use crate::{
    event::SessionEvent,
    flow::{Evidence, PerSide, Side, TransportKind},
    judge::Test,
    measure::{estimate::Quantiles, keystroke::KeystrokeSummary},
    observation::{IdentifiedBy, RoundTrips, SessionState},
    output::Context,
    protocol::Facts,
    time::Span,
    wire::Encapsulation,
};

/// A `session` record.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct SessionRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// Hash of the first frame's time, the five-tuple and the encapsulation: 16 hexadecimal digits.
    session_id: String,
    /// 0 at the first report, then one more each time; values are cumulative, and the last wins.
    update: u32,
    /// Community ID, version 1, of the five-tuple.
    community_id: &'a str,
    /// File or interface, escaped, or its pseudonym; null where it is not known.
    input: Option<&'a str>,
    /// How it stands or ended.
    #[schemars(extend("enum" = ["open", "closed", "timed_out", "evicted", "eof"]))]
    state: &'static str,
    /// Time of its first frame, RFC 3339 UTC.
    #[schemars(extend("format" = "date-time"))]
    start: String,
    /// Time of its last frame, RFC 3339 UTC.
    #[schemars(extend("format" = "date-time"))]
    end: String,
    /// From `start` to `end`, in milliseconds.
    duration_ms: f64,
    /// The end that types.
    client: EndpointRecord,
    /// The other end.
    server: EndpointRecord,
    /// How it is known which end is the client.
    #[schemars(extend("enum" = ["syn", "banner", "port", "first_seen"]))]
    client_evidence: &'static str,
    /// VLANs and tunnels around the session, the outermost first; empty where there is none.
    encapsulation: Vec<EncapsulationRecord>,
    /// Proxies that the client asked to connect it, and servers of WebSocket, in clear and in this connection, the first one first: `server` is
    /// that one, and all that is told of it; `details` are of what is carried. Empty where none was seen, which does not say that there is none.
    carriers: Vec<CarrierRecord>,
    /// Transport protocol.
    #[schemars(extend("enum" = ["tcp", "udp"]))]
    transport: &'static str,
    /// Application protocol, such as `ssh`; `unknown` where it is not known.
    protocol: &'static str,
    /// What the protocol was recognised by; null where it was not.
    #[schemars(extend("enum" = ["handshake", "signature", "behaviour", "port", null]))]
    identified_by: Option<&'static str>,
    /// Whether the beginning was not captured.
    midstream: bool,
    /// The `session_id` of the same session seen elsewhere; null where there is none.
    duplicate_of: Option<&'a str>,
    /// What the protocol says in clear; null where it is not known.
    details: Option<DetailsRecord<'a>>,
    /// What was counted, by the side that sent it.
    traffic: Sides<TrafficRecord>,
    /// Marks of the TCP stacks.
    stack: Sides<StackRecord>,
    /// How good the capture is.
    quality: QualityRecord,
    /// Round trips, split at the sensor: `client` is sensor to client and back, `server` sensor to server and back.
    rtt: Sides<RttRecord>,
    /// Round trips of the programs, beyond TCP's; null where none of their answers was recognised (beginning not captured, cipher
    /// not known).
    app_rtt: Option<AppRttRecord>,
    /// What was typed, as counts and times; null where it could not be recovered (compressed, cipher not
    /// known, beginning not captured and too little typed since).
    keystrokes: Option<KeystrokesRecord>,
    /// The claim that the session was held against; null where none matches.
    claim: Option<ClaimRecord<'a>>,
    /// The answer over all tests. `consistent` means that nothing contradicts the claim, never "genuine"; `undecided` that it
    /// could not be said, and `tests` tell why.
    #[schemars(extend("enum" = ["consistent", "implausible", "undecided", "no_claim"]))]
    verdict: &'static str,
    /// Every test, those that could not run among them.
    tests: Vec<TestRecord<'a>>,
    /// What does not fit; empty where everything does.
    findings: Vec<FindingRecord<'a>>,
}

impl<'a> SessionRecord<'a> {
    pub(in crate::output) fn new(event: &'a SessionEvent, context: &'a Context) -> Self {
        let report = &event.report;
        Self {
            head: Head::new("session", context.sensor.as_deref()),
            session_id: report.id.to_string(),
            update: report.update,
            community_id: &report.community_id,
            input: context.input(report.input),
            state: state(report.state),
            start: rfc3339(report.start),
            end: rfc3339(report.end),
            duration_ms: (report.end - report.start).as_millis_f64(),
            client: EndpointRecord::new(report.endpoints.client, report.mac.client),
            server: EndpointRecord::new(report.endpoints.server, report.mac.server),
            client_evidence: evidence(report.evidence),
            encapsulation: EncapsulationRecord::list(report.encapsulation),
            carriers: report.carriers.iter().map(CarrierRecord::new).collect(),
            transport: transport(report.transport),
            protocol: report.facts.as_ref().map_or("unknown", Facts::protocol),
            identified_by: report.identified_by.map(identified_by),
            midstream: report.midstream,
            duplicate_of: None,
            details: report.facts.as_ref().and_then(|facts| DetailsRecord::new(facts, report)),
            traffic: Sides::of(&report.traffic, |_, traffic| TrafficRecord::new(traffic, report)),
            stack: Sides::of(&report.stack, |_, stack| StackRecord::new(stack)),
            quality: QualityRecord::of(report, context.timestamps),
            rtt: Sides::of(&report.rtt, |_, rtt| RttRecord::new(rtt)),
            app_rtt: AppRttRecord::of(report),
            keystrokes: report.keystrokes.as_ref().map(KeystrokesRecord::new),
            claim: event.claim.as_ref().map(ClaimRecord::new),
            verdict: event.verdict().name(),
            tests: event.judgement.tests.iter().map(TestRecord::new).collect(),
            findings: event.judgement.findings.iter().map(FindingRecord::new).collect(),
        }
    }
}

/// What a session's packets came wrapped in.
#[derive(Serialize, JsonSchema)]
struct EncapsulationRecord {
    /// Which kind.
    #[schemars(extend("enum" = [
        "vlan", "vntag", "etag", "pbb", "mpls", "pppoe", "ipip", "etherip", "gre", "erspan", "vxlan", "geneve", "gtp",
    ]))]
    kind: &'static str,
    /// Its number in the session's first frame: a VLAN's identifier, a tunnel's key, network, session or endpoint, the bottom label
    /// of a stack; null where it has none.
    id: Option<u32>,
}

impl EncapsulationRecord {
    fn list(encapsulation: Encapsulation) -> Vec<Self> {
        encapsulation.wrappers().map(|wrapper| Self { kind: wrapper.kind.name(), id: wrapper.id }).collect()
    }
}

#[derive(Serialize, JsonSchema)]
struct Sides<T> {
    /// Of the client's side.
    client: T,
    /// Of the server's side.
    server: T,
}

impl<T> Sides<T> {
    fn of<U>(values: &PerSide<U>, mut make: impl FnMut(Side, &U) -> T) -> Self {
        Self { client: make(Side::Client, &values.client), server: make(Side::Server, &values.server) }
    }
}

#[derive(Serialize, JsonSchema)]
struct RttRecord {
    /// Round trip of the TCP handshake in milliseconds; null where it was not captured.
    handshake_ms: Option<f64>,
    /// How many round trips were measured.
    samples: u64,
    /// Smallest round trip in milliseconds, raw; null without samples.
    min_ms: Option<f64>,
    /// Smallest round trip that is no accident, in milliseconds: what is judged. Null without samples, and for flows that were
    /// not identified: those keep no more than number and minimum.
    floor_ms: Option<f64>,
    /// How the floor was chosen; null without one.
    floor_method: Option<&'static str>,
    /// Median in milliseconds; null as `floor_ms`.
    p50_ms: Option<f64>,
    /// 95th percentile in milliseconds; null as `floor_ms`.
    p95_ms: Option<f64>,
    /// Largest round trip in milliseconds; null as `floor_ms`.
    max_ms: Option<f64>,
}

impl RttRecord {
    fn new(rtt: &RoundTrips) -> Self {
        let of = |pick: fn(&Quantiles) -> Span| rtt.samples.as_ref().map(|quantiles| pick(quantiles).as_millis_f64());
        Self {
            handshake_ms: rtt.handshake.map(Span::as_millis_f64),
            samples: rtt.count(),
            min_ms: rtt.min().map(Span::as_millis_f64),
            floor_ms: rtt.floor.map(|floor| floor.value.as_millis_f64()),
            floor_method: rtt.floor.map(|floor| floor.method.name()),
            p50_ms: of(|q| q.p50),
            p95_ms: of(|q| q.p95),
            max_ms: of(|q| q.max),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct KeystrokesRecord {
    /// Keystrokes of any kind.
    count: u64,
    /// Single keys, those without echo included.
    presses: u64,
    /// Keys let go; null where the protocol does not show them.
    releases: Option<u64>,
    /// Repeats of keys held down.
    repeats: u64,
    /// Pieces of text that came at once.
    pastes: u64,
    /// Keys without echo.
    silent: u64,
    /// What keystrokes were recognised by.
    method: &'static str,
    /// Mean confidence of the keystrokes, 0 to 1; null without keys.
    reliability: Option<f64>,
    /// From one press to the next, repeats and runs without echo left out, in milliseconds; null without samples.
    interval_ms: Option<QuantilesRecord>,
    /// From press to release, in milliseconds; null where the protocol does not show releases.
    hold_ms: Option<QuantilesRecord>,
    /// From key to echo at the sensor, in milliseconds; null without samples.
    echo_ms: Option<QuantilesRecord>,
    /// From the end of output that was more than an echo to the next key, in milliseconds; null without samples.
    response_ms: Option<QuantilesRecord>,
    /// Who or what types.
    #[schemars(extend("enum" = ["human", "scripted", "mixed", "unknown"]))]
    input_kind: &'static str,
    /// Why that is believed.
    input_kind_reason: &'static str,
    /// Where the client hides keystrokes among chaff: the interval of the chaff in milliseconds, which is the step of all
    /// times and intervals here; null where it does not, or where it is not known.
    step_ms: Option<f64>,
}

impl KeystrokesRecord {
    fn new(keystrokes: &KeystrokeSummary) -> Self {
        Self {
            count: keystrokes.count,
            presses: keystrokes.presses,
            releases: keystrokes.releases,
            repeats: keystrokes.repeats,
            pastes: keystrokes.pastes,
            silent: keystrokes.silent,
            method: keystrokes.method.name(),
            step_ms: keystrokes.step.map(Span::as_millis_f64),
            reliability: keystrokes.reliability.map(|share| (share * 1e3).round() / 1e3),
            interval_ms: keystrokes.interval.as_ref().map(QuantilesRecord::new),
            hold_ms: keystrokes.hold.as_ref().map(QuantilesRecord::new),
            echo_ms: keystrokes.echo.as_ref().map(QuantilesRecord::new),
            response_ms: keystrokes.response.as_ref().map(QuantilesRecord::new),
            input_kind: keystrokes.origin.name(),
            input_kind_reason: keystrokes.origin_reason,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct QuantilesRecord {
    /// How many samples.
    samples: u64,
    /// Smallest, in milliseconds.
    min: f64,
    /// 5th percentile, in milliseconds.
    p5: f64,
    /// 10th percentile, in milliseconds.
    p10: f64,
    /// 25th percentile, in milliseconds.
    p25: f64,
    /// Median, in milliseconds.
    p50: f64,
    /// 75th percentile, in milliseconds.
    p75: f64,
    /// 95th percentile, in milliseconds.
    p95: f64,
    /// Largest, in milliseconds.
    max: f64,
}

impl QuantilesRecord {
    fn new(q: &Quantiles) -> Self {
        let ms = Span::as_millis_f64;
        Self {
            samples: q.samples,
            min: ms(q.min),
            p5: ms(q.p5),
            p10: ms(q.p10),
            p25: ms(q.p25),
            p50: ms(q.p50),
            p75: ms(q.p75),
            p95: ms(q.p95),
            max: ms(q.max),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct TestRecord<'a> {
    /// The finding that it looks for.
    id: &'a str,
    /// What came of it.
    #[schemars(extend("enum" = ["fits", "exceeds", "not_testable"]))]
    outcome: &'static str,
    /// Why, with numbers.
    reason: &'a str,
    /// How many samples it had.
    samples: u64,
}

impl<'a> TestRecord<'a> {
    pub(super) fn new(test: &'a Test) -> Self {
        Self { id: test.id, outcome: test.outcome.name(), reason: &test.reason, samples: test.samples }
    }
}

pub(in crate::output) const fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Open => "open",
        SessionState::Closed => "closed",
        SessionState::TimedOut => "timed_out",
        SessionState::Evicted => "evicted",
        SessionState::Eof => "eof",
    }
}

pub(in crate::output) const fn transport(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Tcp => "tcp",
        TransportKind::Udp => "udp",
    }
}

const fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Banner => "banner",
        Evidence::Syn => "syn",
        Evidence::Port => "port",
        Evidence::FirstSeen => "first_seen",
    }
}

const fn identified_by(by: IdentifiedBy) -> &'static str {
    match by {
        IdentifiedBy::Handshake => "handshake",
        IdentifiedBy::Signature => "signature",
        IdentifiedBy::Port => "port",
        IdentifiedBy::Behaviour => "behaviour",
    }
}
