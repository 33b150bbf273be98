//! `traffic` of `session`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    flow::{Traffic, TransportKind},
    observation::SessionReport,
};

#[derive(Serialize, JsonSchema)]
pub(super) struct TrafficRecord {
    /// Frames, copies left out.
    packets: u64,
    /// Bytes of frames on the wire, copies left out.
    bytes: u64,
    /// Bytes of TCP or UDP payload on the wire, copies left out.
    payload_bytes: u64,
    /// Segments that were sent again; null for UDP, as nothing in it tells.
    retransmitted: Option<u32>,
    /// Segments that came late; null for UDP.
    out_of_order: Option<u32>,
    /// Copies of frames made on the way to the sensor; null for UDP, where they count as packets.
    duplicated: Option<u32>,
    /// Holes in the stream that were never filled; null for flows that were not identified, whose streams are not followed.
    gaps: Option<u32>,
}

impl TrafficRecord {
    /// One side's part of a report.
    pub(super) fn new(traffic: &Traffic, report: &SessionReport) -> Self {
        let is_tcp = report.transport == TransportKind::Tcp;
        Self {
            packets: traffic.packets,
            bytes: traffic.bytes,
            payload_bytes: traffic.payload_bytes,
            retransmitted: is_tcp.then_some(traffic.retransmitted),
            out_of_order: is_tcp.then_some(traffic.out_of_order),
            duplicated: is_tcp.then_some(traffic.duplicated),
            gaps: report.is_session().then_some(traffic.gaps),
        }
    }
}
