//! What `judge` answers.

use serde::Serialize;

use super::{FindingRecord, session::TestRecord};
use crate::{judge::inquiry::Answer, output::escape};

/// The answer to one question.
#[derive(Serialize)]
pub(in crate::output) struct AnswerRecord<'a> {
    verdict: &'static str,
    tests: Vec<TestRecord<'a>>,
    findings: Vec<FindingRecord<'a>>,
    distance_km: f64,
    expected_ms: ExpectedRecord,
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

#[derive(Serialize)]
struct ExpectedRecord {
    vacuum: f64,
    fibre: f64,
    typical: f64,
    upper: f64,
}

#[derive(Serialize)]
struct ReachRecord {
    farthest: f64,
}

/// What stands in the place of an answer to a line that could not be read.
#[derive(Serialize)]
pub(in crate::output) struct RefusalRecord {
    error: String,
}

impl RefusalRecord {
    /// The text may quote the line.
    pub(in crate::output) fn new(error: &str) -> Self {
        Self { error: escape::uncut(error.as_bytes()) }
    }
}
