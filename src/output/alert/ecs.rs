//! Elastic Common Schema; what it has no field for is under `keywitness`.

use serde_json::json;

use super::{Alert, PRODUCT, Severity, VERSION};

/// The version whose fields these are.
const ECS: &str = "8.11.0";

/// One JSON object on one line.
pub(super) fn write(alert: &Alert) -> String {
    let finding = &alert.finding;
    json!({
        "@timestamp": alert.time,
        "ecs": {"version": ECS},
        "message": alert.message,
        "event": {
            "kind": "alert",
            "category": ["intrusion_detection"],
            "type": ["info"],
            "module": PRODUCT,
            "dataset": "keywitness.alert",
            "provider": PRODUCT,
            "id": alert.key(),
            "code": finding.id,
            "severity": severity(alert.severity),
            "start": alert.start,
            "reason": finding.explanation,
        },
        "rule": {"id": finding.id, "name": alert.title(), "category": finding.basis},
        "source": {"ip": alert.client.ip, "port": alert.client.port, "user": {"name": alert.identity}},
        "destination": {"ip": alert.server.ip, "port": alert.server.port},
        "network": {"community_id": alert.community_id, "protocol": alert.protocol},
        "user": {"name": alert.identity},
        "related": {"ip": [alert.client.ip, alert.server.ip], "user": [alert.identity]},
        "observer": {"name": alert.sensor, "vendor": PRODUCT, "product": PRODUCT, "type": "sensor", "version": VERSION},
        "threat": {"framework": "MITRE ATT&CK", "technique": {"id": finding.attack}},
        "keywitness": {
            "alert_id": alert.alert_id,
            "revision": alert.revision,
            "repeats": alert.repeats,
            "session_id": alert.session_id,
            "severity": alert.severity.name(),
            "finding": {
                "id": finding.id,
                "basis": finding.basis,
                "measured": finding.measured,
                "expected": finding.expected,
                "margin": finding.margin,
                "unit": finding.unit,
                "samples": finding.samples,
                "innocent_causes": finding.innocent_causes,
            },
            "claim": {
                "matched_place": alert.claim.matched_place,
                "distance_km": alert.claim.distance_km,
                "source": alert.claim.source,
                "claims_sha256": alert.claim.claims_sha256,
            },
            "limits": alert.limits,
            "quality": {"score": alert.quality.score},
        },
    })
    .to_string()
}

/// As Elastic's own rules score severities, 0 to 100.
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 21,
        Severity::Medium => 47,
        Severity::High => 73,
        Severity::Critical => 99,
    }
}
