//! An analysis in two stages, by shards of the traffic, says what one run says, byte for byte; and what is missing is told.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "not all is needed here")]
mod program;

use std::{
    env, fs,
    io::{Seek, Write},
    path::Path,
    process::{Command, Stdio},
};

use program::{Run, captures, command, keywitness, repository};
use serde_json::Value;
use tempfile::TempDir;

const CLAIMS: [&str; 4] = ["--format", "ndjson", "--claims", "pcaps/claims.toml"];

/// A run that reads these bytes.
fn keywitness_reading<'a>(args: impl IntoIterator<Item = &'a str>, bytes: &[u8]) -> Run {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    Run::from(command(args).stdin(Stdio::from(file)).output().unwrap())
}

/// Standard output without how long it took.
fn results(run: &Run) -> String {
    let timeless = |line: &str| match line.find("\"elapsed_s\"") {
        Some(start) => [&line[..start], &line[line.find("\"inputs\"").unwrap()..]].concat(),
        None => line.to_owned(),
    };
    run.stdout.lines().map(timeless).collect::<Vec<_>>().join("\n")
}

fn inputs() -> Vec<String> {
    captures().iter().map(|name| format!("pcaps/{name}.pcap")).collect()
}

/// Writes the observations of each shard to a file.
fn observe(folder: &TempDir, more: &[&str], shards: usize, inputs: &[String]) -> Vec<String> {
    let shard = |number: usize| {
        let path = folder.path().join(format!("{number}-of-{shards}.ndjson")).to_str().unwrap().to_owned();
        let which = format!("{number}/{shards}");
        let options = ["analyze", "--emit", "observations", "--shard", &which, "-o", &path];
        let run = keywitness(options.into_iter().chain(more.iter().copied()).chain(inputs.iter().map(String::as_str)));
        assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{}", run.stderr);
        path
    };
    (1..=shards).map(shard).collect()
}

fn correlate(more: &[&str], files: &[String]) -> Run {
    keywitness(["correlate"].into_iter().chain(CLAIMS).chain(more.iter().copied()).chain(files.iter().map(String::as_str)))
}

#[test]
fn the_shards_together_say_what_one_run_says() {
    let (folder, inputs) = (tempfile::tempdir().unwrap(), inputs());
    for (more, keys, counts) in [
        (&["--keystrokes=all"][..], &["--keystrokes=all"][..], &[1, 2, 3, 8][..]),
        (&["--all-flows", "--report-every", "2s"], &[], &[3]),
        (&["--filter", "greater 90", "--keystrokes"], &["--keystrokes"], &[2]),
    ] {
        let options = ["analyze"].into_iter().chain(CLAIMS).chain(more.iter().copied());
        let alone = keywitness(options.chain(inputs.iter().map(String::as_str)));
        assert!(alone.status == 0 && alone.stdout.lines().count() > 19, "{}", alone.stderr);
        for shards in counts {
            let mut files = observe(&folder, more, *shards, &inputs);
            files.reverse(); // in any order
            let run = correlate(keys, &files);
            assert_eq!(run.status, 0, "{}", run.stderr);
            assert_eq!(results(&run), results(&alone), "{shards} shards, {more:?}");
        }
    }
}

#[test]
fn each_capture_alone_does_too() {
    let folder = tempfile::tempdir().unwrap();
    for input in inputs() {
        let input = [input];
        let alone = keywitness(["analyze", "--keystrokes"].into_iter().chain(CLAIMS).chain([input[0].as_str()]));
        let files = observe(&folder, &["--keystrokes"], 2, &input);
        assert_eq!(results(&correlate(&["--keystrokes"], &files)), results(&alone), "{}", input[0]);
    }
}

/// As a cluster has them: the lines of all shards in one stream, sorted by key.
#[test]
fn one_sorted_stream_does_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let files = observe(&folder, &[], 3, &inputs());
    let lines: Vec<String> =
        files.iter().flat_map(|file| fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let key = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        let key = &line["observation"]["key"];
        let numbers = [&key["frame"], &key["session"], &key["sequence"]].map(|number| number.as_u64().unwrap_or_default());
        let kind = if line["shard"].is_object() { 0 } else { 1 + u8::from(line["end"].is_object()) };
        (kind, numbers[0], key["time"].as_i64().unwrap_or_default(), numbers[1], numbers[2])
    };
    let mut sorted = lines.clone();
    sorted.sort_by_key(key);
    let run = keywitness_reading(["correlate"].into_iter().chain(CLAIMS), (sorted.join("\n") + "\n").as_bytes());
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(results(&run), results(&correlate(&[], &files)));
    let unsorted = keywitness_reading(["correlate"].into_iter().chain(CLAIMS), (lines.join("\n") + "\n").as_bytes());
    assert_eq!(unsorted.status, 3);
    assert!(unsorted.stderr.contains("goes back in order"), "{}", unsorted.stderr);
}

/// The example for a cluster, by Spark in local mode.
#[test]
fn spark_does_it_too() {
    let Some(python) = env::var_os("KEYWITNESS_SPARK") else {
        println!("skipped: KEYWITNESS_SPARK names no Python with pyspark");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (inputs, output) = (inputs(), folder.path().join("results.ndjson"));
    let mut spark = Command::new(python);
    spark.current_dir(repository()).args(["deploy/spark/keywitness_shards.py", "--shards", "3", "--keystrokes"]);
    spark.args(["--program", env!("CARGO_BIN_EXE_keywitness"), "--claims", "pcaps/claims.toml", "--output"]).arg(&output);
    let run = Run::from(spark.args(&inputs).stdin(Stdio::null()).output().unwrap());
    assert_eq!(run.status, 0, "{}", run.stderr);
    let options = ["analyze", "--keystrokes"].into_iter().chain(CLAIMS);
    let alone = keywitness(options.chain(inputs.iter().map(String::as_str)));
    let run = Run { stdout: fs::read_to_string(&output).unwrap(), ..run };
    assert_eq!(results(&run), results(&alone));
}

/// What is there is judged, and what is not is told.
#[test]
fn what_is_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let files = observe(&folder, &[], 2, &inputs());
    let whole = fs::read_to_string(&files[0]).unwrap();
    let changed = |text: &str| {
        let path = folder.path().join("changed.ndjson");
        fs::write(&path, text).unwrap();
        correlate(&[], &[path.to_str().unwrap().to_owned(), files[1].clone()])
    };
    let lines: Vec<&str> = whole.lines().collect();
    let without = |line: usize| lines.iter().enumerate().filter(move |(at, _)| *at != line).map(|(_, line)| format!("{line}\n"));
    for (text, why) in [
        (String::new(), "shard 1 of 2 is missing"),
        (without(lines.len() - 1).collect(), "shard 1 of 2 has no end"),
        (without(1).collect(), "observations, and should be"),
        (whole[..whole.len() - 9].to_owned(), "the last line is cut"),
        (whole.replace("keywitness-observation/1", "keywitness-observation/9"), "not a line of keywitness-observation/1"),
        (whole.replacen("\"vlan_key\":false", "\"vlan_key\":true", 1), "is of another analysis"),
        (whole.clone() + &whole, "shard 1 was there already"),
        (format!("{whole}{{\"x\":"), "the last line is cut"),
    ] {
        let run = changed(&text);
        assert_eq!(run.status, 3, "{why}: {}", run.stderr);
        assert!(run.stderr.contains(why), "{why}: {}", run.stderr);
        assert!(run.stdout.contains("\"record\":\"summary\""), "{why}");
    }
    let none = keywitness_reading(["correlate"], b"");
    assert_eq!(none.status, 3);
    assert!(none.stderr.contains("no observations"), "{}", none.stderr);
}

/// Numbers that no engine writes break nothing.
#[test]
fn extreme_numbers_break_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = observe(&folder, &["--keystrokes"], 1, &inputs());
    let text = fs::read_to_string(&files[0]).unwrap();
    let path = Path::new(&files[0]);
    for (round, extreme) in ["9223372036854775807", "-9223372036854775808", "18446744073709551615", "0", "4294967295", "255"]
        .into_iter()
        .cycle()
        .take(12)
        .enumerate()
    {
        // Of each line another number, from line to line and from round to round.
        let changed = text.lines().enumerate().map(|(at, line)| with_number(line, at * 7 + round * 13, extreme) + "\n");
        fs::write(path, changed.collect::<String>()).unwrap();
        let run = correlate(&["--keystrokes"], &files);
        assert!(matches!(run.status, 0 | 3), "{}: {}", run.status, run.stderr);
    }
}

/// A line of JSON with one of its numbers changed.
fn with_number(line: &str, which: usize, number: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    let mut numbers = 0;
    count(&value, &mut numbers);
    if numbers == 0 || value["observation"].is_null() {
        return line.to_owned();
    }
    let mut left = which % numbers;
    let mut value = value;
    set(&mut value, &mut left, &serde_json::from_str(number).unwrap());
    value.to_string()
}

fn count(value: &Value, numbers: &mut usize) {
    match value {
        Value::Number(_) => *numbers += 1,
        Value::Array(items) => items.iter().for_each(|item| count(item, numbers)),
        Value::Object(fields) => fields.values().for_each(|field| count(field, numbers)),
        _ => {}
    }
}

fn set(value: &mut Value, left: &mut usize, number: &Value) {
    match value {
        Value::Number(_) if *left == 0 => {
            *value = number.clone();
            *left = usize::MAX;
        }
        Value::Number(_) => *left = left.wrapping_sub(1),
        Value::Array(items) => items.iter_mut().for_each(|item| set(item, left, number)),
        Value::Object(fields) => fields.values_mut().for_each(|field| set(field, left, number)),
        _ => {}
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let capture = "pcaps/ssh.pcap";
    for (words, why) in [
        (&["analyze", "--shard", "1/2", capture][..], "--emit"),
        (&["analyze", "--emit", "observations", "--shard", "0/2", capture], "I/N"),
        (&["analyze", "--emit", "observations", "--shard", "3/2", capture], "I/N"),
        (&["analyze", "--emit", "observations", "--shard", "1/257", capture], "I/N"),
        (&["analyze", "--emit", "observations", "--claims", "pcaps/claims.toml", capture], "--claims"),
        (&["analyze", "--emit", "observations", "--shard", "1/2", "--workers", "2", capture], "--workers"),
        (&["correlate", "--sensor", "Seattle, US"], "--claims"),
    ] {
        let run = keywitness(words.iter().copied());
        assert_eq!(run.status, 2, "{words:?}");
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
    let folder = tempfile::tempdir().unwrap();
    let files = observe(&folder, &[], 1, &inputs()[..1]);
    let run = correlate(&["--keystrokes"], &files);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("the observations have none"), "{}", run.stderr);
}

#[test]
fn options_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let files = observe(&folder, &[], 1, &inputs()[..1]);
    let config = folder.path().join("keywitness.toml");
    let config_name = config.to_str().unwrap();
    fs::write(&config, "workers = 2\n[correlate]\nclaims = \"pcaps/claims.toml\"\nformat = \"ndjson\"\n").unwrap();
    let run = keywitness(["correlate", "--config", config_name, &files[0]]);
    assert_eq!(results(&run), results(&correlate(&[], &files)));
    fs::write(&config, "[correlate]\nworkers = 2\n").unwrap();
    let wrong = keywitness(["correlate", "--config", config_name, &files[0]]);
    assert!(wrong.status == 2 && wrong.stderr.contains("keywitness correlate has no option --workers"), "{}", wrong.stderr);
}
