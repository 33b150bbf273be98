//! One question: what is written, and how it becomes what is meant.

use std::{borrow::Cow, fmt, rc::Rc};

use serde::Deserialize;

use super::places::Places;
use crate::{
    cli::JudgeArgs,
    judge::{
        PlaceClaim,
        claim::{DEFAULT_RADIUS_KM, LARGEST_RADIUS_KM},
        delay_model::Access,
        inquiry::Inquiry,
        place::Place,
    },
    time::Span,
};

/// Largest round trip that is judged, in milliseconds: the largest that a session's are counted up to.
const MAX_RTT_MS: f64 = 60_000.0;

/// A question as it is written. Fields that are not known are mistakes: a mistyped `access` must not accuse.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `sensor`, `claim` and `rtt_ms`")]
pub(super) struct Question<'a> {
    #[serde(borrow)]
    sensor: Point<'a>,
    #[serde(borrow)]
    claim: Point<'a>,
    rtt_ms: f64,
    access: Option<Cow<'a, str>>,
    samples: Option<u64>,
}

/// A point, by name or by both coordinates.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `place`, or `lat` and `lon`")]
struct Point<'a> {
    place: Option<Cow<'a, str>>,
    lat: Option<f64>,
    lon: Option<f64>,
    radius_km: Option<f64>,
}

/// A question that can be judged.
#[derive(Debug)]
pub(super) struct Resolved {
    sensor: Rc<Place>,
    claim: Rc<Place>,
    radius_km: f64,
    access: Access,
    round_trip: Span,
    samples: Option<u64>,
}

/// Why a question cannot be judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Which field; empty where it is the line.
    pub(super) field: &'static str,
    /// What is wrong with it; it may quote what was written.
    pub(super) why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, why } = self;
        if field.is_empty() { write!(f, "{why}") } else { write!(f, "{field}: {why}") }
    }
}

impl<'a> Question<'a> {
    /// From a line of JSON.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Unreadable> {
        if line.trim_ascii().is_empty() {
            return Err(Unreadable { field: "", why: "the line is empty".to_owned() });
        }
        serde_json::from_slice(line).map_err(|error| Unreadable { field: "", why: without_line(&error) })
    }

    /// From the command line, which has seen to it that everything is there.
    pub(super) fn typed(args: &'a JudgeArgs) -> Self {
        Self {
            sensor: Point::typed(args.sensor.as_deref(), None),
            claim: Point::typed(args.claim.as_deref(), args.radius_km),
            rtt_ms: args.rtt_ms.unwrap_or(f64::NAN),
            access: args.access.as_deref().map(Cow::from),
            samples: args.samples,
        }
    }

    /// Looks places up and checks ranges.
    pub(super) fn resolve(self, places: &mut Places) -> Result<Resolved, Unreadable> {
        let (sensor, sensor_radius) = self.sensor.resolve("sensor", 0.0, places)?;
        let (claim, claim_radius) = self.claim.resolve("claim", DEFAULT_RADIUS_KM, places)?;
        if !(self.rtt_ms > 0.0 && self.rtt_ms <= MAX_RTT_MS) {
            let why = format!("{} is not above 0 and at most {MAX_RTT_MS} ms", self.rtt_ms);
            return Err(Unreadable { field: "rtt_ms", why });
        }
        let access = match self.access.as_deref() {
            None => Access::default(),
            Some(name) => Access::from_name(name).ok_or_else(|| Unreadable {
                field: "access",
                why: format!("\"{}\" is none of fiber, cable, dsl, mobile, leo, geo, unknown", shortened(name)),
            })?,
        };
        Ok(Resolved {
            sensor,
            claim,
            // Both ends are as exact as they say: the path can be shorter or longer by both.
            radius_km: (sensor_radius + claim_radius).min(LARGEST_RADIUS_KM),
            access,
            round_trip: Span::from_nanos((self.rtt_ms * 1e6).round() as i64),
            samples: self.samples,
        })
    }
}

impl<'a> Point<'a> {
    /// "City, CC", or "LAT, LON" in degrees.
    fn typed(text: Option<&'a str>, radius_km: Option<f64>) -> Self {
        let text = text.unwrap_or_default();
        let numbers = text.split_once(',').and_then(|(lat, lon)| Some((number(lat)?, number(lon)?)));
        match numbers {
            Some((lat, lon)) => Self { lat: Some(lat), lon: Some(lon), radius_km, ..Self::default() },
            None => Self { place: Some(text.into()), radius_km, ..Self::default() },
        }
    }

    /// The place, and how exact it is in kilometres.
    fn resolve(&self, field: &'static str, radius_km: f64, places: &mut Places) -> Result<(Rc<Place>, f64), Unreadable> {
        let place = match (self.place.as_deref(), self.lat, self.lon) {
            (Some(name), None, None) => places.find(name).map_err(|why| why.to_string()),
            (None, Some(lat), Some(lon)) => Place::new(lat, lon).map(Rc::new).map_err(|error| error.to_string()),
            (Some(_), ..) => Err("has both a name and coordinates: give one of the two".to_owned()),
            (None, None, None) => Err("needs `place`, or `lat` and `lon`".to_owned()),
            (None, ..) => Err("needs both `lat` and `lon`".to_owned()),
        };
        let radius_km = self.radius_km.unwrap_or(radius_km);
        let place = place.and_then(|place| {
            if (0.0..=LARGEST_RADIUS_KM).contains(&radius_km) {
                return Ok(place);
            }
            Err(format!("radius_km: {radius_km} is not within 0 to {LARGEST_RADIUS_KM} km"))
        });
        place.map(|place| (place, radius_km)).map_err(|why| Unreadable { field, why })
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

impl Resolved {
    /// What is asked.
    pub(super) fn inquiry(&self) -> Inquiry<'_> {
        let claim =
            PlaceClaim { sensor: &self.sensor, place: &self.claim, radius_km: self.radius_km, via: None, access: self.access };
        Inquiry { claim, round_trip: self.round_trip, samples: self.samples }
    }
}

/// The parser's words; every question is on its line 1, which says nothing.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.split(" at line ").next().unwrap_or_default();
    format!("{} at column {}", shortened(said), error.column())
}

/// At most 200 bytes of something that was written.
fn shortened(text: &str) -> Cow<'_, str> {
    const KEPT: usize = 200;
    if text.len() <= KEPT {
        return text.into();
    }
    let end = (0..=KEPT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}
