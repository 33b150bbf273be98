//! `keywitness claims check`.

use std::{io::Write, path::Path};

use super::{ExitStatus, Failure};
use crate::{config::read_claims, output::escape};

/// Validates a claims file and says what it holds.
pub(super) fn check(path: &Path, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let claims = read_claims(path)?;
    let sensor = match &claims.sensor.place {
        Some(place) => format!("the sensor stands at {place}"),
        None => "it does not say where the sensor stands, so no round trip can be judged".to_owned(),
    };
    let places: usize = claims.identities.iter().map(|identity| identity.places.len()).sum();
    writeln!(out, "{}: fine: {} identities with {places} places; {sensor}", path.display(), claims.identities.len())?;
    for identity in &claims.identities {
        let places: Vec<String> = identity
            .places
            .iter()
            .map(|claimed| {
                let via = claimed.via.as_ref().map_or_else(String::new, |via| format!(" by way of {via}"));
                format!("{}{via} ({:.0} km, {})", claimed.place, claimed.radius_km, claimed.access.name())
            })
            .collect();
        writeln!(
            out,
            "  line {:<4} {}: {}",
            identity.line,
            escape::text(identity.name.as_bytes()),
            escape::text(places.join("; ").as_bytes())
        )?;
    }
    Ok(ExitStatus::Ok)
}
