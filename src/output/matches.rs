//! Which session leads to which claim: one aligned line a session.

use std::fmt::Write as _;

use super::{
    escape,
    table::{address, short_time},
};
use crate::{judge::claim::Found, observation::SessionReport};

/// A session and what leads to its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchLine([String; 5]);

impl MatchLine {
    /// Of a session and what was found for it.
    #[must_use]
    pub fn new(report: &SessionReport, found: &Found<'_>) -> Self {
        let by = match found {
            Found::Matched(_, block) => format!("claims line {}", block.line),
            Found::Leased(_, lease) => format!("leases line {}", lease.line),
            Found::Unclaimed(lease) => {
                let name = lease.names.first().map_or_else(String::new, |name| escape::text(name.as_bytes()));
                format!("leases line {}, but \"{name}\" has no claim", lease.line)
            }
            Found::Nothing => "no claim, no lease".to_owned(),
        };
        Self([
            short_time(report.start),
            address(report.endpoints.client),
            address(report.endpoints.server),
            found.identity().map_or_else(|| "-".to_owned(), |identity| escape::text(identity.name.as_bytes())),
            by,
        ])
    }
}

/// The lines under a heading.
#[must_use]
pub fn table(lines: &[MatchLine]) -> String {
    let heading = ["START (UTC)", "CLIENT", "SERVER", "IDENTITY", "BY"].map(str::to_owned);
    let rows = || std::iter::once(&heading).chain(lines.iter().map(|MatchLine(cells)| cells));
    let mut widths = [0; 5];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows() {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
