//! CSV: a header and one row a session (or other flow), quoted by RFC 4180, lines ended by a line feed. Numbers and texts are those of the
//! `session` record; what is null there is empty here.
//!
//! Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, and anybody can send a version line: such texts
//! get a `'` in front, which spreadsheets do not show. Columns are only ever added at the end.

use serde_json::Value;

use super::{Context, Format, record::SessionRecord};
use crate::{
    event::{Event, SessionEvent, Summary},
    observation::SessionState,
};

/// Columns, and where their values are in the `session` record. `*` stands for every entry; several are joined by `; `.
const COLUMNS: &[(&str, &str)] = &[
    ("session_id", "/session_id"),
    ("start", "/start"),
    ("end", "/end"),
    ("duration_ms", "/duration_ms"),
    ("state", "/state"),
    ("sensor", "/sensor"),
    ("input", "/input"),
    ("protocol", "/protocol"),
    ("client_ip", "/client/ip"),
    ("client_port", "/client/port"),
    ("server_ip", "/server/ip"),
    ("server_port", "/server/port"),
    ("client_version", "/details/client_version"),
    ("server_version", "/details/server_version"),
    ("hassh", "/details/hassh"),
    ("hassh_server", "/details/hassh_server"),
    ("client_packets", "/traffic/client/packets"),
    ("server_packets", "/traffic/server/packets"),
    ("client_gaps", "/traffic/client/gaps"),
    ("server_gaps", "/traffic/server/gaps"),
    ("rtt_client_samples", "/rtt/client/samples"),
    ("rtt_client_floor_ms", "/rtt/client/floor_ms"),
    ("rtt_client_p50_ms", "/rtt/client/p50_ms"),
    ("rtt_client_p95_ms", "/rtt/client/p95_ms"),
    ("rtt_server_floor_ms", "/rtt/server/floor_ms"),
    ("keystrokes", "/keystrokes/count"),
    ("keystrokes_silent", "/keystrokes/silent"),
    ("input_kind", "/keystrokes/input_kind"),
    ("interval_p50_ms", "/keystrokes/interval_ms/p50"),
    ("echo_p50_ms", "/keystrokes/echo_ms/p50"),
    ("obfuscated_keystrokes", "/details/obfuscated_keystrokes"),
    ("identity", "/claim/identity"),
    ("claimed_place", "/claim/matched_place"),
    ("distance_km", "/claim/distance_km"),
    ("verdict", "/verdict"),
    ("findings", "/findings/*/id"),
    ("severities", "/findings/*/severity"),
    ("explanations", "/findings/*/explanation"),
    ("tests", "/tests/*/outcome"),
    ("reasons", "/tests/*/reason"),
    ("community_id", "/community_id"),
    ("quality_score", "/quality/score"),
    ("transport", "/transport"),
    ("rtt_client_handshake_ms", "/rtt/client/handshake_ms"),
    ("rtt_client_min_ms", "/rtt/client/min_ms"),
    ("rtt_server_min_ms", "/rtt/server/min_ms"),
    ("app_rtt_client_floor_ms", "/app_rtt/client/floor_ms"),
    ("app_rtt_excess_ms", "/app_rtt/excess_ms"),
    ("app_rtt_terminal_excess_ms", "/app_rtt/terminal/excess_ms"),
];

/// Writes a row as each session becomes known.
#[derive(Debug)]
pub struct Csv {
    context: Context,
    begun: bool,
}

impl Csv {
    /// With what is the same in all rows.
    #[must_use]
    pub const fn new(context: Context) -> Self {
        Self { context, begun: false }
    }

    /// Adds the header, once.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            row(COLUMNS.iter().map(|(name, _)| (*name).to_owned()), out);
        }
    }

    fn session(&self, session: &SessionEvent, out: &mut Vec<u8>) {
        let record = SessionRecord::new(session, &self.context);
        // Plain structs of numbers and strings always serialise.
        let record = serde_json::to_value(&record).unwrap_or_default();
        row(COLUMNS.iter().map(|(_, path)| cell(&record, path)), out);
    }
}

impl Format for Csv {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        self.begin(out);
        match event {
            Event::Session(session) if session.report.state == SessionState::Open => {} // its row comes when it ends
            Event::Session(session) => self.session(session, out),
            Event::Keystroke(_) => {} // refused with this format
            Event::Alert(_) => {}     // its finding stands in the row of its session
        }
    }

    fn finish(&mut self, _: &Summary, out: &mut Vec<u8>) {
        self.begin(out);
    }

    fn begin_file(&mut self, is_new: bool) {
        self.begun = !is_new;
    }

    fn rename(&mut self, sensor: Option<String>) {
        self.context.sensor = sensor;
    }
}

fn row(cells: impl Iterator<Item = String>, out: &mut Vec<u8>) {
    let mut writer = ::csv::Writer::from_writer(out);
    // A vector takes everything.
    let _ = writer.write_record(cells.map(String::into_bytes)).and_then(|()| Ok(writer.flush()?));
}

fn cell(record: &Value, path: &str) -> String {
    let text = match path.split_once("/*") {
        None => return record.pointer(path).map_or_else(String::new, plain),
        Some((list, field)) => {
            let entries = record.pointer(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            entries.iter().filter_map(|entry| entry.pointer(field)?.as_str()).collect::<Vec<_>>().join("; ")
        }
    };
    harmless(&text)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text),
        other => other.to_string(),
    }
}

/// No formula. Tabs and line ends, which some spreadsheets skip before one, are escaped already.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formulas_are_disarmed_and_numbers_left_alone() {
        let record = json!({"a": "=1+1", "b": -3.5, "c": "-", "d": null, "e": "SSH-2.0-x", "f": true, "g": "@x"});
        for (path, text) in
            [("/a", "'=1+1"), ("/b", "-3.5"), ("/c", "'-"), ("/d", ""), ("/e", "SSH-2.0-x"), ("/f", "true"), ("/g", "'@x")]
        {
            assert_eq!(cell(&record, path), text);
        }
        assert_eq!(cell(&record, "/none"), "");
    }

    #[test]
    fn lists_are_joined() {
        let record = json!({"findings": [{"id": "a"}, {"id": "b"}], "none": []});
        assert_eq!(cell(&record, "/findings/*/id"), "a; b");
        assert_eq!(cell(&record, "/none/*/id"), "");
    }

    #[test]
    fn quotes_and_commas_are_quoted() {
        let mut out = Vec::new();
        row(["a,b", "say \"x\"", "", "plain"].map(str::to_owned).into_iter(), &mut out);
        assert_eq!(out, b"\"a,b\",\"say \"\"x\"\"\",,plain\n");
    }
}
