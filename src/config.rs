//! What a run is told, resolved: from what was typed, the claims file and the terminal. Nothing below reads flags or the
//! environment.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    cli::{AnalyzeArgs, KeystrokeChoice, OutputFormat},
    judge::claim::{Claims, Problem},
};

/// Largest claims file that is read, in bytes.
const MAX_CLAIMS: u64 = 64 * 1024 * 1024;

/// An `analyze` run.
#[derive(Debug)]
pub struct AnalyzeConfig {
    /// Inputs in the order given; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    /// Claims to hold sessions against.
    pub claims: Option<Claims>,
    /// Whether equal addresses and ports in different VLANs are different flows.
    pub vlan_in_key: bool,
    /// How to write results.
    pub format: OutputFormat,
    /// Where to; `None` for standard output.
    pub output: Option<PathBuf>,
    /// Whether an implausible session shows in the exit status.
    pub fail_on_finding: bool,
    /// Whether to colour the table.
    pub color: bool,
    /// Which keystrokes to write; `None` for none.
    pub keystrokes: Option<KeystrokeChoice>,
}

/// A mistake of the user, with everything that is needed to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file for results could not be created.
    #[error("--output: {}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A claims file has mistakes.
    #[error("{}", list(path, problems))]
    Claims {
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Vec<Problem>,
    },
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
}

fn list(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect();
    lines.join("\n")
}

impl AnalyzeConfig {
    /// Resolves what was typed. `is_terminal` says whether standard output is one; `no_color` whether the user asked for no
    /// colours (<https://no-color.org>).
    ///
    /// # Errors
    /// [`ConfigError`] where the claims cannot be read or have mistakes.
    pub fn resolve(args: AnalyzeArgs, is_terminal: bool, no_color: bool) -> Result<Self, ConfigError> {
        if args.format == OutputFormat::Csv && args.keystrokes.is_some() {
            let message = "--keystrokes: CSV has one row a session and no place for keystrokes; use --format ndjson for both";
            return Err(ConfigError::Usage(message.to_owned()));
        }
        check_output(&args)?;
        Ok(Self {
            claims: args.claims.as_deref().map(read_claims).transpose()?,
            inputs: args.inputs,
            vlan_in_key: args.vlan_key,
            format: args.format,
            output: args.output.filter(|path| path.as_os_str() != "-"),
            fail_on_finding: args.fail_on_finding,
            color: is_terminal && !no_color,
            keystrokes: args.keystrokes,
        })
    }
}

/// What is read must not be written over.
fn check_output(args: &AnalyzeArgs) -> Result<(), ConfigError> {
    let Some(output) = args.output.as_deref().and_then(|path| fs::canonicalize(path).ok()) else { return Ok(()) };
    let read = args.inputs.iter().chain(&args.claims).find(|input| fs::canonicalize(input).is_ok_and(|input| input == output));
    match read {
        Some(input) => Err(ConfigError::Usage(format!("--output: {} is read by this run", input.display()))),
        None => Ok(()),
    }
}

/// Reads a claims file.
///
/// # Errors
/// [`ConfigError`] where it cannot be read or has mistakes.
pub fn read_claims(path: &Path) -> Result<Claims, ConfigError> {
    let read = || {
        if fs::metadata(path)?.len() > MAX_CLAIMS {
            return Err(io::Error::other(format!("is larger than {MAX_CLAIMS} bytes")));
        }
        fs::read_to_string(path)
    };
    let text = read().map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    Claims::parse(&text).map_err(|problems| ConfigError::Claims { path: path.to_owned(), problems })
}
