//! The engine: frames in, observations out. No clock, no I/O, no thread.
//!
//! # Use
//! `handle_batch` with the frames in reader order, then `poll_observation` until it is empty; again, until there are no more
//! frames; then `finish` and `poll_observation` once more. Time is the capture time of the frames. *Stream time* is its
//! running maximum: before a frame that moves it on, every deadline up to it fires. A frame that comes late is handled at
//! its own time and fires nothing.

mod ahead;
mod backlog;
mod batch;
mod candidate;
mod clock;
mod datagrams;
mod ending;
mod evidence;
mod kept;
mod losses;
mod opening;
mod quiet;
mod session;
mod shards;
mod transports;
mod typing;
mod updates;
mod watch;
mod wrapped;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

pub use self::kept::Worth;
use self::{
    ahead::{Address, Glance},
    candidate::Candidate,
    clock::Clock,
    ending::Ready,
    losses::Losses,
    opening::{begins_anew, is_reset, roles},
    session::Scratch,
    shards::Shards,
    transports::OverTcp,
    watch::{is_beat, is_due},
};
pub use crate::observation::Counters;
use crate::{
    evidence::{SliceKeeper, SliceLimits},
    flow::{Evidence, Flow, FlowId, FlowTable, FragmentLimits, FragmentTable, Kept, Life, Limits, SessionId, Share, Side},
    observation::{Observation, SessionState},
    pseudonym::Pseudonyms,
    time::{Span, Timestamp},
    wire::{Frame, Packet, TcpFlags, TcpSegment, Transport, Undecoded, peek},
};

/// Limits of an engine.
#[derive(Clone, Copy, Debug)]
pub struct EngineLimits {
    /// Of the flow table.
    pub flows: Limits,
    /// Of the fragments that wait for others.
    pub fragments: FragmentLimits,
    /// Whether equal addresses and ports in different VLANs are different flows. Networks with overlapping addresses need it;
    /// a mirror that shows the two directions in different VLANs forbids it.
    pub vlan_in_key: bool,
    /// Flows of which more than a SYN was seen, and nothing yet that shows whether they are sessions, at most, some 500 bytes
    /// each. Like the other limits it is divided among the shards of the traffic, see [`per_shard`](crate::flow::per_shard).
    pub max_candidates: usize,
    /// Sessions, and flows that began as one does, at most: each takes some kilobytes.
    pub max_sessions: usize,
    /// Bytes that wait behind holes in what sessions sent, at most; 4 KiB a side a session has whatever others take.
    pub max_waiting: usize,
    /// Whether keystrokes are handed on, each when it is decided. Without, sessions need no deadlines, and decide when their next
    /// packet comes, or they end; their summaries are the same. Segments wait then and are taken in together, which takes 1.5 KiB
    /// more a session, and 3.5 KiB where the lengths of its packets are in clear.
    pub keystrokes: bool,
    /// Which part of the traffic is this engine's, where several see the same frames; `None` for all of it.
    pub share: Option<Share>,
    /// Of the headers that are kept of each session; `None` keeps none.
    pub slices: Option<SliceLimits>,
    /// Whether flows that are no sessions are reported too. They are timed from their first segment on then, which takes up to
    /// 350 bytes more a TCP flow.
    pub all_flows: bool,
    /// How often a session that goes on is reported; `None` for at its end only.
    pub report_every: Option<Span>,
    /// Of a sensor that sheds frames when it is behind: how many may be on their way to the engine. It is told then which sessions
    /// to keep whole; see [`Engine::poll_worth`].
    pub in_flight: Option<u64>,
}

impl EngineLimits {
    /// With so many flows and sessions, and a quarter as many candidates as flows.
    #[must_use]
    pub fn with(self, max_flows: usize, max_sessions: usize) -> Self {
        Self { flows: Limits { max_flows, ..self.flows }, max_candidates: max_flows / 4, max_sessions, ..self }
    }
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            flows: Limits::default(),
            fragments: FragmentLimits::default(),
            vlan_in_key: false,
            max_candidates: 1 << 19,
            max_sessions: 1 << 17,
            max_waiting: 256 << 20,
            keystrokes: true,
            share: None,
            slices: None,
            all_flows: false,
            report_every: None,
            in_flight: None,
        }
    }
}

/// See the [module's documentation](self).
#[derive(Debug)]
pub struct Engine {
    limits: EngineLimits,
    table: FlowTable<Candidate>,
    fragments: FragmentTable,
    /// Deadlines of sessions, earliest first; a session that has a new one leaves the old one behind.
    deadlines: BinaryHeap<Reverse<(Timestamp, SessionId, FlowId)>>,
    stream_time: Timestamp,
    /// No deadline falls due before: what nearly every frame is held against.
    quiet_until: Timestamp,
    clock: Clock,
    losses: Losses,
    shards: Shards,
    worth: VecDeque<Worth>,
    /// Sessions that it was told of and whose frames may still have been shed, with the number of frames at that time.
    told: VecDeque<(u64, FlowId)>,
    rdp: OverTcp,
    slices: Option<SliceKeeper>,
    pseudonyms: Option<Arc<Pseudonyms>>,
    counters: Counters,
    ready: VecDeque<Ready>,
    /// Places in a batch, see `own_frames`.
    own: Vec<usize>,
    scratch: Scratch,
    frame: u64,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(limits: EngineLimits) -> Self {
        Self {
            limits,
            table: FlowTable::new(limits.flows),
            fragments: FragmentTable::new(limits.fragments),
            deadlines: BinaryHeap::new(),
            stream_time: Timestamp::MIN,
            quiet_until: Timestamp::MIN,
            clock: Clock::default(),
            losses: Losses::default(),
            shards: Shards::new(),
            worth: VecDeque::new(),
            told: VecDeque::new(),
            rdp: OverTcp::default(),
            slices: limits.slices.map(SliceKeeper::new),
            pseudonyms: None,
            counters: Counters::default(),
            ready: VecDeque::new(),
            own: Vec::new(),
            scratch: Scratch::default(),
            frame: 0,
        }
    }

    /// Identifies sessions by the pseudonyms of their addresses, and so orders them. Reports have the addresses themselves.
    #[must_use]
    pub fn with_pseudonyms(self, pseudonyms: Option<Arc<Pseudonyms>>) -> Self {
        Self { pseudonyms, ..self }
    }

    /// Takes one frame in.
    pub fn handle_frame(&mut self, frame: &Frame<'_>) {
        self.handle(frame, &Glance::Unknown);
    }

    #[inline(always)] // the way of every frame, and from three places: two kinds of batch and a single one
    fn handle(&mut self, frame: &Frame<'_>, glance: &Glance) {
        self.note_frame(frame);
        let before = self.ready.len();
        match glance {
            Glance::Foreign => {}
            Glance::Flow(address) => self.handle_usual(frame, address),
            Glance::Unknown => self.handle_unusual(frame),
        }
        self.counters.clock_steps = self.clock.steps();
        if self.ready.len() > before + 1 {
            self.sort_ready(before);
        }
    }

    /// What every frame tells: the time, and that it was there.
    #[inline(always)] // see `handle`
    fn note_frame(&mut self, frame: &Frame<'_>) {
        self.frame = frame.number;
        if frame.time > self.stream_time {
            if frame.time >= self.quiet_until {
                self.handle_deadline(frame.time);
                let earliest = self.table.next_due();
                self.quiet_until = self.next_deadline().map_or(earliest, |deadline| deadline.min(earliest));
            }
            self.stream_time = frame.time;
            self.counters.first_time.get_or_insert(frame.time);
            self.counters.last_time = Some(frame.time);
        } else {
            self.note_late(frame.time);
        }
        let counters = &mut self.counters;
        counters.packets += 1;
        counters.bytes += u64::from(frame.original_len);
        counters.truncated += u64::from((frame.bytes.len() as u64) < u64::from(frame.original_len));
        self.clock.on_frame(frame.input, frame.time);
    }

    /// A frame that a glance was enough for.
    #[inline(always)] // see `handle`; what is decoded stays in registers
    fn handle_usual(&mut self, frame: &Frame<'_>, address: &Address) {
        let Some(packet) = peek(frame) else { return };
        match &packet.transport {
            Transport::Tcp(segment) => self.handle_tcp(frame, &packet, segment, address),
            Transport::Udp(datagram) => self.handle_udp(frame, &packet, datagram, address),
            Transport::Fragment(_) | Transport::Tunnel(_) | Transport::Other(_) => self.handle_unusual(frame),
        }
    }

    /// When the next deadline falls due, as far as is known. It may turn out to be idle.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.peek().map(|Reverse((time, ..))| *time)
    }

    /// Fires every deadline up to `now`, earliest first.
    pub fn handle_deadline(&mut self, now: Timestamp) {
        let before = self.ready.len();
        while let Some(&Reverse((time, _, id))) = self.deadlines.peek().filter(|Reverse((time, ..))| *time <= now) {
            self.deadlines.pop();
            self.expire(time);
            self.fire_session(id, time);
        }
        self.expire(now);
        self.sort_ready(before);
    }

    /// Flows end on whole seconds, and in the order of those: so it is all the same in how many steps time moves on.
    fn expire(&mut self, now: Timestamp) {
        for (deadline, flow) in self.table.expire(now) {
            let state = if flow.life == Life::Closed { SessionState::Closed } else { SessionState::TimedOut };
            self.end_flow(flow, state, quiet::whole_second_behind(deadline));
        }
    }

    /// The next observation, in order.
    pub fn poll_observation(&mut self) -> Option<Observation> {
        self.ready.pop_front().map(Ready::into_observation)
    }

    /// The capture is over: every flow ends.
    pub fn finish(&mut self) {
        self.deadlines.clear();
        let now = self.stream_time;
        let before = self.ready.len();
        // Behind what the last frame ended at this very time.
        self.frame = self.frame.saturating_add(1);
        self.fragments.finish();
        self.count_dropped_fragments();
        for flow in self.table.drain() {
            let state = if flow.life == Life::Closed { SessionState::Closed } else { SessionState::Eof };
            self.end_flow(flow, state, now);
        }
        self.sort_ready(before);
    }

    /// Number of the frame that was handled last; 0 before the first. Whatever is observed from now on is of this or a later one.
    #[must_use]
    pub const fn last_frame(&self) -> u64 {
        self.frame
    }

    /// How far time has come: no deadline up to then is left.
    #[must_use]
    pub const fn stream_time(&self) -> Timestamp {
        self.stream_time
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Flows held now: never more than [`Limits::max_flows`], rounded up to a multiple of the number of shards.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.table.len()
    }

    /// Flows held now of which it is not yet known what they are, but for those of which only a SYN was seen.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.shards.candidates()
    }

    /// Bytes that wait now behind holes in what sessions sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shards.waiting()
    }

    /// Sessions held now, and flows that began as one does: never more than [`EngineLimits::max_sessions`], rounded up as well.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shards.sessions()
    }

    /// Puts what became ready behind the first `before` observations in order.
    fn sort_ready(&mut self, before: usize) {
        self.ready.make_contiguous().get_mut(before..).unwrap_or_default().sort_by_key(Ready::key);
    }

    /// A frame that is not later than all before it.
    fn note_late(&mut self, time: Timestamp) {
        let counters = &mut self.counters;
        counters.out_of_order += u64::from(time < self.stream_time);
        counters.first_time = Some(counters.first_time.map_or(time, |first| first.min(time)));
        counters.last_time.get_or_insert(time);
    }

    fn note_undecoded(&mut self, reason: Undecoded) {
        let foreign = matches!(reason, Undecoded::NotIp(_) | Undecoded::Family(_) | Undecoded::Protocol(_));
        self.counters.undecoded += u64::from(!foreign);
    }

    /// The VLAN of a packet, where it parts flows.
    fn key_vlan(&self, packet: &Packet<'_>) -> Option<u16> {
        packet.encapsulation.vlan().filter(|_| self.limits.vlan_in_key)
    }

    #[inline(always)] // the way of nearly every frame; the other call is of packets that came wrapped
    fn handle_tcp(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, segment: &TcpSegment<'_>, address: &Address) {
        let &Address { key, hash, sender, flow } = address;
        let found = self.table.find(&key, hash, flow);
        if let Some(id) = found.filter(|_| segment.flags.has(TcpFlags::SYN)) {
            self.catch_up(id);
        }
        let id = match found {
            Some(id) if !self.table.get(id).is_some_and(|flow| begins_anew(flow, flow.side_of(sender), segment, frame.time)) => {
                id
            }
            found => {
                if let Some(old) = found.and_then(|id| self.table.remove(id)) {
                    self.end_flow(old, SessionState::Closed, frame.time);
                }
                self.counters.tcp_flows += 1;
                let (client, evidence) = roles(key.endpoint(sender), key.endpoint(sender.other()), segment);
                let client = if client == Side::Client { sender } else { sender.other() };
                let mut flow = Flow::new(key, client, evidence, evidence != Evidence::Syn, frame.time);
                if let Some(opening) = self.opening(frame, packet, segment) {
                    flow.kept = Kept::Opening(opening);
                    flow.note_packet(sender, frame.time);
                    self.place(flow, frame.time);
                    return;
                }
                self.insert(flow, frame, packet)
            }
        };
        let Some(flow) = self.table.get_mut(id) else { return };
        if matches!(flow.kept, Kept::Opening(_)) {
            return self.handle_second(id, sender, frame, packet, segment);
        }
        let silence = frame.time - flow.last_time;
        let side = flow.note_packet(sender, frame.time);
        let flow = if is_beat(side, segment.payload_len, silence) && is_due(flow, segment) {
            self.begin_watch(id, frame, packet);
            let Some(flow) = self.table.get_mut(id) else { return };
            flow
        } else {
            flow
        };
        if flow.attached.is_some() {
            return self.handle_candidate(id, side, frame, packet, segment);
        }
        let Kept::Slim(slim) = &mut flow.kept else { return };
        let next = slim.next(side);
        let is_copy = slim.observe(side, segment, packet.ip.identification, frame.time);
        self.counters.duplicated += u64::from(is_copy);
        if flow.life == Life::Open && (is_reset(segment, next) || slim.is_finished()) {
            flow.life = Life::Closed;
            self.table.schedule(id);
        }
    }

    fn insert(&mut self, mut flow: Flow<Candidate>, frame: &Frame<'_>, packet: &Packet<'_>) -> FlowId {
        flow.attached = self.new_candidate(&flow, frame, packet);
        self.place(flow, frame.time)
    }

    fn place(&mut self, flow: Flow<Candidate>, now: Timestamp) -> FlowId {
        let (id, evicted) = self.table.insert(flow);
        if let Some(evicted) = evicted {
            self.counters.dropped_flows += 1;
            self.end_flow(evicted, SessionState::Evicted, now);
        }
        id
    }
}

#[cfg(test)]
#[path = "engine/tests.rs"]
mod tests;
