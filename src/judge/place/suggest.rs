//! Near names, for whoever mistyped one.

use std::cmp::Reverse;

use super::table::{ALIASES, PLACES, Row};

/// How many names to offer.
pub(super) const MAX_SUGGESTIONS: usize = 5;

/// Up to [`MAX_SUGGESTIONS`] names in a country that are near to a key, nearest first, and among
/// equally near ones the most populous first.
///
/// Near is: up to two letters changed, left out, added or swapped (one in keys of up to four), or
/// one is how the other begins. Only names with the same first letter are looked at, since few
/// mistype that one: it bounds the search to an eighth of the table at most, some 1.5 ms.
pub(super) fn near(key: &str, country: &str) -> Vec<Row> {
    let initial: String = key.chars().take(1).collect();
    if initial.is_empty() {
        return Vec::new();
    }
    let places = PLACES
        .from(&initial)
        .take_while(|(other, _)| other.starts_with(&initial))
        .filter(|(_, rest)| rest.split('\t').nth(1) == Some(country))
        .filter_map(|(other, rest)| Some((rank(key, other)?, Row::parse(other, rest)?)));
    let aliases = ALIASES
        .from(&initial)
        .take_while(|(other, _)| other.starts_with(&initial))
        .filter_map(|(other, rest)| Some((other, rest.split_once('\t')?)))
        .filter(|(_, (found, _))| *found == country)
        .filter_map(|(other, (_, target))| Some((rank(key, other)?, Row::meant(target, country)?)));
    let mut found: Vec<_> = places.chain(aliases).collect();
    found.sort_by_key(|(rank, row)| (*rank, Reverse(row.population)));
    let mut best: Vec<Row> = Vec::with_capacity(MAX_SUGGESTIONS);
    for (_, row) in found {
        if best.len() == MAX_SUGGESTIONS {
            break;
        }
        if best.iter().all(|other| (other.key, other.region) != (row.key, row.region)) {
            best.push(row);
        }
    }
    best
}

/// How far a name is from what was typed, or none where it is not near.
fn rank(typed: &str, name: &str) -> Option<u8> {
    let begins = |long: &str, short: &str| short.len() >= 3 && long.starts_with(short);
    let limit = if typed.len() <= 4 { 1 } else { 2 };
    match edits(typed.as_bytes(), name.as_bytes(), limit) {
        Some(edits) if edits <= 1 => Some(0),
        _ if begins(name, typed) || begins(typed, name) => Some(1),
        Some(_) => Some(2),
        None => None,
    }
}

/// The optimal string alignment distance: letters changed, left out, added, or swapped with their
/// neighbour; none where it is above the limit.
fn edits(a: &[u8], b: &[u8], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    // Three rows of the table of distances between beginnings of a and of b.
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (i, &letter) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        let mut left = i + 1;
        row.push(left);
        let mut last_b = None;
        for ((j, &other), corner) in b.iter().enumerate().zip(above.windows(2)) {
            let &[diagonal, up] = corner else { continue };
            left = (diagonal + usize::from(letter != other)).min(up + 1).min(left + 1);
            if last_a == Some(other) && last_b == Some(letter) {
                let swapped = j.checked_sub(1).and_then(|j| before.get(j));
                left = swapped.map_or(left, |swapped| left.min(swapped + 1));
            }
            row.push(left);
            last_b = Some(other);
        }
        if row.iter().all(|distance| *distance > limit) {
            return None;
        }
        last_a = Some(letter);
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_up_to_the_limit() {
        for (a, b, count) in [
            ("seattle", "seattle", Some(0)),
            ("seatle", "seattle", Some(1)),
            ("saettle", "seattle", Some(1)),
            ("seatlte", "seattle", Some(1)),
            ("zurick", "zurich", Some(1)),
            ("bosie", "boise", Some(1)),
            ("sxxttle", "seattle", Some(2)),
            ("sxxxtle", "seattle", None),
            ("", "ab", Some(2)),
            ("", "", Some(0)),
            ("abcdef", "ab", None),
        ] {
            assert_eq!(edits(a.as_bytes(), b.as_bytes(), 2), count, "{a} {b}");
            assert_eq!(edits(b.as_bytes(), a.as_bytes(), 2), count, "{b} {a}");
        }
    }

    #[test]
    fn slips_and_beginnings_are_near() {
        let first = |key, country| near(key, country).first().map(Row::display);
        assert_eq!(first("seatle", "US").as_deref(), Some("Seattle, Washington, US"));
        assert_eq!(first("philadel", "US").as_deref(), Some("Philadelphia, Pennsylvania, US"));
        assert_eq!(first("boise idaho", "US").as_deref(), Some("Boise, Idaho, US"));
        assert_eq!(first("bangalroe", "IN").as_deref(), Some("Bengaluru, Karnataka, IN"));
        assert_eq!(near("san", "US").len(), MAX_SUGGESTIONS);
        assert!(near("qqqqqqqq", "US").is_empty() && near("", "US").is_empty());
    }
}
