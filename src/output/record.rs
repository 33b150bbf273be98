//! The records of the contract: what is written, field by field. Here, and only here, spans become milliseconds.

// long because: it is one table, the fields of every record in the order of the contract, twice: as types and as values.

use serde::Serialize;

use super::escape;
use crate::{
    event::{AlertEvent, ClaimEvent, InputSummary, KeystrokeEvent, SessionEvent, Summary},
    flow::{Endpoint, Evidence, PerSide, Side, Traffic},
    judge::{Finding, Test, place::Place},
    measure::{
        estimate::Quantiles,
        keystroke::{KeyClass, KeystrokeKind, KeystrokeSummary},
    },
    observation::{IdentifiedBy, RoundTrips, SessionState},
    protocol::ssh,
    time::{Span, Timestamp},
};

/// Version of the record format.
const SCHEMA: &str = "keywitness/1";

/// What every record begins with.
#[derive(Serialize)]
struct Head<'a> {
    schema: &'static str,
    record: &'static str,
    sensor: Option<&'a str>,
}

impl<'a> Head<'a> {
    const fn new(record: &'static str, sensor: Option<&'a str>) -> Self {
        Self { schema: SCHEMA, record, sensor }
    }
}

/// A `session` record.
#[derive(Serialize)]
pub(super) struct SessionRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    session_id: String,
    update: u32,
    community_id: &'a str,
    input: Option<&'a str>,
    state: &'static str,
    start: String,
    end: String,
    duration_ms: f64,
    client: EndpointRecord,
    server: EndpointRecord,
    client_evidence: &'static str,
    encapsulation: [(); 0],
    transport: &'static str,
    protocol: &'static str,
    identified_by: &'static str,
    midstream: bool,
    duplicate_of: Option<&'a str>,
    details: SshRecord<'a>,
    traffic: Sides<TrafficRecord>,
    stack: Option<()>,
    quality: Option<()>,
    rtt: Sides<RttRecord>,
    app_rtt: Option<()>,
    keystrokes: Option<KeystrokesRecord>,
    claim: Option<ClaimRecord<'a>>,
    verdict: &'static str,
    tests: Vec<TestRecord<'a>>,
    findings: Vec<FindingRecord<'a>>,
}

#[derive(Serialize)]
struct Sides<T> {
    client: T,
    server: T,
}

impl<T> Sides<T> {
    fn of<U>(values: &PerSide<U>, mut make: impl FnMut(Side, &U) -> T) -> Self {
        Self { client: make(Side::Client, &values.client), server: make(Side::Server, &values.server) }
    }
}

#[derive(Serialize)]
struct EndpointRecord {
    ip: String,
    port: u16,
    mac: Option<String>,
}

#[derive(Serialize)]
struct SshRecord<'a> {
    client_version: Option<String>,
    server_version: Option<String>,
    kex: Option<&'a str>,
    cipher: Option<&'a str>,
    mac: Option<&'a str>,
    compression: Option<&'a str>,
    hassh: Option<&'a str>,
    hassh_server: Option<&'a str>,
    auth: Option<()>,
    obfuscated_keystrokes: Option<bool>,
}

#[derive(Serialize)]
struct TrafficRecord {
    packets: u64,
    bytes: u64,
    payload_bytes: u64,
    retransmitted: u32,
    out_of_order: u32,
    duplicated: u32,
    gaps: u32,
}

#[derive(Serialize)]
struct RttRecord {
    handshake_ms: Option<f64>,
    samples: u64,
    min_ms: Option<f64>,
    floor_ms: Option<f64>,
    floor_method: Option<&'static str>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    max_ms: Option<f64>,
}

#[derive(Serialize)]
struct KeystrokesRecord {
    count: u64,
    presses: u64,
    releases: Option<u64>,
    repeats: u64,
    pastes: u64,
    silent: u64,
    method: &'static str,
    reliability: Option<f64>,
    interval_ms: Option<QuantilesRecord>,
    hold_ms: Option<QuantilesRecord>,
    echo_ms: Option<QuantilesRecord>,
    response_ms: Option<QuantilesRecord>,
    input_kind: &'static str,
}

#[derive(Serialize)]
struct QuantilesRecord {
    samples: u64,
    min: f64,
    p5: f64,
    p10: f64,
    p25: f64,
    p50: f64,
    p75: f64,
    p95: f64,
    max: f64,
}

#[derive(Serialize)]
struct ClaimRecord<'a> {
    identity: String,
    places: Vec<&'a str>,
    matched_place: Option<&'a str>,
    distance_km: Option<f64>,
    source: &'a str,
    claims_sha256: &'a str,
}

#[derive(Serialize)]
struct TestRecord<'a> {
    id: &'a str,
    outcome: &'static str,
    reason: &'a str,
    samples: u64,
}

#[derive(Serialize)]
struct FindingRecord<'a> {
    id: &'a str,
    severity: &'static str,
    basis: &'static str,
    measured: f64,
    expected: f64,
    margin: f64,
    unit: &'static str,
    samples: u64,
    p_value: Option<f64>,
    null_model: Option<&'static str>,
    null_n: Option<u64>,
    explanation: &'a str,
    innocent_causes: &'a [&'a str],
    attack: &'a [&'a str],
}

/// A `keystroke` record.
#[derive(Serialize)]
pub(super) struct KeystrokeRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    session_id: String,
    time: String,
    index: u64,
    kind: &'static str,
    class: &'static str,
    bytes: u32,
    interval_ms: Option<f64>,
    echo_ms: Option<f64>,
    client_rtt_ms: Option<f64>,
    method: &'static str,
    confidence: f64,
}

/// An `alert` record.
#[derive(Serialize)]
pub(super) struct AlertRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    alert_id: &'a str,
    revision: u32,
    time: String,
    session_id: String,
    community_id: &'a str,
    protocol: &'static str,
    start: String,
    identity: String,
    client: EndpointRecord,
    server: EndpointRecord,
    severity: &'static str,
    finding: FindingRecord<'a>,
    claim: ClaimRecord<'a>,
    quality: Option<()>,
    message: String,
}

/// The `summary` record.
#[derive(Serialize)]
pub(super) struct SummaryRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    packets: u64,
    bytes: u64,
    undecoded: u64,
    truncated: u64,
    duplicated: u64,
    dropped: DroppedRecord,
    flows: FlowsRecord,
    sessions: u64,
    alerts: u64,
    first_time: Option<String>,
    last_time: Option<String>,
    elapsed_s: f64,
    packets_per_s: f64,
    inputs: Vec<InputRecord<'a>>,
}

#[derive(Serialize)]
struct DroppedRecord {
    kernel: u64,
    ring: u64,
    channel: u64,
    table: u64,
    output: u64,
}

#[derive(Serialize)]
struct FlowsRecord {
    tcp: u64,
    udp: u64,
    identified: u64,
    interactive: u64,
}

#[derive(Serialize)]
struct InputRecord<'a> {
    path: String,
    status: &'static str,
    error: Option<&'a str>,
    frames: u64,
}

impl<'a> SessionRecord<'a> {
    pub(super) fn new(event: &'a SessionEvent, sensor: Option<&'a str>, input: Option<&'a str>) -> Self {
        let report = &event.report;
        Self {
            head: Head::new("session", sensor),
            session_id: report.id.to_string(),
            update: 0,
            community_id: &report.community_id,
            input,
            state: state(report.state),
            start: rfc3339(report.start),
            end: rfc3339(report.end),
            duration_ms: (report.end - report.start).as_millis_f64(),
            client: EndpointRecord::new(report.endpoints.client, report.mac.client),
            server: EndpointRecord::new(report.endpoints.server, report.mac.server),
            client_evidence: evidence(report.evidence),
            encapsulation: [],
            transport: "tcp",
            protocol: "ssh",
            identified_by: identified_by(report.identified_by),
            midstream: report.midstream,
            duplicate_of: None,
            details: SshRecord::new(&report.ssh, report.obfuscated),
            traffic: Sides::of(&report.traffic, |_, traffic| TrafficRecord::new(traffic)),
            stack: None,
            quality: None,
            rtt: Sides::of(&report.rtt, |_, rtt| RttRecord::new(rtt)),
            app_rtt: None,
            keystrokes: report.keystrokes.as_ref().map(KeystrokesRecord::new),
            claim: event.claim.as_ref().map(ClaimRecord::new),
            verdict: event.verdict().name(),
            tests: event.judgement.tests.iter().map(TestRecord::new).collect(),
            findings: event.judgement.findings.iter().map(FindingRecord::new).collect(),
        }
    }
}

impl EndpointRecord {
    fn new(endpoint: Endpoint, mac: Option<[u8; 6]>) -> Self {
        let mac = mac.map(|m| m.map(|byte| format!("{byte:02x}")).join(":"));
        Self { ip: endpoint.ip.to_string(), port: endpoint.port, mac }
    }
}

impl<'a> SshRecord<'a> {
    fn new(facts: &'a ssh::Facts, obfuscated: Option<bool>) -> Self {
        Self {
            client_version: facts.banners.client.as_deref().map(escape::text),
            server_version: facts.banners.server.as_deref().map(escape::text),
            kex: facts.kex.as_deref(),
            cipher: facts.cipher.as_deref(),
            mac: facts.mac.as_deref(),
            compression: facts.compression.as_deref(),
            hassh: facts.hassh.as_deref(),
            hassh_server: facts.hassh_server.as_deref(),
            auth: None,
            obfuscated_keystrokes: obfuscated,
        }
    }
}

impl TrafficRecord {
    const fn new(traffic: &Traffic) -> Self {
        Self {
            packets: traffic.packets,
            bytes: traffic.bytes,
            payload_bytes: traffic.payload_bytes,
            retransmitted: traffic.retransmitted,
            out_of_order: traffic.out_of_order,
            duplicated: traffic.duplicated,
            gaps: traffic.gaps,
        }
    }
}

impl RttRecord {
    fn new(rtt: &RoundTrips) -> Self {
        let of = |pick: fn(&Quantiles) -> Span| rtt.samples.as_ref().map(|quantiles| pick(quantiles).as_millis_f64());
        Self {
            handshake_ms: rtt.handshake.map(Span::as_millis_f64),
            samples: rtt.samples.map_or(0, |quantiles| quantiles.samples),
            min_ms: of(|q| q.min),
            floor_ms: rtt.floor.map(|floor| floor.value.as_millis_f64()),
            floor_method: rtt.floor.map(|floor| floor.method.name()),
            p50_ms: of(|q| q.p50),
            p95_ms: of(|q| q.p95),
            max_ms: of(|q| q.max),
        }
    }
}

impl KeystrokesRecord {
    fn new(keystrokes: &KeystrokeSummary) -> Self {
        Self {
            count: keystrokes.count,
            presses: keystrokes.presses,
            releases: None,
            repeats: keystrokes.repeats,
            pastes: keystrokes.pastes,
            silent: keystrokes.silent,
            method: "size+echo",
            reliability: keystrokes.reliability.map(|share| (share * 1e3).round() / 1e3),
            interval_ms: keystrokes.interval.as_ref().map(QuantilesRecord::new),
            hold_ms: None,
            echo_ms: keystrokes.echo.as_ref().map(QuantilesRecord::new),
            response_ms: None,
            input_kind: "unknown",
        }
    }
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

impl<'a> ClaimRecord<'a> {
    fn new(claim: &'a ClaimEvent) -> Self {
        Self {
            identity: escape::text(claim.identity.as_bytes()),
            places: claim.places.iter().map(Place::name).collect(),
            matched_place: claim.matched_place.as_ref().map(Place::name),
            distance_km: claim.distance_km.map(|km| (km * 10.0).round() / 10.0),
            source: &claim.source,
            claims_sha256: &claim.claims_sha256,
        }
    }
}

impl<'a> TestRecord<'a> {
    fn new(test: &'a Test) -> Self {
        Self { id: test.id, outcome: test.outcome.name(), reason: &test.reason, samples: test.samples }
    }
}

impl<'a> FindingRecord<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            id: finding.id,
            severity: finding.severity.name(),
            basis: finding.basis.name(),
            measured: finding.measured.as_millis_f64(),
            expected: finding.expected.as_millis_f64(),
            margin: finding.margin.as_millis_f64(),
            unit: "ms",
            samples: finding.samples,
            p_value: None,
            null_model: None,
            null_n: None,
            explanation: &finding.explanation,
            innocent_causes: finding.innocent_causes,
            attack: finding.attack,
        }
    }
}

impl<'a> KeystrokeRecord<'a> {
    pub(super) fn new(event: &KeystrokeEvent, sensor: Option<&'a str>) -> Self {
        let keystroke = &event.keystroke;
        Self {
            head: Head::new("keystroke", sensor),
            session_id: event.session.to_string(),
            time: rfc3339(keystroke.time),
            index: keystroke.index,
            kind: kind(keystroke.kind),
            class: class(keystroke.class),
            bytes: keystroke.bytes,
            interval_ms: keystroke.interval.map(Span::as_millis_f64),
            echo_ms: keystroke.echo.map(Span::as_millis_f64),
            client_rtt_ms: event.client_rtt.map(Span::as_millis_f64),
            method: keystroke.method.name(),
            confidence: keystroke.confidence,
        }
    }
}

impl<'a> AlertRecord<'a> {
    pub(super) fn new(event: &'a AlertEvent, sensor: Option<&'a str>) -> Self {
        let identity = escape::text(event.claim.identity.as_bytes());
        Self {
            head: Head::new("alert", sensor),
            alert_id: &event.id,
            revision: 0,
            time: rfc3339(event.time),
            session_id: event.session.to_string(),
            community_id: &event.community_id,
            protocol: "ssh",
            start: rfc3339(event.start),
            client: EndpointRecord::new(event.endpoints.client, None),
            server: EndpointRecord::new(event.endpoints.server, None),
            severity: event.finding.severity.name(),
            finding: FindingRecord::new(&event.finding),
            claim: ClaimRecord::new(&event.claim),
            quality: None,
            message: format!("{identity}: {}", event.finding.explanation),
            identity,
        }
    }
}

impl<'a> SummaryRecord<'a> {
    pub(super) fn new(summary: &'a Summary, sensor: Option<&'a str>) -> Self {
        let counters = &summary.counters;
        let rate = if summary.elapsed_s > 0.0 { (counters.packets as f64 / summary.elapsed_s).round() } else { 0.0 };
        Self {
            head: Head::new("summary", sensor),
            packets: counters.packets,
            bytes: counters.bytes,
            undecoded: counters.undecoded,
            truncated: counters.truncated,
            duplicated: counters.duplicated,
            dropped: DroppedRecord { kernel: 0, ring: 0, channel: 0, table: counters.dropped_flows, output: 0 },
            flows: FlowsRecord {
                tcp: counters.tcp_flows,
                udp: counters.udp_flows,
                identified: counters.identified,
                interactive: counters.interactive,
            },
            sessions: summary.sessions,
            alerts: summary.alerts,
            first_time: counters.first_time.map(rfc3339),
            last_time: counters.last_time.map(rfc3339),
            elapsed_s: summary.elapsed_s,
            packets_per_s: rate,
            inputs: summary.inputs.iter().map(InputRecord::new).collect(),
        }
    }
}

impl<'a> InputRecord<'a> {
    fn new(input: &'a InputSummary) -> Self {
        Self {
            path: escape::text(input.path.as_bytes()),
            status: if input.error.is_some() { "error" } else { "ok" },
            error: input.error.as_deref(),
            frames: input.frames,
        }
    }
}

/// RFC 3339 in UTC with nanoseconds.
pub(super) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).map_or_else(|_| String::new(), |time| format!("{time:.9}"))
}

pub(super) const fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Closed => "closed",
        SessionState::TimedOut => "timed_out",
        SessionState::Evicted => "evicted",
        SessionState::Eof => "eof",
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
    }
}

pub(super) const fn kind(kind: KeystrokeKind) -> &'static str {
    match kind {
        KeystrokeKind::Press => "press",
        KeystrokeKind::Repeat => "repeat",
        KeystrokeKind::Paste => "paste",
    }
}

pub(super) const fn class(class: KeyClass) -> &'static str {
    match class {
        KeyClass::Char => "char",
        KeyClass::Edit => "edit",
        KeyClass::Navigation => "navigation",
        KeyClass::Control => "control",
        KeyClass::Unknown => "unknown",
    }
}
