//! The segments, as a destination reads them.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{frame, segment_path, segments};

/// Bytes that are read at once.
const AT_ONCE: usize = 256 << 10;

/// One record with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub number: u64,
    /// The alert's record.
    pub bytes: Vec<u8>,
}

/// Reads records in the order of their numbers, from any on.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    next: u64,
    open: Option<Open>,
    ready: VecDeque<Record>,
    /// Records that were not there any more.
    missing: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Number of the segment's first record.
    base: u64,
    /// Number of the record at `at`.
    number: u64,
    at: u64,
}

impl Reader {
    /// From this number on, or the first behind it that is there.
    #[must_use]
    pub fn new(folder: &Path, next: u64) -> Self {
        Self { folder: folder.to_owned(), next, open: None, ready: VecDeque::new(), missing: 0 }
    }

    /// Number of the record that comes next.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.next
    }

    /// How many records were gone, or broken, when they were to be read.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// The same, and counts from zero again.
    pub const fn take_missing(&mut self) -> u64 {
        std::mem::replace(&mut self.missing, 0)
    }

    /// Goes on from another number.
    pub fn seek(&mut self, next: u64) {
        if next != self.next {
            (self.next, self.open) = (next, None);
            self.ready.clear();
        }
    }

    /// The next record before `end`, which is on disk up to there.
    ///
    /// # Errors
    /// What the system says.
    pub fn next(&mut self, end: u64) -> io::Result<Option<Record>> {
        while self.next < end {
            if let Some(record) = self.ready.pop_front() {
                self.next = record.number + 1;
                return Ok(Some(record));
            }
            if self.open.is_none() && !self.open_segment(end)? {
                return Ok(None);
            }
            self.fill(end)?;
        }
        Ok(None)
    }

    /// Opens the segment that the next record is in, or the first behind it.
    fn open_segment(&mut self, end: u64) -> io::Result<bool> {
        let bases = segments(&self.folder)?;
        let behind = bases.partition_point(|base| *base <= self.next);
        let base = match behind.checked_sub(1).and_then(|before| bases.get(before)) {
            Some(base) => *base,
            None => match bases.first() {
                Some(first) => {
                    self.skip_to((*first).min(end));
                    *first
                }
                None => return Ok(false),
            },
        };
        match File::open(segment_path(&self.folder, base)) {
            Ok(file) => {
                self.open = Some(Open { file, base, number: base, at: frame::MAGIC.len() as u64 });
                Ok(true)
            }
            // Dropped meanwhile: look again.
            Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(true),
            Err(problem) => Err(problem),
        }
    }

    /// Reads on in the open segment. At its end, or where it is broken, the next one is looked for.
    fn fill(&mut self, end: u64) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut buffer = vec![0; AT_ONCE];
        let mut filled = read_at(&open.file, &mut buffer, open.at)?;
        let mut used = 0;
        let mut is_broken = false;
        while open.number < end {
            match frame::read(buffer.get(used..filled).unwrap_or_default(), open.number) {
                frame::Found::Record { bytes, frame } => {
                    if open.number >= self.next {
                        self.ready.push_back(Record { number: open.number, bytes: bytes.to_vec() });
                    }
                    open.number += 1;
                    used += frame;
                }
                frame::Found::Unfinished if used == 0 && filled == buffer.len() => {
                    buffer.resize(frame::HEAD + frame::LONGEST, 0);
                    filled = read_at(&open.file, &mut buffer, open.at)?;
                }
                frame::Found::Unfinished => break,
                frame::Found::Broken => {
                    is_broken = true;
                    break;
                }
            }
        }
        open.at += used as u64;
        if used == 0 || is_broken {
            let (base, number) = (open.base, open.number);
            self.open = None;
            self.leave(base, number, end)?;
        }
        Ok(())
    }

    /// Nothing more of the segment that begins with `base` can be read, from this number on.
    fn leave(&mut self, base: u64, number: u64, end: u64) -> io::Result<()> {
        if !self.ready.is_empty() || number >= end {
            return Ok(());
        }
        let next = number.max(self.next);
        let following = segments(&self.folder)?.into_iter().find(|other| *other >= next && *other != base);
        self.skip_to(following.unwrap_or(end).min(end));
        Ok(())
    }

    fn skip_to(&mut self, number: u64) {
        if number > self.next {
            self.missing += number - self.next;
            self.next = number;
        }
    }
}

/// As much as there is, up to the buffer's length.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(problem) if problem.kind() == ErrorKind::Interrupted => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(filled)
}
