//! Where clocks, files and standard streams are: the only place that does I/O besides `capture`.

mod claims;
mod offline;

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use tracing::error;

use crate::{
    cli::{ClaimsCommand, Cli, Command},
    config::{AnalyzeConfig, ConfigError},
};

/// How a run ended, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Ran.
    Ok = 0,
    /// Usage or configuration error.
    Usage = 2,
    /// An input could not be read to its end.
    Input = 3,
    /// Something of our own, or the output, failed.
    Internal = 4,
}

/// Carries a command out.
#[must_use]
pub fn run(cli: Cli) -> ExitStatus {
    let outcome = match cli.command {
        Command::Analyze(args) => {
            let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            AnalyzeConfig::resolve(args, io::stdout().is_terminal(), no_color)
                .map_err(Failure::from)
                .and_then(|config| offline::analyze(config, &mut io::stdout().lock()).map_err(Failure::from))
        }
        Command::Claims(ClaimsCommand::Check(args)) => claims::check(args, &mut io::stdout().lock()),
    };
    match outcome {
        Ok(status) => status,
        Err(Failure::Config(mistake)) => {
            // Not a log line: what the user has to mend, as it is.
            let _ = writeln!(io::stderr(), "{mistake}");
            ExitStatus::Usage
        }
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Ok,
        Err(Failure::Output(error)) => {
            error!("standard output: {error}");
            ExitStatus::Internal
        }
    }
}

/// Why a command did not end well.
#[derive(Debug)]
enum Failure {
    Config(ConfigError),
    Output(io::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
