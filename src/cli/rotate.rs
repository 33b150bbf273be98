//! What can be typed about how long a file of results becomes.

use std::time::Duration;

use clap::Args;

use super::live::every;

/// When a file of results is full, and what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct RotateArgs {
    /// Begin another file once the one of `--output` holds so much; what was written so far goes on as FILE.TIME, such as
    /// records.ndjson.20261123T093000.000Z, the time of its end in UTC. No line is cut. 0 is no limit.
    #[arg(long, value_name = "MIB", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    pub rotate_size: u32,

    /// Begin another file each time so long, counted from midnight UTC where a day is a multiple of it, by the machine's clock: 1h on
    /// the hour, 24h at midnight. A file that holds nothing stays. 0 does not.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = every)]
    pub rotate_every: Duration,

    /// Keep so many of the files that are full, and delete the oldest beyond, by their names. 0 keeps them all.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub rotate_keep: u32,
}

impl RotateArgs {
    /// Whether there is anything to do.
    #[must_use]
    pub const fn is_asked_for(&self) -> bool {
        self.rotate_size > 0 || !self.rotate_every.is_zero()
    }
}
