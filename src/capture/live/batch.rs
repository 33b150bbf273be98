//! Frames on their way from one thread to another.

use crate::{
    capture::BATCH,
    time::Timestamp,
    wire::{FrameMeta, LinkType},
};

/// Batches of each tap: some 16,000 frames at most. More would only keep what is late later; the buffer for bursts is the ring.
pub const BATCHES: usize = 64;

/// Bytes from which on a batch is full.
const FULL: usize = 256 * 1024;

/// Frames of one interface, in the order in which they were read; at most [`BATCH`] and, but for its last frame, 256 KiB.
#[derive(Debug)]
pub(super) struct FrameBatch {
    pub(super) data: Vec<u8>,
    pub(super) frames: Vec<FrameMeta>,
    /// Which interface, by position.
    pub(super) input: u32,
    /// No frame stamped up to this time is to come from this interface, disorder in its queues aside.
    pub(super) up_to: Timestamp,
    /// Frames that were lost since the batch before.
    pub(super) lost: u64,
}

impl Default for FrameBatch {
    fn default() -> Self {
        Self { data: Vec::new(), frames: Vec::new(), input: 0, up_to: Timestamp::MIN, lost: 0 }
    }
}

impl FrameBatch {
    /// Makes an old batch a new one; its memory stays.
    pub(super) fn clear(&mut self, input: u32) {
        self.data.clear();
        self.frames.clear();
        (self.input, self.lost) = (input, 0);
    }

    /// Adds a frame.
    pub(super) fn push(&mut self, time: Timestamp, link: LinkType, bytes: &[u8], original_len: u32) {
        // Both fit: a batch is full long before, and a frame has 256 KiB at most.
        let (offset, captured_len) = (self.data.len() as u32, bytes.len() as u32);
        self.data.extend_from_slice(bytes);
        self.frames.push(FrameMeta { time, offset, captured_len, original_len, link });
    }

    pub(super) const fn is_full(&self) -> bool {
        self.frames.len() >= BATCH || self.data.len() >= FULL
    }
}
