//! What can be typed behind `live`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{AlertArgs, ClaimsArgs, KeystrokeChoice, LimitArgs, LiveArchiveArgs, OutputFormat, RotateArgs};

/// Arguments of `live`.
#[derive(Debug, Args)]
#[command(after_help = "\
Signals: TERM and INT end the run, after everything captured so far was analysed and the summary written; a second one ends it at once. \
HUP reads the configuration file, claims and leases again (all of them or, where one has mistakes, none: these are logged) and opens the output file again.

Privileges: `setcap cap_net_raw+ep /usr/bin/keywitness` (or AmbientCapabilities=CAP_NET_RAW in a systemd unit) lets any user capture; \
root is neither needed nor wanted, but may start it with --user NAME. Once the interfaces are open, only the threads that capture keep \
CAP_NET_RAW, nothing is written but the output, the evidence, the archive and the spool, and no program can be started (Landlock and seccomp, where the kernel \
has them); the log says what holds.

Exit status: 0 ran, until a signal or the end of whoever read the output; 2 usage or configuration error; 3 an interface could not be opened; 4 \
internal error, or results or evidence could not be written, or alerts were lost.

Examples:
  keywitness live -i eth1 --claims claims.toml --format ndjson -o /var/log/keywitness/records.ndjson
  keywitness live -i tap-rx -i tap-tx --ring-size 256 --filter 'tcp port 22'
  keywitness live -i eth1 --learn --format ndjson | jq -c 'select(.record == \"session\")'")]
pub struct LiveArgs {
    /// Interface to capture on; several (the two directions of a tap, two mirror ports) are one stream in the order of time.
    #[arg(short, long = "interface", required = true, value_name = "IFACE")]
    pub interfaces: Vec<String>,

    /// Options from a file: TOML with the long options as keys (`claims = "claims.toml"`), those of one command in a table of its
    /// name. What is typed wins. Read again on SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Who claims to be where (TOML or CSV). Without it sessions are measured and not judged.
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,

    /// What goes with the claims.
    #[command(flatten)]
    pub around: ClaimsArgs,

    /// How to capture.
    #[command(flatten)]
    pub capture: CaptureArgs,

    /// How much is held at most.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// How many engines share the work, each in a thread of its own if there are several. Results are the same with any number.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,

    /// Keep the program to some processors, such as 2,3 or 0-3,6: the threads that capture take one each in the order of the
    /// interfaces, then those of the engines, and again from the front where there are more threads; all others may run on any of them.
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<String>,

    /// Equal addresses and ports in different VLANs (outermost tag) are different flows; see `analyze --help`.
    #[arg(long)]
    pub vlan_key: bool,

    /// How to write results.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,

    /// Add results to a file instead of writing them to standard output. It is opened again on SIGHUP, for logrotate.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// How long that file becomes.
    #[command(flatten)]
    pub rotate: RotateArgs,

    /// Report a session that goes on after this time and each time again, if a packet of it came: NDJSON records of state `open`.
    /// A number with its unit (30s, 5m, 2h), at least a second; 0 for at its end only.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = every)]
    pub report_every: Duration,

    /// Measure, judge and report, but raise no alerts.
    #[arg(long)]
    pub learn: bool,

    /// Where alerts go besides the results.
    #[command(flatten)]
    pub alerts: AlertArgs,

    /// Write pseudonyms instead of addresses, identities and names of interfaces; see `analyze --help`.
    #[arg(long, value_name = "KEYFILE")]
    pub pseudonymize: Option<PathBuf>,

    /// Save the evidence for each alert in this folder; see `analyze --help`.
    #[arg(long, value_name = "DIR")]
    pub save_evidence: Option<PathBuf>,

    /// Delete evidence that was saved so long ago, every ten minutes and at the start. 0 keeps it.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = every)]
    pub evidence_age: Duration,

    /// Delete the oldest evidence where all of it takes more. 0 is no limit.
    #[arg(long, value_name = "MIB", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=16_777_216))]
    pub evidence_size: u32,

    /// Where sessions are archived.
    #[command(flatten)]
    pub archive: LiveArchiveArgs,

    /// Add a line to this file for each start, reload and end: SHA-256 of configuration, claims, leases and key before and after, owner and
    /// time of each file, and what was refused. Where the line cannot be written, nothing is changed.
    #[arg(long, value_name = "FILE")]
    pub audit: Option<PathBuf>,

    /// Report all other TCP and UDP flows too, each when it ends.
    #[arg(long)]
    pub all_flows: bool,

    /// Add one record a keystroke; see `analyze --help`.
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "echoed")]
    pub keystrokes: Option<KeystrokeChoice>,

    /// Answer on this address with /metrics (Prometheus), /healthz and /readyz; a port alone is one of 127.0.0.1. There is no login.
    #[arg(long, value_name = "[ADDR:]PORT")]
    pub metrics: Option<String>,

    /// Become this user first, with nothing but the right to capture; started by root. What is read and written has to be theirs to
    /// read and write.
    #[arg(long, value_name = "NAME", conflicts_with = "as_root")]
    pub user: Option<String>,

    /// Run although the user is root.
    #[arg(long)]
    pub as_root: bool,
}

/// How to capture.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct CaptureArgs {
    /// Have the kernel pass only what a filter lets pass, in the language of tcpdump (man pcap-filter). Let both directions pass,
    /// and the acknowledgements without data.
    #[arg(long, value_name = "BPF")]
    pub filter: Option<String>,

    /// Size of the kernel's ring for each interface: what comes in while the program is busy has to fit.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=2047))]
    pub ring_size: u16,

    /// Bytes to capture of each frame. Less than 256 may cut what identifies a session.
    #[arg(long, value_name = "BYTES", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(64..=262_144))]
    pub snaplen: u32,

    /// Capture only what is meant for this machine.
    #[arg(long)]
    pub no_promiscuous: bool,

    /// Who stamps the frames. The card's clock must be kept in step with the system's (phc2sys); `auto` takes it only where the
    /// driver says that it is.
    #[arg(long, value_enum, value_name = "WHO", default_value_t = StampChoice::Host)]
    pub timestamps: StampChoice,

    /// How long frames of one interface are held back for those of another that were stamped earlier, and how far time on a quiet
    /// link lags behind the clock, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(20..=10_000))]
    pub hold_back: u16,
}

/// Who stamps the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StampChoice {
    /// The kernel.
    Host,
    /// The network card.
    Adapter,
    /// The network card where its stamps are in step with the system's clock, else the kernel.
    Auto,
}

/// A number with its unit, such as 5m; none, or at least a second.
///
/// # Errors
/// What is wrong, for the user.
pub(super) fn every(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wrong = || format!("{text} is not a duration of at least a second, such as 30s, 5m or 2h");
    let duration = text.parse::<jiff::SignedDuration>().map_err(|_| wrong())?;
    Duration::try_from(duration).ok().filter(|every| *every >= Duration::from_secs(1)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_are_not_tiny() {
        for (text, seconds) in [("0", 0), ("1s", 1), ("5m", 300), ("2h", 7_200), ("1h30m", 5_400)] {
            assert_eq!(every(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "5", "-5m", "999ms", "often", "1 fortnight"] {
            assert!(every(wrong).unwrap_err().contains("such as 30s"), "{wrong}");
        }
    }
}
