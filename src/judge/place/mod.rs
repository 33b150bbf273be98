//! Places: where sensors, gateways and claimed homes are, and how far apart.
//!
//! A [`Place`] is a point with a name to show. It comes from coordinates ([`Place::new`]) or from a
//! name such as "Portland, Oregon, US" ([`gazetteer::find`]).

mod fold;
pub mod gazetteer;
mod suggest;
mod table;

use std::fmt;

/// Mean Earth radius in kilometres: IUGG's R1 = (2a + b) / 3 of WGS 84, rounded to 0.1 m.
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Half of a great circle in kilometres: nothing on Earth is farther from anything.
pub const FARTHEST_KM: f64 = std::f64::consts::PI * EARTH_RADIUS_KM;

/// A point on Earth in degrees (WGS 84), north and east positive, with a name to show.
///
/// The coordinates are finite and in range, since every way to make a place checks them.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    lat: f64,
    lon: f64,
    name: String,
}

/// Coordinates that are no point on Earth; NaN is none either.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PlaceError {
    /// The latitude, in degrees, is not in -90 to 90.
    #[error("lat: {0} is not within -90 to 90 degrees")]
    Latitude(f64),
    /// The longitude, in degrees, is not in -180 to 180.
    #[error("lon: {0} is not within -180 to 180 degrees")]
    Longitude(f64),
}

impl Place {
    /// A point by its coordinates in degrees, which are also its name: "47.61, -122.33".
    ///
    /// # Errors
    ///
    /// [`PlaceError`] where `lat` is not in -90 to 90 or `lon` not in -180 to 180.
    pub fn new(lat: f64, lon: f64) -> Result<Self, PlaceError> {
        Self::named(format!("{lat}, {lon}"), lat, lon)
    }

    /// The same with a name to show, such as "Boise, Idaho, US".
    ///
    /// # Errors
    ///
    /// As for [`Place::new`].
    pub fn named(name: impl Into<String>, lat: f64, lon: f64) -> Result<Self, PlaceError> {
        if !(-90.0..=90.0).contains(&lat) {
            return Err(PlaceError::Latitude(lat));
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(PlaceError::Longitude(lon));
        }
        Ok(Self { lat, lon, name: name.into() })
    }

    /// Degrees north of the equator, -90 to 90.
    #[must_use]
    pub const fn lat(&self) -> f64 {
        self.lat
    }

    /// Degrees east of Greenwich, -180 to 180.
    #[must_use]
    pub const fn lon(&self) -> f64 {
        self.lon
    }

    /// The name to show; never empty for places that this crate makes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The great-circle distance in kilometres, 0 to 20 015.1.
    ///
    /// By the haversine formula on a sphere. The ellipsoid differs from it by 0.56 % at most (its
    /// radius of curvature is 6335.4 km along a meridian at the equator, 6399.6 km at the poles):
    /// whoever accuses on a distance leaves that much room.
    #[must_use]
    pub fn distance_km(&self, other: &Self) -> f64 {
        great_circle_km((self.lat, self.lon), (other.lat, other.lon))
    }
}

/// Between two points (latitude, longitude) in degrees.
fn great_circle_km((lat, lon): (f64, f64), (other_lat, other_lon): (f64, f64)) -> f64 {
    let half_lat = (other_lat - lat).to_radians() / 2.0;
    let half_lon = (other_lon - lon).to_radians() / 2.0;
    let narrowing = lat.to_radians().cos() * other_lat.to_radians().cos();
    let haversine = half_lat.sin().powi(2) + narrowing * half_lon.sin().powi(2);
    // Between antipodes rounding can carry it past 1, where the arc sine is not a number.
    2.0 * EARTH_RADIUS_KM * haversine.clamp(0.0, 1.0).sqrt().asin()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_TURN_KM: f64 = std::f64::consts::PI * EARTH_RADIUS_KM;

    fn km(from: (f64, f64), to: (f64, f64)) -> f64 {
        let (from, to) = (Place::new(from.0, from.1).unwrap(), Place::new(to.0, to.1).unwrap());
        assert_eq!(from.distance_km(&to), to.distance_km(&from));
        from.distance_km(&to)
    }

    #[test]
    fn antipodes_are_half_a_turn_apart() {
        for (lat, lon) in [(0.0, 0.0), (47.61, -122.33), (-33.87, 151.21), (90.0, 0.0)] {
            let opposite = if lon > 0.0 { lon - 180.0 } else { lon + 180.0 };
            let distance = km((lat, lon), (-lat, opposite));
            assert!((distance - HALF_TURN_KM).abs() < 0.001, "{distance}");
        }
    }

    #[test]
    fn a_pole_has_every_longitude() {
        assert!(km((90.0, 0.0), (90.0, 135.0)) < 1e-6);
        assert!((km((90.0, 17.0), (0.0, -80.0)) - HALF_TURN_KM / 2.0).abs() < 1e-6);
        assert!((km((-90.0, 17.0), (90.0, -80.0)) - HALF_TURN_KM).abs() < 1e-3);
    }

    #[test]
    fn the_date_line_is_no_border() {
        assert!(km((0.0, 180.0), (0.0, -180.0)) < 1e-6);
        assert!((km((0.0, 179.5), (0.0, -179.5)) - HALF_TURN_KM / 180.0).abs() < 1e-6);
    }

    #[test]
    fn a_point_is_no_distance_from_itself() {
        assert_eq!(km((43.61, -116.2), (43.61, -116.2)), 0.0);
    }

    #[test]
    fn coordinates_off_the_globe_are_refused_by_name() {
        for (lat, lon, field) in [(90.01, 0.0, "lat"), (f64::NAN, 0.0, "lat"), (0.0, -180.01, "lon"), (0.0, f64::INFINITY, "lon")]
        {
            let error = Place::new(lat, lon).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        assert_eq!(Place::new(-90.0, 180.0).unwrap().name(), "-90, 180");
    }
}
