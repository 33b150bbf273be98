//! What a tap counts, for whoever wants to know while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::shed::{Level, Sheds};

/// Counters of one interface, which only grow, but for the level and what waits; and whether it is open.
#[derive(Debug, Default)]
pub struct TapCounters {
    frames: AtomicU64,
    bytes: AtomicU64,
    lost_kernel: AtomicU64,
    lost_interface: AtomicU64,
    shed_bulk: AtomicU64,
    shed_new: AtomicU64,
    level: AtomicU64,
    queued: AtomicU64,
    waits: AtomicU64,
    reopened: AtomicU64,
    is_open: AtomicBool,
}

/// The counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapCounts {
    /// Frames that were read.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames that the kernel had no room for in the ring.
    pub lost_kernel: u64,
    /// Frames that the interface or its driver dropped.
    pub lost_interface: u64,
    /// Frames that were read and left out because the sensor was behind, by [`super::Level`].
    pub shed: Sheds,
    /// What is shed now: 0 for nothing, 1 for bulk payload, 2 for all but sessions that go on.
    pub level: u64,
    /// Batches that wait to be received.
    pub queued: u64,
    /// How often the tap had to wait because whoever takes the frames was behind.
    pub waits: u64,
    /// How often the interface was opened after the start: it was down, or had vanished.
    pub reopened: u64,
}

impl TapCounters {
    /// The counters now, each for itself.
    #[must_use]
    pub fn get(&self) -> TapCounts {
        TapCounts {
            frames: self.frames.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            lost_kernel: self.lost_kernel.load(Relaxed),
            lost_interface: self.lost_interface.load(Relaxed),
            shed: Sheds { bulk: self.shed_bulk.load(Relaxed), new: self.shed_new.load(Relaxed) },
            level: self.level.load(Relaxed),
            queued: self.queued.load(Relaxed),
            waits: self.waits.load(Relaxed),
            reopened: self.reopened.load(Relaxed),
        }
    }

    /// Whether the interface is open: it may be down for all that, but has not vanished.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Says whether it is.
    pub fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Relaxed);
    }

    /// Counts frames that were read, and their bytes on the wire.
    pub fn on_frames(&self, frames: u64, bytes: u64) {
        self.frames.fetch_add(frames, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Counts frames that were lost.
    pub fn on_lost(&self, kernel: u64, interface: u64) {
        self.lost_kernel.fetch_add(kernel, Relaxed);
        self.lost_interface.fetch_add(interface, Relaxed);
    }

    pub(super) fn on_shed(&self, shed: Sheds) {
        self.shed_bulk.fetch_add(shed.bulk, Relaxed);
        self.shed_new.fetch_add(shed.new, Relaxed);
    }

    pub(super) fn on_level(&self, level: Level) {
        self.level.store(level as u64, Relaxed);
    }

    pub(super) fn on_sent(&self) {
        self.queued.fetch_add(1, Relaxed);
    }

    pub(super) fn on_received(&self) {
        self.queued.fetch_sub(1, Relaxed);
    }

    pub(super) fn on_wait(&self) {
        self.waits.fetch_add(1, Relaxed);
    }

    pub(super) fn on_reopened(&self) {
        self.reopened.fetch_add(1, Relaxed);
    }
}
