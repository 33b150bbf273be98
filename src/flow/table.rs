//! The flow table: bounded by a cap, aged by stream time, counting what it drops.
//!
//! Each shard of the traffic has its part of the cap, and is gone through by itself where room must be made: so what is dropped
//! depends on the shard's traffic alone, and not on the number of engines.
//!
//! Ageing costs nothing per packet. Each flow lies in one bucket of a wheel of seconds; when its second comes, its
//! real deadline is worked out from when it was last seen, and it goes or moves on.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::RandomState;

use super::{
    Beats, End, Evidence, FlowKey, Kept, PerSide, SHARDS, Shard, Side, TransportKind,
    index::Index,
    per_shard,
    prefetch::{prefetch, prefetch_front},
    slots::Slots,
};
use crate::time::{Span, Timestamp};

/// Buckets of the wheel, one a second; later deadlines are looked at again when the last bucket comes.
const WHEEL_SECONDS: usize = 512;

/// Places that are looked at for the least useful flow.
const SAMPLE: u32 = 8;

/// Places that are looked at, at most, where few flows come into question.
const FEW: u32 = 16 * SAMPLE;

/// Flows of a second's bucket that are on their way from memory while one is looked at.
const SOON: usize = 8;

/// Limits of a table.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows held at most, 128 bytes each; of one shard [`per_shard`] of them.
    pub max_flows: usize,
    /// A TCP flow that never got an answer goes after this time without a packet.
    pub unanswered: Span,
    /// A TCP flow goes after this time without a packet (Zeek's `tcp_inactivity_timeout` is 5 minutes too).
    pub tcp_idle: Span,
    /// A session goes after this time without a packet: a little over the two hours after which TCP keep-alive
    /// speaks by default (RFC 1122 §4.2.3.6).
    pub session_idle: Span,
    /// A closed flow stays this long, for the stragglers.
    pub closed: Span,
    /// A UDP flow goes after this time without a packet.
    pub udp_idle: Span,
    /// A session over UDP goes after this time without a packet.
    pub udp_session_idle: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_flows: 1 << 21,
            unanswered: Span::from_secs(30),
            tcp_idle: Span::from_secs(300),
            session_idle: Span::from_secs(7_500),
            closed: Span::from_secs(5),
            udp_idle: Span::from_secs(60),
            udp_session_idle: Span::from_secs(300), // as long as RFC 4787 §4.3 would have a NAT remember it
        }
    }
}

/// How a TCP flow ended, as far as it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Neither closed nor reset.
    Open,
    /// Both sides finished, or one reset it.
    Closed,
}

/// One five-tuple's life: two cache lines, and what is attached to it where it may be more to us than its end.
#[derive(Debug)]
#[repr(align(64))]
pub struct Flow<T> {
    /// Both endpoints.
    pub key: FlowKey,
    /// Which end is the client.
    pub client: End,
    /// Why we think so.
    pub evidence: Evidence,
    /// The beginning was not captured.
    pub midstream: bool,
    /// Open or closed.
    pub life: Life,
    /// Which sides have sent anything.
    pub seen: PerSide<bool>,
    /// Segments that may have been keys, as far as anybody counted.
    pub beats: Beats,
    /// Time of the last frame.
    pub last_time: Timestamp,
    /// What the later stages keep.
    pub attached: Option<Box<T>>,
    /// What is kept where nothing is attached.
    pub kept: Kept,
    /// The second in which the wheel looks at it, see [`mark_of`]; 0 for none. A look too many does no harm.
    due: u16,
    shard: Shard,
}

/// What the table must know of what is attached to a flow.
pub trait Attached {
    /// Whether the flow is a session: kept longer.
    fn is_session(&self) -> bool;

    /// Whether it is evicted last: a session that both sides have shown to be one.
    fn is_certain(&self) -> bool;

    /// Bytes at its beginning that every packet looks at.
    const FRONT: usize;

    /// A packet comes soon, and the front is near: has fetched what else it will look at.
    fn expect(&self);
}

impl<T: Attached> Flow<T> {
    /// A flow as its first packet shows it.
    #[must_use]
    pub fn new(key: FlowKey, client: End, evidence: Evidence, midstream: bool, time: Timestamp) -> Self {
        Self {
            key,
            client,
            evidence,
            midstream,
            life: Life::Open,
            seen: PerSide::default(),
            beats: Beats::default(),
            last_time: time,
            attached: None,
            kept: Kept::default(),
            due: 0,
            shard: key.shard(),
        }
    }

    /// The part of the traffic that it belongs to.
    #[must_use]
    pub const fn shard(&self) -> Shard {
        self.shard
    }

    /// The role of an end.
    #[must_use]
    pub fn side_of(&self, end: End) -> Side {
        if end == self.client { Side::Client } else { Side::Server }
    }

    /// Takes note of a packet that `sender` sent, and says in which role.
    #[inline]
    pub fn note_packet(&mut self, sender: End, time: Timestamp) -> Side {
        let side = self.side_of(sender);
        self.last_time = self.last_time.max(time);
        *self.seen.get_mut(side) = true;
        side
    }

    fn is_session(&self) -> bool {
        self.attached.as_ref().is_some_and(|attached| attached.is_session())
    }

    fn deadline(&self, limits: &Limits) -> Timestamp {
        let idle = match (self.life, self.key.transport()) {
            (Life::Closed, _) => limits.closed,
            (Life::Open, TransportKind::Udp) if self.is_session() => limits.udp_session_idle,
            (Life::Open, TransportKind::Udp) => limits.udp_idle,
            (Life::Open, TransportKind::Tcp) if self.is_session() => limits.session_idle,
            (Life::Open, TransportKind::Tcp) if (self.seen.client && self.seen.server) || self.midstream => limits.tcp_idle,
            (Life::Open, TransportKind::Tcp) => limits.unanswered,
        };
        self.last_time + idle
    }

    /// What an eviction takes first: the smaller, the sooner.
    fn worth(&self) -> (bool, bool, Timestamp) {
        let is_certain = self.attached.as_ref().is_some_and(|attached| attached.is_certain());
        (is_certain, self.life == Life::Open, self.last_time)
    }
}

/// A place in the table; dead once its flow was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(u32);

/// The hash of a key in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(u32);

/// Flows by key; what it holds and when it drops is told at the head of this file.
#[derive(Debug)]
pub struct FlowTable<T> {
    limits: Limits,
    /// Flows of one shard at most.
    most: usize,
    index: Index,
    /// Seeded anew in every run: the keys are anybody's.
    hasher: RandomState,
    slots: Slots<Flow<T>>,
    wheel: Vec<Vec<FlowId>>,
    wheel_second: i64,
    /// Where in each shard the next search begins, by what is searched for.
    hands: [Vec<u32>; 2],
    evicted: u64,
}

/// What is searched for in a shard: each search goes on where the last one of its kind ended.
#[derive(Clone, Copy, Debug)]
enum Hand {
    /// Any flow.
    Flow,
    /// One that a caller describes.
    Some,
}

impl<T: Attached> FlowTable<T> {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            most: per_shard(limits.max_flows).max(1),
            index: Index::new(),
            hasher: RandomState::default(),
            slots: Slots::new(SHARDS),
            wheel: (0..WHEEL_SECONDS).map(|_| Vec::new()).collect(),
            wheel_second: i64::MIN,
            hands: [(); 2].map(|()| vec![0; SHARDS]),
            evicted: 0,
        }
    }

    /// Flows dropped because the table was full.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Flows held now.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash of a key in this table.
    #[must_use]
    #[inline(always)] // for every frame
    #[expect(clippy::manual_hash_one, reason = "that is not inlined, and takes the key from memory")]
    pub fn hash(&self, key: &FlowKey) -> KeyHash {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        KeyHash((hasher.finish() >> 32) as u32)
    }

    /// A packet with this hash comes soon: has the index fetched.
    #[inline]
    pub fn expect_soon(&self, hash: KeyHash) {
        self.index.prefetch(hash.0);
    }

    /// A packet with this hash comes next but few: has what is probably its flow fetched, and tells where that is.
    #[inline]
    pub fn expect_next(&self, hash: KeyHash) -> Option<FlowId> {
        let place = self.index.find(hash.0, |_| true)?;
        prefetch(self.slots.slot(place)?);
        Some(FlowId(place))
    }

    /// No flow was found for a packet that comes next but few: has the place fetched where one will be put.
    #[inline]
    pub fn expect_new(&self, key: &FlowKey) {
        if let Some(slot) = self.slots.next(key.shard().index()) {
            prefetch(slot);
        }
    }

    /// The next step of [`Self::expect_next`]: has what is attached to the flow fetched.
    #[inline]
    pub fn expect_attached(&self, id: FlowId) {
        if let Some(attached) = self.get(id).and_then(|flow| flow.attached.as_deref()) {
            prefetch_front(attached, T::FRONT);
        }
    }

    /// The step after that: has fetched what else the packet will look at.
    #[inline]
    pub fn expect_more(&self, id: FlowId) {
        if let Some(attached) = self.get(id).and_then(|flow| flow.attached.as_deref()) {
            attached.expect();
        }
    }

    /// The flow with this key, whose hash is known; where there is a guess, that is looked at first.
    #[must_use]
    #[inline]
    pub fn find(&self, key: &FlowKey, hash: KeyHash, guess: Option<FlowId>) -> Option<FlowId> {
        let is = |place: u32| self.slots.get(place).is_some_and(|flow| flow.key == *key);
        guess.filter(|id| is(id.0)).or_else(|| self.index.find(hash.0, is).map(FlowId))
    }

    /// A flow by its place.
    #[must_use]
    pub fn get(&self, id: FlowId) -> Option<&Flow<T>> {
        self.slots.get(id.0)
    }

    /// A flow by its place, to change it.
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow<T>> {
        self.slots.get_mut(id.0)
    }

    /// Adds a flow whose key is not in the table. Where its shard has no room, the least useful of a sample of its flows
    /// goes and is handed back.
    pub fn insert(&mut self, flow: Flow<T>) -> (FlowId, Option<Flow<T>>) {
        let shard = flow.shard;
        let evicted = if self.slots.len(shard.index()) >= self.most { self.evict(shard) } else { None };
        if self.wheel_second == i64::MIN {
            self.wheel_second = flow.last_time.as_nanos().div_euclid(1_000_000_000);
        }
        let hash = self.hash(&flow.key);
        let Some(id) = self.slots.insert(shard.index(), flow).map(FlowId) else {
            return (FlowId(u32::MAX), evicted); // there is a group for each shard
        };
        self.index.insert(hash.0, id.0);
        self.schedule(id);
        (id, evicted)
    }

    /// Takes a flow out.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow<T>> {
        let shard = self.get(id)?.shard;
        let flow = self.slots.remove(shard.index(), id.0)?;
        self.index.remove(self.hash(&flow.key).0, id.0);
        Some(flow)
    }

    /// Takes out, of a sample of a shard's flows for which there is a last time, the one for which it is earliest, and counts it as
    /// dropped. Where those are few, none may be found.
    pub fn evict_one(&mut self, shard: Shard, last_time: impl Fn(&Flow<T>) -> Option<Timestamp>) -> Option<Flow<T>> {
        let id = self.least(shard, Hand::Some, |step, found| step < if found.is_some() { SAMPLE } else { FEW }, last_time)?;
        self.evicted += 1;
        self.remove(id)
    }

    /// Looks at a flow's deadline anew: call this when it was closed or became a session.
    pub fn schedule(&mut self, id: FlowId) {
        let limits = self.limits;
        let base = self.wheel_second;
        let Some(flow) = self.get_mut(id) else { return };
        let second = second_behind(flow.deadline(&limits)).clamp(base + 1, base + WHEEL_SECONDS as i64 - 1);
        if flow.due == mark_of(second) {
            return;
        }
        flow.due = mark_of(second);
        if let Some(bucket) = self.wheel.get_mut(second.rem_euclid(WHEEL_SECONDS as i64) as usize) {
            bucket.push(id);
        }
    }

    /// Takes out the flows whose deadline has come by `now`. Those to which something is attached are handed back with their
    /// deadlines, second by second, in no order within one.
    pub fn expire(&mut self, now: Timestamp) -> Vec<(Timestamp, Flow<T>)> {
        let target = now.as_nanos().div_euclid(1_000_000_000);
        let mut gone = Vec::new();
        if self.wheel_second == i64::MIN {
            self.wheel_second = target;
        }
        if target - self.wheel_second > 2 * WHEEL_SECONDS as i64 {
            // A jump in time: one turn of the wheel sees every flow.
            self.wheel_second = target - WHEEL_SECONDS as i64;
            self.rebase();
        }
        while self.wheel_second < target {
            self.wheel_second += 1;
            let second = self.wheel_second;
            let at = second.rem_euclid(WHEEL_SECONDS as i64) as usize;
            let Some(bucket) = self.wheel.get_mut(at).map(std::mem::take) else { break };
            for (at, &id) in bucket.iter().enumerate() {
                if let Some(soon) = bucket.get(at + SOON).and_then(|id| self.slots.slot(id.0)) {
                    prefetch(soon);
                }
                let limits = self.limits;
                let Some(flow) = self.get_mut(id).filter(|flow| flow.due == mark_of(second)) else { continue };
                let deadline = flow.deadline(&limits);
                flow.due = 0;
                if second_behind(deadline) <= second {
                    gone.extend(self.remove(id).filter(|flow| flow.attached.is_some()).map(|flow| (deadline, flow)));
                } else {
                    self.schedule(id);
                }
            }
        }
        gone
    }

    /// Before this time [`Self::expire`] has nothing to look at.
    #[must_use]
    pub const fn next_due(&self) -> Timestamp {
        Timestamp::from_nanos(self.wheel_second.saturating_add(1).saturating_mul(1_000_000_000))
    }

    /// Empties the table. Flows to which something is attached are handed back, in no order.
    pub fn drain(&mut self) -> impl Iterator<Item = Flow<T>> + use<T> {
        self.index.clear();
        self.slots.drain().filter(|flow| flow.attached.is_some())
    }

    /// Puts every flow into the bucket that comes next, after a jump in time.
    fn rebase(&mut self) {
        self.wheel.iter_mut().for_each(Vec::clear);
        let second = self.wheel_second + 1;
        let ids = (0..self.slots.end()).map(FlowId);
        let mut alive = Vec::new();
        for id in ids {
            if let Some(flow) = self.get_mut(id) {
                flow.due = mark_of(second);
                alive.push(id);
            }
        }
        if let Some(bucket) = self.wheel.get_mut(second.rem_euclid(WHEEL_SECONDS as i64) as usize) {
            *bucket = alive;
        }
    }

    fn evict(&mut self, shard: Shard) -> Option<Flow<T>> {
        // A stretch of sessions is passed over, at a cost that the hand's next round saves; where there is nothing else, the
        // session that was silent longest goes.
        let goes_on =
            |step, found: Option<(bool, bool, Timestamp)>| step < SAMPLE || found.is_none_or(|(is_certain, ..)| is_certain);
        let id = self.least(shard, Hand::Flow, goes_on, |flow| Some(flow.worth()))?;
        self.evicted += 1;
        self.remove(id)
    }

    /// The flow of the least worth among those of a shard that are looked at, which is as long as `goes_on` by the number of places
    /// and the least worth so far. What has no worth is passed over.
    fn least<W: Ord + Copy>(
        &mut self,
        shard: Shard,
        hand: Hand,
        goes_on: impl Fn(u32, Option<W>) -> bool,
        worth: impl Fn(&Flow<T>) -> Option<W>,
    ) -> Option<FlowId> {
        let used = self.slots.used(shard.index());
        let hand = self.hands.get_mut(hand as usize)?.get_mut(shard.index())?;
        let mut least: Option<(W, u32)> = None;
        let mut step = 0;
        while step < used && goes_on(step, least.map(|(worth, _)| worth)) {
            let place = self.slots.place(shard.index(), (*hand + step) % used)?;
            step += 1;
            let Some(worth) = self.slots.get(place).and_then(&worth) else { continue };
            if least.is_none_or(|(least, _)| worth < least) {
                least = Some((worth, place));
            }
        }
        *hand = (*hand + step) % used.max(1);
        Some(FlowId(least?.1))
    }
}

/// A second in 16 bits, which turn once in a hundred revolutions of the wheel, and are never 0.
const fn mark_of(second: i64) -> u16 {
    let mark = second as u16;
    if mark == 0 { 1 } else { mark }
}

/// The first whole second that is not before `time`: a flow is due no earlier than its deadline.
const fn second_behind(time: Timestamp) -> i64 {
    time.as_nanos().div_euclid(1_000_000_000).saturating_add(1)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
