//! Events to bytes to wherever results go, with what has to be counted on the way.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{archive::Archive, counters::Counters, deliver::Delivery, evidence::EvidenceFolder};
use crate::{
    cli::{KeystrokeChoice, OutputFormat},
    correlator::Correlator,
    event::{Event, Summary},
    judge::verdict::Verdict,
    observation::{Observation, SessionState},
    output::{Context, Csv, Format, Ndjson, Table},
    time::Timestamp,
};

/// Bytes of output that are collected before they are written.
const WRITE_AT: usize = 64 * 1024;

/// How results look, and which there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) format: OutputFormat,
    /// Whether to colour the table.
    pub(super) color: bool,
    pub(super) keystrokes: Option<KeystrokeChoice>,
    /// Whether the table is written line by line.
    pub(super) live: bool,
}

/// Formats events and writes them in large pieces.
pub(super) struct Writer<W> {
    format: Box<dyn Format>,
    keystrokes: Option<KeystrokeChoice>,
    evidence: Option<EvidenceFolder>,
    archive: Option<(Archive, Context)>,
    alerting: Option<Delivery>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    out: W,
    written: Instant,
    counters: Option<Arc<Counters>>,
    /// When each record that waits to be written became known; of a sensor that counts.
    known: Vec<Timestamp>,
    /// Sessions that ended.
    pub(super) sessions: u64,
    pub(super) alerts: u64,
    /// Sessions that ended as implausible.
    pub(super) implausible: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(look: Look, context: Context, evidence: Option<EvidenceFolder>, out: W) -> Self {
        Self {
            format: match look.format {
                OutputFormat::Table if look.live => Box::new(Table::new(look.color).live()),
                OutputFormat::Table => Box::new(Table::new(look.color)),
                OutputFormat::Ndjson => Box::new(Ndjson::new(context)),
                OutputFormat::Csv => Box::new(Csv::new(context)),
            },
            keystrokes: look.keystrokes,
            evidence,
            archive: None,
            alerting: None,
            events: Vec::new(),
            buffer: Vec::new(),
            out,
            written: Instant::now(),
            counters: None,
            known: Vec::new(),
            sessions: 0,
            alerts: 0,
            implausible: 0,
        }
    }

    /// Hands alerts on to collectors too.
    pub(super) fn alerting(self, alerting: Option<Delivery>) -> Self {
        Self { alerting, ..self }
    }

    /// Archives sessions too, as this context has them.
    pub(super) fn archiving(self, archive: Option<Archive>, context: Context) -> Self {
        Self { archive: archive.map(|archive| (archive, context)), ..self }
    }

    /// Ends alerting, once they have what there is or their time is up; how many alerts were lost.
    pub(super) fn end_alerting(&mut self) -> u64 {
        self.alerting.take().map_or(0, Delivery::finish)
    }

    /// Counts what it writes.
    pub(super) fn counting(self, counters: Arc<Counters>) -> Self {
        Self { counters: Some(counters), ..self }
    }

    /// Takes an observation, and writes what it makes once that is much.
    pub(super) fn observe(&mut self, observation: Observation, correlator: &mut Correlator) -> io::Result<()> {
        let known = observation.key.time;
        correlator.handle(observation, &mut self.events);
        for event in self.events.drain(..) {
            match &event {
                Event::Session(session) if session.report.state == SessionState::Open => {}
                Event::Session(session) => {
                    if let Some((archive, context)) = &mut self.archive {
                        archive.take(session, context);
                    }
                    self.sessions += u64::from(session.report.is_session());
                    self.implausible += u64::from(session.verdict() == Verdict::Implausible);
                }
                Event::Alert(alert) => {
                    self.alerts += 1;
                    self.alerting.iter().for_each(|alerting| alerting.take(alert));
                    if let Some(folder) = &mut self.evidence {
                        folder.save(alert);
                        if let Some(counters) = &self.counters {
                            counters.evidence_errors.set(folder.failed());
                        }
                    }
                }
                Event::Keystroke(keystroke) => match self.keystrokes {
                    Some(KeystrokeChoice::All) => {}
                    Some(KeystrokeChoice::Echoed) if !keystroke.keystroke.hidden => {}
                    _ => continue,
                },
            }
            let before = self.buffer.len();
            self.format.event(&event, &mut self.buffer);
            if let Some(counters) = &self.counters {
                count(counters, &event);
                // A table has no line for some.
                if self.buffer.len() > before {
                    counters.record(&event);
                    self.known.push(known);
                }
            }
        }
        if self.buffer.len() >= WRITE_AT { self.flush() } else { Ok(()) }
    }

    /// Archives what there is now.
    pub(super) fn archive_now(&mut self) {
        if let Some((archive, _)) = &mut self.archive {
            archive.flush();
        }
    }

    /// Once in a while: what need not be kept goes, and what is to be archived is.
    pub(super) fn tidy(&mut self) {
        if let Some(folder) = &mut self.evidence {
            folder.tidy();
        }
        if let Some((archive, _)) = &mut self.archive {
            archive.tidy();
            if let Some(counters) = &self.counters {
                counters.archive_lost.set(archive.lost());
            }
        }
    }

    /// Writes what there is, unless something was written a short while ago.
    pub(super) fn flush_after(&mut self, pause: Duration) -> io::Result<()> {
        if !self.buffer.is_empty() && self.written.elapsed() >= pause { self.flush() } else { Ok(()) }
    }

    /// Writes to `out` from here on; what was to be written still goes to the old one.
    pub(super) fn redirect(&mut self, out: W, is_new: bool) -> io::Result<()> {
        self.flush()?;
        self.out = out;
        self.begin_file(is_new);
        Ok(())
    }

    /// Writes on to what this gives, if anything, and whether that is new; what was to be written still goes to the old one.
    pub(super) fn begin_next(&mut self, next: impl FnOnce(&mut W) -> Option<(W, bool)>) -> io::Result<()> {
        next(&mut self.out).map_or(Ok(()), |(out, is_new)| self.redirect(out, is_new))
    }

    /// Says whether the file that is written to holds nothing yet.
    pub(super) fn begin_file(&mut self, is_new: bool) {
        self.format.begin_file(is_new);
    }

    /// The sensor has another name from here on.
    pub(super) fn rename(&mut self, sensor: Option<String>) {
        if let Some(alerting) = &mut self.alerting {
            alerting.rename(sensor.clone());
        }
        if let Some((_, context)) = &mut self.archive {
            context.sensor.clone_from(&sensor);
        }
        self.format.rename(sensor);
    }

    /// Whether evidence could not be saved, or sessions not be archived.
    pub(super) fn has_lost(&self) -> bool {
        let is_archive_whole = self.archive.as_ref().is_none_or(|(archive, _)| archive.lost() == 0);
        self.evidence.as_ref().is_some_and(|folder| folder.failed() > 0) || !is_archive_whole
    }

    pub(super) fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        if let Some((archive, _)) = &mut self.archive {
            archive.finish();
        }
        self.format.finish(summary, &mut self.buffer);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.written = Instant::now();
        self.out.flush()?;
        if let Some(counters) = &self.counters {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            for known in self.known.drain(..) {
                let known = Duration::from_nanos(u64::try_from(known.as_nanos()).unwrap_or_default());
                counters.record_written(now.saturating_sub(known));
            }
        }
        Ok(())
    }
}

/// Sessions by verdict when they end, and alerts.
fn count(counters: &Counters, event: &Event) {
    match event {
        Event::Session(session) if session.report.state != SessionState::Open && session.report.is_session() => {
            counters.session_ended(session.verdict());
        }
        Event::Alert(alert) => counters.alert(alert.finding.severity),
        _ => {}
    }
}
