//! A round trip that somebody states, without a capture: what would be said of it.

use super::{
    Measured, PlaceClaim,
    delay_model::{Expected, reach_km},
    verdict::{Judgement, MIN_SAMPLES, judge_place},
};
use crate::time::Span;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry<'a> {
    /// The claim, and where the sensor stands.
    pub claim: PlaceClaim<'a>,
    /// The smallest stable round trip to the client.
    pub round_trip: Span,
    /// Round trips behind it. `None` counts as [`MIN_SAMPLES`], the fewest that are judged: whoever does not say is taken to
    /// have measured well, and no more than that.
    pub samples: Option<u64>,
}

/// What is said of it, and the bounds that it rests on.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The claim that was asked about.
    pub claim: PlaceClaim<'a>,
    /// The round trip as it was judged.
    pub measured: Measured,
    /// What the claim allows.
    pub expected: Expected,
    /// Tests, findings, verdict.
    pub judgement: Judgement,
    /// The farthest that the client can be, in kilometres.
    pub reach_km: f64,
}

impl<'a> Inquiry<'a> {
    /// Judges as the round trips of a session are judged.
    #[must_use]
    pub fn answer(&self) -> Answer<'a> {
        let samples = self.samples.unwrap_or(MIN_SAMPLES);
        let measured =
            Measured { floor: self.round_trip, method: "given", repeated_floor: self.round_trip, samples, prompt: samples };
        Answer {
            claim: self.claim,
            measured,
            expected: self.claim.expected(),
            judgement: judge_place(Some(&measured), &self.claim),
            reach_km: reach_km(self.round_trip),
        }
    }
}
