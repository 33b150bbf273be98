//! Where a sensor's results go: standard output, or the end of a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tracing::{error, info};

use super::rotation::Rotation;

/// Where a file could not be set aside, that is tried again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// Standard output or a file.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout(io::Stdout),
    File(Held),
}

/// A file, and how full it is.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// When it was last written to.
    written: SystemTime,
    /// When it could not be set aside.
    failed: Option<SystemTime>,
}

impl Sink {
    /// Opens the file, or makes it; whether it holds nothing yet. What it holds stays: a sensor that was started again goes on
    /// with it. A last line that was cut off (by a crash, a full disk) is ended first.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn append(path: &Path) -> io::Result<(Self, bool)> {
        // To read, for the last byte; what is no regular file (a pipe, /dev/stderr) need not allow that.
        let readable = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = readable.or_else(|_| OpenOptions::new().append(true).create(true).open(path))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok((Self::held(file, path, 0, SystemTime::now()), true));
        }
        let (mut bytes, written) = (metadata.len(), metadata.modified()?);
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            bytes += 1;
        }
        Ok((Self::held(file, path, bytes, written), false))
    }

    fn held(file: File, path: &Path, bytes: u64, written: SystemTime) -> Self {
        Self::File(Held { file, path: path.to_owned(), bytes, written, failed: None })
    }

    /// Another file in place of this one, where this one is full: it has its name with the time then, and takes what is written to
    /// it still. Where that fails, which the log tells, it goes on as it was.
    pub(super) fn next(&mut self, rotation: &Rotation) -> Option<(Self, bool)> {
        let Self::File(held) = self else { return None };
        let now = SystemTime::now();
        let has_failed = held.failed.is_some_and(|failed| now.duration_since(failed).is_ok_and(|since| since < TRY_AGAIN));
        if has_failed || !rotation.is_full(held.bytes, held.written, now) {
            return None;
        }
        match rotation.set_aside(&held.path, now).and_then(|()| Self::append(&held.path)) {
            Ok(next) => {
                info!("{} was full after {} bytes, and begins again", held.path.display(), held.bytes);
                Some(next)
            }
            Err(problem) => {
                error!("{}: cannot begin another file: {problem}; results go on into the one that is open", held.path.display());
                held.failed = Some(now);
                None
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(held) => {
                let written = held.file.write(bytes)?;
                held.bytes += written as u64;
                held.written = SystemTime::now();
                Ok(written)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(held) => held.file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_file_holds_stays_and_a_line_that_was_cut_off_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        for (held, is_new, then) in [("", true, "x\n"), ("a\n", false, "a\nx\n"), ("a\nb", false, "a\nb\nx\n")] {
            fs::write(&path, held).unwrap();
            let (mut sink, found_new) = Sink::append(&path).unwrap();
            sink.write_all(b"x\n").unwrap();
            assert_eq!((found_new, fs::read_to_string(&path).unwrap().as_str()), (is_new, then));
        }
        let missing = folder.path().join("none");
        assert!(Sink::append(&missing).unwrap().1 && missing.exists());
        assert!(Sink::append(folder.path()).is_err());
    }
}
