//! Zeek's `dhcp.log`, tab-separated with a `#fields` line or one JSON object a line.
//!
//! A line that saw an acknowledgement is a lease of `assigned_addr` (of `client_addr` where that is missing) for `lease_time`; a
//! release or a decline ends the lease of `client_addr`. Who it is: the first of `host_name`, `client_fqdn` and `mac`
//! that is an identity of the claims. All three are what the client says of itself.

use std::{collections::HashMap, net::IpAddr};

use serde_json::Value;

use super::{Lease, problem, span, time};
use crate::{
    judge::claim::Problem,
    time::{Span, Timestamp},
};

/// The fields that name the client, in the order in which they are tried.
const NAMES: [&str; 3] = ["host_name", "client_fqdn", "mac"];

pub(super) fn read_tsv(text: &str) -> Result<Vec<Lease>, Vec<Problem>> {
    let mut fields: Vec<&str> = Vec::new();
    let mut log = Log::default();
    for (at, line) in text.lines().enumerate() {
        if let Some(names) = line.strip_prefix("#fields\t") {
            fields = names.split('\t').collect();
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            log.add(at + 1, tsv_entry(at + 1, line, &fields));
        }
    }
    log.finish()
}

pub(super) fn read_json(text: &str) -> Result<Vec<Lease>, Vec<Problem>> {
    let mut log = Log::default();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let object = serde_json::from_str::<Value>(line);
        let entry = object.map_err(|error| problem(at + 1, "json", error.to_string())).and_then(|object| {
            let fields = object.as_object().ok_or_else(|| problem(at + 1, "json", "is not an object"))?;
            Entry::new(at + 1, |name| fields.get(name).map(plain).unwrap_or_default())
        });
        log.add(at + 1, entry);
    }
    log.finish()
}

fn tsv_entry(number: usize, line: &str, fields: &[&str]) -> Result<Entry, Problem> {
    let cells: Vec<&str> = line.split('\t').collect();
    if fields.is_empty() {
        return Err(problem(number, "#fields", "stands nowhere above this line"));
    }
    if cells.len() != fields.len() {
        return Err(problem(number, "row", format!("has {} fields, the #fields line {}", cells.len(), fields.len())));
    }
    Entry::new(number, |name| {
        let cell = fields.iter().zip(&cells).find(|(field, _)| **field == name).map_or("", |(_, cell)| *cell);
        if ["-", "(empty)"].contains(&cell) { String::new() } else { cell.to_owned() }
    })
}

/// A JSON value as the tab-separated form writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// What one line says.
struct Entry {
    time: Timestamp,
    event: Event,
}

enum Event {
    Leased { ip: IpAddr, lasts: Option<Span>, names: Vec<String> },
    Ended { ip: IpAddr },
    Nothing,
}

impl Entry {
    /// From the fields of a line; those that are not set are empty.
    fn new(line: usize, field: impl Fn(&str) -> String) -> Result<Self, Problem> {
        let ts = field("ts");
        let time = time(&ts).ok_or_else(|| problem(line, "ts", format!("\"{ts}\" is not a time")))?;
        let address = |name: &str| match field(name) {
            empty if empty.is_empty() => Ok(None),
            text => text.parse::<IpAddr>().map(Some).map_err(|_| problem(line, name, format!("\"{text}\" is not an address"))),
        };
        let (client, assigned) = (address("client_addr")?, address("assigned_addr")?);
        let messages = field("msg_types");
        let saw = |message: &str| messages.split(',').any(|seen| seen == message);
        let event = if let (true, Some(ip)) = (saw("RELEASE") || saw("DECLINE"), client.or(assigned)) {
            Event::Ended { ip }
        } else if let (true, Some(ip)) = (messages.is_empty() || saw("ACK"), assigned.or(client)) {
            Event::Leased { ip, lasts: lease_time(line, &field("lease_time"))?, names: names(field) }
        } else {
            Event::Nothing
        };
        Ok(Self { time, event })
    }
}

fn lease_time(line: usize, text: &str) -> Result<Option<Span>, Problem> {
    let wrong = || problem(line, "lease_time", format!("\"{text}\" is not a number of seconds"));
    if text.is_empty() { Ok(None) } else { span(text).map(Some).ok_or_else(wrong) }
}

fn names(field: impl Fn(&str) -> String) -> Vec<String> {
    let written = NAMES.map(|name| if name == "mac" { field(name).to_ascii_lowercase() } else { field(name) });
    written.into_iter().filter(|name| !name.is_empty()).collect()
}

/// Collects what the lines say.
#[derive(Default)]
struct Log {
    entries: Vec<(usize, Entry)>,
    problems: Vec<Problem>,
}

impl Log {
    fn add(&mut self, line: usize, entry: Result<Entry, Problem>) {
        match entry {
            Ok(entry) => self.entries.push((line, entry)),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Puts the ends to the leases, in the order of time: Zeek writes a line when an exchange is over.
    fn finish(mut self) -> Result<Vec<Lease>, Vec<Problem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        self.entries.sort_by_key(|(line, entry)| (entry.time, *line));
        let mut leases: Vec<Lease> = Vec::with_capacity(self.entries.len());
        let mut last: HashMap<IpAddr, usize> = HashMap::new();
        for (line, Entry { time: start, event }) in self.entries {
            match event {
                Event::Leased { ip, lasts, names } if !names.is_empty() => {
                    last.insert(ip, leases.len());
                    let end = lasts.map(|lasts| Timestamp::from_nanos(start.as_nanos().saturating_add(lasts.as_nanos())));
                    leases.push(Lease { ip, start, end, names, line });
                }
                Event::Ended { ip } => {
                    if let Some(lease) = last.get(&ip).and_then(|at| leases.get_mut(*at)) {
                        lease.end = Some(lease.end.map_or(start, |end| end.min(start)));
                    }
                }
                Event::Leased { .. } | Event::Nothing => {}
            }
        }
        Ok(leases)
    }
}
