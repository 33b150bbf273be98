//! `summary`.

use serde::Serialize;

use super::{Head, rfc3339};
use crate::{
    event::{InputState, InputSummary, Summary},
    output::escape,
};

/// The `summary` record.
#[derive(Serialize)]
pub(in crate::output) struct SummaryRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    packets: u64,
    bytes: u64,
    undecoded: u64,
    truncated: u64,
    duplicated: u64,
    out_of_order: u64,
    clock_steps: u32,
    fragments: FragmentsRecord,
    dropped: DroppedRecord,
    flows: FlowsRecord,
    sessions: u64,
    alerts: u64,
    first_time: Option<String>,
    last_time: Option<String>,
    elapsed_s: f64,
    packets_per_s: f64,
    inputs: Vec<InputRecord<'a>>,
}

impl<'a> SummaryRecord<'a> {
    pub(in crate::output) fn new(summary: &'a Summary, sensor: Option<&'a str>) -> Self {
        let counters = &summary.counters;
        let rate = if summary.elapsed_s > 0.0 { (counters.packets as f64 / summary.elapsed_s).round() } else { 0.0 };
        Self {
            head: Head::new("summary", sensor),
            packets: counters.packets,
            bytes: counters.bytes,
            undecoded: counters.undecoded,
            truncated: counters.truncated,
            duplicated: counters.duplicated,
            out_of_order: counters.out_of_order,
            clock_steps: counters.clock_steps,
            fragments: FragmentsRecord { reassembled: counters.reassembled, dropped: counters.dropped_fragments },
            dropped: DroppedRecord { kernel: 0, ring: 0, channel: 0, table: counters.dropped_flows, output: 0 },
            flows: FlowsRecord {
                tcp: counters.tcp_flows,
                udp: counters.udp_flows,
                identified: counters.identified,
                interactive: counters.interactive,
            },
            sessions: summary.sessions,
            alerts: summary.alerts,
            first_time: counters.first_time.map(rfc3339),
            last_time: counters.last_time.map(rfc3339),
            elapsed_s: summary.elapsed_s,
            packets_per_s: rate,
            inputs: summary.inputs.iter().map(InputRecord::new).collect(),
        }
    }
}

/// Packets that came together, and frames with fragments that came to nothing.
#[derive(Serialize)]
struct FragmentsRecord {
    reassembled: u64,
    dropped: u64,
}

#[derive(Serialize)]
struct DroppedRecord {
    kernel: u64,
    ring: u64,
    channel: u64,
    table: u64,
    output: u64,
}

#[derive(Serialize)]
struct FlowsRecord {
    tcp: u64,
    udp: u64,
    identified: u64,
    interactive: u64,
}

#[derive(Serialize)]
struct InputRecord<'a> {
    path: String,
    status: &'static str,
    error: Option<&'a str>,
    frames: u64,
}

impl<'a> InputRecord<'a> {
    fn new(input: &'a InputSummary) -> Self {
        Self {
            path: escape::text(input.path.as_bytes()),
            status: match input.status {
                InputState::Ok => "ok",
                InputState::Skipped => "skipped",
                InputState::Error => "error",
            },
            error: input.error.as_deref(),
            frames: input.frames,
        }
    }
}
