//! Headers of syslog, and structured data: RFC 5424, and for old collectors RFC 3164.

use std::{fmt::Write as _, str::FromStr};

use super::{Alert, PRODUCT, Severity, Style};

/// Name of our structured data. A name without a registered number has `@` and one (RFC 5424, section 7): this is the number that is
/// set aside for examples (RFC 5612), since we have none.
const SD_ID: &str = "keywitness@32473";

/// The longest host name that RFC 5424 allows, in bytes.
const LONGEST_HOST: usize = 255;

/// What stands in front of every message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// RFC 5424, with microseconds.
    #[default]
    Rfc5424,
    /// RFC 3164: no year, no zone (it is UTC), seconds.
    Rfc3164,
    /// The same without a host: what the socket of a local syslog is given.
    Local,
}

/// Facilities of syslog by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

/// Security messages that not everybody may read: they name people.
const AUTHPRIV: Facility = Facility(10);

const FACILITIES: &[(&str, u8)] = &[
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("audit", 13),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl Default for Facility {
    fn default() -> Self {
        AUTHPRIV
    }
}

impl FromStr for Facility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FACILITIES.iter().find(|(name, _)| *name == text);
        found.map(|(_, number)| Self(*number)).ok_or_else(|| {
            let names: Vec<_> = FACILITIES.iter().map(|(name, _)| *name).collect();
            format!("\"{text}\" is not one of {}", names.join(", "))
        })
    }
}

/// A message behind its header.
pub(super) fn message(alert: &Alert, style: Style, payload: &str) -> String {
    match style.header {
        Header::Rfc5424 => format!("{} - {payload}", header(alert, style)),
        Header::Rfc3164 | Header::Local => format!("{}{payload}", header(alert, style)),
    }
}

/// Structured data and one sentence. RFC 3164 has no place for the data: it stands in front of the sentence all the same.
pub(super) fn structured(alert: &Alert, style: Style) -> String {
    let mut out = header(alert, style);
    if style.header == Header::Rfc5424 {
        out.push(' ');
    }
    let _ = write!(out, "[{SD_ID}");
    for (name, value) in fields(alert) {
        let _ = write!(out, " {name}=\"{}\"", value_of_param(&value));
    }
    let _ = write!(out, "] {}", alert.message);
    out
}

/// What RFC 5424 has before the structured data, RFC 3164 before the content.
fn header(alert: &Alert, style: Style) -> String {
    let priority = u32::from(style.facility.0) * 8 + level(alert.severity);
    let time = alert.time.parse::<jiff::Timestamp>().unwrap_or_default();
    let host = alert.sensor.as_deref().map(host).filter(|host| !host.is_empty());
    match style.header {
        Header::Rfc5424 => {
            let host = host.unwrap_or_else(|| "-".to_owned());
            format!("<{priority}>1 {time:.6} {host} {PRODUCT} - {}", name(&alert.finding.id))
        }
        Header::Rfc3164 => {
            let host = host.unwrap_or_else(|| PRODUCT.to_owned());
            format!("<{priority}>{} {host} {PRODUCT}: ", date(time))
        }
        Header::Local => format!("<{priority}>{} {PRODUCT}: ", date(time)),
    }
}

/// As RFC 3164 has it, in UTC.
fn date(time: jiff::Timestamp) -> String {
    time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%b %e %H:%M:%S").to_string()
}

/// Severity as syslog counts.
const fn level(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 6,
        Severity::Low => 5,
        Severity::Medium => 4,
        Severity::High => 3,
        Severity::Critical => 2,
    }
}

/// The name of a sensor as that of a host: printable ASCII without spaces. `:` and `[` would end it in RFC 3164.
fn host(sensor: &str) -> String {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    sensor.chars().map(|c| if is_fit(c) { c } else { '-' }).take(LONGEST_HOST).collect()
}

/// A finding's name as the identifier of a message: at most 32 printable ASCII characters.
fn name(finding: &str) -> String {
    let name: String = finding.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// RFC 5424, section 6.3.3: these three are escaped, and nothing else.
fn value_of_param(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The parameters of structured data, in order.
fn fields(alert: &Alert) -> Vec<(&'static str, String)> {
    let finding = &alert.finding;
    let optional = |value: Option<String>| value.unwrap_or_default();
    let mut fields = vec![
        ("alert_id", alert.alert_id.clone()),
        ("revision", alert.revision.to_string()),
        ("repeats", alert.repeats.to_string()),
        ("session_id", alert.session_id.clone()),
        ("community_id", alert.community_id.clone()),
        ("protocol", alert.protocol.clone()),
        ("start", alert.start.clone()),
        ("identity", alert.identity.clone()),
        ("client_ip", alert.client.ip.clone()),
        ("client_port", alert.client.port.to_string()),
        ("server_ip", alert.server.ip.clone()),
        ("server_port", alert.server.port.to_string()),
        ("severity", alert.severity.name().to_owned()),
        ("finding", finding.id.clone()),
        ("basis", finding.basis.clone()),
        ("measured", finding.measured.to_string()),
        ("expected", finding.expected.to_string()),
        ("margin", finding.margin.to_string()),
        ("unit", finding.unit.clone()),
        ("samples", finding.samples.to_string()),
        ("claimed_place", optional(alert.claim.matched_place.clone())),
        ("distance_km", optional(alert.claim.distance_km.map(|km| km.to_string()))),
        ("claim_source", alert.claim.source.clone()),
        ("claims_sha256", alert.claim.claims_sha256.clone()),
        ("quality", optional(alert.quality.score.map(|score| score.to_string()))),
        ("attack", finding.attack.join(",")),
        ("innocent_causes", finding.innocent_causes.join("; ")),
        ("limits", alert.limits.join(" ")),
    ];
    fields.retain(|(_, value)| !value.is_empty());
    fields
}
