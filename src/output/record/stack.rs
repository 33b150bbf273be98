//! `stack` of `session`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{flow::StackMarks, observation::Stack};

#[derive(Serialize, JsonSchema)]
pub(super) struct StackRecord {
    /// IPv4 time to live or IPv6 hop limit of its first frame at the sensor; null where it sent none.
    ttl: Option<u8>,
    /// Maximum segment size that its SYN announces, in bytes; null where that was not captured or is silent.
    mss: Option<u16>,
    /// Window scale that its SYN announces: a power of two; null where that was not captured or is silent.
    wscale: Option<u8>,
    /// Nominal rate of its TCP timestamp clock, in ticks a second; null where there is none, or too little was seen to tell.
    timestamp_hz: Option<u32>,
}

impl StackRecord {
    pub(super) const fn new(stack: &Stack) -> Self {
        let StackMarks { ttl, mss, window_scale } = stack.marks;
        Self { ttl, mss, wscale: window_scale, timestamp_hz: stack.timestamp_hz }
    }
}
