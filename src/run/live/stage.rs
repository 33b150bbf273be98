//! The first stage: one engine in this thread, or several in threads of their own.
//!
//! ```text
//! taps ─▶ LiveMerge ─▶ Engine ─▶ observations                                  one engine
//!
//!                      ┌─▶ Engine, a thread ─┐
//! taps ─▶ LiveMerge ───┼─▶ Engine, a thread ─┼─▶ Lanes ─▶ observations          several
//!         a thread     └─▶ Engine, a thread ─┘
//! ```
//!
//! Every engine is given all frames, by reference, and handles its [`Share`], as the workers of an analysis do: a fragment, or what
//! comes in a tunnel, is decoded before anybody knows whose it is. Each waits for the next one in the picture, and nobody for one
//! before: so nothing is dropped between them, and where the last is too slow, it is the rings that fill.

use std::{
    io, mem, panic,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::{
    capture::live::{Cpus, Kept, LiveMerge, Missed, Received, Run},
    engine::{self, Engine, EngineLimits, Worth},
    flow::Share,
    observation::Observation,
    pseudonym::Pseudonyms,
    run::{
        counters::Counters,
        health::{Beat, Health},
        lanes::{Lanes, Mark, Message, Next},
    },
    time::{Span, Timestamp},
};

/// Frames from which on an engine is given them, where more follow.
const TOGETHER: usize = 256;

/// Portions of frames that wait for each engine at most: enough that it need not wait. What is more waits in front of the merge.
const PORTIONS: usize = 8;

/// Messages of engines that wait at most.
const MESSAGES: usize = 64;

/// How often an engine tells how far it is where it has observed nothing, by stream time.
const TELL_EVERY: Span = Span::from_millis(10);

/// The same in portions, where stream time stands still.
const LONGEST_SILENCE: u32 = 16;

/// How the engines are made.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) limits: EngineLimits,
    pub(super) pseudonyms: Option<Arc<Pseudonyms>>,
    pub(super) workers: usize,
    /// Which flows are not to be shed.
    pub(super) kept: Arc<Kept>,
    pub(super) cpus: Cpus,
    /// Threads that have had their turn at the processors.
    pub(super) threads: usize,
    pub(super) counters: Arc<Counters>,
    pub(super) health: Arc<Health>,
}

/// See the [module's documentation](self).
pub(super) enum Stage {
    Alone { merge: LiveMerge, engine: Box<Keeping> },
    Several(Several),
}

/// Several engines, seen from the thread that takes their observations.
pub(super) struct Several {
    messages: Receiver<(usize, Message)>,
    lanes: Lanes,
    threads: Vec<JoinHandle<engine::Counters>>,
}

impl Stage {
    /// Begins.
    ///
    /// # Errors
    /// Where there can be no more threads.
    pub(super) fn start(merge: LiveMerge, setup: &Setup) -> io::Result<Self> {
        if setup.workers <= 1 {
            setup.cpus.take_turn(setup.threads);
            let engine = Box::new(Keeping::new(setup, 0, None));
            return Ok(Self::Alone { merge, engine });
        }
        let (sender, messages) = bounded(MESSAGES);
        let (mut feeds, mut threads) = (Vec::new(), Vec::new());
        for (index, share) in Share::all(setup.workers).enumerate() {
            let (feed, portions) = bounded(PORTIONS);
            let (engine, sender) = (Keeping::new(setup, index, Some(share)), sender.clone());
            let beat = setup.health.expect(&format!("engine {index}"));
            let (cpus, turn) = (setup.cpus.clone(), setup.threads + index);
            let run = move || {
                cpus.take_turn(turn);
                engine.run(&portions, &beat, &|message| sender.send((index, message)).is_ok())
            };
            threads.push(thread::Builder::new().name(format!("engine {index}")).spawn(run)?);
            feeds.push(feed);
        }
        let beat = setup.health.expect("merge");
        thread::Builder::new().name("merge".to_owned()).spawn(move || dispatch(merge, &feeds, &beat))?;
        Ok(Self::Several(Several { messages, lanes: Lanes::new(threads.len()), threads }))
    }

    /// Waits for something to do.
    pub(super) fn receive(&mut self, at_most: Duration) -> Received {
        match self {
            Self::Alone { merge, .. } => merge.receive(at_most),
            Self::Several(several) => several.receive(at_most),
        }
    }

    /// Hands on everything that was observed and has its place.
    ///
    /// # Errors
    /// Those of `take`.
    pub(super) fn observe(&mut self, mut take: impl FnMut(Observation) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Alone { merge, engine } => {
                while let Some(run) = merge.next_run() {
                    engine.handle(&run);
                    engine.observed(&mut take)?;
                }
                engine.miss(merge.take_missed());
                if let Some(time) = merge.up_to() {
                    engine.engine.advance(time);
                }
                engine.observed(&mut take)?;
                engine.count();
                Ok(())
            }
            Self::Several(several) => several.observe(take),
        }
    }

    /// Ends all sessions, behind the end.
    ///
    /// # Errors
    /// Those of `take`.
    pub(super) fn finish(&mut self, mut take: impl FnMut(Observation) -> io::Result<()>) -> io::Result<engine::Counters> {
        match self {
            Self::Alone { engine, .. } => {
                engine.engine.finish();
                engine.observed(&mut take)?;
                Ok(*engine.engine.counters())
            }
            Self::Several(several) => {
                several.observe(take)?;
                let threads = mem::take(&mut several.threads).into_iter();
                let counters = threads.map(|thread| thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
                Ok(counters.reduce(|sum, other| sum.with_flows_of(&other)).unwrap_or_default())
            }
        }
    }
}

impl Several {
    fn receive(&mut self, at_most: Duration) -> Received {
        match self.messages.recv_timeout(at_most) {
            Ok((engine, message)) => {
                self.lanes.push(engine, message);
                Received::Something
            }
            Err(RecvTimeoutError::Timeout) => Received::Nothing,
            Err(RecvTimeoutError::Disconnected) => Received::End,
        }
    }

    fn observe(&mut self, mut take: impl FnMut(Observation) -> io::Result<()>) -> io::Result<()> {
        while let Next::Observation(observation) = self.lanes.next() {
            take(*observation)?;
        }
        Ok(())
    }
}

/// What engines are given at once.
#[derive(Debug)]
struct Portion {
    runs: Vec<Run>,
    /// What did not come in behind the last run.
    missed: Missed,
    /// Stream time, where there is nothing more up to it.
    up_to: Option<Timestamp>,
}

impl Portion {
    fn next(merge: &mut LiveMerge) -> Self {
        let (mut runs, mut frames) = (Vec::new(), 0);
        while let Some(run) = merge.next_run() {
            frames += run.frames();
            runs.push(run);
            if frames >= TOGETHER {
                return Self { runs, missed: Missed::default(), up_to: None };
            }
        }
        Self { runs, missed: merge.take_missed(), up_to: merge.up_to() }
    }
}

/// Gives all engines all frames, until there are none, or nobody to give them to.
fn dispatch(mut merge: LiveMerge, engines: &[Sender<Arc<Portion>>], beat: &Beat) {
    loop {
        beat.mark();
        let received = merge.receive(super::LONGEST_WAIT);
        loop {
            let portion = Arc::new(Portion::next(&mut merge));
            if engines.iter().any(|engine| engine.send(Arc::clone(&portion)).is_err()) {
                return;
            }
            if portion.runs.is_empty() || portion.up_to.is_some() {
                break;
            }
        }
        if received == Received::End {
            return;
        }
    }
}

/// An engine that tells which flows are to be kept.
#[derive(Debug)]
pub(super) struct Keeping {
    engine: Engine,
    index: usize,
    kept: Arc<Kept>,
    counters: Arc<Counters>,
}

impl Keeping {
    fn new(setup: &Setup, index: usize, share: Option<Share>) -> Self {
        let engine = Engine::new(EngineLimits { share, ..setup.limits }).with_pseudonyms(setup.pseudonyms.clone());
        Self { engine, index, kept: Arc::clone(&setup.kept), counters: Arc::clone(&setup.counters) }
    }

    fn handle(&mut self, run: &Run) {
        self.engine.handle_batch(&run.batch());
        self.miss(run.missed);
    }

    fn miss(&mut self, missed: Missed) {
        if missed.lost > 0 {
            self.engine.note_lost(missed.lost);
        }
        if missed.shed.total() > 0 {
            self.engine.note_shed(missed.shed.total());
        }
    }

    /// Hands on what was observed, and tells what is to be kept.
    fn observed(&mut self, take: &mut impl FnMut(Observation) -> io::Result<()>) -> io::Result<()> {
        while let Some(Worth { ends: [one, other], is_kept }) = self.engine.poll_worth() {
            let [one, other] = [one, other].map(|end| (end.ip.into(), end.port));
            if is_kept { self.kept.add(one, other) } else { self.kept.remove(one, other) }
        }
        while let Some(observation) = self.engine.poll_observation() {
            take(observation)?;
        }
        Ok(())
    }

    /// Counts what was done.
    fn count(&self) {
        self.counters.engines.get(self.index).into_iter().for_each(|counters| counters.note(&self.engine));
    }

    /// Handles what comes until nothing does, and ends all sessions; or until nobody takes what it observes.
    fn run(mut self, portions: &Receiver<Arc<Portion>>, beat: &Beat, send: &impl Fn(Message) -> bool) -> engine::Counters {
        let (mut observations, mut told, mut silent) = (Vec::new(), Timestamp::MIN, 0);
        for portion in portions {
            beat.mark();
            portion.runs.iter().for_each(|run| self.handle(run));
            self.miss(portion.missed);
            let up_to = self.up_to(portion.up_to);
            drop(portion);
            self.collect(&mut observations);
            self.count();
            let now = self.engine.stream_time();
            silent += 1;
            if !observations.is_empty() || now >= told + TELL_EVERY || silent >= LONGEST_SILENCE {
                (told, silent) = (now, 0);
                if !send(Message { observations: mem::take(&mut observations), up_to }) {
                    return *self.engine.counters();
                }
            }
        }
        self.engine.finish();
        self.collect(&mut observations);
        send(Message { observations, up_to: Mark::END });
        *self.engine.counters()
    }

    /// Moves time on, where it is known. Gives how far the engine is then.
    fn up_to(&mut self, time: Option<Timestamp>) -> Mark {
        let frame = self.engine.last_frame();
        let Some(time) = time else { return Mark::at_frame(frame) };
        self.engine.advance(time);
        Mark::behind(frame, self.engine.stream_time())
    }

    fn collect(&mut self, observations: &mut Vec<Observation>) {
        let _ = self.observed(&mut |observation| {
            observations.push(observation);
            Ok(())
        });
    }
}
