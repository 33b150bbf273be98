//! A folder that alerts wait in until they are delivered, and that outlives the process, the power and the disk's last free byte.
//!
//! ```text
//! Queue ─▶ a thread ─▶ Log (segments on disk) ─▶ Reader, one a destination
//!          group commit        │                     │
//!                              └── Standing ◀────────┘  how far the disk, and each destination, has come
//! ```
//!
//! * `NNN.spool` is a segment: frames with length, checksum and number, whose first has the number in the file's name.
//!   A number is never used twice.
//! * `to-HASH.json` says how far a destination has come ([`Cursor`]). It may be behind, so what follows is delivered again; an alert's
//!   (`alert_id`, `revision`) is its key.
//! * `losses.json` counts what had to go undelivered, and why ([`Losses`]).
//!
//! An alert is accepted once it is on disk (`fdatasync`), and no destination sees it before. What is behind the last whole
//! frame when the spool is opened was never accepted, and is cut off. Where there is no room, the oldest segment makes some.

mod cursor;
mod frame;
mod log;
mod losses;
mod queue;
mod reader;
mod status;
mod tell;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

pub use self::{
    cursor::{Cursor, Progress},
    log::{Log, Opened},
    losses::Losses,
    queue::{Counts, Queue, Spool},
    reader::{Reader, Record},
    tell::status,
};

/// What a segment's name ends with.
const ENDING: &str = "spool";

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all segments together.
    pub bytes: u64,
    /// Age of a segment's last record.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 256 << 20, age: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error("{}: another keywitness writes to it", .0.display())]
    Busy(PathBuf),
    /// It was written by a version of the program whose spools have another format.
    #[error(
        "{}: a spool of format '{}', and this version has '{}': let the version that wrote it deliver what is in it, or take another folder",
        path.display(), format.escape_ascii(), frame::MAGIC.last().copied().unwrap_or_default().escape_ascii()
    )]
    Format {
        /// The segment.
        path: PathBuf,
        /// Its format.
        format: u8,
    },
    /// The system says no.
    #[error("{}: {source}", path.display())]
    System {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SpoolError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { path: path.to_owned(), source }
    }
}

/// How far the disk has come, for those that wait for it.
#[derive(Debug, Default)]
pub struct Standing {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Number of the first record that is not on disk yet.
    end: u64,
    is_closed: bool,
}

impl Standing {
    fn with(end: u64) -> Self {
        Self { state: Mutex::new(State { end, is_closed: false }), moved: Condvar::new() }
    }

    /// Number of the first record that is not on disk yet.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).end
    }

    /// Waits for a record of this number, so long at most. Gives whether more may come.
    #[must_use]
    pub fn wait(&self, next: u64, at_most: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle = |state: &mut State| state.end <= next && !state.is_closed;
        let (state, _) = self.moved.wait_timeout_while(state, at_most, is_idle).unwrap_or_else(PoisonError::into_inner);
        !state.is_closed
    }

    fn reach(&self, end: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).end = end;
        self.moved.notify_all();
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.moved.notify_all();
    }
}

/// The segments of a folder by the number of their first record, in order.
fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| name.strip_suffix(ENDING)?.strip_suffix('.')?.parse().ok());
        bases.extend(number);
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Refuses segments of another format: what is in them is no crash's, and is not ours to cut off.
fn refuse_other_formats(folder: &Path, bases: &[u64]) -> Result<(), SpoolError> {
    for path in bases.iter().map(|base| segment_path(folder, *base)) {
        let mut beginning = [0; frame::MAGIC.len()];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut beginning));
        if let (Ok(()), Some(format)) = (read, frame::other_format(beginning)) {
            return Err(SpoolError::Format { path, format });
        }
    }
    Ok(())
}

fn segment_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}.{ENDING}"))
}

/// For its owner alone.
fn owners() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Replaces a file as a whole: whoever reads it sees the old or the new.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let write = |mut file: File| file.write_all(bytes).and_then(|()| file.sync_data());
    owners().create(true).truncate(true).open(&new).and_then(write)?;
    fs::rename(&new, path)
}
