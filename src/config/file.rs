//! Options from a file, as `--config` names one: TOML whose keys are the long options.
//!
//! What the file says is put behind the command's name as if it had been typed there, so that every option means there what it
//! means on the command line. What was typed wins: an option of the file that was typed too, or that does not go with one that
//! was, is left out.

use std::{borrow::Cow, collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Parser, error::ErrorKind, parser::ValueSource};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{ConfigError, mistakes, read};
use crate::{
    cli::Cli,
    judge::claim::{Lines, Problem},
};

/// A file of options may be so large, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Commands that take `--config`; each may have a table of its own in the file.
const COMMANDS: [&str; 3] = ["analyze", "live", "correlate"];

/// Why a command line is none.
#[derive(Debug)]
pub enum CommandLineError {
    /// What was typed: clap's words, or the help that was asked for.
    Typed(Box<clap::Error>),
    /// What the file says.
    File(ConfigError),
}

/// Reads a command line, and the file that its `--config` names.
///
/// # Errors
/// [`CommandLineError`] where either cannot be read or has mistakes.
pub fn command_line(typed: Vec<OsString>) -> Result<Cli, CommandLineError> {
    let parse = |words: Vec<OsString>| Cli::try_parse_from(words).map_err(|error| CommandLineError::Typed(Box::new(error)));
    let Some((name, path, matches)) = names_file(&typed) else { return parse(typed) };
    let position = typed.iter().position(|word| *word == *name).map_or(typed.len(), |position| position + 1);
    let text = read(&path, MAX_FILE).map_err(CommandLineError::File)?;
    let found = words(&name, &matches, &String::from_utf8_lossy(&text));
    let words = found.map_err(|problems| CommandLineError::File(mistakes(&path, problems)))?;
    let (before, behind) = typed.split_at(position);
    parse([before, &words, behind].concat())
}

/// The command that was typed, the file that it names, and what else was typed.
fn names_file(typed: &[OsString]) -> Option<(String, PathBuf, ArgMatches)> {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(typed).ok()?;
    let (name, matches) = matches.subcommand()?;
    let path = matches.try_get_one::<PathBuf>("config").ok()??;
    Some((name.to_owned(), path.clone(), matches.clone()))
}

/// What a file adds to a command line.
fn words(name: &str, typed: &ArgMatches, text: &str) -> Result<Vec<OsString>, Vec<Problem>> {
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        vec![Problem { line: Lines::of(text).at(start), field: "toml".to_owned(), message: error.message().to_owned() }]
    })?;
    let mut reader = Reader { name, lines: Lines::of(text), chosen: BTreeMap::new(), problems: Vec::new() };
    for (key, value) in table.get_ref() {
        let command = COMMANDS.iter().find(|command| *command == key.get_ref());
        match (value.get_ref(), command) {
            (DeValue::Table(_), Some(_)) => {}
            _ => reader.entry(&COMMANDS, key, value),
        }
    }
    // What is said for one command wins over what is said for all.
    for command in COMMANDS {
        let Some(DeValue::Table(own)) = table.get_ref().get(command).map(Spanned::get_ref) else { continue };
        own.iter().for_each(|(key, value)| reader.entry(&[command], key, value));
    }
    reader.problems.sort_by_key(|problem| problem.line);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let left = reader.chosen.into_values().filter(|option| !option.gives_way(typed));
    Ok(left.flat_map(|option| option.words).map(OsString::from).collect())
}

/// An option that the file sets.
struct Set {
    arg: Arg,
    /// Options that it does not go with.
    against: Vec<String>,
    words: Vec<String>,
}

impl Set {
    /// Whether what was typed leaves no room for it.
    fn gives_way(&self, typed: &ArgMatches) -> bool {
        let own = [self.arg.get_id().as_str()];
        let mut concerned = own.into_iter().chain(self.against.iter().map(String::as_str));
        concerned.any(|id| typed.value_source(id) == Some(ValueSource::CommandLine))
    }
}

struct Reader<'a> {
    /// The command that was typed.
    name: &'a str,
    lines: Lines,
    chosen: BTreeMap<String, Set>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// An option of these commands.
    fn entry(&mut self, commands: &[&str], key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let name = key.get_ref().as_ref();
        let mut checked = None;
        for command in commands {
            let Some((mut command, arg)) = option(command, name) else { continue };
            let set = written(&arg, name, value.get_ref()).and_then(|words| check(&mut command, arg, words));
            // Options of one name mean the same, whatever the command.
            if checked.is_none() || command.get_name() == self.name {
                checked = Some((command.get_name() == self.name, set));
            }
        }
        match checked {
            None => {
                let message = format!("keywitness {} has no option --{name}", commands.join(", "));
                self.tell(key.span().start, name, message);
            }
            Some((_, Err(message))) => self.tell(value.span().start, name, message),
            Some((true, Ok(set))) => drop(self.chosen.insert(name.to_owned(), set)),
            Some((false, Ok(_))) => {}
        }
    }

    fn tell(&mut self, start: usize, name: &str, message: String) {
        self.problems.push(Problem { line: self.lines.at(start), field: name.to_owned(), message });
    }
}

/// A command and its option of this name, where a file may set it.
fn option(command: &str, name: &str) -> Option<(Command, Arg)> {
    let mut program = Cli::command();
    program.build();
    let command = program.find_subcommand(command)?.clone().mut_args(|arg| arg.required(false));
    let can_be_set = |arg: &&Arg| arg.get_long() == Some(name) && !matches!(name, "config" | "help" | "version");
    let arg = command.get_arguments().find(can_be_set)?.clone();
    Some((command, arg))
}

/// What would be typed for a value.
fn written(arg: &Arg, name: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let takes = arg.get_num_args().unwrap_or_default();
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Ok(format!("--{name}={text}")),
        DeValue::Integer(number) => Ok(format!("--{name}={number}")),
        DeValue::Float(number) => Ok(format!("--{name}={number}")),
        _ => Err("must be a string or a number, or several of them in brackets".to_owned()),
    };
    match (value, arg.get_action()) {
        (DeValue::Boolean(is_set), _) if takes.min_values() == 0 => Ok(is_set.then(|| format!("--{name}")).into_iter().collect()),
        (DeValue::Integer(times), ArgAction::Count) => {
            let times = times.to_string().parse().ok().filter(|times| *times <= 9).ok_or("must be 0 to 9")?;
            Ok(vec![format!("--{name}"); times])
        }
        (_, ArgAction::SetTrue | ArgAction::Count) => Err("must be true or false".to_owned()),
        (DeValue::Array(values), ArgAction::Append) => values.iter().map(|value| text(value.get_ref())).collect(),
        _ => Ok(vec![text(value)?]),
    }
}

/// Whether the command takes it; clap's words where it does not.
fn check(command: &mut Command, arg: Arg, words: Vec<String>) -> Result<Set, String> {
    let typed = [command.get_name().to_owned()].into_iter().chain(words.iter().cloned());
    // What an option goes with may stand elsewhere: that shows when all are there.
    let is_alone = |error: &clap::Error| error.kind() == ErrorKind::MissingRequiredArgument;
    if let Err(error) = command.try_get_matches_from_mut(typed)
        && !is_alone(&error)
    {
        let text = error.to_string();
        let told = text.split("\n\n").next().unwrap_or_default().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        return Err(told.trim_start_matches("error: ").to_owned());
    }
    let against = command.get_arg_conflicts_with(&arg).into_iter().map(|arg| arg.get_id().to_string()).collect();
    Ok(Set { arg, against, words })
}
