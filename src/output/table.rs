//! The table for people: one row a session, then what does not fit and why, then one line of totals. At most 100 columns, but
//! for long addresses of flows that are no sessions.

mod flow;
mod line;

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table as Grid, presets};

use super::{
    Format, escape,
    record::{class, kind, rfc3339},
};
use crate::{
    event::{Event, InputState, KeystrokeEvent, SessionEvent, Summary},
    flow::{Endpoint, SessionId},
    judge::{Finding, Outcome, verdict::Verdict},
    observation::{SessionReport, SessionState},
    time::{Span, Timestamp},
};

/// Width that everything fits into.
const COLUMNS: u16 = 100;

/// Collects sessions and writes them at the end; keystrokes and other flows are written as they come, and of a live sensor
/// everything is.
#[derive(Debug)]
pub struct Table {
    color: bool,
    live: bool,
    /// What was written last.
    streamed: Option<Streamed>,
    rows: Vec<(Timestamp, SessionId, Vec<Cell>)>,
    notes: String,
    verdicts: [u64; 4],
}

/// What is written as it comes, under a heading of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streamed {
    Keystrokes,
    Flows,
    Sessions,
}

impl Table {
    /// An empty table, coloured or not.
    #[must_use]
    pub fn new(color: bool) -> Self {
        Self { color, live: false, streamed: None, rows: Vec::new(), notes: String::new(), verdicts: [0; 4] }
    }

    /// Writes each session when it ends.
    #[must_use]
    pub fn live(self) -> Self {
        Self { live: true, ..self }
    }

    /// The rows in the order in which the sessions began.
    fn grid(&mut self) -> Grid {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(COLUMNS);
        if self.color {
            grid.enforce_styling();
        } else {
            grid.force_no_tty();
        }
        grid.set_header(["START (UTC)", "CLIENT", "SERVER", "RTT ms", "KEYS", "IDENTITY", "VERDICT"]);
        for column in [3, 4] {
            if let Some(column) = grid.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self.rows.sort_by_key(|(start, id, _)| (*start, *id));
        grid.add_rows(self.rows.drain(..).map(|(_, _, cells)| cells));
        grid
    }

    fn session(&mut self, session: &SessionEvent, out: &mut Vec<u8>) {
        if let Some(count) = self.verdicts.get_mut(session.verdict() as usize) {
            *count += 1;
        }
        self.note(session);
        if self.live {
            self.write_session(session, out);
        } else {
            self.add_row(session);
        }
    }

    /// A line, and what an analyst must read with it.
    fn write_session(&mut self, session: &SessionEvent, out: &mut Vec<u8>) {
        if self.begins(Streamed::Sessions, out) {
            out.extend(line::heading().as_bytes());
        }
        out.extend(line::session(session).as_bytes());
        if !self.notes.is_empty() {
            out.extend(self.notes.trim_start().as_bytes());
            out.push(b'\n');
            self.notes.clear();
        }
    }

    fn add_row(&mut self, session: &SessionEvent) {
        let report = &session.report;
        let verdict = session.verdict();
        let mut cell = Cell::new(verdict.name());
        if self.color {
            cell = match verdict {
                Verdict::Implausible => cell.fg(Color::Red),
                Verdict::Consistent => cell.fg(Color::Green),
                Verdict::Undecided => cell.fg(Color::Yellow),
                Verdict::NoClaim => cell,
            };
        }
        let cells = vec![
            Cell::new(short_time(report.start)),
            Cell::new(address(report.endpoints.client)),
            Cell::new(address(report.endpoints.server)),
            Cell::new(millis(report.rtt.client.floor.map(|floor| floor.value))),
            Cell::new(keys(report)),
            Cell::new(session.claim.as_ref().map_or_else(|| "-".to_owned(), |claim| escape::text(claim.identity.as_bytes()))),
            cell,
        ];
        self.rows.push((report.start, report.id, cells));
    }

    /// What an analyst must read before acting on a row.
    fn note(&mut self, session: &SessionEvent) {
        let who =
            session.claim.as_ref().map_or_else(String::new, |claim| format!("{} ", escape::text(claim.identity.as_bytes())));
        let client = address(session.report.endpoints.client);
        for found in &session.judgement.findings {
            let _ = writeln!(self.notes, "\n{}: {who}from {client} (session {})", session.verdict().name(), session.report.id);
            finding(&mut self.notes, found);
        }
        let untested = session.judgement.tests.iter().find(|test| test.outcome == Outcome::NotTestable);
        if let (Verdict::Undecided, Some(test)) = (session.verdict(), untested) {
            self.notes.push('\n');
            wrap(&mut self.notes, "", &format!("undecided: {who}from {client}: {}", test.reason));
        }
    }

    /// Whether other lines than the last ones begin, which are set apart.
    fn begins(&mut self, kind: Streamed, out: &mut Vec<u8>) -> bool {
        let before = self.streamed.replace(kind);
        if before.is_some_and(|before| before != kind) {
            out.push(b'\n');
        }
        before != Some(kind)
    }

    fn flow(&mut self, report: &SessionReport, out: &mut Vec<u8>) {
        if self.begins(Streamed::Flows, out) {
            out.extend(flow::heading().as_bytes());
        }
        out.extend(flow::flow(report).as_bytes());
    }

    fn keystroke(&mut self, event: &KeystrokeEvent, out: &mut Vec<u8>) {
        if self.begins(Streamed::Keystrokes, out) {
            let heading = format!(
                "{:<30}  {:<16}  {:>5}  {:<7}  {:<10}  {:>11}  {:>7}\n",
                "TIME", "SESSION", "INDEX", "KIND", "CLASS", "INTERVAL ms", "ECHO ms"
            );
            out.extend(heading.as_bytes());
        }
        let key = &event.keystroke;
        let line = format!(
            "{:<30}  {:<16}  {:>5}  {:<7}  {:<10}  {:>11}  {:>7}\n",
            rfc3339(key.time),
            event.session.to_string(),
            key.index,
            kind(key.kind),
            class(key.class),
            millis(key.interval),
            millis(key.echo)
        );
        out.extend(line.as_bytes());
    }
}

impl Format for Table {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Session(session) if session.report.state == SessionState::Open => {} // it is written when it ends
            Event::Session(session) if session.report.is_session() => self.session(session, out),
            Event::Session(flow) => self.flow(&flow.report, out),
            Event::Keystroke(keystroke) => self.keystroke(keystroke, out),
            Event::Alert(_) => {} // its finding stands under its session
        }
    }

    fn finish(&mut self, summary: &Summary, out: &mut Vec<u8>) {
        let mut text = String::new();
        if self.streamed.is_some() {
            text.push('\n');
        }
        if !self.rows.is_empty() {
            for line in self.grid().lines() {
                let _ = writeln!(text, "{}", line.strip_prefix(' ').unwrap_or(&line).trim_end());
            }
        }
        text.push_str(&self.notes);
        let [no_claim, consistent, undecided, implausible] = self.verdicts;
        let _ = writeln!(
            text,
            "\n{} sessions: {implausible} implausible, {consistent} consistent, {undecided} undecided, {no_claim} without a claim",
            summary.sessions
        );
        let counters = &summary.counters;
        let _ = writeln!(
            text,
            "{} packets, {} TCP and {} UDP flows; {} not decoded, {} cut, {} copies; {:.2} s",
            counters.packets,
            counters.tcp_flows,
            counters.udp_flows,
            counters.undecoded,
            counters.truncated,
            summary.duplicated(),
            summary.elapsed_s
        );
        if summary.clock_steps() > 0 {
            let steps = summary.clock_steps();
            wrap(
                &mut text,
                "",
                &format!("the clock was set during the capture ({steps}): times before and after do not compare"),
            );
        }
        let lost = summary.lost.kernel.saturating_add(summary.lost.interface);
        if lost > 0 {
            let (kernel, interface) = (summary.lost.kernel, summary.lost.interface);
            wrap(&mut text, "", &format!("{lost} packets were lost: {kernel} by the kernel, {interface} by the interfaces"));
        }
        for input in summary.inputs.iter().filter(|input| input.status == InputState::Error) {
            let Some(error) = &input.error else { continue };
            let path = escape::text(input.path.as_bytes());
            wrap(&mut text, "", &format!("not read to its end: {path} ({} frames read): {error}", input.frames));
        }
        out.extend(text.as_bytes());
    }

    fn begin_file(&mut self, _: bool) {
        self.streamed = None;
    }
}

/// To the second.
pub(super) fn short_time(time: Timestamp) -> String {
    rfc3339(time).get(..19).unwrap_or_default().replace('T', " ")
}

/// A finding with its basis and everything else that could explain it, indented.
pub(super) fn finding(out: &mut String, finding: &Finding) {
    let _ = writeln!(out, "  {}, severity {}, basis {}", finding.id, finding.severity.name(), finding.basis.name());
    wrap(out, "  ", &finding.explanation);
    wrap(out, "  ", &format!("Other explanations: {}.", finding.innocent_causes.join("; ")));
}

/// Adds text in lines that fit.
pub(super) fn wrap(out: &mut String, indent: &str, text: &str) {
    let options = textwrap::Options::new(usize::from(COLUMNS)).initial_indent(indent).subsequent_indent(indent);
    for line in textwrap::wrap(text, options) {
        out.push_str(&line);
        out.push('\n');
    }
}

/// The port of a server is left out where it is SSH's own.
pub(super) fn address(endpoint: Endpoint) -> String {
    if endpoint.port == 22 { endpoint.ip.to_string() } else { std::net::SocketAddr::new(endpoint.ip, endpoint.port).to_string() }
}

/// How many keys, or why none.
fn keys(report: &SessionReport) -> String {
    match (&report.keystrokes, report.obfuscated) {
        (Some(keystrokes), Some(true)) => format!("~{}", keystrokes.count),
        (Some(keystrokes), _) => (keystrokes.count - keystrokes.releases.unwrap_or_default()).to_string(),
        (None, Some(true)) => "hidden".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

fn millis(span: Option<Span>) -> String {
    span.map_or_else(|| "-".to_owned(), |span| format!("{:.1}", span.as_millis_f64()))
}
