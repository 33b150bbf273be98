//! A `live` run.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{ConfigError, check_output, read_claims, read_key, span};
use crate::{
    cli::{AlertArgs, CaptureArgs, KeystrokeChoice, LimitArgs, LiveArchiveArgs, LiveArgs, OutputFormat, RotateArgs},
    judge::claim::Claims,
    pseudonym::Pseudonyms,
    time::Span,
};

/// How much evidence is kept; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// So long.
    pub age: Option<Duration>,
    /// So many bytes of all together.
    pub bytes: Option<u64>,
}

impl Retention {
    fn new(age: Duration, mib: u32) -> Self {
        Self { age: (!age.is_zero()).then_some(age), bytes: (mib > 0).then_some(u64::from(mib) << 20) }
    }
}

/// A `live` run, resolved.
#[derive(Debug)]
pub struct LiveConfig {
    /// Interfaces in the order given, each once.
    pub interfaces: Vec<String>,
    /// How to capture.
    pub capture: CaptureArgs,
    /// How many engines share the work.
    pub workers: usize,
    /// The processors that threads are kept to, as they were typed; `None` for any.
    pub cpus: Option<String>,
    /// The files that this came from, by the option that names each; they are read again to resolve it again.
    pub files: Vec<(&'static str, PathBuf)>,
    /// How much is held at most.
    pub limits: LimitArgs,
    /// Claims to hold sessions against.
    pub claims: Option<Claims>,
    /// Whether equal addresses and ports in different VLANs are different flows.
    pub vlan_in_key: bool,
    /// Whether flows that are no sessions are reported too.
    pub all_flows: bool,
    /// How often a session that goes on is reported; `None` for at its end only.
    pub report_every: Option<Span>,
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
    /// How long that file becomes.
    pub rotate: RotateArgs,
    /// Whether to colour the table.
    pub color: bool,
    /// Which keystrokes to write; `None` for none.
    pub keystrokes: Option<KeystrokeChoice>,
    /// What to write instead of addresses and identities; `None` for these themselves.
    pub pseudonyms: Option<Arc<Pseudonyms>>,
    /// The folder for the evidence of each alert.
    pub save_evidence: Option<PathBuf>,
    /// The archive.
    pub archive: LiveArchiveArgs,
    /// How much evidence is kept.
    pub retention: Retention,
    /// Where changes are written down.
    pub audit: Option<PathBuf>,
    /// Where to answer with metrics.
    pub metrics: Option<String>,
    /// Who the process becomes.
    pub user: Option<String>,
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
        check_rotation(&args.rotate, args.output.as_deref())?;
        let mut interfaces: Vec<String> = Vec::new();
        for interface in args.interfaces {
            if interfaces.contains(&interface) {
                return Err(ConfigError::Usage(format!("--interface: {interface} is named twice")));
            }
            interfaces.push(interface);
        }
        let files = [
            ("config", &args.config),
            ("claims", &args.claims),
            ("leases", &args.around.leases),
            ("pseudonymize", &args.pseudonymize),
        ];
        Ok(Self {
            files: files.into_iter().filter_map(|(option, path)| Some((option, path.clone()?))).collect(),
            interfaces,
            capture: args.capture,
            limits: args.limits,
            workers: usize::from(args.workers),
            cpus: args.cpus,
            claims: args.claims.as_deref().map(|path| read_claims(path, &args.around)).transpose()?,
            vlan_in_key: args.vlan_key,
            all_flows: args.all_flows,
            report_every: span(args.report_every),
            learning: args.learn,
            cool_down: span(args.alerts.cool_down),
            alerts: args.alerts,
            format: args.format,
            output: args.output.filter(|path| path.as_os_str() != "-"),
            rotate: args.rotate,
            color: is_terminal && !no_color,
            keystrokes: args.keystrokes,
            pseudonyms: args.pseudonymize.as_deref().map(read_key).transpose()?.map(Arc::new),
            save_evidence: args.save_evidence,
            archive: args.archive,
            retention: Retention::new(args.evidence_age, args.evidence_size),
            audit: args.audit,
            metrics: args.metrics,
            user: args.user,
        })
    }

    /// The options that differ and cannot be changed while a sensor runs. Whether it is the same key for pseudonyms is not looked at.
    #[must_use]
    pub fn fixed_that_differ(&self, new: &Self) -> Vec<&'static str> {
        let differ = [
            ("--interface", self.interfaces != new.interfaces),
            (
                "how to capture (--filter, --ring-size, --snaplen, --no-promiscuous, --timestamps, --hold-back)",
                self.capture != new.capture,
            ),
            ("--workers", self.workers != new.workers),
            ("--cpus", self.cpus != new.cpus),
            ("--vlan-key", self.vlan_in_key != new.vlan_in_key),
            ("--all-flows", self.all_flows != new.all_flows),
            ("--report-every", self.report_every != new.report_every),
            ("--format", self.format != new.format),
            ("--keystrokes", self.keystrokes != new.keystrokes),
            ("--pseudonymize", self.pseudonyms.is_some() != new.pseudonyms.is_some()),
            ("--save-evidence", self.save_evidence != new.save_evidence),
            ("--archive and --archive-every", self.archive != new.archive),
            ("--evidence-age, --evidence-size", self.retention != new.retention),
            ("--audit", self.audit != new.audit),
            ("where alerts go (--alert-to, --spool, --cool-down and what goes with them)", self.alerts != new.alerts),
            ("--metrics", self.metrics != new.metrics),
            ("--user", self.user != new.user),
        ];
        differ.into_iter().filter_map(|(option, differs)| differs.then_some(option)).collect()
    }
}

/// What is rotated is a file, and something says when.
fn check_rotation(rotate: &RotateArgs, output: Option<&Path>) -> Result<(), ConfigError> {
    let told = |text: &str| Err(ConfigError::Usage(text.to_owned()));
    match output {
        _ if !rotate.is_asked_for() && rotate.rotate_keep > 0 => {
            told("--rotate-keep: says how many, and --rotate-size or --rotate-every when")
        }
        None if rotate.is_asked_for() => told("--rotate-size and --rotate-every go with a file: --output FILE"),
        Some(path)
            if rotate.is_asked_for() && (path.as_os_str() == "-" || fs::metadata(path).is_ok_and(|found| !found.is_file())) =>
        {
            told("--rotate-size and --rotate-every: --output is no file")
        }
        _ => Ok(()),
    }
}
