//! What a `correlate` run is told, resolved.

use std::path::PathBuf;

use super::{ConfigError, check_output, read_claims, span};
use crate::{
    cli::{AlertArgs, CorrelateArgs, KeystrokeChoice, OutputFormat},
    judge::claim::Claims,
    time::Span,
};

/// A `correlate` run.
#[derive(Debug)]
pub struct CorrelateConfig {
    /// Files of observations in the order given; `-` is standard input.
    pub inputs: Vec<PathBuf>,
    /// Claims to hold sessions against.
    pub claims: Option<Claims>,
    /// Whether no alerts are raised.
    pub learning: bool,
    /// How long an alert keeps others of the same matter quiet; `None` for not at all.
    pub cool_down: Option<Span>,
    /// Where alerts go besides.
    pub alerts: AlertArgs,
    /// How to write results.
    pub format: OutputFormat,
    /// Where to; `None` for standard output.
    pub output: Option<PathBuf>,
    /// The folder of the archive.
    pub archive: Option<PathBuf>,
    /// Whether an implausible session shows in the exit status.
    pub fail_on_finding: bool,
    /// Whether to colour the table.
    pub color: bool,
    /// Which keystrokes to write; `None` for none.
    pub keystrokes: Option<KeystrokeChoice>,
}

impl CorrelateConfig {
    /// Resolves what was typed. `is_terminal` says whether standard output is one; `no_color` whether the user asked for no
    /// colours.
    ///
    /// # Errors
    /// [`ConfigError`] where the claims, or what goes with them, cannot be read or have mistakes.
    pub fn resolve(args: CorrelateArgs, is_terminal: bool, no_color: bool) -> Result<Self, ConfigError> {
        if args.format == OutputFormat::Csv && args.keystrokes.is_some() {
            return Err(ConfigError::keystrokes_in_csv());
        }
        let read = args.inputs.iter().chain(&args.config).chain(&args.claims).chain(&args.around.leases);
        check_output(args.output.as_deref(), read)?;
        if args.claims.is_none() && (args.around.leases.is_some() || args.around.sensor.is_some()) {
            return Err(ConfigError::NoClaims);
        }
        Ok(Self {
            claims: args.claims.as_deref().map(|path| read_claims(path, &args.around)).transpose()?,
            inputs: args.inputs,
            learning: args.learn,
            cool_down: span(args.alerts.cool_down),
            alerts: args.alerts,
            format: args.format,
            output: args.output.filter(|path| path.as_os_str() != "-"),
            archive: args.archive.archive,
            fail_on_finding: args.fail_on_finding,
            color: is_terminal && !no_color,
            keystrokes: args.keystrokes,
        })
    }
}
