//! What a running sensor counts, for whoever asks: written by the threads that work, read by those that tell, without a lock
//! between them but for the claims, which change seldom.
//!
//! Each thread adds once a batch, not once a frame. Reading takes the values one after the other: they need not be of the same
//! instant. Each stage has its own: [`TapCounters`] of an interface, [`EngineCounters`] of an engine, and what is behind the engines
//! there is once.

use std::{
    array, fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::deliver::Watch;
use crate::{
    capture::live::TapCounters,
    engine::Engine,
    event::{Event, Lost},
    judge::{Severity, verdict::Verdict},
    output::metrics::{Claims, Interface, LATENCY_BOUNDS, Latency, Snapshot},
};

const VERDICTS: [Verdict; 4] = [Verdict::NoClaim, Verdict::Consistent, Verdict::Undecided, Verdict::Implausible];
const SEVERITIES: [Severity; 3] = [Severity::Low, Severity::Medium, Severity::High];
const RECORDS: [&str; 3] = ["session", "keystroke", "alert"];

/// A number that threads share.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; wraps after 2^64.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Replaces, for what is counted elsewhere (in an engine) and for what falls too (flows in the table).
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts of one engine.
#[derive(Debug, Default)]
pub struct EngineCounters {
    /// Frames that it has handled.
    pub frames: Count,
    /// Frames that could not be decoded and should have been.
    pub undecoded: Count,
    /// Frames cut by a snaplen.
    pub truncated: Count,
    /// Copies of frames, but for those of fragments.
    pub duplicated: Count,
    /// Copies of fragments.
    pub duplicated_fragments: Count,
    /// Flows that its table had no room for.
    pub dropped_flows: Count,
    /// Flows in its table.
    pub flows: Count,
    /// Sessions in its table, and flows that may become one.
    pub sessions: Count,
}

impl EngineCounters {
    /// Takes note of how an engine stands: by its own thread, once a round.
    pub fn note(&self, engine: &Engine) {
        let counters = engine.counters();
        self.frames.set(counters.packets);
        self.undecoded.set(counters.undecoded);
        self.truncated.set(counters.truncated);
        self.duplicated.set(counters.duplicated);
        self.duplicated_fragments.set(counters.duplicated_fragments);
        self.dropped_flows.set(counters.dropped_flows);
        self.flows.set(engine.flows() as u64);
        self.sessions.set(engine.sessions() as u64);
    }
}

/// Counts of a sensor; see [`Snapshot`].
#[derive(Debug)]
pub struct Counters {
    /// Each interface, by name, in the order given.
    interfaces: Box<[(String, Arc<TapCounters>)]>,
    /// Each engine.
    pub engines: Box<[EngineCounters]>,
    /// Flows that the tables have room for.
    pub flows_max: Count,
    /// Sessions that go on and were alerted.
    pub alerted: Count,
    /// Alerts whose evidence could not be saved.
    pub evidence_errors: Count,
    /// Sessions that could not be archived.
    pub archive_lost: Count,
    records: [Count; RECORDS.len()],
    verdicts: [Count; VERDICTS.len()],
    alerts: [Count; SEVERITIES.len()],
    latency: [Count; LATENCY_BOUNDS.len() + 1],
    latency_sum: Count,
    claims: Mutex<Option<Claims>>,
    /// What becomes of alerts behind the sensor.
    delivery: OnceLock<Watch>,
    started: SystemTime,
}

impl Counters {
    /// All zero, from now on, for interfaces by name and a number of engines.
    #[must_use]
    pub fn new(interfaces: impl IntoIterator<Item = (String, Arc<TapCounters>)>, engines: usize) -> Self {
        Self {
            interfaces: interfaces.into_iter().collect(),
            engines: (0..engines).map(|_| EngineCounters::default()).collect(),
            flows_max: Count::default(),
            alerted: Count::default(),
            evidence_errors: Count::default(),
            archive_lost: Count::default(),
            records: array::from_fn(|_| Count::default()),
            verdicts: array::from_fn(|_| Count::default()),
            alerts: array::from_fn(|_| Count::default()),
            latency: array::from_fn(|_| Count::default()),
            latency_sum: Count::default(),
            claims: Mutex::new(None),
            delivery: OnceLock::new(),
            started: SystemTime::now(),
        }
    }

    /// Frames that came from each interface, in the order given.
    pub fn frames(&self) -> impl Iterator<Item = u64> {
        self.interfaces.iter().map(|(_, tap)| tap.get().frames)
    }

    /// What all interfaces lost.
    #[must_use]
    pub fn lost(&self) -> Lost {
        let counts = self.interfaces.iter().map(|(_, tap)| tap.get());
        counts.fold(Lost::default(), |sum, tap| Lost {
            kernel: sum.kernel + tap.lost_kernel,
            interface: sum.interface + tap.lost_interface,
            shed_bulk: sum.shed_bulk + tap.shed.bulk,
            shed_new: sum.shed_new + tap.shed.new,
        })
    }

    /// Counts a session that ended.
    pub fn session_ended(&self, verdict: Verdict) {
        one_of(&VERDICTS, &self.verdicts, &verdict);
    }

    /// Counts an alert.
    pub fn alert(&self, severity: Severity) {
        one_of(&SEVERITIES, &self.alerts, &severity);
    }

    /// Counts a record.
    pub fn record(&self, event: &Event) {
        let kind = match event {
            Event::Session(_) => "session",
            Event::Keystroke(_) => "keystroke",
            Event::Alert(_) => "alert",
        };
        one_of(&RECORDS, &self.records, &kind);
    }

    /// Counts a record that was written so long after the capture time at which it became known.
    pub fn record_written(&self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS.partition_point(|end| *end < ns);
        self.latency.get(bucket).into_iter().for_each(|count| count.add(1));
        self.latency_sum.add(ns);
    }

    /// Alerts are delivered from now on; what becomes of them is told too.
    pub fn watch(&self, delivery: Watch) {
        let _ = self.delivery.set(delivery);
    }

    /// Claims were read, at the start or again: these are in force now, if there are any.
    pub fn claims_read(&self, sha256: Option<&str>) {
        self.with_claims(|claims| {
            claims.sha256 = sha256.map(str::to_owned);
            claims.success_s = Some(since_1970(SystemTime::now()));
            claims.successes += 1;
        });
    }

    /// Claims could not be read again: those from before stay in force.
    pub fn claims_failed(&self) {
        self.with_claims(|claims| {
            claims.failure_s = Some(since_1970(SystemTime::now()));
            claims.failures += 1;
        });
    }

    fn with_claims(&self, change: impl FnOnce(&mut Claims)) {
        change(self.claims.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default());
    }

    /// Over all engines.
    fn sum(&self, count: impl Fn(&EngineCounters) -> &Count) -> u64 {
        self.engines.iter().map(|engine| count(engine).get()).sum()
    }

    /// The largest of all engines: each is given all frames, and counts them all.
    fn largest(&self, count: impl Fn(&EngineCounters) -> &Count) -> u64 {
        self.engines.iter().map(|engine| count(engine).get()).max().unwrap_or_default()
    }

    /// What they are now; what the process takes is not among it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            interfaces: self.interfaces.iter().map(|(name, tap)| interface(name, tap)).collect(),
            queued: self.interfaces.iter().map(|(_, tap)| tap.get().queued).sum(),
            handled: self.largest(|engine| &engine.frames),
            undecoded: self.largest(|engine| &engine.undecoded),
            truncated: self.largest(|engine| &engine.truncated),
            duplicated: self.sum(|engine| &engine.duplicated) + self.largest(|engine| &engine.duplicated_fragments),
            table_evictions: self.sum(|engine| &engine.dropped_flows),
            flows: self.sum(|engine| &engine.flows),
            flows_max: self.flows_max.get(),
            sessions: self.sum(|engine| &engine.sessions),
            records: RECORDS.iter().zip(&self.records).map(|(record, count)| (*record, count.get())).collect(),
            verdicts: VERDICTS.iter().zip(&self.verdicts).map(|(verdict, count)| (verdict.name(), count.get())).collect(),
            alerts: SEVERITIES.iter().zip(&self.alerts).map(|(severity, count)| (severity.name(), count.get())).collect(),
            evidence_errors: self.evidence_errors.get(),
            archive_lost: self.archive_lost.get(),
            latency: Latency { buckets: self.latency.each_ref().map(Count::get), sum_ns: self.latency_sum.get() },
            delivery: self.delivery.get().map(Watch::read),
            claims: self.claims.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            process: None,
            start_time_s: since_1970(self.started),
        }
    }
}

/// One line, for the log and the service manager.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.snapshot();
        let (lost, waits) = (self.lost(), now.interfaces.iter().map(|interface| interface.waits).sum::<u64>());
        let (reloads, failed) = now.claims.map_or((0, 0), |claims| (claims.successes.saturating_sub(1), claims.failures));
        write!(
            f,
            "{} packets, {} flows ({} dropped), {} sessions ({} alerted); lost {} by the kernel and {} by interfaces, shed {} of \
             bulk and {} of other flows; {} batches wait, {waits} waits for room; {reloads} reloads, {failed} failed",
            now.handled,
            now.flows,
            now.table_evictions,
            now.sessions,
            self.alerted.get(),
            lost.kernel,
            lost.interface,
            lost.shed_bulk,
            lost.shed_new,
            now.queued,
        )
    }
}

fn interface(name: &str, tap: &TapCounters) -> Interface {
    let counts = tap.get();
    Interface {
        name: name.to_owned(),
        frames: counts.frames,
        bytes: counts.bytes,
        kernel_drops: counts.lost_kernel,
        interface_drops: counts.lost_interface,
        shed_bulk: counts.shed.bulk,
        shed_new: counts.shed.new,
        overload_level: counts.level,
        waits: counts.waits,
        reopened: counts.reopened,
        is_up: tap.is_open(),
    }
}

fn one_of<K: PartialEq>(kinds: &[K], counts: &[Count], kind: &K) {
    kinds.iter().zip(counts).filter(|(known, _)| *known == kind).for_each(|(_, count)| count.add(1));
}

fn since_1970(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> Counters {
        Counters::new(["eth0", "eth1"].map(|name| (name.to_owned(), Arc::default())), 2)
    }

    #[test]
    fn each_kind_is_counted_under_its_name() {
        let counters = counters();
        for verdict in VERDICTS {
            counters.session_ended(verdict);
        }
        counters.session_ended(Verdict::Implausible);
        counters.alert(Severity::High);
        counters.interfaces[1].1.on_frames(3, 180);
        let snapshot = counters.snapshot();
        assert_eq!(snapshot.verdicts, [("no_claim", 1), ("consistent", 1), ("undecided", 1), ("implausible", 2)]);
        assert_eq!(snapshot.alerts, [("low", 0), ("medium", 0), ("high", 1)]);
        let frames: Vec<_> = snapshot.interfaces.iter().map(|interface| (interface.name.as_str(), interface.frames)).collect();
        assert_eq!(frames, [("eth0", 0), ("eth1", 3)]);
    }

    #[test]
    fn engines_and_interfaces_add_up() {
        let counters = counters();
        for (engine, flows) in counters.engines.iter().zip([3, 4]) {
            engine.flows.set(flows);
            engine.frames.set(10 + flows);
        }
        for (_, tap) in &counters.interfaces {
            tap.on_lost(5, 1);
        }
        assert_eq!(counters.lost(), Lost { kernel: 10, interface: 2, ..Lost::default() });
        let snapshot = counters.snapshot();
        assert_eq!((snapshot.flows, snapshot.handled), (7, 14), "both engines are given the same frames");
        assert!(counters.to_string().contains(" 7 flows (0 dropped)"), "{counters}");
    }

    #[test]
    fn a_latency_falls_in_the_bucket_that_ends_with_it() {
        let counters = Counters::new([], 1);
        for latency in [Duration::ZERO, Duration::from_millis(1), Duration::from_nanos(1_000_001), Duration::from_secs(60)] {
            counters.record_written(latency);
        }
        let latency = counters.snapshot().latency;
        assert_eq!((latency.buckets[0], latency.buckets[1], latency.buckets[LATENCY_BOUNDS.len()]), (2, 1, 1));
        assert_eq!(latency.sum_ns, 60_002_000_001);
    }

    #[test]
    fn claims_that_could_not_be_read_leave_those_in_force() {
        let counters = Counters::new([], 1);
        assert_eq!(counters.snapshot().claims, None);
        counters.claims_read(Some("ab"));
        counters.claims_failed();
        let claims = counters.snapshot().claims.unwrap();
        assert_eq!((claims.sha256.as_deref(), claims.successes, claims.failures), (Some("ab"), 1, 1));
        assert!(claims.success_s <= claims.failure_s);
    }
}
