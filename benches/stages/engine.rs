//! The engine, from batches of frames to observations.

use criterion::{Criterion, Throughput};
use keywitness::{
    engine::{Engine, EngineLimits},
    wire::{Transport, peek},
};

use crate::{recording::Recording, traffic::Kind};

/// The port of web servers.
const TLS: u16 = 443;

pub(crate) fn stage(criterion: &mut Criterion) {
    let mix = Recording::of(Kind::Mix, 0.1);
    let bulk = mix.map(|frame| match peek(frame)?.transport {
        Transport::Tcp(segment) if segment.src_port == TLS || segment.dst_port == TLS => Some(frame.bytes.to_vec()),
        _ => None,
    });
    let kinds = [
        ("smallest TCP", Recording::of(Kind::Small, 0.04)),
        ("bulk TCP", bulk),
        ("interactive SSH", Recording::of(Kind::Inter, 0.06)),
        ("mixed", mix),
        ("many flows", Recording::of(Kind::Flows, 0.01)),
    ];
    let mut group = criterion.benchmark_group("engine");
    let [_, _, (_, typed), ..] = &kinds;
    group.throughput(Throughput::Elements(typed.len()));
    group.bench_function("interactive SSH, all keystrokes handed on", |bencher| bencher.iter(|| observe(typed, true)));
    for (name, recording) in &kinds {
        let observations = observe(recording, false);
        assert!(observations > 0 || matches!(*name, "smallest TCP" | "bulk TCP" | "many flows"), "{name}: no session was found");
        group.throughput(Throughput::Elements(recording.len()));
        group.bench_function(*name, |bencher| bencher.iter(|| observe(recording, false)));
    }
    group.finish();
}

/// How many observations an engine makes.
fn observe(recording: &Recording, keystrokes: bool) -> usize {
    let mut engine = Engine::new(EngineLimits { keystrokes, ..EngineLimits::default() });
    let mut observations = 0;
    for batch in recording.batches() {
        engine.handle_batch(&batch);
        observations += std::iter::from_fn(|| engine.poll_observation()).count();
    }
    engine.finish();
    observations + std::iter::from_fn(|| engine.poll_observation()).count()
}
