//! Frames from interfaces, as they pass.
//!
//! ```text
//! interface ─▶ Ring (the kernel's, by libpcap) ─▶ Tap, a thread ─▶ FrameBatch ─┐
//! interface ─▶ Ring ─▶ Tap ─▶ FrameBatch ──────────────────────────────────────┴─▶ LiveMerge ─▶ Batch, Batch, …
//!                       ▲                                                              │
//!                       └────────────────── the same batches, empty ───────────────────┘
//! ```
//!
//! Each frame is copied once, from the ring into a batch. A tap has so many batches at most, which come back to it
//! when they were used: so the channel to the merge is bounded, and never full. Where whoever takes the frames is too slow, a tap runs
//! out of batches and waits; the ring is the buffer then, and what does not fit into it is counted by the kernel, with all others
//! that it drops, and told in the batch behind the hole. Nothing is dropped between ring and merge.
//!
//! # Overload
//! Where the ring fills, the tap leaves out frames before they are copied, by `shed`: bulk payload first, then all but the sessions
//! that the engines ask it to keep ([`Kept`]). Each is counted, and told in its batch.
//!
//! # Order
//! Every batch says up to which time its interface has been read: the last frame's, or where the ring was found empty, the clock's
//! less the hold-back, by which time whatever was stamped earlier has come through the ring. The merge gives out what is not
//! later than the least of these. So interfaces are merged by time, a quiet one holds the others up by no more than the hold-back,
//! and on a quiet link time goes on by the clock ([`LiveMerge::up_to`]). It is the taps that look at the clock, and
//! nobody behind them does.
//!
//! # Interfaces that come and go
//! An interface that goes down keeps its ring. One that vanishes is looked for by its name, twice a second. Each change is
//! logged once.

mod batch;
mod counters;
mod cpus;
mod kept;
mod merge;
mod ring;
mod shed;
mod stamps;
mod tap;

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    thread::{self, JoinHandle},
};

use crossbeam::channel::bounded;

use self::{
    batch::FrameBatch,
    ring::Ring,
    tap::{Channels, Tap},
};
pub use self::{
    batch::{Missed, Run},
    counters::{TapCounters, TapCounts},
    cpus::{CpuError, Cpus},
    kept::{Kept, Party},
    merge::{LiveMerge, Received},
    shed::{Level, Sheds},
    stamps::{Stamping, Stamps},
};
use crate::{capture::BATCH, time::Span};

/// How to capture: the same for all interfaces.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Size of each ring in MiB.
    pub ring_mib: u16,
    /// Bytes of each frame that are captured.
    pub snaplen: u32,
    /// Whether to take what is meant for others too.
    pub promiscuous: bool,
    /// What the kernel passes on, in the language of tcpdump.
    pub filter: Option<String>,
    /// Who is asked to stamp the frames.
    pub stamping: Stamping,
    /// Whether there is one interface only.
    pub alone: bool,
    /// The processors that threads take turns at; none for any.
    pub cpus: Cpus,
    /// How far what is known of an interface lags behind the clock: longer than a frame lies in the ring before it can be read.
    pub hold_back: Span,
}

/// Why an interface cannot be captured on.
#[derive(Debug, thiserror::Error)]
#[error("{interface}: {problem}")]
pub struct OpenError {
    interface: String,
    problem: Problem,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("there is no such interface")]
    Missing,
    #[error("is down")]
    Down,
    #[error(
        "no permission to capture. Let the program do so with: setcap cap_net_raw+ep {program}, or under systemd with \
         AmbientCapabilities=CAP_NET_RAW"
    )]
    Forbidden { program: String },
    #[error("--filter: {0}")]
    Filter(pcap::Error),
    #[error(
        "--timestamps: its driver offers no stamps by the adapter, or for several interfaces none that are in step; use host"
    )]
    NoAdapter,
    #[error("{0}")]
    Other(pcap::Error),
}

/// Interfaces that were opened, and are not read yet.
pub struct Opened {
    taps: Vec<(Tap, Stamps)>,
    options: Arc<LiveOptions>,
    kept: Arc<Kept>,
}

/// The threads that read the interfaces.
#[derive(Debug)]
pub struct Capturing {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Opened {
    /// Opens interfaces. One that is there and down is opened when it comes up.
    ///
    /// # Errors
    /// [`OpenError`] of the first that cannot be.
    pub fn open(interfaces: &[String], options: &LiveOptions) -> Result<Self, OpenError> {
        let options = Arc::new(options.clone());
        let kept = Arc::<Kept>::default();
        let mut taps = Vec::new();
        for (input, name) in (0..).zip(interfaces) {
            let ring = match Ring::open(name, &options) {
                Ok(ring) => Some(ring),
                Err(Problem::Down) => {
                    tracing::warn!("{name} is down; it is captured on when it comes up");
                    None
                }
                Err(problem) => return Err(OpenError { interface: name.clone(), problem }),
            };
            let stamps = ring.as_ref().map_or(Stamps::Host, Ring::stamps);
            taps.push((Tap::new(name.clone(), input, ring, Arc::clone(&options), Arc::clone(&kept)), stamps));
        }
        Ok(Self { taps, options, kept })
    }

    /// Who stamps the frames: the adapter only where it does so on every interface.
    #[must_use]
    pub fn stamps(&self) -> Stamps {
        self.taps.iter().map(|(_, stamps)| *stamps).min().unwrap_or(Stamps::Host)
    }

    /// What each tap counts, in the order of the interfaces.
    #[must_use]
    pub fn counters(&self) -> Vec<Arc<TapCounters>> {
        self.taps.iter().map(|(tap, _)| tap.counters()).collect()
    }

    /// Where the taps look up which flows nothing is shed of.
    #[must_use]
    pub fn kept(&self) -> Arc<Kept> {
        Arc::clone(&self.kept)
    }

    /// Frames that were read and not handed back, at most.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.batches().saturating_mul(BATCH)
    }

    fn batches(&self) -> usize {
        Tap::most_batches(self.options.alone).saturating_mul(self.taps.len().max(1))
    }

    /// Begins to read, in one thread an interface. There `begin` comes first, with the name of the interface, for what holds for one
    /// thread (privileges, say); what it gives is done in each round of that thread. All have begun when this returns.
    ///
    /// # Errors
    /// Where there can be no more threads, or one has not begun.
    pub fn start<B: Fn()>(
        self,
        begin: impl Fn(&str) -> io::Result<B> + Clone + Send + 'static,
    ) -> io::Result<(LiveMerge, Capturing)> {
        let (tell, told) = bounded(self.taps.len());
        let (full, queue) = bounded::<FrameBatch>(self.batches());
        let stop = Arc::new(AtomicBool::new(false));
        let (mut backs, mut threads) = (Vec::new(), Vec::new());
        for (index, (tap, _)) in self.taps.into_iter().enumerate() {
            let (give, take) = bounded(Tap::most_batches(self.options.alone));
            backs.push((give, tap.counters()));
            let channels = Channels { full: full.clone(), empty: take, stop: Arc::clone(&stop) };
            let name = format!("capture {}", tap.name());
            let (begin, tell, options) = (begin.clone(), tell.clone(), Arc::clone(&self.options));
            let run = move || match begin(tap.name()) {
                Ok(beat) => {
                    options.cpus.take_turn(index);
                    // There is room for each.
                    let _ = tell.try_send(Ok(()));
                    drop(tell);
                    tap.run(&channels, beat);
                }
                Err(error) => drop(tell.try_send(Err(error))),
            };
            threads.push(thread::Builder::new().name(name).spawn(run)?);
        }
        drop(tell);
        for _ in &threads {
            told.recv().unwrap_or_else(|_| Err(io::Error::other("one has failed at its start")))?;
        }
        Ok((LiveMerge::new(queue, backs), Capturing { threads, stop }))
    }
}

impl Capturing {
    /// Asks the taps to end, after whatever was stamped before now. The merge tells when all have.
    pub fn stop(&self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Waits for the ends of all taps.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a capture thread has failed");
            }
        }
    }
}
