//! What had to go.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

const FILE: &str = "losses.json";

/// Alerts that were dropped before each destination had them, since the spool was made, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Losses {
    /// The disk was full.
    pub disk_full: u64,
    /// The spool was as large as it may be.
    pub size: u64,
    /// They had waited as long as they may.
    pub age: u64,
    /// The disk was slower than the alerts came, and the queue in front of it was full.
    pub queue: u64,
    /// The disk failed otherwise, or a record in the middle of the spool was broken.
    pub disk_error: u64,
    /// Bytes behind the last whole record that were cut off when the spool was opened: never accepted.
    pub cut_bytes: u64,
}

impl Losses {
    /// Alerts, for whatever reason.
    #[must_use]
    pub const fn alerts(&self) -> u64 {
        self.disk_full + self.size + self.age + self.queue + self.disk_error
    }

    /// Those of a folder; none where nothing readable says otherwise.
    pub(super) fn read(folder: &Path) -> Self {
        fs::read(folder.join(FILE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        super::replace(&folder.join(FILE), &serde_json::to_vec(self)?)
    }
}
