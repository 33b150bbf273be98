//! Leases: who had which address when. They make claims work where addresses come from pools.
//!
//! Three sorts of files, known by their content: CSV, Zeek's `dhcp.log` (tab-separated or JSON) and FreeRADIUS' `detail`.
//! A lease holds from its start up to its end, this moment not included; one without end holds up to the start of the next lease of
//! its address, or for good. Where several hold, the one that started last does.

mod radius;
mod table;
mod timeline;
mod zeek;

use std::net::IpAddr;

use self::timeline::Timeline;
use super::Problem;
use crate::time::{Span, Timestamp};

/// Lines at the start of a file that are looked at to tell what it is.
const LOOKED_AT: usize = 100;

/// A file of leases, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    leases: Vec<Lease>,
    timeline: Timeline,
}

/// An address that somebody had for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub ip: IpAddr,
    /// From here on.
    pub start: Timestamp,
    /// Up to here, this moment not included; `None` where the file does not say.
    pub end: Option<Timestamp>,
    /// Who: the first of these names that is an identity of the claims. They come from the network, unescaped.
    pub names: Vec<String>,
    /// Line of the file, from 1.
    pub line: usize,
}

impl Leases {
    /// Reads a file of leases.
    ///
    /// # Errors
    /// What is wrong with it, in the order of lines.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let text = text.trim_start_matches('\u{feff}');
        let leases = match text.trim_start().chars().next() {
            Some('{') => zeek::read_json(text),
            Some('#') => zeek::read_tsv(text),
            _ if is_detail(text) => radius::read(text),
            _ => table::read(text),
        }?;
        Ok(Self { timeline: Timeline::of(&leases), leases })
    }

    /// The lease of an address that holds at a time.
    #[must_use]
    pub fn at(&self, ip: IpAddr, time: Timestamp) -> Option<&Lease> {
        self.leases.get(self.timeline.at(ip, time)?)
    }

    /// All leases, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Lease] {
        &self.leases
    }
}

/// Whether a text holds blocks of indented attributes, as FreeRADIUS writes them.
fn is_detail(text: &str) -> bool {
    text.lines().take(LOOKED_AT).any(|line| line.starts_with([' ', '\t']) && line.contains(" = "))
}

/// Seconds since 1970, with a fraction, or RFC 3339.
fn time(text: &str) -> Option<Timestamp> {
    epoch(text).or_else(|| {
        let time = text.parse::<jiff::Timestamp>().ok()?;
        i64::try_from(time.as_nanosecond()).ok().map(Timestamp::from_nanos)
    })
}

/// Seconds with a fraction, to the nanosecond.
fn epoch(text: &str) -> Option<Timestamp> {
    span(text).map(|since| Timestamp::from_nanos(since.as_nanos()))
}

/// The same as a length of time.
fn span(text: &str) -> Option<Span> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos.parse().ok()?).map(Span::from_nanos)
}

/// A problem whose message may quote what a client sent: no control character gets through.
fn problem(line: usize, field: &str, message: impl AsRef<str>) -> Problem {
    let message = message.as_ref().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    Problem { line, field: field.to_owned(), message }
}

#[cfg(test)]
mod tests;
