//! What was changed of a sensor's configuration and claims, as one line of JSON each: the file of `--audit`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{escape, ndjson::line, record::AuditRecord};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The sensor began to work.
    Start,
    /// Files were read again (SIGHUP), and hold from here on.
    Reload,
    /// Files were to be read again and have mistakes: what was in force before still is.
    Refused,
    /// The sensor ended.
    End,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// When, RFC 3339 UTC, by the sensor's own clock.
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// What happened: `start`, `reload`, `refused` (what was read again has mistakes, or a refusal like it, and what was in force before still is),
    /// `end`.
    pub event: What,
    /// Version of the program.
    pub version: &'static str,
    /// Numeric identifier of the user that the sensor runs as.
    pub user: u32,
    /// Its process.
    pub pid: u32,
    /// What was typed, word by word; escaped.
    pub arguments: Vec<String>,
    /// The files that say what the sensor does.
    pub files: Vec<File>,
    /// Whether a file is another one, or has other content, than at the last entry.
    pub changed: bool,
    /// Options that differ and wait for a restart.
    pub takes_restart: Vec<&'static str>,
    /// What was wrong, of `refused`; escaped. Null otherwise.
    pub mistakes: Option<String>,
    /// SHA-256 of the line before this one in the file, without its end, in hexadecimal; null for the first. So lines that were changed or
    /// taken out show.
    pub previous: Option<String>,
}

/// A file that says what the sensor does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// The option that names it.
    #[schemars(extend("enum" = ["config", "claims", "leases", "pseudonymize"]))]
    pub option: String,
    /// Its path as it was typed; escaped.
    pub path: String,
    /// SHA-256 of what was in force before, in hexadecimal; null where there was none.
    pub before: Option<String>,
    /// SHA-256 of what was read; null where it could not be, or is not used any more.
    pub after: Option<String>,
    /// Numeric identifier of the file's owner; null where it could not be found out.
    pub owner: Option<u32>,
    /// When it was last written to, RFC 3339 UTC; null where it could not be found out.
    #[schemars(extend("format" = "date-time"))]
    pub modified: Option<String>,
}

/// As far as a line tells what is in force.
#[derive(Debug, Deserialize)]
struct Line {
    event: What,
    files: Vec<File>,
}

/// What was in force behind a line: options and SHA-256; nothing where it is none.
#[must_use]
pub fn in_force(line: &[u8]) -> Vec<(String, String)> {
    let Ok(Line { event, files }) = serde_json::from_slice(line) else { return Vec::new() };
    let hash = |file: File| Some((file.option, if event == What::Refused { file.before } else { file.after }?));
    files.into_iter().filter_map(hash).collect()
}

/// Words, each escaped.
pub fn words(typed: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<String> {
    typed.into_iter().map(|word| escape::uncut(word.as_ref())).collect()
}

/// Adds an entry as one line of JSON.
pub fn ndjson(entry: &Entry, sensor: Option<&str>, out: &mut Vec<u8>) {
    line(out, &AuditRecord::new(entry, sensor));
}
