//! `keywitness doctor`: whether this machine can measure well, and what to do where it cannot. Asking ([`gather`]) is apart from
//! judging ([`interface`], [`machine`]), which is pure.

mod ethtool;
mod facts;
mod gather;
mod interface;
mod machine;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io::Write};

use super::{ExitStatus, Failure};
use crate::{
    cli::{AnswerFormat, DoctorArgs},
    output::check::{self, Check, State},
};

/// Checks the interfaces and the machine, and writes what was found.
pub(super) fn doctor(args: &DoctorArgs, color: bool, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let interfaces = args.interfaces.iter().map(|name| super::interface::find(name)).collect::<Result<Vec<_>, _>>()?;
    let machine = gather::machine();
    let mut checks = Vec::new();
    for interface in &interfaces {
        checks.extend(interface::checks(&gather::interface(interface), &machine.permit));
    }
    checks.extend(machine::checks(&machine));
    let mut bytes = Vec::new();
    match args.format {
        AnswerFormat::Ndjson => checks.iter().for_each(|check| check::ndjson(check, &mut bytes)),
        AnswerFormat::Table => check::text(&checks, color, &mut bytes),
    }
    out.write_all(&bytes)?;
    out.flush()?;
    let is_bad = checks.iter().any(|check| check.state == State::Bad);
    Ok(if args.fail_on_finding && is_bad { ExitStatus::Finding } else { ExitStatus::Ok })
}

/// A check of which nothing was found yet.
fn check(id: &'static str, why: &'static str) -> Check {
    let values = BTreeMap::new();
    Check { interface: None, id, state: State::Unknown, found: String::new(), values, why, mend: None }
}

impl Check {
    fn finds(mut self, state: State, found: impl Into<String>) -> Self {
        self.state = state;
        self.found = found.into();
        self.mend = self.mend.filter(|_| state != State::Ok);
        self
    }

    fn values(mut self, values: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        self.values = values.into_iter().collect();
        self
    }

    /// The command that mends it, unless there is nothing to mend.
    fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = (self.state != State::Ok).then(|| command.into());
        self
    }
}
