//! `session`.

use serde::Serialize;

use super::{ClaimRecord, EndpointRecord, FindingRecord, Head, rfc3339};
use crate::{
    event::SessionEvent,
    flow::{Evidence, PerSide, Side, Traffic},
    judge::Test,
    measure::{estimate::Quantiles, keystroke::KeystrokeSummary},
    observation::{IdentifiedBy, RoundTrips, SessionState},
    output::escape,
    protocol::ssh,
    time::Span,
};

/// A `session` record.
#[derive(Serialize)]
pub(in crate::output) struct SessionRecord<'a> {
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
    encapsulation: Vec<EncapsulationRecord>,
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

impl<'a> SessionRecord<'a> {
    pub(in crate::output) fn new(event: &'a SessionEvent, sensor: Option<&'a str>, input: Option<&'a str>) -> Self {
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
            encapsulation: report.vlan.map(|id| EncapsulationRecord { kind: "vlan", id }).into_iter().collect(),
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

/// What a session's packets came wrapped in.
#[derive(Serialize)]
struct EncapsulationRecord {
    kind: &'static str,
    id: u16,
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
    input_kind_reason: &'static str,
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
            response_ms: keystrokes.response.as_ref().map(QuantilesRecord::new),
            input_kind: keystrokes.origin.name(),
            input_kind_reason: keystrokes.origin_reason,
        }
    }
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

#[derive(Serialize)]
struct TestRecord<'a> {
    id: &'a str,
    outcome: &'static str,
    reason: &'a str,
    samples: u64,
}

impl<'a> TestRecord<'a> {
    fn new(test: &'a Test) -> Self {
        Self { id: test.id, outcome: test.outcome.name(), reason: &test.reason, samples: test.samples }
    }
}

pub(in crate::output) const fn state(state: SessionState) -> &'static str {
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
