//! The second stage: everything that is said of a session beyond what its own flow shows. It alone makes events.

mod quiet;

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest, Sha256};

use self::quiet::{Matter, Quiet};
use crate::{
    event::{AlertEvent, ClaimEvent, Event, KeystrokeEvent, SessionEvent},
    evidence::Slice,
    flow::{FlowKey, PerSide, SessionId, Side},
    judge::{
        Finding, Measured, PlaceClaim, Severity,
        claim::{ClaimedPlace, Claims, Found, Identity, Subject},
        relay_before_client::{self, Relay},
        verdict::{Judgement, Verdict, judge_places},
    },
    observation::{Body, Observation, SessionReport, SessionState},
    protocol::Facts,
    pseudonym::Pseudonyms,
    time::{Span, Timestamp},
};

/// Why a flow that is no session is not judged. Its smallest round trip may be an accident, and where none was a bare
/// acknowledgement it may contain whatever a program took.
const UNIDENTIFIED: &str = "the flow was not identified, and keeps no history of round trips that could be judged";

/// Sessions that go on and of which an alert is remembered, at most. An engine holds no more sessions than that.
const MAX_ALERTED: usize = 1 << 16;

/// Observations in, events out, in the same order.
#[derive(Debug, Default)]
pub struct Correlator {
    claims: Option<Claims>,
    pseudonyms: Option<Arc<Pseudonyms>>,
    forwards: ForwardSteps,
    learning: bool,
    /// Of sessions that go on, what was alerted.
    alerted: HashMap<SessionId, Vec<Alerted>>,
    quiet: Quiet,
}

/// A finding that somebody should hear of.
#[derive(Debug)]
struct Raised {
    finding: Finding,
    revision: u32,
    repeats: u64,
}

/// A finding that an alert was raised for.
#[derive(Clone, Copy, Debug)]
struct Alerted {
    finding: &'static str,
    severity: Severity,
    /// That of the last alert; none where the cool-down held it back.
    revision: Option<u32>,
}

impl Correlator {
    /// With the claims that sessions are held against, if there are any.
    #[must_use]
    pub fn new(claims: Option<Claims>) -> Self {
        Self { claims, ..Self::default() }
    }

    /// Raises no alerts; sessions are judged as ever.
    #[must_use]
    pub fn learning(self, learning: bool) -> Self {
        Self { learning, ..self }
    }

    /// Raises no alert of another session for an identity, address and finding so long after one, unless it weighs more.
    #[must_use]
    pub fn cooling_down(self, cool_down: Option<Span>) -> Self {
        Self { quiet: Quiet::of(cool_down), ..self }
    }

    /// Alerts that were held back so far.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.quiet.held
    }

    /// From here on sessions are held against these claims, also those that go on. Alerts that were raised stand.
    pub fn replace_claims(&mut self, claims: Option<Claims>) {
        self.claims = claims;
    }

    /// From here on alerts are raised, or none where it learns.
    pub const fn learn(&mut self, learning: bool) {
        self.learning = learning;
    }

    /// Sessions that go on and of which an alert is remembered.
    #[must_use]
    pub fn alerted(&self) -> usize {
        self.alerted.len()
    }

    /// Judges by the addresses themselves, and has nothing but pseudonyms of addresses and identities in events.
    #[must_use]
    pub fn with_pseudonyms(self, pseudonyms: Option<Arc<Pseudonyms>>) -> Self {
        Self { pseudonyms, ..self }
    }

    /// Takes an observation in and adds the events that it makes.
    pub fn handle(&mut self, observation: Observation, events: &mut Vec<Event>) {
        match observation.body {
            Body::Keystroke { keystroke, client_rtt } => {
                events.push(Event::Keystroke(KeystrokeEvent { session: observation.key.session, keystroke, client_rtt }));
            }
            Body::ClockSet { from, until } => self.forwards.push(from, until),
            Body::SessionEnded(mut report) | Body::SessionUpdated(mut report) => {
                let steps = self.forwards.between(report.start, report.end);
                report.quality.clock_steps = report.quality.clock_steps.saturating_add(steps);
                self.judge(*report, observation.key.time, events);
            }
        }
    }

    /// How often the sensor's clock was set forwards so far.
    #[must_use]
    pub const fn clock_set_forwards(&self) -> u32 {
        self.forwards.count
    }

    fn judge(&mut self, mut report: SessionReport, now: Timestamp, events: &mut Vec<Event>) {
        let (mut claim, judgement) = match &self.claims {
            None => (None, Judgement::not_testable(Verdict::NoClaim, "no claims were given", 0)),
            Some(claims) => judge_by(claims, &report, self.pseudonyms.as_deref()),
        };
        let judgement = judgement.with_relay(self.relay(&report));
        let slice = report.slice.take();
        let raised = match &mut claim {
            Some(claim) => {
                claim.allowed = self.allowed(&report, &claim.identity, &judgement.findings);
                self.raise(&report, claim, &judgement.findings, now)
            }
            None => Vec::new(),
        };
        let mut slice = slice.filter(|_| !raised.is_empty());
        if let Some(pseudonyms) = &self.pseudonyms {
            disguise(&mut report, claim.as_mut(), pseudonyms);
            slice = slice.map(|slice| Arc::new(slice.pseudonymized(pseudonyms)));
        }
        let alerts: Vec<_> = claim
            .iter()
            .flat_map(|claim| raised.iter().map(move |raised| (claim, raised)))
            .map(|(claim, raised)| {
                let alert = alert(&report, claim, &raised.finding, now, slice.clone());
                Event::Alert(Box::new(AlertEvent { revision: raised.revision, repeats: raised.repeats, ..alert }))
            })
            .collect();
        events.push(Event::Session(Box::new(SessionEvent { report, claim, judgement })));
        events.extend(alerts);
    }

    /// Whether something ends the connection in front of the client, other than what the claims name.
    fn relay(&self, report: &SessionReport) -> Relay {
        if let Some(reason) = self.claims.as_ref().and_then(|claims| known_end(claims, report, self.pseudonyms.as_deref())) {
            return Relay::not_testable(&reason, 0);
        }
        if !report.is_session() {
            return Relay::not_testable(UNIDENTIFIED, 0);
        }
        match report.quality.objection() {
            Some(objection) => Relay::not_testable(&objection, 0),
            None => relay_before_client::test(&report.rtt.client, report.program.as_ref()),
        }
    }

    /// The findings that the claims allow, and the line that does.
    fn allowed(&self, report: &SessionReport, identity: &str, findings: &[Finding]) -> Vec<(&'static str, String)> {
        let Some(claims) = &self.claims else { return Vec::new() };
        let ends = [report.client_ip(), report.endpoints.server.ip];
        let line = |finding: &Finding| claims.allowance(finding.id, identity, ends, report.start).map(|allowance| allowance.line);
        findings.iter().filter_map(|finding| Some((finding.id, format!("claims line {}", line(finding)?)))).collect()
    }

    /// The findings that somebody should hear of: each once a session, and again, with a higher revision, where it weighs more than
    /// before.
    fn raise(&mut self, report: &SessionReport, claim: &ClaimEvent, findings: &[Finding], now: Timestamp) -> Vec<Raised> {
        let mut alerted = self.alerted.remove(&report.id).unwrap_or_default();
        let mut raised = Vec::new();
        let is_allowed = |finding: &&Finding| claim.allowed.iter().any(|(allowed, _)| *allowed == finding.id);
        let weighty = findings.iter().filter(|finding| finding.severity >= Severity::Medium && !self.learning);
        for finding in weighty.filter(|finding| !is_allowed(finding)) {
            let before = alerted.iter().position(|before| before.finding == finding.id);
            let last = before.and_then(|position| alerted.get(position)).copied();
            if last.is_some_and(|last| finding.severity <= last.severity) {
                continue;
            }
            // What escalates is never held back.
            let (revision, repeats) = match last.and_then(|last| last.revision) {
                Some(revision) => (Some(revision + 1), 0),
                None => {
                    let (identity, client) = (claim.identity.clone(), report.client_ip());
                    let repeats = self.quiet.raise(Matter { identity, client, finding: finding.id }, finding.severity, now);
                    (repeats.map(|_| 0), repeats.unwrap_or(0))
                }
            };
            if let Some(position) = before {
                alerted.swap_remove(position);
            }
            alerted.push(Alerted { finding: finding.id, severity: finding.severity, revision });
            raised.extend(revision.map(|revision| Raised { finding: finding.clone(), revision, repeats }));
        }
        let goes_on = report.state == SessionState::Open && !alerted.is_empty();
        if goes_on && self.alerted.len() < MAX_ALERTED {
            self.alerted.insert(report.id, alerted);
        }
        raised
    }
}

/// Steps of the clock that are remembered, to be told of the sessions that saw them.
const MAX_STEPS: usize = 1024;

/// Steps forwards of the sensor's clock, each somewhere in a stretch of time. What shows the same step is counted once.
#[derive(Debug, Default)]
struct ForwardSteps {
    last: Vec<(Timestamp, Timestamp)>,
    count: u32,
}

impl ForwardSteps {
    fn push(&mut self, from: Timestamp, until: Timestamp) {
        match self.last.last_mut() {
            Some((start, end)) if from < *end && *start < until => (*start, *end) = (from.max(*start), until.min(*end)),
            _ => {
                self.count = self.count.saturating_add(1);
                if self.last.len() >= MAX_STEPS {
                    self.last.remove(0);
                }
                self.last.push((from, until));
            }
        }
    }

    /// How many may lie between two times.
    fn between(&self, start: Timestamp, end: Timestamp) -> u32 {
        self.last.iter().filter(|(from, until)| *from < end && start < *until).count() as u32
    }
}

/// What claims are found by.
#[must_use]
pub fn subject(report: &SessionReport) -> Subject<'_> {
    let (rdp_cookie, vnc_desktop) = match &report.facts {
        Some(Facts::Rdp(facts)) => (facts.cookie.as_deref(), None),
        Some(Facts::Vnc(facts)) => (None, facts.desktop_name.as_deref()),
        _ => (None, None),
    };
    Subject {
        client: report.client_ip(),
        server: report.endpoints.server.ip,
        mac: report.mac.client,
        vlan: report.encapsulation.vlan(),
        rdp_cookie,
        vnc_desktop,
        start: report.start,
    }
}

/// Leaves nothing in a report and its claim that names an address or an identity, and no hash of one that a guess could be
/// checked against. The session's identifier comes from pseudonyms already.
fn disguise(report: &mut SessionReport, claim: Option<&mut ClaimEvent>, pseudonyms: &Pseudonyms) {
    for side in [Side::Client, Side::Server] {
        let endpoint = report.endpoints.get_mut(side);
        endpoint.ip = pseudonyms.ip(endpoint.ip);
        let mac = report.mac.get_mut(side);
        *mac = mac.map(|mac| pseudonyms.mac(mac));
    }
    let PerSide { client, server } = report.endpoints;
    let [client, server] = [client, server].map(|endpoint| (endpoint.ip.into(), endpoint.port));
    report.community_id = FlowKey::of(client, server, report.transport).0.community_id();
    if let Some(facts) = &mut report.facts {
        facts.rename(|kind, name| pseudonyms.name(kind, name));
    }
    for carrier in &mut report.carriers {
        carrier.target.rename(|ip| pseudonyms.ip(ip), |name| pseudonyms.name("host", name));
    }
    if let Some(claim) = claim {
        claim.identity = pseudonyms.name("id", &claim.identity);
        claim.claims_sha256 = pseudonyms.sha256(&claim.claims_sha256);
    }
}

fn judge_by(claims: &Claims, report: &SessionReport, pseudonyms: Option<&Pseudonyms>) -> (Option<ClaimEvent>, Judgement) {
    let judge = |identity, source| judge_identity(claims, identity, source, report, pseudonyms);
    let without = |reason: &str| (None, Judgement::not_testable(Verdict::NoClaim, reason, 0));
    match claims.find(&subject(report)) {
        Found::Nothing => without("no claim matches this session"),
        Found::Unclaimed(lease) => {
            without(&format!("the client's address was leased (leases line {}) to an identity without a claim", lease.line))
        }
        Found::Matched(identity, _) => judge(identity, format!("claims line {}", identity.line)),
        Found::Leased(identity, lease) => judge(identity, format!("leases line {}", lease.line)),
    }
}

fn judge_identity(
    claims: &Claims,
    identity: &Identity,
    source: String,
    report: &SessionReport,
    pseudonyms: Option<&Pseudonyms>,
) -> (Option<ClaimEvent>, Judgement) {
    let held: Vec<&ClaimedPlace> = identity.places.iter().filter(|place| place.holds_at(report.start)).collect();
    let mut claim = ClaimEvent {
        identity: identity.name.clone(),
        places: held.iter().map(|claimed| claimed.place.clone()).collect(),
        matched_place: None,
        distance_km: None,
        source,
        claims_sha256: claims.sha256.clone(),
        allowed: Vec::new(),
    };
    let undecided = |reason: &str| Judgement::not_testable(Verdict::Undecided, reason, 0);
    if let Some(reason) = known_end(claims, report, pseudonyms) {
        return (Some(claim), undecided(&reason));
    }
    if !report.is_session() {
        return (Some(claim), undecided(UNIDENTIFIED));
    }
    let Some(sensor) = &claims.sensor.place else {
        return (Some(claim), undecided("the claims do not say where the sensor stands"));
    };
    if let Some(objection) = report.quality.objection() {
        return (Some(claim), undecided(&objection));
    }
    let places: Vec<PlaceClaim<'_>> = held
        .iter()
        .map(|claimed| PlaceClaim {
            sensor,
            place: &claimed.place,
            radius_km: claimed.radius_km,
            via: claimed.via.as_ref(),
            access: claimed.access,
        })
        .collect();
    let Some((which, judgement)) = judge_places(measured(report).as_ref(), &places) else {
        return (Some(claim), undecided("no place of the claim holds at this time"));
    };
    claim.matched_place = places.get(which).map(|matched| matched.place.clone());
    claim.distance_km = places.get(which).map(|matched| matched.expected().path_km);
    (Some(claim), judgement)
}

/// That the client's connection is known to end at a middlebox.
fn known_end(claims: &Claims, report: &SessionReport, pseudonyms: Option<&Pseudonyms>) -> Option<String> {
    let middlebox = claims.middlebox(report.client_ip())?;
    let name = pseudonyms.map_or_else(|| middlebox.name.clone(), |of| of.name("middlebox", &middlebox.name));
    Some(format!("the client's TCP connection ends at the middlebox \"{name}\""))
}

fn measured(report: &SessionReport) -> Option<Measured> {
    let rtt = &report.rtt.client;
    let (floor, repeated, samples) = (rtt.floor?, rtt.repeated_floor?, rtt.samples?);
    let (value, method) = (floor.value, floor.method.name());
    Some(Measured { floor: value, method, repeated_floor: repeated.value, samples: samples.samples, prompt: rtt.prompt })
}

fn alert(report: &SessionReport, claim: &ClaimEvent, finding: &Finding, now: Timestamp, slice: Option<Arc<Slice>>) -> AlertEvent {
    let mut hash = Sha256::new();
    let (client, server) = (report.endpoints.client, report.endpoints.server);
    hash.update(format!("{} {} {} {} tcp ", client.ip, client.port, server.ip, server.port));
    match report.client_isn {
        Some(isn) => hash.update(isn.to_be_bytes()),
        None => hash.update(report.start.as_nanos().to_be_bytes()),
    }
    hash.update(finding.id);
    let id = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    AlertEvent {
        id,
        revision: 0,
        repeats: 0,
        time: now,
        session: report.id,
        community_id: report.community_id.clone(),
        protocol: report.facts.as_ref().map(Facts::protocol),
        start: report.start,
        claim: claim.clone(),
        endpoints: report.endpoints,
        finding: finding.clone(),
        quality: report.quality,
        slice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_that_many_flows_show_is_one() {
        let at = |seconds: i64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let mut steps = ForwardSteps::default();
        for (from, until) in [(100, 3700), (50, 3701), (99, 3800), (3700, 8000), (3900, 8000)] {
            steps.push(at(from), at(until));
        }
        assert_eq!(steps.count, 2);
        let seen =
            [(0, 90), (0, 101), (200, 300), (3_000, 5_000), (9_000, 9_001)].map(|(start, end)| steps.between(at(start), at(end)));
        assert_eq!(seen, [0, 1, 1, 2, 0]);
    }
}
