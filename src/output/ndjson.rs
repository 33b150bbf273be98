//! NDJSON: one object a line, as the contract names the fields.

use serde::Serialize;

use super::{
    Context, Format,
    record::{AlertRecord, KeystrokeRecord, SessionRecord, SummaryRecord},
};
use crate::event::{Event, Summary};

/// Writes each record as it becomes known.
#[derive(Debug)]
pub struct Ndjson {
    context: Context,
}

impl Ndjson {
    /// With what is the same in all records.
    #[must_use]
    pub const fn new(context: Context) -> Self {
        Self { context }
    }
}

impl Format for Ndjson {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        let sensor = self.context.sensor.as_deref();
        match event {
            Event::Session(session) => {
                line(out, &SessionRecord::new(session, &self.context));
            }
            Event::Keystroke(keystroke) => line(out, &KeystrokeRecord::new(keystroke, sensor)),
            Event::Alert(alert) => line(out, &AlertRecord::new(alert, &self.context)),
        }
    }

    fn finish(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        line(out, &SummaryRecord::new(summary, self.context.sensor.as_deref()));
    }

    fn rename(&mut self, sensor: Option<String>) {
        self.context.sensor = sensor;
    }
}

pub(super) fn line(out: &mut Vec<u8>, record: &impl Serialize) {
    let before = out.len();
    // Plain structs of numbers and strings always serialise; a half-written line would be worse than none.
    match serde_json::to_writer(&mut *out, record) {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(before),
    }
}
