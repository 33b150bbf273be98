//! `rtt_above_claim`: even the smallest round trip is larger than the claimed place explains. A model, not a proof: slow is
//! not far, it only leaves room for it.

use super::{
    Basis, Finding, Measured, Outcome, PlaceClaim, Severity, Test,
    delay_model::{Expected, reach_km},
    verdict::MIN_SAMPLES,
};

pub(super) const ID: &str = "rtt_above_claim";

const INNOCENT: &[&str] = &[
    "a VPN, SASE or mobile carrier gateway that is not in the claims takes the path elsewhere first",
    "another kind of access than claimed (mobile, satellite, a hotspot)",
    "a bad route of the client's provider, which can last for months",
    "a line that was full during the whole session",
    "the sensor's place, or the claimed one, is entered wrong, or the client was travelling",
];

const ATTACK: &[&str] = &["T1078", "T1133"];

/// Holds the floor, with its error in the client's favour, against the upper envelope. What accuses must be TCP's own answers.
pub(super) fn test(measured: &Measured, expected: &Expected, claim: &PlaceClaim<'_>) -> (Test, Option<Finding>) {
    let (floor, upper) = (measured.floor, expected.upper);
    if floor <= upper {
        let reason = format!(
            "{:.1} ms, up to {:.1} ms expected from {:.0} km away by {} access",
            floor.as_millis_f64(),
            upper.as_millis_f64(),
            expected.path_km,
            claim.access.name()
        );
        return (Test { id: ID, outcome: Outcome::Fits, reason, samples: measured.samples }, None);
    }
    if measured.prompt < MIN_SAMPLES {
        let reason = format!(
            "{:.1} ms is an upper bound only: {} of {} round trips were completed by an acknowledgement without data, \
             {MIN_SAMPLES} needed (a capture that a filter thinned out holds few)",
            floor.as_millis_f64(),
            measured.prompt,
            measured.samples
        );
        return (Test { id: ID, outcome: Outcome::NotTestable, reason, samples: measured.samples }, None);
    }
    let margin = floor - upper;
    let severity = if margin > measured.error() { Severity::Medium } else { Severity::Low };
    let explanation = format!(
        "The smallest stable round trip to the client is {:.1} ms ({}, {} samples), {:.1} ms more than the {:.1} ms that {} \
         explains ({:.0} km from {} by {} access, typically {:.0} ms), which leaves room for a client up to {:.0} km away but \
         does not show where it is.",
        floor.as_millis_f64(),
        measured.method,
        measured.samples,
        margin.as_millis_f64(),
        upper.as_millis_f64(),
        claim.name(),
        expected.path_km,
        claim.sensor.name(),
        claim.access.name(),
        expected.typical.as_millis_f64(),
        reach_km(floor),
    );
    let reason = format!("{:.1} ms, up to {:.1} ms expected", floor.as_millis_f64(), upper.as_millis_f64());
    let finding = Finding {
        id: ID,
        severity,
        basis: Basis::Model,
        measured: floor,
        expected: upper,
        margin,
        samples: measured.samples,
        explanation,
        innocent_causes: INNOCENT,
        attack: ATTACK,
    };
    (Test { id: ID, outcome: Outcome::Exceeds, reason, samples: measured.samples }, Some(finding))
}
