//! Single values of claims, as both forms write them: what each means, or what is wrong with it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::LARGEST_RADIUS_KM;
use crate::{
    judge::{
        delay_model::Access,
        place::{Place, gazetteer},
    },
    time::{NotADate, Timestamp},
};

/// An address, or a network in prefix notation.
pub(super) fn net(text: &str) -> Result<IpNet, String> {
    let value = text.trim();
    match value.parse::<IpNet>().or_else(|_| value.parse().map(|ip: IpAddr| IpNet::from(ip))) {
        Ok(net) if net.trunc() == net => Ok(net),
        Ok(net) => Err(format!(
            "\"{value}\" has bits set behind its prefix: did you mean {} or {}?",
            net.trunc(),
            IpNet::from(net.addr())
        )),
        Err(_) => Err(format!("\"{value}\" is neither an address nor a network such as 203.0.113.0/24")),
    }
}

/// A kind of access by its name.
pub(super) fn access(text: &str) -> Result<Access, String> {
    Access::from_name(text).ok_or_else(|| format!("\"{text}\" is none of fiber, cable, dsl, mobile, leo, geo, unknown"))
}

/// How exact a claim is, in kilometres.
pub(super) fn radius_km(km: f64) -> Result<f64, String> {
    if (0.0..=LARGEST_RADIUS_KM).contains(&km) { Ok(km) } else { Err(format!("{km} is not within 0 to {LARGEST_RADIUS_KM} km")) }
}

/// A date (midnight UTC) or a date and time (UTC where it has no offset).
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error: NotADate| error.to_string())
}

/// That a window in time is not empty.
pub(super) fn window(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), String> {
    match (from, to) {
        (Some(from), Some(to)) if to <= from => Err("is not after `from`; it is exclusive, so the window is empty".to_owned()),
        _ => Ok(()),
    }
}

/// A place by its name, or by its coordinates as in "47.61, -122.33".
pub(super) fn place_or_point(text: &str) -> Result<Place, String> {
    if let Some((lat, lon)) = text.split_once(',')
        && let (Ok(lat), Ok(lon)) = (lat.trim().parse(), lon.trim().parse())
    {
        return Place::new(lat, lon).map_err(|error| error.to_string());
    }
    gazetteer::find(text).map_err(|error| error.to_string())
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// Those of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The line, from 1, that an offset in bytes lies in.
    #[must_use]
    pub fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_behind_its_predecessors_end() {
        let lines = Lines::of("ab\n\nc");
        assert_eq!([0, 2, 3, 4, 5].map(|offset| lines.at(offset)), [1, 1, 2, 3, 3]);
        assert_eq!(Lines::of("").at(0), 1);
    }

    #[test]
    fn dates_and_times_are_utc_unless_they_say_otherwise() {
        for text in ["2026-11-20", "2026-11-20T00:00:00", "2026-11-20 00:00:00Z", "2026-11-20T01:00:00+01:00"] {
            assert_eq!(moment(text).unwrap().as_nanos(), 1_795_132_800_000_000_000, "{text}");
        }
        for text in ["", "20.11.2026", "12:00:00", "2026-13-01"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_point_is_a_place_too() {
        assert_eq!(place_or_point("47.61, -122.33").unwrap().lat(), 47.61);
        assert!(place_or_point("97, 0").unwrap_err().starts_with("lat"));
        assert!(place_or_point("Seattle, US").unwrap().name().contains("Washington"));
    }
}
