//! How a spool stands, as anybody who may read it sees it: also while it is used.

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::{Cursor, Losses, SpoolError, frame, segment_path, segments};

/// How a spool stands.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Segments on disk.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records in them, delivered ones among them: a segment is dropped as a whole.
    pub records: u64,
    /// Number of the first record, and the one behind the last.
    pub first: u64,
    /// Number behind the last record.
    pub end: u64,
    /// When the oldest segment was last written to, in seconds since 1970; null without one.
    pub oldest_written: Option<u64>,
    /// Bytes behind the last whole record: of a write that goes on, or of a crash.
    pub unfinished_bytes: u64,
    /// What was dropped.
    pub lost: Losses,
    /// Each destination that was ever delivered to from here.
    pub destinations: Vec<DestinationStatus>,
}

/// How a destination stands.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationStatus {
    /// What is kept of it: at most some seconds old.
    #[serde(flatten)]
    pub cursor: Cursor,
    /// Records that it may not have.
    pub waiting: u64,
}

impl Status {
    /// Reads a folder; nothing is changed.
    ///
    /// # Errors
    /// [`SpoolError`] where it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, SpoolError> {
        let told = || SpoolError::at(folder);
        let bases = segments(folder).map_err(told())?;
        let (mut bytes, mut oldest_written) = (0, None);
        for base in &bases {
            // One that is dropped while we look is none.
            let Ok(found) = fs::metadata(segment_path(folder, *base)) else { continue };
            bytes += found.len();
            let written = found.modified().ok().and_then(|time: SystemTime| time.duration_since(UNIX_EPOCH).ok());
            oldest_written = oldest_written.or_else(|| written.map(|time| time.as_secs()));
        }
        let first = bases.first().copied().unwrap_or(0);
        let (end, unfinished_bytes) = bases.last().map_or(Ok((0, 0)), |last| last_of(folder, *last)).map_err(told())?;
        let destinations = Cursor::all(folder)
            .map_err(told())?
            .into_iter()
            .map(|cursor| DestinationStatus { waiting: end.saturating_sub(cursor.next.max(first)), cursor });
        let destinations = destinations.collect();
        let (segments, records) = (bases.len(), end - first);
        Ok(Self {
            segments,
            bytes,
            records,
            first,
            end,
            oldest_written,
            unfinished_bytes,
            lost: Losses::read(folder),
            destinations,
        })
    }
}

/// Number behind the last whole record of a segment, and bytes behind that.
fn last_of(folder: &Path, base: u64) -> io::Result<(u64, u64)> {
    let bytes = fs::read(segment_path(folder, base))?;
    let (mut at, mut number) = (frame::MAGIC.len().min(bytes.len()), base);
    while let frame::Found::Record { frame, .. } = frame::read(bytes.get(at..).unwrap_or_default(), number) {
        at += frame;
        number += 1;
    }
    Ok((number, (bytes.len() - at) as u64))
}
