//! Reports of sessions that go on: the first at a whole number of intervals after its first frame, and then after each interval in
//! which a frame of it came. By stream time, so that a recording gives what the sensor gave.

use super::{
    Engine,
    candidate::Candidate,
    ending::{Ready, report_headers},
};
use crate::{
    flow::{FlowId, Life},
    observation::{Body, Observation, ObservationKey, SessionState},
    time::{Span, Timestamp},
};

/// What a session was reported, and when it will be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Updates {
    due: Option<Timestamp>,
    reported: u32,
    /// Packets that the last report told of.
    packets: u64,
}

impl Updates {
    /// How many reports there were.
    pub(super) const fn reported(&self) -> u32 {
        self.reported
    }
}

impl Engine {
    /// A segment of a session came: sees to it that the next report is on its way.
    #[inline(always)] // asked for every packet, and mostly answered at once
    pub(super) fn expect_report(&mut self, id: FlowId, time: Timestamp) {
        if let Some(every) = self.limits.report_every {
            self.schedule_report(id, time, every);
        }
    }

    fn schedule_report(&mut self, id: FlowId, time: Timestamp, every: Span) {
        let Some(candidate) = self.candidate(id) else { return };
        let first_time = candidate.first_time;
        let Some(session) = candidate.session.as_mut().filter(|session| session.updates.due.is_none()) else { return };
        let every = every.as_nanos().max(1);
        let intervals = time.saturating_since(first_time).as_nanos() / every + 1;
        let due = first_time + Span::from_nanos(intervals.saturating_mul(every));
        session.updates.due = Some(due);
        let session_id = session.id();
        self.wake_at(due, session_id, id);
    }

    /// Reports a session whose time has come. One that is silent is asked again when it speaks.
    pub(super) fn report_if_due(&mut self, id: FlowId, now: Timestamp) {
        self.catch_up(id);
        let Some(candidate) = self.candidate(id) else { return };
        let packets = candidate.halves.client.traffic.packets + candidate.halves.server.traffic.packets;
        let Some(session) = candidate.session.as_mut().filter(|session| session.updates.due == Some(now)) else { return };
        session.updates.due = None;
        if session.updates.packets == packets || !session.is_confirmed() {
            return;
        }
        session.updates.packets = packets;
        let Some(body) = self.report_so_far(id) else { return };
        let Some(session) = self.candidate(id).and_then(|candidate| candidate.session.as_mut()) else { return };
        session.updates.reported = session.updates.reported.saturating_add(1);
        let (session, sequence) = (session.id(), session.take_sequence());
        let key = ObservationKey { frame: self.frame, time: now, session, sequence };
        self.ready.push_back(Ready::Observation(Observation { key, body }));
        self.expect_report(id, now);
    }

    /// The report of a session, unless it is only waiting for stragglers.
    fn report_so_far(&self, id: FlowId) -> Option<Body> {
        let flow = self.table.get(id).filter(|flow| flow.life == Life::Open)?;
        let candidate = flow.attached.as_deref()?;
        let session = candidate.session.as_ref()?;
        let headers = report_headers(flow, candidate, session.id(), SessionState::Open);
        let mut report = session.report(candidate, headers);
        report.quality.clock_steps = candidate.clock.steps();
        report.slice = self.copy_headers(candidate);
        Some(Body::SessionUpdated(Box::new(report)))
    }

    fn candidate(&mut self, id: FlowId) -> Option<&mut Candidate> {
        self.table.get_mut(id)?.attached.as_deref_mut()
    }
}
