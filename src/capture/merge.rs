//! Several inputs as one stream in time order, with frames numbered as they come out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{BATCH, CaptureError, Reader};
use super::folder::{self, Entry};
use super::meter::Meter;
use crate::time::{Span, Timestamp};
use crate::wire::Batch;

/// Bytes per `read` when a file is only asked for the time of its first frame.
const PEEK_SIZE: usize = 4096;

/// What became of one input.
#[derive(Debug)]
pub struct InputStatus {
    /// As it was named, `-` for standard input.
    pub path: String,
    /// Frames that it has given.
    pub frames: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an input ended.
#[derive(Debug)]
pub enum Outcome {
    /// Read to its end.
    Whole,
    /// Lies in a folder that was named, and is no capture.
    Skipped(CaptureError),
    /// Not read to its end; the other inputs went on.
    Failed(CaptureError),
}

/// Readers in step: call [`next_batch`](Merge::next_batch) until it gives none, then
/// [`finish`](Merge::finish).
///
/// The next batch is always from the input whose next frame is earliest, on equal times from the one that was
/// named first, and runs on until another input's turn. Within an input the order of the file
/// is kept, also where its times run backwards; so the result is in time order if each input is.
/// Frames are numbered from 0 without a hole.
///
/// # Folders
///
/// A folder stands for what lies in it when the merge is made, by name; whatever is no capture by its content is
/// [skipped](Outcome::Skipped). Folders in it are not looked into, as in Suricata's `-r`. A folder in which is no capture is
/// an input that failed.
///
/// # Open files
///
/// Of several regular files each is first opened for a look at its first frame and closed again; it is
/// opened for good when that frame's turn comes, and closed at its end. So only files that overlap in
/// time are open together, each with its own buffer of 256 KiB: rotated captures, of which there may be
/// thousands, take one or two at a time. Pipes and standard input cannot be opened twice and stay open.
/// If more overlap than the process may have open, those that fail to open end with
/// [`CaptureError::Open`].
///
/// An input that is still being written, such as a pipe, holds up all others while it has no frame.
#[derive(Debug)]
pub struct Merge {
    inputs: Vec<Input>,
    /// Time of each input's next frame; of inputs that were not looked at yet, before everything.
    due: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// The input that gave the last batch, and is not in `due`.
    running: Option<usize>,
    next_number: u64,
    meter: Meter,
}

impl Merge {
    /// One stream from these files and folders, `-` being standard input. No file is opened until the first batch.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::from_inputs(paths.into_iter().flat_map(Input::at))
    }

    /// One stream from readers that are open already, named as they are.
    pub fn from_readers(readers: impl IntoIterator<Item = Reader>) -> Self {
        Self::from_inputs(readers.into_iter().map(|reader| Input::new(reader.name().to_owned(), Source::Opened(reader))))
    }

    /// The names of all inputs, in the order of [`Batch::input`]. A folder has one too.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.status.path.as_str())
    }

    /// Bytes that were read so far, as they lie in the inputs: compressed where they are. Looks at first frames do not count.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.meter.bytes()
    }

    /// Bytes that there are to read and were read, as far as is known when the first batch is out: by then whatever is no capture
    /// was found out. None where an input is a stream, of which nobody knows.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.inputs.iter().map(|input| input.source.size()).sum()
    }

    fn from_inputs(inputs: impl Iterator<Item = Input>) -> Self {
        let inputs: Vec<_> = inputs.collect();
        Self {
            due: (0..inputs.len()).map(|input| Reverse((Timestamp::MIN, input))).collect(),
            running: None,
            next_number: 0,
            meter: Meter::default(),
            inputs,
        }
    }

    /// The next run of frames, all from one input, at most [`BATCH`]; none when all inputs are at their
    /// ends. An input that fails is left out from then on; its error is in its status.
    pub fn next_batch(&mut self) -> Option<Batch<'_>> {
        if let Some(index) = self.running.take() {
            self.advance(index);
        }
        let index = loop {
            let Reverse((_, index)) = self.due.pop()?;
            if matches!(self.inputs.get(index)?.source, Source::Running(_)) {
                break index;
            }
            self.advance(index);
        };
        // Up to the next input's turn: on equal times whichever was named first goes first.
        let until = match self.due.peek() {
            None => Timestamp::MAX,
            Some(&Reverse((time, other))) if index < other => time,
            Some(&Reverse((time, _))) => time - Span::from_nanos(1),
        };
        let input = self.inputs.get_mut(index)?;
        let Source::Running(reader) = &mut input.source else {
            return None;
        };
        let batch = reader.take(until, BATCH, self.next_number);
        let batch = Batch { input: u32::try_from(index).unwrap_or(u32::MAX), ..batch };
        let count = batch.frames.len() as u64;
        input.status.frames = input.status.frames.saturating_add(count);
        self.next_number = self.next_number.saturating_add(count);
        self.running = Some(index);
        Some(batch)
    }

    /// The bytes that the last batch lies in, to be kept.
    pub(super) fn lend(&self) -> Arc<Vec<u8>> {
        match self.running.and_then(|index| self.inputs.get(index)) {
            Some(Input { source: Source::Running(reader), .. }) => reader.lend(),
            _ => Arc::default(),
        }
    }

    /// What became of each input, in the order in which they were named. A folder is told by what lies in it, and itself
    /// only where that is no capture.
    #[must_use]
    pub fn finish(mut self) -> Vec<InputStatus> {
        for index in 0..self.inputs.len() {
            self.close_folder(index);
        }
        self.inputs.into_iter().filter(|input| input.role != Role::Folder).map(|input| input.status).collect()
    }

    /// Makes a folder without captures an input that failed.
    fn close_folder(&mut self, index: usize) {
        let Some((folder, behind)) = self.inputs.get_mut(index..).and_then(<[_]>::split_first_mut) else { return };
        let entries = || behind.iter().take_while(|input| input.role == Role::InFolder);
        if folder.role == Role::Folder && entries().all(|input| matches!(input.status.outcome, Outcome::Skipped(_))) {
            folder.fail(CaptureError::NoCaptures { entries: entries().count() });
        }
    }

    /// Brings an input one step further and queues it by the time of its next frame, if it has one.
    fn advance(&mut self, index: usize) {
        let alone = self.inputs.len() == 1;
        let head = self.inputs.get_mut(index).and_then(|input| input.advance(alone, &self.meter));
        self.due.extend(head.map(|time| Reverse((time, index))));
    }
}

impl InputStatus {
    const fn new(path: String) -> Self {
        Self { path, frames: 0, outcome: Outcome::Whole }
    }
}

/// An input and how far it is.
#[derive(Debug)]
struct Input {
    status: InputStatus,
    source: Source,
    role: Role,
}

/// What an input is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A file or stream that was named, or anything that cannot be read.
    Named,
    /// A folder that was named. The inputs behind it up to the next that is not [`Role::InFolder`] lie in it.
    Folder,
    /// What lies in a folder.
    InFolder,
}

/// The life of an input, from top to bottom.
#[derive(Debug)]
enum Source {
    /// Not looked at yet.
    Unseen(PathBuf),
    /// Looked at and closed again until its first frame is due.
    Waiting(PathBuf),
    /// Open, nothing read yet.
    Opened(Reader),
    /// A frame is pending, except right after a batch was taken.
    Running(Reader),
    /// At its end, or failed.
    Done,
}

impl Input {
    const fn new(name: String, source: Source) -> Self {
        Self { status: InputStatus::new(name), source, role: Role::Named }
    }

    /// What is at a path: a file, or a folder and what lies in it.
    fn at(path: PathBuf) -> Vec<Self> {
        let name = path.display().to_string();
        if !path.is_dir() {
            return vec![Self::new(name, Source::Unseen(path))];
        }
        let mut folder = Self::new(name, Source::Done);
        match folder::entries(&path) {
            Err(error) => {
                folder.fail(error);
                vec![folder]
            }
            Ok(entries) => {
                folder.role = Role::Folder;
                [folder].into_iter().chain(entries.into_iter().map(Self::in_folder)).collect()
            }
        }
    }

    fn in_folder(entry: Entry) -> Self {
        let name = entry.path.display().to_string();
        let source = if entry.is_file { Source::Unseen(entry.path) } else { Source::Done };
        let mut input = Self { role: Role::InFolder, ..Self::new(name, source) };
        if !entry.is_file {
            input.fail(CaptureError::NotAFile);
        }
        input
    }

    /// Notes what went wrong: with what was named, or with what only lay beside captures.
    fn fail(&mut self, error: CaptureError) {
        let skipped = self.role == Role::InFolder && error.is_no_capture();
        self.role = if self.role == Role::Folder { Role::Named } else { self.role };
        self.status.outcome = if skipped { Outcome::Skipped(error) } else { Outcome::Failed(error) };
    }

    /// One step: look, open, or read on. The time of the next frame; none if there is no more, and then
    /// the reader is dropped and its file closed.
    fn advance(&mut self, alone: bool, meter: &Meter) -> Option<Timestamp> {
        match self.source.step(alone, meter) {
            Ok(head) => head,
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }
}

impl Source {
    fn step(&mut self, alone: bool, meter: &Meter) -> Result<Option<Timestamp>, CaptureError> {
        match std::mem::replace(self, Self::Done) {
            Self::Unseen(path) if path == Path::new("-") => self.run(Reader::stdin().metered(meter)),
            Self::Unseen(path) if !alone && path.is_file() => {
                let mut reader = Reader::open_with(&path, PEEK_SIZE)?;
                if reader.fill()? {
                    *self = Self::Waiting(path);
                }
                Ok(reader.head_time())
            }
            Self::Unseen(path) | Self::Waiting(path) => self.run(Reader::open(&path)?.metered(meter)),
            Self::Opened(reader) | Self::Running(reader) => self.run(reader),
            Self::Done => Ok(None),
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Self::Unseen(path) | Self::Waiting(path) => {
                path.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len())
            }
            Self::Opened(reader) | Self::Running(reader) => reader.size(),
            Self::Done => Some(0),
        }
    }

    fn run(&mut self, mut reader: Reader) -> Result<Option<Timestamp>, CaptureError> {
        let more = reader.fill()?;
        let head = reader.head_time();
        if more {
            *self = Self::Running(reader);
        }
        Ok(head)
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
