//! Commands that are about this machine's interfaces.

use std::path::PathBuf;

use clap::Args;

use super::{AnswerFormat, ProgressWhen};

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Frames go out as they were captured, addresses and all: never onto a network whose machines could answer them. Those that a snaplen \
cut go out cut; both they and the ones that the kernel refuses are counted. Needs CAP_NET_RAW: run it with sudo, or give the \
program the capability once with `sudo setcap cap_net_raw+ep $(command -v keywitness)`. Ctrl-C ends it and tells what was sent; \
another one, half a second later, ends it at once.

Exit status: 0 sent, all or some; 2 usage error, such as an interface that is not there or no permission; 3 an input could not be \
read to its end, or has frames that are not Ethernet (the others were sent); 4 no frame could be sent, or the interface went away.

Examples:
  keywitness replay capture.pcap -i veth0
  keywitness replay monday.pcapng.gz tuesday.pcap.zst -i eth1 --pps 20000
  keywitness replay - -i eth1 --topspeed < capture.pcap")]
pub struct ReplayArgs {
    /// Captures (pcap or pcapng, also compressed with gzip or zstd), read as one stream in the order of time; a folder stands
    /// for the captures in it; `-` is standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub inputs: Vec<PathBuf>,

    /// The interface that the frames go out of.
    #[arg(short, long, value_name = "IFACE")]
    pub interface: String,

    /// Keep the gaps between the frames as they were captured, which is the default. What is late goes out at once, and how
    /// late is told at the end.
    #[arg(long, conflicts_with_all = ["pps", "topspeed"])]
    pub realtime: bool,

    /// Send N frames a second, at even distances.
    #[arg(long, value_name = "N", conflicts_with = "topspeed", value_parser = clap::value_parser!(u32).range(1..))]
    pub pps: Option<u32>,

    /// Send as fast as the interface takes the frames.
    #[arg(long)]
    pub topspeed: bool,

    /// When to show on standard error how much was sent. `auto` is on a terminal, unless -q is given; it vanishes at the
    /// end.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ProgressWhen::Auto)]
    pub progress: ProgressWhen,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed: the commands that mend something are only told. Each interface is opened for a moment, as a sensor does.

Exit status: 0 looked, whatever was found; 1 looked, and a check is bad (only with --fail-on-finding); 2 usage error, such as an interface \
that is not there; 4 internal error.

Examples:
  keywitness doctor -i eth1
  sudo keywitness doctor -i eth1 -i eth2 --format ndjson --fail-on-finding")]
pub struct DoctorArgs {
    /// An interface to measure on; may be given several times.
    #[arg(short, long = "interface", value_name = "IFACE", required = true)]
    pub interfaces: Vec<String>,

    /// How to write what was found.
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    pub format: AnswerFormat,

    /// End with 1 if a check is bad.
    #[arg(long)]
    pub fail_on_finding: bool,
}
