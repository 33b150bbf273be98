//! The program as its users have it: the binary, run in the repository's folder with nothing on standard input.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// What a run wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program to its end.
pub(crate) fn keywitness<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    Run::from(command(args).stdin(Stdio::null()).output().unwrap())
}

/// The program, ready to start.
pub(crate) fn command<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywitness"));
    command.args(args).current_dir(repository()).env_remove("NO_COLOR").env_remove("RUST_LOG");
    command
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// Standard output as NDJSON.
    pub(crate) fn records(&self) -> Vec<Value> {
        assert!(self.stdout.ends_with('\n') && !self.stdout.contains("\n\n"), "whole lines: {:?}", self.stdout);
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Records of one kind.
pub(crate) fn of<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["record"] == kind).collect()
}

/// The folder of the package.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Names of the captures in `pcaps`, without their ending, in order.
pub(crate) fn captures() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(repository().join("pcaps"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".pcap").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 16, "the captures are there");
    names
}

/// Nanoseconds since 1970 of a time as records have it.
pub(crate) fn nanos(time: &Value) -> i64 {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    i64::try_from(time.as_nanosecond()).unwrap()
}
