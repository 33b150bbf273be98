//! The archive of sessions through the program: what is read back by others is what NDJSON says.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "not all is needed here")]
mod program;

use std::{
    env, fs,
    fs::File,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use program::{captures, keywitness, of, repository};
use serde_json::{Value, json};

/// Runs an analysis of all captures of two days into a folder; what it says in NDJSON.
fn archive(folder: &Path, more: &[&str]) -> Vec<Value> {
    let inputs: Vec<String> = captures().iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let options = ["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml", "--archive", folder.to_str().unwrap()];
    let run = keywitness(options.into_iter().chain(more.iter().copied()).chain(inputs.iter().map(String::as_str)));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    of(&run.records(), "session").into_iter().cloned().collect()
}

/// All files below, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

/// What a file holds, as the record was.
fn rows(file: &Path) -> Vec<Value> {
    let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| row.unwrap());
    rows.map(|row| Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::TimestampMicros(value) => json!(value),
        // The reader does not say which texts are JSON; no other text of these records begins like it.
        Field::Str(value) if value.starts_with(['[', '{']) => serde_json::from_str(value).unwrap(),
        Field::Str(value) => json!(value),
        Field::Group(row) => Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()),
        other => panic!("{other:?}"),
    }
}

/// A record as the archive has it: times in microseconds.
fn archived(record: &Value) -> Value {
    let mut record = record.clone();
    for time in ["start", "end"] {
        let parsed: jiff::Timestamp = record[time].as_str().unwrap().parse().unwrap();
        record[time] = json!(parsed.as_microsecond());
    }
    record
}

/// Numbers that are whole are written without a fraction by one and with it by the other.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect()),
        other => other.clone(),
    }
}

fn sorted(records: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut records: Vec<Value> = records.into_iter().map(|record| plain(&record)).collect();
    records.sort_by_key(|record| record["session_id"].as_str().unwrap().to_owned());
    records
}

#[test]
fn every_field_of_every_session_is_there_by_the_day_on_which_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let written = archive(folder.path(), &[]);
    let files = files(folder.path());
    assert!(files.len() >= 2 && written.len() > 40, "{files:?}");
    for file in &files {
        let day = file.parent().unwrap().file_name().unwrap().to_str().unwrap().strip_prefix("day=").unwrap().to_owned();
        let expected = written.iter().filter(|record| record["start"].as_str().unwrap().starts_with(&day)).map(archived);
        let (rows, expected) = (sorted(rows(file)), sorted(expected));
        assert_eq!(rows.len(), expected.len(), "{day}");
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row, expected, "{day}");
        }
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o007, 0, "it is nobody else's to read");
    }
    assert_eq!(files.iter().map(|file| rows(file).len()).sum::<usize>(), written.len());
}

#[test]
fn the_same_captures_make_the_same_files() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    archive(one.path(), &[]);
    archive(other.path(), &["--workers", "2"]);
    let bytes = |folder: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        let files = files(folder);
        files.iter().map(|file| (file.strip_prefix(folder).unwrap().to_owned(), fs::read(file).unwrap())).collect()
    };
    let before = bytes(one.path());
    assert!(before == bytes(other.path()), "whoever reads");
    archive(one.path(), &[]);
    assert!(before == bytes(one.path()), "once more into the same folder adds nothing");
}

#[test]
fn pseudonyms_reach_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "1f0c7a2be4935d6688a1c3f24e7b9d0512d3e6f7708192a4b5c6d7e8f90a1b2c\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let archived = folder.path().join("archive");
    let written = archive(&archived, &["--pseudonymize", key.to_str().unwrap()]);
    let ips =
        |records: &[Value]| sorted(records.to_vec()).iter().map(|record| record["client"]["ip"].clone()).collect::<Vec<_>>();
    let read: Vec<Value> = files(&archived).iter().flat_map(|file| rows(file)).collect();
    assert_eq!(ips(&read), ips(&written));
    assert!(read.iter().all(|record| !record["client"]["ip"].as_str().unwrap().starts_with("203.0.113.")));
}

/// The rest of what was asked for is done all the same.
#[test]
fn what_cannot_be_archived_is_told_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let run = |folder: &Path| {
        let options = ["analyze", "--format", "ndjson", "--archive", folder.to_str().unwrap(), "pcaps/ssh-far.pcap"];
        keywitness(options)
    };
    assert_eq!(run(&folder.path().join("file")).status, 2, "it is no folder");
    // A file stands where the folder of its day would.
    let archive = folder.path().join("archive");
    fs::create_dir(&archive).unwrap();
    fs::write(archive.join("day=2026-11-22"), "").unwrap();
    let run = run(&archive);
    assert_eq!((run.status, of(&run.records(), "session").len()), (4, 1), "{}", run.stderr);
    assert!(run.stderr.contains("1 sessions of 2026-11-22 are not in it"), "{}", run.stderr);
}

/// Runs a script of ours over a folder; nothing where what it needs is missing.
fn read_by(python: &str, script: &str, folder: &Path) -> Option<Vec<Value>> {
    let script = repository().join("tests/archive").join(script);
    let output = Command::new(python).arg(script).arg(folder).output().unwrap();
    let (said, wrong) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.code() == Some(77) {
        println!("skipped: {said}");
        return None;
    }
    assert!(output.status.success(), "{wrong}");
    Some(said.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What both readers are asked: a row a session.
fn asked(record: &Value) -> Value {
    let start: jiff::Timestamp = record["start"].as_str().unwrap().parse().unwrap();
    let version = match &record["details"]["server_version"] {
        Value::String(text) => json!(text),
        _ => Value::Null,
    };
    json!({
        "session_id": record["session_id"], "day": &record["start"].as_str().unwrap()[..10], "start": start.as_microsecond(),
        "port": record["server"]["port"], "floor_ms": record["rtt"]["client"]["floor_ms"], "midstream": record["midstream"],
        "p50": record["keystrokes"]["interval_ms"]["p50"], "version": version,
        "findings": record["findings"].as_array().unwrap().len(),
    })
}

#[test]
fn duckdb_reads_it_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let written = archive(folder.path(), &[]);
    let python = env::var("KEYWITNESS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let Some(read) = read_by(&python, "duck.py", folder.path()) else { return };
    assert!(sorted(read) == sorted(written.iter().map(asked)));
}

#[test]
fn spark_reads_it_as_it_is() {
    let Ok(python) = env::var("KEYWITNESS_SPARK") else {
        println!("skipped: KEYWITNESS_SPARK names no Python with pyspark");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let written = archive(folder.path(), &[]);
    let read = read_by(&python, "spark.py", folder.path()).unwrap();
    assert_eq!(sorted(read), sorted(written.iter().map(asked)));
}
