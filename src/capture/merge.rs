//! Several inputs as one stream in time order, with frames numbered as they come out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use super::file::{BATCH, CaptureError, Reader};
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
    /// Why it was not read to its end; the other inputs went on.
    pub error: Option<CaptureError>,
}

/// Readers in step: call [`next_batch`](Merge::next_batch) until it gives none, then
/// [`finish`](Merge::finish).
///
/// The next batch is always from the input whose next frame is earliest, on equal times from the one that was
/// named first, and runs on until another input's turn. Within an input the order of the file
/// is kept, also where its times run backwards; so the result is in time order if each input is.
/// Frames are numbered from 0 without a hole.
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
}

impl Merge {
    /// One stream from these files, `-` being standard input. Nothing is opened until the first batch.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::from_inputs(
            paths
                .into_iter()
                .map(|path| Input { status: InputStatus::new(path.display().to_string()), source: Source::Unseen(path) }),
        )
    }

    /// One stream from readers that are open already, named as they are.
    pub fn from_readers(readers: impl IntoIterator<Item = Reader>) -> Self {
        Self::from_inputs(
            readers
                .into_iter()
                .map(|reader| Input { status: InputStatus::new(reader.name().to_owned()), source: Source::Opened(reader) }),
        )
    }

    fn from_inputs(inputs: impl Iterator<Item = Input>) -> Self {
        let inputs: Vec<_> = inputs.collect();
        Self {
            due: (0..inputs.len()).map(|input| Reverse((Timestamp::MIN, input))).collect(),
            running: None,
            next_number: 0,
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

    /// What became of each input, in the order in which they were named.
    #[must_use]
    pub fn finish(self) -> Vec<InputStatus> {
        self.inputs.into_iter().map(|input| input.status).collect()
    }

    /// Brings an input one step further and queues it by the time of its next frame, if it has one.
    fn advance(&mut self, index: usize) {
        let alone = self.inputs.len() == 1;
        let head = self.inputs.get_mut(index).and_then(|input| input.advance(alone));
        self.due.extend(head.map(|time| Reverse((time, index))));
    }
}

impl InputStatus {
    const fn new(path: String) -> Self {
        Self { path, frames: 0, error: None }
    }
}

/// An input and how far it is.
#[derive(Debug)]
struct Input {
    status: InputStatus,
    source: Source,
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
    /// One step: look, open, or read on. The time of the next frame; none if there is no more, and then
    /// the reader is dropped and its file closed.
    fn advance(&mut self, alone: bool) -> Option<Timestamp> {
        match self.source.step(alone) {
            Ok(head) => head,
            Err(error) => {
                self.status.error = Some(error);
                None
            }
        }
    }
}

impl Source {
    fn step(&mut self, alone: bool) -> Result<Option<Timestamp>, CaptureError> {
        match std::mem::replace(self, Self::Done) {
            Self::Unseen(path) if path == Path::new("-") => self.run(Reader::stdin()),
            Self::Unseen(path) if !alone && path.is_file() => {
                let mut reader = Reader::open_with(&path, PEEK_SIZE)?;
                if reader.fill()? {
                    *self = Self::Waiting(path);
                }
                Ok(reader.head_time())
            }
            Self::Unseen(path) | Self::Waiting(path) => self.run(Reader::open(&path)?),
            Self::Opened(reader) | Self::Running(reader) => self.run(reader),
            Self::Done => Ok(None),
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
mod tests {

    use super::*;
    use crate::capture::samples::{Order, reader};

    /// Number, seconds, and the place in its file of each frame.
    fn run(merge: &mut Merge) -> Vec<(u64, i64, u8)> {
        let mut seen = Vec::new();
        while let Some(batch) = merge.next_batch() {
            assert!(!batch.frames.is_empty());
            seen.extend(batch.iter().map(|frame| {
                let seconds = frame.time.as_nanos() / 1_000_000_000;
                (frame.number, seconds, frame.bytes.first().copied().unwrap_or(0xff))
            }));
        }
        seen
    }

    fn merged(files: &[&[u32]]) -> Vec<(u64, i64, u8)> {
        run(&mut Merge::from_readers(files.iter().map(|seconds| reader("mem", Order::Little.pcap_at(seconds)))))
    }

    #[test]
    fn frames_come_by_time_and_are_numbered_through() {
        let seen = merged(&[&[1, 4, 5], &[], &[2, 3, 9]]);
        let expected = [(0, 1, 0), (1, 2, 0), (2, 3, 1), (3, 4, 1), (4, 5, 2), (5, 9, 2)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn on_equal_times_the_input_named_first_goes_first() {
        let seen = merged(&[&[3, 5, 5], &[2, 5], &[5]]);
        let places: Vec<_> = seen.iter().map(|&(_, seconds, place)| (seconds, place)).collect();
        assert_eq!(places, [(2, 0), (3, 0), (5, 1), (5, 2), (5, 1), (5, 0)]);
    }

    #[test]
    fn an_input_keeps_its_own_order() {
        let seen = merged(&[&[5, 1, 6], &[4, 7]]);
        let seconds: Vec<_> = seen.iter().map(|&(_, seconds, _)| seconds).collect();
        assert_eq!(seconds, [4, 5, 1, 6, 7]);
    }

    #[test]
    fn many_frames_of_many_inputs_are_in_order() {
        let times: Vec<Vec<u32>> = (0..5).map(|input| (0..1000).map(|n| n * 5 + input).collect()).collect();
        let files: Vec<&[u32]> = times.iter().map(Vec::as_slice).collect();
        let seen = merged(&files);
        assert!(seen.iter().enumerate().all(|(n, &(number, seconds, _))| number == n as u64 && seconds == n as i64));
        assert_eq!(seen.len(), 5000);
    }

    #[test]
    fn a_failing_input_does_not_stop_the_others() {
        let mut cut = Order::Big.pcap_at(&[1, 3, 5]);
        cut.truncate(cut.len() - 1);
        let mut merge = Merge::from_readers([
            reader("cut", cut),
            reader("junk", b"junk".to_vec()),
            reader("good", Order::Little.pcap_at(&[2, 4, 6])),
        ]);
        assert_eq!(run(&mut merge).len(), 5);
        let [cut, junk, good] = merge.finish().try_into().unwrap();
        assert!(matches!((cut.frames, cut.error), (2, Some(CaptureError::Truncated { .. }))));
        assert!(matches!((junk.frames, junk.error), (0, Some(CaptureError::NotACapture { .. }))));
        assert!(matches!((good.path.as_str(), good.frames, good.error), ("good", 3, None)));
    }

    /// Files that follow each other are open one at a time, in whatever order they are named.
    #[test]
    fn files_are_open_only_while_their_time_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let files = [30, 10, 20].map(|start| {
            let path = folder.path().join(start.to_string());
            std::fs::write(&path, Order::Big.pcap_at(&[start, start + 1])).unwrap();
            path
        });
        let missing = folder.path().join("missing");
        let mut merge = Merge::new(files.into_iter().chain([missing]));
        let mut starts = Vec::new();
        while let Some(batch) = merge.next_batch() {
            starts.extend(batch.frames.first().map(|frame| frame.time.as_nanos() / 10_000_000_000));
            let is_open = |input: &&Input| matches!(input.source, Source::Running(_) | Source::Opened(_));
            assert_eq!(merge.inputs.iter().filter(is_open).count(), 1);
        }
        assert_eq!(starts, [1, 2, 3]);
        let [_, _, last, missing] = merge.finish().try_into().unwrap();
        assert_eq!((last.frames, last.error.is_none()), (2, true));
        assert!(matches!(missing.error, Some(CaptureError::Open { .. })));
    }
}
