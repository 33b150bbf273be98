//! How far a destination has come.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is known of a destination between two runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// The destination as it was typed.
    pub destination: String,
    /// Number of the first record that it may not have.
    pub next: u64,
    /// Messages sent to it, again or for the first time.
    pub sent: u64,
    /// Of these, again.
    pub sent_again: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Records that were dropped before they were delivered.
    pub lost: u64,
    /// Why it could not be reached the last time; nothing where it is connected.
    pub problem: Option<String>,
}

impl Cursor {
    /// That of a destination; where none is kept, or it cannot be read, one at the beginning.
    #[must_use]
    pub fn read(folder: &Path, destination: &str) -> Self {
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Self>(&bytes).ok();
        let kept = fs::read(path(folder, destination)).ok().and_then(read);
        kept.unwrap_or_else(|| Self { destination: destination.to_owned(), ..Self::default() })
    }

    /// Keeps it.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        super::replace(&path(folder, &self.destination), &serde_json::to_vec(self)?)
    }

    /// All that are kept, by destination.
    pub(super) fn all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut cursors = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("to-") && name.ends_with(".json") {
                cursors.extend(fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok()));
            }
        }
        cursors.sort_by(|one, other| one.destination.cmp(&other.destination));
        Ok(cursors)
    }
}

/// A destination's file; its name is a hash, since that of a destination may hold anything.
fn path(folder: &Path, destination: &str) -> PathBuf {
    let hash = Sha256::digest(destination.as_bytes());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("to-{hash}.json"))
}

/// How far a destination has come, for those that look on while it moves.
#[derive(Debug, Default)]
pub struct Progress {
    /// Number of the first record that it may not have.
    pub next: AtomicU64,
    /// Records that count as arrived, in this run.
    pub arrived: AtomicU64,
    /// Messages sent, again or for the first time, in this run.
    pub sent: AtomicU64,
    /// Of these, again.
    pub sent_again: AtomicU64,
    /// Connections that were made, in this run.
    pub connections: AtomicU64,
    /// Records that were gone, or could not be sent, in this run.
    pub lost: AtomicU64,
    /// Whether there is a connection, or none is needed.
    pub is_connected: AtomicBool,
}

impl Progress {
    pub(super) fn next(&self) -> u64 {
        self.next.load(Relaxed)
    }
}
