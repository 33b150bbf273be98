//! What a tap counts, for whoever wants to know while it runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one interface. They only grow.
#[derive(Debug, Default)]
pub struct TapCounters {
    frames: AtomicU64,
    bytes: AtomicU64,
    lost_kernel: AtomicU64,
    lost_interface: AtomicU64,
    waits: AtomicU64,
    reopened: AtomicU64,
}

/// The counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapCounts {
    /// Frames that were read.
    pub frames: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Frames that the kernel had no room for in the ring.
    pub lost_kernel: u64,
    /// Frames that the interface or its driver dropped.
    pub lost_interface: u64,
    /// How often the tap had to wait because whoever takes the frames was behind.
    pub waits: u64,
    /// How often the interface was opened again after it had vanished.
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
            waits: self.waits.load(Relaxed),
            reopened: self.reopened.load(Relaxed),
        }
    }

    pub(super) fn on_frames(&self, frames: usize, bytes: usize) {
        self.frames.fetch_add(frames as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn on_lost(&self, kernel: u64, interface: u64) {
        self.lost_kernel.fetch_add(kernel, Relaxed);
        self.lost_interface.fetch_add(interface, Relaxed);
    }

    pub(super) fn on_wait(&self) {
        self.waits.fetch_add(1, Relaxed);
    }

    pub(super) fn on_reopened(&self) {
        self.reopened.fetch_add(1, Relaxed);
    }
}
