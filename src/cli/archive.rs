//! What can be typed about the archive of sessions.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::live::every;

/// Where sessions are archived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct ArchiveArgs {
    /// Add all sessions that ended to Parquet files in this folder, DIR/day=2026-11-20/START-SESSION-ROWS.parquet, by the day in UTC on which they
    /// began; the columns are the fields of NDJSON. DuckDB, Spark and others read the folder as one table: see deploy/archive.md.
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
}

/// The same for a sensor, which does not end.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct LiveArchiveArgs {
    /// Where to.
    #[command(flatten)]
    pub folder: ArchiveArgs,

    /// Write a file of the archive each time so long, besides when it is full (16,384 sessions), on SIGHUP and at the end. What is in no file yet is lost
    /// with the process.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = every)]
    pub archive_every: Duration,
}
