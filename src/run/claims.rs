//! `keywitness claims check`: what a claims file says, and with captures what it would be used for.

use std::{
    collections::HashSet,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    ExitStatus, Failure,
    offline::{input_summaries, log_inputs},
};
use crate::{
    capture::Merge,
    cli::CheckArgs,
    config::read_claims,
    correlator::subject,
    engine::{Engine, EngineLimits},
    event::InputState,
    flow::SessionId,
    judge::claim::{Claims, Identity},
    observation::Body,
    output::{
        escape,
        matches::{MatchLine, table},
    },
    time::Timestamp,
};

/// Identities without a claim that are named, of those that leases name.
const MAX_NAMED: usize = 10;

/// Validates a claims file and says what it holds; with captures, what they would lead to.
pub(super) fn check(args: CheckArgs, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let claims = read_claims(&args.file, &args.around)?;
    tell_claims(&claims, &args.file, out)?;
    tell_leases(&claims, out)?;
    if args.inputs.is_empty() { Ok(ExitStatus::Ok) } else { Ok(dry_run(&claims, args.inputs, out)?) }
}

fn tell_claims(claims: &Claims, path: &Path, out: &mut impl Write) -> io::Result<()> {
    let sensor = match &claims.sensor.place {
        Some(place) => format!("the sensor stands at {place}"),
        None => "it does not say where the sensor stands (see --sensor), so no round trip can be judged".to_owned(),
    };
    let places: usize = claims.identities.iter().map(|identity| identity.places.len()).sum();
    writeln!(out, "{}: fine: {} identities with {places} places; {sensor}", path.display(), claims.identities.len())?;
    for identity in &claims.identities {
        tell_identity(identity, out)?;
    }
    for middlebox in &claims.middleboxes {
        let place = middlebox.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
        writeln!(out, "  middlebox {}{place}: what comes from it is not judged", escape::text(middlebox.name.as_bytes()))?;
    }
    for allowance in &claims.allowances {
        writeln!(out, "  line {:<4} no alert of {} where it allows that", allowance.line, allowance.findings.join(", "))?;
    }
    for hint in &claims.hints {
        writeln!(out, "  warning: {hint}")?;
    }
    Ok(())
}

fn tell_identity(identity: &Identity, out: &mut impl Write) -> io::Result<()> {
    let places: Vec<String> = identity
        .places
        .iter()
        .map(|claimed| {
            let via = claimed.via.as_ref().map_or_else(String::new, |via| format!(" by way of {via}"));
            format!("{}{via} ({:.0} km, {})", claimed.place, claimed.radius_km, claimed.access.name())
        })
        .collect();
    let (name, places) = (escape::text(identity.name.as_bytes()), escape::text(places.join("; ").as_bytes()));
    writeln!(out, "  line {:<4} {name}: {places}", identity.line)
}

fn tell_leases(claims: &Claims, out: &mut impl Write) -> io::Result<()> {
    let leases = claims.leases();
    if leases.is_empty() {
        return Ok(());
    }
    let unclaimed = leases.iter().filter(|lease| claims.claim_of(lease).is_none());
    let mut seen = HashSet::new();
    let first: Vec<_> = unclaimed.filter_map(|lease| lease.names.first()).filter(|name| seen.insert(*name)).collect();
    let names: Vec<_> = first.iter().take(MAX_NAMED).map(|name| escape::text(name.as_bytes())).collect();
    writeln!(out, "  {} leases", leases.len())?;
    if first.is_empty() {
        return Ok(());
    }
    let more = if first.len() > MAX_NAMED { ", …" } else { "" };
    writeln!(out, "  warning: {} identities of the leases have no claim: {}{more}", first.len(), names.join(", "))
}

/// Looks the sessions of captures up, and judges nothing.
fn dry_run(claims: &Claims, inputs: Vec<PathBuf>, out: &mut impl Write) -> io::Result<ExitStatus> {
    let mut engine = Engine::new(EngineLimits { keystrokes: false, ..EngineLimits::default() });
    let mut merge = Merge::new(inputs);
    let mut run = DryRun { claims, lines: Vec::new(), used: HashSet::new() };
    while let Some(batch) = merge.next_batch() {
        engine.handle_batch(&batch);
        run.drain(&mut engine);
    }
    engine.finish();
    run.drain(&mut engine);
    let inputs = input_summaries(merge);
    log_inputs(&inputs);
    let failed = inputs.iter().any(|input| input.status == InputState::Error);
    run.tell(out)?;
    Ok(if failed { ExitStatus::Input } else { ExitStatus::Ok })
}

struct DryRun<'a> {
    claims: &'a Claims,
    /// With when each session began and its identifier.
    lines: Vec<(Timestamp, SessionId, MatchLine)>,
    /// Identities whose claim a session leads to.
    used: HashSet<&'a str>,
}

impl DryRun<'_> {
    fn drain(&mut self, engine: &mut Engine) {
        while let Some(observation) = engine.poll_observation() {
            if let Body::SessionEnded(report) = observation.body {
                let found = self.claims.find(&subject(&report));
                self.used.extend(found.identity().map(|identity| identity.name.as_str()));
                self.lines.push((report.start, report.id, MatchLine::new(&report, &found)));
            }
        }
    }

    fn tell(mut self, out: &mut impl Write) -> io::Result<()> {
        self.lines.sort_by_key(|(start, id, _)| (*start, *id));
        let lines: Vec<_> = self.lines.into_iter().map(|(_, _, line)| line).collect();
        write!(out, "\n{}\n{} sessions", table(&lines), lines.len())?;
        let unused = self.claims.identities.iter().filter(|identity| !self.used.contains(identity.name.as_str()));
        let unused: Vec<_> =
            unused.map(|identity| format!("  line {:<4} {}", identity.line, escape::text(identity.name.as_bytes()))).collect();
        if unused.is_empty() {
            return writeln!(out, "; each claim is led to by one at least");
        }
        writeln!(out, "; none leads to these claims:\n{}", unused.join("\n"))
    }
}
