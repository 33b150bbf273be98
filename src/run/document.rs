//! What a packager needs: completions and manual pages.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{ExitStatus, Failure};
use crate::{cli::Cli, config::ConfigError, output::escape};

/// Writes the completions of a shell.
pub(super) fn completions(shell: Shell, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keywitness", &mut text);
    write(&text, out)
}

/// Writes the manual page of a command, or of the program.
pub(super) fn man(names: &[String], out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let mut program = Cli::command();
    program.build();
    let mut command = &program;
    for name in names {
        command = command.find_subcommand(name).ok_or_else(|| {
            ConfigError::Usage(format!("no command \"{}\"; see keywitness help", escape::text(names.join(" ").as_bytes())))
        })?;
    }
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    write(&text, out)
}

fn write(text: &[u8], out: &mut impl Write) -> Result<ExitStatus, Failure> {
    out.write_all(text)?;
    out.flush()?;
    Ok(ExitStatus::Ok)
}
