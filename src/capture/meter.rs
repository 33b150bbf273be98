//! How much was read, for whoever shows progress.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts the bytes of all inputs that it is put on, as they lie there: compressed where they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Meter {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The same stream, counted.
    pub(super) fn on(&self, stream: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        Box::new(Metered { meter: self.clone(), stream })
    }
}

struct Metered {
    meter: Meter,
    stream: Box<dyn Read + Send>,
}

impl Read for Metered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        self.meter.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
