//! Signals, as flags that the loop looks at: TERM and INT end the run, HUP has files read and opened again.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

/// What was asked for by signals.
#[derive(Debug)]
pub(super) struct Signals {
    end: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// Takes signals from here on. A second one to end ends the process at once, as if nobody had.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn take() -> io::Result<Self> {
        let signals = Self { end: Arc::default(), reload: Arc::default() };
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first finds the flag down.
            flag::register_conditional_default(signal, Arc::clone(&signals.end))?;
            flag::register(signal, Arc::clone(&signals.end))?;
        }
        flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        Ok(signals)
    }

    /// Whether the run is to end.
    pub(super) fn is_end(&self) -> bool {
        self.end.load(SeqCst)
    }

    /// Whether files are to be read again; once for each time.
    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, SeqCst)
    }
}
