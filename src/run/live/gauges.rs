//! How the sensor is doing: numbers that another thread may read while it runs.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{capture::live::TapCounters, correlator::Correlator, engine::Engine, event::Lost};

/// All numbers, each for itself up to date to a batch.
#[derive(Debug)]
pub(super) struct Gauges {
    /// Of each interface, in the order given.
    pub(super) taps: Vec<Arc<TapCounters>>,
    /// Batches that wait for the engine.
    queued: AtomicU64,
    /// Frames that the engine has handled.
    packets: AtomicU64,
    /// Flows and sessions that it holds.
    flows: AtomicU64,
    sessions: AtomicU64,
    /// Flows that a table had no room for.
    dropped_flows: AtomicU64,
    /// Sessions that go on and were alerted.
    alerted: AtomicU64,
    /// Times that claims were read again, and could not be.
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
}

impl Gauges {
    pub(super) fn new(taps: Vec<Arc<TapCounters>>) -> Self {
        Self {
            taps,
            queued: AtomicU64::default(),
            packets: AtomicU64::default(),
            flows: AtomicU64::default(),
            sessions: AtomicU64::default(),
            dropped_flows: AtomicU64::default(),
            alerted: AtomicU64::default(),
            reloads: AtomicU64::default(),
            failed_reloads: AtomicU64::default(),
        }
    }

    /// Takes note of how things stand.
    pub(super) fn note(&self, queued: usize, engine: &Engine, correlator: &Correlator) {
        self.queued.store(queued as u64, Relaxed);
        self.packets.store(engine.counters().packets, Relaxed);
        self.flows.store(engine.flows() as u64, Relaxed);
        self.sessions.store(engine.sessions() as u64, Relaxed);
        self.dropped_flows.store(engine.counters().dropped_flows, Relaxed);
        self.alerted.store(correlator.alerted() as u64, Relaxed);
    }

    pub(super) fn on_reload(&self, has_failed: bool) {
        let counter = if has_failed { &self.failed_reloads } else { &self.reloads };
        counter.fetch_add(1, Relaxed);
    }

    /// What all interfaces lost.
    pub(super) fn lost(&self) -> Lost {
        let counts = self.taps.iter().map(|tap| tap.get());
        counts.fold(Lost::default(), |sum, tap| Lost {
            kernel: sum.kernel + tap.lost_kernel,
            interface: sum.interface + tap.lost_interface,
        })
    }
}

/// One line for the log.
impl fmt::Display for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, now) = (self.lost(), |gauge: &AtomicU64| gauge.load(Relaxed));
        let waits: u64 = self.taps.iter().map(|tap| tap.get().waits).sum();
        write!(
            f,
            "{} packets, {} flows ({} dropped), {} sessions ({} alerted); lost {} by the kernel and {} by interfaces; {} batches wait, \
             {waits} waits for room; {} reloads, {} failed",
            now(&self.packets),
            now(&self.flows),
            now(&self.dropped_flows),
            now(&self.sessions),
            now(&self.alerted),
            lost.kernel,
            lost.interface,
            now(&self.queued),
            now(&self.reloads),
            now(&self.failed_reloads)
        )
    }
}
