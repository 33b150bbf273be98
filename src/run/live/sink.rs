//! Where a sensor's results go: standard output, or the end of a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// Standard output or a file.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout(io::Stdout),
    File(File),
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
            return Ok((Self::File(file), true));
        }
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
        Ok((Self::File(file), false))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file) => file.flush(),
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
