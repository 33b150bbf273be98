//! `keywitness live`: interfaces through engines and the correlator, until a signal.
//!
//! The taps have a thread each, and so have several engines; everything else is done in this one. It looks at a clock only to flush what was
//! written: time comes with the batches.

mod audit;
mod confined;
mod rotation;
mod signals;
mod sink;
mod stage;
mod standing;

use std::{
    env, fs, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{error, info, warn};

use self::{
    audit::Audit,
    rotation::Rotation,
    signals::Signals,
    sink::Sink,
    stage::{Setup, Stage},
    standing::Standing,
};
use super::{
    ExitStatus, Failure,
    archive::Archive,
    counters::Counters,
    deliver::Setup as AlertSetup,
    evidence::EvidenceFolder,
    health::Health,
    metrics::Endpoint,
    offline::input_name,
    service::Service,
    writer::{Look, Writer},
};
use crate::{
    capture::live::{Capturing, CpuError, Cpus, LiveOptions, Opened, Received, Stamping, Stamps},
    cli::{Command, StampChoice},
    config::{CommandLineError, ConfigError, LiveConfig, command_line},
    correlator::Correlator,
    engine::EngineLimits,
    event::{InputState, InputSummary, Summary},
    evidence::SliceLimits,
    output::{Context, TimestampSource, audit::What, escape},
    time::Span,
};

/// Longest wait for a batch: as soon signals are seen where nothing comes.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Results are written at most so long after they became known.
const WRITE_AFTER: Duration = Duration::from_millis(100);

/// Captures and analyses until a signal; `endpoint` listens for whoever asks for metrics.
///
/// # Errors
/// Of opening interfaces and files, of giving up privileges, and of writing results.
pub(super) fn live(
    mut config: LiveConfig,
    evidence: Option<EvidenceFolder>,
    archive: Option<Archive>,
    alerts: Option<AlertSetup>,
    endpoint: Option<Endpoint>,
) -> Result<ExitStatus, Failure> {
    let started = Instant::now();
    let signals = Signals::take().map_err(|error| Failure::Input(format!("signals: {error}")))?;
    let cpus = cpus(&config)?;
    let options = options(&config, cpus.clone());
    let opened = Opened::open(&config.interfaces, &options).map_err(|error| Failure::Input(error.to_string()))?;
    let (sink, is_new) = open_sink(config.output.as_ref())?;
    let (service, health) = (Service::from_environment(), Arc::new(Health::default()));
    let counters = Arc::new(Counters::new(told_names(&config).zip(opened.counters()), config.workers));
    let unwritten = |path: &Option<PathBuf>, error| {
        let path = path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        Failure::File(format!("--audit: {path}: {error}"))
    };
    let mut audit = Audit::open(config.audit.as_deref()).map_err(|error| unwritten(&config.audit, error))?;
    let (stamps, kept, in_flight) = (opened.stamps(), opened.kept(), Some(opened.in_flight() as u64));
    let stamped_by = if stamps == Stamps::Adapter { "adapter" } else { "host" };
    let context = context(&config, stamps);
    // Here rights are given up: from now on interfaces are only opened again (by the capture threads, which `start` begins), claims
    // read and results written. This thread comes last, since those that it starts have what is left to it.
    let folders = evidence.iter().map(EvidenceFolder::path).chain(archive.iter().map(Archive::path));
    let needs = confined::analysing(&config, folders, alerts.as_ref());
    let begun = opened.start(begin_capture(&config, &health));
    let (merge, capturing) = begun.map_err(|error| Failure::Input(format!("capture threads: {error}")))?;
    confined::analyse(&needs)?;
    info!("capturing on {}; stamped by the {stamped_by}", config.interfaces.join(", "));

    audit.tell(What::Start, &config, Vec::new()).map_err(|error| unwritten(&config.audit, error))?;
    let look = Look { format: config.format, color: config.color, keystrokes: config.keystrokes, live: true };
    let slices = evidence.as_ref().map(|_| SliceLimits::default());
    let (vlan_in_key, all_flows, report_every) = (config.vlan_in_key, config.all_flows, config.report_every);
    let keystrokes = config.keystrokes.is_some();
    let room = EngineLimits::default().with(config.limits.max_flows as usize, config.limits.max_sessions as usize);
    let limits = EngineLimits { vlan_in_key, all_flows, slices, keystrokes, report_every, in_flight, ..room };
    counters.flows_max.set(limits.flows.max_flows as u64);
    if let Some(claims) = &config.claims {
        counters.claims_read(Some(&claims.sha256));
    }
    let (pseudonyms, workers, threads) = (config.pseudonyms.clone(), config.workers, config.interfaces.len());
    let setup =
        Setup { limits, pseudonyms, workers, kept, cpus, threads, counters: Arc::clone(&counters), health: Arc::clone(&health) };
    let stage = Stage::start(merge, &setup).map_err(|error| Failure::Input(format!("threads of engines: {error}")))?;
    let alerting = alerts.map(|alerts| alerts.start(false, context.clone())).transpose();
    let alerting = alerting.map_err(|error| Failure::Input(format!("threads for alerts: {error}")))?;
    if let Some(alerting) = &alerting {
        counters.watch(alerting.watch());
    }
    let writer = Writer::new(look, context.clone(), evidence, sink).counting(Arc::clone(&counters)).alerting(alerting);
    let mut writer = writer.archiving(archive, context);
    writer.begin_file(is_new);
    let correlator = Correlator::new(config.claims.take()).with_pseudonyms(config.pseudonyms.clone());
    let mut sensor = Sensor {
        stage,
        correlator: correlator.learning(config.learning).cooling_down(config.cool_down),
        writer,
        standing: Standing::begin(counters, health, service, endpoint)
            .map_err(|error| Failure::Input(format!("--metrics and watchdog: {error}")))?,
        audit,
        rotation: config.rotate.into(),
    };
    let outcome = sensor.run(&signals, capturing, &mut config).and_then(|()| sensor.finish(&config, started));
    match config.output {
        Some(path) => outcome.map_err(|error| Failure::File(format!("{}: {error}", path.display()))),
        None => Ok(outcome?),
    }
}

/// What the loop works on.
struct Sensor {
    stage: Stage,
    correlator: Correlator,
    writer: Writer<Sink>,
    standing: Standing,
    audit: Audit,
    rotation: Rotation,
}

impl Sensor {
    /// Until a signal asks for the end, and everything captured before it was analysed.
    fn run(&mut self, signals: &Signals, capturing: Capturing, config: &mut LiveConfig) -> io::Result<()> {
        let mut is_ending = false;
        loop {
            if signals.is_end() && !std::mem::replace(&mut is_ending, true) {
                info!("ending");
                self.standing.stopping();
                capturing.stop();
            }
            if !is_ending && signals.take_reload() {
                self.standing.reloading();
                self.reload(config)?;
                self.standing.ready();
            }
            let received = self.stage.receive(LONGEST_WAIT);
            self.handle()?;
            self.writer.flush_after(WRITE_AFTER)?;
            self.writer.begin_next(|sink| sink.next(&self.rotation))?;
            self.writer.tidy();
            self.standing.round();
            if received == Received::End {
                capturing.join();
                return Ok(());
            }
        }
    }

    /// Everything that may be handled now.
    fn handle(&mut self) -> io::Result<()> {
        let Self { stage, writer, correlator, standing, .. } = self;
        stage.observe(|observation| writer.observe(observation, correlator))?;
        standing.counters.alerted.set(correlator.alerted() as u64);
        Ok(())
    }

    /// Reads the configuration and claims again, all or nothing, and opens the output again. What goes wrong is logged, and all
    /// stays as it was.
    fn reload(&mut self, config: &mut LiveConfig) -> io::Result<()> {
        let read = read_again(config.color).map_err(|mistakes| mistakes.to_string());
        let written = read.and_then(|new| match self.audit.tell(What::Reload, &new, config.fixed_that_differ(&new)) {
            Ok(()) => Ok(new),
            Err(error) => Err(format!("--audit: {error}")),
        });
        match written {
            Ok(new) => self.take_over(new, config),
            Err(mistakes) => {
                self.standing.counters.claims_failed();
                error!("configuration and claims were not read again, the old ones stay:\n{mistakes}");
                if let Err(error) = self.audit.refuse(config, &mistakes) {
                    error!("--audit: {error}");
                }
            }
        }
        self.writer.archive_now();
        let Some(path) = &config.output else { return Ok(()) };
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            // A pipe or a device is not rotated, and cannot be opened again behind the guard.
            return Ok(());
        }
        match Sink::append(path) {
            Ok((sink, is_new)) => {
                info!("{} was opened again", path.display());
                self.writer.redirect(sink, is_new)
            }
            Err(problem) => {
                let takes =
                    if problem.kind() == io::ErrorKind::PermissionDenied { " (another folder takes a restart)" } else { "" };
                error!("{}: {problem}{takes}; results go to the file that was open", path.display());
                Ok(())
            }
        }
    }

    /// What was read again holds from here on, as far as it can while the interfaces stay open.
    fn take_over(&mut self, new: LiveConfig, config: &mut LiveConfig) {
        let fixed = config.fixed_that_differ(&new);
        if !fixed.is_empty() {
            warn!("{} changed: that takes a restart", fixed.join(", "));
        }
        let sha256 = new.claims.as_ref().map(|claims| claims.sha256.as_str());
        self.standing.counters.claims_read(sha256);
        if let Some(claims) = &new.claims {
            info!("claims were read again: {} identities, SHA-256 {}", claims.identities.len(), claims.sha256);
        }
        self.writer.rename(new.claims.as_ref().and_then(|claims| claims.sensor.name.clone()));
        self.correlator.replace_claims(new.claims);
        self.correlator.learn(new.learning);
        config.files = new.files;
        config.output = new.output;
        self.rotation = new.rotate.into();
    }

    /// Ends all sessions and writes the summary.
    fn finish(&mut self, config: &LiveConfig, started: Instant) -> io::Result<ExitStatus> {
        let Self { stage, writer, correlator, .. } = self;
        let summary = Summary {
            counters: stage.finish(|observation| writer.observe(observation, correlator))?,
            clock_set_forwards: self.correlator.clock_set_forwards(),
            sessions: self.writer.sessions,
            alerts: self.writer.alerts,
            alerts_held: self.correlator.held(),
            implausible: self.writer.implausible,
            elapsed_s: started.elapsed().as_secs_f64(),
            lost: self.standing.counters.lost(),
            inputs: inputs(config, &self.standing.counters),
        };
        self.writer.finish(&summary)?;
        if let Err(error) = self.audit.tell(What::End, config, Vec::new()) {
            error!("--audit: {error}");
        }
        let lost = self.writer.end_alerting();
        Ok(if self.writer.has_lost() || lost > 0 { ExitStatus::Internal } else { ExitStatus::Ok })
    }
}

/// What was typed, and all files that it names, once more.
fn read_again(color: bool) -> Result<LiveConfig, ConfigError> {
    let cli = command_line(env::args_os().collect()).map_err(|error| match error {
        CommandLineError::Typed(error) => ConfigError::Usage(error.to_string()),
        CommandLineError::File(mistake) => mistake,
    })?;
    match cli.command {
        Command::Live(args) => LiveConfig::resolve(args, color, false),
        _ => Err(ConfigError::Usage("the command line is of another command".to_owned())),
    }
}

fn open_sink(path: Option<&PathBuf>) -> Result<(Sink, bool), ConfigError> {
    let Some(path) = path else { return Ok((Sink::Stdout(io::stdout()), true)) };
    Sink::append(path).map_err(|source| ConfigError::Create { path: path.clone(), source })
}

/// What is the same in all records.
fn context(config: &LiveConfig, stamps: Stamps) -> Context {
    Context {
        sensor: config.claims.as_ref().and_then(|claims| claims.sensor.name.clone()),
        inputs: told_names(config).map(|name| escape::text(name.as_bytes())).collect(),
        timestamps: match stamps {
            Stamps::Host => TimestampSource::Host,
            Stamps::Adapter => TimestampSource::Adapter,
        },
    }
}

/// The interfaces as whoever is told of them knows them.
fn told_names(config: &LiveConfig) -> impl Iterator<Item = String> {
    config.interfaces.iter().map(|name| input_name(name, config.pseudonyms.as_deref()))
}

/// What comes first in each capture thread; it gives what is done each round there.
fn begin_capture(config: &LiveConfig, health: &Arc<Health>) -> impl Fn(&str) -> io::Result<Box<dyn Fn()>> + Clone + Send + use<> {
    let needs = Arc::new(confined::capturing(&config.interfaces));
    let (health, pseudonyms) = (Arc::clone(health), config.pseudonyms.clone());
    move |interface| {
        confined::capture(interface, &needs)?;
        let beat = health.expect(&format!("capture of {}", input_name(interface, pseudonyms.as_deref())));
        Ok(Box::new(move || beat.mark()))
    }
}

fn inputs(config: &LiveConfig, counters: &Counters) -> Vec<InputSummary> {
    let summary = |(path, frames)| InputSummary { path, status: InputState::Ok, error: None, frames };
    told_names(config).zip(counters.frames()).map(summary).collect()
}

/// Keeps this thread, and so all that it begins, to the processors that were asked for.
fn cpus(config: &LiveConfig) -> Result<Cpus, ConfigError> {
    let Some(list) = &config.cpus else { return Ok(Cpus::default()) };
    let wrong = |error: CpuError| ConfigError::Usage(format!("--cpus: {error}"));
    let cpus: Cpus = list.parse().map_err(wrong)?;
    cpus.confine().map_err(wrong)?;
    Ok(cpus)
}

fn options(config: &LiveConfig, cpus: Cpus) -> LiveOptions {
    let args = &config.capture;
    LiveOptions {
        ring_mib: args.ring_size,
        snaplen: args.snaplen,
        promiscuous: !args.no_promiscuous,
        filter: args.filter.clone(),
        stamping: match args.timestamps {
            StampChoice::Host => Stamping::Host,
            StampChoice::Adapter => Stamping::Adapter,
            StampChoice::Auto => Stamping::Auto,
        },
        alone: config.interfaces.len() == 1,
        cpus,
        hold_back: Span::from_millis(i64::from(args.hold_back)),
    }
}
