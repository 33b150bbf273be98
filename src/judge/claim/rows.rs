//! The CSV form of claims, for whoever keeps them in a spreadsheet.
//!
//! Each row names an identity, and adds to it: a match where `client` or `rdp_cookie` has values, places where `place`, or `lat`
//! and `lon`, have. Rows of one identity are one claim: any of its matches leads to it, and any of its places that
//! holds at the time fits. `radius_km`, `access`, `from` and `to` are of the row's places. Several values in a cell are
//! separated by `;`.

use std::collections::HashMap;

use super::{
    ClaimedPlace, Claims, DEFAULT_RADIUS_KM, Identity, MatchBlock, Problem,
    sheet::{Row, Sheet},
    value,
};
use crate::{
    judge::{
        delay_model::Access,
        place::{Place, gazetteer},
    },
    time::Timestamp,
};

/// The columns, in any order; all but the first may be missing.
const COLUMNS: [&str; 11] =
    ["identity", "place", "lat", "lon", "radius_km", "access", "timezone", "client", "rdp_cookie", "from", "to"];

/// Whether a text without byte order mark is of this form: its first line names the column of identities among others.
pub(super) fn is_header(text: &str) -> bool {
    let first = text.trim_start().lines().next().unwrap_or_default();
    first.split([',', ';', '\t']).any(|cell| cell.trim().trim_matches('"') == "identity")
}

/// Reads a file; gives every problem, not only the first. A claim needs no match where leases may lead to it.
pub(super) fn read(text: &str, has_leases: bool) -> Result<Claims, Vec<Problem>> {
    let sheet = Sheet::read(text, &COLUMNS, &["identity"])?;
    let mut reader = Reader::default();
    for row in &sheet.rows {
        reader.row(&sheet, row);
    }
    reader.missing(has_leases);
    reader.problems.sort_by_key(|problem| problem.line);
    if reader.problems.is_empty() {
        Ok(Claims { identities: reader.identities, hints: reader.hints, ..Claims::default() })
    } else {
        Err(reader.problems)
    }
}

#[derive(Default)]
struct Reader {
    identities: Vec<Identity>,
    by_name: HashMap<String, usize>,
    problems: Vec<Problem>,
    hints: Vec<Problem>,
}

impl Reader {
    fn row(&mut self, sheet: &Sheet, row: &Row) {
        let name = sheet.cell(row, "identity");
        if name.is_empty() {
            self.problem(row.line, "identity", "is empty");
        }
        let block = self.match_block(sheet, row);
        let places = self.places(sheet, row);
        if block.is_none() && places.is_empty() {
            self.problem(row.line, "row", "adds neither a match (`client`, `rdp_cookie`) nor a place to the claim");
        }
        let timezone = Some(sheet.cell(row, "timezone")).filter(|zone| !zone.is_empty());
        let at = *self.by_name.entry(name.to_owned()).or_insert(self.identities.len());
        if at == self.identities.len() {
            self.identities.push(new_identity(name, row.line));
        }
        let Some(identity) = self.identities.get_mut(at) else { return };
        identity.matches.extend(block);
        identity.places.extend(places);
        if let Some(zone) = timezone {
            let known = identity.timezone.get_or_insert_with(|| zone.to_owned());
            if known != zone {
                let message = format!("is \"{zone}\", but an earlier row of \"{name}\" has \"{known}\"");
                self.problem(row.line, "timezone", message);
            }
        }
    }

    /// What the rows of an identity lack together.
    fn missing(&mut self, has_leases: bool) {
        if !self.problems.is_empty() {
            return;
        }
        for identity in &self.identities {
            let mut missing = |field: &str, message: &str| {
                self.problems.push(Problem { line: identity.line, field: field.to_owned(), message: message.to_owned() });
            };
            if identity.matches.is_empty() && !has_leases {
                missing(
                    "client",
                    "is empty in all rows of this identity: without it, and without --leases, the claim is about no session",
                );
            }
            if identity.places.is_empty() {
                missing("place", "is empty in all rows of this identity: there is nothing to hold a session against");
            }
        }
    }

    fn match_block(&mut self, sheet: &Sheet, row: &Row) -> Option<MatchBlock> {
        let nets = values(sheet.cell(row, "client"));
        let client: Vec<_> = nets.iter().filter_map(|net| self.checked(row.line, "client", value::net(net))).collect();
        let rdp_cookie: Vec<_> = values(sheet.cell(row, "rdp_cookie")).into_iter().map(str::to_owned).collect();
        let asks = !nets.is_empty() || !rdp_cookie.is_empty();
        asks.then(|| MatchBlock { client, rdp_cookie, line: row.line, ..MatchBlock::default() })
    }

    fn places(&mut self, sheet: &Sheet, row: &Row) -> Vec<ClaimedPlace> {
        let points = self.points(sheet, row);
        let radius = sheet.cell(row, "radius_km");
        let radius_km = if radius.is_empty() {
            Some(DEFAULT_RADIUS_KM)
        } else {
            self.number(row.line, "radius_km", radius).and_then(|km| self.checked(row.line, "radius_km", value::radius_km(km)))
        };
        let written = sheet.cell(row, "access");
        let access =
            if written.is_empty() { Some(Access::default()) } else { self.checked(row.line, "access", value::access(written)) };
        let from = self.moment(row.line, "from", sheet.cell(row, "from"));
        let to = self.moment(row.line, "to", sheet.cell(row, "to"));
        self.checked(row.line, "to", value::window(from, to));
        let claimed = |place| Some(ClaimedPlace { place, radius_km: radius_km?, access: access?, via: None, from, to });
        points.into_iter().filter_map(claimed).collect()
    }

    /// Places by name, or by both coordinates.
    fn points(&mut self, sheet: &Sheet, row: &Row) -> Vec<Place> {
        let [names, lats, lons] = ["place", "lat", "lon"].map(|column| values(sheet.cell(row, column)));
        let has_point = !lats.is_empty() || !lons.is_empty();
        if has_point && !names.is_empty() {
            self.problem(row.line, "place", "has both a name and coordinates: give one of the two");
        }
        if lats.len() != lons.len() {
            self.problem(row.line, "lat", format!("has {} values and `lon` has {}: they go in pairs", lats.len(), lons.len()));
        }
        let named: Vec<_> = names.into_iter().filter_map(|name| self.named(row.line, name)).collect();
        let points = lats.into_iter().zip(lons).filter_map(|(lat, lon)| {
            let (lat, lon) = (self.number(row.line, "lat", lat)?, self.number(row.line, "lon", lon)?);
            let point = Place::new(lat, lon).map_err(|error| error.to_string());
            let field = if (-90.0..=90.0).contains(&lat) { "lon" } else { "lat" };
            self.checked(row.line, field, point)
        });
        let points: Vec<_> = points.collect();
        named.into_iter().chain(points).collect()
    }

    fn named(&mut self, line: usize, name: &str) -> Option<Place> {
        if let Some(message) = gazetteer::hint(name) {
            self.hints.push(Problem { line, field: "place".to_owned(), message });
        }
        self.checked(line, "place", gazetteer::find(name).map_err(|error| error.to_string()))
    }

    fn number(&mut self, line: usize, field: &str, text: &str) -> Option<f64> {
        self.checked(line, field, text.parse().map_err(|_| format!("\"{text}\" is not a number such as 47.61")))
    }

    fn moment(&mut self, line: usize, field: &str, text: &str) -> Option<Timestamp> {
        if text.is_empty() { None } else { self.checked(line, field, value::moment(text)) }
    }

    /// A value, or nothing and a problem.
    fn checked<T>(&mut self, line: usize, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.problem(line, field, message)).ok()
    }

    fn problem(&mut self, line: usize, field: &str, message: impl Into<String>) {
        self.problems.push(Problem { line, field: field.to_owned(), message: message.into() });
    }
}

fn new_identity(name: &str, line: usize) -> Identity {
    Identity { name: name.to_owned(), timezone: None, keyboard: Vec::new(), matches: Vec::new(), places: Vec::new(), line }
}

/// The values of a cell.
fn values(cell: &str) -> Vec<&str> {
    cell.split(';').map(str::trim).filter(|value| !value.is_empty()).collect()
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
