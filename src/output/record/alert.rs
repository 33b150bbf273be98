//! `alert`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{ClaimRecord, EndpointRecord, FindingRecord, Head, quality::QualityRecord, rfc3339};
use crate::{
    event::AlertEvent,
    judge::Basis,
    output::{Context, escape},
};

/// An `alert` record.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct AlertRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// Stable over runs: hash of the five-tuple, the client's initial sequence number (else the first frame's time) and the
    /// finding's id.
    alert_id: &'a str,
    /// 0, then one more when the finding escalates; the delivery key is `alert_id` with `revision`.
    revision: u32,
    /// Alerts of the same identity, client address and finding that `--cool-down` held back since the last one.
    repeats: u64,
    /// When it was raised, in capture time, RFC 3339 UTC.
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// The session that it is about.
    session_id: String,
    /// Community ID, version 1, of the session.
    community_id: &'a str,
    /// Application protocol of the session.
    protocol: &'static str,
    /// When the session began, RFC 3339 UTC.
    #[schemars(extend("format" = "date-time"))]
    start: String,
    /// Who claims; escaped, or a pseudonym.
    identity: String,
    /// The end that types.
    client: EndpointRecord,
    /// The other end.
    server: EndpointRecord,
    /// Severity of the finding.
    #[schemars(extend("enum" = ["info", "low", "medium", "high", "critical"]))]
    severity: &'static str,
    /// What does not fit.
    finding: FindingRecord<'a>,
    /// The claim that it does not fit.
    claim: ClaimRecord<'a>,
    /// How good the capture of the session is.
    quality: QualityRecord,
    /// The whole of it in one sentence.
    message: String,
    /// What it does not say, by what it rests on: for whoever decides what is to follow.
    limits: [&'static str; 2],
}

impl<'a> AlertRecord<'a> {
    pub(in crate::output) fn new(event: &'a AlertEvent, context: &'a Context) -> Self {
        let identity = escape::text(event.claim.identity.as_bytes());
        Self {
            head: Head::new("alert", context.sensor.as_deref()),
            alert_id: &event.id,
            revision: event.revision,
            repeats: event.repeats,
            time: rfc3339(event.time),
            session_id: event.session.to_string(),
            community_id: &event.community_id,
            protocol: event.protocol.unwrap_or("unknown"),
            start: rfc3339(event.start),
            client: EndpointRecord::new(event.endpoints.client, None),
            server: EndpointRecord::new(event.endpoints.server, None),
            severity: event.finding.severity.name(),
            finding: FindingRecord::new(&event.finding),
            claim: ClaimRecord::new(&event.claim),
            quality: QualityRecord::new(&event.quality, context.timestamps),
            message: format!("{identity}: {}", event.finding.explanation),
            identity,
            limits: [limit(event.finding.basis), NOT_THE_PERSON],
        }
    }
}

/// Holds for every alert.
const NOT_THE_PERSON: &str = "It tells of network paths and programs, not of who types or why: it must not be the only reason for a decision about a \
                              person.";

/// What a basis does not bear.
fn limit(basis: Basis) -> &'static str {
    if basis == Basis::Physics {
        "It holds if the sensor's and the claimed place are entered right; it says that the client is nearer, not where it is."
    } else {
        "Some honest people, paths and programs exceed every model: look at the innocent causes first."
    }
}
