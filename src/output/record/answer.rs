//! What `judge` answers.

use schemars::JsonSchema;
use serde::Serialize;

use super::{FindingRecord, session::TestRecord};
use crate::{judge::inquiry::Answer, output::escape};

/// The answer to one question.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct AnswerRecord<'a> {
    /// The answer. `consistent` means that nothing contradicts the claim, never "genuine"; `undecided` that it
    /// could not be said, and `tests` tell why.
    #[schemars(extend("enum" = ["consistent", "implausible", "undecided"]))]
    verdict: &'static str,
    /// Every test, those that could not run among them.
    tests: Vec<TestRecord<'a>>,
    /// What does not fit; empty where everything does.
    findings: Vec<FindingRecord<'a>>,
    /// Great circle from the sensor to the claimed place, in kilometres to 0.1.
    distance_km: f64,
    /// Round trips that the claim allows, in milliseconds.
    expected_ms: ExpectedRecord,
    /// How far away the client can be, in kilometres.
    reach_km: ReachRecord,
}

impl<'a> AnswerRecord<'a> {
    pub(in crate::output) fn new(answer: &'a Answer<'_>) -> Self {
        let expected = &answer.expected;
        Self {
            verdict: answer.judgement.verdict.name(),
            tests: answer.judgement.tests.iter().map(TestRecord::new).collect(),
            findings: answer.judgement.findings.iter().map(FindingRecord::new).collect(),
            distance_km: (expected.path_km * 10.0).round() / 10.0,
            expected_ms: ExpectedRecord {
                vacuum: expected.vacuum.as_millis_f64(),
                fibre: expected.fibre.as_millis_f64(),
                typical: expected.typical.as_millis_f64(),
                upper: expected.upper.as_millis_f64(),
            },
            reach_km: ReachRecord { farthest: (answer.reach_km * 10.0).round() / 10.0 },
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct ExpectedRecord {
    /// Light in vacuum from the near edge of the claimed place and back, in milliseconds: physics.
    vacuum: f64,
    /// The same for light in fibre, in milliseconds.
    fibre: f64,
    /// What is usual, in milliseconds.
    typical: f64,
    /// What nearly all honest clients stay under, in milliseconds: a model.
    upper: f64,
}

#[derive(Serialize, JsonSchema)]
struct ReachRecord {
    /// As far as light in fibre gets in the round trip given, in kilometres to 0.1; at most half of a great circle.
    farthest: f64,
}

/// What stands in the place of an answer to a line that could not be read.
#[derive(Serialize, JsonSchema)]
pub(in crate::output) struct RefusalRecord {
    /// What is wrong with the line; quotes are escaped.
    error: String,
}

impl RefusalRecord {
    /// The text may quote the line.
    pub(in crate::output) fn new(error: &str) -> Self {
        Self { error: escape::uncut(error.as_bytes()) }
    }
}
