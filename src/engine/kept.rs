//! Which sessions a sensor that is behind keeps whole: it is told when they begin to be worth it, and when they end.
//!
//! Those are the sessions of which both sides were seen and one at least speaks its protocol, as long as they have carried little; and
//! beyond that, where both sides speak it, those in which a terminal was opened, a key was found, or segments are short on average.
//! What remains is the file transfer, whose segments are as long as they can be, and what one side alone can forge.
//!
//! Until whoever sheds has heard of it, frames of such a session may be left out; so what is shed counts as lost for it until all
//! frames that may be on their way have come.

use super::{Engine, candidate::Candidate, session::Session};
use crate::flow::{End, Endpoint, FlowId, FlowKey, Traffic};

/// Bytes of payload, and packets, up to which a session is young.
const YOUNG: u64 = 64 * 1024;
const YOUNG_PACKETS: u64 = 1_000;

/// Bytes a packet of one direction from which on it carries bulk, on average.
const BULKY: u64 = 512;

/// A session is worth keeping whole from now on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worth {
    /// Its two ends, in no order that matters.
    pub ends: [Endpoint; 2],
    /// Whether it is.
    pub is_kept: bool,
}

impl Engine {
    /// The next session that began or ceased to be worth keeping; none without [`EngineLimits::in_flight`](super::EngineLimits).
    pub fn poll_worth(&mut self) -> Option<Worth> {
        self.worth.pop_front()
    }

    /// Looks at a session again that has had a segment.
    #[inline]
    pub(super) fn weigh(&mut self, id: FlowId) {
        if self.limits.in_flight.is_some() {
            self.weigh_session(id);
        }
    }

    fn weigh_session(&mut self, id: FlowId) {
        let packets = self.counters.packets;
        let Some(flow) = self.table.get_mut(id) else { return };
        let key = flow.key;
        let Some(candidate) = flow.attached.as_deref_mut() else { return };
        let is_worth = candidate.session.as_ref().is_some_and(|session| is_worth(candidate, session));
        let Some(session) = &mut candidate.session else { return };
        if is_worth != session.kept_since.is_some() {
            session.kept_since = is_worth.then_some(packets);
            session.losses.unsettle();
            self.worth.push_back(Worth::of(&key, is_worth));
            if is_worth {
                self.told.push_back((packets, id));
                self.settle_kept(); // there are never more of them than frames on their way
            }
        }
    }

    /// A session has ended.
    pub(super) fn let_go(&mut self, key: &FlowKey, session: &Session) {
        if session.kept_since.is_some() {
            self.worth.push_back(Worth::of(key, false));
        }
        if session.is_rdp() {
            self.forget_rdp(key, session.id());
        }
    }

    /// Has sessions bear nothing of what is shed from now on where all frames have come that were on their way when it was told that
    /// they are kept.
    pub(super) fn settle_kept(&mut self) {
        let in_flight = self.limits.in_flight.unwrap_or_default();
        while let Some(&(since, id)) = self.told.front().filter(|(since, _)| self.counters.packets > since + in_flight) {
            self.told.pop_front();
            let session = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut()?.session.as_mut());
            if let Some(session) = session.filter(|session| session.kept_since == Some(since)) {
                session.losses.settle(self.losses);
            }
        }
    }
}

impl Worth {
    fn of(key: &FlowKey, is_kept: bool) -> Self {
        Self { ends: [End::Low, End::High].map(|end| key.endpoint(end)), is_kept }
    }
}

fn is_worth(candidate: &Candidate, session: &Session) -> bool {
    let sides = [candidate.halves.client.traffic, candidate.halves.server.traffic];
    let sum = |count: fn(&Traffic) -> u64| sides.iter().map(count).sum::<u64>();
    let is_young = || sum(|side| side.payload_bytes) <= YOUNG && sum(|side| side.packets) <= YOUNG_PACKETS;
    let is_bulky = || sides.iter().any(|side| side.payload_bytes > BULKY * side.packets);
    let may_be_forged = sides.iter().any(|side| side.packets == 0);
    let is_typed = || session.is_established() && (session.is_interactive() || !is_bulky());
    !may_be_forged && session.is_confirmed() && (is_typed() || is_young())
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
