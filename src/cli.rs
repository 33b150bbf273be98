//! The command line: what can be typed. Nothing here looks at files or the environment.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Is the person typing in this session where they say they are?
///
/// keywitness reads captures, recognises SSH sessions, measures round trips and the timing of each keystroke (never what was
/// typed), and holds them against where the client claims to be.
#[derive(Debug, Parser)]
#[command(name = "keywitness", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Analyse captures: sessions, round trips, keystrokes, and a verdict against claims.
    Analyze(AnalyzeArgs),
    /// Work with claims files.
    #[command(subcommand)]
    Claims(ClaimsCommand),
}

/// Arguments of `analyze`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 ran; 2 usage or configuration error; 3 an input could not be read to its end (the others were \
analysed, and the summary says which); 4 internal error.

Examples:
  keywitness analyze capture.pcap
  keywitness analyze --claims claims.toml day1.pcapng day2.pcap.gz
  keywitness analyze /var/captures
  tcpdump -w - port 22 | keywitness analyze --format ndjson --keystrokes -")]
pub struct AnalyzeArgs {
    /// Captures (pcap or pcapng, also compressed with gzip or zstd), read as one stream in the order of time; a folder stands
    /// for the captures in it, without those in folders below it; `-` is standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,

    /// Who claims to be where (TOML). Without it sessions are measured and not judged.
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,

    /// Equal addresses and ports in different VLANs (outermost tag) are different flows: for networks whose addresses overlap.
    /// Not for mirrors that show the two directions in different VLANs. Suricata's `vlan.use-for-tracking`, Zeek's
    /// `vlan_fivetuple`.
    #[arg(long)]
    pub vlan_key: bool,

    /// How to write results to standard output.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,

    /// Add one record a keystroke. Runs of keys without echo are only counted unless `=all` (OpenSSH's server feigns echoes
    /// for passwords typed into a terminal: those look like any other keys).
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "echoed")]
    pub keystrokes: Option<KeystrokeChoice>,
}

/// Commands of `claims`.
#[derive(Debug, Subcommand)]
pub enum ClaimsCommand {
    /// Validate a claims file; each mistake is told with its line and field.
    Check {
        /// The claims file (TOML).
        file: PathBuf,
    },
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Aligned text for people.
    Table,
    /// One JSON object a line.
    Ndjson,
}

/// Which keystrokes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeystrokeChoice {
    /// All but runs without echo.
    Echoed,
    /// All.
    All,
}
