//! `keywitness replay`: the frames of captures on an interface.

mod outlet;
mod pace;

use std::{
    collections::BTreeMap,
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{debug, error, info, warn};

use self::{
    outlet::{Outlet, Refusal},
    pace::{Pace, Schedule},
};
use super::{ExitStatus, Failure, offline, screen::Progress};
use crate::{
    capture::Merge,
    cli::ReplayArgs,
    event::InputState,
    wire::{Frame, LinkType},
};

/// Longest sleep: how long the program goes on after Ctrl-C.
const NAP: Duration = Duration::from_millis(100);

/// Wait for a frame that is told.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// Lag from which on a frame counts as late.
const LATE: Duration = Duration::from_millis(1);

/// Signals that come so soon after the first are the same: `timeout` sends it to a process and to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// Status of a process that a signal ended, less its number, as shells have it.
const SIGNALLED: i32 = 128;

/// Sends everything, or until a signal says to stop.
pub(super) fn replay(args: ReplayArgs, progress: Option<Progress>) -> Result<ExitStatus, Failure> {
    let pace = match (args.topspeed, args.pps) {
        (true, _) => Pace::TopSpeed,
        (false, Some(rate)) => Pace::PerSecond(rate),
        (false, None) => Pace::Realtime,
    };
    let outlet = Outlet::open(&args.interface)?;
    let stop = on_signals().map_err(|error| Failure::File(format!("signals: {error}")))?;
    if let Err(error) = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)) {
        debug!("waits may be 50 µs too long: {error}");
    }
    let mut replay =
        Replay { outlet, schedule: Schedule::new(pace), stop, progress, begun: None, lost: None, tally: Tally::default() };
    let mut merge = Merge::new(args.inputs);
    while replay.is_running()
        && let Some(batch) = merge.next_batch()
    {
        for frame in batch.iter() {
            if !replay.is_running() {
                break;
            }
            replay.frame(&frame);
        }
        replay.show();
    }
    Ok(replay.finish(merge))
}

/// A flag that Ctrl-C and a request to end set. Another one ends the program at once, which may be waiting for standard input.
fn on_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let flag = Arc::clone(&stop);
    thread::spawn(move || {
        let mut first = None;
        for signal in signals.forever() {
            flag.store(true, Ordering::Relaxed);
            if first.get_or_insert_with(Instant::now).elapsed() > SAME_SIGNAL {
                process::exit(SIGNALLED + signal);
            }
        }
    });
    Ok(stop)
}

/// A replay under way.
struct Replay {
    outlet: Outlet,
    schedule: Schedule,
    stop: Arc<AtomicBool>,
    progress: Option<Progress>,
    /// When the first frame was due.
    begun: Option<Instant>,
    /// Why the interface takes no frames any more.
    lost: Option<io::Error>,
    tally: Tally,
}

/// What became of the frames.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    bytes: u64,
    /// Frames that the kernel refused, by its error.
    refused: BTreeMap<Option<i32>, u64>,
    /// Of those sent, how many the capture holds a part of only.
    cut: u64,
    /// Frames that are not Ethernet, and the kind of the first.
    foreign: Option<(LinkType, u64)>,
    /// Frames that went out later than [`LATE`], and the largest lag.
    late: u64,
    lag: Duration,
}

impl Replay {
    /// One look per frame: a signal, or an interface that is gone.
    fn is_running(&self) -> bool {
        self.lost.is_none() && !self.stop.load(Ordering::Relaxed)
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        if frame.link != LinkType::Ethernet {
            self.tally.foreign.get_or_insert((frame.link, 0)).1 += 1;
            return;
        }
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if let Some(due) = self.schedule.next(frame.time)
            && !self.wait(begun, due)
        {
            return;
        }
        match self.outlet.send(frame.bytes) {
            Ok(()) => {
                self.tally.sent += 1;
                self.tally.bytes += frame.bytes.len() as u64;
                self.tally.cut += u64::from(frame.bytes.len() < frame.original_len as usize);
            }
            Err(Refusal::Frame(error)) => self.tally.refuse(frame, &error),
            Err(Refusal::Interface(error)) => self.lost = Some(error),
        }
    }

    /// Waits for a frame; false if a signal came first.
    fn wait(&mut self, begun: Instant, due: Duration) -> bool {
        let ahead = due.saturating_sub(begun.elapsed());
        if ahead > LONG_WAIT {
            info!("the next frame follows in {:.0} s", ahead.as_secs_f64());
        }
        loop {
            let elapsed = begun.elapsed();
            if elapsed >= due {
                let lag = elapsed - due;
                self.tally.lag = self.tally.lag.max(lag);
                self.tally.late += u64::from(lag > LATE);
                return true;
            }
            self.show();
            thread::sleep((due - elapsed).min(NAP));
            if !self.is_running() {
                return false;
            }
        }
    }

    fn show(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.on_sent(self.tally.sent, self.tally.bytes);
        }
    }

    /// Tells what was done.
    fn finish(mut self, merge: Merge) -> ExitStatus {
        let elapsed = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        self.progress = None; // the bar goes before the last lines come
        let interrupted = self.stop.load(Ordering::Relaxed);
        let inputs = offline::input_summaries(merge);
        offline::log_inputs(&inputs);
        let tally = &self.tally;
        tally.log(elapsed);
        if let Some(error) = &self.lost {
            error!("the interface takes no frames any more: {error}");
            return ExitStatus::Internal;
        }
        if interrupted {
            info!("stopped before the end");
        }
        if tally.sent == 0 && !tally.refused.is_empty() {
            ExitStatus::Internal
        } else if tally.foreign.is_some() || inputs.iter().any(|input| input.status == InputState::Error) {
            ExitStatus::Input
        } else {
            ExitStatus::Ok
        }
    }
}

impl Tally {
    /// Counts a frame that the kernel refused; the first of each kind is told.
    fn refuse(&mut self, frame: &Frame<'_>, error: &io::Error) {
        let count = self.refused.entry(error.raw_os_error()).or_default();
        *count += 1;
        if *count == 1 {
            let why = match rustix::io::Errno::from_io_error(error) {
                Some(rustix::io::Errno::MSGSIZE) => "larger than the interface's MTU lets pass; raise it with ip link set mtu",
                _ => "further ones like it are only counted",
            };
            warn!("frame {} of {} bytes was not sent: {error} ({why})", frame.number, frame.bytes.len());
        }
    }

    fn log(&self, elapsed: Duration) {
        if let Some((link, count)) = self.foreign {
            error!("{count} frames are not Ethernet ({}) and were not sent", link_name(link));
        }
        if self.cut > 0 {
            warn!("{} frames were cut by the capture's snaplen and went out as short as they were captured", self.cut);
        }
        let refused: u64 = self.refused.values().sum();
        if refused > 0 {
            warn!("{refused} frames were not sent");
        }
        let seconds = elapsed.as_secs_f64();
        let a_second = |amount: u64| if seconds > 0.0 { amount as f64 / seconds } else { 0.0 };
        info!(
            "{} frames, {} bytes in {seconds:.3} s: {:.0} packets/s, {:.3} Mbit/s; {refused} failed",
            self.sent,
            self.bytes,
            a_second(self.sent),
            a_second(self.bytes) * 8e-6
        );
        if self.lag > Duration::ZERO {
            let lag = self.lag.as_secs_f64() * 1e3;
            info!("at most {lag:.3} ms late; {} frames by more than {} ms", self.late, LATE.as_millis());
        }
    }
}

/// As the registry of link types calls it.
fn link_name(link: LinkType) -> String {
    let name = match link {
        LinkType::Ethernet => "LINKTYPE_ETHERNET",
        LinkType::RawIp => "LINKTYPE_RAW, IP without a link",
        LinkType::Ppp => "LINKTYPE_PPP",
        LinkType::Pppoe => "LINKTYPE_PPP_ETHER",
        LinkType::CiscoHdlc => "LINKTYPE_C_HDLC",
        LinkType::Null => "LINKTYPE_NULL, BSD loopback",
        LinkType::Loop => "LINKTYPE_LOOP, OpenBSD loopback",
        LinkType::LinuxSll => "LINKTYPE_LINUX_SLL, as of the device any",
        LinkType::LinuxSll2 => "LINKTYPE_LINUX_SLL2, as of the device any",
        LinkType::Unknown(number) => return format!("link type {number}"),
    };
    name.to_owned()
}
