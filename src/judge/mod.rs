//! Whether what was measured fits what is claimed.
//!
//! One file a finding. Each test answers *fits*, *exceeds* or *not testable*, with its reason; a finding names its numbers,
//! its basis and what else could explain them. Physics, models and statistics are never added up into one score.

pub mod claim;
pub mod delay_model;
pub mod inquiry;
pub mod place;
pub mod relay_before_client;
mod rtt_above_claim;
mod rtt_below_claim;
pub mod verdict;

use self::{
    delay_model::{Access, Expected, expect},
    place::Place,
};
use crate::time::Span;

/// What a finding rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A law of nature.
    Physics,
    /// A model of networks, with exceptions.
    Model,
}

impl Basis {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Physics => "physics",
            Self::Model => "model",
        }
    }
}

/// How much a finding weighs. One session reaches `medium`; more needs several sessions and days, or physics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Within the error of the measurement.
    Low,
    /// Enough for `implausible`.
    Medium,
    /// Physics.
    High,
}

impl Severity {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which one.
    pub id: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What it rests on.
    pub basis: Basis,
    /// What was measured.
    pub measured: Span,
    /// The bound that it crosses.
    pub expected: Span,
    /// How far it lies beyond the bound.
    pub margin: Span,
    /// How many samples the measurement has.
    pub samples: u64,
    /// One sentence for an analyst.
    pub explanation: String,
    /// What else could explain it.
    pub innocent_causes: &'static [&'static str],
    /// MITRE ATT&CK techniques that it may belong to.
    pub attack: &'static [&'static str],
}

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The measurement is within the bound.
    Fits,
    /// It is not; there is a finding.
    Exceeds,
    /// It could not be said; the reason tells what is missing.
    NotTestable,
}

impl Outcome {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Exceeds => "exceeds",
            Self::NotTestable => "not_testable",
        }
    }
}

/// One test and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The finding that it looks for.
    pub id: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, with numbers.
    pub reason: String,
    /// How many samples it had.
    pub samples: u64,
}

/// The round trip that is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The robust floor, or the handshake where it lies below.
    pub floor: Span,
    /// How it was chosen, as a word.
    pub method: &'static str,
    /// The robust floor alone: a single sample that is too small must not accuse.
    pub repeated_floor: Span,
    /// Samples behind it.
    pub samples: u64,
    /// How many of them an acknowledgement without data completed: those are TCP's own answers. The others contain whatever
    /// the program or the person took, and are no more than an upper bound.
    pub prompt: u64,
}

impl Measured {
    /// What the floor may be off by: 1 ms or 3 % of it, whichever is larger. Held on every session of the laboratory
    /// (`tests/link.rs` shows the same on simulated paths).
    #[must_use]
    pub fn error(&self) -> Span {
        round_trip_error(self.floor)
    }
}

/// See [`Measured::error`].
fn round_trip_error(floor: Span) -> Span {
    Span::from_millis(1).max(Span::from_nanos(floor.as_nanos() * 3 / 100))
}

/// One claimed place, and where the sensor stands.
#[derive(Clone, Copy, Debug)]
pub struct PlaceClaim<'a> {
    /// Where the sensor stands.
    pub sensor: &'a Place,
    /// The claimed place.
    pub place: &'a Place,
    /// How exact the claim is, in kilometres.
    pub radius_km: f64,
    /// The gateway that the path crosses.
    pub via: Option<&'a Place>,
    /// The kind of access.
    pub access: Access,
}

impl PlaceClaim<'_> {
    /// The claimed place's name, with its gateway.
    #[must_use]
    pub fn name(&self) -> String {
        match self.via {
            Some(via) => format!("{} by way of {}", self.place.name(), via.name()),
            None => self.place.name().to_owned(),
        }
    }

    /// What round trips it allows.
    #[must_use]
    pub fn expected(&self) -> Expected {
        expect(self.sensor, self.place, self.radius_km, self.via, self.access)
    }
}
