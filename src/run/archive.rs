//! The folder that sessions are archived in: Parquet files by the day on which their sessions began.
//!
//! A file is written at once, under a name that readers pass over, and has its own name from the moment on when it is whole and on disk: none is
//! ever seen half written. What is not in one yet is in memory, and lost with the process.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::civil::Date;
use tracing::{debug, error};

use crate::{
    config::ConfigError,
    event::SessionEvent,
    output::{
        Context,
        archive::{Layout, Rows},
    },
    time::Timestamp,
};

/// Days that are under way at once, at most: a session of a month ago may end today.
const MOST_DAYS: usize = 32;

/// Where sessions go, and how many did not get there.
#[derive(Debug)]
pub(super) struct Archive {
    folder: PathBuf,
    layout: Layout,
    days: BTreeMap<Date, Rows>,
    every: Option<Duration>,
    written: Instant,
    lost: u64,
}

impl Archive {
    /// Makes the folder where it is missing. Files are written after so long, and at the end; with `None` at the end, or when they are full.
    ///
    /// # Errors
    /// [`ConfigError::Folder`] where it cannot be made, or is none.
    pub(super) fn open(folder: PathBuf, every: Option<Duration>) -> Result<Self, ConfigError> {
        let made = make_folder(&folder).and_then(|()| Layout::of_sessions().map_err(io::Error::other));
        match made {
            Ok(layout) => Ok(Self { folder, layout, days: BTreeMap::new(), every, written: Instant::now(), lost: 0 }),
            Err(source) => Err(ConfigError::Folder { path: folder, source }),
        }
    }

    /// Where it goes.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// Sessions that are in no file and never will be.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes a session that has ended.
    pub(super) fn take(&mut self, session: &SessionEvent, context: &Context) {
        let day = day_of(session.report.start);
        if !self.days.contains_key(&day) && self.days.len() >= MOST_DAYS {
            let oldest = self.days.keys().next().copied();
            oldest.into_iter().for_each(|day| self.write(day, true));
        }
        let rows = self.days.entry(day).or_insert_with(|| self.layout.rows());
        self.layout.push(rows, session, context);
        if rows.is_full() {
            self.write(day, true);
        }
    }

    /// Writes what there is, if it is time.
    pub(super) fn tidy(&mut self) {
        if self.every.is_some_and(|every| self.written.elapsed() >= every) {
            self.flush();
        }
    }

    /// Writes what there is. What cannot be written waits, as long as there is room.
    pub(super) fn flush(&mut self) {
        self.written = Instant::now();
        let days: Vec<Date> = self.days.keys().copied().collect();
        days.into_iter().for_each(|day| self.write(day, false));
    }

    /// The run is over: what cannot be written now is lost.
    pub(super) fn finish(&mut self) {
        let days: Vec<Date> = self.days.keys().copied().collect();
        days.into_iter().for_each(|day| self.write(day, true));
    }

    fn write(&mut self, day: Date, is_last_try: bool) {
        let Some(rows) = self.days.get(&day).filter(|rows| !rows.is_empty()) else { return };
        let folder = self.folder.join(format!("day={day}"));
        let path = folder.join(rows.name());
        match write_file(&self.layout, rows, &folder, &path) {
            Ok(()) => debug!("archive: {}: {} sessions", path.display(), rows.len()),
            Err(problem) => {
                error!("--archive: {}: {problem}", path.display());
                if !is_last_try {
                    return;
                }
                error!("--archive: {} sessions of {day} are not in it", rows.len());
                self.lost += rows.len() as u64;
            }
        }
        self.days.remove(&day);
    }
}

/// The day of a time, in UTC.
fn day_of(time: Timestamp) -> Date {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn write_file(layout: &Layout, rows: &Rows, folder: &Path, path: &Path) -> io::Result<()> {
    make_folder(folder)?;
    // Readers of such folders pass over names that begin with a dot.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = folder.join(format!(".{name}.part"));
    let written = write_part(layout, rows, &part).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(&part); // it may not be there
        return written;
    }
    File::open(folder)?.sync_all()
}

fn write_part(layout: &Layout, rows: &Rows, part: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(part)?;
    layout.write(rows, &file).map_err(io::Error::other)?;
    file.sync_all()
}

/// For its owner, and for its group to read.
fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(path)
}
