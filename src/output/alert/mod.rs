//! Alerts as those that collect them read them: syslog headers and what stands behind them.
//!
//! All are written from the alert's record and hold nothing else, so that the same record gives the same bytes in each format. A
//! string in a record came through [`escape::text`] once; each goes through [`escape::plain`] again here, since a record may
//! come from a file that others could write. What is left for a format is its own metacharacters.

mod cef;
mod ecs;
mod leef;
mod ocsf;
mod syslog;

use std::{fmt, str::FromStr};

use serde::Deserialize;
use serde_json::Value;

pub use self::syslog::{Facility, Header};
use super::escape;

/// Who wrote it, where a format asks for a product.
const PRODUCT: &str = "keywitness";

/// Its version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What stands behind the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// Structured data (RFC 5424, section 6.3) and one sentence.
    #[default]
    Structured,
    /// Common Event Format, version 0.
    Cef,
    /// Log Event Extended Format, version 2.0.
    Leef,
    /// Elastic Common Schema as JSON.
    Ecs,
    /// The same with the `@cee:` cookie in front, by which receivers know JSON.
    Cee,
    /// Open Cybersecurity Schema Framework: Detection Finding (class 2004) as JSON.
    Ocsf,
}

/// How an alert is written for a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// The header.
    pub header: Header,
    /// Who it is said to come from.
    pub facility: Facility,
    /// What stands behind.
    pub payload: Payload,
}

/// An alert's record, as far as formats need it. Fields of other versions are no mistake.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    sensor: Option<String>,
    /// Stable identifier.
    pub alert_id: String,
    /// With the identifier the delivery key.
    pub revision: u32,
    /// Alerts of the same matter that were held back before it.
    #[serde(default)]
    repeats: u64,
    time: String,
    session_id: String,
    community_id: String,
    protocol: String,
    start: String,
    identity: String,
    client: End,
    server: End,
    severity: Severity,
    finding: Finding,
    claim: Claim,
    quality: Quality,
    message: String,
    /// What it does not say.
    #[serde(default)]
    limits: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct End {
    ip: String,
    port: u16,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Clone, Debug, Deserialize)]
struct Finding {
    id: String,
    basis: String,
    measured: f64,
    expected: f64,
    margin: f64,
    unit: String,
    samples: u64,
    explanation: String,
    innocent_causes: Vec<String>,
    attack: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Claim {
    matched_place: Option<String>,
    distance_km: Option<f64>,
    source: String,
    claims_sha256: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Quality {
    score: Option<f64>,
}

/// A record that is none.
#[derive(Debug, thiserror::Error)]
#[error("not the record of an alert: {0}")]
pub struct NoAlert(String);

impl Alert {
    /// Reads a record.
    ///
    /// # Errors
    /// [`NoAlert`] where it is none, or its times are none.
    pub fn parse(record: &[u8]) -> Result<Self, NoAlert> {
        let wrong = |error: serde_json::Error| NoAlert(error.to_string());
        let mut value: Value = serde_json::from_slice(record).map_err(wrong)?;
        make_plain(&mut value);
        let alert: Self = serde_json::from_value(value).map_err(wrong)?;
        for time in [&alert.time, &alert.start] {
            time.parse::<jiff::Timestamp>().map_err(|error| NoAlert(error.to_string()))?;
        }
        Ok(alert)
    }

    /// As a message without framing: one line, in UTF-8, without its end.
    #[must_use]
    pub fn write(&self, style: Style) -> String {
        match style.payload {
            Payload::Structured => syslog::structured(self, style),
            payload => syslog::message(self, style, &self.body(payload)),
        }
    }

    /// As it stands behind a header.
    #[must_use]
    pub fn body(&self, payload: Payload) -> String {
        match payload {
            Payload::Structured => self.message.clone(),
            Payload::Cef => cef::write(self),
            Payload::Leef => leef::write(self),
            Payload::Ecs => ecs::write(self),
            Payload::Cee => format!("@cee: {}", ecs::write(self)),
            Payload::Ocsf => ocsf::write(self),
        }
    }

    /// The delivery key as one word.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.alert_id, self.revision)
    }

    /// The finding's name in words.
    fn title(&self) -> String {
        self.finding.id.replace('_', " ")
    }
}

/// Nothing in it but what shows as itself.
fn make_plain(value: &mut Value) {
    match value {
        Value::String(text) => *text = escape::plain(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(make_plain),
        Value::Object(fields) => fields.values_mut().for_each(make_plain),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Milliseconds since 1970 of a time in a record, which was seen to be one.
fn epoch_ms(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond)
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "text" => Self::Structured,
            "cef" => Self::Cef,
            "leef" => Self::Leef,
            "ecs" => Self::Ecs,
            "cee" => Self::Cee,
            "ocsf" => Self::Ocsf,
            _ => return Err(format!("\"{text}\" is not one of text, cef, leef, ecs, cee, ocsf")),
        })
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Structured => "text",
            Self::Cef => "cef",
            Self::Leef => "leef",
            Self::Ecs => "ecs",
            Self::Cee => "cee",
            Self::Ocsf => "ocsf",
        })
    }
}
