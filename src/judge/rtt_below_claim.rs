//! `rtt_below_claim`: the round trip beats light from the claimed place, so whoever answers is nearer than that.

use super::{Basis, Finding, Measured, Outcome, PlaceClaim, Severity, Test, delay_model::Expected};

pub(super) const ID: &str = "rtt_below_claim";

const INNOCENT: &[&str] = &[
    "the client was nearer than claimed for a harmless reason (travel, office)",
    "a VPN gateway, SASE point of presence, load balancer or bastion near the sensor ends the client's TCP connection",
    "the sensor's place, or the claimed one, is entered wrong",
    "capture timestamps are wrong (stalled or virtual sensor)",
];

const ATTACK: &[&str] = &["T1090", "T1078"];

/// Holds the floor, with its error in the client's favour, against light.
pub(super) fn test(measured: &Measured, expected: &Expected, claim: &PlaceClaim<'_>) -> (Test, Option<Finding>) {
    let at_most = measured.repeated_floor + measured.error();
    let (bound, basis, severity, medium) = if at_most < expected.vacuum {
        (expected.vacuum, Basis::Physics, Severity::High, "in vacuum")
    } else if at_most < expected.fibre {
        (expected.fibre, Basis::Model, Severity::Medium, "in fibre")
    } else {
        let reason = format!(
            "{:.1} ms, {:.1} ms needed by light in fibre over {:.0} km",
            measured.repeated_floor.as_millis_f64(),
            expected.fibre.as_millis_f64(),
            expected.path_km
        );
        return (Test { id: ID, outcome: Outcome::Fits, reason, samples: measured.samples }, None);
    };
    let margin = bound - measured.repeated_floor;
    let explanation = format!(
        "The round trip to the client is {:.1} ms (robust floor of {} samples), but light {medium} needs at least {:.1} ms to {} and back \
         ({:.0} km from {}), so what answers here is nearer than the claim by {:.1} ms.",
        measured.repeated_floor.as_millis_f64(),
        measured.samples,
        bound.as_millis_f64(),
        claim.name(),
        expected.path_km,
        claim.sensor.name(),
        margin.as_millis_f64(),
    );
    let reason =
        format!("{:.1} ms, {:.1} ms needed by light {medium}", measured.repeated_floor.as_millis_f64(), bound.as_millis_f64());
    let finding = Finding {
        id: ID,
        severity,
        basis,
        measured: measured.repeated_floor,
        expected: bound,
        margin,
        samples: measured.samples,
        explanation,
        innocent_causes: INNOCENT,
        attack: ATTACK,
    };
    (Test { id: ID, outcome: Outcome::Exceeds, reason, samples: measured.samples }, Some(finding))
}
