//! Alerts: onto the disk, and into each format.

use criterion::{BatchSize, Criterion, Throughput};
use keywitness::{
    output::alert::{Alert, Payload, Style},
    run::spool::{Limits, Spool},
};

use crate::many;

pub(crate) fn stage(criterion: &mut Criterion) {
    let alerts = many(20_000);
    let record = record();
    let mut group = criterion.benchmark_group("alert");
    group.throughput(Throughput::Elements(alerts as u64));
    let folder = tempfile::tempdir().unwrap();
    // From a thread to the disk, until all of them are accepted.
    group.bench_function("accepted by the spool", |bencher| {
        bencher.iter_batched(
            || (0..alerts).map(|_| record.clone()).collect::<Vec<_>>(),
            |records| {
                let (queue, thread) = Spool::open(folder.path(), Limits::default(), Vec::new()).unwrap().start().unwrap();
                records.into_iter().for_each(|record| queue.push(record));
                drop(queue);
                thread.join().unwrap();
            },
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(1));
    for payload in [Payload::Structured, Payload::Cef, Payload::Leef, Payload::Ecs, Payload::Ocsf] {
        group.bench_function(format!("written as {payload}"), |bencher| {
            bencher.iter(|| Alert::parse(&record).unwrap().write(Style { payload, ..Style::default() }).len());
        });
    }
    group.finish();
}

fn record() -> Vec<u8> {
    let explanation = "The smallest stable round trip to the client is 166.2 ms (p2, 207 samples), 76.0 ms more than the 90.2 ms that \
        Denver, Colorado, US explains (1641 km from Seattle, Washington, US by fiber access, typically 41 ms).";
    serde_json::json!({
        "schema": "keywitness/1", "record": "alert", "sensor": "tap", "alert_id": "cf6188c62adbe48e", "revision": 0,
        "time": "2026-11-22T15:19:33.141855117Z", "session_id": "9807f7daac41daf1", "community_id": "1:S6umLiWxbN0mLU13lVB1gWFMOnI=",
        "protocol": "ssh", "start": "2026-11-22T15:18:45.276771619Z", "identity": "asmith",
        "client": {"ip": "203.0.113.17", "port": 41346, "mac": null}, "server": {"ip": "198.51.100.2", "port": 22, "mac": null},
        "severity": "medium", "finding": {
            "id": "rtt_above_claim", "severity": "medium", "basis": "model", "measured": 166.245093, "expected": 90.245095,
            "margin": 75.999998, "unit": "ms", "samples": 207, "explanation": explanation,
            "innocent_causes": [explanation, explanation], "attack": ["T1078", "T1133"],
        },
        "claim": {
            "identity": "asmith", "places": ["Denver, Colorado, US"], "matched_place": "Denver, Colorado, US", "distance_km": 1641.4,
            "source": "claims line 17", "claims_sha256": "4742e191e02c7e893db1ddba5514507a7669a6265f8aebe94c5a6e1e9ffeda9e",
        },
        "quality": {"score": 1.0}, "message": explanation,
    })
    .to_string()
    .into_bytes()
}
