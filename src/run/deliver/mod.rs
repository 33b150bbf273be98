//! Alerts from the spool to whoever collects them, each destination in a thread of its own.
//!
//! ```text
//! spool::Reader ─▶ Alert::write ─▶ Link (UDP, TCP, TLS, RELP, NATS, Kafka, local socket) ─▶ collector
//!        ▲                                      │
//!        └── what is not confirmed is sent again when a link breaks
//! ```
//!
//! What counts as arrived depends on the protocol. JetStream of NATS and Kafka answer that they keep it, a web server with 2xx. RELP confirms each message, once the receiver has it in memory; over TCP and TLS
//! nothing does. So what was confirmed, or sent, in the last seconds (30, unless told otherwise) is sent again after a break, in the
//! hope that the receiver did not lose what is older. Over UDP and the local socket a message is sent once.
//!
//! A destination may have others to stand in for it: the first that can be reached gets everything. Several destinations
//! get a copy each, and each has its own pace.
//!
//! Names are looked up once, at the start: behind the guard nothing is.

mod destination;
mod kafka;
mod link;
mod nats;
mod publisher;
mod relp;
mod tls;
mod watch;
mod worker;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tracing::{info, warn};

use self::worker::Worker;
pub use self::{
    destination::{Bus, Destination, DestinationError, Kind, Target},
    kafka::{Kafka, KafkaError},
    nats::{Login, Nats, NatsError},
    relp::{Relp, RelpError},
    watch::Watch,
};
use super::spool::{Cursor, Limits, Progress, Queue, Spool, SpoolError};
use crate::{
    cli::AlertArgs,
    config::ConfigError,
    event::AlertEvent,
    output::{self, Context},
};

/// A spool and its destinations, ready to begin.
#[derive(Debug)]
pub struct Setup {
    folder: PathBuf,
    spool: Spool,
    destinations: Vec<(Destination, Arc<Progress>)>,
    wait: Duration,
    bytes_max: u64,
}

/// Why alerts cannot be delivered.
#[derive(Debug)]
pub enum SetupError {
    /// What was typed cannot be meant.
    Config(ConfigError),
    /// The spool cannot be opened, or a name has no address: another try may help.
    System(String),
}

/// How destinations hear that it ends.
#[derive(Debug, Default)]
struct End {
    deadline: Mutex<Option<Instant>>,
    set: Condvar,
}

impl End {
    fn set(&self, deadline: Instant) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
        self.set.notify_all();
    }

    /// When to end, with whatever is done by then.
    fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, unless it ends. Gives whether the deadline has passed.
    fn sleep(&self, pause: Duration) -> bool {
        let deadline = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = deadline.map_or(pause, |deadline| pause.min(deadline.saturating_duration_since(Instant::now())));
        let had = deadline.is_some();
        let (deadline, _) = self
            .set
            .wait_timeout_while(deadline, pause, |deadline| deadline.is_some() == had)
            .unwrap_or_else(PoisonError::into_inner);
        deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl Setup {
    /// What the options ask for; nothing, where they ask for no spool. Reads certificates and looks names up.
    ///
    /// # Errors
    /// [`SetupError`] where a destination is none, or the spool cannot be opened.
    pub fn resolve(args: &AlertArgs) -> Result<Option<Self>, SetupError> {
        let Some(folder) = args.spool.clone() else { return Ok(None) };
        let usage = |text: &str, problem: DestinationError| match problem {
            DestinationError::Wrong(why) => SetupError::Config(ConfigError::Usage(format!("--alert-to: {text}: {why}"))),
            DestinationError::Unknown(why) => SetupError::System(format!("--alert-to: {text}: {why}")),
        };
        let destinations = args.alert_to.iter().map(|text| Destination::parse(text).map_err(|problem| usage(text, problem)));
        let destinations = destinations.collect::<Result<Vec<_>, _>>()?;
        let destinations: Vec<_> = destinations.into_iter().map(|one| (one, Arc::new(Progress::default()))).collect();
        for (position, (one, progress)) in destinations.iter().enumerate() {
            if destinations.iter().take(position).any(|(other, _)| other.name == one.name) {
                let twice = ConfigError::Usage(format!("--alert-to: {} is named twice", one.name));
                return Err(SetupError::Config(twice));
            }
            progress.next.store(Cursor::read(&folder, &one.name).next, Relaxed);
        }
        let limits = Limits { bytes: u64::from(args.spool_size) << 20, age: args.spool_age };
        let progress = destinations.iter().map(|(_, progress)| Arc::clone(progress)).collect();
        let spool = Spool::open(&folder, limits, progress)
            .map_err(|problem: SpoolError| SetupError::System(format!("--spool: {problem}")))?;
        Ok(Some(Self { folder, spool, destinations, wait: args.alert_wait, bytes_max: limits.bytes }))
    }

    /// The folder of the spool.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// TCP ports that are connected to.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.destinations.iter().flat_map(|(destination, _)| destination.ports())
    }

    /// Begins: `waits` says whether whoever raises an alert may wait for room in front of the disk.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(self, waits: bool, context: Context) -> io::Result<Delivery> {
        let Self { folder, spool, destinations, wait, bytes_max } = self;
        let (standing, counts, end) = (Arc::clone(&spool.standing), Arc::clone(&spool.counts), Arc::new(End::default()));
        let lost_before = counts.losses().alerts();
        let mut workers = Vec::new();
        let mut watched = Vec::new();
        for (position, (destination, progress)) in destinations.into_iter().enumerate() {
            if destination.is_best_effort() {
                info!("alerts to {}: best effort: nothing tells what arrived", destination.name);
            }
            watched.push((destination.name.clone(), Arc::clone(&progress)));
            let worker = Worker::new(destination, &folder, Arc::clone(&standing), progress, Arc::clone(&end));
            workers.push(thread::Builder::new().name(format!("alerts {}", position + 1)).spawn(move || worker.run())?);
        }
        let (queue, disk) = spool.start()?;
        let (queue, disk) = (Some(queue), Some(disk));
        let watch = Watch { standing, counts, bytes_max, destinations: watched };
        Ok(Delivery { queue, waits, context, folder, wait, lost_before, end, disk, workers, watch })
    }
}

/// A delivery that goes on. Dropped, it sees to it that everything is on disk, and waits for no collector.
#[derive(Debug)]
pub struct Delivery {
    /// The way in; none once it ends.
    queue: Option<Queue>,
    waits: bool,
    context: Context,
    folder: PathBuf,
    wait: Duration,
    lost_before: u64,
    end: Arc<End>,
    disk: Option<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    watch: Watch,
}

impl Delivery {
    /// Takes an alert over.
    pub fn take(&self, alert: &AlertEvent) {
        let record = output::alert_record(alert, &self.context);
        match &self.queue {
            Some(queue) if self.waits => queue.push(record),
            Some(queue) => queue.offer(record),
            None => {}
        }
    }

    /// How it stands, for whoever asks.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// The sensor has another name from here on.
    pub fn rename(&mut self, sensor: Option<String>) {
        self.context.sensor = sensor;
    }

    /// Waits until everything is on disk, and so long as was asked for until it is delivered. What waits still is told, and delivered
    /// by whoever opens the spool next. Gives how many alerts were lost in this run.
    #[must_use]
    pub fn finish(mut self) -> u64 {
        self.sync();
        self.end.set(Instant::now() + self.wait);
        self.workers.drain(..).for_each(|worker| drop(worker.join()));
        for (name, progress) in &self.watch.destinations {
            let waiting = self.watch.waiting(progress);
            if waiting > 0 {
                warn!("alerts to {name}: {waiting} may not have arrived, and wait in {}", self.folder.display());
            }
        }
        self.watch.counts.losses().alerts().saturating_sub(self.lost_before)
    }

    /// Takes nothing more, and waits until everything is on disk.
    fn sync(&mut self) {
        self.queue = None;
        if let Some(disk) = self.disk.take() {
            let _ = disk.join();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.sync();
    }
}
