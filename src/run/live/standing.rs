//! How the sensor stands, for whoever keeps it running: the log, the service manager, the endpoint of `--metrics`.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{debug, info};

use crate::run::{
    counters::Counters,
    health::{Beat, Health},
    metrics::Endpoint,
    service::Service,
};

/// How often it is told how things stand.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What is counted, who moves, and who is told.
pub(super) struct Standing {
    pub(super) counters: Arc<Counters>,
    health: Arc<Health>,
    service: Service,
    /// Of the thread that drives the one engine, or takes what several have observed.
    beat: Arc<Beat>,
    told: Instant,
}

impl Standing {
    /// Begins to tell. Behind the guard, for its threads.
    ///
    /// # Errors
    /// Where there can be no more threads.
    pub(super) fn begin(
        counters: Arc<Counters>,
        health: Arc<Health>,
        service: Service,
        endpoint: Option<Endpoint>,
    ) -> io::Result<Self> {
        let beat = health.expect(if counters.engines.len() == 1 { "engine" } else { "correlator" });
        if let Some(endpoint) = endpoint {
            info!("metrics at http://{}/metrics", endpoint.local_address()?);
            let counted = Arc::clone(&counters);
            endpoint.serve(move || counted.snapshot(), Arc::clone(&health))?;
        }
        service.watch(Arc::clone(&health))?;
        let standing = Self { counters, health, service, beat, told: Instant::now() };
        standing.ready();
        Ok(standing)
    }

    /// One more round: with -v, now and then how things stand.
    pub(super) fn round(&mut self) {
        self.beat.mark();
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let text = self.counters.to_string();
            debug!("{text}");
            self.service.status(&text);
        }
    }

    /// Files are read again; [`Self::ready`] has to follow.
    pub(super) fn reloading(&self) {
        self.service.reloading();
    }

    pub(super) fn ready(&self) {
        self.health.set_ready(true);
        self.service.ready(&self.counters.to_string());
    }

    pub(super) fn stopping(&self) {
        self.health.set_ready(false);
        self.service.stopping();
    }
}
