//! What lies in a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::CaptureError;

/// Something in a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// A regular file, or a link to one. Of a pipe nobody knows when it ends.
    pub(super) is_file: bool,
}

/// Everything in a folder, by name: at least one entry.
///
/// # Errors
///
/// [`CaptureError::Open`] with what the system said, or [`CaptureError::EmptyFolder`].
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>, CaptureError> {
    let mut entries = read(folder).map_err(|source| CaptureError::Open { source })?;
    if entries.is_empty() {
        return Err(CaptureError::EmptyFolder);
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let entry = |path: PathBuf| {
        // What cannot be looked at is tried as a file, so that opening it tells why.
        let is_file = fs::metadata(&path).map_or(true, |metadata| metadata.is_file());
        Entry { path, is_file }
    };
    fs::read_dir(folder)?.map(|found| Ok(entry(found?.path()))).collect()
}
