//! What is held of each shard of the traffic, and how room is made where it is too much. What one shard holds is nothing to the
//! others: so what is dropped does not depend on the number of engines.

use super::{Engine, candidate::Candidate, clock::ClockOfFlow};
use crate::{
    flow::{Attached, End, FlowId, Kept, Opening, SHARDS, Shard, Side, per_shard},
    observation::SessionState,
    time::Timestamp,
    wire::{Frame, Packet, TcpSegment},
};

/// What is held of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// Flows that may become a session: those with a candidate and without a session.
    pub(super) candidates: usize,
    /// Flows that are watched for somebody who types.
    pub(super) watched: usize,
    /// Sessions.
    pub(super) sessions: usize,
    /// Bytes that wait behind holes in what they sent, and what goes with them.
    pub(super) waiting: usize,
    initials: Initials,
}

/// First packets of QUIC that may still be opened in a second of the capture.
#[derive(Clone, Copy, Debug)]
struct Initials {
    second: i64,
    left: u8,
}

impl Default for Initials {
    fn default() -> Self {
        Self { second: i64::MIN, left: 0 }
    }
}

/// First packets of QUIC, one a flow, that are opened in each second of the capture. One takes 2 to 11 µs, so that those whom
/// nobody asked for (with 256 shards, 4,096 a second) take a twentieth of a core at most.
const INITIALS_A_SECOND: u8 = 16;

const SECOND: i64 = 1_000_000_000;

/// What is held of all shards.
#[derive(Debug)]
pub(super) struct Shards(Vec<Held>);

impl Shards {
    pub(super) fn new() -> Self {
        Self(vec![Held::default(); SHARDS])
    }

    /// Sessions of all shards.
    pub(super) fn sessions(&self) -> usize {
        self.0.iter().map(|held| held.sessions).sum()
    }

    /// Flows of all shards that may become a session.
    pub(super) fn candidates(&self) -> usize {
        self.0.iter().map(|held| held.candidates).sum()
    }

    /// Bytes that wait behind holes, in all shards.
    pub(super) fn waiting(&self) -> usize {
        self.0.iter().map(|held| held.waiting).sum()
    }

    /// How much waits behind the holes of a session has changed.
    #[inline]
    pub(super) fn change_waiting(&mut self, shard: Shard, before: usize, now: usize) {
        if before != now {
            self.change(shard, |held| held.waiting = held.waiting.saturating_sub(before).saturating_add(now));
        }
    }

    pub(super) fn of(&self, shard: Shard) -> Held {
        self.0.get(shard.index()).copied().unwrap_or_default()
    }

    /// How many first packets of QUIC may be opened still at this time.
    pub(super) fn initials(&mut self, shard: Shard, now: Timestamp) -> Option<&mut u8> {
        let initials = &mut self.0.get_mut(shard.index())?.initials;
        let second = now.as_nanos().div_euclid(SECOND);
        if initials.second != second {
            *initials = Initials { second, left: INITIALS_A_SECOND };
        }
        Some(&mut initials.left)
    }

    /// A flow got a candidate.
    pub(super) fn add_candidate(&mut self, shard: Shard) {
        self.change(shard, |held| held.candidates += 1);
    }

    /// A flow lost its candidate, together with its session where it had one.
    pub(super) fn remove(&mut self, shard: Shard, has_session: bool) {
        self.change(shard, |held| {
            let count = if has_session { &mut held.sessions } else { &mut held.candidates };
            *count = count.saturating_sub(1);
        });
    }

    /// A flow is watched now, or no longer.
    pub(super) fn change_watched(&mut self, shard: Shard, is_watched: bool) {
        self.change(shard, |held| match is_watched {
            true => held.watched += 1,
            false => held.watched = held.watched.saturating_sub(1),
        });
    }

    /// A candidate got a session.
    pub(super) fn begin_session(&mut self, shard: Shard) {
        self.remove(shard, false);
        self.change(shard, |held| held.sessions += 1);
    }

    /// A candidate lost its session.
    pub(super) fn end_session(&mut self, shard: Shard) {
        self.remove(shard, true);
        self.add_candidate(shard);
    }

    fn change(&mut self, shard: Shard, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.0.get_mut(shard.index()) {
            change(held);
        }
    }
}

impl Engine {
    /// Makes room for one more candidate: the one goes that was silent longest, of some that are no sessions. Whether there is
    /// room now. Where all flows are reported, each has one, and the flow table's limit is theirs.
    pub(super) fn has_room_for_candidate(&mut self, shard: Shard, now: Timestamp) -> bool {
        if self.limits.all_flows || self.shards.of(shard).candidates < per_shard(self.limits.max_candidates) {
            return true;
        }
        self.evict_one(shard, now, |candidate| candidate.session.is_none())
    }

    /// The same for a session. One that both sides have shown to be one does not go: then there is no room for another.
    pub(super) fn has_room_for_session(&mut self, shard: Shard, now: Timestamp) -> bool {
        if self.shards.of(shard).sessions < per_shard(self.limits.max_sessions) {
            return true;
        }
        self.evict_one(shard, now, |candidate| candidate.session.is_some() && !candidate.is_certain())
    }

    /// Ends a flow whose candidate is such; whether there was one.
    fn evict_one(&mut self, shard: Shard, now: Timestamp, may_go: impl Fn(&Candidate) -> bool) -> bool {
        let evicted = self.table.evict_one(shard, |flow| {
            let may_go = flow.attached.as_deref().is_some_and(&may_go);
            may_go.then_some(flow.last_time)
        });
        let Some(flow) = evicted else { return false };
        self.counters.dropped_flows += 1;
        self.end_flow(flow, SessionState::Evicted, now);
        true
    }

    /// What is kept of a flow that begins with a SYN and nothing else; `None` where that is not enough.
    pub(super) fn opening(&self, frame: &Frame<'_>, packet: &Packet<'_>, segment: &TcpSegment<'_>) -> Option<Opening> {
        let is_enough = !self.limits.all_flows && self.slices.is_none();
        if is_enough { Opening::of(frame, packet, segment, self.clock.steps()) } else { None }
    }

    /// Something comes behind a flow's SYN: it gets its candidate, as if it had had it from the beginning.
    #[inline(never)]
    pub(super) fn handle_second(
        &mut self,
        id: FlowId,
        sender: End,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        segment: &TcpSegment<'_>,
    ) {
        let Some(shard) = self.table.get(id).map(|flow| flow.shard()) else { return };
        let has_room = self.has_room_for_candidate(shard, frame.time);
        let Some(flow) = self.table.get_mut(id) else { return };
        let time = flow.last_time;
        let side = flow.note_packet(sender, frame.time);
        let Kept::Opening(opening) = std::mem::take(&mut flow.kept) else { return };
        if !has_room {
            self.counters.dropped_flows += 1;
            return;
        }
        let mut candidate = Candidate::new(time, opening.input, opening.encapsulation(), ClockOfFlow::since(opening.note));
        opening.replay(time, |segment, envelope| candidate.take(&self.clock, Side::Client, segment, &envelope));
        flow.attached = Some(Box::new(candidate));
        self.shards.add_candidate(shard);
        self.handle_candidate(id, side, frame, packet, segment);
    }
}
