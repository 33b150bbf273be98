//! From events to bytes. Formatters are pure: they fill a buffer, and whoever runs them writes it.

pub mod answer;
pub mod check;
mod csv;
pub mod escape;
pub mod matches;
pub mod metrics;
mod ndjson;
mod record;
pub mod schema;
mod table;

pub use self::csv::Csv;
pub use ndjson::Ndjson;
pub use table::Table;

use crate::event::{Event, Summary};

/// A way to write events.
pub trait Format {
    /// Adds what there is to write of an event.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);

    /// Adds what comes last.
    fn finish(&mut self, summary: &Summary, out: &mut Vec<u8>);
}

/// What is the same in all records of a run.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The sensor's name.
    pub sensor: Option<String>,
    /// The inputs as given, by position; escaped.
    pub inputs: Vec<String>,
}

impl Context {
    /// The name of an input.
    fn input(&self, position: u32) -> Option<&str> {
        self.inputs.get(position as usize).map(String::as_str)
    }
}
