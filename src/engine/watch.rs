//! Flows that are no session of a known protocol, and may be typed into all the same.
//!
//! Nearly every flow is none. So all that a packet costs is to ask whether it is a short one of the client behind a short silence;
//! those that are as long as the one before, as letters are, are counted, and at the 16th, 32nd, 64th and 128th, and each 128th from
//! there on, the flow is watched for a while, unless too many are.

use super::{Engine, candidate::Candidate, clock::ClockOfFlow, ending::Ready, evidence::session_id, session::Session};
use crate::{
    cue::Shape,
    flow::{Arrival, Data, Flow, FlowId, Kept, Looks, PerSide, Side},
    measure::behaviour::{LONGEST_MESSAGE, Segment, Verdict, Watch},
    observation::{Body, Observation, ObservationKey},
    protocol::{blind::Wrapping, identify::Guess},
    time::{Span, Timestamp},
    wire::{Frame, Packet, TcpFlags, TcpSegment},
};

/// Flows of one shard that are watched at once.
pub(super) const MOST_WATCHED: usize = 8;

/// What lies between two keys: at least what no program leaves that sends as fast as it can, at most a pause.
const SHORTEST_SILENCE: Span = Span::from_millis(30);
const LONGEST_SILENCE: Span = Span::from_secs(2);

/// Such messages before a flow is watched for the first time.
const FIRST: u8 = 16;

/// A flow that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    watch: Watch,
    /// What the client's last segment as long as a key may be is wrapped in.
    wrapping: Wrapping,
}

/// Whether a segment that comes this long after the one before it may be a key.
#[inline(always)] // for every segment
pub(super) fn is_beat(side: Side, payload_len: u32, silence: Span) -> bool {
    side == Side::Client
        && payload_len.wrapping_sub(1) < LONGEST_MESSAGE
        && silence >= SHORTEST_SILENCE
        && silence <= LONGEST_SILENCE
}

/// Counts such a segment, and says whether its flow is to be watched.
#[inline] // for a few segments of many
pub(super) fn is_due(flow: &mut Flow<Candidate>, segment: &TcpSegment<'_>) -> bool {
    let len = segment.payload_len.wrapping_sub(1) as u8;
    let may_be_watched = flow.attached.as_deref().is_none_or(Candidate::may_be_watched);
    may_be_watched && flow.beats.note(len).is_some_and(is_turn)
}

/// The same of a datagram. Programs confirm what they got in datagrams of their own, so one may be as long as that before the last, too.
#[inline] // for a few datagrams of many
pub(super) fn is_datagram_due(flow: &mut Flow<Candidate>, payload_len: u32) -> bool {
    let Kept::Datagrams(looks) = &mut flow.kept else { return false };
    if flow.attached.as_deref().is_some_and(|candidate| !candidate.may_be_watched()) {
        return false;
    }
    let len = payload_len.wrapping_sub(1) as u8;
    let is_like_another = std::mem::replace(&mut looks.before, flow.beats.last()) == len;
    flow.beats.note_or(len, is_like_another).is_some_and(is_turn)
}

const fn is_turn(count: u8) -> bool {
    count >= FIRST && count.is_power_of_two()
}

impl Engine {
    /// A flow is watched from now on, unless it is or too many are.
    #[inline(never)]
    pub(super) fn begin_watch(&mut self, id: FlowId, frame: &Frame<'_>, packet: &Packet<'_>) {
        let Some(flow) = self.table.get(id) else { return };
        if !flow.attached.as_deref().is_none_or(Candidate::may_be_watched) {
            return;
        }
        let (shard, is_attached) = (flow.shard(), flow.attached.is_some());
        if self.shards.of(shard).watched >= MOST_WATCHED || !(is_attached || self.has_room_for_candidate(shard, frame.time)) {
            self.counters.unwatched += 1;
            return;
        }
        let clock = self.clock.steps();
        let Some(flow) = self.table.get_mut(id) else { return };
        let (watch, wrapping) = match flow.kept {
            Kept::Datagrams(Looks { is_quic: true, .. }) => (Watch::of_datagrams(), Wrapping::Quic),
            Kept::Datagrams(_) => (Watch::of_datagrams(), Wrapping::Udp),
            _ => (Watch::default(), Wrapping::None),
        };
        if !is_attached {
            let candidate = match flow.kept {
                Kept::Slim(_) => Candidate::resumed(&std::mem::take(&mut flow.kept), frame, packet, clock),
                _ => Candidate::new(frame.time, frame.input, packet.encapsulation, ClockOfFlow::since(clock)),
            };
            flow.attached = Some(Box::new(candidate));
            self.shards.add_candidate(shard);
        }
        if let Some(candidate) = flow.attached.as_deref_mut() {
            candidate.watched = Some(Box::new(Watched { watch, wrapping }));
            self.shards.change_watched(shard, true);
        }
    }

    /// A datagram of a flow that may be watched.
    pub(super) fn watch_datagram(&mut self, id: FlowId, side: Side, data: &Data<'_>) {
        let Some(candidate) = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut()) else { return };
        let Some(watched) = candidate.watched.as_deref_mut() else { return };
        if side == Side::Client && data.len <= LONGEST_MESSAGE && watched.wrapping != Wrapping::Quic {
            watched.wrapping = Wrapping::of_datagram(data.bytes);
        }
        let verdict = watched.watch.on_datagram(data.time, side, data.len);
        self.on_verdict(id, verdict, data.time);
    }

    /// A segment of a flow that may be watched.
    pub(super) fn watch(&mut self, id: FlowId, side: Side, segment: &TcpSegment<'_>, arrival: Arrival, time: Timestamp) {
        let Some(candidate) = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut()) else { return };
        let Some(watched) = candidate.watched.as_deref_mut() else { return };
        if let Some(verdict) = watched.on_segment(side, segment, arrival, time) {
            self.on_verdict(id, verdict, time);
        }
    }

    fn on_verdict(&mut self, id: FlowId, verdict: Verdict, time: Timestamp) {
        let Some(flow) = self.table.get_mut(id) else { return };
        let shard = flow.shard();
        let Some(candidate) = flow.attached.as_deref_mut() else { return };
        match verdict {
            Verdict::Open => return,
            Verdict::Refused => candidate.watched = None,
            Verdict::Typed(shape) => {
                let has_room = self.has_room_for_session(shard, time);
                self.counters.dropped_flows += u64::from(!has_room);
                self.begin_blind_session(id, has_room, time, shape);
            }
        }
        self.shards.change_watched(shard, false);
    }

    /// Somebody types into a flow: it is a session from when it was first watched.
    fn begin_blind_session(&mut self, id: FlowId, has_room: bool, time: Timestamp, shape: Shape) {
        let Some(flow) = self.table.get_mut(id) else { return };
        let Some(candidate) = flow.attached.as_deref_mut() else { return };
        let Some(watched) = candidate.watched.take().filter(|_| has_room) else { return };
        flow.midstream = true;
        let session = session_id(&flow.key, candidate.first_time, self.pseudonyms.as_deref());
        let starts = PerSide::from_fn(|side| candidate.halves.get(side).next);
        let mut session = Session::of_behaviour(session, starts, (watched.wrapping, shape), self.losses);
        session.replay(watched.watch.segments(), &mut self.scratch);
        let (frame, ready, wanted, id_of) = (self.frame, &mut self.ready, self.limits.keystrokes, session.id());
        session.take_keystrokes(&mut self.scratch, wanted, |sequence, body: Body| {
            let key = ObservationKey { frame, time, session: id_of, sequence };
            ready.push_back(Ready::Observation(Observation { key, body }));
        });
        candidate.session = Some(Box::new(session));
        self.shards.begin_session(flow.shard());
        self.table.schedule(id);
    }
}

impl Watched {
    fn on_segment(&mut self, side: Side, segment: &TcpSegment<'_>, arrival: Arrival, time: Timestamp) -> Option<Verdict> {
        let is_first_time = matches!(arrival, Arrival::New | Arrival::OutOfOrder);
        if segment.payload_len == 0 || !is_first_time || segment.flags.has(TcpFlags::SYN) {
            return None;
        }
        if side == Side::Client && segment.payload_len <= LONGEST_MESSAGE {
            self.wrapping = Wrapping::of(segment.payload);
        }
        let (len, end) = (segment.payload_len, segment.seq.plus(segment.payload_len));
        Some(self.watch.on_segment(Segment { time, side, len, end, acked: segment.acked() }))
    }
}

impl Candidate {
    /// Of a flow that was nothing to us until this frame.
    fn resumed(kept: &Kept, frame: &Frame<'_>, packet: &Packet<'_>, clock: u32) -> Self {
        let candidate = Self::new(frame.time, frame.input, packet.encapsulation, ClockOfFlow::since(clock));
        let refused = Guess::NotOurs;
        let Kept::Slim(slim) = kept else { return candidate };
        Self { halves: slim.halves(), guess: PerSide { client: refused, server: refused }, ..candidate }
    }

    /// Whether it is no session, and not watched yet.
    fn may_be_watched(&self) -> bool {
        self.session.is_none() && self.watched.is_none()
    }
}
