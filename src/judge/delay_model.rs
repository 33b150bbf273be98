//! What round trip to expect from a place: bounds of physics, and the default model.
//!
//! The **lower** bounds are light: in vacuum along the great circle (physics), and in fibre at two thirds of that (a
//! model, since not every link is fibre). The **upper** bound is a model with exceptions: `path / 67 + k + last mile`,
//! where `k` is what 99 of 100 pairs of servers stay under, by region, and the last mile is the 95th percentile of the access.
//!
//! `k` was taken from 13,910 pairs of servers at known places (smallest of many pings, July 2020), because routes
//! differ: of 1,122 pairs inside North America 0.5 % exceed `D/67 + 55 ms`; of 528 inside Asia 69 % do. Servers have no
//! last mile, so it is added once. The shares below are for single pairs; a person's path is one pair for months, so a
//! path that exceeds today exceeds tomorrow: several days do not make a bad path good evidence.

use super::place::{FARTHEST_KM, Place};
use crate::time::Span;

/// Kilometres of great circle per millisecond of round trip, for light in vacuum: 299.792 km/ms, there and back.
pub const VACUUM_KM_PER_MS: f64 = 299.792_458 / 2.0;

/// The same for light in fibre: two thirds of vacuum (refractive index 1.5).
pub const FIBRE_KM_PER_MS: f64 = VACUUM_KM_PER_MS * 2.0 / 3.0;

/// Slope of the typical round trip: the median of pairs inside North America lies within 0.5 ms of `D/50 + 5 ms`.
const TYPICAL_KM_PER_MS: f64 = 50.0;
/// Intercept of the typical round trip in milliseconds.
const TYPICAL_BASE_MS: f64 = 5.0;

/// Slope of the upper envelope.
const UPPER_KM_PER_MS: f64 = 67.0;

/// How somebody is connected: what the last mile adds to a round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Fibre to the home.
    Fiber,
    /// Cable (DOCSIS).
    Cable,
    /// DSL, interleaved or not.
    Dsl,
    /// LTE or 5G.
    Mobile,
    /// Low-orbit satellite.
    Leo,
    /// Geostationary satellite.
    Geo,
    /// Not claimed: judged as cable, the slower of the two kinds that most homes have.
    #[default]
    Unknown,
}

impl Access {
    /// From its name in a claim.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "fiber" => Self::Fiber,
            "cable" => Self::Cable,
            "dsl" => Self::Dsl,
            "mobile" => Self::Mobile,
            "leo" => Self::Leo,
            "geo" => Self::Geo,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }

    /// The name in claims and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fiber => "fiber",
            Self::Cable => "cable",
            Self::Dsl => "dsl",
            Self::Mobile => "mobile",
            Self::Leo => "leo",
            Self::Geo => "geo",
            Self::Unknown => "unknown",
        }
    }

    /// Median and 95th percentile of what the last mile adds, in milliseconds. Priors from the literature's ranges, not
    /// measured by us; a site's own figures replace them when it calibrates.
    const fn last_mile_ms(self) -> (f64, f64) {
        match self {
            Self::Fiber => (3.0, 10.0),
            Self::Cable | Self::Unknown => (14.0, 35.0),
            Self::Dsl => (25.0, 50.0),
            Self::Mobile => (40.0, 60.0),
            Self::Leo => (33.0, 65.0),
            Self::Geo => (600.0, 700.0),
        }
    }
}

/// Parts of the world between which routes are alike enough for one `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    NorthAmerica,
    LatinAmerica,
    Europe,
    AfricaMiddleEast,
    Oceania,
    Asia,
}

impl Region {
    /// By latitude and longitude: boxes, since a border more or less changes nothing at this grain.
    fn of(place: &Place) -> Self {
        let (lat, lon) = (place.lat(), place.lon());
        if (24.0..72.0).contains(&lat) && (-170.0..-52.0).contains(&lon) {
            Self::NorthAmerica
        } else if (35.0..72.0).contains(&lat) && (-25.0..32.0).contains(&lon) {
            Self::Europe
        } else if lat < 24.0 && (-118.0..-30.0).contains(&lon) {
            Self::LatinAmerica
        } else if lat < 37.0 && (-30.0..52.0).contains(&lon) {
            Self::AfricaMiddleEast
        } else if lat < -10.0 && lon > 110.0 {
            Self::Oceania
        } else {
            Self::Asia
        }
    }

    /// `k` between two regions in milliseconds: the 99th percentile of `round trip − D/67` over the pairs, rounded up to 5,
    /// and never below the 55 of North America. Pairs of regions with fewer than 200 pairs of servers take the largest.
    const fn k_ms(self, other: Self) -> f64 {
        use Region::{AfricaMiddleEast, Asia, Europe, LatinAmerica, NorthAmerica, Oceania};
        match (self, other) {
            (NorthAmerica, NorthAmerica) | (NorthAmerica, LatinAmerica) | (LatinAmerica, NorthAmerica) => 55.0,
            (Europe, Europe) => 60.0,
            (NorthAmerica, Europe | AfricaMiddleEast) | (Europe | AfricaMiddleEast, NorthAmerica) => 65.0,
            (Europe, AfricaMiddleEast) | (AfricaMiddleEast, Europe) => 100.0,
            (NorthAmerica, Oceania) | (Oceania, NorthAmerica) => 105.0,
            (NorthAmerica, Asia) | (Asia, NorthAmerica) => 135.0,
            (Europe, LatinAmerica) | (LatinAmerica, Europe) => 150.0,
            (Europe, Oceania) | (Oceania, Europe) => 155.0,
            (LatinAmerica, Asia) | (Asia, LatinAmerica) => 180.0,
            (Europe, Asia) | (Asia, Europe) => 240.0,
            (Oceania, Asia) | (Asia, Oceania) => 285.0,
            _ => 325.0,
        }
    }
}

/// What round trips a claim allows, sensor to client and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Great circle in kilometres, by way of the gateway where there is one.
    pub path_km: f64,
    /// Light in vacuum, from the near edge of the claimed place.
    pub vacuum: Span,
    /// Light in fibre, from the near edge.
    pub fibre: Span,
    /// What is usual.
    pub typical: Span,
    /// What an honest client stays under, from the far edge.
    pub upper: Span,
}

/// What to expect between a sensor and a claimed place known to `radius_km`, reached by way of `via` where the claim says so.
#[must_use]
pub fn expect(sensor: &Place, claimed: &Place, radius_km: f64, via: Option<&Place>, access: Access) -> Expected {
    let path_km = match via {
        Some(via) => sensor.distance_km(via) + via.distance_km(claimed),
        None => sensor.distance_km(claimed),
    };
    let near = (path_km - radius_km).max(0.0);
    let far = path_km + radius_km;
    let (median, p95) = access.last_mile_ms();
    let legs = [(Some(sensor), via.or(Some(claimed))), (via, via.and(Some(claimed)))];
    let k = legs.iter().filter_map(|(a, b)| Some(Region::of((*a)?).k_ms(Region::of((*b)?)))).fold(0.0, f64::max);
    Expected {
        path_km,
        vacuum: millis(near / VACUUM_KM_PER_MS),
        fibre: millis(near / FIBRE_KM_PER_MS),
        typical: millis(path_km / TYPICAL_KM_PER_MS + TYPICAL_BASE_MS + median),
        upper: millis(far / UPPER_KM_PER_MS + k + p95),
    }
}

/// The farthest that a client can be, in kilometres of great circle, if light in fibre carried it all the way; from 200 ms on
/// that is anywhere on Earth.
#[must_use]
pub fn reach_km(round_trip: Span) -> f64 {
    (round_trip.as_millis_f64() * FIBRE_KM_PER_MS).min(FARTHEST_KM)
}

fn millis(ms: f64) -> Span {
    Span::from_nanos((ms * 1e6) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lat: f64, lon: f64) -> Place {
        Place::new(lat, lon).unwrap()
    }

    fn seattle() -> Place {
        place(47.61, -122.33)
    }

    #[test]
    fn the_bounds_are_ordered_and_grow_with_distance() {
        let mut before = 0.0;
        for lon in [-122.0, -116.2, -100.0, -74.0, 0.0, 30.0] {
            let expected = expect(&seattle(), &place(43.6, lon), 50.0, None, Access::Cable);
            assert!(
                expected.vacuum <= expected.fibre && expected.fibre <= expected.typical && expected.typical <= expected.upper
            );
            assert!(expected.path_km > before);
            before = expected.path_km;
        }
    }

    /// Worked by hand: 651 km; (651 + 50)/67 + 55 + 35 = 100.5 ms; (651 − 50)/99.93 = 6.0 ms.
    #[test]
    fn seattle_to_boise_by_cable() {
        let expected = expect(&seattle(), &place(43.61, -116.20), 50.0, None, Access::Cable);
        assert!((expected.path_km - 651.0).abs() < 4.0, "{}", expected.path_km);
        assert!((expected.upper.as_millis_f64() - 100.5).abs() < 0.2, "{:?}", expected.upper);
        assert!((expected.fibre.as_millis_f64() - 6.0).abs() < 0.1, "{:?}", expected.fibre);
    }

    #[test]
    fn a_gateway_lengthens_the_path() {
        let direct = expect(&seattle(), &place(43.61, -116.20), 50.0, None, Access::Fiber);
        let by_dallas = expect(&seattle(), &place(43.61, -116.20), 50.0, Some(&place(32.78, -96.8)), Access::Fiber);
        assert!(by_dallas.path_km > 3.0 * direct.path_km);
        assert!(by_dallas.upper > direct.upper && by_dallas.fibre > direct.fibre);
    }

    #[test]
    fn routes_outside_north_america_are_given_more() {
        let (tokyo, singapore) = (place(35.68, 139.69), place(1.35, 103.82));
        let km = tokyo.distance_km(&singapore);
        let expected = expect(&tokyo, &singapore, 0.0, None, Access::Fiber);
        assert!(expected.upper.as_millis_f64() > km / 67.0 + 300.0);
    }

    #[test]
    fn every_access_kind_has_a_name_and_costs_something() {
        for access in [Access::Fiber, Access::Cable, Access::Dsl, Access::Mobile, Access::Leo, Access::Geo, Access::Unknown] {
            assert_eq!(Access::from_name(access.name()), Some(access));
            let (median, p95) = access.last_mile_ms();
            assert!(median > 0.0 && p95 > median);
        }
        assert_eq!(Access::from_name("pigeon"), None);
    }
}
