//! The engine: frames in, observations out. No clock, no I/O, no thread.
//!
//! # Use
//! `handle_batch` with the frames in reader order, then `poll_observation` until it is empty; again, until there are no more
//! frames; then `finish` and `poll_observation` once more. Time is the capture time of the frames. *Stream time* is its
//! running maximum: before a frame that moves it on, every deadline up to it fires. A frame that comes late is handled at
//! its own time and fires nothing.

mod ahead;
mod clock;
mod ending;
mod evidence;
mod opening;
mod session;
mod wrapped;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use self::{
    ahead::{AHEAD, Address},
    clock::{Clock, ClockOfFlow},
    ending::Ready,
    evidence::session_id,
    opening::{begins_anew, roles, roles_by_port},
    session::{Scratch, Session},
};
pub use crate::observation::Counters;
use crate::{
    evidence::{Slice, SliceKeeper, SliceLimits},
    flow::{
        Arrival, Attached, Evidence, Flow, FlowId, FlowTable, FragmentLimits, FragmentTable, Half, Life, Limits, PerSide,
        SessionId, Side, TransportKind,
    },
    measure::{handshake::Handshake, least::LeastRoundTrips},
    observation::{Observation, ObservationKey, SessionState},
    protocol::{
        identify::{Guess, SSH_PORT, guess},
        ssh::Standing,
    },
    pseudonym::Pseudonyms,
    time::Timestamp,
    wire::{Batch, Frame, Packet, TcpFlags, TcpSegment, Transport, UdpDatagram, Undecoded, peek},
};

/// A reset this far from where the stream stands is not the sender's own (RFC 5961 §3 wants it exact; a sensor has
/// not seen everything).
const RESET_REACH: u32 = 1 << 20;

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
    /// Sessions, and flows that may become one, at most: each takes some kilobytes.
    pub max_sessions: usize,
    /// Whether keystrokes are handed on, each when it is decided. Without, sessions need no deadlines, and decide when their next
    /// packet comes, or they end; their summaries are the same.
    pub keystrokes: bool,
    /// Of the headers that are kept of each session; `None` keeps none.
    pub slices: Option<SliceLimits>,
    /// Whether flows that are no sessions are reported too. They are timed from their first segment on then, which takes up to
    /// 350 bytes more a TCP flow.
    pub all_flows: bool,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            flows: Limits::default(),
            fragments: FragmentLimits::default(),
            vlan_in_key: false,
            max_sessions: 1 << 16,
            keystrokes: true,
            slices: None,
            all_flows: false,
        }
    }
}

/// See the [module's documentation](self).
#[derive(Debug)]
pub struct Engine {
    limits: EngineLimits,
    table: FlowTable<Attachment>,
    fragments: FragmentTable,
    /// Deadlines of sessions, earliest first; a session that has a new one leaves the old one behind.
    deadlines: BinaryHeap<Reverse<(Timestamp, SessionId, FlowId)>>,
    stream_time: Timestamp,
    /// No deadline falls due before: what nearly every frame is held against.
    quiet_until: Timestamp,
    clock: Clock,
    sessions: usize,
    slices: Option<SliceKeeper>,
    pseudonyms: Option<Arc<Pseudonyms>>,
    counters: Counters,
    ready: VecDeque<Ready>,
    scratch: Scratch,
    frame: u64,
}

/// What every flow carries: little.
#[derive(Debug, Default)]
struct Attachment {
    handshake: Handshake,
    guess: PerSide<Guess>,
    session: Option<Box<Session>>,
    slice: Option<Box<Slice>>,
    /// Only where flows that are no sessions are reported.
    least: Option<Box<LeastRoundTrips>>,
    clock: ClockOfFlow,
}

impl Attached for Attachment {
    type More = Session;

    fn is_session(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_established())
    }

    fn more(&self) -> Option<&Session> {
        self.session.as_deref()
    }
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
            sessions: 0,
            slices: limits.slices.map(SliceKeeper::new),
            pseudonyms: None,
            counters: Counters::default(),
            ready: VecDeque::new(),
            scratch: Scratch::default(),
            frame: 0,
        }
    }

    /// Identifies sessions by the pseudonyms of their addresses, and so orders them. Reports have the addresses themselves.
    #[must_use]
    pub fn with_pseudonyms(self, pseudonyms: Option<Arc<Pseudonyms>>) -> Self {
        Self { pseudonyms, ..self }
    }

    /// Takes a batch of frames in.
    pub fn handle_batch(&mut self, batch: &Batch<'_>) {
        let mut frames = batch.iter();
        let mut addresses = [None; AHEAD];
        while frames.len() > 0 {
            let soon = frames.clone().take(AHEAD);
            for (address, frame) in addresses.iter_mut().zip(soon) {
                *address = Address::ahead(&frame, &self.table, self.limits.vlan_in_key);
            }
            let next = addresses.map(|address| address.and_then(|address| self.table.expect_next(address.hash)));
            next.iter().flatten().for_each(|id| self.table.expect_attached(*id));
            for (address, frame) in addresses.iter_mut().zip(frames.by_ref()) {
                self.handle(&frame, address.take().as_ref());
            }
        }
    }

    /// Takes one frame in.
    pub fn handle_frame(&mut self, frame: &Frame<'_>) {
        self.handle(frame, None);
    }

    #[inline(always)] // the way of every frame, and from two places: a batch and a single one
    fn handle(&mut self, frame: &Frame<'_>, address: Option<&Address>) {
        self.frame = frame.number;
        if frame.time > self.stream_time {
            if frame.time >= self.quiet_until {
                self.handle_deadline(frame.time);
                let earliest = self.table.next_due();
                self.quiet_until = self.next_deadline().map_or(earliest, |deadline| deadline.min(earliest));
            }
            self.stream_time = frame.time;
        }
        let before = self.ready.len();
        self.count(frame);
        self.clock.on_frame(frame.input, frame.time);
        match (address, peek(frame)) {
            (Some(address), Some(packet)) => match &packet.transport {
                Transport::Tcp(segment) => self.handle_tcp(frame, &packet, segment, address),
                Transport::Udp(datagram) => self.handle_udp(frame, &packet, *datagram, address),
                Transport::Fragment(_) | Transport::Gre(_) | Transport::Other(_) => self.handle_unusual(frame),
            },
            _ => self.handle_unusual(frame),
        }
        self.counters.clock_steps = self.clock.steps();
        if self.ready.len() > before + 1 {
            self.sort_ready(before);
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
            self.fire_session(id, time);
        }
        for (deadline, flow) in self.table.expire(now) {
            let state = if flow.life == Life::Closed { SessionState::Closed } else { SessionState::TimedOut };
            self.end_flow(flow, state, deadline);
        }
        self.sort_ready(before);
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
        self.counters.dropped_flows += self.table.evicted();
        self.fragments.finish();
        self.count_dropped_fragments();
        for flow in self.table.drain() {
            let state = if flow.life == Life::Closed { SessionState::Closed } else { SessionState::Eof };
            self.end_flow(flow, state, now);
        }
        self.sort_ready(before);
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Flows held now: never more than [`Limits::max_flows`].
    #[must_use]
    pub fn flows(&self) -> usize {
        self.table.len()
    }

    /// Sessions held now, and flows that may become one: never more than [`EngineLimits::max_sessions`].
    #[must_use]
    pub const fn sessions(&self) -> usize {
        self.sessions
    }

    /// Puts what became ready behind the first `before` observations in order.
    fn sort_ready(&mut self, before: usize) {
        self.ready.make_contiguous().get_mut(before..).unwrap_or_default().sort_by_key(Ready::key);
    }

    fn count(&mut self, frame: &Frame<'_>) {
        let counters = &mut self.counters;
        counters.packets += 1;
        counters.bytes += u64::from(frame.original_len);
        counters.out_of_order += u64::from(frame.time < self.stream_time);
        counters.truncated += u64::from((frame.bytes.len() as u64) < u64::from(frame.original_len));
        counters.first_time = Some(counters.first_time.map_or(frame.time, |first| first.min(frame.time)));
        counters.last_time = Some(counters.last_time.map_or(frame.time, |last| last.max(frame.time)));
    }

    fn note_undecoded(&mut self, reason: Undecoded) {
        let foreign = matches!(reason, Undecoded::NotIp(_) | Undecoded::Family(_) | Undecoded::Protocol(_));
        self.counters.undecoded += u64::from(!foreign);
    }

    /// The VLAN of a packet, where it parts flows.
    fn key_vlan(&self, packet: &Packet<'_>) -> Option<u16> {
        packet.encapsulation.vlan.filter(|_| self.limits.vlan_in_key)
    }

    fn handle_udp(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, datagram: UdpDatagram, address: &Address) {
        let &Address { key, hash, sender } = address;
        let id = self.table.find(&key, hash).unwrap_or_else(|| {
            self.counters.udp_flows += 1;
            let (side, evidence) = roles_by_port(key.endpoint(sender), key.endpoint(sender.other()));
            let client = if side == Side::Client { sender } else { sender.other() };
            self.insert(Flow::new(key, client, evidence, false, frame, packet.encapsulation))
        });
        let Some(flow) = self.table.get_mut(id) else { return };
        let side = flow.note_packet(sender, frame.time, packet.mac);
        flow.halves.get_mut(side).observe_datagram(packet.ip.ttl, frame.original_len, datagram.payload_len);
        flow.attached.clock.on_packet(&self.clock);
    }

    #[inline(always)] // the way of nearly every frame; the other call is of packets that came wrapped
    fn handle_tcp(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, segment: &TcpSegment<'_>, address: &Address) {
        let &Address { key, hash, sender } = address;
        let id = match self.table.find(&key, hash) {
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
                let midstream = evidence != Evidence::Syn;
                self.insert(Flow::new(key, client, evidence, midstream, frame, packet.encapsulation))
            }
        };
        let Some(flow) = self.table.get_mut(id) else { return };
        let side = flow.note_packet(sender, frame.time, packet.mac);
        let half = flow.halves.get_mut(side);
        let next = half.next;
        half.stack.note(segment, packet.ip.ttl);
        let arrival = half.observe(segment, packet.ip.identification, frame.time, frame.original_len);
        self.counters.duplicated += u64::from(arrival == Arrival::Duplicate);
        flow.attached.handshake.on_segment(side, segment, arrival, frame.time);
        flow.attached.clock.on_segment(&mut self.clock, side, segment, frame.time);
        if let Some(least) = &mut flow.attached.least {
            least.on_segment(side, segment, arrival, frame.time);
        }
        let reset =
            segment.flags.has(TcpFlags::RST) && next.is_none_or(|next| segment.seq.since(next).unsigned_abs() <= RESET_REACH);
        let closes = flow.life == Life::Open && (reset || (flow.halves.client.finished && flow.halves.server.finished));
        if closes {
            flow.life = Life::Closed;
        }
        if flow.attached.session.is_some() || (segment.payload_len > 0 && self.begin_session(id, side, segment)) {
            self.handle_session(id, side, segment, arrival, frame.time);
        }
        self.keep_headers(id, frame, segment.payload_len > 0);
        if closes {
            self.table.schedule(id);
        }
    }

    /// Whether a flow without a session gets one by this segment.
    fn begin_session(&mut self, id: FlowId, side: Side, segment: &TcpSegment<'_>) -> bool {
        let Some(flow) = self.table.get_mut(id) else { return false };
        let guesses = &mut flow.attached.guess;
        // What a client begins with decides, unless its beginning was not captured.
        if *guesses.get(side) == Guess::NotOurs || (guesses.client == Guess::NotOurs && !flow.midstream) {
            return false;
        }
        let start = flow.halves.get(side).start;
        let mut found = guess(start, segment.seq, segment.payload, side);
        let mut by_port = found == Guess::NotOurs && flow.midstream && flow.key.endpoint(flow.client.other()).port == SSH_PORT;
        if (found == Guess::Possible || by_port) && self.sessions >= self.limits.max_sessions {
            self.counters.dropped_flows += 1;
            (found, by_port) = (Guess::NotOurs, false);
        }
        *guesses.get_mut(side) = found;
        if found == Guess::Possible || by_port {
            let id = session_id(&flow.key, flow.first_time, self.pseudonyms.as_deref());
            // A side that has already spoken of other things is read from here on.
            let starts = PerSide::from_fn(|side| {
                let half: &Half = flow.halves.get(side);
                if *guesses.get(side) == Guess::NotOurs { half.next } else { half.start }
            });
            flow.attached.session = Some(Box::new(Session::new(id, starts, by_port)));
            self.sessions += 1;
        }
        flow.attached.session.is_some()
    }

    fn handle_session(&mut self, id: FlowId, side: Side, segment: &TcpSegment<'_>, arrival: Arrival, time: Timestamp) {
        let Some(flow) = self.table.get_mut(id) else { return };
        let Some(session) = &mut flow.attached.session else { return };
        let was_established = session.is_established();
        if !self.limits.keystrokes {
            session.on_deadline(self.stream_time, &mut self.scratch); // what deadlines would have done
        }
        session.on_segment(side, segment, arrival, time, &mut self.scratch);
        if session.take_role_swap() {
            flow.client = flow.client.other();
            flow.evidence = Evidence::Banner;
            flow.halves.swap();
            flow.mac.swap();
            flow.attached.guess.swap();
            flow.attached.handshake.swap();
            flow.attached.least.iter_mut().for_each(|least| least.swap());
            flow.attached.clock.swap();
        } else if session.roles_known() && flow.evidence != Evidence::Syn {
            flow.evidence = Evidence::Banner;
        }
        let (session_id, standing) = (session.id(), session.standing());
        let established = session.is_established();
        let deadline = session.new_deadline().filter(|_| self.limits.keystrokes);
        let (frame, ready, wanted) = (self.frame, &mut self.ready, self.limits.keystrokes);
        session.take_keystrokes(&mut self.scratch, wanted, |sequence, body| {
            let key = ObservationKey { frame, time, session: session_id, sequence };
            ready.push_back(Ready::Observation(Observation { key, body }));
        });
        if standing == Standing::NotOurs {
            flow.attached.session = None;
            flow.attached.guess = PerSide { client: Guess::NotOurs, server: Guess::NotOurs };
            self.sessions -= 1;
            return;
        }
        if established && !was_established {
            self.table.schedule(id);
        }
        if let Some(deadline) = deadline {
            self.quiet_until = self.quiet_until.min(deadline);
            self.deadlines.push(Reverse((deadline, session_id, id)));
        }
    }

    fn fire_session(&mut self, id: FlowId, time: Timestamp) {
        let Some(session) = self.table.get_mut(id).and_then(|flow| flow.attached.session.as_mut()) else { return };
        session.on_deadline(time, &mut self.scratch);
        let session_id = session.id();
        let deadline = session.new_deadline();
        let (frame, ready) = (self.frame, &mut self.ready);
        session.take_keystrokes(&mut self.scratch, true, |sequence, body| {
            let key = ObservationKey { frame, time, session: session_id, sequence };
            ready.push_back(Ready::Observation(Observation { key, body }));
        });
        if let Some(deadline) = deadline {
            self.quiet_until = self.quiet_until.min(deadline);
            self.deadlines.push(Reverse((deadline, session_id, id)));
        }
    }

    fn insert(&mut self, mut flow: Flow<Attachment>) -> FlowId {
        let now = flow.first_time;
        flow.attached.clock = ClockOfFlow::new(&self.clock);
        flow.attached.least = (self.limits.all_flows && flow.key.transport() == TransportKind::Tcp).then(Box::default);
        let (id, evicted) = self.table.insert(flow);
        if let Some(evicted) = evicted {
            self.end_flow(evicted, SessionState::Evicted, now);
        }
        id
    }
}

#[cfg(test)]
#[path = "engine/tests.rs"]
mod tests;
