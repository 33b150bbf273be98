//! From events to bytes. Formatters are pure: they fill a buffer, and whoever runs them writes it.

pub mod alert;
pub mod answer;
pub mod archive;
pub mod audit;
pub mod check;
mod csv;
pub mod escape;
pub mod matches;
pub mod metrics;
mod ndjson;
mod record;
pub mod schema;
pub mod spool;
mod table;

pub use self::csv::Csv;
pub use ndjson::Ndjson;
pub use table::Table;

use crate::event::{AlertEvent, Event, Summary};

/// An alert as its record, without the end of a line: what a spool keeps and destinations are written from.
#[must_use]
pub fn alert_record(alert: &AlertEvent, context: &Context) -> Vec<u8> {
    let mut out = Vec::new();
    ndjson::line(&mut out, &record::AlertRecord::new(alert, context));
    out.pop();
    out
}

/// A way to write events.
pub trait Format {
    /// Adds what there is to write of an event.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);

    /// Adds what comes last.
    fn finish(&mut self, summary: &Summary, out: &mut Vec<u8>);

    /// What is written goes to another file from here on; `is_new` says whether that holds nothing yet.
    fn begin_file(&mut self, _is_new: bool) {}

    /// The sensor has another name from here on.
    fn rename(&mut self, _sensor: Option<String>) {}
}

/// What is the same in all records of a run.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The sensor's name.
    pub sensor: Option<String>,
    /// The inputs as given, by position; escaped.
    pub inputs: Vec<String>,
    /// Who stamped the frames.
    pub timestamps: TimestampSource,
}

/// Who stamped the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampSource {
    /// Whoever wrote the capture file.
    #[default]
    File,
    /// The kernel of the machine that captures.
    Host,
    /// Its network card.
    Adapter,
}

impl TimestampSource {
    /// The name in records.
    const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Host => "host",
            Self::Adapter => "adapter",
        }
    }
}

impl Context {
    /// The name of an input.
    fn input(&self, position: u32) -> Option<&str> {
        self.inputs.get(position as usize).map(String::as_str)
    }
}
