//! A `live` run.

use std::{path::PathBuf, sync::Arc};

use super::{ConfigError, check_output, read_claims, read_key, span};
use crate::{
    cli::{CaptureArgs, ClaimsArgs, KeystrokeChoice, LiveArgs, OutputFormat},
    judge::claim::Claims,
    pseudonym::Pseudonyms,
    time::Span,
};

/// A `live` run, resolved.
#[derive(Debug)]
pub struct LiveConfig {
    /// Interfaces in the order given, each once.
    pub interfaces: Vec<String>,
    /// How to capture.
    pub capture: CaptureArgs,
    /// Claims to hold sessions against.
    pub claims: Option<Claims>,
    /// Where they came from, to be read again.
    pub source: Option<ClaimsSource>,
    /// Whether equal addresses and ports in different VLANs are different flows.
    pub vlan_in_key: bool,
    /// Whether flows that are no sessions are reported too.
    pub all_flows: bool,
    /// How often a session that goes on is reported; `None` for at its end only.
    pub report_every: Option<Span>,
    /// Whether no alerts are raised.
    pub learning: bool,
    /// How to write results.
    pub format: OutputFormat,
    /// Where to; `None` for standard output.
    pub output: Option<PathBuf>,
    /// Whether to colour the table.
    pub color: bool,
    /// Which keystrokes to write; `None` for none.
    pub keystrokes: Option<KeystrokeChoice>,
    /// What to write instead of addresses and identities; `None` for these themselves.
    pub pseudonyms: Option<Arc<Pseudonyms>>,
    /// The folder for the evidence of each alert.
    pub save_evidence: Option<PathBuf>,
}

/// The files that claims come from.
#[derive(Debug)]
pub struct ClaimsSource {
    path: PathBuf,
    around: ClaimsArgs,
}

impl ClaimsSource {
    /// Reads the claims, all of them or none.
    ///
    /// # Errors
    /// [`ConfigError`] where a file cannot be read or has mistakes.
    pub fn read(&self) -> Result<Claims, ConfigError> {
        read_claims(&self.path, &self.around)
    }
}

impl LiveConfig {
    /// Resolves what was typed; for `is_terminal` and `no_color` see [`super::AnalyzeConfig::resolve`].
    ///
    /// # Errors
    /// [`ConfigError`] where the claims, or what goes with them, cannot be read or have mistakes.
    pub fn resolve(args: LiveArgs, is_terminal: bool, no_color: bool) -> Result<Self, ConfigError> {
        if args.format == OutputFormat::Csv && args.keystrokes.is_some() {
            return Err(ConfigError::keystrokes_in_csv());
        }
        if args.claims.is_none() && (args.around.leases.is_some() || args.around.sensor.is_some()) {
            return Err(ConfigError::NoClaims);
        }
        check_output(args.output.as_deref(), args.claims.iter().chain(&args.around.leases).chain(&args.pseudonymize))?;
        let mut interfaces: Vec<String> = Vec::new();
        for interface in args.interfaces {
            if interfaces.contains(&interface) {
                return Err(ConfigError::Usage(format!("--interface: {interface} is named twice")));
            }
            interfaces.push(interface);
        }
        let source = args.claims.map(|path| ClaimsSource { path, around: args.around });
        Ok(Self {
            interfaces,
            capture: args.capture,
            claims: source.as_ref().map(ClaimsSource::read).transpose()?,
            source,
            vlan_in_key: args.vlan_key,
            all_flows: args.all_flows,
            report_every: span(args.report_every),
            learning: args.learn,
            format: args.format,
            output: args.output.filter(|path| path.as_os_str() != "-"),
            color: is_terminal && !no_color,
            keystrokes: args.keystrokes,
            pseudonyms: args.pseudonymize.as_deref().map(read_key).transpose()?.map(Arc::new),
            save_evidence: args.save_evidence,
        })
    }
}
