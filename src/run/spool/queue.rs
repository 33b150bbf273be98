//! In front of the disk: whoever raises an alert does not wait for it.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use tracing::{error, warn};

use super::{Limits, Log, Losses, Opened, Progress, SpoolError, Standing};

/// Alerts that wait for the disk at most: some 100 MB of them.
const ROOM: usize = 1 << 16;

/// Bytes that are put on disk at once at most.
const TOGETHER: usize = 256 << 10;

/// How often the spool is tidied.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What is counted, for those that look on.
#[derive(Debug, Default)]
pub struct Counts {
    /// Alerts on disk.
    pub accepted: AtomicU64,
    /// Alerts that wait for the disk.
    pub queued: AtomicU64,
    /// Bytes of all segments.
    pub bytes: AtomicU64,
    /// What was dropped undelivered, whenever.
    losses: Mutex<Losses>,
    /// Alerts that the queue had no room for and that are not in `lost` yet.
    refused: AtomicU64,
}

impl Counts {
    /// What was dropped undelivered, whenever; some second old.
    #[must_use]
    pub fn losses(&self) -> Losses {
        *self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, log: &Log) {
        self.bytes.store(log.bytes(), Relaxed);
        *self.losses.lock().unwrap_or_else(PoisonError::into_inner) = *log.losses();
    }
}

/// The way in. All clones lead to the same spool.
#[derive(Clone, Debug)]
pub struct Queue {
    sender: Sender<Vec<u8>>,
    counts: Arc<Counts>,
}

impl Queue {
    /// Hands an alert's record over without waiting; where there is no room it is counted as lost.
    pub fn offer(&self, record: Vec<u8>) {
        self.counts.queued.fetch_add(1, Relaxed);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.sender.try_send(record) {
            self.refuse();
        }
    }

    /// Hands an alert's record over, and waits for room.
    pub fn push(&self, record: Vec<u8>) {
        self.counts.queued.fetch_add(1, Relaxed);
        if self.sender.send(record).is_err() {
            self.refuse();
        }
    }

    fn refuse(&self) {
        self.counts.queued.fetch_sub(1, Relaxed);
        self.counts.refused.fetch_add(1, Relaxed);
    }
}

/// A spool with its thread, ready to begin.
#[derive(Debug)]
pub struct Spool {
    log: Log,
    /// How far the disk has come.
    pub standing: Arc<Standing>,
    /// What is counted.
    pub counts: Arc<Counts>,
}

impl Spool {
    /// Opens a spool, or makes it. What is delivered to `destinations` is dropped.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(folder: &Path, limits: Limits, destinations: Vec<Arc<Progress>>) -> Result<Self, SpoolError> {
        let (log, Opened { cut_bytes, .. }) = Log::open(folder, limits)?;
        if cut_bytes > 0 {
            warn!("spool: {}: {cut_bytes} bytes of an alert that was never accepted were cut off", folder.display());
        }
        let standing = Arc::new(Standing::with(log.end()));
        let counts = Arc::new(Counts::default());
        counts.note(&log);
        Ok(Self { log: log.delivering_to(destinations), standing, counts })
    }

    /// Begins to take alerts. The thread ends when there is no way in any more, with everything on disk.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(self) -> io::Result<(Queue, JoinHandle<()>)> {
        let (sender, records) = bounded(ROOM);
        let queue = Queue { sender, counts: Arc::clone(&self.counts) };
        let thread = thread::Builder::new().name("spool".to_owned()).spawn(move || self.run(&records))?;
        Ok((queue, thread))
    }

    fn run(mut self, records: &Receiver<Vec<u8>>) {
        let mut tidied = Instant::now();
        loop {
            let first = records.recv_timeout(TIDY_EVERY);
            let is_end = first == Err(RecvTimeoutError::Disconnected);
            let mut batch: Vec<Vec<u8>> = first.ok().into_iter().collect();
            let mut bytes = batch.first().map_or(0, Vec::len);
            // Whatever came while the disk was busy goes together.
            while let Some(record) = (bytes < TOGETHER).then(|| records.try_recv().ok()).flatten() {
                bytes += record.len();
                batch.push(record);
            }
            let kept = self.log.append(&batch);
            self.counts.accepted.fetch_add(kept as u64, Relaxed);
            self.counts.queued.fetch_sub(batch.len() as u64, Relaxed);
            self.standing.reach(self.log.end());
            if is_end || tidied.elapsed() >= TIDY_EVERY {
                tidied = Instant::now();
                let refused = self.counts.refused.swap(0, Relaxed);
                if refused > 0 {
                    error!("spool: {refused} alerts were lost: the disk is slower than they come");
                    self.log.lose_in_queue(refused);
                }
                self.log.tidy();
                self.counts.note(&self.log);
            }
            if is_end {
                self.standing.close();
                return;
            }
        }
    }
}
