//! `summary`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Head, rfc3339};
use crate::{
    event::{InputState, InputSummary, Summary},
    output::escape,
};

/// The `summary` record.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct SummaryRecord<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// Frames looked at: those read, but for what `--filter` and `--time-range` leave out.
    packets: u64,
    /// Bytes of frames on the wire.
    bytes: u64,
    /// Frames that could not be decoded and should have been: damaged, cut, or of a link type that is not supported.
    undecoded: u64,
    /// Frames cut by a snaplen.
    truncated: u64,
    /// Copies of frames; of flows that are no sessions only those that came within the next four frames.
    duplicated: u64,
    /// Frames earlier than stream time: another frame had come before with a later time.
    out_of_order: u64,
    /// How often the sensor's clock was set while it captured.
    clock_steps: u32,
    /// Fragments of IP packets.
    fragments: FragmentsRecord,
    /// What was lost, by the place that lost it.
    dropped: DroppedRecord,
    /// Flows, by kind.
    flows: FlowsRecord,
    /// Sessions reported; other flows, of protocol `unknown`, do not count.
    sessions: u64,
    /// Alerts raised.
    alerts: u64,
    /// Alerts that `--cool-down` held back.
    alerts_held: u64,
    /// Time of the first frame, RFC 3339 UTC; null without frames.
    #[schemars(extend("format" = "date-time"))]
    first_time: Option<String>,
    /// Time of the last frame, RFC 3339 UTC; null without frames.
    #[schemars(extend("format" = "date-time"))]
    last_time: Option<String>,
    /// How long the run took, in seconds of the wall clock.
    elapsed_s: f64,
    /// Frames per second of the wall clock; 0 where the run was too short to tell.
    packets_per_s: f64,
    /// Each input, in the order given.
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
            duplicated: summary.duplicated(),
            out_of_order: counters.out_of_order,
            clock_steps: summary.clock_steps(),
            fragments: FragmentsRecord { reassembled: counters.reassembled, dropped: counters.dropped_fragments },
            dropped: DroppedRecord {
                kernel: summary.lost.kernel,
                interface: summary.lost.interface,
                ring: 0,
                shed_bulk: summary.lost.shed_bulk,
                shed_new: summary.lost.shed_new,
                channel: 0,
                table: counters.dropped_flows,
                output: 0,
            },
            flows: FlowsRecord {
                tcp: counters.tcp_flows,
                udp: counters.udp_flows,
                identified: counters.identified,
                interactive: counters.interactive,
                unwatched: counters.unwatched,
                unread: counters.unread,
            },
            sessions: summary.sessions,
            alerts: summary.alerts,
            alerts_held: summary.alerts_held,
            first_time: counters.first_time.map(rfc3339),
            last_time: counters.last_time.map(rfc3339),
            elapsed_s: summary.elapsed_s,
            packets_per_s: rate,
            inputs: summary.inputs.iter().map(InputRecord::new).collect(),
        }
    }
}

/// Fragments of IP packets.
#[derive(Serialize, JsonSchema)]
struct FragmentsRecord {
    /// Packets that were put together.
    reassembled: u64,
    /// Frames with fragments that came to nothing.
    dropped: u64,
}

#[derive(Serialize, JsonSchema)]
struct DroppedRecord {
    /// Frames that the kernel had no room for in the ring that a live sensor reads from: the sensor was too slow.
    kernel: u64,
    /// Frames that a live sensor's interfaces or their drivers dropped, as far as they count that.
    interface: u64,
    /// Frames that the sensor's own ring had no room for.
    ring: u64,
    /// Frames with bulk payload that a live sensor left out because it was behind: long segments, datagrams and fragments of flows
    /// that are no established interactive sessions.
    shed_bulk: u64,
    /// All other frames of such flows, left out because it was further behind.
    shed_new: u64,
    /// Frames or observations that a channel had no room for.
    channel: u64,
    /// Flows that the flow table had no room for.
    table: u64,
    /// Records that an output had no room for.
    output: u64,
}

#[derive(Serialize, JsonSchema)]
struct FlowsRecord {
    /// TCP flows.
    tcp: u64,
    /// UDP flows.
    udp: u64,
    /// Flows whose protocol was recognised.
    identified: u64,
    /// Sessions with at least one keystroke.
    interactive: u64,
    /// How often a flow of an unknown protocol was not watched for somebody who types, because too many of its pair of addresses were.
    unwatched: u64,
    /// First packets of QUIC that were not opened to see whom the client talks to, because more than 16 of one of the 256 shards
    /// of the traffic came in one second.
    unread: u64,
}

#[derive(Serialize, JsonSchema)]
struct InputRecord<'a> {
    /// As given, escaped, or its pseudonym; `-` is standard input.
    path: String,
    /// Whether it was read to its end; `skipped` is a file of a folder that is no capture.
    #[schemars(extend("enum" = ["ok", "skipped", "error"]))]
    status: &'static str,
    /// What went wrong, or why it was skipped; null where it was read.
    error: Option<&'a str>,
    /// Frames that were read.
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
