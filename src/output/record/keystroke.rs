//! `keystroke`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Head, rfc3339};
use crate::{
    event::KeystrokeEvent,
    measure::keystroke::{KeyClass, KeystrokeKind},
    time::Span,
};

/// A `keystroke` record.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct KeystrokeRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// The session that it belongs to.
    session_id: String,
    /// When the packet that carried it passed the sensor, RFC 3339 UTC.
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// Position in the session, from 0.
    index: u64,
    /// What it is.
    #[schemars(extend("enum" = ["press", "release", "press_release", "repeat", "paste"]))]
    kind: &'static str,
    /// Kind of key, as far as lengths tell; never the key.
    #[schemars(extend("enum" = ["char", "edit", "navigation", "control", "unknown"]))]
    class: &'static str,
    /// Length of the SSH packet (or TLS record, or message) that carried it, in bytes.
    bytes: u32,
    /// Since the keystroke before, in milliseconds, by the client's own clock where its TCP sends timestamps; null for the
    /// first, behind a gap, and for a key that was sent again.
    interval_ms: Option<f64>,
    /// From key to echo at the sensor, in milliseconds; null without echo.
    echo_ms: Option<f64>,
    /// The last round trip to the client before it became known, in milliseconds; null before the first.
    client_rtt_ms: Option<f64>,
    /// What it was recognised by.
    method: &'static str,
    /// Chance that it is a keystroke, 0 to 1.
    confidence: f64,
}

impl<'a> KeystrokeRecord<'a> {
    pub(in crate::output) fn new(event: &KeystrokeEvent, sensor: Option<&'a str>) -> Self {
        let keystroke = &event.keystroke;
        Self {
            head: Head::new("keystroke", sensor),
            session_id: event.session.to_string(),
            time: rfc3339(keystroke.time),
            index: keystroke.index,
            kind: kind(keystroke.kind),
            class: class(keystroke.class),
            bytes: keystroke.bytes,
            interval_ms: keystroke.interval.map(Span::as_millis_f64),
            echo_ms: keystroke.echo.map(Span::as_millis_f64),
            client_rtt_ms: event.client_rtt.map(Span::as_millis_f64),
            method: keystroke.method.name(),
            confidence: keystroke.confidence,
        }
    }
}

pub(in crate::output) const fn kind(kind: KeystrokeKind) -> &'static str {
    match kind {
        KeystrokeKind::Press => "press",
        KeystrokeKind::Repeat => "repeat",
        KeystrokeKind::Release => "release",
        KeystrokeKind::Paste => "paste",
    }
}

pub(in crate::output) const fn class(class: KeyClass) -> &'static str {
    match class {
        KeyClass::Char => "char",
        KeyClass::Edit => "edit",
        KeyClass::Navigation => "navigation",
        KeyClass::Control => "control",
        KeyClass::Unknown => "unknown",
    }
}
