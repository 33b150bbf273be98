//! The kernel's ring of one interface, by libpcap (TPACKET_V3).
//!
//! Reading does not block: libpcap's own waiting cannot be interrupted for a second thread's sake, and its immediate mode would
//! take the older ring, which is slower. The kernel hands over a block of frames when it is full, or after [`BLOCK_TIMEOUT`].

use std::{env, io, time::Duration};

use pcap::{Active, Capture, Precision};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SocketType, netdevice, socket},
};

use super::{
    LiveOptions, Problem,
    kept::Kept,
    shed::{Level, shed},
    stamps::{Stamps, choose, offered},
};
use crate::{
    capture::live::batch::FrameBatch,
    time::{Span, Timestamp},
    wire::{Frame, LinkType},
};

/// How long the kernel collects frames in a block, in milliseconds. A frame comes through after at most twice that.
const BLOCK_TIMEOUT: i32 = 10;

/// The ring of one interface.
pub(super) struct Ring {
    capture: Capture<Active>,
    link: LinkType,
    stamps: Stamps,
    /// The interface's number in the kernel: one of the same name that was made anew has another.
    index: Option<u32>,
    received: u32,
    dropped: u32,
    if_dropped: u32,
    /// Frames that came into the ring, as far as was asked, less those that were read.
    waiting: i64,
}

/// How reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// There may be more.
    Full,
    /// There is nothing more now.
    Empty,
}

/// What there is to do for whoever waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// To read on.
    Ready,
    /// Nothing came.
    Nothing,
    /// To find out what happened to the interface.
    Trouble,
}

impl Ring {
    pub(super) fn open(name: &str, options: &LiveOptions) -> Result<Self, Problem> {
        let capture = Capture::from_device(name).map_err(Problem::Other)?;
        let (stamps, kind) = choose(options.stamping, &offered(&capture), options.alone).ok_or(Problem::NoAdapter)?;
        let snaplen = i32::try_from(options.snaplen).unwrap_or(i32::MAX);
        let capture = capture
            .tstamp_type(kind)
            .precision(Precision::Nano)
            .promisc(options.promiscuous)
            .snaplen(snaplen)
            .buffer_size(i32::from(options.ring_mib).saturating_mul(1 << 20))
            .timeout(BLOCK_TIMEOUT);
        let index = index_of(name);
        let mut capture = capture.open().and_then(Capture::setnonblock).map_err(|error| problem(name, error))?;
        if let Some(filter) = &options.filter {
            capture.filter(filter, true).map_err(Problem::Filter)?;
        }
        let link = u16::try_from(capture.get_datalink().0).map_or(LinkType::Unknown(u16::MAX), LinkType::from_number);
        Ok(Self { capture, link, stamps, index, received: 0, dropped: 0, if_dropped: 0, waiting: 0 })
    }

    pub(super) const fn stamps(&self) -> Stamps {
        self.stamps
    }

    /// Moves frames into a batch until it is full or there are none; those that the level has shed are left out.
    ///
    /// # Errors
    /// What libpcap says; the interface has vanished, most likely.
    pub(super) fn read(&mut self, batch: &mut FrameBatch, level: Level, kept: &Kept) -> Result<Read, pcap::Error> {
        while !batch.is_full() {
            match self.capture.next_packet() {
                Ok(packet) => {
                    let stamp = packet.header.ts;
                    // The second number is of nanoseconds, as was asked for.
                    let time = Timestamp::from_nanos(0) + Span::from_secs(stamp.tv_sec) + Span::from_nanos(stamp.tv_usec);
                    batch.note(time, packet.data.len());
                    self.waiting -= 1;
                    if level != Level::Nothing {
                        let (input, link, original_len) = (batch.input, self.link, packet.header.len);
                        let frame = Frame { number: 0, input, time, link, bytes: packet.data, original_len };
                        if let Some(kind) = shed(&frame, level, kept) {
                            batch.missed.shed.count(kind);
                            continue;
                        }
                    }
                    batch.push(time, self.link, packet.data, packet.header.len);
                }
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => return Ok(Read::Empty),
                Err(error) => return Err(error),
            }
        }
        Ok(Read::Full)
    }

    /// Waits until there is something to read.
    pub(super) fn wait(&self, at_most: Duration) -> Waited {
        let mut polled = [PollFd::new(&self.capture, PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(at_most.subsec_nanos()) };
        match poll(&mut polled, Some(&timeout)) {
            Err(_) | Ok(0) => Waited::Nothing,
            Ok(_) => {
                let [polled] = polled;
                if polled.revents().contains(PollFlags::IN) { Waited::Ready } else { Waited::Trouble }
            }
        }
    }

    /// Frames that were dropped since the last call: by the kernel for want of room, and by the interface.
    pub(super) fn lost(&mut self) -> (u64, u64) {
        let Ok(stats) = self.capture.stats() else { return (0, 0) };
        let lost = (more(self.dropped, stats.dropped), more(self.if_dropped, stats.if_dropped));
        // What is received counts what is dropped, too.
        let came = more(self.received, stats.received).saturating_sub(lost.0);
        self.waiting = self.waiting.saturating_add_unsigned(came);
        (self.received, self.dropped, self.if_dropped) = (stats.received, stats.dropped, stats.if_dropped);
        lost
    }

    /// Frames in the ring when [`Ring::lost`] was asked last that were not read since.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.waiting).unwrap_or_default()
    }

    /// Whether the interface of this name is still the one that was opened.
    pub(super) fn is_current(&self, name: &str) -> bool {
        index_of(name) == self.index
    }
}

/// How much a counter of 32 bits has grown. One that fell was set back, or could not be read (libpcap takes the interface's drops
/// from files, and what it may not open for 0), and says nothing.
fn more(before: u32, now: u32) -> u64 {
    let more = now.wrapping_sub(before);
    if more > u32::MAX / 2 { 0 } else { u64::from(more) }
}

/// The interface's number; none where there is no interface, as of the device `any`.
fn index_of(name: &str) -> Option<u32> {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(socket, name).ok()
}

/// What libpcap's words come down to; it has numbers for these, which the crate does not hand on.
fn problem(name: &str, error: pcap::Error) -> Problem {
    let text = error.to_string();
    let says = |part: &str| text.contains(part);
    if says("not permitted") || says("ermission") {
        let program = env::current_exe().map_or_else(|_| "keywitness".to_owned(), |path| path.display().to_string());
        Problem::Forbidden { program }
    } else if index_of(name).is_none() && name != "any" {
        Problem::Missing
    } else if says("not up") || says(&io::Error::from_raw_os_error(rustix::io::Errno::NETDOWN.raw_os_error()).to_string()) {
        Problem::Down
    } else {
        Problem::Other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_grows_over_its_end_and_does_not_fall() {
        assert_eq!([more(5, 5), more(5, 9), more(u32::MAX, 3), more(7, 0)], [0, 4, 4, 0]);
    }
}
