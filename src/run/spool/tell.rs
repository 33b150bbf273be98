//! `keywitness spool status`.

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use super::SpoolError;
use crate::output::spool;

/// Writes how a spool stands, as one JSON object or for people.
///
/// # Errors
/// Of reading the spool; then of writing.
pub fn status(folder: &Path, is_json: bool, out: &mut impl Write) -> Result<io::Result<()>, SpoolError> {
    let status = super::status::read(folder)?;
    let mut text = Vec::new();
    if is_json {
        spool::ndjson(&status, &mut text);
    } else {
        let written = status.oldest_written.map(|written| SystemTime::UNIX_EPOCH + Duration::from_secs(written));
        let age = written.map(|written| SystemTime::now().duration_since(written).unwrap_or_default().as_secs());
        let mut lines = String::new();
        spool::text(&folder.display().to_string(), &status, age, &mut lines);
        text = lines.into_bytes();
    }
    Ok(out.write_all(&text))
}
