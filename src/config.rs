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
    /// A claims file has mistakes.
    #[error("{}", list(path, problems))]
    Claims {
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Vec<Problem>,
    },
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
        Ok(Self {
            claims: args.claims.as_deref().map(read_claims).transpose()?,
            inputs: args.inputs,
            vlan_in_key: args.vlan_key,
            format: args.format,
            color: is_terminal && !no_color,
            keystrokes: args.keystrokes,
        })
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
