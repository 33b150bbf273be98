//! Flows that are sessions or may become one: what is kept of them, and what becomes of their segments.

use std::cmp::Reverse;

use super::{
    Engine,
    backlog::Backlog,
    clock::{Clock, ClockOfFlow},
    ending::Ready,
    evidence::session_id,
    losses::Losses,
    opening::is_reset,
    session::Session,
    watch::Watched,
};
use crate::{
    evidence::Slice,
    flow::{
        Arrival, Attached, Envelope, Evidence, Flow, FlowId, Half, Kept, Life, PerSide, SessionId, Side, Slim, TransportKind,
        per_shard, prefetch,
    },
    measure::{handshake::Handshake, least::LeastRoundTrips},
    observation::{Body, Observation, ObservationKey},
    protocol::{
        Standing,
        identify::{Guess, SSH_PORT, guess},
    },
    time::Timestamp,
    wire::{Encapsulation, Frame, MacPair, Packet, TcpSegment},
};

/// What a flow carries as long as it may be reported; a flow that is refused carries nothing.
#[derive(Debug)]
#[repr(C)] // what every packet looks at comes first
pub(super) struct Candidate {
    pub(super) session: Option<Box<Session>>,
    pub(super) slice: Option<Box<Slice>>,
    /// What the session has not taken in yet.
    pub(super) backlog: Backlog,
    pub(super) clock: ClockOfFlow,
    /// Hardware address of each side as this segment shows it.
    pub(super) mac: PerSide<Option<[u8; 6]>>,
    /// Sequence state and counters.
    pub(super) halves: PerSide<Half>,
    pub(super) handshake: Handshake,
    pub(super) guess: PerSide<Guess>,
    /// Only where flows that are no sessions are reported.
    pub(super) least: Option<Box<LeastRoundTrips>>,
    /// Only while it is watched for somebody who types.
    pub(super) watched: Option<Box<Watched>>,
    /// Time of the first frame.
    pub(super) first_time: Timestamp,
    /// VLAN and tunnel of the first frame.
    pub(super) encapsulation: Encapsulation,
    /// Which input the first frame came from, by position.
    pub(super) input: u32,
}

impl Attached for Candidate {
    const FRONT: usize = std::mem::offset_of!(Self, halves);

    fn is_session(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_established())
    }

    /// A flow that is a session by its port alone has no more to show; that both sides send something is what nobody can forge alone.
    fn is_certain(&self) -> bool {
        self.is_session() && self.has_spoken(Side::Client) && self.has_spoken(Side::Server)
    }

    #[inline]
    fn expect(&self) {
        if !self.backlog.expect() {
            prefetch(&self.halves);
            prefetch(&self.handshake);
            self.session.as_deref().into_iter().for_each(prefetch);
        }
    }
}

impl Candidate {
    /// Of a flow whose first frame passed at this time, of this input.
    pub(super) fn new(first_time: Timestamp, input: u32, encapsulation: Encapsulation, clock: ClockOfFlow) -> Self {
        Self {
            halves: PerSide::default(),
            handshake: Handshake::default(),
            guess: PerSide::default(),
            session: None,
            slice: None,
            backlog: Backlog::default(),
            least: None,
            watched: None,
            clock,
            mac: PerSide::default(),
            first_time,
            encapsulation,
            input,
        }
    }

    /// Takes the hardware addresses of a packet that `side` sent; the first of each side stands.
    pub(super) fn note_mac(&mut self, side: Side, mac: Option<MacPair>) {
        if let Some(mac) = mac.filter(|_| self.mac.client.is_none() || self.mac.server.is_none()) {
            self.mac.get_mut(side).get_or_insert(mac.source);
            let receiver = self.mac.get_mut(side.other());
            *receiver = receiver.or(mac.destination);
        }
    }

    /// Takes a segment into account: how it stands to what was there before, and the stretch in which the clock was set forwards,
    /// where it shows that.
    #[inline(always)] // for every segment of a candidate; the other call is rare
    pub(super) fn take(
        &mut self,
        clock: &Clock,
        side: Side,
        segment: &TcpSegment<'_>,
        envelope: &Envelope,
    ) -> (Arrival, Option<(Timestamp, Timestamp)>) {
        let step = self.take_front(clock, side, segment, envelope);
        self.halves.get_mut(side).stack.note(segment, envelope.ttl);
        (self.observe(side, segment, envelope.identification, envelope.time, envelope.frame_len), step)
    }

    /// What cannot wait of that.
    #[inline(always)] // for every segment of a candidate
    fn take_front(
        &mut self,
        clock: &Clock,
        side: Side,
        segment: &TcpSegment<'_>,
        envelope: &Envelope,
    ) -> Option<(Timestamp, Timestamp)> {
        self.note_mac(side, envelope.mac);
        self.clock.on_segment(clock, side, segment, envelope.time)
    }

    /// What can.
    #[inline]
    pub(super) fn observe(
        &mut self,
        side: Side,
        segment: &TcpSegment<'_>,
        identification: u16,
        time: Timestamp,
        frame_len: u32,
    ) -> Arrival {
        let arrival = self.halves.get_mut(side).observe(segment, identification, time, frame_len);
        self.handshake.on_segment(side, segment, arrival, time);
        arrival
    }

    fn has_spoken(&self, side: Side) -> bool {
        self.halves.get(side).traffic.payload_bytes > 0
    }

    /// Lets segments wait from now on, where all that they can still tell is told when somebody asks.
    fn let_wait(&mut self) {
        if let Some(session) = self.session.as_ref().filter(|session| session.is_settled())
            && self.has_spoken(Side::Client)
            && self.has_spoken(Side::Server)
        {
            self.backlog.open(session.reads_bytes());
        }
    }

    /// Whether it is no session and cannot become one any more.
    fn is_refused(&self, midstream: bool) -> bool {
        let refused = |guess: Guess| guess == Guess::NotOurs;
        self.session.is_none()
            && self.watched.is_none()
            && refused(self.guess.client)
            && (refused(self.guess.server) || !midstream)
    }
}

impl Engine {
    /// What a new flow carries: nothing where it can never be reported.
    pub(super) fn new_candidate(
        &mut self,
        flow: &Flow<Candidate>,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
    ) -> Option<Box<Candidate>> {
        let is_tcp = flow.key.transport() == TransportKind::Tcp;
        if !is_tcp && !self.limits.all_flows {
            return None;
        }
        if !self.has_room_for_candidate(flow.shard(), frame.time) {
            self.counters.dropped_flows += 1;
            return None;
        }
        self.shards.add_candidate(flow.shard());
        let least = (is_tcp && self.limits.all_flows).then(Box::default);
        let candidate = Candidate::new(frame.time, frame.input, packet.encapsulation, ClockOfFlow::since(self.clock.steps()));
        Some(Box::new(Candidate { least, ..candidate }))
    }

    /// A segment of a flow that is a session, may become one, or is reported anyway.
    #[inline(always)] // the way of nearly every packet of a session
    pub(super) fn handle_candidate(
        &mut self,
        id: FlowId,
        side: Side,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        segment: &TcpSegment<'_>,
    ) {
        let Some(candidate) = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut()) else { return };
        let envelope = Envelope::of(frame, packet);
        // A late frame is handled at once: deadlines are past that its time does not tell of.
        let may_wait = frame.time >= self.stream_time && self.losses == Losses::default();
        if may_wait && candidate.backlog.takes(side, segment, &envelope, self.counters.packets) {
            let step = candidate.take_front(&self.clock, side, segment, &envelope);
            self.tell_step(step, frame.time);
            self.keep_headers(id, frame, segment.payload_len > 0);
            self.expect_report(id, frame.time);
        } else {
            self.catch_up(id);
            self.handle_at_once(id, side, frame, segment, &envelope);
        }
    }

    /// The clock was set forwards within a stretch.
    fn tell_step(&mut self, step: Option<(Timestamp, Timestamp)>, time: Timestamp) {
        if let Some((from, until)) = step {
            let key = ObservationKey { frame: self.frame, time, session: SessionId(0), sequence: 0 };
            self.ready.push_back(Ready::Observation(Observation { key, body: Body::ClockSet { from, until } }));
        }
    }

    /// A segment that cannot wait; none that could does any more.
    #[inline(never)]
    fn handle_at_once(&mut self, id: FlowId, side: Side, frame: &Frame<'_>, segment: &TcpSegment<'_>, envelope: &Envelope) {
        let Some(candidate) = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut()) else { return };
        let next = candidate.halves.get(side).next;
        let (arrival, step) = candidate.take(&self.clock, side, segment, envelope);
        self.counters.duplicated += u64::from(arrival == Arrival::Duplicate);
        self.tell_step(step, frame.time);
        let Some(flow) = self.table.get_mut(id) else { return };
        let Some(candidate) = flow.attached.as_deref_mut() else { return };
        if let Some(least) = &mut candidate.least {
            least.on_segment(side, segment, arrival, frame.time);
        }
        let finished = candidate.halves.client.finished && candidate.halves.server.finished;
        let closes = flow.life == Life::Open && (is_reset(segment, next) || finished);
        if closes {
            flow.life = Life::Closed;
        }
        self.watch(id, side, segment, arrival, frame.time);
        let is_session =
            self.table.get(id).and_then(|flow| flow.attached.as_deref()).is_some_and(|candidate| candidate.session.is_some());
        if is_session || (segment.payload_len > 0 && self.begin_session(id, side, segment, frame.time)) {
            self.handle_session(id, side, segment, arrival, frame.time);
        }
        self.keep_headers(id, frame, segment.payload_len > 0);
        self.drop_refused(id);
        if closes {
            self.table.schedule(id);
        }
    }

    /// A flow that cannot become a session any more keeps next to nothing, unless it is reported anyway.
    fn drop_refused(&mut self, id: FlowId) {
        let Some(flow) = self.table.get_mut(id) else { return };
        if self.limits.all_flows || !flow.attached.as_deref().is_some_and(|candidate| candidate.is_refused(flow.midstream)) {
            return;
        }
        if let Some(mut candidate) = flow.attached.take() {
            flow.kept = Kept::Slim(Slim::of(&candidate.halves));
            self.shards.remove(flow.shard(), false);
            self.take_headers(&mut candidate);
        }
    }

    /// Whether a flow without a session gets one by this segment.
    fn begin_session(&mut self, id: FlowId, side: Side, segment: &TcpSegment<'_>, time: Timestamp) -> bool {
        let Some(flow) = self.table.get(id) else { return false };
        let Some(candidate) = flow.attached.as_deref() else { return false };
        let guesses = candidate.guess;
        // What a client begins with decides, unless its beginning was not captured.
        if *guesses.get(side) == Guess::NotOurs || (guesses.client == Guess::NotOurs && !flow.midstream) {
            return false;
        }
        let start = candidate.halves.get(side).start;
        let mut found = guess(start, segment.seq, segment.payload, side);
        let mut by_port = found == Guess::NotOurs && flow.midstream && flow.key.endpoint(flow.client.other()).port == SSH_PORT;
        if (found == Guess::Possible || by_port) && !self.has_room_for_session(flow.shard(), time) {
            self.counters.dropped_flows += 1;
            (found, by_port) = (Guess::NotOurs, false);
        }
        let Some(flow) = self.table.get_mut(id) else { return false };
        let shard = flow.shard();
        let Some(candidate) = flow.attached.as_deref_mut() else { return false };
        let guesses = &mut candidate.guess;
        *guesses.get_mut(side) = found;
        if found == Guess::Possible || by_port {
            let id = session_id(&flow.key, candidate.first_time, self.pseudonyms.as_deref());
            // A side that has already spoken of other things is read from here on.
            let starts = PerSide::from_fn(|side| {
                let half: &Half = candidate.halves.get(side);
                if *guesses.get(side) == Guess::NotOurs { half.next } else { half.start }
            });
            candidate.session = Some(Box::new(Session::new(id, starts, by_port, self.losses)));
            self.shards.begin_session(shard);
        }
        candidate.session.is_some()
    }

    fn handle_session(&mut self, id: FlowId, side: Side, segment: &TcpSegment<'_>, arrival: Arrival, time: Timestamp) {
        let Some(flow) = self.table.get_mut(id) else { return };
        let shard = flow.shard();
        let Some(candidate) = flow.attached.as_deref_mut() else { return };
        let Some(session) = &mut candidate.session else { return };
        let was_established = session.is_established();
        if !self.limits.keystrokes {
            session.on_deadline(self.stream_time, &mut self.scratch); // what deadlines would have done
        }
        let waiting = session.held_memory();
        let room = per_shard(self.limits.max_waiting).saturating_sub(self.shards.of(shard).waiting);
        session.set_room(side, room);
        session.on_segment(side, segment, arrival, time, &mut self.scratch);
        self.shards.change_waiting(shard, waiting, session.held_memory());
        session.losses.on_segment(self.losses, self.counters.packets);
        if session.take_role_swap() {
            flow.client = flow.client.other();
            flow.evidence = Evidence::Banner;
            flow.seen.swap();
            candidate.halves.swap();
            candidate.mac.swap();
            candidate.guess.swap();
            candidate.handshake.swap();
            candidate.least.iter_mut().for_each(|least| least.swap());
            candidate.clock.swap();
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
            self.shards.change_waiting(shard, session.held_memory(), 0);
            let (key, session) = (flow.key, candidate.session.take());
            candidate.guess = PerSide { client: Guess::NotOurs, server: Guess::NotOurs };
            self.shards.end_session(shard);
            session.iter().for_each(|session| self.let_go(&key, session));
            return;
        }
        // Which sessions are worth keeping is asked at every segment.
        if !self.limits.keystrokes && self.limits.in_flight.is_none() {
            candidate.let_wait();
        }
        if established && !was_established {
            self.table.schedule(id);
            self.note_rdp(id);
        }
        if let Some(deadline) = deadline {
            self.wake_at(deadline, session_id, id);
        }
        self.expect_report(id, time);
        self.weigh(id);
    }

    pub(super) fn fire_session(&mut self, id: FlowId, time: Timestamp) {
        let session = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut()?.session.as_mut());
        let Some(session) = session else { return };
        session.on_deadline(time, &mut self.scratch);
        self.take_decided(id, time);
        self.report_if_due(id, time);
    }

    /// Hands on what a session has just decided, and wakes it for the rest.
    pub(super) fn take_decided(&mut self, id: FlowId, time: Timestamp) {
        let session = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut()?.session.as_mut());
        let Some(session) = session else { return };
        let session_id = session.id();
        let deadline = session.new_deadline().filter(|_| self.limits.keystrokes);
        let (frame, ready, wanted) = (self.frame, &mut self.ready, self.limits.keystrokes);
        session.take_keystrokes(&mut self.scratch, wanted, |sequence, body| {
            let key = ObservationKey { frame, time, session: session_id, sequence };
            ready.push_back(Ready::Observation(Observation { key, body }));
        });
        if let Some(deadline) = deadline {
            self.wake_at(deadline, session_id, id);
        }
    }

    pub(super) fn wake_at(&mut self, deadline: Timestamp, session: SessionId, id: FlowId) {
        self.quiet_until = self.quiet_until.min(deadline);
        self.deadlines.push(Reverse((deadline, session, id)));
    }
}
