//! `keywitness spool status`.

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use super::{Losses, SpoolError, Status};
use crate::output::escape;

/// Writes how a spool stands, as one JSON object or for people.
///
/// # Errors
/// Of reading the spool; then of writing.
pub fn status(folder: &Path, is_json: bool, out: &mut impl Write) -> Result<io::Result<()>, SpoolError> {
    let status = Status::read(folder)?;
    Ok(if is_json {
        serde_json::to_writer(&mut *out, &status).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        table(folder, &status, out)
    })
}

fn table(folder: &Path, status: &Status, out: &mut impl Write) -> io::Result<()> {
    let age = status.oldest_written.map(|written| {
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(written);
        let waited = SystemTime::now().duration_since(written).unwrap_or_default().as_secs();
        format!(", the oldest segment last written {waited} s ago")
    });
    let name = escape::uncut(folder.display().to_string().as_bytes());
    let (records, bytes, segments) = (status.records, status.bytes, status.segments);
    writeln!(out, "{name}: {records} alerts in {bytes} bytes ({segments} segments{})", age.unwrap_or_default())?;
    if status.unfinished_bytes > 0 {
        writeln!(out, "  {} bytes behind the last whole alert: being written, or of a crash", status.unfinished_bytes)?;
    }
    if status.destinations.is_empty() {
        writeln!(out, "  nothing was delivered from here yet")?;
    }
    for destination in &status.destinations {
        let cursor = &destination.cursor;
        let name = escape::uncut(cursor.destination.as_bytes());
        writeln!(
            out,
            "  {name}: {} waiting, {} sent ({} of them again), {} connections{}",
            destination.waiting,
            cursor.sent,
            cursor.sent_again,
            cursor.connections,
            cursor.problem.as_ref().map_or_else(String::new, |why| format!("; {}", escape::plain(why))),
        )?;
        if cursor.lost > 0 {
            writeln!(out, "    {} were dropped before it had them", cursor.lost)?;
        }
    }
    let Losses { disk_full, size, age, queue, disk_error, cut_bytes } = status.lost;
    for (lost, why) in [
        (disk_full, "the disk was full"),
        (size, "the spool was as large as it may be"),
        (age, "they had waited as long as they may"),
        (queue, "the disk was slower than they came"),
        (disk_error, "the disk failed"),
    ] {
        if lost > 0 {
            writeln!(out, "  lost: {lost} alerts: {why}")?;
        }
    }
    if cut_bytes > 0 {
        writeln!(out, "  cut off when it was opened: {cut_bytes} bytes, never accepted")?;
    }
    Ok(())
}
