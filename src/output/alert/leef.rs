//! IBM QRadar's Log Event Extended Format, version 2.0.

use std::fmt::Write as _;

use super::{Alert, PRODUCT, Severity, VERSION, epoch_ms};

/// Stands between attributes. A tab, which is usual, is a control character that receivers of syslog write out.
const DELIMITER: char = '^';

/// `LEEF:2.0|vendor|product|version|event|delimiter|key=value^key=value…`.
pub(super) fn write(alert: &Alert) -> String {
    let event = without(&alert.finding.id, '|');
    let mut out = format!("LEEF:2.0|{PRODUCT}|{PRODUCT}|{VERSION}|{event}|{DELIMITER}|");
    for (position, (key, value)) in attributes(alert).into_iter().enumerate() {
        if position > 0 {
            out.push(DELIMITER);
        }
        let _ = write!(out, "{key}={}", without(&value, DELIMITER));
    }
    out
}

/// The format knows no escapes: what would end a value is written as [`super::escape`] writes what it lets nowhere.
fn without(text: &str, meta: char) -> String {
    text.replace(meta, &format!("\\u{{{:x}}}", u32::from(meta)))
}

/// 1 to 10.
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 3,
        Severity::Medium => 6,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}

fn attributes(alert: &Alert) -> Vec<(&'static str, String)> {
    let finding = &alert.finding;
    let mut attributes = vec![
        ("devTime", epoch_ms(&alert.time).to_string()),
        ("cat", finding.basis.clone()),
        ("sev", severity(alert.severity).to_string()),
        ("src", alert.client.ip.clone()),
        ("srcPort", alert.client.port.to_string()),
        ("dst", alert.server.ip.clone()),
        ("dstPort", alert.server.port.to_string()),
        ("usrName", alert.identity.clone()),
        ("alertId", alert.alert_id.clone()),
        ("revision", alert.revision.to_string()),
        ("repeats", alert.repeats.to_string()),
        ("sessionId", alert.session_id.clone()),
        ("communityId", alert.community_id.clone()),
        ("application", alert.protocol.clone()),
        ("measured", finding.measured.to_string()),
        ("expected", finding.expected.to_string()),
        ("margin", finding.margin.to_string()),
        ("unit", finding.unit.clone()),
        ("samples", finding.samples.to_string()),
        ("claimedPlace", alert.claim.matched_place.clone().unwrap_or_default()),
        ("sensor", alert.sensor.clone().unwrap_or_default()),
        ("attack", finding.attack.join(",")),
        ("innocentCauses", finding.innocent_causes.join("; ")),
        ("limits", alert.limits.join(" ")),
        ("msg", alert.message.clone()),
    ];
    attributes.retain(|(_, value)| !value.is_empty());
    attributes
}
