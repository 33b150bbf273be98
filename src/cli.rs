//! The command line: what can be typed. Nothing here looks at files or the environment.

mod alerts;
mod archive;
mod limits;
mod live;
mod machine;
mod rotate;
mod shards;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::{
    alerts::AlertArgs,
    archive::{ArchiveArgs, LiveArchiveArgs},
    limits::LimitArgs,
    live::{CaptureArgs, LiveArgs, StampChoice},
    machine::{DoctorArgs, ReplayArgs},
    rotate::RotateArgs,
    shards::{CorrelateArgs, Emit, EmitArgs, ShardChoice},
};

/// Is the person typing in this session where they say they are?
///
/// keywitness reads captures, recognises SSH, RDP and VNC sessions, measures round trips and the timing of each keystroke (never
/// what was typed), and holds them against where the client claims to be.
#[derive(Debug, Parser)]
#[command(name = "keywitness", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// How to talk.
    #[command(flatten)]
    pub manner: Manner,
}

/// How to talk: the same for all commands.
#[derive(Clone, Copy, Debug, Args)]
pub struct Manner {
    /// When to colour results and log. `auto` is on a terminal, unless NO_COLOR is set.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto, global = true)]
    pub color: When,

    /// Log more to standard error; twice for all there is.
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Log errors only; twice for nothing at all. The exit status and the summary tell all the same.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub quiet: u8,
}

/// When to do something that depends on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// When to show how far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressWhen {
    /// On a terminal.
    Auto,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Analyse captures: sessions, round trips, keystrokes, and a verdict against claims.
    Analyze(AnalyzeArgs),
    /// Judge what `analyze --emit observations` observed: its second stage alone.
    Correlate(CorrelateArgs),
    /// Do the same on live interfaces, as a sensor.
    Live(LiveArgs),
    /// Say what would be said of a round trip, without a capture: one, or many on standard input.
    Judge(JudgeArgs),
    /// Work with claims files.
    #[command(subcommand)]
    Claims(ClaimsCommand),
    /// Look after the folder that alerts wait in for their delivery (`--spool`).
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Put a capture's frames on an interface.
    Replay(ReplayArgs),
    /// Say whether this machine can measure well, and what mends it where it cannot.
    Doctor(DoctorArgs),
    /// Write the JSON Schema (draft 2020-12) of a record to standard output.
    Schema {
        /// The record: `session`, `keystroke`, `alert`, `summary`, `judge`, `check`, `spool` or `audit`; without it all of them, as one JSON object
        /// by name.
        #[arg(value_name = "RECORD")]
        record: Option<String>,
    },
    /// Write the completions of a shell to standard output.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write a manual page (troff) to standard output.
    Man {
        /// The command that it is about, such as `analyze` or `claims check`; without it the program.
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
}

/// Arguments of `analyze`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 ran; 1 ran, and a session is implausible (only with --fail-on-finding); 2 usage or configuration error; 3 an input could not be read to its end (the others were \
analysed, and the summary says which; it wins over 1); 4 internal error, or results or evidence could not be written, or alerts were lost (it wins over all).

Examples:
  keywitness analyze capture.pcap
  keywitness analyze --claims claims.toml day1.pcapng day2.pcap.gz
  keywitness analyze /var/captures
  keywitness analyze --claims claims.csv --sensor \"Seattle, US\" --leases dhcp.log capture.pcap
  tcpdump -w - port 22 | keywitness analyze --format ndjson --keystrokes -")]
pub struct AnalyzeArgs {
    /// Captures (pcap or pcapng, also compressed with gzip or zstd), read as one stream in the order of time; a folder stands
    /// for the captures in it, without those in folders below it; `-` is standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,

    /// Options from a file: TOML with the long options as keys (`claims = "claims.toml"`), those of one command in a table of its
    /// name. What is typed wins.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Who claims to be where (TOML or CSV). Without it sessions are measured and not judged.
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,

    /// What goes with the claims.
    #[command(flatten)]
    pub around: ClaimsArgs,

    /// Equal addresses and ports in different VLANs (outermost tag) are different flows: for networks whose addresses overlap.
    /// Not for mirrors that show the two directions in different VLANs. Suricata's `vlan.use-for-tracking`, Zeek's
    /// `vlan_fivetuple`.
    #[arg(long)]
    pub vlan_key: bool,

    /// Look only at frames that a filter lets pass, in the language of tcpdump (man pcap-filter). Lengths are those on the
    /// wire, also where a snaplen cut the frame. Filters see frames and not sessions: let both
    /// directions pass, and the acknowledgements without data, without which nothing is held to be too far.
    #[arg(long, value_name = "BPF")]
    pub filter: Option<String>,

    /// Look only at frames from A on and before B, either of which may be left out: dates or RFC 3339 times, UTC where they
    /// have no offset.
    #[arg(long, value_name = "A..B")]
    pub time_range: Option<String>,

    /// How to write results to standard output.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,

    /// Write results to a file instead; what it held is replaced. `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Write pseudonyms instead of IP addresses (which keep their prefixes), hardware addresses, identities and names of inputs.
    /// They depend on the key in this file, 64 hexadecimal digits: make one with `openssl rand -hex 32`. Claims and leases hold
    /// the real ones.
    #[arg(long, value_name = "KEYFILE")]
    pub pseudonymize: Option<PathBuf>,

    /// Save the evidence for each alert in this folder: DIR/ALERT_ID-REVISION.pcap has the headers of the session's frames, up to
    /// the end of TCP's and never a byte behind it; of a long session its first and last megabyte. With --pseudonymize the
    /// addresses in it are pseudonyms.
    #[arg(long, value_name = "DIR")]
    pub save_evidence: Option<PathBuf>,

    /// Where sessions are archived.
    #[command(flatten)]
    pub archive: ArchiveArgs,

    /// When to show on standard error how far the inputs were read. `auto` is on a terminal, unless -q is given; the bar
    /// vanishes at the end. Of standard input only the rate is known.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ProgressWhen::Auto)]
    pub progress: ProgressWhen,

    /// Engines that share the work, each in a thread of its own, 1 to 256. The results are the same for any number. Each reads
    /// the inputs by itself; where one is standard input or a pipe there is one engine all the same.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,

    /// The first stage alone.
    #[command(flatten)]
    pub emit: EmitArgs,

    /// How much is held at most.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// End with 1 if at least one session is implausible.
    #[arg(long)]
    pub fail_on_finding: bool,

    /// Report all other TCP and UDP flows too, each when it ends, as `session` records of protocol `unknown`: handshake, smallest
    /// round trip, counts. They are never accused: with a claim they are `undecided`. Takes more time and memory.
    #[arg(long)]
    pub all_flows: bool,

    /// Report a session that goes on after this time and each time again, if a packet of it came: NDJSON records of state `open`,
    /// as `live` writes them. A number with its unit (30s, 5m, 2h), at least a second, by the time of the capture.
    #[arg(long, value_name = "DURATION", value_parser = live::every)]
    pub report_every: Option<Duration>,

    /// Measure, judge and report, but raise no alerts.
    #[arg(long)]
    pub learn: bool,

    /// Where alerts go besides the results.
    #[command(flatten)]
    pub alerts: AlertArgs,

    /// Add one record a keystroke. Runs of keys without echo are only counted unless `=all` (OpenSSH's server feigns echoes
    /// for passwords typed into a terminal: those look like any other keys).
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "echoed")]
    pub keystrokes: Option<KeystrokeChoice>,
}

/// Arguments of `judge`.
#[derive(Debug, Args)]
#[command(after_help = "\
With `-`, each line of standard input is a question and gets one line of JSON as its answer, in order:
  {\"sensor\":P,\"claim\":P,\"rtt_ms\":X,\"access\":KIND,\"samples\":N}
where P is {\"place\":\"City, CC\"} or {\"lat\":47.61,\"lon\":-122.33}, either with \"radius_km\" (default 50 for the claim, 0 for \
the sensor); access and samples may be left out. A line that cannot be read gets {\"error\":\"…\"} in its place; near names are told for the \
first 100 unknown places.

Exit status: 0 answered (whatever the verdict, and with `-` whatever the lines held); 2 usage error, such as an unknown \
place; 3 standard input could not be read; 4 internal error.

Examples:
  keywitness judge --sensor 'Seattle, US' --claim 'Boise, US' --rtt-ms 166.2 --access cable
  keywitness judge --sensor '47.61, -122.33' --claim 'Portland, OR, US' --rtt-ms 30 --format ndjson
  keywitness judge - < questions.ndjson > answers.ndjson")]
pub struct JudgeArgs {
    /// Read questions from standard input, one JSON object a line.
    #[arg(value_name = "-", value_parser = ["-"], conflicts_with_all = ["sensor", "claim", "rtt_ms", "access", "radius_km", "samples"])]
    pub bulk: Option<String>,

    /// Where the round trip was measured: "City, CC", "City, Region, CC" or "LAT, LON".
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, required_unless_present = "bulk")]
    pub sensor: Option<String>,

    /// Where the client says it is: "City, CC", "City, Region, CC" or "LAT, LON".
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, required_unless_present = "bulk")]
    pub claim: Option<String>,

    /// The smallest stable round trip to the client in milliseconds, above 0 and at most 60000.
    #[arg(long, value_name = "MS", allow_negative_numbers = true, required_unless_present = "bulk")]
    pub rtt_ms: Option<f64>,

    /// How the client says it is connected.
    #[arg(long, value_name = "KIND", value_parser = ["fiber", "cable", "dsl", "mobile", "leo", "geo", "unknown"])]
    pub access: Option<String>,

    /// How exact the claim is, in kilometres [default: 50].
    #[arg(long, value_name = "KM", allow_negative_numbers = true)]
    pub radius_km: Option<f64>,

    /// How many round trips were measured; fewer than 10 are not judged. Without it the round trip counts as the smallest of
    /// 10.
    #[arg(long, value_name = "N")]
    pub samples: Option<u64>,

    /// How to write the answer [default: table; for standard input it is always ndjson].
    #[arg(long, value_enum)]
    pub format: Option<AnswerFormat>,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AnswerFormat {
    /// A block of text for people.
    Table,
    /// One JSON object on a line.
    Ndjson,
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

/// Commands of `spool`.
#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// Say how much waits, for which destination, and what was lost. Changes nothing, and may be asked while a sensor runs.
    Status {
        /// The folder that `--spool` names.
        #[arg(value_name = "DIR")]
        folder: PathBuf,

        /// How to write it.
        #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
        format: AnswerFormat,
    },
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Aligned text for people.
    Table,
    /// One JSON object a line.
    Ndjson,
    /// One row a session, with a header, for spreadsheets and scripts.
    Csv,
}

/// Which keystrokes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeystrokeChoice {
    /// All but runs without echo.
    Echoed,
    /// All.
    All,
}
