//! What can be typed of how much is held at most.

use clap::Args;

/// How much is held at most.
#[derive(Clone, Copy, Debug, Args)]
pub struct LimitArgs {
    /// Flows held at most, 128 bytes each, and 16 to 32 to find them by. A quarter as many may be between their SYN and the first
    /// data, with 500 bytes more. Each pair of addresses has room for 1 in 256 of all; where a limit is reached, what was silent longest
    /// goes, sessions last, and is counted in `dropped.table` of the summary.
    #[arg(long, value_name = "N", default_value_t = 1 << 21, value_parser = clap::value_parser!(u32).range(1_024..=1 << 28))]
    pub max_flows: u32,

    /// Sessions held at most, some kilobytes each. Of each pair of addresses 1 in 256 of all: more for a gateway behind which many
    /// people share one address and work on one server.
    #[arg(long, value_name = "N", default_value_t = 1 << 17, value_parser = clap::value_parser!(u32).range(256..=1 << 24))]
    pub max_sessions: u32,
}
