//! One process and what it took.

use std::{
    io::{self, Read},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use wait4::Wait4;

/// What a process took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// User and system.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// Most memory that it held, in bytes.
    pub(crate) peak: u64,
}

/// Runs a process to its end; with what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> io::Result<(Cost, String)> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut text = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut text)?;
    }
    let end = child.wait4()?;
    let wall = started.elapsed();
    if !end.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}", end.status)));
    }
    let usage = end.rusage;
    Ok((Cost { cpu: usage.utime + usage.stime, wall, peak: usage.maxrss }, text))
}

/// Runs of one command, in the order of rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Costs(pub(crate) Vec<Cost>);

impl Costs {
    /// Median of CPU seconds.
    pub(crate) fn cpu(&self) -> f64 {
        median(self.0.iter().map(|cost| cost.cpu.as_secs_f64()))
    }

    /// Median of seconds on the clock.
    pub(crate) fn wall(&self) -> f64 {
        median(self.0.iter().map(|cost| cost.wall.as_secs_f64()))
    }

    /// Most memory of any run, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.0.iter().map(|cost| cost.peak).max().unwrap_or_default() as f64 / f64::from(1 << 20)
    }

    /// CPU time against that of another command, round by round; the median.
    pub(crate) fn ratio(&self, to: &Self) -> f64 {
        median(self.0.iter().zip(&to.0).map(|(own, other)| own.cpu.as_secs_f64() / other.cpu.as_secs_f64()))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.is_empty() {
        f64::NAN
    } else if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}
