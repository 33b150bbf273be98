//! What is written down of changes (`--audit`), and what a sensor keeps no longer than it was told to. In network namespaces of its own;
//! skipped with a word where those are not permitted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "no recordings here")]
#[path = "live/lab.rs"]
mod lab;
#[expect(dead_code, reason = "captures are only read here")]
#[path = "program/pcap.rs"]
mod pcap_file;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use keywitness::output::schema;
use lab::{Lab, Sensor, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A folder that anybody may write to: the sensor is nobody.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    folder
}

fn claims(path: &Path, sensor: &str) -> String {
    let text = format!(
        "[sensor]\nname = \"{sensor}\"\nplace = \"Seattle, US\"\n[[claim]]\nidentity = \"jdoe\"\n[[claim.match]]\nclient = \
         [\"203.0.113.0/24\"]\n[[claim.place]]\nplace = \"Boise, US\"\n"
    );
    fs::write(path, &text).unwrap();
    hash(text.as_bytes())
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn entries(path: &Path) -> Vec<Value> {
    lines(path).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The file of an option in an entry: before and after.
fn of(entry: &Value, option: &str) -> (Value, Value) {
    let files = entry["files"].as_array().unwrap();
    let file = files.iter().find(|file| file["option"] == option).unwrap_or_else(|| panic!("{option} in {entry}"));
    (file["before"].clone(), file["after"].clone())
}

struct Bench {
    lab: Lab,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(test: &str) -> Option<Self> {
        let lab = Lab::new(test)?;
        lab.pair("out", "tap");
        Some(Self { lab, folder: folder() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sensor(&self, more: &[&str]) -> Sensor {
        let (claims, audit) = (self.path("claims.toml"), self.path("audit"));
        let args = ["-i", "tap", "--user", "nobody", "--format", "ndjson", "--claims", claims.to_str().unwrap()];
        self.lab.sensor_by_user(&[&args[..], &["--audit", audit.to_str().unwrap()], more].concat())
    }
}

#[test]
fn each_start_reload_and_end_is_written_down_with_what_held_before_and_after() {
    let Some(bench) = Bench::new("audit") else { return };
    let [file, config, audit] = ["claims.toml", "keywitness.toml", "audit"].map(|name| bench.path(name));
    let first = claims(&file, "one");
    fs::write(&config, "ring-size = 8\n").unwrap();
    let sensor = bench.sensor(&["--config", config.to_str().unwrap()]);
    wait_until("the start", || entries(&audit).len() == 1);
    fs::write(&file, "[sensor]\nname = 7\n").unwrap();
    sensor.signal(Signal::HUP);
    wait_until("a refusal", || entries(&audit).len() == 2);
    let second = claims(&file, "two");
    fs::write(&config, "ring-size = 16\n").unwrap();
    sensor.signal(Signal::HUP);
    wait_until("a reload", || entries(&audit).len() == 3);
    assert_eq!(sensor.stop().status, Some(0));
    // Changed while nothing ran: the next start tells.
    let third = claims(&file, "three");
    assert_eq!(bench.sensor(&[]).stop().status, Some(0));

    let entries = entries(&audit);
    let told: Vec<_> = entries.iter().map(|entry| (entry["event"].as_str().unwrap(), entry["changed"] == true)).collect();
    let expected = [("start", true), ("refused", true), ("reload", true), ("end", false), ("start", true), ("end", false)];
    assert_eq!(told, expected);
    assert_eq!(of(&entries[0], "claims"), (Value::Null, json!(first)));
    assert_eq!(of(&entries[1], "claims"), (json!(first), json!(hash(b"[sensor]\nname = 7\n"))));
    assert!(entries[1]["mistakes"].as_str().unwrap().contains("claims.toml: line 2"), "{}", entries[1]);
    assert_eq!(of(&entries[2], "claims"), (json!(first), json!(second)), "what was refused never held");
    assert_eq!(of(&entries[2], "config"), (json!(hash(b"ring-size = 8\n")), json!(hash(b"ring-size = 16\n"))));
    assert!(entries[2]["takes_restart"][0].as_str().unwrap().contains("--ring-size"), "{}", entries[2]);
    assert_eq!(of(&entries[3], "claims"), (json!(second), json!(second)));
    assert_eq!(of(&entries[4], "claims"), (json!(second), json!(third)), "across runs");
    assert_eq!(of(&entries[4], "config").1, Value::Null, "it is not used any more");
    assert_eq!([0, 2, 4].map(|entry| entries[entry]["sensor"].as_str().unwrap()), ["one", "two", "three"]);
    let owner = fs::metadata(&file).unwrap().uid();
    assert_eq!((&entries[4]["files"][0]["owner"], &entries[4]["user"]), (&json!(owner), &json!(65534)));
    assert!(entries[4]["arguments"].as_array().unwrap().contains(&json!("--audit")));

    // Each line vouches for the one before.
    let lines = lines(&audit);
    assert_eq!(entries[0]["previous"], Value::Null);
    for (line, next) in lines.iter().zip(&entries[1..]) {
        assert_eq!(next["previous"], hash(line.as_bytes()));
    }
    let schema = schema::all().into_iter().find(|(name, _)| *name == "audit").unwrap().1;
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    entries.iter().for_each(|entry| validator.validate(entry).unwrap());
    assert_eq!(fs::metadata(&audit).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn what_cannot_be_written_down_is_not_changed() {
    let Some(bench) = Bench::new("unaudited") else { return };
    let (file, audit) = (bench.path("claims.toml"), bench.path("audit"));
    claims(&file, "one");
    let sensor = bench.sensor(&[]);
    wait_until("the start", || entries(&audit).len() == 1);
    fs::rename(&audit, bench.path("audit.1")).unwrap();
    fs::create_dir(&audit).unwrap();
    claims(&file, "two");
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("the old ones stay");
    fs::remove_dir(&audit).unwrap();
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("claims were read again");
    let live = sensor.stop();
    assert_eq!((live.status, live.summary()["sensor"].as_str()), (Some(0), Some("two")));
    assert_eq!(live.log.iter().filter(|line| line.contains("claims were read again")).count(), 1, "{:?}", live.log);
    fs::create_dir(bench.path("taken")).unwrap();
    let taken = bench.path("taken");
    let run = program::keywitness(["live", "-i", "lo", "--as-root", "--audit", taken.to_str().unwrap()]);
    assert_eq!(run.status, 4);
    assert!(run.stderr.contains("--audit: "), "{}", run.stderr);
}

/// Behind the guard too, evidence that is too old goes, and nothing else.
#[test]
fn evidence_is_kept_as_long_as_it_was_said() {
    let Some(bench) = Bench::new("retention") else { return };
    let folder = bench.path("evidence");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    claims(&bench.path("claims.toml"), "one");
    for (name, hours) in [("00112233445566aa-0.pcap", 3), ("00112233445566ab-0.pcap", 1), ("notes.txt", 100)] {
        let evidence = File::create(folder.join(name)).unwrap();
        evidence.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    }
    let sensor = bench.sensor(&["--save-evidence", folder.to_str().unwrap(), "--evidence-age", "2h"]);
    sensor.wait_for_log("00112233445566aa-0.pcap was deleted");
    assert_eq!(sensor.stop().status, Some(0));
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["00112233445566ab-0.pcap", "notes.txt"]);
}
