//! `keywitness analyze`: captures through engine and correlator to standard output, the first by one engine or several.

use std::{
    io::{self, Write},
    time::Instant,
};

use tracing::{debug, info, warn};

use super::{
    ExitStatus,
    deliver::Setup,
    evidence::EvidenceFolder,
    screen::Progress,
    workers::Job,
    writer::{Look, Writer},
};
use crate::{
    capture::{InputStatus, Merge, Outcome, Selection},
    config::AnalyzeConfig,
    correlator::Correlator,
    engine::EngineLimits,
    event::{InputState, InputSummary, Lost, Summary},
    evidence::SliceLimits,
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
    alerts: Option<Setup>,
    progress: Option<Progress>,
    out: &mut impl Write,
) -> io::Result<ExitStatus> {
    let started = Instant::now();
    let slices = evidence.as_ref().map(|_| SliceLimits::default());
    let (vlan_in_key, all_flows, report_every) = (config.vlan_in_key, config.all_flows, config.report_every);
    let keystrokes = config.keystrokes.is_some();
    let room = EngineLimits::default().with(config.limits.max_flows as usize, config.limits.max_sessions as usize);
    let limits = EngineLimits { vlan_in_key, all_flows, slices, keystrokes, report_every, ..room };
    let fail_on_finding = config.fail_on_finding;
    let merge = Merge::new(config.inputs.iter().cloned());
    let look = Look { format: config.format, color: config.color, keystrokes: config.keystrokes, live: false };
    let context = context(&config, &merge);
    let alerting = alerts.map(|alerts| alerts.start(true, context.clone())).transpose()?;
    let mut writer = Writer::new(look, context, evidence, out).alerting(alerting);
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
    let status = if writer.evidence_failed() {
        ExitStatus::Internal
    } else if inputs.iter().any(|input| input.status == InputState::Error) {
        ExitStatus::Input
    } else if fail_on_finding && writer.implausible > 0 {
        ExitStatus::Finding
    } else {
        ExitStatus::Ok
    };
    let summary = Summary {
        counters,
        clock_set_forwards: correlator.clock_set_forwards(),
        sessions: writer.sessions,
        alerts: writer.alerts,
        alerts_held: correlator.held(),
        implausible: writer.implausible,
        elapsed_s: started.elapsed().as_secs_f64(),
        lost: Lost::default(),
        inputs,
    };
    debug!("{} packets in {:.3} s, {} sessions", summary.counters.packets, summary.elapsed_s, summary.sessions);
    writer.finish(&summary)?;
    Ok(if writer.end_alerting() > 0 { ExitStatus::Internal } else { status })
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
