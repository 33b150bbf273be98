//! Where clocks, files and standard streams are: the only place that does I/O besides `capture`.

mod archive;
mod claims;
mod correlate;
pub mod counters;
pub mod deliver;
mod doctor;
mod document;
mod evidence;
pub mod guard;
pub mod health;
mod interface;
mod judge;
mod lanes;
mod live;
pub mod metrics;
mod observations;
mod offline;
mod process;
mod replay;
mod screen;
pub mod service;
pub mod spool;
mod workers;
mod writer;

use std::{
    env,
    fs::{self, File},
    io::{self, BufReader, IsTerminal, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tracing::{error, warn};

pub use self::screen::Screen;
use self::{archive::Archive, deliver::SetupError, evidence::EvidenceFolder, guard::GuardError, observations::Options};
use crate::{
    capture::{Filter, Selection, TimeRange},
    cli::{
        AnalyzeArgs, AnswerFormat, ClaimsCommand, Cli, Command, CorrelateArgs, LiveArchiveArgs, LiveArgs, Manner, SpoolCommand,
        When,
    },
    config::{AnalyzeConfig, ConfigError, CorrelateConfig, LiveConfig},
};

/// Bytes of standard input that are read at once.
const READ_AT_ONCE: usize = 64 * 1024;

/// What root is told.
const ROOT: &str = "live: not as root, which is not needed and puts the whole machine at the mercy of what comes in. Run it as a user of its \
own, and let the program capture: setcap cap_net_raw+ep /usr/bin/keywitness, or AmbientCapabilities=CAP_NET_RAW in a systemd \
unit. Started by root, --user NAME becomes that user; to run it as root all the same: --as-root";

/// How a run ended, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Ran.
    Ok = 0,
    /// Ran, and found a session implausible; only where that was asked for.
    Finding = 1,
    /// Usage or configuration error.
    Usage = 2,
    /// An input could not be read to its end.
    Input = 3,
    /// Something of our own, or the output, failed.
    Internal = 4,
}

/// Carries a command out. Log lines go to `screen`.
#[must_use]
pub fn run(cli: Cli, screen: &Screen) -> ExitStatus {
    let outcome = match cli.command {
        Command::Analyze(args) => analyze(args, cli.manner, screen),
        Command::Correlate(args) => correlate(args, cli.manner),
        Command::Live(args) => live(args, cli.manner),
        Command::Judge(args) => {
            let input = BufReader::with_capacity(READ_AT_ONCE, io::stdin().lock());
            judge::judge(&args, input, &mut io::stdout().lock())
        }
        Command::Replay(args) => {
            let progress = screen.progress(args.progress, cli.manner);
            replay::replay(args, progress)
        }
        Command::Doctor(args) => {
            let (is_terminal, no_color) = colors(cli.manner, true);
            doctor::doctor(&args, is_terminal && !no_color, &mut io::stdout().lock())
        }
        Command::Schema { record } => document::schema(record.as_deref(), &mut io::stdout().lock()),
        Command::Completions { shell } => document::completions(shell, &mut io::stdout().lock()),
        Command::Man { command } => document::man(&command, &mut io::stdout().lock()),
        Command::Spool(SpoolCommand::Status { folder, format }) => {
            spool_status(&folder, format == AnswerFormat::Ndjson, &mut io::stdout().lock())
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
        Err(Failure::Input(problem)) => {
            error!("{problem}");
            ExitStatus::Input
        }
        Err(Failure::File(problem)) => {
            error!("{problem}");
            ExitStatus::Internal
        }
        Err(Failure::Guard(problem)) => {
            error!("privileges could not be given up: {problem}");
            ExitStatus::Internal
        }
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Ok,
        Err(Failure::Output(error)) => {
            error!("standard output: {error}");
            ExitStatus::Internal
        }
    }
}

/// Whether results go to a terminal, and whether colours are not wanted there.
fn colors(manner: Manner, to_stdout: bool) -> (bool, bool) {
    match manner.color {
        When::Auto => {
            let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            (to_stdout && io::stdout().is_terminal(), no_color)
        }
        When::Always => (true, false),
        When::Never => (false, true),
    }
}

fn analyze(args: AnalyzeArgs, manner: Manner, screen: &Screen) -> Result<ExitStatus, Failure> {
    let (is_terminal, no_color) = colors(manner, args.output.is_none());
    let selection = selection(&args)?;
    let (key, when) = (args.pseudonymize.clone(), args.progress);
    let (is_emitting, options) = (args.emit.emit.is_some(), observed(&args));
    let mut config = AnalyzeConfig::resolve(args, is_terminal, no_color)?;
    if let Some(key) = &key {
        warn_of_open_key(key);
    }
    let evidence = config.save_evidence.take().map(EvidenceFolder::open).transpose()?;
    let archive = config.archive.take().map(|folder| Archive::open(folder, None)).transpose()?;
    let alerts = deliver::Setup::resolve(&config.alerts)?;
    let Some(path) = config.output.clone() else {
        let progress = screen.progress(when, manner);
        let out = &mut io::stdout().lock();
        if is_emitting {
            return Ok(offline::observe(config, selection, options, progress, &mut screen.beside(out))?);
        }
        return Ok(offline::analyze(config, selection, evidence, archive, alerts, progress, &mut screen.beside(out))?);
    };
    let mut file = File::create(&path).map_err(|source| ConfigError::Create { path: path.clone(), source })?;
    let progress = screen.progress(when, manner);
    let outcome = if is_emitting {
        offline::observe(config, selection, options, progress, &mut file)
    } else {
        offline::analyze(config, selection, evidence, archive, alerts, progress, &mut file)
    };
    outcome.map_err(|error| Failure::File(format!("{}: {error}", path.display())))
}

/// What changes what is observed.
fn observed(args: &AnalyzeArgs) -> Options {
    Options {
        vlan_key: args.vlan_key,
        all_flows: args.all_flows,
        report_every: args.report_every.map(|every| i64::try_from(every.as_nanos()).unwrap_or(i64::MAX)),
        filter: args.filter.clone(),
        time_range: args.time_range.clone(),
        max_flows: args.limits.max_flows,
        max_sessions: args.limits.max_sessions,
    }
}

fn correlate(args: CorrelateArgs, manner: Manner) -> Result<ExitStatus, Failure> {
    let (is_terminal, no_color) = colors(manner, args.output.is_none());
    let mut config = CorrelateConfig::resolve(args, is_terminal, no_color)?;
    let archive = config.archive.take().map(|folder| Archive::open(folder, None)).transpose()?;
    let alerts = deliver::Setup::resolve(&config.alerts)?;
    let Some(path) = config.output.clone() else {
        return correlate::correlate(config, archive, alerts, &mut io::stdout().lock());
    };
    let mut file = File::create(&path).map_err(|source| ConfigError::Create { path: path.clone(), source })?;
    correlate::correlate(config, archive, alerts, &mut file).map_err(|failure| match failure {
        Failure::Output(error) => Failure::File(format!("{}: {error}", path.display())),
        other => other,
    })
}

fn live(args: LiveArgs, manner: Manner) -> Result<ExitStatus, Failure> {
    if let Some(user) = &args.user {
        guard::become_user(user)?;
    } else if rustix::process::geteuid().is_root() {
        if !args.as_root {
            return Err(ConfigError::Usage(ROOT.to_owned()).into());
        }
        warn!("running as root, which is not needed: the capability cap_net_raw is enough (see live --help)");
    }
    if let Some(filter) = &args.capture.filter {
        Filter::new(filter).map_err(|error| ConfigError::Usage(format!("--filter: {error}")))?;
    }
    let (is_terminal, no_color) = colors(manner, args.output.is_none());
    let key = args.pseudonymize.clone();
    let config = LiveConfig::resolve(args, is_terminal, no_color)?;
    if let Some(key) = &key {
        warn_of_open_key(key);
    }
    let evidence = config.save_evidence.clone().map(EvidenceFolder::open).transpose()?;
    let evidence = evidence.map(|folder| folder.keeping(config.retention));
    let LiveArchiveArgs { folder, archive_every } = config.archive.clone();
    let archive = folder.archive.map(|folder| Archive::open(folder, Some(archive_every))).transpose()?;
    let alerts = deliver::Setup::resolve(&config.alerts)?;
    let endpoint = config.metrics.as_deref().map(listen).transpose()?;
    live::live(config, evidence, archive, alerts, endpoint)
}

/// Says how a spool stands.
fn spool_status(folder: &Path, is_json: bool, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let written = spool::status(folder, is_json, out).map_err(|problem| Failure::Input(problem.to_string()))?;
    written?;
    Ok(ExitStatus::Ok)
}

/// Listens for whoever asks for metrics.
fn listen(text: &str) -> Result<metrics::Endpoint, ConfigError> {
    let address = metrics::address(text).map_err(|error| ConfigError::Usage(format!("--metrics: {error}")))?;
    metrics::listen(address).map_err(|error| ConfigError::Usage(format!("--metrics: {address}: {error}")))
}

/// Whoever reads the key can tell whom a pseudonym stands for.
fn warn_of_open_key(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |file| if file.is_file() { file.permissions().mode() & 0o777 } else { 0 });
    if mode & 0o044 != 0 {
        warn!("--pseudonymize: others can read {} (mode {mode:04o}); only its owner should: chmod 600", path.display());
    }
}

/// Which frames the user wants looked at.
fn selection(args: &AnalyzeArgs) -> Result<Selection, ConfigError> {
    let usage = |flag: &str, error: String| ConfigError::Usage(format!("{flag}: {error}"));
    let range = args.time_range.as_deref().map_or(Ok(TimeRange::ALL), TimeRange::parse);
    let range = range.map_err(|error| usage("--time-range", error))?;
    Selection::new(range, args.filter.as_deref()).map_err(|error| usage("--filter", error.to_string()))
}

/// Why a command did not end well.
#[derive(Debug)]
enum Failure {
    Config(ConfigError),
    Input(String),
    File(String),
    Guard(GuardError),
    Output(io::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Config(mistake) => Self::Config(mistake),
            SetupError::System(problem) => Self::Input(problem),
        }
    }
}

impl From<GuardError> for Failure {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::NoUser(_) | GuardError::Root(_) | GuardError::NotRoot(_) => {
                Self::Config(ConfigError::Usage(error.to_string()))
            }
            other => Self::Guard(other),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
