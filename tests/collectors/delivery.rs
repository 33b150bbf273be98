//! Runs that deliver what waits in a spool.

use std::{
    io::Read,
    path::Path,
    process::{Child, Stdio},
};

use serde_json::Value;

use super::program::{command, keywitness};

/// Options of a run that delivers what waits in a spool, and raises no alerts of its own.
pub(crate) fn deliver<'a>(spool: &'a Path, destinations: &[&'a str], wait: &'a str) -> Vec<&'a str> {
    let mut args = vec!["analyze", "--format", "ndjson", "pcaps/scp-up.pcap", "--alert-wait", wait, "--spool-size", "4096"];
    args.extend(["--spool", spool.to_str().unwrap()]);
    destinations.iter().for_each(|destination| args.extend(["--alert-to", *destination]));
    args
}

pub(crate) fn started(args: &[&str]) -> Child {
    command(args.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for its end; what it said.
pub(crate) fn ended(mut child: Child) -> String {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    said
}

/// The only destination of a spool, as the program tells of it.
pub(crate) fn destination(spool: &Path) -> Value {
    let run = keywitness(["spool", "status", "--format", "ndjson", spool.to_str().unwrap()]);
    run.records()[0]["destinations"][0].clone()
}
