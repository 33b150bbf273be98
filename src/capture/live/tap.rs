//! The thread of one interface: reads its ring, looks at the clock, and opens the interface again where it has vanished.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crossbeam::channel::{Receiver, Sender, TryRecvError};
use tracing::{info, warn};

use super::{
    LiveOptions, Problem,
    batch::{BATCHES, BATCHES_OF_SEVERAL, FrameBatch},
    counters::TapCounters,
    kept::Kept,
    ring::{Read, Ring, Waited},
    shed::{Gauge, Level, Overload, Pressure, Sheds},
    stamps::Stamps,
};
use crate::time::{Span, Timestamp};

/// Longest wait for frames: as often time goes on where there are none.
const TICK: Duration = Duration::from_millis(20);

/// How often the kernel is asked what it dropped.
const ASK_FOR_LOSSES: Duration = Duration::from_millis(100);

/// The same where frames are late, and when they are: the kernel hands over a block of frames after 10 ms, or 20.
const ASK_WHEN_LATE: Duration = Duration::from_millis(5);
const IN_TIME: Span = Span::from_millis(30);

/// An adapter's stamps further off the system's clock are of a clock that nobody set.
const LARGEST_ERROR: Span = Span::from_secs(10);

/// How often losses are logged at most.
const WARN_OF_LOSSES: Duration = Duration::from_secs(60);

/// How often it is tried to open an interface that has vanished, and asked whether one that is quiet is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long a tap goes on after it was asked to end, where frames keep coming whose stamps are older than that.
const LONGEST_END: Duration = Duration::from_secs(5);

/// How a tap is tied to the others.
pub(super) struct Channels {
    pub(super) full: Sender<FrameBatch>,
    pub(super) empty: Receiver<FrameBatch>,
    pub(super) stop: Arc<AtomicBool>,
}

/// Reads one interface.
pub(super) struct Tap {
    name: String,
    input: u32,
    options: Arc<LiveOptions>,
    counters: Arc<TapCounters>,
    ring: Option<Ring>,
    /// The interface went down, and nothing has come since.
    is_down: bool,
    up_to: Timestamp,
    asked_for_losses: Instant,
    looked: Instant,
    /// When it was asked to end, by both clocks.
    ending: Option<(Timestamp, Instant)>,
    /// Its stamps were said to be off the clock.
    told_of_clock: bool,
    /// It was said that the interface is there and cannot be opened again.
    told_of_failure: bool,
    /// When losses were told last.
    warned: Option<Instant>,
    /// Frames that were lost and not told with a batch yet.
    lost: u64,
    /// Whether the kernel has dropped frames, and it was not seen to yet.
    has_dropped: bool,
    /// Batches that there are.
    batches: usize,
    kept: Arc<Kept>,
    overload: Overload,
    gauge: Gauge,
    /// Since when the level is more than nothing, and what had been shed by then.
    shedding: Option<(Instant, Sheds)>,
    started: Instant,
}

impl Tap {
    pub(super) fn new(name: String, input: u32, ring: Option<Ring>, options: Arc<LiveOptions>, kept: Arc<Kept>) -> Self {
        let (now, counters) = (Instant::now(), Arc::new(TapCounters::default()));
        counters.set_open(ring.is_some());
        Self {
            name,
            input,
            options,
            counters,
            ring,
            is_down: false,
            up_to: Timestamp::MIN,
            asked_for_losses: now,
            looked: now,
            ending: None,
            told_of_clock: false,
            told_of_failure: false,
            warned: None,
            lost: 0,
            has_dropped: false,
            batches: 0,
            kept,
            overload: Overload::default(),
            gauge: Gauge::default(),
            shedding: None,
            started: now,
        }
    }

    /// How many batches an interface has at most.
    pub(super) const fn most_batches(alone: bool) -> usize {
        if alone { BATCHES } else { BATCHES_OF_SEVERAL }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn counters(&self) -> Arc<TapCounters> {
        Arc::clone(&self.counters)
    }

    /// Reads until it is asked to end, or nobody takes the frames any more. Does `beat` each round: at least every 20 ms, unless
    /// whoever takes the frames is behind.
    pub(super) fn run(mut self, channels: &Channels, beat: impl Fn()) {
        while let Some(mut batch) = self.next_batch(&channels.empty) {
            beat();
            batch.clear(self.input);
            let before = wall_clock();
            if self.ending.is_none() && channels.stop.load(Ordering::Relaxed) {
                self.ending = Some((before, Instant::now()));
            }
            let read = self.read(&mut batch, before);
            let has_ended = self.has_ended(&batch, read, before);
            self.mind_the_ring(&batch, before);
            self.add_losses(&mut batch, has_ended);
            self.counters
                .on_frames(batch.frames.len() as u64, batch.frames.iter().map(|frame| u64::from(frame.original_len)).sum());
            self.counters.on_shed(batch.missed.shed);
            self.counters.on_sent();
            batch.up_to = self.up_to;
            if channels.full.send(batch).is_err() || has_ended {
                return;
            }
            if read == Read::Empty {
                self.wait();
            }
        }
    }

    /// A batch to fill; waits for one where all are on their way.
    fn next_batch(&mut self, empty: &Receiver<FrameBatch>) -> Option<FrameBatch> {
        match empty.try_recv() {
            Ok(batch) => Some(batch),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) if self.batches < Self::most_batches(self.options.alone) => {
                self.batches += 1;
                Some(FrameBatch::default())
            }
            Err(TryRecvError::Empty) => {
                self.counters.on_wait();
                empty.recv().ok()
            }
        }
    }

    /// Fills a batch with what there is. Whatever was stamped before `now` less the hold-back is read where nothing is left.
    fn read(&mut self, batch: &mut FrameBatch, now: Timestamp) -> Read {
        let (level, kept) = (self.overload.level(), &self.kept);
        let read = match self.ring.as_mut().map(|ring| ring.read(batch, level, kept)) {
            Some(Ok(read)) => read,
            Some(Err(error)) => {
                self.lose(&error.to_string());
                Read::Empty
            }
            None => {
                self.reopen();
                Read::Empty
            }
        };
        if let Some((_, last)) = batch.read {
            self.up_to = self.up_to.max(last);
            self.look_at_clock(last - now);
            if std::mem::take(&mut self.is_down) {
                info!("{}: frames come again", self.name);
            }
        }
        if read == Read::Empty {
            self.up_to = self.up_to.max(now - self.options.hold_back);
        }
        read
    }

    /// Tells of a card's clock that nobody keeps in step.
    fn look_at_clock(&mut self, off: Span) {
        let is_adapter = self.ring.as_ref().is_some_and(|ring| ring.stamps() == Stamps::Adapter);
        if is_adapter && off.abs() > LARGEST_ERROR && !std::mem::replace(&mut self.told_of_clock, true) {
            let (name, seconds) = (&self.name, off.as_millis_f64() / 1e3);
            warn!("{name}: the adapter's clock is {seconds:.0} s off the system's, and sessions may end early; see phc2sys(8)");
        }
    }

    /// Whether this is the last batch: what was stamped before the end was asked for has been read.
    fn has_ended(&self, batch: &FrameBatch, read: Read, now: Timestamp) -> bool {
        let Some((asked, since)) = self.ending else { return false };
        let is_beyond = batch.read.is_some_and(|(_, last)| last > asked);
        let is_drained = read == Read::Empty && (self.ring.is_none() || now >= asked + self.options.hold_back);
        is_beyond || is_drained || since.elapsed() >= LONGEST_END
    }

    fn add_losses(&mut self, batch: &mut FrameBatch, is_last: bool) {
        if is_last || self.asked_for_losses.elapsed() >= ASK_FOR_LOSSES {
            self.asked_for_losses = Instant::now();
            self.ask_for_losses();
        }
        batch.missed.lost = std::mem::take(&mut self.lost);
    }

    /// Finds out how far behind it is, and what is to be shed from here on. The kernel is asked where frames are older than they
    /// become in a ring that is read in time.
    fn mind_the_ring(&mut self, batch: &FrameBatch, now: Timestamp) {
        self.gauge.read(u64::from(batch.looked_at()), batch.read_bytes);
        let is_late = batch.read.is_some_and(|(first, _)| now - first > IN_TIME);
        if is_late && self.asked_for_losses.elapsed() >= ASK_WHEN_LATE {
            self.asked_for_losses = Instant::now();
            self.ask_for_losses();
        }
        let waiting = self.ring.as_ref().map_or(0, Ring::waiting);
        let in_use = self.gauge.in_use(waiting, u64::from(self.options.ring_mib) << 20);
        let pressure = Pressure { in_use, dropped: std::mem::take(&mut self.has_dropped) };
        let since = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
        if let Some(level) = self.overload.update(Span::from_nanos(since), pressure) {
            self.on_level(level, pressure);
        }
    }

    fn on_level(&mut self, level: Level, pressure: Pressure) {
        self.counters.on_level(level);
        let (name, counts) = (&self.name, self.counters.get());
        let (since, before) = *self.shedding.get_or_insert_with(|| (Instant::now(), counts.shed));
        let (bulk, new) = (counts.shed.bulk - before.bulk, counts.shed.new - before.new);
        let so_far = format!("{bulk} bulk and {new} other frames were shed in {:.1} s", since.elapsed().as_secs_f64());
        let kernel = if pressure.dropped { ", which has run over" } else { "" };
        let in_use = pressure.in_use.min(100);
        let behind = format!("{in_use} % of its ring in use{kernel}, {} batches wait", counts.queued);
        match level {
            Level::Nothing => {
                self.shedding = None;
                info!("{name}: no longer behind; {so_far}");
            }
            Level::Bulk => warn!("{name}: behind ({behind}): bulk payload is shed; {so_far}"),
            Level::New => warn!("{name}: behind ({behind}): all but established sessions are shed; {so_far}"),
        }
    }

    fn ask_for_losses(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let (kernel, interface) = ring.lost();
        if kernel + interface > 0 && self.warned.is_none_or(|warned| warned.elapsed() >= WARN_OF_LOSSES) {
            self.warned = Some(Instant::now());
            warn!("{}: frames were lost: {kernel} by the kernel (see --ring-size), {interface} by the interface", self.name);
        }
        self.counters.on_lost(kernel, interface);
        self.has_dropped |= kernel > 0;
        self.lost = self.lost.saturating_add(kernel).saturating_add(interface);
    }

    /// Waits for frames, and looks after the interface where something happened to it.
    fn wait(&mut self) {
        let waited = self.ring.as_ref().map(|ring| ring.wait(TICK));
        match waited {
            None => thread::sleep(TICK),
            Some(Waited::Ready) => {}
            Some(Waited::Nothing) => self.look_after(),
            Some(Waited::Trouble) => {
                if !std::mem::replace(&mut self.is_down, true) {
                    warn!("{} went down", self.name);
                }
                self.look_after();
                // What happened is told until it was read, which the next reading does.
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// An interface that is quiet may have vanished, or been made anew: libpcap notices the first, mostly.
    fn look_after(&mut self) {
        if self.looked.elapsed() < LOOK_AGAIN {
            return;
        }
        self.looked = Instant::now();
        if self.ring.as_ref().is_some_and(|ring| !ring.is_current(&self.name)) {
            self.lose("it was removed");
        }
    }

    fn lose(&mut self, why: &str) {
        self.counters.set_open(false);
        warn!("{} has vanished ({why}); it is captured on again when it comes back", self.name);
        self.ask_for_losses();
        self.ring = None;
        self.is_down = false;
    }

    fn reopen(&mut self) {
        if self.looked.elapsed() < LOOK_AGAIN {
            return;
        }
        self.looked = Instant::now();
        match Ring::open(&self.name, &self.options) {
            Ok(ring) => {
                self.counters.on_reopened();
                self.counters.set_open(true);
                info!("{} is captured on", self.name);
                self.ring = Some(ring);
                self.told_of_failure = false;
            }
            Err(Problem::Missing | Problem::Down) => {}
            Err(problem) if !std::mem::replace(&mut self.told_of_failure, true) => {
                warn!("{} is there and cannot be captured on: {problem}", self.name);
            }
            Err(_) => {}
        }
    }
}

/// The time now, by the clock that the kernel stamps frames with.
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(0) + Span::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
