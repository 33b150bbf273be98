//! What a running sensor counts, for whoever asks: written by the threads that work, read by those that tell, without a lock
//! between them but for the claims, which change seldom.
//!
//! Each thread adds once a batch, not once a frame. Reading takes the values one after the other: they need not be of the same
//! instant.

use std::{
    array,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    judge::{Severity, verdict::Verdict},
    output::metrics::{Claims, Interface, LATENCY_BOUNDS, Latency, Snapshot},
};

const VERDICTS: [Verdict; 4] = [Verdict::NoClaim, Verdict::Consistent, Verdict::Undecided, Verdict::Implausible];
const SEVERITIES: [Severity; 3] = [Severity::Low, Severity::Medium, Severity::High];

/// A number that threads share.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; wraps after 2^64.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Replaces, for what is counted elsewhere (the kernel's drops) and for what falls too (flows in the table).
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts of one interface; see [`Interface`].
#[derive(Debug, Default)]
pub struct InterfaceCounters {
    name: String,
    /// Frames received.
    pub frames: Count,
    /// Bytes of these on the wire.
    pub bytes: Count,
    /// Frames that the kernel had no room for.
    pub kernel_drops: Count,
    /// Frames that the network card or its driver dropped.
    pub interface_drops: Count,
    /// Frames received and dropped before an engine saw them.
    pub channel_drops: Count,
    up: AtomicBool,
}

impl InterfaceCounters {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says whether it is open.
    pub fn set_up(&self, up: bool) {
        self.up.store(up, Relaxed);
    }

    /// Whether it is open; not before [`Self::set_up`].
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }
}

/// Counts of a sensor; see [`Snapshot`].
#[derive(Debug)]
pub struct Counters {
    /// Each interface, in the order given.
    pub interfaces: Box<[InterfaceCounters]>,
    /// Frames that could not be decoded and should have been.
    pub undecoded: Count,
    /// Frames cut by a snaplen.
    pub truncated: Count,
    /// Copies of frames.
    pub duplicated: Count,
    /// Flows that the flow table had no room for.
    pub table_evictions: Count,
    /// Flows in the table.
    pub flows: Count,
    /// Flows that the table has room for.
    pub flows_max: Count,
    /// Sessions in the table.
    pub sessions: Count,
    /// Records that an output could not write, or had no room for.
    pub output_errors: Count,
    verdicts: [Count; VERDICTS.len()],
    alerts: [Count; SEVERITIES.len()],
    latency: [Count; LATENCY_BOUNDS.len() + 1],
    latency_sum: Count,
    claims: Mutex<Option<Claims>>,
    started: SystemTime,
}

impl Counters {
    /// All zero, from now on.
    #[must_use]
    pub fn new<'a>(interfaces: impl IntoIterator<Item = &'a str>) -> Self {
        let interface = |name: &str| InterfaceCounters { name: name.to_owned(), ..InterfaceCounters::default() };
        Self {
            interfaces: interfaces.into_iter().map(interface).collect(),
            undecoded: Count::default(),
            truncated: Count::default(),
            duplicated: Count::default(),
            table_evictions: Count::default(),
            flows: Count::default(),
            flows_max: Count::default(),
            sessions: Count::default(),
            output_errors: Count::default(),
            verdicts: array::from_fn(|_| Count::default()),
            alerts: array::from_fn(|_| Count::default()),
            latency: array::from_fn(|_| Count::default()),
            latency_sum: Count::default(),
            claims: Mutex::new(None),
            started: SystemTime::now(),
        }
    }

    /// Counts a session that ended.
    pub fn session_ended(&self, verdict: Verdict) {
        one_of(&VERDICTS, &self.verdicts, &verdict);
    }

    /// Counts an alert.
    pub fn alert(&self, severity: Severity) {
        one_of(&SEVERITIES, &self.alerts, &severity);
    }

    /// Counts a record that was written so long after the time of its frame.
    pub fn record_written(&self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS.partition_point(|end| *end < ns);
        self.latency.get(bucket).into_iter().for_each(|count| count.add(1));
        self.latency_sum.add(ns);
    }

    /// Claims were read, at the start or again: these are in force now.
    pub fn claims_read(&self, sha256: &str) {
        self.with_claims(|claims| {
            sha256.clone_into(&mut claims.sha256);
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

    /// What they are now; what the process takes is not among it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            interfaces: self.interfaces.iter().map(InterfaceCounters::snapshot).collect(),
            undecoded: self.undecoded.get(),
            truncated: self.truncated.get(),
            duplicated: self.duplicated.get(),
            table_evictions: self.table_evictions.get(),
            flows: self.flows.get(),
            flows_max: self.flows_max.get(),
            sessions: self.sessions.get(),
            verdicts: VERDICTS.iter().zip(&self.verdicts).map(|(verdict, count)| (verdict.name(), count.get())).collect(),
            alerts: SEVERITIES.iter().zip(&self.alerts).map(|(severity, count)| (severity.name(), count.get())).collect(),
            output_errors: self.output_errors.get(),
            latency: Latency { buckets: self.latency.each_ref().map(Count::get), sum_ns: self.latency_sum.get() },
            claims: self.claims.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            process: None,
            start_time_s: since_1970(self.started),
        }
    }
}

impl InterfaceCounters {
    fn snapshot(&self) -> Interface {
        Interface {
            name: self.name.clone(),
            frames: self.frames.get(),
            bytes: self.bytes.get(),
            kernel_drops: self.kernel_drops.get(),
            interface_drops: self.interface_drops.get(),
            channel_drops: self.channel_drops.get(),
            is_up: self.is_up(),
        }
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

    #[test]
    fn each_kind_is_counted_under_its_name() {
        let counters = Counters::new(["eth0", "eth1"]);
        for verdict in VERDICTS {
            counters.session_ended(verdict);
        }
        counters.session_ended(Verdict::Implausible);
        counters.alert(Severity::High);
        counters.interfaces[1].frames.add(3);
        let snapshot = counters.snapshot();
        assert_eq!(snapshot.verdicts, [("no_claim", 1), ("consistent", 1), ("undecided", 1), ("implausible", 2)]);
        assert_eq!(snapshot.alerts, [("low", 0), ("medium", 0), ("high", 1)]);
        let frames: Vec<_> = snapshot.interfaces.iter().map(|interface| (interface.name.as_str(), interface.frames)).collect();
        assert_eq!(frames, [("eth0", 0), ("eth1", 3)]);
    }

    #[test]
    fn a_latency_falls_in_the_bucket_that_ends_with_it() {
        let counters = Counters::new([]);
        for latency in [Duration::ZERO, Duration::from_millis(1), Duration::from_nanos(1_000_001), Duration::from_secs(60)] {
            counters.record_written(latency);
        }
        let latency = counters.snapshot().latency;
        assert_eq!((latency.buckets[0], latency.buckets[1], latency.buckets[LATENCY_BOUNDS.len()]), (2, 1, 1));
        assert_eq!(latency.sum_ns, 60_002_000_001);
    }

    #[test]
    fn claims_that_could_not_be_read_leave_those_in_force() {
        let counters = Counters::new([]);
        assert_eq!(counters.snapshot().claims, None);
        counters.claims_read("ab");
        counters.claims_failed();
        let claims = counters.snapshot().claims.unwrap();
        assert_eq!((claims.sha256.as_str(), claims.successes, claims.failures), ("ab", 1, 1));
        assert!(claims.success_s <= claims.failure_s);
    }
}
