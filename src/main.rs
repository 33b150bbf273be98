//! The `keywitness` program.

use std::{
    env,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use keywitness::{
    cli::{Manner, When},
    config::{CommandLineError, command_line},
    run::{self, ExitStatus, Screen},
};
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    let cli = match command_line(env::args_os().collect()) {
        Ok(cli) => cli,
        Err(CommandLineError::Typed(error)) => error.exit(),
        Err(CommandLineError::File(mistake)) => {
            let _ = writeln!(io::stderr(), "{mistake}");
            return ExitCode::from(ExitStatus::Usage as u8);
        }
    };
    let screen = Screen::default();
    log(cli.manner, screen.clone());
    ExitCode::from(run::run(cli, &screen) as u8)
}

/// Log lines go to standard error.
fn log(manner: Manner, screen: Screen) {
    let color = match manner.color {
        When::Auto => io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        When::Always => true,
        When::Never => false,
    };
    let level = match (manner.quiet, manner.verbose) {
        (0, 0) => LevelFilter::INFO,
        (0, 1) => LevelFilter::DEBUG,
        (0, _) => LevelFilter::TRACE,
        (1, _) => LevelFilter::ERROR,
        _ => LevelFilter::OFF,
    };
    let log = tracing_subscriber::fmt().with_writer(move || screen.clone()).with_max_level(level).with_ansi(color);
    log.with_target(false).without_time().init();
}
