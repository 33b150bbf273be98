//! Records: sessions as each format writes them.

use criterion::{Criterion, Throughput};
use keywitness::{
    correlator::Correlator,
    engine::{Engine, EngineLimits},
    event::{Event, Summary},
    output::{Context, Csv, Format, Ndjson, Table},
};

use crate::{recording::Recording, traffic::Kind};

pub(crate) fn stage(criterion: &mut Criterion) {
    let events = events();
    let (sessions, keystrokes): (Vec<_>, Vec<_>) = events.iter().partition(|event| matches!(event, Event::Session(_)));
    assert!(!sessions.is_empty() && keystrokes.len() > sessions.len(), "people type");
    let context = || Context { inputs: vec!["memory".to_owned()], ..Context::default() };
    type Make<'a> = &'a dyn Fn() -> Box<dyn Format>;
    let formats: [(&str, &[&Event], Make<'_>); 4] = [
        ("session as NDJSON", &sessions, &|| Box::new(Ndjson::new(context()))),
        ("session as CSV", &sessions, &|| Box::new(Csv::new(context()))),
        ("session as a table", &sessions, &|| Box::new(Table::new(false))),
        ("keystroke as NDJSON", &keystrokes, &|| Box::new(Ndjson::new(context()))),
    ];
    let mut group = criterion.benchmark_group("output");
    for (name, events, make) in formats {
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_function(name, |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                let mut format = make();
                events.iter().for_each(|event| format.event(event, &mut out));
                // The table waits for all its rows.
                format.finish(&Summary::default(), &mut out);
                out.len()
            });
        });
    }
    group.finish();
}

/// What comes of sessions in which somebody types.
fn events() -> Vec<Event> {
    let recording = Recording::of(Kind::Inter, 0.04);
    let (mut engine, mut correlator) = (Engine::new(EngineLimits::default()), Correlator::new(None));
    recording.batches().for_each(|batch| engine.handle_batch(&batch));
    engine.finish();
    let mut events = Vec::new();
    while let Some(observation) = engine.poll_observation() {
        correlator.handle(observation, &mut events);
    }
    events
}
