//! The frames of all interfaces as one stream, by time.

use std::{collections::VecDeque, time::Duration};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};

use super::batch::FrameBatch;
use crate::{
    capture::BATCH,
    time::{Span, Timestamp},
    wire::Batch,
};

/// See the [module's documentation](super). Call [`LiveMerge::receive`], then [`LiveMerge::next_batch`] until it gives none, and
/// again until the end was received and nothing is left.
#[derive(Debug)]
pub struct LiveMerge {
    queue: Receiver<FrameBatch>,
    inputs: Vec<Input>,
    next_number: u64,
    /// Whose first batch has given out the last run.
    running: Option<usize>,
    lost: u64,
    ended: bool,
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A batch, perhaps an empty one.
    Something,
    /// Nothing within the time.
    Nothing,
    /// All taps have ended, and nothing more comes.
    End,
}

/// One interface.
#[derive(Debug)]
struct Input {
    back: Sender<FrameBatch>,
    pending: VecDeque<FrameBatch>,
    /// First frame of the first batch that was not given out.
    next: usize,
    up_to: Timestamp,
}

impl Input {
    fn head(&self) -> Option<Timestamp> {
        self.pending.front()?.frames.get(self.next).map(|frame| frame.time)
    }

    /// Gives batches back that were used up; frames that were lost in front of them.
    fn recycle(&mut self) -> u64 {
        let mut lost = 0;
        while self.pending.front().is_some_and(|batch| self.next >= batch.frames.len()) {
            self.next = 0;
            lost += self.pending.pop_front().map_or(0, |batch| {
                let lost = batch.lost;
                // A tap that has ended wants none.
                let _ = self.back.try_send(batch);
                lost
            });
        }
        lost
    }
}

impl LiveMerge {
    /// Of batches that come through `queue` and go back by the channel of their interface.
    pub(super) fn new(queue: Receiver<FrameBatch>, back: Vec<Sender<FrameBatch>>) -> Self {
        let input = |back| Input { back, pending: VecDeque::new(), next: 0, up_to: Timestamp::MIN };
        Self { queue, inputs: back.into_iter().map(input).collect(), next_number: 0, running: None, lost: 0, ended: false }
    }

    /// Waits for a batch.
    pub fn receive(&mut self, at_most: Duration) -> Received {
        match self.queue.recv_timeout(at_most) {
            Ok(batch) => {
                self.take(batch);
                Received::Something
            }
            Err(RecvTimeoutError::Timeout) => Received::Nothing,
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                Received::End
            }
        }
    }

    /// Batches that wait to be received.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    fn take(&mut self, batch: FrameBatch) {
        let Some(input) = self.inputs.get_mut(batch.input as usize) else { return };
        input.up_to = input.up_to.max(batch.up_to);
        input.pending.push_back(batch);
        if input.pending.len() == 1 {
            self.lost += input.recycle();
        }
    }

    /// All frames up to this time were received.
    fn horizon(&self) -> Timestamp {
        if self.ended { Timestamp::MAX } else { self.inputs.iter().map(|input| input.up_to).min().unwrap_or(Timestamp::MAX) }
    }

    /// Stream time: all frames up to it were given out, when [`LiveMerge::next_batch`] gives none. None before every interface has
    /// been read once, and at the end.
    #[must_use]
    pub fn up_to(&self) -> Option<Timestamp> {
        Some(self.horizon()).filter(|time| Timestamp::MIN < *time && *time < Timestamp::MAX)
    }

    /// Frames that the interfaces lost among those given out since the last call.
    pub const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.lost, 0)
    }

    /// The next run of frames, all from one interface; none where those that are there may not be the next. It begins with the
    /// earliest frame that is there (of equal ones with that of the interface named first) and goes up to another
    /// interface's turn.
    pub fn next_batch(&mut self) -> Option<Batch<'_>> {
        if let Some(input) = self.running.take().and_then(|index| self.inputs.get_mut(index)) {
            self.lost += input.recycle();
        }
        let horizon = self.horizon();
        let heads = self.inputs.iter().enumerate().filter_map(|(index, input)| Some((input.head()?, index)));
        let (first, index) = heads.clone().min()?;
        if first > horizon {
            return None;
        }
        let others = heads.filter(|(_, other)| *other != index);
        let turns = others.map(|(time, other)| if index < other { time } else { time - Span::from_nanos(1) });
        let until = turns.min().unwrap_or(Timestamp::MAX).min(horizon);
        let input = self.inputs.get_mut(index)?;
        let batch = input.pending.front()?;
        let rest = batch.frames.get(input.next..).unwrap_or_default();
        let run = rest.iter().take(BATCH).take_while(|frame| frame.time <= until).count().max(1);
        let frames = rest.get(..run).unwrap_or_default();
        input.next += frames.len();
        self.running = Some(index);
        let first_number = self.next_number;
        self.next_number += frames.len() as u64;
        Some(Batch { first_number, input: u32::try_from(index).unwrap_or(u32::MAX), data: &batch.data, frames })
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
