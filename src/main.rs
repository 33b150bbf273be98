//! The `keywitness` program.

use std::{io, process::ExitCode};

use clap::Parser;
use keywitness::{cli::Cli, run};

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_target(false).without_time().init();
    let status = run::run(Cli::parse());
    ExitCode::from(status as u8)
}
