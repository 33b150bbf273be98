//! The folder that evidence is saved in: one capture an alert, for its owner alone.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use tracing::{debug, error, warn};

use crate::{config::ConfigError, event::AlertEvent};

/// Where evidence goes, and how much of it did not get there.
#[derive(Debug)]
pub(super) struct EvidenceFolder {
    path: PathBuf,
    failed: u64,
}

impl EvidenceFolder {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// [`ConfigError::Folder`] where it cannot be made, or is none.
    pub(super) fn open(path: PathBuf) -> Result<Self, ConfigError> {
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path, failed: 0 }),
            Err(source) => Err(ConfigError::Folder { path, source }),
        }
    }

    /// Saves the evidence for an alert as `ALERT_ID-REVISION.pcap`, over what was there. A failure is told, and the run goes on.
    pub(super) fn save(&mut self, alert: &AlertEvent) {
        let Some(slice) = &alert.slice else { return };
        let path = self.path.join(format!("{}-{}.pcap", alert.id, alert.revision));
        let name = path.display();
        if let Err(problem) = write(&path, &slice.pcap()) {
            error!("--save-evidence: {name}: {problem}");
            self.failed += 1;
            return;
        }
        match slice.left_out() {
            0 => debug!("evidence: {name}: {} frames", slice.kept()),
            left_out => warn!("evidence: {name} is partial: {} frames, {left_out} of the session left out", slice.kept()),
        }
    }

    /// Where it goes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Of how many alerts it could not be written.
    pub(super) const fn failed(&self) -> u64 {
        self.failed
    }
}

/// A new file each time: whatever has its name, a link too, is replaced and not written into.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}
