//! How a flow ends: as a session that is reported, as any other flow where those are wanted too, or without a word.

use super::{Engine, candidate::Candidate, evidence::session_id};
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
        flow: Box<Flow<Candidate>>,
        candidate: Box<Candidate>,
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
            Self::Flow { key, flow, candidate, state } => {
                let report = report_unidentified(&flow, &candidate, key.session, state);
                Observation { key, body: Body::SessionEnded(Box::new(report)) }
            }
        }
    }
}

impl Engine {
    /// A flow has left the table.
    pub(super) fn end_flow(&mut self, mut flow: Flow<Candidate>, state: SessionState, time: Timestamp) {
        let Some(mut candidate) = flow.attached.take() else { return };
        self.catch_up_with(flow.shard(), &mut candidate);
        self.shards.remove(flow.shard(), candidate.session.is_some());
        if candidate.watched.take().is_some() {
            self.shards.change_watched(flow.shard(), false);
        }
        let slice = self.take_headers(&mut candidate);
        let session = candidate.session.take();
        let waiting = session.as_ref().map_or(0, |session| session.held_memory());
        self.shards.change_waiting(flow.shard(), waiting, 0);
        session.iter().for_each(|session| self.let_go(&flow.key, session));
        let Some(mut session) = session.filter(|session| session.is_confirmed()) else {
            return self.end_unidentified(flow, candidate, state, time);
        };
        self.counters.identified += 1;
        session.losses.on_segment(self.losses, self.counters.packets);
        let headers = report_headers(&flow, &candidate, session.id(), state);
        let mut report = session.finish(&candidate, headers, &mut self.scratch);
        report.quality.clock_steps = candidate.clock.steps();
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

    fn end_unidentified(&mut self, flow: Flow<Candidate>, candidate: Box<Candidate>, state: SessionState, time: Timestamp) {
        if self.limits.all_flows {
            let session = session_id(&flow.key, candidate.first_time, self.pseudonyms.as_deref());
            let key = ObservationKey { frame: self.frame, time, session, sequence: 0 };
            self.ready.push_back(Ready::Flow { key, flow: Box::new(flow), candidate, state });
        }
    }
}

/// What the headers of a flow's packets say: the part of a report that sessions and other flows have in common.
pub(super) fn report_headers(flow: &Flow<Candidate>, candidate: &Candidate, id: SessionId, state: SessionState) -> SessionReport {
    let traffic = PerSide::from_fn(|side| candidate.halves.get(side).traffic);
    SessionReport {
        id,
        update: 0,
        community_id: flow.key.community_id(),
        input: candidate.input,
        client_isn: candidate.halves.client.start.map(|start| start.0.wrapping_sub(1)),
        state,
        start: candidate.first_time,
        end: flow.last_time,
        endpoints: PerSide { client: flow.key.endpoint(flow.client), server: flow.key.endpoint(flow.client.other()) },
        transport: flow.key.transport(),
        encapsulation: candidate.encapsulation,
        mac: candidate.mac,
        evidence: flow.evidence,
        identified_by: None,
        midstream: flow.midstream,
        facts: None,
        carriers: Vec::new(),
        obfuscated: None,
        stack: PerSide::from_fn(|side| Stack { marks: candidate.halves.get(side).stack, timestamp_hz: None }),
        traffic,
        rtt: PerSide::default(),
        keystrokes: None,
        program: None,
        quality: Quality::of(&traffic),
        slice: None,
    }
}

fn report_unidentified(flow: &Flow<Candidate>, candidate: &Candidate, id: SessionId, state: SessionState) -> SessionReport {
    let least = candidate.least.as_ref().map(|rtt| rtt.least()).unwrap_or_default();
    let handshake = candidate.handshake.rtt();
    let headers = report_headers(flow, candidate, id, state);
    SessionReport {
        rtt: PerSide::from_fn(|side| {
            let (least, handshake) = (*least.get(side), *handshake.get(side));
            let least = handshake.map(|rtt| Least::and(least, rtt)).or(least);
            RoundTrips { handshake, least, ..RoundTrips::default() }
        }),
        quality: Quality { clock_steps: candidate.clock.steps(), ..headers.quality },
        ..headers
    }
}
