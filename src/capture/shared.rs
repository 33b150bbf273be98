//! One reading of the inputs for several engines that each look at all frames.
//!
//! There is no thread that reads: whichever engine wants frames that nobody has read yet reads them, and gives them to all. So the
//! one that is ahead does the work of reading, and as many threads as there are engines are enough.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{BATCH, Merge, Selection};
use crate::wire::{Batch, Frame, FrameMeta};

/// Where the inputs are files, so many frames are read together, or so many bytes, or somewhat more: so many that to hand them over
/// costs next to nothing, and so few that they stay in the cache meanwhile.
const TOGETHER: usize = 16 * BATCH;
const TOGETHER_BYTES: usize = 512 * 1024;

/// Pieces that wait at most, for those who have not taken them yet: one that is ahead of the others waits for them.
const WAITING: usize = 12;

/// Pieces that one reads at a time, where the inputs are files. With one, all would take it at the same time and be done with it at
/// the same time, and all but one would wait for the next.
const AHEAD: usize = 5;

/// Frames that were read together; those who share them see the same bytes. Each frame is marked by what whoever read it saw in it,
/// while its bytes were near: for the others they are far.
#[derive(Debug)]
pub struct Piece<M> {
    runs: Vec<Run>,
    frames: Vec<FrameMeta>,
    marks: Vec<M>,
}

#[derive(Debug)]
struct Run {
    data: Arc<Vec<u8>>,
    frames: Range<usize>,
    first_number: u64,
    input: u32,
}

impl<M> Piece<M> {
    /// The frames, in batches, in the order in which [`Merge::next_batch`] gave them; and the mark of each.
    pub fn batches(&self) -> impl Iterator<Item = (Batch<'_>, &[M])> {
        self.runs.iter().map(|run| {
            let frames = self.frames.get(run.frames.clone()).unwrap_or_default();
            let batch = Batch { first_number: run.first_number, input: run.input, data: &run.data, frames };
            (batch, self.marks.get(run.frames.clone()).unwrap_or_default())
        })
    }
}

/// Inputs that are read by whoever comes first.
#[derive(Debug)]
pub struct Shared<M, P> {
    reading: Mutex<Reading<M, P>>,
    queue: Mutex<Queue<M>>,
    /// Something in the queue has changed.
    changed: Condvar,
    /// Pieces that one reads at a time.
    ahead: usize,
}

#[derive(Debug)]
struct Reading<M, P> {
    merge: Merge,
    selection: Selection,
    together: usize,
    mark: fn(&Frame<'_>) -> M,
    /// Is told of the frames that were read.
    progress: P,
}

/// What was read and not yet taken by all.
#[derive(Debug)]
struct Queue<M> {
    pieces: VecDeque<Arc<Piece<M>>>,
    /// How many pieces there were before these.
    gone: u64,
    /// How many pieces each has taken; no end of them once it has left.
    taken: Vec<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Somebody reads.
    Reading,
    /// Nothing more comes.
    Ended,
}

/// One of those who share. The others wait for it, until it is dropped.
#[derive(Debug)]
pub struct Taker<'a, M, P> {
    shared: &'a Shared<M, P>,
    index: usize,
}

impl<M, P: FnMut(usize, &Merge)> Shared<M, P> {
    /// Nothing was read yet. `mark` is called for each frame and `progress` for each batch, with the number of its frames.
    #[must_use]
    pub fn new(merge: Merge, selection: Selection, mark: fn(&Frame<'_>) -> M, progress: P) -> Self {
        // A stream may go quiet at any frame, and what came before it is not to wait for what comes after.
        let (together, ahead) = if merge.size().is_some() { (TOGETHER, AHEAD) } else { (1, 1) };
        let reading = Mutex::new(Reading { merge, selection, together, mark, progress });
        let queue = Queue { pieces: VecDeque::new(), gone: 0, taken: Vec::new(), state: State::Idle };
        Self { reading, queue: Mutex::new(queue), changed: Condvar::new(), ahead }
    }

    /// One more who shares; to be called for all of them before any takes the first piece.
    pub fn taker(&self) -> Taker<'_, M, P> {
        let mut queue = self.queue();
        queue.taken.push(0);
        Taker { shared: self, index: queue.taken.len() - 1 }
    }

    /// The inputs, as far as they were read.
    pub fn into_merge(self) -> Merge {
        self.reading.into_inner().unwrap_or_else(PoisonError::into_inner).merge
    }
}

impl<M, P> Shared<M, P> {
    fn queue(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M, P: FnMut(usize, &Merge)> Reading<M, P> {
    /// The next piece; none at the end.
    fn read(&mut self) -> Option<Piece<M>> {
        let mut piece = Piece { runs: Vec::new(), frames: Vec::new(), marks: Vec::new() };
        let mut bytes = 0;
        while piece.frames.len() < self.together && bytes < TOGETHER_BYTES {
            let Some(batch) = self.merge.next_batch() else { break };
            let count = batch.frames.len();
            let batch = self.selection.of(batch);
            let start = piece.frames.len();
            bytes += batch.frames.iter().map(|frame| frame.captured_len as usize).sum::<usize>();
            piece.frames.extend_from_slice(batch.frames);
            piece.marks.extend(batch.iter().map(|frame| (self.mark)(&frame)));
            let (frames, first_number, input) = (start..piece.frames.len(), batch.first_number, batch.input);
            piece.runs.push(Run { data: self.merge.lend(), frames, first_number, input });
            (self.progress)(count, &self.merge);
        }
        (!piece.runs.is_empty()).then_some(piece)
    }
}

impl<M> Queue<M> {
    /// The next piece of one of those who share, where it was read.
    fn take(&mut self, index: usize) -> Option<Arc<Piece<M>>> {
        let taken = self.taken.get_mut(index)?;
        let piece = self.pieces.get(usize::try_from(*taken - self.gone).ok()?).cloned();
        *taken += u64::from(piece.is_some());
        piece
    }

    /// Lets go of what all have taken; false where there is nothing of that kind.
    fn let_go(&mut self) -> bool {
        let least = self.taken.iter().min().map_or(0, |least| least.saturating_sub(self.gone));
        let count = self.pieces.len().min(usize::try_from(least).unwrap_or(usize::MAX));
        self.pieces.drain(..count);
        self.gone += count as u64;
        count > 0
    }
}

impl<M, P: FnMut(usize, &Merge)> Taker<'_, M, P> {
    /// The next piece, none at the end: all who share get the same ones in the same order.
    pub fn take(&self) -> Option<Arc<Piece<M>>> {
        let mut queue = self.shared.queue();
        loop {
            if let Some(piece) = queue.take(self.index) {
                if queue.let_go() {
                    self.shared.changed.notify_all();
                }
                return Some(piece);
            }
            queue = match queue.state {
                State::Ended => return None,
                State::Idle if queue.pieces.len() < WAITING => {
                    queue.state = State::Reading;
                    drop(queue);
                    self.read()
                }
                State::Idle | State::Reading => self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Reads the next pieces for all. Others take each as soon as it is there.
    fn read(&self) -> MutexGuard<'_, Queue<M>> {
        let mut left = self.shared.ahead;
        loop {
            let piece = self.shared.reading.lock().ok().and_then(|mut reading| reading.read());
            left = left.saturating_sub(1);
            let mut queue = self.shared.queue();
            self.shared.changed.notify_all();
            let Some(piece) = piece else {
                queue.state = State::Ended;
                return queue;
            };
            queue.pieces.push_back(Arc::new(piece));
            if left == 0 || queue.pieces.len() >= WAITING {
                queue.state = State::Idle;
                return queue;
            }
        }
    }
}

impl<M, P> Drop for Taker<'_, M, P> {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.taken.get_mut(self.index).into_iter().for_each(|taken| *taken = u64::MAX);
        queue.let_go();
        self.shared.changed.notify_all();
    }
}
