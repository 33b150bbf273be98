//! The verdict over all tests of a session.

use super::{
    Finding, Measured, Outcome, PlaceClaim, Severity, Test, relay_before_client::Relay, rtt_above_claim, rtt_below_claim,
};

/// Round trips below which no floor is judged: fewer may all have been delayed (about a tenth of acknowledgements are,
/// by up to 40 ms; that ten of ten are is less likely than one in 10^9).
pub const MIN_SAMPLES: u64 = 10;

/// The answer for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is claimed.
    NoClaim,
    /// Every test that could run fits, the round-trip tests among them. It never means "genuine".
    Consistent,
    /// Something is missing; the tests say what.
    Undecided,
    /// A finding about the origin of at least medium severity stands.
    Implausible,
}

impl Verdict {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoClaim => "no_claim",
            Self::Consistent => "consistent",
            Self::Undecided => "undecided",
            Self::Implausible => "implausible",
        }
    }
}

/// What is said of one claimed place.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The answer.
    pub verdict: Verdict,
    /// Every test, those that could not run among them.
    pub tests: Vec<Test>,
    /// What does not fit.
    pub findings: Vec<Finding>,
}

impl Judgement {
    /// A judgement without a measurement: every test says why it could not run.
    #[must_use]
    pub fn not_testable(verdict: Verdict, reason: &str, samples: u64) -> Self {
        let test = |id| Test { id, outcome: Outcome::NotTestable, reason: reason.to_owned(), samples };
        Self { verdict, tests: vec![test(rtt_below_claim::ID), test(rtt_above_claim::ID)], findings: Vec::new() }
    }

    /// With what was found in front of the client, which no claimed place explains. Where nothing is claimed, nothing is judged; what
    /// was found stands all the same.
    #[must_use]
    pub fn with_relay(mut self, relay: Relay) -> Self {
        let severity = relay.finding.as_ref().map(|finding| finding.severity);
        self.verdict = match (self.verdict, severity) {
            (Verdict::NoClaim, _) => Verdict::NoClaim,
            (_, Some(severity)) if severity >= Severity::Medium => Verdict::Implausible,
            (Verdict::Consistent, Some(_)) => Verdict::Undecided,
            (Verdict::Consistent, None) if relay.in_doubt => Verdict::Undecided,
            (verdict, _) => verdict,
        };
        self.tests.push(relay.test);
        self.findings.extend(relay.finding);
        self
    }

    /// How far from fitting: the sum of the margins.
    fn excess(&self) -> i64 {
        self.findings.iter().map(|finding| finding.margin.as_nanos()).sum()
    }
}

/// Judges a measured round trip against one claimed place.
#[must_use]
pub fn judge_place(measured: Option<&Measured>, claim: &PlaceClaim<'_>) -> Judgement {
    let Some(measured) = measured else {
        return Judgement::not_testable(Verdict::Undecided, "no round trip to the client was measured", 0);
    };
    if measured.samples < MIN_SAMPLES {
        let reason = format!("{} round trips measured, {MIN_SAMPLES} needed", measured.samples);
        return Judgement::not_testable(Verdict::Undecided, &reason, measured.samples);
    }
    let expected = claim.expected();
    let (below, below_finding) = rtt_below_claim::test(measured, &expected, claim);
    let (above, above_finding) = rtt_above_claim::test(measured, &expected, claim);
    let tests = vec![below, above];
    let findings: Vec<Finding> = below_finding.into_iter().chain(above_finding).collect();
    let verdict = if findings.iter().any(|finding| finding.severity >= Severity::Medium) {
        Verdict::Implausible
    } else if tests.iter().all(|test| test.outcome == Outcome::Fits) {
        Verdict::Consistent
    } else {
        Verdict::Undecided
    };
    Judgement { verdict, tests, findings }
}

/// Judges against several places, any of which may hold: the one that fits best speaks. Gives its position too.
#[must_use]
pub fn judge_places(measured: Option<&Measured>, claims: &[PlaceClaim<'_>]) -> Option<(usize, Judgement)> {
    claims
        .iter()
        .map(|claim| judge_place(measured, claim))
        .enumerate()
        .min_by_key(|(_, judgement)| (judgement.verdict, judgement.excess()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::{Basis, delay_model::Access, place::Place},
        time::Span,
    };

    fn places() -> (Place, Place) {
        (Place::named("Seattle", 47.61, -122.33).unwrap(), Place::named("Boise", 43.61, -116.20).unwrap())
    }

    fn judge(floor_ms: f64, samples: u64) -> Judgement {
        let (sensor, place) = places();
        let claim = PlaceClaim { sensor: &sensor, place: &place, radius_km: 50.0, via: None, access: Access::Cable };
        let floor = Span::from_nanos((floor_ms * 1e6) as i64);
        judge_place(Some(&Measured { floor, method: "p2", repeated_floor: floor, samples, prompt: samples }), &claim)
    }

    #[test]
    fn near_is_consistent_and_far_is_not() {
        for ms in [8.0, 12.0, 35.0, 75.0, 100.0] {
            assert_eq!(judge(ms, 100).verdict, Verdict::Consistent, "{ms} ms");
        }
        for ms in [110.0, 230.0] {
            let judgement = judge(ms, 100);
            assert_eq!(judgement.verdict, Verdict::Implausible, "{ms} ms");
            assert_eq!((judgement.findings[0].id, judgement.findings[0].basis), ("rtt_above_claim", Basis::Model));
        }
    }

    #[test]
    fn an_excess_within_the_error_accuses_nobody() {
        let judgement = judge(102.0, 100);
        assert_eq!(judgement.verdict, Verdict::Undecided);
        assert_eq!(judgement.findings[0].severity, Severity::Low);
    }

    #[test]
    fn faster_than_light_is_physics_and_faster_than_fibre_a_model() {
        let physics = judge(2.0, 100);
        assert_eq!((physics.verdict, physics.findings[0].basis), (Verdict::Implausible, Basis::Physics));
        let model = judge(4.5, 100);
        assert_eq!((model.verdict, model.findings[0].basis), (Verdict::Implausible, Basis::Model));
        assert_eq!(judge(5.5, 100).verdict, Verdict::Consistent, "within the error of the measurement");
    }

    #[test]
    fn a_single_small_sample_excuses_and_does_not_accuse() {
        let (sensor, place) = places();
        let claim = PlaceClaim { sensor: &sensor, place: &place, radius_km: 50.0, via: None, access: Access::Cable };
        let judge = |floor, repeated_floor| {
            let (floor, repeated_floor) = (Span::from_millis(floor), Span::from_millis(repeated_floor));
            judge_place(Some(&Measured { floor, method: "handshake", repeated_floor, samples: 50, prompt: 50 }), &claim).verdict
        };
        assert_eq!(judge(70, 110), Verdict::Consistent, "every acknowledgement was delayed");
        assert_eq!(judge(1, 30), Verdict::Consistent, "one stamp was wrong");
    }

    #[test]
    fn without_evidence_it_is_undecided_and_says_what_is_missing() {
        let judgement = judge(230.0, 9);
        assert_eq!(judgement.verdict, Verdict::Undecided);
        assert!(judgement.tests.iter().all(|test| test.outcome == Outcome::NotTestable && test.reason.contains("10 needed")));
    }

    #[test]
    fn round_trips_that_waited_for_data_excuse_and_do_not_accuse() {
        let (sensor, place) = places();
        let claim = PlaceClaim { sensor: &sensor, place: &place, radius_km: 50.0, via: None, access: Access::Cable };
        let judge = |ms, prompt| {
            let floor = Span::from_millis(ms);
            judge_place(Some(&Measured { floor, method: "p2", repeated_floor: floor, samples: 500, prompt }), &claim)
        };
        assert_eq!(judge(230, 10).verdict, Verdict::Implausible);
        assert_eq!(judge(75, 0).verdict, Verdict::Consistent, "an upper bound that fits, fits");
        let judgement = judge(230, 9);
        assert_eq!((judgement.verdict, judgement.findings.len()), (Verdict::Undecided, 0));
        assert!(judgement.tests[1].reason.contains("without data"), "{}", judgement.tests[1].reason);
    }

    #[test]
    fn any_place_that_fits_is_enough() {
        let (sensor, boise) = places();
        let lisbon = Place::named("Lisbon", 38.72, -9.14).unwrap();
        let claim = |place| PlaceClaim { sensor: &sensor, place, radius_km: 50.0, via: None, access: Access::Cable };
        let measured = Measured {
            floor: Span::from_millis(180),
            method: "p2",
            repeated_floor: Span::from_millis(180),
            samples: 50,
            prompt: 50,
        };
        let (which, judgement) = judge_places(Some(&measured), &[claim(&boise), claim(&lisbon)]).unwrap();
        assert_eq!((which, judgement.verdict), (1, Verdict::Consistent));
    }

    #[test]
    fn the_sentence_names_its_numbers() {
        let judgement = judge(110.9, 412);
        let sentence = &judgement.findings[0].explanation;
        for part in ["110.9 ms", "412 samples", "Boise", "Seattle", "cable", "100.5 ms", "does not show where"] {
            assert!(sentence.contains(part), "{part} missing in: {sentence}");
        }
    }
}
