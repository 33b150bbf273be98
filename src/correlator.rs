//! The second stage: everything that is said of a session beyond what its own flow shows. It alone makes events.

use sha2::{Digest, Sha256};

use crate::{
    event::{AlertEvent, ClaimEvent, Event, KeystrokeEvent, SessionEvent},
    judge::{
        Finding, Measured, PlaceClaim, Severity,
        claim::{ClaimedPlace, Claims, Found, Identity, Subject},
        verdict::{Judgement, Verdict, judge_places},
    },
    observation::{Body, Observation, SessionReport},
    time::Timestamp,
};

/// Observations in, events out, in the same order.
#[derive(Debug, Default)]
pub struct Correlator {
    claims: Option<Claims>,
}

impl Correlator {
    /// With the claims that sessions are held against, if there are any.
    #[must_use]
    pub const fn new(claims: Option<Claims>) -> Self {
        Self { claims }
    }

    /// Takes an observation in and adds the events that it makes.
    pub fn handle(&self, observation: Observation, events: &mut Vec<Event>) {
        match observation.body {
            Body::Keystroke { keystroke, client_rtt } => {
                events.push(Event::Keystroke(KeystrokeEvent { session: observation.key.session, keystroke, client_rtt }));
            }
            Body::SessionEnded(report) => self.judge(*report, observation.key.time, events),
        }
    }

    fn judge(&self, report: SessionReport, now: Timestamp, events: &mut Vec<Event>) {
        let (claim, judgement) = match &self.claims {
            None => (None, Judgement::not_testable(Verdict::NoClaim, "no claims were given", 0)),
            Some(claims) => judge_by(claims, &report),
        };
        let alerts: Vec<_> = claim
            .iter()
            .flat_map(|claim| judgement.findings.iter().map(move |finding| (claim, finding)))
            .filter(|(_, finding)| finding.severity >= Severity::Medium)
            .map(|(claim, finding)| Event::Alert(Box::new(alert(&report, claim, finding, now))))
            .collect();
        events.push(Event::Session(Box::new(SessionEvent { report, claim, judgement })));
        events.extend(alerts);
    }
}

/// What claims are found by.
#[must_use]
pub fn subject(report: &SessionReport) -> Subject {
    Subject {
        client: report.client_ip(),
        server: report.endpoints.server.ip,
        mac: report.mac.client,
        vlan: report.encapsulation.vlan,
        start: report.start,
    }
}

fn judge_by(claims: &Claims, report: &SessionReport) -> (Option<ClaimEvent>, Judgement) {
    let without = |reason: &str| (None, Judgement::not_testable(Verdict::NoClaim, reason, 0));
    match claims.find(&subject(report)) {
        Found::Nothing => without("no claim matches this session"),
        Found::Unclaimed(lease) => {
            without(&format!("the client's address was leased (leases line {}) to an identity without a claim", lease.line))
        }
        Found::Matched(identity, _) => judge_identity(claims, identity, format!("claims line {}", identity.line), report),
        Found::Leased(identity, lease) => judge_identity(claims, identity, format!("leases line {}", lease.line), report),
    }
}

fn judge_identity(
    claims: &Claims,
    identity: &Identity,
    source: String,
    report: &SessionReport,
) -> (Option<ClaimEvent>, Judgement) {
    let held: Vec<&ClaimedPlace> = identity.places.iter().filter(|place| place.holds_at(report.start)).collect();
    let mut claim = ClaimEvent {
        identity: identity.name.clone(),
        places: held.iter().map(|claimed| claimed.place.clone()).collect(),
        matched_place: None,
        distance_km: None,
        source,
        claims_sha256: claims.sha256.clone(),
    };
    let undecided = |reason: &str| Judgement::not_testable(Verdict::Undecided, reason, 0);
    if let Some(middlebox) = claims.middlebox(report.client_ip()) {
        let reason = format!("the client's TCP connection ends at the middlebox \"{}\"", middlebox.name);
        return (Some(claim), undecided(&reason));
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

fn measured(report: &SessionReport) -> Option<Measured> {
    let rtt = &report.rtt.client;
    let (floor, repeated, samples) = (rtt.floor?, rtt.repeated_floor?, rtt.samples?);
    let (value, method) = (floor.value, floor.method.name());
    Some(Measured { floor: value, method, repeated_floor: repeated.value, samples: samples.samples, prompt: rtt.prompt })
}

fn alert(report: &SessionReport, claim: &ClaimEvent, finding: &Finding, now: Timestamp) -> AlertEvent {
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
        time: now,
        session: report.id,
        community_id: report.community_id.clone(),
        start: report.start,
        claim: claim.clone(),
        endpoints: report.endpoints,
        finding: finding.clone(),
        quality: report.quality,
    }
}
