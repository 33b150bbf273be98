//! `keywitness analyze`: captures through engine and correlator to standard output, the first by one engine or several.

use std::{
    io::{self, BufWriter, Write},
    time::Instant,
};

use tracing::{debug, info, warn};

use super::{
    ExitStatus,
    archive::Archive,
    deliver::Setup,
    evidence::EvidenceFolder,
    observations::{Analysis, Lines, Options, ShardLine},
    screen::Progress,
    workers::Job,
    writer::{Look, Writer},
};
use crate::{
    capture::{InputStatus, Merge, Outcome, Selection},
    cli::ShardChoice,
    config::AnalyzeConfig,
    correlator::Correlator,
    engine::EngineLimits,
    event::{InputState, InputSummary, Lost, Summary},
    evidence::SliceLimits,
    flow::Share,
    observation::Counters,
    output::{Context, TimestampSource, escape},
    pseudonym::Pseudonyms,
};

/// Runs an analysis.
///
/// # Errors
/// Only of writing to `out`; what goes wrong with an input is in the summary and in the status.
pub(super) fn analyze(
    config: AnalyzeConfig,
    selection: Selection,
    evidence: Option<EvidenceFolder>,
    archive: Option<Archive>,
    alerts: Option<Setup>,
    progress: Option<Progress>,
    out: &mut impl Write,
) -> io::Result<ExitStatus> {
    let started = Instant::now();
    let limits = EngineLimits { slices: evidence.as_ref().map(|_| SliceLimits::default()), ..limits(&config) };
    let fail_on_finding = config.fail_on_finding;
    let merge = Merge::new(config.inputs.iter().cloned());
    let look = Look { format: config.format, color: config.color, keystrokes: config.keystrokes, live: false };
    let context = context(&config, &merge);
    let alerting = alerts.map(|alerts| alerts.start(true, context.clone())).transpose()?;
    let mut writer = Writer::new(look, context.clone(), evidence, out).alerting(alerting).archiving(archive, context);
    let pseudonyms = config.pseudonyms;
    let mut correlator = Correlator::new(config.claims).with_pseudonyms(pseudonyms.clone()).learning(config.learning);
    correlator = correlator.cooling_down(config.cool_down);
    let job = Job { limits, pseudonyms: pseudonyms.clone(), selection, progress };
    let (counters, merge) = job.run(merge, config.workers, |observation| writer.observe(observation, &mut correlator))?;
    let mut inputs = input_summaries(merge);
    log_inputs(&inputs);
    for input in &mut inputs {
        input.path = input_name(&input.path, pseudonyms.as_deref());
    }
    conclude(writer, &correlator, Ending { counters, inputs, started, fail_on_finding, is_partial: false })
}

/// What is known at the end of a run, besides what was written.
pub(super) struct Ending {
    pub(super) counters: Counters,
    pub(super) inputs: Vec<InputSummary>,
    pub(super) started: Instant,
    pub(super) fail_on_finding: bool,
    /// Not all is there, for a reason that was told.
    pub(super) is_partial: bool,
}

/// Writes the summary, and says how the run went.
pub(super) fn conclude<W: Write>(mut writer: Writer<W>, correlator: &Correlator, ending: Ending) -> io::Result<ExitStatus> {
    let status = if ending.is_partial || has_failed(&ending.inputs) {
        ExitStatus::Input
    } else if ending.fail_on_finding && writer.implausible > 0 {
        ExitStatus::Finding
    } else {
        ExitStatus::Ok
    };
    let summary = Summary {
        counters: ending.counters,
        clock_set_forwards: correlator.clock_set_forwards(),
        sessions: writer.sessions,
        alerts: writer.alerts,
        alerts_held: correlator.held(),
        implausible: writer.implausible,
        elapsed_s: ending.started.elapsed().as_secs_f64(),
        lost: Lost::default(),
        inputs: ending.inputs,
    };
    debug!("{} packets in {:.3} s, {} sessions", summary.counters.packets, summary.elapsed_s, summary.sessions);
    writer.finish(&summary)?;
    let has_lost = writer.end_alerting() > 0 || writer.has_lost();
    Ok(if has_lost { ExitStatus::Internal } else { status })
}

/// Runs the first stage alone and writes what it observes, of one shard or of all.
///
/// # Errors
/// Only of writing to `out`.
pub(super) fn observe(
    config: AnalyzeConfig,
    selection: Selection,
    options: Options,
    progress: Option<Progress>,
    out: &mut impl Write,
) -> io::Result<ExitStatus> {
    let shard = config.emit.shard.unwrap_or(ShardChoice { number: 1, of: 1 });
    let share = config.emit.shard.and_then(|shard| Share::all(usize::from(shard.of)).nth(usize::from(shard.number) - 1));
    let limits = EngineLimits { share, ..limits(&config) };
    let merge = Merge::new(config.inputs.iter().cloned());
    let analysis = Analysis {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        shards: shard.of,
        inputs: context(&config, &merge).inputs,
        keystrokes: limits.keystrokes,
        options,
    };
    let mut lines = Lines::begin(ShardLine { number: shard.number, analysis }, BufWriter::new(out))?;
    let job = Job { limits, pseudonyms: None, selection, progress };
    let (counters, merge) = job.run(merge, config.workers, |observation| lines.observation(&observation))?;
    let inputs = input_summaries(merge);
    log_inputs(&inputs);
    let status = if has_failed(&inputs) { ExitStatus::Input } else { ExitStatus::Ok };
    lines.end(counters, inputs)?;
    Ok(status)
}

/// What the engines are told.
fn limits(config: &AnalyzeConfig) -> EngineLimits {
    let (vlan_in_key, all_flows, report_every) = (config.vlan_in_key, config.all_flows, config.report_every);
    let keystrokes = config.keystrokes.is_some();
    let room = EngineLimits::default().with(config.limits.max_flows as usize, config.limits.max_sessions as usize);
    EngineLimits { vlan_in_key, all_flows, keystrokes, report_every, ..room }
}

/// Whether an input could not be read to its end.
fn has_failed(inputs: &[InputSummary]) -> bool {
    inputs.iter().any(|input| input.status == InputState::Error)
}

/// What is the same in all records.
fn context(config: &AnalyzeConfig, merge: &Merge) -> Context {
    let name = |path| escape::text(input_name(path, config.pseudonyms.as_deref()).as_bytes());
    Context {
        sensor: config.claims.as_ref().and_then(|claims| claims.sensor.name.clone()),
        inputs: merge.names().map(name).collect(),
        timestamps: TimestampSource::File,
    }
}

/// An input as records name it. The names of files often hold addresses and those of people.
pub(super) fn input_name(path: &str, pseudonyms: Option<&Pseudonyms>) -> String {
    pseudonyms.filter(|_| path != "-").map_or_else(|| path.to_owned(), |pseudonyms| pseudonyms.name("input", path))
}

/// How each input went.
pub(super) fn input_summaries(merge: Merge) -> Vec<InputSummary> {
    let summary = |input: InputStatus| {
        let (status, error) = match input.outcome {
            Outcome::Whole => (InputState::Ok, None),
            Outcome::Skipped(error) => (InputState::Skipped, Some(error)),
            Outcome::Failed(error) => (InputState::Error, Some(error)),
        };
        let error = error.map(|error| escape::text(error.to_string().as_bytes()));
        InputSummary { path: input.path, status, error, frames: input.frames }
    };
    merge.finish().into_iter().map(summary).collect()
}

/// One line for each input that failed, and one for all that were skipped.
pub(super) fn log_inputs(inputs: &[InputSummary]) {
    let path = |input: &InputSummary| escape::text(input.path.as_bytes());
    for input in inputs.iter().filter(|input| input.status == InputState::Error) {
        warn!("{}: {}", path(input), input.error.as_deref().unwrap_or_default());
    }
    let skipped: Vec<_> = inputs.iter().filter(|input| input.status == InputState::Skipped).map(path).collect();
    match skipped.as_slice() {
        [] => {}
        [one] => info!("skipped, no capture: {one}"),
        [first, ..] => info!("skipped, no captures: {} files, such as {first}", skipped.len()),
    }
}
