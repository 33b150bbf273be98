//! Checks of `doctor`: as lines of JSON, and as a list to read.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{escape, ndjson::line, record::CheckRecord, table::wrap};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing to do.
    Ok,
    /// Measurements may suffer.
    Warn,
    /// Measurements suffer, or there can be none.
    Bad,
    /// It could not be found out.
    Unknown,
}

impl State {
    /// As records have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }

    /// Its colour on a terminal, as an ANSI sequence.
    const fn color(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Unknown => "\x1b[2m",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Check {
    /// The interface that it is about; none where it is about the machine.
    pub interface: Option<String>,
    /// What was looked at.
    pub id: &'static str,
    /// How it came out.
    pub state: State,
    /// What was found; may hold what others wrote, and is escaped when it is written.
    pub found: String,
    /// The numbers in it, units in their names.
    pub values: BTreeMap<&'static str, u64>,
    /// Why it matters for measuring.
    pub why: &'static str,
    /// The command that mends it, where there is one.
    pub mend: Option<String>,
}

/// Adds a check as one line of JSON.
pub fn ndjson(check: &Check, out: &mut Vec<u8>) {
    line(out, &CheckRecord::new(check));
}

/// Adds all checks as text: one heading an interface, one line a check, and under whatever is not as it should be why it
/// matters and the command that mends it.
pub fn text(checks: &[Check], color: bool, out: &mut Vec<u8>) {
    let mut text = String::new();
    let mut heading = None;
    for check in checks {
        if heading != Some(&check.interface) {
            heading = Some(&check.interface);
            let name = check.interface.as_deref().map_or_else(|| "this machine".to_owned(), |name| escape::text(name.as_bytes()));
            let _ = writeln!(text, "{}{name}", if text.is_empty() { "" } else { "\n" });
        }
        one(check, color, &mut text);
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    let [bad, warn, unknown, ok] = [State::Bad, State::Warn, State::Unknown, State::Ok].map(count);
    let _ = writeln!(text, "\n{} checks: {bad} bad, {warn} warn, {unknown} unknown, {ok} ok", checks.len());
    out.extend(text.as_bytes());
}

fn one(check: &Check, color: bool, text: &mut String) {
    const INDENT: &str = "                            ";
    let (begin, end) = if color { (check.state.color(), "\x1b[0m") } else { ("", "") };
    let mut found = String::new();
    wrap(&mut found, INDENT, &escape::uncut(check.found.as_bytes()));
    let _ = write!(text, "  {begin}{:<7}{end}  {:<15}  {}", check.state.name(), check.id, found.trim_start());
    if matches!(check.state, State::Warn | State::Bad) {
        wrap(text, INDENT, check.why);
    }
    // In one line, to be copied.
    if let Some(mend) = check.mend.as_ref().filter(|_| check.state != State::Ok) {
        let _ = writeln!(text, "{INDENT}$ {}", escape::uncut(mend.as_bytes()));
    }
}
