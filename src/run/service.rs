//! What a service manager is told (systemd, or whoever speaks its protocol, `sd_notify(3)`): ready, reloading, stopping, a line
//! of status, and, where it keeps a watchdog, that the sensor still moves.
//!
//! Without a service manager all of this does nothing.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tracing::{debug, error};

use super::health::{Health, SILENCE};

/// Tells the service manager that started this process.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    watchdog: Option<Duration>,
}

impl Service {
    /// Asks the environment whether there is a watchdog for this process (`WATCHDOG_USEC`, `WATCHDOG_PID`).
    #[must_use]
    pub fn from_environment() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) }
    }

    /// The sensor works, or does so again after [`Self::reloading`].
    pub fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// Claims or configuration are read again; [`Self::ready`] has to follow, whatever comes of it.
    pub fn reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => debug!("service manager: {error}"),
        }
    }

    /// The sensor ends.
    pub fn stopping(self) {
        tell(&[NotifyState::Stopping]);
    }

    /// A line for `systemctl status`.
    pub fn status(self, text: &str) {
        tell(&[NotifyState::Status(&one_line(text))]);
    }

    /// Feeds the watchdog from now on, in a thread of its own, while all threads move; nothing without a watchdog. Says once
    /// who does not: the service manager will end the process then.
    ///
    /// # Errors
    /// [`io::Error`] where no thread can be started.
    pub fn watch(self, health: Arc<Health>) -> io::Result<()> {
        let Some(interval) = self.watchdog else { return Ok(()) };
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || feed(interval, &health)).map(drop)
    }
}

/// Twice in the watchdog's interval and once more, since a thread may wake late.
fn feed(interval: Duration, health: &Health) {
    let limit = SILENCE.min(interval / 2);
    let mut told = None;
    loop {
        let began = Instant::now();
        match health.stalled(limit) {
            None => {
                tell(&[NotifyState::Watchdog]);
                told = None;
            }
            Some(problem) if told.is_none() => {
                error!("watchdog: {problem}");
                tell(&[NotifyState::Status(&problem)]);
                told = Some(problem);
            }
            Some(_) => {}
        }
        thread::sleep((interval / 3).saturating_sub(began.elapsed()));
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("service manager: {error}");
    }
}

/// The protocol is one of lines.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
