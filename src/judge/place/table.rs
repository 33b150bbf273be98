//! The embedded tables: sorted lines of tab-separated fields, searched where they lie.
//!
//! Nothing is built at start, so that a run without place names pays nothing for them. Each table
//! begins with a line of attribution; `#` sorts before every key.
//!
//! The data is GeoNames' (<https://www.geonames.org>), CC BY 4.0, as changed by `make_gazetteer.py`.

use super::{Place, PlaceError};

/// Key, name where it is not the key in title case, country, code of the region, latitude and
/// longitude in degrees to 0.01, population.
pub(super) static PLACES: Table = Table(include_str!("places.tsv"));
/// Key, country, key of the place that is meant: that country's most populous one.
pub(super) static ALIASES: Table = Table(include_str!("aliases.tsv"));
/// Country and code joined by a full stop, name, the keys by which it is known joined by `;`.
pub(super) static REGIONS: Table = Table(include_str!("regions.tsv"));
/// Key, ISO 3166-1 alpha-2 code.
pub(super) static COUNTRIES: Table = Table(include_str!("countries.tsv"));

/// Lines sorted by the bytes of their first field.
pub(super) struct Table(&'static str);

impl Table {
    /// The lines from the first whose key is not before `key`: key, and the rest of the line.
    pub(super) fn from(&self, key: &str) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let start = self.lower_bound(key);
        let lines = self.0.get(start..).unwrap_or_default().lines();
        lines.filter_map(|line| line.split_once('\t'))
    }

    /// What follows the key in each line of this key.
    pub(super) fn get<'k>(&self, key: &'k str) -> impl Iterator<Item = &'static str> + use<'k> {
        let lines = self.from(key).take_while(move |(other, _)| *other == key);
        lines.map(|(_, rest)| rest)
    }

    /// The offset of the first line whose key is not before `key`.
    fn lower_bound(&self, key: &str) -> usize {
        let bytes = self.0.as_bytes();
        let (mut low, mut high) = (0, bytes.len());
        // Both ends are starts of lines.
        while low < high {
            let middle = low + (high - low) / 2;
            let before = bytes.get(low..middle).unwrap_or_default();
            let start = before.iter().rposition(|byte| *byte == b'\n').map_or(low, |newline| low + newline + 1);
            let rest = bytes.get(start..high).unwrap_or_default();
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let found = line.split(|byte| *byte == b'\t').next().unwrap_or_default();
            if found < key.as_bytes() {
                low = start + line.len() + 1;
            } else {
                high = start;
            }
        }
        low
    }
}

/// One line of [`PLACES`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) key: &'static str,
    /// Empty where it is the key in title case.
    name: &'static str,
    pub(super) country: &'static str,
    /// GeoNames' code of the region; empty where none is known.
    pub(super) region: &'static str,
    pub(super) lat: f64,
    pub(super) lon: f64,
    /// People, as GeoNames counts them.
    pub(super) population: u64,
}

impl Row {
    /// A line; none where it is not of this form.
    pub(super) fn parse(key: &'static str, rest: &'static str) -> Option<Self> {
        let mut fields = rest.split('\t');
        let row = Self {
            key,
            name: fields.next()?,
            country: fields.next()?,
            region: fields.next()?,
            lat: fields.next()?.parse().ok()?,
            lon: fields.next()?.parse().ok()?,
            population: fields.next()?.parse().ok()?,
        };
        fields.next().is_none().then_some(row)
    }

    /// The places of this key in a country, in the order of the table.
    pub(super) fn named(key: &str, country: &str) -> impl Iterator<Item = Self> {
        // The country is looked at before numbers are read: "San Antonio" is in thirty of them.
        PLACES
            .from(key)
            .take_while(move |(other, _)| *other == key)
            .filter(move |(_, rest)| rest.split('\t').nth(1) == Some(country))
            .filter_map(|(key, rest)| Self::parse(key, rest))
    }

    /// The place that an alias means.
    pub(super) fn meant(target: &str, country: &str) -> Option<Self> {
        Self::named(target, country).max_by_key(|row| row.population)
    }

    /// The line of its region: name and keys.
    pub(super) fn region(&self) -> Option<(&'static str, &'static str)> {
        let code = format!("{}.{}", self.country, self.region);
        REGIONS.get(&code).next()?.split_once('\t')
    }

    /// "Boise, Idaho, US"; without the region where none is known.
    pub(super) fn display(&self) -> String {
        let name = if self.name.is_empty() { title(self.key) } else { self.name.to_owned() };
        match self.region() {
            Some((region, _)) => format!("{name}, {region}, {}", self.country),
            None => format!("{name}, {}", self.country),
        }
    }

    /// As a place to measure from.
    pub(super) fn place(&self) -> Result<Place, PlaceError> {
        Place::named(self.display(), self.lat, self.lon)
    }
}

/// The key with each word's first letter in upper case.
fn title(key: &str) -> String {
    let mut title = String::with_capacity(key.len());
    let mut first = true;
    for letter in key.chars() {
        if first {
            title.extend(letter.to_uppercase());
        } else {
            title.push(letter);
        }
        first = letter == ' ';
    }
    title
}

#[cfg(test)]
mod tests {
    use super::super::fold::fold;
    use super::*;

    /// The keys of a table, checked to be in order.
    fn keys(table: &Table) -> Vec<&'static str> {
        assert!(table.0.starts_with("# GeoNames") && table.0.ends_with('\n'));
        let lines = table.0.lines().skip(1);
        let keys: Vec<_> = lines.map(|line| line.split_once('\t').unwrap().0).collect();
        assert!(keys.is_sorted());
        keys
    }

    #[test]
    fn every_row_is_sorted_and_parses() {
        assert_eq!(keys(&PLACES).len(), PLACES.from("").count());
        for (key, rest) in PLACES.from("") {
            let row = Row::parse(key, rest).unwrap_or_else(|| panic!("{key} {rest}"));
            assert_eq!(fold(row.place().unwrap().name().split_once(", ").unwrap().0), key);
            assert!(COUNTRIES.get(&row.country.to_lowercase()).any(|code| code == row.country));
            assert!(row.region.is_empty() || row.region().is_some(), "{key} {rest}");
        }
    }

    #[test]
    fn every_alias_means_a_place() {
        keys(&ALIASES);
        for (alias, rest) in ALIASES.from("") {
            let (country, target) = rest.split_once('\t').unwrap();
            assert_eq!(fold(alias), alias);
            assert!(Row::meant(target, country).is_some(), "{alias} {rest}");
        }
    }

    #[test]
    fn every_region_and_country_is_known_by_its_name() {
        keys(&REGIONS);
        for (code, rest) in REGIONS.from("") {
            let (name, known) = rest.split_once('\t').unwrap();
            assert!(known.split(';').any(|key| key == fold(name)), "{code} {rest}");
        }
        keys(&COUNTRIES);
        assert!(COUNTRIES.from("").all(|(_, code)| code.len() == 2));
    }

    #[test]
    fn a_search_ends_at_either_end_and_between() {
        assert_eq!(COUNTRIES.from("").count(), COUNTRIES.0.lines().count() - 1);
        assert_eq!(COUNTRIES.get("portugal").collect::<Vec<_>>(), ["PT"]);
        assert_eq!(COUNTRIES.get("portugal ").count(), 0);
        assert_eq!(PLACES.from("\u{10ffff}").count(), 0);
    }
}
