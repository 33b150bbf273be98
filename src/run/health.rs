//! Whether a sensor works: its threads move, its interfaces are open.
//!
//! A thread that waits for something wakes at least once a second to say that it is there ([`Beat::mark`]); so a quiet link is
//! healthy, and a thread that hangs or died is not.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::output::metrics::Snapshot;

/// How long a thread may be silent.
pub const SILENCE: Duration = Duration::from_secs(10);

/// A sign of life of one thread.
#[derive(Debug)]
pub struct Beat {
    name: String,
    started: Instant,
    /// Milliseconds after `started`.
    last: AtomicU64,
}

impl Beat {
    /// The thread is there and moves. Costs a look at the clock: once a batch.
    pub fn mark(&self) {
        self.last.store(self.now(), Relaxed);
    }

    fn silent_for(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.last.load(Relaxed)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Signs of life of all threads.
#[derive(Debug, Default)]
pub struct Health {
    beats: Mutex<Vec<Arc<Beat>>>,
    ready: AtomicBool,
}

impl Health {
    /// Expects signs of life from a thread, named as in a sentence (`capture of eth0`), from now on and for good: who falls silent
    /// is missed, also where the thread has ended.
    #[must_use]
    pub fn expect(&self, name: &str) -> Arc<Beat> {
        let beat = Arc::new(Beat { name: name.to_owned(), started: Instant::now(), last: AtomicU64::new(0) });
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&beat));
        beat
    }

    /// Says whether the sensor has begun (interfaces open, claims read, outputs open) and is not stopping.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// Whether it has.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Which thread has been silent for longer than a time, if any: a restart may mend that.
    #[must_use]
    pub fn stalled(&self, limit: Duration) -> Option<String> {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let worst = beats.iter().map(|beat| (beat.silent_for(), &beat.name)).max_by_key(|(silent, _)| *silent)?;
        let (silent, name) = worst;
        (silent > limit).then(|| format!("{name} has not moved for {} s", silent.as_secs()))
    }

    /// What is wrong with the sensor, if anything is: a thread that is silent, or an interface that is not open.
    #[must_use]
    pub fn problem(&self, counted: &Snapshot) -> Option<String> {
        let down = || counted.interfaces.iter().find(|interface| !interface.is_up);
        self.stalled(SILENCE).or_else(|| down().map(|interface| format!("interface {} is not open", interface.name)))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{capture::live::TapCounters, run::counters::Counters};

    #[test]
    fn who_is_silent_is_named() {
        let health = Health::default();
        assert_eq!(health.stalled(Duration::ZERO), None, "nobody is expected");
        let quick = health.expect("capture of eth0");
        drop(health.expect("engine 1"));
        thread::sleep(Duration::from_millis(50));
        quick.mark();
        assert_eq!(health.stalled(Duration::from_millis(20)).as_deref(), Some("engine 1 has not moved for 0 s"));
        assert_eq!(health.stalled(Duration::from_secs(3600)), None);
    }

    #[test]
    fn an_interface_that_is_not_open_is_a_problem_and_no_stall() {
        let taps: [Arc<TapCounters>; 2] = Default::default();
        let named = ["eth0", "eth1"].map(str::to_owned).into_iter().zip(taps.clone());
        let (health, counters) = (Health::default(), Counters::new(named, 1));
        taps[0].set_open(true);
        assert_eq!(health.problem(&counters.snapshot()).as_deref(), Some("interface eth1 is not open"));
        taps[1].set_open(true);
        assert_eq!(health.problem(&counters.snapshot()), None);
    }
}
