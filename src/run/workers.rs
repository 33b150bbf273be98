//! The first stage by one engine here, or by several in threads of their own.
//!
//! Each worker reads all inputs by itself, numbers all frames, and handles those of its [`Share`]. What the workers observe is
//! merged by its key, so that the second stage sees the same order whatever their number: an observation goes on as soon as no
//! other worker can come with an earlier one.

use std::{collections::VecDeque, io, mem, panic, path::PathBuf, sync::Arc, thread};

use crossbeam::channel::{Receiver, Sender, bounded};

use super::screen::Progress;
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

/// What a worker has observed since its last message.
struct Message {
    observations: Vec<Observation>,
    /// All that comes later is of this frame or a later one.
    up_to: u64,
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
            let (lanes, threads): (Vec<_>, Vec<_>) = Share::all(workers)
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
                    (Lane::new(receiver), scope.spawn(move || job.share(merge, &sender)))
                })
                .unzip();
            // On an error the lanes end here, and with them their workers.
            let result = merge_lanes(lanes, take);
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
        let send = |observations: &mut Vec<Observation>, up_to| {
            sender.send(Message { observations: mem::take(observations), up_to }).is_ok()
        };
        let done = self.alone(merge, |observation, up_to| {
            batches = batches.wrapping_add(u32::from(observation.is_none()));
            let due = observation.is_none() && batches.is_multiple_of(EVERY);
            observations.extend(observation);
            if due || observations.len() >= TOGETHER { send(&mut observations, up_to) } else { true }
        });
        send(&mut observations, u64::MAX);
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

/// What comes from one worker.
struct Lane {
    receiver: Receiver<Message>,
    waiting: VecDeque<Observation>,
    up_to: u64,
}

impl Lane {
    const fn new(receiver: Receiver<Message>) -> Self {
        Self { receiver, waiting: VecDeque::new(), up_to: 0 }
    }

    /// Whether nothing earlier than a frame can come from here.
    fn is_beyond(&self, frame: u64) -> bool {
        !self.waiting.is_empty() || self.up_to > frame
    }

    fn receive(&mut self) {
        match self.receiver.recv() {
            Ok(Message { observations, up_to }) => {
                self.waiting.extend(observations);
                self.up_to = up_to;
            }
            Err(_) => self.up_to = u64::MAX,
        }
    }
}

/// Hands on everything that comes from all lanes, in the order of its keys.
fn merge_lanes(mut lanes: Vec<Lane>, mut take: impl FnMut(Observation) -> io::Result<()>) -> io::Result<()> {
    loop {
        let heads = lanes.iter().enumerate().filter_map(|(i, lane)| Some((lane.waiting.front()?.key, i)));
        let next = heads.min();
        let frame = next.map_or(u64::MAX - 1, |(key, _)| key.frame);
        if let Some(lane) = lanes.iter_mut().filter(|lane| !lane.is_beyond(frame)).min_by_key(|lane| lane.up_to) {
            lane.receive();
            continue;
        }
        let Some(observation) = next.and_then(|(_, i)| lanes.get_mut(i)?.waiting.pop_front()) else { return Ok(()) };
        take(observation)?;
    }
}
