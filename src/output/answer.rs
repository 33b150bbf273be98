//! Answers of `judge`: as a line of JSON, and as a block to read.

use std::fmt::Write as _;

use super::{
    escape,
    ndjson::line,
    record::{AnswerRecord, RefusalRecord},
    table::{finding, wrap},
};
use crate::{
    judge::{Outcome, inquiry::Answer, verdict::Verdict},
    time::Span,
};

/// Adds an answer as one line of JSON.
pub fn ndjson(answer: &Answer<'_>, out: &mut Vec<u8>) {
    line(out, &AnswerRecord::new(answer));
}

/// Adds what stands in the place of an answer to a line that could not be read; the text may quote the line.
pub fn refusal(error: &str, out: &mut Vec<u8>) {
    line(out, &RefusalRecord::new(error));
}

/// Adds an answer as a block of text: the distance, what it lets expect, the verdict and its reasons.
pub fn text(answer: &Answer<'_>, out: &mut Vec<u8>) {
    let (claim, expected) = (&answer.claim, &answer.expected);
    let mut text = String::new();
    let heading = format!(
        "{}, {:.0} km from {}, by {} access",
        escape::text(claim.name().as_bytes()),
        expected.path_km,
        escape::text(claim.sensor.name().as_bytes()),
        claim.access.name()
    );
    wrap(&mut text, "", &heading);
    let rows: [(&str, Span, &str); 5] = [
        ("light in vacuum", expected.vacuum, "physics: nothing is faster"),
        ("light in fibre", expected.fibre, "nearly nothing is faster"),
        ("typical", expected.typical, ""),
        ("at most", expected.upper, "what nearly all honest paths of that length stay under"),
        ("given", answer.measured.floor, ""),
    ];
    text.push('\n');
    for (name, span, meaning) in rows {
        let row = format!("  {name:<15} {:>9.1} ms  {meaning}", span.as_millis_f64());
        let _ = writeln!(text, "{}", row.trim_end());
    }
    let _ =
        writeln!(text, "  {:<15} {:>9.0} km  as far as light in fibre gets in the round trip given", "reach", answer.reach_km);
    let _ = writeln!(text, "\n{}", answer.judgement.verdict.name());
    reasons(answer, &mut text);
    out.extend(text.as_bytes());
}

/// Every finding, or why there is none.
fn reasons(answer: &Answer<'_>, text: &mut String) {
    for found in &answer.judgement.findings {
        finding(text, found);
    }
    for test in answer.judgement.tests.iter().filter(|test| test.outcome != Outcome::Exceeds) {
        wrap(text, "  ", &format!("{} {}: {}", test.id, test.outcome.name(), test.reason));
    }
    if answer.judgement.verdict == Verdict::Consistent {
        text.push_str("  Nothing contradicts the claim; that does not make it true.\n");
    }
}
