//! Alerts that wait in a spool.

use std::path::{Path, PathBuf};

use keywitness::run::spool::{Limits, Log};
use serde_json::{Value, json};

/// A spool that alerts wait in, this many of them.
pub(crate) fn spool_of(folder: &Path, alerts: u64) -> PathBuf {
    let path = folder.join("spool");
    let limits = Limits { bytes: 4 << 30, ..Limits::default() };
    let mut log = Log::open(&path, limits).unwrap().0;
    let numbers: Vec<u64> = (0..alerts).collect();
    for some in numbers.chunks(512) {
        let records: Vec<String> = some.iter().map(|number| record(*number).to_string()).collect();
        assert_eq!(log.append(&records), some.len());
    }
    path
}

/// An alert as it stands in a spool.
pub(crate) fn record(number: u64) -> Value {
    json!({
        "schema": "keywitness/1", "record": "alert", "sensor": "tap-1", "alert_id": format!("{number:016x}"), "revision": number % 3,
        "time": "2026-11-22T15:19:33.141855117Z", "session_id": "9807f7daac41daf1",
        "community_id": "1:S6umLiWxbN0mLU13lVB1gWFMOnI=", "protocol": "ssh", "start": "2026-11-22T15:18:45.276771619Z",
        "identity": "a]s\"m\\ith", "client": {"ip": "203.0.113.17", "port": 41346, "mac": null},
        "server": {"ip": "198.51.100.2", "port": 22, "mac": null}, "severity": "medium",
        "finding": {
            "id": "rtt_above_claim", "severity": "medium", "basis": "model", "measured": 166.245, "expected": 90.25, "margin": 76.0,
            "unit": "ms", "samples": 207, "explanation": "Too far.", "innocent_causes": ["a detour"], "attack": ["T1078"],
        },
        "claim": {
            "identity": "a]s\"m\\ith", "places": ["Denver"], "matched_place": "Denver", "distance_km": 1641.4, "source": "claims line 17",
            "claims_sha256": "4742e191",
        },
        "quality": {"score": 1.0}, "message": "a]s\"m\\ith: Too far.",
    })
}
