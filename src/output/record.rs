//! The records of the contract: what is written, field by field. Here, and only here, spans become milliseconds.

mod alert;
mod answer;
mod audit;
mod carrier;
mod check;
mod datagram;
mod details;
mod keystroke;
mod program;
mod quality;
mod session;
mod spice;
mod spool;
mod stack;
mod summary;
mod traffic;

use schemars::JsonSchema;
use serde::Serialize;

pub(super) use self::{
    alert::AlertRecord,
    answer::{AnswerRecord, RefusalRecord},
    audit::AuditRecord,
    check::CheckRecord,
    keystroke::{KeystrokeRecord, class, kind},
    session::{SessionRecord, state, transport},
    spool::SpoolRecord,
    summary::SummaryRecord,
};
use super::escape;
use crate::{
    event::ClaimEvent,
    flow::Endpoint,
    judge::{Finding, place::Place},
    time::Timestamp,
};

/// Version of the record format.
const SCHEMA: &str = "keywitness/1";

/// What every record begins with.
#[derive(Serialize, JsonSchema)]
struct Head<'a> {
    /// Version of the record format; renaming or removing a field is a new version.
    #[schemars(extend("const" = SCHEMA))]
    schema: &'static str,
    /// Kind of record.
    record: &'static str,
    /// Name of the sensor, from the claims file; null where it has none.
    sensor: Option<&'a str>,
}

impl<'a> Head<'a> {
    const fn new(record: &'static str, sensor: Option<&'a str>) -> Self {
        Self { schema: SCHEMA, record, sensor }
    }
}

#[derive(Serialize, JsonSchema)]
struct EndpointRecord {
    /// IP address, version 4 or 6, or its pseudonym.
    ip: String,
    /// TCP or UDP port.
    port: u16,
    /// Hardware address as the sensor saw it, six hexadecimal pairs: the last router's where there is one between. Null where
    /// the link has none, and in alerts.
    mac: Option<String>,
}

impl EndpointRecord {
    fn new(endpoint: Endpoint, mac: Option<[u8; 6]>) -> Self {
        let mac = mac.map(|m| m.map(|byte| format!("{byte:02x}")).join(":"));
        Self { ip: endpoint.ip.to_string(), port: endpoint.port, mac }
    }
}

#[derive(Serialize, JsonSchema)]
struct ClaimRecord<'a> {
    /// Who claims; escaped, or a pseudonym.
    identity: String,
    /// The claimed places that held when the session began.
    places: Vec<&'a str>,
    /// Which of them was judged: the one that fits best. Null where nothing was judged.
    matched_place: Option<&'a str>,
    /// Great circle from the sensor to the matched place, by way of its gateway, in kilometres to 0.1. Null where nothing was
    /// judged.
    distance_km: Option<f64>,
    /// Where the claim stands.
    source: &'a str,
    /// SHA-256 of the claims file, in hexadecimal; keyed (HMAC) with `--pseudonymize`.
    claims_sha256: &'a str,
    /// Findings of this session that the claims allow (`[[allow]]`): they stand, and raise no alert.
    allowed: Vec<AllowedRecord<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct AllowedRecord<'a> {
    /// The finding.
    finding: &'a str,
    /// Where the claims allow it.
    source: &'a str,
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
            allowed: claim.allowed.iter().map(|(finding, source)| AllowedRecord { finding, source }).collect(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct FindingRecord<'a> {
    /// Which finding.
    id: &'a str,
    /// How much it weighs: medium and higher make a session implausible.
    #[schemars(extend("enum" = ["info", "low", "medium", "high", "critical"]))]
    severity: &'static str,
    /// What it rests on: physics is a law of nature, the others have exceptions.
    #[schemars(extend("enum" = ["physics", "model", "statistics", "signature"]))]
    basis: &'static str,
    /// What was measured, in `unit`.
    measured: f64,
    /// The bound that it crosses, in `unit`.
    expected: f64,
    /// How far it lies beyond the bound, in `unit`.
    margin: f64,
    /// Unit of `measured`, `expected` and `margin`.
    unit: &'static str,
    /// How many samples the measurement has.
    samples: u64,
    /// Chance of this or more under the claim, 0 to 1; null where the basis is not statistics.
    p_value: Option<f64>,
    /// What the chance was reckoned against; null without `p_value`.
    #[schemars(extend("enum" = ["default", "site", "identity", null]))]
    null_model: Option<&'static str>,
    /// How many sessions that rests on; null without `p_value`.
    null_n: Option<u64>,
    /// One sentence for an analyst, with its numbers.
    explanation: &'a str,
    /// What else could explain it: to be looked at first.
    innocent_causes: &'a [&'a str],
    /// MITRE ATT&CK techniques that it may belong to.
    attack: &'a [&'a str],
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

/// RFC 3339 in UTC with nanoseconds.
pub(super) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).map_or_else(|_| String::new(), |time| format!("{time:.9}"))
}
