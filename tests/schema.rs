//! The schemas in `deploy/schema` and the field reference are made from the types that write the records, and every record
//! of every capture is as they say. `KEYWITNESS_BLESS=1 cargo test --test schema` writes them anew.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "schema/fields.rs"]
mod fields;
#[expect(dead_code, reason = "captures are written here, not read")]
#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "no times are read here")]
mod program;
#[path = "program/traffic.rs"]
mod traffic;

use std::{collections::BTreeMap, env, fs, io::Write, process::Stdio, thread};

use jsonschema::Validator;
use keywitness::output::schema;
use program::{Run, captures, command, keywitness, repository};
use serde_json::{Value, json};

/// A file of `deploy` that is made from the schemas.
fn generated() -> BTreeMap<String, String> {
    let schemas = schema::all();
    let mut files: BTreeMap<String, String> =
        schemas.iter().map(|(name, schema)| (format!("deploy/schema/{name}.json"), format!("{schema:#}\n"))).collect();
    files.insert("deploy/fields.md".to_owned(), fields::page(&schemas));
    files
}

#[test]
fn the_files_are_up_to_date() {
    let bless = env::var_os("KEYWITNESS_BLESS").is_some();
    for (name, text) in generated() {
        let path = repository().join(&name);
        if bless {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{name} is out of date: KEYWITNESS_BLESS=1 cargo test --test schema");
    }
    let known = fs::read_dir(repository().join("deploy/schema")).unwrap().count();
    assert_eq!(known, schema::all().len(), "deploy/schema holds nothing else");
}

#[test]
fn every_field_says_what_it_is() {
    for (name, schema) in schema::all() {
        for field in fields::of(&schema) {
            assert!(field.description.ends_with('.'), "{name}: {} has no description", field.path);
            assert!(!field.kind.contains("null") || field.description.to_lowercase().contains("null"), "{name}: {}", field.path);
        }
    }
}

/// By record; stricter than what is shipped, since a field that no schema knows is a field without documentation.
fn validators() -> BTreeMap<&'static str, Validator> {
    let strict = |mut schema: Value| {
        jsonschema::meta::validate(&schema).unwrap();
        close(&mut schema);
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    };
    schema::all().into_iter().map(|(name, schema)| (name, strict(schema))).collect()
}

fn close(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        if fields.contains_key("properties") {
            fields.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
        fields.values_mut().for_each(close);
    } else if let Value::Array(entries) = schema {
        entries.iter_mut().for_each(close);
    }
}

fn assert_valid(validator: &Validator, record: &Value) {
    let errors: Vec<String> = validator.iter_errors(record).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{record}\n{}", errors.join("\n"));
}

#[test]
fn every_record_of_every_capture_is_valid() {
    let validators = validators();
    let files: Vec<String> = captures().into_iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let mut seen = BTreeMap::new();
    for claims in [&["--claims", "pcaps/claims.toml"][..], &[]] {
        let options = ["analyze", "--format", "ndjson", "--keystrokes=all"].into_iter().chain(claims.iter().copied());
        for record in keywitness(options.chain(files.iter().map(String::as_str)).chain(["no-such-file"])).records() {
            let kind = record["record"].as_str().unwrap().to_owned();
            assert_valid(validators.get(kind.as_str()).unwrap(), &record);
            *seen.entry(kind).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["alert", "keystroke", "session", "summary"]);
}

#[test]
fn every_record_of_other_flows_is_valid() {
    let validators = validators();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flows.pcap");
    let format = pcap::Classic { big_endian: false, microseconds: false };
    fs::write(&file, format.write(&traffic::Traffic::of_all_sorts().0)).unwrap();
    let options = ["analyze", "--format", "ndjson", "--all-flows", "--claims", "pcaps/claims.toml"];
    let records = keywitness(options.into_iter().chain([file.to_str().unwrap()])).records();
    assert_eq!(records.len(), 5);
    records.iter().for_each(|record| assert_valid(validators.get(record["record"].as_str().unwrap()).unwrap(), record));
}

#[test]
fn every_answer_is_valid() {
    let question = |rtt_ms: f64, samples: u64| json!({"sensor": {"place": "Seattle, US"}, "claim": {"place": "Boise, US"}, "rtt_ms": rtt_ms, "samples": samples});
    let rtts = [2.0, 4.5, 30.0, 102.0, 166.2, 5000.0, -1.0];
    let lines: String = rtts.iter().flat_map(|rtt| [9, 100].map(|samples| format!("{}\n", question(*rtt, samples)))).collect();
    let mut child = command(["judge", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let answers = Run::from(child.wait_with_output().unwrap()).records();
    feeder.join().unwrap();
    assert_eq!(answers.len(), 14);
    let validators = validators();
    answers.iter().for_each(|answer| assert_valid(validators.get("judge").unwrap(), answer));
}

#[test]
fn every_check_is_valid() {
    let checks = keywitness(["doctor", "-i", "lo", "--format", "ndjson"]).records();
    assert!(checks.len() >= 20);
    let validators = validators();
    checks.iter().for_each(|check| assert_valid(validators.get("check").unwrap(), check));
}

#[test]
fn how_a_spool_stands_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().to_str().unwrap();
    let alerting = ["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml", "pcaps/ssh-far.pcap", "--alert-wait", "0"];
    assert_eq!(keywitness(alerting.into_iter().chain(["--spool", spool, "--alert-to", "udp://127.0.0.1:9"])).status, 0);
    let told = keywitness(["spool", "status", "--format", "ndjson", spool]).records();
    assert_eq!((&told[0]["records"], &told[0]["destinations"][0]["destination"]), (&json!(1), &json!("udp://127.0.0.1:9")));
    assert_valid(validators().get("spool").unwrap(), &told[0]);
}

/// The program writes the schemas that are shipped.
#[test]
fn the_program_has_the_schemas() {
    for (name, schema) in schema::all() {
        let run = keywitness(["schema", name]);
        assert_eq!((run.status, serde_json::from_str(&run.stdout).ok()), (0, Some(schema)), "{name}");
    }
    let all: Value = serde_json::from_str(&keywitness(["schema"]).stdout).unwrap();
    assert_eq!(all["alert"], schema::all()[2].1);
    let run = keywitness(["schema", "pigeon"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("no record \"pigeon\"; there are session, keystroke"), "{}", run.stderr);
}

#[test]
fn what_is_wrong_is_not_valid() {
    let validators = validators();
    let records = keywitness(["analyze", "--format", "ndjson", "pcaps/ssh-home.pcap"]).records();
    let session = records.first().unwrap();
    let validator = validators.get("session").unwrap();
    assert!(validator.is_valid(session));
    for (field, value) in
        [("verdict", json!("guilty")), ("start", json!("yesterday")), ("shiny", json!(1)), ("update", json!(-1))]
    {
        let mut wrong = session.clone();
        wrong.as_object_mut().unwrap().insert(field.to_owned(), value);
        assert!(!validator.is_valid(&wrong), "{field}");
    }
    let mut without = session.clone();
    without.as_object_mut().unwrap().remove("rtt");
    assert!(!validator.is_valid(&without));
}
