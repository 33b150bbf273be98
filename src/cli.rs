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
  keywitness analyze --claims claims.toml day1.pcapng day2.pcapng
  keywitness analyze --claims claims.csv --sensor \"Seattle, US\" --leases dhcp.log capture.pcap
  tcpdump -w - port 22 | keywitness analyze --format ndjson --keystrokes -")]
pub struct AnalyzeArgs {
    /// Captures (pcap or pcapng), read as one stream in the order of time; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub inputs: Vec<PathBuf>,

    /// Who claims to be where (TOML or CSV). Without it sessions are measured and not judged.
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,

    /// What goes with the claims.
    #[command(flatten)]
    pub around: ClaimsArgs,

    /// How to write results to standard output.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,

    /// Add one record a keystroke. Runs of keys without echo are only counted unless `=all` (OpenSSH's server feigns echoes
    /// for passwords typed into a terminal: those look like any other keys).
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "echoed")]
    pub keystrokes: Option<KeystrokeChoice>,
}

/// What goes with a claims file.
#[derive(Debug, Default, Args)]
pub struct ClaimsArgs {
    /// Who had which address when: CSV (time,ip,identity and optionally end), Zeek's dhcp.log or FreeRADIUS' detail. Looked up
    /// when a session begins, before the matches of the claims.
    #[arg(long, value_name = "FILE")]
    pub leases: Option<PathBuf>,

    /// Where the sensor stands, "City, CC" or "lat, lon". CSV claims need it; it wins over the place in a claims file.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    pub sensor: Option<String>,
}

/// Commands of `claims`.
#[derive(Debug, Subcommand)]
pub enum ClaimsCommand {
    /// Validate a claims file; each mistake is told with its line and field.
    ///
    /// With captures, a dry run: which session leads to which claim, by which line, and which claims no session leads to. Nothing is
    /// judged.
    Check(CheckArgs),
}

/// Arguments of `claims check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 the claims are fine; 2 usage or configuration error, such as a mistake in a file; 3 a capture could not \
be read to its end; 4 internal error.")]
pub struct CheckArgs {
    /// The claims file (TOML or CSV).
    pub file: PathBuf,

    /// Captures whose sessions to look for in the claims; `-` is standard input.
    #[arg(value_name = "CAPTURE")]
    pub inputs: Vec<PathBuf>,

    /// What goes with the claims.
    #[command(flatten)]
    pub around: ClaimsArgs,
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
