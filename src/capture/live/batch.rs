//! Frames on their way from one thread to another.

use std::{ops::Range, sync::Arc};

use crossbeam::channel::Sender;

use super::shed::Sheds;
use crate::{
    capture::BATCH,
    time::Timestamp,
    wire::{Batch, FrameMeta, LinkType},
};

/// Batches of each tap: some 16,000 frames at most. More would only keep what is late later; the buffer for bursts is the ring.
pub(super) const BATCHES: usize = 64;

/// The same with several interfaces: one that is busy waits for one that is quiet, and its frames wait in batches.
pub(super) const BATCHES_OF_SEVERAL: usize = 512;

/// Bytes from which on a batch is full.
const FULL: usize = 256 * 1024;

/// Frames that are looked at for one batch at most, those that are shed among them.
const LOOKED_AT: u32 = 16 * BATCH as u32;

/// Frames of one interface, in the order in which they were read; at most [`BATCH`] and, but for its last frame, 256 KiB.
#[derive(Debug)]
pub(super) struct FrameBatch {
    pub(super) data: Vec<u8>,
    pub(super) frames: Vec<FrameMeta>,
    /// Which interface, by position.
    pub(super) input: u32,
    /// No frame stamped up to this time is to come from this interface, disorder in its queues aside.
    pub(super) up_to: Timestamp,
    /// What did not come in since the batch before.
    pub(super) missed: Missed,
    /// Times of the first and the last frame that was read, also where it was shed.
    pub(super) read: Option<(Timestamp, Timestamp)>,
    /// Bytes that were read.
    pub(super) read_bytes: u64,
    looked_at: u32,
}

/// Frames that did not come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Lost by the kernel or the interface: nobody knows whose they were.
    pub lost: u64,
    /// Shed on purpose: see [`super::Level`].
    pub shed: Sheds,
}

impl Missed {
    pub(super) const fn add(&mut self, other: Self) {
        self.lost = self.lost.saturating_add(other.lost);
        self.shed.add(other.shed);
    }
}

impl Default for FrameBatch {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            frames: Vec::new(),
            input: 0,
            up_to: Timestamp::MIN,
            missed: Missed::default(),
            read: None,
            read_bytes: 0,
            looked_at: 0,
        }
    }
}

impl FrameBatch {
    /// Makes an old batch a new one; its memory stays.
    pub(super) fn clear(&mut self, input: u32) {
        self.data.clear();
        self.frames.clear();
        (self.input, self.missed, self.read, self.read_bytes, self.looked_at) = (input, Missed::default(), None, 0, 0);
    }

    /// Takes note of a frame that was read.
    #[inline]
    pub(super) fn note(&mut self, time: Timestamp, bytes: usize) {
        self.read = Some((self.read.map_or(time, |(first, _)| first), time));
        self.read_bytes += bytes as u64;
        self.looked_at += 1;
    }

    /// Adds a frame.
    pub(super) fn push(&mut self, time: Timestamp, link: LinkType, bytes: &[u8], original_len: u32) {
        // Both fit: a batch is full long before, and a frame has 256 KiB at most.
        let (offset, captured_len) = (self.data.len() as u32, bytes.len() as u32);
        self.data.extend_from_slice(bytes);
        self.frames.push(FrameMeta { time, offset, captured_len, original_len, link });
    }

    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.frames.len() >= BATCH || self.data.len() >= FULL || self.looked_at >= LOOKED_AT
    }

    pub(super) const fn looked_at(&self) -> u32 {
        self.looked_at
    }
}

/// A batch that goes back to its tap when nobody holds it any more.
#[derive(Debug)]
pub(super) struct Lent {
    batch: FrameBatch,
    back: Sender<FrameBatch>,
}

impl Lent {
    pub(super) const fn new(batch: FrameBatch, back: Sender<FrameBatch>) -> Self {
        Self { batch, back }
    }

    pub(super) const fn batch(&self) -> &FrameBatch {
        &self.batch
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // There is room for each; a tap that has ended wants none.
        let _ = self.back.try_send(std::mem::take(&mut self.batch));
    }
}

/// A run of frames that follow each other, all from one interface. Copies of it share the frames.
#[derive(Clone, Debug)]
pub struct Run {
    lent: Arc<Lent>,
    frames: Range<usize>,
    first_number: u64,
    /// What did not come in before whatever follows this run.
    pub missed: Missed,
}

impl Run {
    pub(super) const fn new(lent: Arc<Lent>, frames: Range<usize>, first_number: u64, missed: Missed) -> Self {
        Self { lent, frames, first_number, missed }
    }

    /// The frames.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        let batch = self.lent.batch();
        let frames = batch.frames.get(self.frames.clone()).unwrap_or_default();
        Batch { first_number: self.first_number, input: batch.input, data: &batch.data, frames }
    }

    /// How many frames there are.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames.end - self.frames.start
    }
}
