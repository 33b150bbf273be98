//! The frames of all interfaces as one stream, by time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};

use super::{
    batch::{FrameBatch, Lent, Missed, Run},
    counters::TapCounters,
    shed::Sheds,
};
use crate::{
    capture::BATCH,
    time::{Span, Timestamp},
};

/// See the [module's documentation](super). Call [`LiveMerge::receive`], then [`LiveMerge::next_run`] until it gives none, and
/// again until the end was received and nothing is left.
#[derive(Debug)]
pub struct LiveMerge {
    queue: Receiver<FrameBatch>,
    inputs: Vec<Input>,
    next_number: u64,
    missed: Missed,
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
    counters: Arc<TapCounters>,
    pending: VecDeque<Arc<Lent>>,
    /// First frame of the first batch that was not given out.
    next: usize,
    up_to: Timestamp,
}

impl Input {
    fn head(&self) -> Option<Timestamp> {
        self.pending.front()?.batch().frames.get(self.next).map(|frame| frame.time)
    }

    /// Lets go of batches that were used up; what did not come in in front of their ends.
    fn let_go(&mut self) -> Missed {
        let mut missed = Missed::default();
        while self.pending.front().is_some_and(|lent| self.next >= lent.batch().frames.len()) {
            self.next = 0;
            missed.add(self.pending.pop_front().map_or_else(Missed::default, |lent| lent.batch().missed));
        }
        missed
    }
}

impl LiveMerge {
    /// Of batches that come through `queue` and go back by the channel of their interface, which counts them.
    pub(super) fn new(
        queue: Receiver<FrameBatch>,
        taps: impl IntoIterator<Item = (Sender<FrameBatch>, Arc<TapCounters>)>,
    ) -> Self {
        let input = |(back, counters)| Input { back, counters, pending: VecDeque::new(), next: 0, up_to: Timestamp::MIN };
        Self { queue, inputs: taps.into_iter().map(input).collect(), next_number: 0, missed: Missed::default(), ended: false }
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

    fn take(&mut self, batch: FrameBatch) {
        let Some(input) = self.inputs.get_mut(batch.input as usize) else { return };
        input.counters.on_received();
        input.up_to = input.up_to.max(batch.up_to);
        input.pending.push_back(Arc::new(Lent::new(batch, input.back.clone())));
        if input.pending.len() == 1 {
            self.missed.add(input.let_go());
        }
    }

    /// All frames up to this time were received.
    fn horizon(&self) -> Timestamp {
        if self.ended { Timestamp::MAX } else { self.inputs.iter().map(|input| input.up_to).min().unwrap_or(Timestamp::MAX) }
    }

    /// Stream time: all frames up to it were given out, when [`LiveMerge::next_run`] gives none. None before every interface has
    /// been read once, and at the end.
    #[must_use]
    pub fn up_to(&self) -> Option<Timestamp> {
        Some(self.horizon()).filter(|time| Timestamp::MIN < *time && *time < Timestamp::MAX)
    }

    /// What did not come in before whatever is given out next, and was not told with a run.
    pub const fn take_missed(&mut self) -> Missed {
        std::mem::replace(&mut self.missed, Missed { lost: 0, shed: Sheds { bulk: 0, new: 0 } })
    }

    /// The next run of frames, all from one interface; none where those that are there may not be the next. It begins with the
    /// earliest frame that is there (of equal ones with that of the interface named first) and goes up to another
    /// interface's turn.
    pub fn next_run(&mut self) -> Option<Run> {
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
        let lent = Arc::clone(input.pending.front()?);
        let rest = lent.batch().frames.get(input.next..).unwrap_or_default();
        let length = rest.iter().take(BATCH).take_while(|frame| frame.time <= until).count().max(1);
        let frames = input.next..input.next + length;
        input.next = frames.end;
        self.missed.add(input.let_go());
        let first_number = self.next_number;
        self.next_number += length as u64;
        Some(Run::new(lent, frames, first_number, self.take_missed()))
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
