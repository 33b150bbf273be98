//! Sessions in the table as they end, a line each: a sensor has no end at which they could be aligned.

use super::{address, keys, millis, short_time};
use crate::{event::SessionEvent, output::escape};

/// The heading of the lines.
pub(super) fn heading() -> String {
    line(["START (UTC)", "CLIENT", "SERVER", "RTT ms", "KEYS", "VERDICT", "IDENTITY"].map(str::to_owned))
}

/// The line of a session.
pub(super) fn session(session: &SessionEvent) -> String {
    let report = &session.report;
    line([
        short_time(report.start),
        address(report.endpoints.client),
        address(report.endpoints.server),
        millis(report.rtt.client.floor.map(|floor| floor.value)),
        keys(report),
        session.verdict().name().to_owned(),
        session.claim.as_ref().map_or_else(|| "-".to_owned(), |claim| escape::text(claim.identity.as_bytes())),
    ])
}

fn line([start, client, server, rtt, keys, verdict, identity]: [String; 7]) -> String {
    format!("{start:<19}  {client:<21}  {server:<21}  {rtt:>6}  {keys:>6}  {verdict:<11}  {identity}\n")
}
