//! `alert`.

use serde::Serialize;

use super::{ClaimRecord, EndpointRecord, FindingRecord, Head, rfc3339};
use crate::{event::AlertEvent, output::escape};

/// An `alert` record.
#[derive(Serialize)]
pub(in crate::output) struct AlertRecord<'a> {
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

impl<'a> AlertRecord<'a> {
    pub(in crate::output) fn new(event: &'a AlertEvent, sensor: Option<&'a str>) -> Self {
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
