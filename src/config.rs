//! What a run is told, resolved: from what was typed, the claims file and the terminal. Nothing below reads flags or the
//! environment.

mod correlate;
mod file;
mod live;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    cli::{AlertArgs, AnalyzeArgs, ClaimsArgs, EmitArgs, KeystrokeChoice, LimitArgs, OutputFormat},
    judge::claim::{Claims, Problem, Reading, leases::Leases},
    pseudonym::{KeyError, Pseudonyms},
    time::Span,
};

pub use self::{
    correlate::CorrelateConfig,
    file::{CommandLineError, command_line},
    live::{LiveConfig, Retention},
};

/// Largest claims file that is read, in bytes.
const MAX_CLAIMS: u64 = 64 * 1024 * 1024;

/// Largest file of leases that is read, in bytes. Reading it takes some ten times as much memory.
const MAX_LEASES: u64 = 128 * 1024 * 1024;

/// Largest file with a key that is read, in bytes: room for white space.
const MAX_KEY: u64 = 4096;

/// Mistakes of a file that are told; how many more there are is told too.
const MAX_TOLD: usize = 50;

/// An `analyze` run.
#[derive(Debug)]
pub struct AnalyzeConfig {
    /// Inputs in the order given; `-` is standard input.
    pub inputs: Vec<PathBuf>,
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
    /// Whether an implausible session shows in the exit status.
    pub fail_on_finding: bool,
    /// Whether to colour the table.
    pub color: bool,
    /// Which keystrokes to write; `None` for none.
    pub keystrokes: Option<KeystrokeChoice>,
    /// What to write instead of addresses and identities; `None` for these themselves.
    pub pseudonyms: Option<Arc<Pseudonyms>>,
    /// The folder for the evidence of each alert.
    pub save_evidence: Option<PathBuf>,
    /// The folder of the archive.
    pub archive: Option<PathBuf>,
    /// Engines that share the work.
    pub workers: usize,
    /// Whether only observations are written, and of what.
    pub emit: EmitArgs,
    /// How much they hold at most, together.
    pub limits: LimitArgs,
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
    /// The folder for evidence could not be made.
    #[error("--save-evidence: {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file with the key has none.
    #[error("--pseudonymize: {} {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// A file of claims or leases has mistakes.
    #[error("{}", list(path, problems))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// All of them.
        problems: Vec<Problem>,
    },
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// What goes with claims was given without any.
    #[error("--leases and --sensor go with --claims")]
    NoClaims,
    /// The sensor's place is none.
    #[error("--sensor: {0}")]
    Sensor(String),
}

fn list(path: &Path, problems: &[Problem]) -> String {
    let told = problems.iter().take(MAX_TOLD).map(|problem| format!("{}: {problem}", path.display()));
    let more = problems.len().saturating_sub(MAX_TOLD);
    let more = (more > 0).then(|| format!("{}: {more} more mistakes", path.display()));
    told.chain(more).collect::<Vec<_>>().join("\n")
}

impl ConfigError {
    fn keystrokes_in_csv() -> Self {
        let message = "--keystrokes: CSV has one row a session and no place for keystrokes; use --format ndjson for both";
        Self::Usage(message.to_owned())
    }
}

/// A duration as a span; none where it is zero.
fn span(duration: Duration) -> Option<Span> {
    let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    (nanos > 0).then_some(Span::from_nanos(nanos))
}

impl AnalyzeConfig {
    /// Resolves what was typed. `is_terminal` says whether standard output is one; `no_color` whether the user asked for no
    /// colours (<https://no-color.org>).
    ///
    /// # Errors
    /// [`ConfigError`] where the claims, or what goes with them, cannot be read or have mistakes.
    pub fn resolve(args: AnalyzeArgs, is_terminal: bool, no_color: bool) -> Result<Self, ConfigError> {
        if args.format == OutputFormat::Csv && args.keystrokes.is_some() {
            return Err(ConfigError::keystrokes_in_csv());
        }
        let read = args.inputs.iter().chain(&args.claims).chain(&args.around.leases).chain(&args.pseudonymize);
        check_output(args.output.as_deref(), read)?;
        check_folder(&args)?;
        if args.claims.is_none() && (args.around.leases.is_some() || args.around.sensor.is_some()) {
            return Err(ConfigError::NoClaims);
        }
        Ok(Self {
            claims: args.claims.as_deref().map(|path| read_claims(path, &args.around)).transpose()?,
            pseudonyms: args.pseudonymize.as_deref().map(read_key).transpose()?.map(Arc::new),
            inputs: args.inputs,
            vlan_in_key: args.vlan_key,
            all_flows: args.all_flows,
            report_every: span(args.report_every.unwrap_or_default()),
            learning: args.learn,
            cool_down: span(args.alerts.cool_down),
            alerts: args.alerts,
            format: args.format,
            output: args.output.filter(|path| path.as_os_str() != "-"),
            fail_on_finding: args.fail_on_finding,
            color: is_terminal && !no_color,
            keystrokes: args.keystrokes,
            save_evidence: args.save_evidence,
            archive: args.archive.archive,
            workers: usize::from(args.workers),
            emit: args.emit,
            limits: args.limits,
        })
    }
}

/// What is read must not be written over, or into.
fn check_output<'a>(output: Option<&Path>, mut read: impl Iterator<Item = &'a PathBuf>) -> Result<(), ConfigError> {
    let Some(output) = output.and_then(|path| fs::canonicalize(path).ok()) else { return Ok(()) };
    match read.find(|input| fs::canonicalize(input).is_ok_and(|input| input == output)) {
        Some(input) => Err(ConfigError::Usage(format!("--output: {} is read by this run", input.display()))),
        None => Ok(()),
    }
}

/// Evidence must not be written over what is read, nor be read.
fn check_folder(args: &AnalyzeArgs) -> Result<(), ConfigError> {
    let Some(folder) = args.save_evidence.as_deref().and_then(|path| fs::canonicalize(path).ok()) else { return Ok(()) };
    let is_there = |input: &&PathBuf| {
        fs::canonicalize(input).is_ok_and(|input| input == folder || input.parent().is_some_and(|parent| parent == folder))
    };
    match args.inputs.iter().find(is_there) {
        Some(input) => Err(ConfigError::Usage(format!("--save-evidence: {} is read by this run", input.display()))),
        None => Ok(()),
    }
}

/// Reads the key for pseudonyms.
fn read_key(path: &Path) -> Result<Pseudonyms, ConfigError> {
    if path.as_os_str() == "-" {
        let message = "--pseudonymize: a key is not read from standard input; name a file";
        return Err(ConfigError::Usage(message.to_owned()));
    }
    let text = read(path, MAX_KEY)?;
    Pseudonyms::parse(&text).map_err(|source| ConfigError::Key { path: path.to_owned(), source })
}

/// Reads a claims file, and what goes with it.
///
/// # Errors
/// [`ConfigError`] where a file cannot be read or has mistakes.
pub fn read_claims(path: &Path, around: &ClaimsArgs) -> Result<Claims, ConfigError> {
    let bytes = read(path, MAX_CLAIMS)?;
    let not_text = |error| ConfigError::Read { path: path.to_owned(), source: io::Error::other(error) };
    let text = String::from_utf8(bytes).map_err(not_text)?;
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let reading = Reading { is_csv, has_leases: around.leases.is_some() };
    let mut claims = Claims::parse(&text, reading).map_err(|problems| mistakes(path, problems))?;
    if let Some(place) = &around.sensor {
        claims = claims.with_sensor_at(place).map_err(ConfigError::Sensor)?;
    }
    if let Some(path) = &around.leases {
        // Logs hold what clients sent, which need not be UTF-8.
        let text = String::from_utf8_lossy(&read(path, MAX_LEASES)?).into_owned();
        claims = claims.with_leases(Leases::parse(&text).map_err(|problems| mistakes(path, problems))?);
    }
    Ok(claims)
}

fn mistakes(path: &Path, problems: Vec<Problem>) -> ConfigError {
    ConfigError::Mistakes { path: path.to_owned(), problems }
}

/// All of a file, unless there is too much.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, ConfigError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most { Err(io::Error::other(format!("is larger than {most} bytes"))) } else { Ok(bytes) }
    };
    read().map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}
