//! When keys were pressed in a capture, to hold what is told against it.

use std::fs;

use serde_json::Value;

use super::program::repository;

const MILLISECOND: i64 = 1_000_000;

/// A capture in `pcaps`: when keys were pressed and let go of, and the way to the sensor.
pub(crate) struct Typed {
    pub(crate) keys: Vec<i64>,
    pub(crate) releases: Vec<i64>,
    pub(crate) first_prompt: Option<i64>,
    pub(crate) one_way: i64,
}

impl Typed {
    pub(crate) fn of(name: &str) -> Self {
        let read = |kind| fs::read_to_string(repository().join(format!("pcaps/{name}.{kind}"))).unwrap();
        let events: Vec<Value> = read("truth.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let meta: Value = serde_json::from_str(&read("meta.json")).unwrap();
        let times = |kinds: [&str; 2]| {
            let mut times: Vec<i64> = events
                .iter()
                .filter(|event| kinds.iter().any(|kind| event["ev"] == *kind))
                .map(|event| event["t"].as_i64().unwrap())
                .collect();
            times.sort_unstable();
            times
        };
        let one_way = (meta["near"]["ab"]["base"].as_f64().unwrap() * MILLISECOND as f64) as i64;
        let first_prompt = times(["seen", "seen"]).first().copied();
        // Modifiers cross protocols of desktops and never a terminal; its recordings have none.
        Self { keys: times(["key", "mod"]), releases: times(["up", "modup"]), first_prompt, one_way }
    }

    /// How many reports are of a key each, at most so much later than the path.
    pub(crate) fn hits(&self, reports: &[i64], late_ms: i64) -> usize {
        self.hits_of(&self.keys, reports, late_ms)
    }

    /// The same of any of its events.
    pub(crate) fn hits_of(&self, events: &[i64], reports: &[i64], late_ms: i64) -> usize {
        let mut events = events.iter().map(|event| event + self.one_way).peekable();
        let late = |event: i64, report: i64| report - event;
        let hit = |report: &&i64| {
            while events.next_if(|event| late(*event, **report) > late_ms * MILLISECOND).is_some() {}
            events.next_if(|event| late(*event, **report) >= -2 * MILLISECOND).is_some()
        };
        reports.iter().filter(hit).count()
    }
}
