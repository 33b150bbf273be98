//! The segments, as whoever writes them sees them.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustix::fs::{FlockOperation, flock};
use tracing::{error, warn};

use super::{Limits, Losses, Progress, SpoolError, frame, refuse_other_formats, segment_path, segments};

/// See the [module's documentation](super).
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    limits: Limits,
    /// Bytes from which on a segment is full.
    segment: u64,
    _lock: Lock,
    /// Full segments, the oldest first.
    older: VecDeque<Segment>,
    current: Segment,
    file: File,
    /// Number of the next record.
    next: u64,
    buffer: Vec<u8>,
    losses: Losses,
    kept_losses: Losses,
    destinations: Vec<Arc<Progress>>,
    /// Whether the last commit failed, so that this is told once.
    is_failing: bool,
}

/// Keeps other processes out. It is given back by its holder, not with the last descriptor of its file: a program that is just being started holds
/// copies of those of whoever starts it, for a moment.
#[derive(Debug)]
struct Lock(File);

impl Lock {
    fn take(folder: &Path) -> Result<Self, SpoolError> {
        let told = || SpoolError::at(folder);
        let file = super::owners().create(true).truncate(false).open(folder.join("lock")).map_err(told())?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => SpoolError::Busy(folder.to_owned()),
            other => told()(other.into()),
        })?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock); // closing it does the rest
    }
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    base: u64,
    bytes: u64,
    written: SystemTime,
}

/// What was found when a spool was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Records that are there.
    pub records: u64,
    /// Bytes behind the last whole one, cut off.
    pub cut_bytes: u64,
}

/// Why records are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    DiskFull,
    Size,
    Age,
    Delivered,
}

impl Log {
    /// Opens a spool, or makes it; those of a crash are mended.
    ///
    /// # Errors
    /// [`SpoolError`] where another process has it, or the system says no.
    pub fn open(folder: &Path, limits: Limits) -> Result<(Self, Opened), SpoolError> {
        let told = || SpoolError::at(folder);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told())?;
        let lock = Lock::take(folder)?;
        let mut losses = Losses::read(folder);
        let bases = segments(folder).map_err(told())?;
        refuse_other_formats(folder, &bases)?;
        let (base, older) = bases.split_last().map_or((0, Vec::new()), |(last, older)| (*last, older.to_vec()));
        let (file, bytes, next, cut_bytes) = mend(&segment_path(folder, base), base).map_err(told())?;
        losses.cut_bytes += cut_bytes;
        let older = older.into_iter().map(|base| stat(folder, base)).collect::<io::Result<VecDeque<_>>>().map_err(told())?;
        let current = Segment { base, bytes, written: SystemTime::now() };
        let held = bytes + older.iter().map(|segment| segment.bytes).sum::<u64>();
        let free = rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let segment = segment_size(limits.bytes.min(free.saturating_add(held)));
        let records = next - older.front().map_or(base, |first| first.base);
        let log = Self {
            folder: folder.to_owned(),
            limits,
            segment,
            _lock: lock,
            older,
            current,
            file,
            next,
            buffer: Vec::new(),
            losses,
            kept_losses: Losses::read(folder),
            destinations: Vec::new(),
            is_failing: false,
        };
        Ok((log, Opened { records, cut_bytes }))
    }

    /// What has reached these destinations need not be kept.
    #[must_use]
    pub fn delivering_to(mut self, destinations: Vec<Arc<Progress>>) -> Self {
        self.destinations = destinations;
        self
    }

    /// Number of the first record that is not there yet.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.next
    }

    /// What was dropped so far.
    #[must_use]
    pub const fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Counts alerts that did not get here.
    pub(super) const fn lose_in_queue(&mut self, alerts: u64) {
        self.losses.queue += alerts;
    }

    /// Puts records on disk, all together; gives how many are there when it returns: the newest, where there is no room for all.
    pub fn append<T: AsRef<[u8]>>(&mut self, records: &[T]) -> usize {
        let mut rest = records;
        while !rest.is_empty() {
            match self.commit(rest) {
                Ok(()) => {
                    if std::mem::replace(&mut self.is_failing, false) {
                        warn!("spool: {}: alerts are kept again", self.folder.display());
                    }
                    return rest.len();
                }
                Err(problem) if is_full(&problem) => {
                    self.tell_failing(&problem);
                    if self.drop_oldest(Reason::DiskFull) || self.begin_anew() {
                        continue;
                    }
                    // Not even one segment: the newest of these may fit.
                    let (older, newer) = rest.split_at(rest.len().div_ceil(2));
                    self.losses.disk_full += older.len() as u64;
                    rest = newer;
                }
                Err(problem) => {
                    self.tell_failing(&problem);
                    self.losses.disk_error += rest.len() as u64;
                    return 0;
                }
            }
        }
        0
    }

    /// Once in a while: drops what is delivered, too old or too much, and keeps the counts.
    pub fn tidy(&mut self) {
        let delivered = self.destinations.iter().map(|destination| destination.next()).min();
        while delivered.is_some_and(|delivered| !self.older.is_empty() && self.end_of_oldest() <= delivered) {
            self.drop_oldest(Reason::Delivered);
        }
        let now = SystemTime::now();
        let age = self.limits.age;
        let is_old = |segment: &Segment| now.duration_since(segment.written).is_ok_and(|waited| waited > age);
        while self.older.front().is_some_and(is_old) {
            self.drop_oldest(Reason::Age);
        }
        self.keep_losses();
    }

    /// Writes the counts down, if they changed and can be.
    fn keep_losses(&mut self) {
        if self.losses != self.kept_losses && self.losses.write(&self.folder).is_ok() {
            self.kept_losses = self.losses;
        }
    }

    fn commit<T: AsRef<[u8]>>(&mut self, records: &[T]) -> io::Result<()> {
        if self.current.bytes >= self.segment {
            self.rotate()?;
        }
        while !self.older.is_empty() && self.bytes() >= self.limits.bytes {
            self.drop_oldest(Reason::Size);
        }
        self.buffer.clear();
        for (record, number) in records.iter().zip(self.next..) {
            frame::write(&mut self.buffer, number, record.as_ref());
        }
        let written = self.file.write_all_at(&self.buffer, self.current.bytes).and_then(|()| self.file.sync_data());
        if let Err(problem) = written {
            // What was written of it is no record; where this fails too it is cut when the spool is opened, or written over.
            let _ = self.file.set_len(self.current.bytes);
            return Err(problem);
        }
        self.current.bytes += self.buffer.len() as u64;
        self.current.written = SystemTime::now();
        self.next += records.len() as u64;
        Ok(())
    }

    /// Begins a new segment.
    fn rotate(&mut self) -> io::Result<()> {
        let (file, bytes) = create(&segment_path(&self.folder, self.next))?;
        let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
        self.file = file;
        self.older
            .push_back(std::mem::replace(&mut self.current, Segment { base: self.next, bytes, written: SystemTime::now() }));
        Ok(())
    }

    /// Makes room by dropping the current segment; whether there was anything in it.
    fn begin_anew(&mut self) -> bool {
        if self.current.base == self.next {
            return false;
        }
        // On a full disk there is no new file. Renamed first: what is in it then has the wrong numbers for its name, and is cut off
        // after a crash.
        let paths = [self.current.base, self.next].map(|base| segment_path(&self.folder, base));
        let renamed = fs::rename(&paths[0], &paths[1]).and_then(|()| self.file.set_len(0));
        let emptied = renamed.and_then(|()| self.file.write_all_at(&frame::MAGIC, 0));
        if emptied.is_err() {
            return false;
        }
        let base = self.current.base;
        self.current = Segment { base: self.next, bytes: frame::MAGIC.len() as u64, written: SystemTime::now() };
        self.count_dropped(base, self.next, Reason::DiskFull);
        true
    }

    /// Drops the oldest full segment; whether there was one.
    fn drop_oldest(&mut self, reason: Reason) -> bool {
        let end = self.end_of_oldest();
        let Some(oldest) = self.older.pop_front() else { return false };
        let path = segment_path(&self.folder, oldest.base);
        if let Err(problem) = fs::remove_file(&path)
            && problem.kind() != ErrorKind::NotFound
        {
            error!("spool: {}: {problem}", path.display());
        }
        self.count_dropped(oldest.base, end, reason);
        true
    }

    /// Counts what was not delivered of records that are gone, and says so.
    fn count_dropped(&mut self, base: u64, end: u64, reason: Reason) {
        let delivered = self.destinations.iter().map(|destination| destination.next()).min().unwrap_or(0);
        let lost = end.saturating_sub(delivered.max(base));
        let (count, why) = match reason {
            Reason::DiskFull => (&mut self.losses.disk_full, "the disk is full"),
            Reason::Size => (&mut self.losses.size, "the spool is as large as it may be"),
            Reason::Age => (&mut self.losses.age, "they waited as long as they may"),
            Reason::Delivered => return,
        };
        *count += lost;
        if lost > 0 {
            error!("spool: {}: {lost} of the oldest alerts were dropped undelivered: {why}", self.folder.display());
        }
    }

    /// Number behind the last record of the oldest full segment.
    fn end_of_oldest(&self) -> u64 {
        self.older.get(1).map_or(self.current.base, |second| second.base)
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.older.iter().map(|segment| segment.bytes).sum::<u64>() + self.current.bytes
    }

    fn tell_failing(&mut self, problem: &io::Error) {
        if !std::mem::replace(&mut self.is_failing, true) {
            error!("spool: {}: {problem}; the newest alerts are kept as far as there is room", self.folder.display());
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.keep_losses();
    }
}

/// Bytes from which on a segment is full, by those that all may take: it is what is dropped at once where there is no room.
fn segment_size(all: u64) -> u64 {
    (all / 16).clamp(64 << 10, 16 << 20)
}

fn is_full(problem: &io::Error) -> bool {
    matches!(problem.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// A segment with nothing in it, and its length.
fn create(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all_at(&frame::MAGIC, 0)?;
    Ok((file, frame::MAGIC.len() as u64))
}

/// Opens the segment that is written to, or makes it: with its length, the number behind its last whole record, and how many bytes
/// were behind that.
fn mend(path: &Path, base: u64) -> io::Result<(File, u64, u64, u64)> {
    let bytes = match fs::read(path) {
        Ok(bytes) if bytes.starts_with(&frame::MAGIC) => bytes,
        Ok(bytes) => {
            let (file, length) = create(path)?;
            return Ok((file, length, base, bytes.len() as u64));
        }
        Err(problem) if problem.kind() == ErrorKind::NotFound => {
            let (file, length) = create(path)?;
            return Ok((file, length, base, 0));
        }
        Err(problem) => return Err(problem),
    };
    let (mut at, mut number) = (frame::MAGIC.len(), base);
    while let frame::Found::Record { frame, .. } = frame::read(bytes.get(at..).unwrap_or_default(), number) {
        at += frame;
        number += 1;
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    file.set_len(at as u64)?;
    file.sync_data()?;
    Ok((file, at as u64, number, (bytes.len() - at) as u64))
}

fn stat(folder: &Path, base: u64) -> io::Result<Segment> {
    let found = fs::metadata(segment_path(folder, base))?;
    Ok(Segment { base, bytes: found.len(), written: found.modified()? })
}
