//! The first stage by one engine here, or by several in threads of their own.
//!
//! The inputs are read once; each worker is given all frames and handles those of its [`Share`]. What the workers observe is
//! merged by its key (see [`lanes`](super::lanes)).

use std::{io, mem, panic, sync::Arc, thread};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::{
    lanes::{Lanes, Mark, Message, Next},
    screen::Progress,
};
use crate::{
    capture::{Merge, Selection, Shared, Taker},
    engine::{Engine, EngineLimits},
    flow::{Shard, Share},
    observation::{Counters, Observation},
    pseudonym::Pseudonyms,
};

/// Messages that wait of all workers at most. While one of them is waited for, what the others send is taken in nevertheless: they
/// are never far ahead, as they read together.
const WAITING: usize = 16;

/// What there is to do.
pub(super) struct Job {
    pub(super) limits: EngineLimits,
    pub(super) pseudonyms: Option<Arc<Pseudonyms>>,
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
        take: impl FnMut(Observation) -> io::Result<()>,
    ) -> io::Result<(Counters, Merge)> {
        if workers <= 1 { self.alone(merge, take) } else { self.together(merge, workers, take) }
    }

    /// Does all of it in this thread.
    fn alone(mut self, mut merge: Merge, mut take: impl FnMut(Observation) -> io::Result<()>) -> io::Result<(Counters, Merge)> {
        let mut engine = Engine::new(self.limits).with_pseudonyms(self.pseudonyms);
        while let Some(batch) = merge.next_batch() {
            let frames = batch.frames.len();
            engine.handle_batch(&self.selection.of(batch));
            observed(&mut engine).try_for_each(&mut take)?;
            if let Some(progress) = &mut self.progress {
                progress.on_frames(frames, &merge);
            }
        }
        engine.finish();
        observed(&mut engine).try_for_each(&mut take)?;
        Ok((*engine.counters(), merge))
    }

    /// Does it in so many threads.
    fn together(
        self,
        merge: Merge,
        workers: usize,
        take: impl FnMut(Observation) -> io::Result<()>,
    ) -> io::Result<(Counters, Merge)> {
        let Self { limits, pseudonyms, selection, mut progress } = self;
        let shared = Shared::new(merge, selection, Shard::of_frame, |frames, merge: &Merge| {
            progress.iter_mut().for_each(|progress| progress.on_frames(frames, merge));
        });
        let result = thread::scope(|scope| {
            let (sender, receiver) = bounded(WAITING);
            let shares: Vec<_> = Share::all(workers).map(|share| (share, shared.taker())).collect();
            let threads: Vec<_> = shares
                .into_iter()
                .enumerate()
                .map(|(index, (share, taker))| {
                    let limits = EngineLimits { share: Some(share), ..limits };
                    let engine = Engine::new(limits).with_pseudonyms(pseudonyms.clone());
                    let worker = Worker { index, sender: sender.clone(), observations: Vec::new() };
                    scope.spawn(move || worker.run(engine, &taker))
                })
                .collect();
            drop(sender);
            let result = self::merge(&receiver, threads.len(), take);
            drop(receiver); // and with it the workers, on an error
            let done = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
            let counters = done.reduce(|counters, other| counters.with_flows_of(&other));
            result.map(|()| counters.unwrap_or_default())
        });
        result.map(|counters| (counters, shared.into_merge()))
    }
}

/// One of several that each do a share.
struct Worker {
    index: usize,
    sender: Sender<(usize, Message)>,
    observations: Vec<Observation>,
}

impl Worker {
    /// Does its share of it and sends what it observes and, after each piece, how far it is.
    fn run<P: FnMut(usize, &Merge)>(mut self, mut engine: Engine, taker: &Taker<'_, Option<Shard>, P>) -> Counters {
        while let Some(piece) = taker.take() {
            for (batch, shards) in piece.batches() {
                engine.handle_known(&batch, shards);
                self.observations.extend(observed(&mut engine));
            }
            if !self.send(Mark::at_frame(engine.last_frame())) {
                return *engine.counters();
            }
        }
        engine.finish();
        self.observations.extend(observed(&mut engine));
        self.send(Mark::END);
        *engine.counters()
    }

    /// Whether there is still somebody who wants it.
    fn send(&mut self, up_to: Mark) -> bool {
        let message = Message { observations: mem::take(&mut self.observations), up_to };
        self.sender.send((self.index, message)).is_ok()
    }
}

/// What the engine has observed.
fn observed(engine: &mut Engine) -> impl Iterator<Item = Observation> {
    std::iter::from_fn(|| engine.poll_observation())
}

/// Hands on everything that comes from all workers, in the order of its keys.
fn merge(
    receiver: &Receiver<(usize, Message)>,
    workers: usize,
    mut take: impl FnMut(Observation) -> io::Result<()>,
) -> io::Result<()> {
    let mut lanes = Lanes::new(workers);
    loop {
        match lanes.next() {
            Next::Observation(observation) => take(*observation)?,
            Next::Wait(worker) => {
                // All are gone only after a panic, which is passed on when they are joined.
                let message = receiver.recv().unwrap_or((worker, Message { observations: Vec::new(), up_to: Mark::END }));
                lanes.push(message.0, message.1);
            }
            Next::End => return Ok(()),
        }
    }
}
