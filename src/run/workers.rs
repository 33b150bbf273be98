//! The first stage by one engine here, or by several in threads of their own.
//!
//! Each worker reads all inputs by itself, numbers all frames, and handles those of its [`Share`]. What the workers observe is
//! merged by its key (see [`lanes`](super::lanes)).

use std::{io, mem, panic, path::PathBuf, sync::Arc, thread};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::{
    lanes::{Lanes, Mark, Message, Next},
    screen::Progress,
};
use crate::{
    capture::{Merge, Selection},
    engine::{Engine, EngineLimits},
    flow::Share,
    observation::{Counters, Observation},
    pseudonym::Pseudonyms,
};

/// Observations that a worker hands on together, at least where there are so many.
const TOGETHER: usize = 1024;

/// Batches of frames after which a worker tells how far it is, whether it has observed anything or not.
const EVERY: u32 = 64;

/// Messages that wait from each worker at most: one that is ahead of the others waits for them.
const WAITING: usize = 8;

/// What there is to do.
pub(super) struct Job {
    pub(super) limits: EngineLimits,
    pub(super) pseudonyms: Option<Arc<Pseudonyms>>,
    pub(super) inputs: Vec<PathBuf>,
    pub(super) selection: Selection,
    pub(super) progress: Option<Progress>,
}

impl Job {
    /// Does it with so many workers and hands on every observation in order. `merge` is of the inputs, and comes back read.
    ///
    /// # Errors
    /// Those of `take`; nothing is handed on after one.
    pub(super) fn run(
        self,
        merge: Merge,
        workers: usize,
        mut take: impl FnMut(Observation) -> io::Result<()>,
    ) -> io::Result<(Counters, Merge)> {
        if workers <= 1 {
            let mut result = Ok(());
            let done = self.alone(merge, |observation, _| {
                if result.is_ok() {
                    result = observation.map_or(Ok(()), &mut take);
                }
                result.is_ok()
            });
            return result.map(|()| done);
        }
        let Self { limits, pseudonyms, inputs, selection, mut progress } = self;
        let mut first = Some(merge);
        thread::scope(|scope| {
            let (receivers, threads): (Vec<_>, Vec<_>) = Share::all(workers)
                .map(|share| {
                    let (sender, receiver) = bounded(WAITING);
                    let job = Self {
                        limits: EngineLimits { share: Some(share), ..limits },
                        pseudonyms: pseudonyms.clone(),
                        inputs: Vec::new(),
                        selection: selection.clone(),
                        progress: progress.take(),
                    };
                    let merge = first.take().unwrap_or_else(|| Merge::new(inputs.iter().cloned()));
                    (receiver, scope.spawn(move || job.share(merge, &sender)))
                })
                .unzip();
            let result = self::merge(&receivers, take);
            drop(receivers); // and with them the workers, on an error
            let mut done = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
            let first = done.next().unwrap_or_else(|| (Counters::default(), Merge::new([])));
            let (counters, merge) = done.fold(first, |(counters, merge), (other, _)| (counters.with_flows_of(&other), merge));
            result.map(|()| (counters, merge))
        })
    }

    /// Does all of it in this thread. `take` is given each observation, and behind each batch of frames none, and says whether to
    /// go on; it is told the frame before which nothing more will be observed.
    fn alone(mut self, mut merge: Merge, mut take: impl FnMut(Option<Observation>, u64) -> bool) -> (Counters, Merge) {
        let mut engine = Engine::new(self.limits).with_pseudonyms(self.pseudonyms);
        while let Some(batch) = merge.next_batch() {
            let frames = batch.frames.len();
            engine.handle_batch(&self.selection.of(batch));
            if !hand_on(&mut engine, &mut take) {
                return (*engine.counters(), merge);
            }
            if let Some(progress) = &mut self.progress {
                progress.on_frames(frames, &merge);
            }
        }
        engine.finish();
        hand_on(&mut engine, &mut take);
        (*engine.counters(), merge)
    }

    /// Does its share of it and sends what it observes.
    fn share(self, merge: Merge, sender: &Sender<Message>) -> (Counters, Merge) {
        let (mut observations, mut batches) = (Vec::new(), 0u32);
        let send = |observations: &mut Vec<Observation>, up_to: Mark| {
            sender.send(Message { observations: mem::take(observations), up_to }).is_ok()
        };
        let done = self.alone(merge, |observation, up_to| {
            batches = batches.wrapping_add(u32::from(observation.is_none()));
            let due = observation.is_none() && batches.is_multiple_of(EVERY);
            observations.extend(observation);
            if due || observations.len() >= TOGETHER { send(&mut observations, Mark::at_frame(up_to)) } else { true }
        });
        send(&mut observations, Mark::END);
        done
    }
}

/// Hands on what the engine has observed.
fn hand_on(engine: &mut Engine, take: &mut impl FnMut(Option<Observation>, u64) -> bool) -> bool {
    while let Some(observation) = engine.poll_observation() {
        let frame = observation.key.frame;
        if !take(Some(observation), frame) {
            return false;
        }
    }
    take(None, engine.last_frame())
}

/// Hands on everything that comes from all workers, in the order of its keys.
fn merge(receivers: &[Receiver<Message>], mut take: impl FnMut(Observation) -> io::Result<()>) -> io::Result<()> {
    let mut lanes = Lanes::new(receivers.len());
    loop {
        match lanes.next() {
            Next::Observation(observation) => take(*observation)?,
            Next::Wait(worker) => {
                let message = receivers.get(worker).and_then(|receiver| receiver.recv().ok());
                lanes.push(worker, message.unwrap_or(Message { observations: Vec::new(), up_to: Mark::END }));
            }
            Next::End => return Ok(()),
        }
    }
}
