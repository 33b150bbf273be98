//! Observations as lines of JSON: how the first stage of one machine tells the second of another what it saw.
//!
//! A shard's lines begin with one that says what it is of and end with one that says what it counted: so whoever reads them
//! knows what is missing.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::{
    event::InputSummary,
    observation::{Counters, Observation},
};

/// Version of the lines. Whoever reads them has the same version of the program, or one that reads this.
pub(super) const SCHEMA: &str = "keywitness-observation/1";

/// One line: exactly one of the three is there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line<O> {
    pub(super) schema: String,
    /// What follows is of this shard; the first line of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shard: Option<ShardLine>,
    /// What was observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) observation: Option<O>,
    /// That was all of a shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<EndLine>,
}

/// What a shard is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardLine {
    /// From 1.
    pub(super) number: u16,
    pub(super) analysis: Analysis,
}

/// What all shards of an analysis have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Analysis {
    /// Version of the program.
    pub(super) version: String,
    /// How many shards.
    pub(super) shards: u16,
    /// Names of the inputs, escaped.
    pub(super) inputs: Vec<String>,
    /// Whether keystrokes are told.
    pub(super) keystrokes: bool,
    /// Everything else that was asked for and changes what is observed.
    pub(super) options: Options,
}

/// Options that change what is observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Options {
    pub(super) vlan_key: bool,
    pub(super) all_flows: bool,
    /// In nanoseconds.
    pub(super) report_every: Option<i64>,
    pub(super) filter: Option<String>,
    pub(super) time_range: Option<String>,
    pub(super) max_flows: u32,
    pub(super) max_sessions: u32,
}

/// What a shard counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EndLine {
    /// From 1.
    pub(super) number: u16,
    /// Observations before this line.
    pub(super) observations: u64,
    pub(super) counters: Counters,
    pub(super) inputs: Vec<InputSummary>,
}

impl<O: Serialize> Line<O> {
    pub(super) fn shard(shard: ShardLine) -> Self {
        Self { shard: Some(shard), ..Self::empty() }
    }

    pub(super) fn observation(observation: O) -> Self {
        Self { observation: Some(observation), ..Self::empty() }
    }

    pub(super) fn end(end: EndLine) -> Self {
        Self { end: Some(end), ..Self::empty() }
    }

    fn empty() -> Self {
        Self { schema: SCHEMA.to_owned(), shard: None, observation: None, end: None }
    }
}

/// Writes the lines of one shard.
pub(super) struct Lines<W> {
    number: u16,
    written: u64,
    out: W,
}

impl<W: Write> Lines<W> {
    /// Begins with what it is of.
    pub(super) fn begin(shard: ShardLine, out: W) -> io::Result<Self> {
        let mut lines = Self { number: shard.number, written: 0, out };
        lines.write(&Line::<()>::shard(shard))?;
        Ok(lines)
    }

    pub(super) fn observation(&mut self, observation: &Observation) -> io::Result<()> {
        self.written += 1;
        self.write(&Line::observation(observation))
    }

    /// Ends with what was counted.
    pub(super) fn end(mut self, counters: Counters, inputs: Vec<InputSummary>) -> io::Result<()> {
        let end = EndLine { number: self.number, observations: self.written, counters, inputs };
        self.write(&Line::<()>::end(end))?;
        self.out.flush()
    }

    fn write<O: Serialize>(&mut self, line: &Line<O>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line).map_err(io::Error::from)?;
        self.out.write_all(b"\n")
    }
}
