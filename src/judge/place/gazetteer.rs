//! Places by name: "City, CC" or "City, Region, CC".
//!
//! CC is the ISO 3166-1 alpha-2 code, or the country's English name; the region is a name
//! ("Oregon") or a code ("OR"). Case, marks and spaces around parts do not count: "zurich, ch" is
//! "Zürich, CH". The places are GeoNames' of 1,000 people and more, with common other names for the
//! large ones ("Bangalore, IN"); see `make_gazetteer.py`. A place is the middle of its town, to
//! 0.01 degree (0.8 km at most).
//!
//! # Namesakes
//!
//! Where several places of a country (and region, if given) bear the name, none of them is meant,
//! unless the most populous has more than 50,000 people and at least ten times as many as the next:
//! "Miami, US" is in Florida, but "Portland, US" is ambiguous. Namesakes within 15 km of a larger
//! one are the same place. The rule is strict because a wrong guess moves a person by thousands of
//! kilometres, and would accuse the innocent or clear the guilty, while a question costs a minute.

use std::cmp::Reverse;
use std::fmt;

use super::fold::fold;
use super::suggest::{self, MAX_SUGGESTIONS};
use super::table::{ALIASES, COUNTRIES, Row};
use super::{Place, PlaceError, great_circle_km};

/// How many times the people of the next namesake the most populous must have to be meant.
const DOMINANCE: u64 = 10;
/// More people than this it must have besides.
const WELL_KNOWN: u64 = 50_000;
/// Namesakes nearer to each other than this, in kilometres, are one place.
const SAME_PLACE_KM: f64 = 15.0;
/// No place name is longer, in bytes.
const MAX_LEN: usize = 200;
/// How many candidates an error holds.
const MAX_CANDIDATES: usize = 10;

/// Why a name is not one place.
///
/// The texts quote what was asked for, at most 200 bytes without control characters, but not
/// otherwise escaped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LookupError {
    /// No place of that name in that country (and region, if given).
    #[error("no place \"{name}\"{}", did_you_mean(suggestions))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Up to five near names, each of which can be asked for; the nearest first.
        suggestions: Vec<String>,
    },
    /// Several places of that name, none of which stands out.
    #[error("\"{name}\" is ambiguous: {}; give the region, or lat and lon", list(candidates, *more))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Up to ten of them, the most populous first.
        candidates: Vec<Candidate>,
        /// How many there are beyond these.
        more: usize,
    },
    /// Not "City, CC" or "City, Region, CC".
    #[error("not a place: {why}; write \"City, CC\" or \"City, Region, CC\", such as \"Portland, OR, US\"")]
    Malformed {
        /// What is wrong with it.
        why: String,
    },
}

/// A place that an ambiguous name may mean; shown as
/// "Portland, Oregon, US (45.52, -122.68), population 652,503".
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The place; its name can be asked for, unless it is ambiguous within its region.
    pub place: Place,
    /// People, as GeoNames counts them.
    pub population: u64,
}

/// The one place that a name means, by the rule above. Takes some microseconds where there is one,
/// and a millisecond or two where near names must be sought.
///
/// # Errors
///
/// [`LookupError`] says why there is not one: malformed, unknown or ambiguous.
pub fn find(text: &str) -> Result<Place, LookupError> {
    find_or(text, |query| query.unknown())
}

/// The same without near names: always takes microseconds, for whoever asks for very many.
///
/// # Errors
///
/// As for [`find`]; `suggestions` is empty.
pub fn find_quickly(text: &str) -> Result<Place, LookupError> {
    find_or(text, |query| LookupError::Unknown { name: query.text.to_owned(), suggestions: Vec::new() })
}

fn find_or(text: &str, unknown: impl FnOnce(&Query<'_>) -> LookupError) -> Result<Place, LookupError> {
    let query = Query::parse(text)?;
    let rows = query.rows();
    let Some(first) = rows.first() else {
        return Err(unknown(&query));
    };
    let stands_out = rows
        .get(1)
        .is_none_or(|next| first.population > WELL_KNOWN && first.population >= next.population.saturating_mul(DOMINANCE));
    if stands_out {
        return first.place().map_err(broken);
    }
    let candidates = rows
        .iter()
        .take(MAX_CANDIDATES)
        .map(|row| Ok(Candidate { place: row.place().map_err(broken)?, population: row.population }));
    Err(LookupError::Ambiguous {
        name: query.text.to_owned(),
        candidates: candidates.collect::<Result<_, _>>()?,
        more: rows.len().saturating_sub(MAX_CANDIDATES),
    })
}

/// What to ask back where a name is read as "City, CC" but may be meant as an American writes it: "Richmond, CA" is in Canada,
/// and there is a Richmond in California. Nothing where no such place is in the state or province of that code, or where
/// the name is not read at all.
#[must_use]
pub fn hint(text: &str) -> Option<String> {
    let query = Query::parse(text).ok().filter(|query| query.region.is_none() && query.written_country.len() == 2)?;
    let code = fold(query.written_country);
    let meant = query.rows().first()?.display();
    let elsewhere = ["US", "CA"].into_iter().find_map(|country| {
        let other = Query { key: query.key.clone(), region: Some(code.clone()), country, ..query };
        other.rows().first().map(Row::display).filter(|name| *name != meant)
    })?;
    Some(format!("\"{}\" is read as {meant}; if you mean {elsewhere}, write \"{elsewhere}\"", query.text))
}

/// What is asked for.
struct Query<'a> {
    text: &'a str,
    /// The folded name.
    key: String,
    /// The folded region.
    region: Option<String>,
    country: &'static str,
    /// The country as written.
    written_country: &'a str,
}

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Result<Self, LookupError> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(malformed(format!("it is longer than {MAX_LEN} bytes")));
        }
        if text.chars().any(char::is_control) {
            return Err(malformed("it holds a control character"));
        }
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        let (name, region, written_country) = match *parts.as_slice() {
            [name, country] => (name, None, country),
            [name, region, country] => (name, Some(region), country),
            [_] => return Err(malformed(format!("\"{text}\" has no country"))),
            _ => return Err(malformed(format!("\"{text}\" has more than three parts"))),
        };
        let (key, region) = (fold(name), region.map(fold));
        if key.is_empty() || region.as_ref().is_some_and(String::is_empty) {
            return Err(malformed(format!("a part of \"{text}\" is empty")));
        }
        let country = country(written_country).ok_or_else(|| malformed(format!("\"{written_country}\" is no country")))?;
        Ok(Self { text, key, region, country, written_country })
    }

    /// The places that bear the name, the most populous first, each once.
    fn rows(&self) -> Vec<Row> {
        let mut rows = self.rows_of_any_region();
        if let Some(region) = &self.region {
            rows.retain(|row| {
                let known = row.region().map_or("", |(_, keys)| keys);
                known.split(';').any(|key| key == region)
            });
        }
        let mut distinct: Vec<Row> = Vec::with_capacity(rows.len());
        for row in rows {
            if !distinct.iter().any(|other| same_place(other, &row)) {
                distinct.push(row);
            }
        }
        distinct
    }

    fn rows_of_any_region(&self) -> Vec<Row> {
        let aliases = ALIASES
            .get(&self.key)
            .filter_map(|rest| rest.split_once('\t'))
            .filter(|(country, _)| *country == self.country)
            .filter_map(|(country, target)| Row::meant(target, country));
        let mut rows: Vec<_> = Row::named(&self.key, self.country).chain(aliases).collect();
        rows.sort_by_key(|row| Reverse(row.population));
        rows
    }

    /// Namesakes in other regions are nearest, then what "Los Angeles, CA" means to an American,
    /// then names that look alike.
    fn unknown(&self) -> LookupError {
        let mut rows = Vec::new();
        if self.region.is_some() {
            rows.extend(self.rows_of_any_region());
        } else {
            let american = Query { key: self.key.clone(), region: Some(fold(self.written_country)), country: "US", ..*self };
            rows.extend(american.rows());
        }
        rows.truncate(MAX_SUGGESTIONS);
        if rows.len() < MAX_SUGGESTIONS {
            rows.extend(suggest::near(&self.key, self.country));
        }
        let mut suggestions: Vec<String> = Vec::with_capacity(MAX_SUGGESTIONS);
        for name in rows.iter().map(Row::display) {
            if suggestions.len() < MAX_SUGGESTIONS && !suggestions.contains(&name) {
                suggestions.push(name);
            }
        }
        LookupError::Unknown { name: self.text.to_owned(), suggestions }
    }
}

/// The code of a country by its code or name.
fn country(written: &str) -> Option<&'static str> {
    // A code is not folded: "ST" is São Tomé and "MT" Malta, not "saint" and "mount".
    let key = if written.len() == 2 { written.to_ascii_lowercase() } else { fold(written) };
    COUNTRIES.get(&key).next()
}

fn same_place(a: &Row, b: &Row) -> bool {
    great_circle_km((a.lat, a.lon), (b.lat, b.lon)) <= SAME_PLACE_KM
}

fn malformed(why: impl Into<String>) -> LookupError {
    LookupError::Malformed { why: why.into() }
}

/// For a row of the table off the globe; a test sees to it that there is none.
fn broken(error: PlaceError) -> LookupError {
    malformed(format!("the gazetteer is broken: {error}"))
}

fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() {
        return String::new();
    }
    format!("; did you mean \"{}\"?", suggestions.join("\", \""))
}

fn list(candidates: &[Candidate], more: usize) -> String {
    let mut list: Vec<_> = candidates.iter().map(Candidate::to_string).collect();
    if more > 0 {
        list.push(format!("{more} more"));
    }
    list.join("; ")
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, population } = self;
        let (lat, lon) = (place.lat(), place.lon());
        write!(f, "{place} ({lat:.2}, {lon:.2}), population {}", grouped(*population))
    }
}

/// "652,503".
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests;
