//! What a packager needs: completions and manual pages; and what whoever reads records needs: their schemas.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use serde_json::Value;

use super::{ExitStatus, Failure};
use crate::{
    cli::Cli,
    config::ConfigError,
    output::{escape, schema},
};

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

/// Writes the schema of a record, or all by name.
pub(super) fn schema(record: Option<&str>, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let all = schema::all();
    let wanted = match record {
        None => Value::Object(all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()),
        Some(name) => {
            let known: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            let unknown = format!("no record \"{}\"; there are {}", escape::text(name.as_bytes()), known.join(", "));
            let found = all.into_iter().find(|(known, _)| *known == name);
            found.ok_or(ConfigError::Usage(unknown))?.1
        }
    };
    write(format!("{wanted:#}\n").as_bytes(), out)
}

fn write(text: &[u8], out: &mut impl Write) -> Result<ExitStatus, Failure> {
    out.write_all(text)?;
    out.flush()?;
    Ok(ExitStatus::Ok)
}
