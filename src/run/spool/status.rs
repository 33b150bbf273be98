//! How a spool stands, as anybody who may read it sees it: also while it is used.

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Cursor, Losses, SpoolError, frame, refuse_other_formats, segment_path, segments};
use crate::output::spool::{Destination, Lost, Spool};

/// Reads a folder; nothing is changed.
///
/// # Errors
/// [`SpoolError`] where it cannot be read.
pub(super) fn read(folder: &Path) -> Result<Spool, SpoolError> {
    let told = || SpoolError::at(folder);
    let bases = segments(folder).map_err(told())?;
    refuse_other_formats(folder, &bases)?;
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
    let cursors = Cursor::all(folder).map_err(told())?.into_iter();
    let destinations = cursors.map(|cursor| destination(cursor, first, end)).collect();
    let (segments, records, lost) = (bases.len(), end - first, lost(folder));
    Ok(Spool { segments, bytes, records, first, end, oldest_written, unfinished_bytes, lost, destinations })
}
fn destination(cursor: Cursor, first: u64, end: u64) -> Destination {
    let waiting = end.saturating_sub(cursor.next.max(first));
    let Cursor { destination, next, sent, sent_again, connections, lost, problem } = cursor;
    Destination { destination, next, sent, sent_again, connections, lost, problem, waiting }
}

fn lost(folder: &Path) -> Lost {
    let Losses { disk_full, size, age, queue, disk_error, cut_bytes } = Losses::read(folder);
    Lost { disk_full, size, age, queue, disk_error, cut_bytes }
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
