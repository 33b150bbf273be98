//! `keystroke`.

use serde::Serialize;

use super::{Head, rfc3339};
use crate::{
    event::KeystrokeEvent,
    measure::keystroke::{KeyClass, KeystrokeKind},
    time::Span,
};

/// A `keystroke` record.
#[derive(Serialize)]
pub(in crate::output) struct KeystrokeRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    session_id: String,
    time: String,
    index: u64,
    kind: &'static str,
    class: &'static str,
    bytes: u32,
    interval_ms: Option<f64>,
    echo_ms: Option<f64>,
    client_rtt_ms: Option<f64>,
    method: &'static str,
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
