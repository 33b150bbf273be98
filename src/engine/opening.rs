//! How a flow begins: what opens a new one on an old five-tuple, and which end is the client.

use crate::{
    flow::{Endpoint, Evidence, Flow, Life, Side},
    time::{Span, Timestamp},
    wire::{TcpFlags, TcpSegment},
};

/// A SYN with a new sequence number makes a new flow of an open one only after this long without a packet: otherwise anybody
/// could end a session by forging one.
const REUSE_AFTER: Span = Span::from_secs(3);

/// Whether a segment opens a new connection on an old five-tuple.
pub(super) fn begins_anew<T>(flow: &Flow<T>, side: Side, segment: &TcpSegment<'_>, time: Timestamp) -> bool {
    if !segment.flags.has(TcpFlags::SYN) || segment.flags.has(TcpFlags::ACK) {
        return false;
    }
    let half = flow.halves.get(side);
    let first = segment.seq.plus(1);
    let other_number = half.start.or(half.next).is_some_and(|known| known != first);
    other_number && (flow.life == Life::Closed || time - flow.last_time >= REUSE_AFTER)
}

/// Whether the sender of a flow's first segment is its client, and on what evidence.
pub(super) fn roles(source: Endpoint, destination: Endpoint, segment: &TcpSegment<'_>) -> (Side, Evidence) {
    if segment.flags.has(TcpFlags::SYN) {
        let side = if segment.flags.has(TcpFlags::ACK) { Side::Server } else { Side::Client };
        return (side, Evidence::Syn);
    }
    roles_by_port(source, destination)
}

/// Whether the sender of a flow's first packet is its client, where nothing but the ports can tell.
pub(super) fn roles_by_port(source: Endpoint, destination: Endpoint) -> (Side, Evidence) {
    let is_service = |endpoint: Endpoint| endpoint.port < 1024;
    match (is_service(source), is_service(destination)) {
        (true, false) => (Side::Server, Evidence::Port),
        (false, true) => (Side::Client, Evidence::Port),
        _ => (Side::Client, Evidence::FirstSeen),
    }
}
