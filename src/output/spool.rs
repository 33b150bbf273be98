//! How the folder stands that alerts wait in for their delivery: as one line of JSON, and to read.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::{escape, ndjson::line, record::SpoolRecord};

/// How a spool stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Spool {
    /// Segments (files) on disk.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Alerts in them, delivered ones among them: a segment is dropped as a whole.
    pub records: u64,
    /// Number of the first alert in them; no number is used twice.
    pub first: u64,
    /// Number behind the last alert.
    pub end: u64,
    /// When the oldest segment was last written to, in seconds since 1970; null without one.
    pub oldest_written: Option<u64>,
    /// Bytes behind the last whole alert: of a write that goes on, or of a crash.
    pub unfinished_bytes: u64,
    /// What was dropped since the spool was made.
    pub lost: Lost,
    /// Each destination that was ever delivered to from here, in the order of their names.
    pub destinations: Vec<Destination>,
}

/// What was dropped before each destination had it, and why.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Lost {
    /// Alerts: the disk was full.
    pub disk_full: u64,
    /// Alerts: the spool was as large as it may be (`--spool-size`).
    pub size: u64,
    /// Alerts: they had waited as long as they may (`--spool-age`).
    pub age: u64,
    /// Alerts: the disk was slower than they came.
    pub queue: u64,
    /// Alerts: the disk failed otherwise, or a record was broken.
    pub disk_error: u64,
    /// Bytes behind the last whole alert that were cut off when the spool was opened: never accepted.
    pub cut_bytes: u64,
}

/// How a destination stands: at most some seconds old.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Destination {
    /// As it was typed.
    pub destination: String,
    /// Number of the first alert that it may not have.
    pub next: u64,
    /// Messages sent to it, again or for the first time, in all runs.
    pub sent: u64,
    /// Of these, again.
    pub sent_again: u64,
    /// Connections that were made, in all runs.
    pub connections: u64,
    /// Alerts that were gone, or too long, before they could be sent.
    pub lost: u64,
    /// Why it could not be reached the last time; null where it could.
    pub problem: Option<String>,
    /// Alerts on disk that it may not have.
    pub waiting: u64,
}

/// Adds it as one line of JSON.
pub fn ndjson(spool: &Spool, out: &mut Vec<u8>) {
    line(out, &SpoolRecord::new(spool));
}

/// Adds it as text; `name` is the folder, and `age_s` how long ago the oldest segment was last written to, in seconds.
pub fn text(name: &str, spool: &Spool, age_s: Option<u64>, out: &mut String) {
    let age = age_s.map_or_else(String::new, |waited| format!(", the oldest segment last written {waited} s ago"));
    let (name, Spool { records, bytes, segments, .. }) = (escape::uncut(name.as_bytes()), spool);
    let _ = writeln!(out, "{name}: {records} alerts in {bytes} bytes ({segments} segments{age})");
    if spool.unfinished_bytes > 0 {
        let _ = writeln!(out, "  {} bytes behind the last whole alert: being written, or of a crash", spool.unfinished_bytes);
    }
    if spool.destinations.is_empty() {
        out.push_str("  nothing was delivered from here yet\n");
    }
    for one in &spool.destinations {
        let name = escape::uncut(one.destination.as_bytes());
        let problem = one.problem.as_ref().map_or_else(String::new, |why| format!("; {}", escape::plain(why)));
        let Destination { waiting, sent, sent_again, connections, .. } = one;
        let _ = writeln!(
            out,
            "  {name}: {waiting} waiting, {sent} sent ({sent_again} of them again), {connections} connections{problem}"
        );
        if one.lost > 0 {
            let _ = writeln!(out, "    {} were dropped before it had them", one.lost);
        }
    }
    let Lost { disk_full, size, age, queue, disk_error, cut_bytes } = spool.lost;
    for (lost, why) in [
        (disk_full, "the disk was full"),
        (size, "the spool was as large as it may be"),
        (age, "they had waited as long as they may"),
        (queue, "the disk was slower than they came"),
        (disk_error, "the disk failed"),
    ] {
        if lost > 0 {
            let _ = writeln!(out, "  lost: {lost} alerts: {why}");
        }
    }
    if cut_bytes > 0 {
        let _ = writeln!(out, "  cut off when it was opened: {cut_bytes} bytes, never accepted");
    }
}
