//! Open Cybersecurity Schema Framework: Detection Finding.

use serde_json::{Value, json};

use super::{Alert, PRODUCT, Severity, VERSION, epoch_ms};

/// The version whose class this is.
const OCSF: &str = "1.3.0";

/// Detection Finding, of the category Findings.
const CLASS: u32 = 2004;

/// One JSON object on one line.
pub(super) fn write(alert: &Alert) -> String {
    let finding = &alert.finding;
    // A finding that escalates is the same one, updated.
    let (activity_id, activity_name) = if alert.revision == 0 { (1, "Create") } else { (2, "Update") };
    let (severity_id, severity) = severity(alert.severity);
    let (time, start) = (epoch_ms(&alert.time), epoch_ms(&alert.start));
    let attacks: Vec<Value> = finding.attack.iter().map(|uid| json!({"version": "14", "technique": {"uid": uid}})).collect();
    let end = |end: &super::End| json!({"ip": end.ip, "port": end.port});
    json!({
        "activity_id": activity_id,
        "activity_name": activity_name,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity_id,
        "type_name": format!("Detection Finding: {activity_name}"),
        "count": alert.repeats + 1,
        "time": time,
        "start_time": start,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": 1,
        "status": "New",
        "message": alert.message,
        "metadata": {
            "version": OCSF,
            "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": VERSION},
            "uid": alert.key(),
            "event_code": finding.id,
            "log_name": alert.sensor.as_deref().unwrap_or(PRODUCT),
        },
        "finding_info": {
            "uid": alert.alert_id,
            "title": alert.title(),
            "desc": finding.explanation,
            "types": [finding.basis],
            "created_time": time,
            "first_seen_time": start,
            "attacks": attacks,
        },
        "evidences": [{
            "src_endpoint": end(&alert.client),
            "dst_endpoint": end(&alert.server),
            "actor": {"user": {"name": alert.identity, "type_id": 0}},
            "data": json!({"session_id": alert.session_id, "community_id": alert.community_id, "protocol": alert.protocol}),
        }],
        "observables": [
            {"name": "evidences[].src_endpoint.ip", "type_id": 2, "type": "IP Address", "value": alert.client.ip},
            {"name": "evidences[].dst_endpoint.ip", "type_id": 2, "type": "IP Address", "value": alert.server.ip},
            {"name": "evidences[].actor.user.name", "type_id": 4, "type": "User Name", "value": alert.identity},
        ],
        "unmapped": {
            "measured": finding.measured,
            "expected": finding.expected,
            "margin": finding.margin,
            "unit": finding.unit,
            "samples": finding.samples,
            "innocent_causes": finding.innocent_causes,
            "claimed_place": alert.claim.matched_place,
            "distance_km": alert.claim.distance_km,
            "claim_source": alert.claim.source,
            "claims_sha256": alert.claim.claims_sha256,
            "quality_score": alert.quality.score,
            "limits": alert.limits,
        },
    })
    .to_string()
}

const fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}
