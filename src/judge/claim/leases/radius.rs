//! RADIUS accounting as FreeRADIUS writes it to `detail` files: blocks of attributes, with empty lines between them.
//!
//! `User-Name` had `Framed-IP-Address` (or `Framed-IPv6-Address`) from `Start` to `Stop`. Where the file begins or ends inside a session,
//! `Acct-Session-Time` of an interim update or of the `Stop` says when it began. `Accounting-On` and `Accounting-Off`
//! end all sessions of their access server. The time is `Timestamp`, which FreeRADIUS adds, less
//! `Acct-Delay-Time`; `Event-Timestamp` where that is missing.

use std::{collections::HashMap, net::IpAddr};

use jiff::{civil::DateTime, tz::TimeZone};

use super::{Lease, epoch, problem, span};
use crate::{
    judge::claim::Problem,
    time::{Span, Timestamp},
};

pub(super) fn read(text: &str) -> Result<Vec<Lease>, Vec<Problem>> {
    let mut accounting = Accounting::default();
    let mut problems = Vec::new();
    for block in blocks(text) {
        if let Err(problem) = accounting.add(&block) {
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(accounting.leases) } else { Err(problems) }
}

/// The attributes of one message.
struct Block<'a> {
    /// Line that it begins on.
    line: usize,
    attributes: HashMap<&'a str, String>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut current: Option<Block<'_>> = None;
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            blocks.extend(current.take());
            continue;
        }
        let block = current.get_or_insert_with(|| Block { line: at + 1, attributes: HashMap::new() });
        if let (true, Some((name, value))) = (line.starts_with([' ', '\t']), line.split_once('=')) {
            block.attributes.entry(name.trim()).or_insert_with(|| unquoted(value.trim()));
        }
    }
    blocks.extend(current);
    blocks
}

/// A value without its quotes; a backslash stands for the character behind it.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else { return value.to_owned() };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        out.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    out
}

impl Block<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn ip(&self) -> Result<Option<IpAddr>, Problem> {
        let name = if self.text("Framed-IP-Address").is_some() { "Framed-IP-Address" } else { "Framed-IPv6-Address" };
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.problem(name, format!("\"{text}\" is not an address")))
    }

    fn time(&self) -> Result<Timestamp, Problem> {
        let delay = self.seconds("Acct-Delay-Time")?.unwrap_or(Span::ZERO);
        if let Some(text) = self.text("Timestamp") {
            let time =
                epoch(text).ok_or_else(|| self.problem("Timestamp", format!("\"{text}\" is not in seconds since 1970")))?;
            return Ok(before(time, delay));
        }
        let text = self.text("Event-Timestamp").ok_or_else(|| self.problem("Timestamp", "is missing"))?;
        let message = || format!("\"{text}\" is neither in seconds since 1970 nor as in \"Nov 20 2026 09:00:00 UTC\"");
        epoch(text).or_else(|| written_time(text)).ok_or_else(|| self.problem("Event-Timestamp", message()))
    }

    fn seconds(&self, name: &str) -> Result<Option<Span>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        span(text).map(Some).ok_or_else(|| self.problem(name, format!("\"{text}\" is not a number of seconds")))
    }

    fn problem(&self, field: &str, message: impl AsRef<str>) -> Problem {
        problem(self.line, field, message)
    }
}

/// "Nov 20 2026 09:00:00 UTC"; other zones have no one meaning.
fn written_time(text: &str) -> Option<Timestamp> {
    let utc = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"))?;
    let time = DateTime::strptime("%b %d %Y %H:%M:%S", utc).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    i64::try_from(time.as_nanosecond()).ok().map(Timestamp::from_nanos)
}

fn before(time: Timestamp, span: Span) -> Timestamp {
    Timestamp::from_nanos(time.as_nanos().saturating_sub(span.as_nanos()))
}

/// Which session of an access server: the server, and the identifier that it gave.
type Session = (String, String);

#[derive(Default)]
struct Accounting {
    leases: Vec<Lease>,
    /// Positions of leases that have not ended.
    open: HashMap<Session, usize>,
}

impl Accounting {
    fn add(&mut self, block: &Block<'_>) -> Result<(), Problem> {
        let server = ["NAS-IP-Address", "NAS-IPv6-Address", "NAS-Identifier"].into_iter().find_map(|name| block.text(name));
        let server = server.unwrap_or_default().to_owned();
        let session = (server, block.text("Acct-Session-Id").unwrap_or_default().to_owned());
        match block.text("Acct-Status-Type") {
            Some("Start") => self.begun(block, session, false),
            Some("Interim-Update" | "Alive") => self.begun(block, session, true),
            Some("Stop") => self.stopped(block, &session),
            Some("Accounting-On" | "Accounting-Off") => self.restarted(block.time()?, &session.0),
            _ => Ok(()),
        }
    }

    /// A session has begun, or is said to go on.
    fn begun(&mut self, block: &Block<'_>, session: Session, goes_on: bool) -> Result<(), Problem> {
        let time = block.time()?;
        let (Some(ip), Some(user)) = (block.ip()?, block.text("User-Name")) else { return Ok(()) };
        let mut start = time;
        if let Some(lease) = self.open.get(&session).and_then(|at| self.leases.get_mut(*at)) {
            if lease.ip == ip && lease.names.iter().any(|name| name == user) && goes_on {
                return Ok(());
            }
            lease.end = Some(time);
        } else if goes_on {
            start = before(time, block.seconds("Acct-Session-Time")?.unwrap_or(Span::ZERO));
        }
        self.open.insert(session, self.leases.len());
        self.leases.push(Lease { ip, start, end: None, names: vec![user.to_owned()], line: block.line });
        Ok(())
    }

    fn stopped(&mut self, block: &Block<'_>, session: &Session) -> Result<(), Problem> {
        let time = block.time()?;
        if let Some(lease) = self.open.remove(session).and_then(|at| self.leases.get_mut(at)) {
            lease.end = Some(time);
            return Ok(());
        }
        if let (Some(ip), Some(user), Some(lasted)) = (block.ip()?, block.text("User-Name"), block.seconds("Acct-Session-Time")?)
        {
            let names = vec![user.to_owned()];
            self.leases.push(Lease { ip, start: before(time, lasted), end: Some(time), names, line: block.line });
        }
        Ok(())
    }

    fn restarted(&mut self, time: Timestamp, server: &str) -> Result<(), Problem> {
        let leases = &mut self.leases;
        self.open.retain(|(of, _), at| {
            if of == server
                && let Some(lease) = leases.get_mut(*at)
            {
                lease.end = Some(time);
            }
            of != server
        });
        Ok(())
    }
}
