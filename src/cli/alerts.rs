//! What can be typed about where alerts go.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::live::every;

/// Where alerts go.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct AlertArgs {
    /// Send each alert to a collector of logs: udp://HOST, tcp://HOST, tls://HOST, relp://HOST or relp+tls://HOST, each with :PORT where it is
    /// not the usual one, or unix:/dev/log; or publish it to NATS JetStream, nats://HOST/SUBJECT or nats+tls://HOST/SUBJECT, or to Kafka, kafka://HOST/TOPIC or kafka+tls://HOST/TOPIC; or post it to http://HOST/PATH or https://HOST/PATH. Options behind a question mark, with & between them: format=text (or cef, leef, ecs, cee,
    /// ocsf), header=5424 (or 3164), facility=authpriv; of tcp and tls framing=octets (or newline) and resend=30s; of TLS ca=FILE,
    /// name=SERVER, cert=FILE and key=FILE; of NATS and Kafka login=FILE. Several with spaces between them, in quotes, stand in for each other; given several times, each gets
    /// all. See deploy/siem.md.
    #[arg(long, value_name = "DESTINATION", requires = "spool")]
    pub alert_to: Vec<String>,

    /// Keep alerts in this folder until they are delivered. They outlive a crash, and what was not delivered by this run is by the next
    /// one with the same folder. `keywitness spool status DIR` tells how it stands.
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,

    /// How large the spool may become, in MiB; then the oldest alerts are dropped, and counted.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub spool_size: u32,

    /// How long an alert may wait in the spool.
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = every)]
    pub spool_age: Duration,

    /// After an alert, raise none of other sessions with the same identity, client address and finding for so long, by the time of
    /// the capture, unless it weighs more. The next alert says how many there were (`repeats`), the summary how many in all
    /// (`alerts_held`); sessions show their findings as ever. 0 raises one a session.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = every)]
    pub cool_down: Duration,

    /// How long to wait for collectors at the end of a run; what is left stays in the spool.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = every)]
    pub alert_wait: Duration,
}
