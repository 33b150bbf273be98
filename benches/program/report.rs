//! What was measured, in print.

use std::{
    error::Error,
    ffi::OsString,
    fs,
    io::BufRead,
    path::{Path, PathBuf},
    process::Command,
};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use crate::{inputs, measure::Costs, traffic::Kind};

/// Positions in the list of subjects.
const BARE: usize = 0;
const TOUCH: usize = 1;
const PLAIN: usize = 2;

/// Flows at which the goal for memory holds.
const MANY_FLOWS: u64 = 2_000_000;

/// A command that is measured; the capture comes last.
#[derive(Debug)]
pub(crate) struct Subject {
    name: &'static str,
    program: PathBuf,
    args: Vec<OsString>,
}

impl Subject {
    pub(crate) fn new(name: &'static str, program: &Path, args: &[&str]) -> Self {
        Self { name, program: program.to_owned(), args: args.iter().map(OsString::from).collect() }
    }

    pub(crate) fn command(&self, capture: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).arg(capture);
        command
    }
}

/// What the program found in a capture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked {
    packets: u64,
    bytes: u64,
    flows: u64,
    sessions: u64,
    keystrokes: u64,
}

impl Looked {
    /// From its records.
    pub(crate) fn of(records: impl BufRead) -> Result<Self, Box<dyn Error>> {
        let (mut keystrokes, mut summary) = (0, Value::Null);
        for line in records.lines() {
            let record: Value = serde_json::from_str(&line?)?;
            keystrokes += record["keystrokes"]["count"].as_u64().unwrap_or_default();
            summary = record;
        }
        let number = |value: &Value| value.as_u64().ok_or("the summary lacks a number");
        Ok(Self {
            packets: number(&summary["packets"])?,
            bytes: number(&summary["bytes"])?,
            flows: number(&summary["flows"]["tcp"])? + number(&summary["flows"]["udp"])?,
            sessions: number(&summary["sessions"])?,
            keystrokes,
        })
    }
}

/// Machine, date and program.
pub(crate) fn heading(binary: &Path, runs: usize) -> Result<(), Box<dyn Error>> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("CPU unknown", |(_, name)| name.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let version = Command::new(binary).arg("--version").output()?;
    println!("{} at {}", String::from_utf8_lossy(&version.stdout).trim(), binary.display());
    println!(
        "{}; {model}, {cores} cores; Linux {}; load before {}",
        jiff::Timestamp::now().strftime("%F %R UTC"),
        kernel.trim(),
        load.split(' ').next().unwrap_or_default()
    );
    println!("medians of {runs} rounds by turns; page cache warm; CPU is user and system; a ratio is of CPU time within a round");
    Ok(())
}

/// What is about to be measured with.
pub(crate) fn capture(kind: Option<Kind>, path: &Path, looked: &Looked) {
    let Looked { packets, bytes, flows, sessions, keystrokes } = looked;
    let name = kind.map_or_else(|| path.display().to_string(), |kind| inputs::name(kind).to_owned());
    let mean = *bytes as f64 / *packets as f64;
    println!("\n{name}: {packets} packets of {mean:.0} bytes, {flows} flows, {sessions} sessions, {keystrokes} keystrokes");
}

/// Figures of all subjects, and the targets.
pub(crate) fn table(kind: Option<Kind>, looked: &Looked, subjects: &[Subject], costs: &[Costs]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "CPU s", "wall s", "ns/packet", "Mpps", "to libpcap", "to touch", "peak MiB"]);
    for (subject, cost) in subjects.iter().zip(costs) {
        let (cpu, packets) = (cost.cpu(), looked.packets as f64);
        table.add_row([
            subject.name.to_owned(),
            format!("{cpu:.3}"),
            format!("{:.3}", cost.wall()),
            format!("{:.0}", cpu / packets * 1e9),
            format!("{:.2}", packets / cpu / 1e6),
            format!("{:.2}", cost.ratio(&costs[BARE])),
            format!("{:.2}", cost.ratio(&costs[TOUCH])),
            format!("{:.0}", cost.peak_mib()),
        ]);
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    println!("{}", table.trim_fmt());
    let Some(kind) = kind else { return };
    let met = |met: bool| if met { "met" } else { "not met" };
    let (limit, memory) = targets(kind);
    let ratio = costs[PLAIN].ratio(&costs[BARE]);
    println!("target: at most {limit} times libpcap's CPU time: {}", met(ratio <= limit));
    if let Some(memory) = memory.filter(|_| looked.flows >= MANY_FLOWS) {
        println!("target: at most {memory} MiB: {}", met(costs[PLAIN].peak_mib() <= memory));
    }
}

/// CPU time against the empty libpcap loop, at most; and memory in MiB, at most, where that is a goal.
const fn targets(kind: Kind) -> (f64, Option<f64>) {
    match kind {
        Kind::Mix => (1.15, None),
        Kind::Small => (1.5, None),
        Kind::Flows => (3.0, Some(700.0)),
        Kind::Inter => (2.5, None),
    }
}
