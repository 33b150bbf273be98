//! `quality` of `session` and `alert`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{measure::quality::Quality, observation::SessionReport, output::TimestampSource};

#[derive(Serialize, JsonSchema)]
pub(super) struct QualityRecord {
    /// Whether packets of one side alone were seen.
    one_sided: bool,
    /// Pieces of the streams that arrived and did not pass the sensor, or were lost there; and of the frames that a live sensor
    /// lost meanwhile, this session's share, rounded up. Null for flows that were not identified, whose streams are not
    /// followed.
    drops: Option<u64>,
    /// Whether offloading merged segments before they were stamped: one is longer than its receiver's SYN allows. Null where no
    /// SYN was captured, and for flows that were not identified.
    merged_segments_suspected: Option<bool>,
    /// How often the sensor's clock was set during the session, as far as that shows.
    clock_steps: u32,
    /// Who stamped the frames: `host`, the kernel of the live sensor; `adapter`, its network card; `file`, whoever wrote the
    /// capture.
    #[schemars(extend("enum" = ["host", "adapter", "file"]))]
    timestamp_source: &'static str,
    /// Resolution of the time stamps in nanoseconds, as they show it; null with fewer than ten, and for flows that
    /// were not identified.
    timestamp_resolution_ns: Option<i64>,
    /// From 0 to 1: 1 less 1 for one direction alone, 0.6 for a clock that was set, 0.6 for a resolution of 1 ms or more, 0.1 for
    /// each per cent of packets that is missing, 0.1 for merged segments. Below 0.5 nothing is judged. Null for flows that were not
    /// identified, of which nothing is.
    score: Option<f64>,
}

impl QualityRecord {
    pub(super) fn of(report: &SessionReport, source: TimestampSource) -> Self {
        let record = Self::new(&report.quality, source);
        if report.is_session() { record } else { Self { drops: None, score: None, ..record } }
    }

    pub(super) fn new(quality: &Quality, source: TimestampSource) -> Self {
        Self {
            one_sided: quality.one_sided,
            drops: Some(quality.drops),
            merged_segments_suspected: quality.merged_segments,
            clock_steps: quality.clock_steps,
            timestamp_source: source.name(),
            timestamp_resolution_ns: quality.resolution.map(|resolution| resolution.as_nanos()),
            score: Some(quality.score()),
        }
    }
}
