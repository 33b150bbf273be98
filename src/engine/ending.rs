//! How a flow ends: as a session that is reported, as any other flow where those are wanted too, or without a word.

use super::{Attachment, Engine, evidence::session_id};
use crate::{
    flow::{Flow, PerSide, SessionId},
    measure::{least::Least, quality::Quality},
    observation::{Body, Observation, ObservationKey, RoundTrips, SessionReport, SessionState, Stack},
    time::Timestamp,
};

/// What waits to be handed on.
#[derive(Debug)]
pub(super) enum Ready {
    Observation(Observation),
    /// A flow that was no session. Its report takes more room than itself, and very many may end at once: so it is made when it
    /// is asked for.
    Flow {
        key: ObservationKey,
        flow: Box<Flow<Attachment>>,
        state: SessionState,
    },
}

impl Ready {
    pub(super) const fn key(&self) -> ObservationKey {
        match self {
            Self::Observation(observation) => observation.key,
            Self::Flow { key, .. } => *key,
        }
    }

    pub(super) fn into_observation(self) -> Observation {
        match self {
            Self::Observation(observation) => observation,
            Self::Flow { key, flow, state } => {
                Observation { key, body: Body::SessionEnded(Box::new(report_unidentified(&flow, key.session, state))) }
            }
        }
    }
}

impl Engine {
    /// A flow has left the table.
    pub(super) fn end_flow(&mut self, mut flow: Flow<Attachment>, state: SessionState, time: Timestamp) {
        let slice = self.take_headers(&mut flow.attached);
        let session = flow.attached.session.take();
        self.sessions -= usize::from(session.is_some());
        let Some(mut session) = session.filter(|session| session.is_confirmed()) else {
            return self.end_unidentified(flow, state, time);
        };
        self.counters.identified += 1;
        let mut report = session.finish(&flow, flow.attached.handshake.rtt(), state, &mut self.scratch);
        report.quality.clock_steps = flow.attached.clock.steps();
        report.slice = slice;
        self.counters.interactive += u64::from(report.keystrokes.is_some_and(|keystrokes| keystrokes.count > 0));
        let (frame, id) = (self.frame, session.id());
        session.take_keystrokes(&mut self.scratch, self.limits.keystrokes, |sequence, body| {
            let key = ObservationKey { frame, time, session: id, sequence };
            self.ready.push_back(Ready::Observation(Observation { key, body }));
        });
        let key = ObservationKey { frame, time, session: id, sequence: session.next_sequence() };
        self.ready.push_back(Ready::Observation(Observation { key, body: Body::SessionEnded(Box::new(report)) }));
    }

    fn end_unidentified(&mut self, flow: Flow<Attachment>, state: SessionState, time: Timestamp) {
        if self.limits.all_flows {
            let session = session_id(&flow.key, flow.first_time, self.pseudonyms.as_deref());
            let key = ObservationKey { frame: self.frame, time, session, sequence: 0 };
            self.ready.push_back(Ready::Flow { key, flow: Box::new(flow), state });
        }
    }
}

/// What the headers of a flow's packets say: the part of a report that sessions and other flows have in common.
pub(super) fn report_headers<T>(flow: &Flow<T>, id: SessionId, state: SessionState) -> SessionReport {
    let traffic = PerSide::from_fn(|side| flow.halves.get(side).traffic);
    SessionReport {
        id,
        community_id: flow.key.community_id(),
        input: flow.input,
        client_isn: flow.halves.client.start.map(|start| start.0.wrapping_sub(1)),
        state,
        start: flow.first_time,
        end: flow.last_time,
        endpoints: PerSide { client: flow.key.endpoint(flow.client), server: flow.key.endpoint(flow.client.other()) },
        transport: flow.key.transport(),
        encapsulation: flow.encapsulation,
        mac: flow.mac,
        evidence: flow.evidence,
        identified_by: None,
        midstream: flow.midstream,
        ssh: crate::protocol::ssh::Facts::default(),
        obfuscated: None,
        stack: PerSide::from_fn(|side| Stack { marks: flow.halves.get(side).stack, timestamp_hz: None }),
        traffic,
        rtt: PerSide::default(),
        keystrokes: None,
        quality: Quality::of(&traffic),
        slice: None,
    }
}

fn report_unidentified(flow: &Flow<Attachment>, id: SessionId, state: SessionState) -> SessionReport {
    let least = flow.attached.least.as_ref().map(|rtt| rtt.least()).unwrap_or_default();
    let handshake = flow.attached.handshake.rtt();
    let headers = report_headers(flow, id, state);
    SessionReport {
        rtt: PerSide::from_fn(|side| {
            let (least, handshake) = (*least.get(side), *handshake.get(side));
            let least = handshake.map(|rtt| Least::and(least, rtt)).or(least);
            RoundTrips { handshake, least, ..RoundTrips::default() }
        }),
        quality: Quality { clock_steps: flow.attached.clock.steps(), ..headers.quality },
        ..headers
    }
}
