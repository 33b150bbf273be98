//! What can be typed to part an analysis in two: observations by shards, and what is made of them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{AlertArgs, ArchiveArgs, ClaimsArgs, KeystrokeChoice, OutputFormat};

/// Most shards of one analysis: what passes between two addresses is never divided further.
const MAX_SHARDS: u16 = 256;

/// The first stage alone.
#[derive(Clone, Debug, Default, Args)]
pub struct EmitArgs {
    /// Write what was observed, one JSON object a line, instead of what it means: nothing is judged, and `keywitness correlate` makes
    /// of the observations of all shards what one run would have said. Addresses stand in them as they are.
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["claims", "leases", "sensor", "format", "pseudonymize", "save_evidence", "archive",
        "fail_on_finding", "learn", "alert_to", "spool"])]
    pub emit: Option<Emit>,

    /// Observe one of so many shards of the traffic, such as 2/8, 256 at most: all that passes between two addresses is in one of them.
    /// Each run reads all inputs, which must be the same, in the same order, for all shards.
    #[arg(long, value_name = "I/N", requires = "emit", conflicts_with = "workers", value_parser = shard)]
    pub shard: Option<ShardChoice>,
}

/// What is written instead of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// What was observed of each session, and of each keystroke with --keystrokes.
    Observations,
}

/// One of several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardChoice {
    /// Which, from 1.
    pub number: u16,
    /// Of how many.
    pub of: u16,
}

/// Arguments of `correlate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 ran; 1 ran, and a session is implausible (only with --fail-on-finding); 2 usage or configuration error; 3 observations \
could not be read to their end, or of a shard there are none or not all (what is there was judged; it wins over 1); 4 internal error, or results could not be written, or \
alerts were lost (it wins over all).

Examples:
  keywitness analyze --emit observations --shard 1/2 day.pcap > 1.ndjson
  keywitness analyze --emit observations --shard 2/2 day.pcap > 2.ndjson
  keywitness correlate --claims claims.toml --format ndjson 1.ndjson 2.ndjson")]
pub struct CorrelateArgs {
    /// Observations that `analyze --emit observations` wrote: of all shards of one analysis, each in the order in which it was
    /// written; or one stream of them all, sorted by `key`. `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub inputs: Vec<PathBuf>,

    /// Options from a file: TOML with the long options as keys (`claims = "claims.toml"`), those of one command in a table of its
    /// name. What is typed wins.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Who claims to be where (TOML or CSV). Without it sessions are not judged.
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,

    /// What goes with the claims.
    #[command(flatten)]
    pub around: ClaimsArgs,

    /// How to write results to standard output.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,

    /// Write results to a file instead; what it held is replaced. `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// End with 1 if at least one session is implausible.
    #[arg(long)]
    pub fail_on_finding: bool,

    /// Judge and report, but raise no alerts.
    #[arg(long)]
    pub learn: bool,

    /// Where alerts go besides the results.
    #[command(flatten)]
    pub alerts: AlertArgs,

    /// Where sessions are archived.
    #[command(flatten)]
    pub archive: ArchiveArgs,

    /// Add one record a keystroke, where the observations have them: `analyze` must have been told so too.
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "echoed")]
    pub keystrokes: Option<KeystrokeChoice>,
}

fn shard(text: &str) -> Result<ShardChoice, String> {
    let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    match numbers {
        Some((number, of)) if (1..=of).contains(&number) && of <= MAX_SHARDS => Ok(ShardChoice { number, of }),
        _ => Err(format!("write it as I/N, such as 2/8: I from 1 to N, N from 1 to {MAX_SHARDS}")),
    }
}
