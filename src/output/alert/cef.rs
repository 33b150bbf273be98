//! ArcSight's Common Event Format, version 0 ("Implementing ArcSight Common Event Format", version 25).

use std::{fmt::Write as _, net::IpAddr};

use super::{Alert, PRODUCT, Severity, VERSION, epoch_ms};

/// `CEF:0|vendor|product|version|class|name|severity|key=value …`.
pub(super) fn write(alert: &Alert) -> String {
    let [class, name] = [alert.finding.id.as_str(), &alert.title()].map(in_header);
    let severity = severity(alert.severity);
    let mut out = format!("CEF:0|{PRODUCT}|{PRODUCT}|{VERSION}|{class}|{name}|{severity}|");
    for (position, (key, value)) in extension(alert).into_iter().enumerate() {
        let space = if position == 0 { "" } else { " " };
        let _ = write!(out, "{space}{key}={}", in_extension(&value));
    }
    out
}

/// 0 to 10; 7 and above are high, 9 and above very high.
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 3,
        Severity::Medium => 6,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}

/// In the header a pipe and a backslash are escaped.
fn in_header(text: &str) -> String {
    escaped(text, |c| matches!(c, '|' | '\\'))
}

/// Behind it an equals sign and a backslash are.
fn in_extension(text: &str) -> String {
    escaped(text, |c| matches!(c, '=' | '\\'))
}

fn escaped(text: &str, is_meta: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_meta(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// An address under the key for its version: `src` and `dst` are IPv4 by definition.
fn address(ip: &str, version4: &'static str, version6: [&'static str; 2], label: &str) -> Vec<(&'static str, String)> {
    if ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
        let [key, key_label] = version6;
        return vec![(key, ip.to_owned()), (key_label, label.to_owned())];
    }
    vec![(version4, ip.to_owned())]
}

fn extension(alert: &Alert) -> Vec<(&'static str, String)> {
    let finding = &alert.finding;
    let mut fields = vec![
        ("rt", epoch_ms(&alert.time).to_string()),
        ("start", epoch_ms(&alert.start).to_string()),
        ("externalId", alert.key()),
        ("cnt", (alert.repeats + 1).to_string()),
        ("cat", finding.basis.clone()),
        ("app", alert.protocol.clone()),
        ("suser", alert.identity.clone()),
    ];
    fields.extend(address(&alert.client.ip, "src", ["c6a2", "c6a2Label"], "Source IPv6 Address"));
    fields.push(("spt", alert.client.port.to_string()));
    fields.extend(address(&alert.server.ip, "dst", ["c6a3", "c6a3Label"], "Destination IPv6 Address"));
    fields.push(("dpt", alert.server.port.to_string()));
    if let Some(sensor) = &alert.sensor {
        fields.push(("dvchost", sensor.clone()));
    }
    let mut labelled = |key, label, name: &str, value: String| {
        if !value.is_empty() {
            fields.extend([(key, value), (label, name.to_owned())]);
        }
    };
    labelled("cn1", "cn1Label", "Revision", alert.revision.to_string());
    labelled("cn2", "cn2Label", "Samples", finding.samples.to_string());
    let unit = &finding.unit;
    labelled("cfp1", "cfp1Label", &format!("Measured {unit}"), finding.measured.to_string());
    labelled("cfp2", "cfp2Label", &format!("Expected {unit}"), finding.expected.to_string());
    labelled("cfp3", "cfp3Label", &format!("Margin {unit}"), finding.margin.to_string());
    labelled("cs1", "cs1Label", "Session", alert.session_id.clone());
    labelled("cs2", "cs2Label", "Community ID", alert.community_id.clone());
    labelled("cs3", "cs3Label", "Claimed place", alert.claim.matched_place.clone().unwrap_or_default());
    labelled("cs4", "cs4Label", "ATT&CK", finding.attack.join(","));
    labelled("cs5", "cs5Label", "Innocent causes", finding.innocent_causes.join("; "));
    labelled("cs6", "cs6Label", "Limits", alert.limits.join(" "));
    fields.push(("msg", alert.message.clone()));
    fields
}
