//! The folder that evidence is saved in: one capture an alert, for its owner alone.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use tracing::{debug, error, info, warn};

use crate::{
    config::{ConfigError, Retention},
    event::AlertEvent,
};

/// How often it is looked for what is to be deleted.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// Where evidence goes, and how much of it did not get there.
#[derive(Debug)]
pub(super) struct EvidenceFolder {
    path: PathBuf,
    failed: u64,
    retention: Retention,
    tidied: Option<Instant>,
}

impl EvidenceFolder {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// [`ConfigError::Folder`] where it cannot be made, or is none.
    pub(super) fn open(path: PathBuf) -> Result<Self, ConfigError> {
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path, failed: 0, retention: Retention::default(), tidied: None }),
            Err(source) => Err(ConfigError::Folder { path, source }),
        }
    }

    /// Keeps so much.
    pub(super) fn keeping(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Deletes what is too old or too much, once in a while.
    pub(super) fn tidy(&mut self) {
        if self.retention == Retention::default() || self.tidied.is_some_and(|tidied| tidied.elapsed() < TIDY_EVERY) {
            return;
        }
        self.tidied = Some(Instant::now());
        match expired(&self.path, self.retention, SystemTime::now()) {
            Ok(paths) => paths.iter().for_each(|path| match fs::remove_file(path) {
                Ok(()) => info!("evidence: {} was deleted: it is too old, or there is too much", path.display()),
                Err(problem) => error!("--save-evidence: {}: {problem}", path.display()),
            }),
            Err(problem) => error!("--save-evidence: {}: {problem}", self.path.display()),
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

/// Evidence that is too old, and the oldest of what is too much. Files of other names are nobody's business.
fn expired(folder: &Path, retention: Retention, now: SystemTime) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
            && is_evidence(&entry.file_name())
        {
            found.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    found.sort();
    let mut bytes: u64 = found.iter().map(|(_, length, _)| length).sum();
    let mut expired = Vec::new();
    for (modified, length, path) in found {
        let is_old = retention.age.is_some_and(|age| now.duration_since(modified).is_ok_and(|waited| waited > age));
        if is_old || retention.bytes.is_some_and(|most| bytes > most) {
            bytes -= length;
            expired.push(path);
        }
    }
    Ok(expired)
}

/// Whether a file is called `ALERT_ID-REVISION.pcap`.
fn is_evidence(name: &OsStr) -> bool {
    let parts = name.to_str().and_then(|name| name.strip_suffix(".pcap")?.split_once('-'));
    parts.is_some_and(|(id, revision)| {
        let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id && !revision.is_empty() && revision.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A new file each time: whatever has its name, a link too, is replaced and not written into.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_is_old_goes_and_then_the_oldest_until_the_rest_fits() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        for (name, hours, length) in [
            ("00112233445566aa-0.pcap", 50, 100),
            ("00112233445566ab-12.pcap", 20, 100),
            ("00112233445566ac-0.pcap", 10, 100),
            ("00112233445566ad-0.pcap", 1, 100),
            ("another.pcap", 500, 100),
            ("00112233445566ae-x.pcap", 500, 100),
            ("0011-0.pcap", 500, 100),
        ] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_len(length).unwrap();
            file.set_modified(now - Duration::from_secs(hours * 3600)).unwrap();
        }
        let ids = |age: Option<u64>, bytes| {
            let age = age.map(|hours| Duration::from_secs(hours * 3600));
            let found = expired(folder.path(), Retention { age, bytes }, now).unwrap();
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap()[14..16].to_owned();
            found.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, None), [""; 0]);
        assert_eq!(ids(Some(24), None), ["aa"]);
        assert_eq!(ids(None, Some(250)), ["aa", "ab"]);
        assert_eq!(ids(Some(24), Some(100)), ["aa", "ab", "ac"]);
        let mut evidence = EvidenceFolder::open(folder.path().to_owned()).unwrap();
        evidence.tidy();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 7, "nothing goes unless it was asked for");
        evidence = evidence.keeping(Retention { age: Some(Duration::from_secs(15 * 3600)), bytes: None });
        evidence.tidy();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    }
}
