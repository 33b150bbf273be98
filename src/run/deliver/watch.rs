//! How a delivery stands, for those that look on while it goes on.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    output::metrics,
    run::spool::{Counts, Losses, Progress, Standing},
};

/// A look at a delivery. Its counters are written by other threads, and need not be of the same instant.
#[derive(Clone, Debug)]
pub struct Watch {
    pub(super) standing: Arc<Standing>,
    pub(super) counts: Arc<Counts>,
    /// Bytes that the spool may have.
    pub(super) bytes_max: u64,
    /// Each destination by name.
    pub(super) destinations: Vec<(String, Arc<Progress>)>,
}

impl Watch {
    /// What it is now.
    #[must_use]
    pub fn read(&self) -> metrics::Delivery {
        let Losses { disk_full, size, age, queue, disk_error, cut_bytes: _ } = self.counts.losses();
        let lost = [("disk_full", disk_full), ("size", size), ("age", age), ("queue", queue), ("disk_error", disk_error)];
        metrics::Delivery {
            queued: self.counts.queued.load(Relaxed),
            accepted: self.counts.accepted.load(Relaxed),
            lost: lost.to_vec(),
            bytes: self.counts.bytes.load(Relaxed),
            bytes_max: self.bytes_max,
            destinations: self.destinations.iter().map(|(name, progress)| self.destination(name, progress)).collect(),
        }
    }

    /// Alerts on disk that a destination may not have.
    pub(super) fn waiting(&self, progress: &Progress) -> u64 {
        self.standing.end().saturating_sub(progress.next.load(Relaxed))
    }

    fn destination(&self, name: &str, progress: &Progress) -> metrics::Destination {
        metrics::Destination {
            name: name.to_owned(),
            is_connected: progress.is_connected.load(Relaxed),
            connections: progress.connections.load(Relaxed),
            waiting: self.waiting(progress),
            sent: progress.sent.load(Relaxed),
            sent_again: progress.sent_again.load(Relaxed),
            arrived: progress.arrived.load(Relaxed),
            lost: progress.lost.load(Relaxed),
        }
    }
}
