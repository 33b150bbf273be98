//! The `keywitness` program.

use std::{
    env,
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Parser;
use keywitness::{cli::Cli, run};

fn main() -> ExitCode {
    let color = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(color).with_target(false).without_time().init();
    let status = run::run(Cli::parse());
    ExitCode::from(status as u8)
}
