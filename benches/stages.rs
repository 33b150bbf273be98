//! What each stage takes, on traffic made in memory from fixed seeds: `cargo bench --bench stages`, or with the name of one:
//! `cargo bench --bench stages -- decode`.
//!
//! Throughput is in elements: packets, keys, samples, look-ups, lines or records; a millisecond an element is a thousand a second. Without
//! `--bench` (`cargo test --benches`) each is run once, on less.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a bench may fail")]

#[path = "stages/capture.rs"]
mod capture;
#[path = "stages/decode.rs"]
mod decode;
#[path = "stages/engine.rs"]
mod engine;
#[path = "stages/flow.rs"]
mod flow;
#[path = "stages/judge.rs"]
mod judge;
#[path = "stages/measure.rs"]
mod measure;
#[path = "stages/output.rs"]
mod output;
#[path = "stages/recording.rs"]
mod recording;
#[path = "stages/spool.rs"]
mod spool;
mod traffic;

use std::{env, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};

/// Whether it is to be measured; otherwise only whether it works.
fn is_measured() -> bool {
    env::args().any(|arg| arg == "--bench")
}

/// So many of something, or fewer where nothing is measured.
fn many(count: usize) -> usize {
    if is_measured() { count } else { count.min(2_000) }
}

fn settings() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = stages;
    config = settings();
    targets = capture::stage, decode::stage, flow::stage, engine::stage, measure::stage, judge::stage, output::stage, spool::stage
}
criterion_main!(stages);
