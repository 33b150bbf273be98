//! The records of the contract: what is written, field by field. Here, and only here, spans become milliseconds.

mod alert;
mod answer;
mod keystroke;
mod session;
mod summary;

use serde::Serialize;

pub(super) use self::{
    alert::AlertRecord,
    answer::{AnswerRecord, RefusalRecord},
    keystroke::{KeystrokeRecord, class, kind},
    session::SessionRecord,
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

#[derive(Serialize)]
struct EndpointRecord {
    ip: String,
    port: u16,
    mac: Option<String>,
}

impl EndpointRecord {
    fn new(endpoint: Endpoint, mac: Option<[u8; 6]>) -> Self {
        let mac = mac.map(|m| m.map(|byte| format!("{byte:02x}")).join(":"));
        Self { ip: endpoint.ip.to_string(), port: endpoint.port, mac }
    }
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
