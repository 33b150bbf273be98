//! Flows that are no sessions, in the table: a line each, as they end. There may be too many to be kept and aligned.

use super::{millis, short_time};
use crate::{
    observation::SessionReport,
    output::record::{state, transport},
};

/// The heading of the lines.
pub(super) fn heading() -> String {
    line(["START (UTC)", "CLIENT", "SERVER", "KIND", "RTT ms", "BYTES", "STATE"].map(str::to_owned))
}

/// The line of a flow, with its smallest round trip to the client.
pub(super) fn flow(report: &SessionReport) -> String {
    let (client, server) = (&report.traffic.client, &report.traffic.server);
    let address = |end: crate::flow::Endpoint| std::net::SocketAddr::new(end.ip, end.port).to_string();
    line([
        short_time(report.start),
        address(report.endpoints.client),
        address(report.endpoints.server),
        transport(report.transport).to_owned(),
        millis(report.rtt.client.min()),
        (client.bytes + server.bytes).to_string(),
        state(report.state).to_owned(),
    ])
}

fn line([start, client, server, kind, rtt, bytes, state]: [String; 7]) -> String {
    format!("{start:<19}  {client:<21}  {server:<21}  {kind:<4}  {rtt:>6}  {bytes:>8}  {state}\n")
}
