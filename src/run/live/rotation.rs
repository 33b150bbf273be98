//! When a file of results is full, and what becomes of it: it gets a name with the time and stays where it is, and another begins.
//!
//! Whoever reads the files has each under one name from its end on, since nothing is renumbered.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tracing::warn;

use crate::cli::RotateArgs;

/// Name of a file that is full, behind that of the file; sorted by name is sorted by time.
const STAMP: &str = "%Y%m%dT%H%M%S%.3fZ";

/// How often a name that is taken is made another, a millisecond on.
const TRIES: u64 = 1_000;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rotation {
    /// Bytes from which on a file is full.
    size: Option<u64>,
    every: Option<Duration>,
    keep: Option<usize>,
}

impl From<RotateArgs> for Rotation {
    fn from(args: RotateArgs) -> Self {
        Self {
            size: (args.rotate_size > 0).then_some(u64::from(args.rotate_size) << 20),
            every: (!args.rotate_every.is_zero()).then_some(args.rotate_every),
            keep: (args.rotate_keep > 0).then_some(args.rotate_keep as usize),
        }
    }
}

impl Rotation {
    /// Whether a file of so many bytes, last written to then, is full now.
    pub(super) fn is_full(&self, bytes: u64, written: SystemTime, now: SystemTime) -> bool {
        let is_over = |every| period(written, every) < period(now, every);
        bytes > 0 && (self.size.is_some_and(|size| bytes >= size) || self.every.is_some_and(is_over))
    }

    /// Gives the file its name with the time, unless it is gone already; then deletes what is too many.
    ///
    /// # Errors
    /// What the system says of the file; it is where it was then. Of what cannot be deleted the log tells.
    pub(super) fn set_aside(&self, path: &Path, now: SystemTime) -> io::Result<()> {
        let mut last = None;
        for later in 0..TRIES {
            let to = with_stamp(path, now + Duration::from_millis(later)).map_err(io::Error::other)?;
            match rename(path, &to) {
                Err(problem) if problem.kind() == ErrorKind::AlreadyExists => last = Some(problem),
                // Whoever moved it away has it.
                Err(problem) if problem.kind() != ErrorKind::NotFound => return Err(problem),
                _ => {
                    self.delete(path);
                    return Ok(());
                }
            }
        }
        Err(last.unwrap_or_else(|| ErrorKind::AlreadyExists.into()))
    }

    /// Deletes what is too many.
    fn delete(&self, path: &Path) {
        let Some(keep) = self.keep else { return };
        let full = match full(path) {
            Ok(full) => full,
            Err(problem) => return warn!("--rotate-keep: {}: {problem}", path.display()),
        };
        for old in full.iter().rev().skip(keep) {
            if let Err(problem) = fs::remove_file(old) {
                warn!("--rotate-keep: {}: {problem}", old.display());
            }
        }
    }
}

/// The number of the period that a time lies in.
fn period(time: SystemTime, every: Duration) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().checked_div(every.as_nanos()).unwrap_or_default()
}

fn with_stamp(path: &Path, time: SystemTime) -> Result<PathBuf, jiff::Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", Timestamp::try_from(time)?.strftime(STAMP)));
    Ok(name.into())
}

/// Never over another file, where the file system can say so; one that cannot is asked before.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if to.try_exists()? => Err(ErrorKind::AlreadyExists.into()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::rename(from, to),
        other => Ok(other?),
    }
}

/// The full files that belong to this one, oldest first. Others that begin with its name, such as those of logrotate, are not ours.
fn full(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let mut full = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_ours = |found: &str| found.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).is_some_and(is_stamp);
        if entry.file_name().to_str().is_some_and(is_ours) {
            full.push(entry.path());
        }
    }
    full.sort_unstable();
    Ok(full)
}

fn is_stamp(text: &str) -> bool {
    let pattern = "dddddddd.dddddd.ddd.";
    let fits = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'.',
        19 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    text.len() == pattern.len() && text.bytes().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<Timestamp>().unwrap().into()
    }

    #[test]
    fn a_file_is_full_by_its_size_or_when_its_time_is_over() {
        let hourly = Rotation { every: Some(Duration::from_secs(3600)), ..Rotation::default() };
        let (written, now) = (at("2026-11-23T09:00:00Z"), at("2026-11-23T09:59:59.999Z"));
        assert!(!hourly.is_full(1, written, now));
        assert!(
            hourly.is_full(1, written, at("2026-11-23T10:00:00Z")) && !hourly.is_full(0, written, at("2026-11-23T10:00:00Z"))
        );
        assert!(!hourly.is_full(1, now, written), "a clock that was set back");
        let large = Rotation { size: Some(100), ..Rotation::default() };
        assert!(large.is_full(100, now, now) && !large.is_full(99, written, now));
        assert!(!Rotation::default().is_full(u64::MAX, UNIX_EPOCH, now));
    }

    #[test]
    fn full_files_keep_their_names_and_the_oldest_of_them_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        for other in ["records.1", "records.gz", "records.20261123T093000.000Z.gz", "other.20261123T093000.000Z"] {
            fs::write(folder.path().join(other), "not ours").unwrap();
        }
        let rotation = Rotation { keep: Some(2), ..Rotation::default() };
        let now = at("2026-11-23T09:30:00Z");
        for held in ["a", "b", "c"] {
            fs::write(&path, held).unwrap();
            // All at the same time: none is written over.
            rotation.set_aside(&path, now).unwrap();
        }
        rotation.set_aside(&path, now).expect("there is none: whoever moved it away has it");
        let left = full(&path).unwrap();
        assert_eq!(left.iter().map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>(), ["b", "c"]);
        assert!(left[1].ends_with("records.20261123T093000.002Z"), "{left:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2 + 4);
        fs::write(&path, "d").unwrap();
        Rotation::default().set_aside(&path, now).unwrap();
        assert_eq!(full(&path).unwrap().len(), 3);
    }
}
