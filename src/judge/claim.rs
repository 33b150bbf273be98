//! Claims: who says to be where. Read from TOML or CSV; every error names its line and field.
//!
//! A claim belongs to an identity and is found by its match blocks: the keys of one block must all hold, one value of a key
//! is enough, and one block is enough. The most specific block wins: a name or a hardware address before an address
//! prefix, a longer prefix before a shorter one, and where those are equal a VLAN before none. Two identities with equally specific blocks that can meet are
//! an error, told with both lines.
//!
//! Leases come first, where there are any: they say who had the client's address when the session began, which no block can say
//! as exactly. The claim of that identity is used even if no block of it names the address; if no claim has that identity,
//! there is no claim, since the blocks would hold somebody else's claim against it.

pub mod allow;
mod file;
mod index;
pub mod leases;
mod matching;
mod rows;
mod sheet;
mod value;

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

pub use self::matching::{MatchBlock, Subject};
pub use self::value::Lines;
use self::{
    allow::Allowance,
    index::Index,
    leases::{Lease, Leases},
};
use super::{delay_model::Access, place::Place};
use crate::time::Timestamp;

/// How exact a claim is where it does not say, in kilometres.
pub const DEFAULT_RADIUS_KM: f64 = 50.0;

/// Half of Earth's circumference in kilometres: no claim is less exact.
pub const LARGEST_RADIUS_KM: f64 = 20_038.0;

/// A claims file, resolved: every place is a point.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Where this sensor stands, and its name.
    pub sensor: Sensor,
    /// Who claims to be where.
    pub identities: Vec<Identity>,
    /// Where a client's TCP connection is known to end before the client.
    pub middleboxes: Vec<Middlebox>,
    /// What is known and needs no alert.
    pub allowances: Vec<Allowance>,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What is no mistake but may be meant otherwise.
    pub hints: Vec<Problem>,
    index: Index,
    leases: Leases,
    /// Claims by identity, for leases; several claims of one identity are one, with the places of all.
    by_name: HashMap<String, Identity>,
}

/// How a claims file is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// It is CSV by its name; otherwise its content tells.
    pub is_csv: bool,
    /// Leases lead to claims too, so that one without a match is no mistake.
    pub has_leases: bool,
}

/// What the claims say of a session.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A match block leads to this claim.
    Matched(&'a Identity, &'a MatchBlock),
    /// A lease does.
    Leased(&'a Identity, &'a Lease),
    /// A lease gives the address to somebody without a claim.
    Unclaimed(&'a Lease),
    /// Nothing does.
    Nothing,
}

/// The sensor.
#[derive(Clone, Debug, Default)]
pub struct Sensor {
    /// Name in records.
    pub name: Option<String>,
    /// Where it stands; without it no round trip can be judged.
    pub place: Option<Place>,
}

/// One identity and what it claims.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name in records.
    pub name: String,
    /// IANA time zone, as written.
    pub timezone: Option<String>,
    /// Keyboard layouts, as written.
    pub keyboard: Vec<String>,
    /// Where it applies.
    pub matches: Vec<MatchBlock>,
    /// Where it claims to be.
    pub places: Vec<ClaimedPlace>,
    /// Line of the file, from 1.
    pub line: usize,
}

/// One place of a claim, and when it holds.
#[derive(Clone, Debug)]
pub struct ClaimedPlace {
    /// The point.
    pub place: Place,
    /// How exact it is, in kilometres.
    pub radius_km: f64,
    /// The kind of access there.
    pub access: Access,
    /// The gateway that the path crosses.
    pub via: Option<Place>,
    /// Holds from here on.
    pub from: Option<Timestamp>,
    /// Holds up to here, this moment not included.
    pub to: Option<Timestamp>,
}

impl ClaimedPlace {
    /// Whether the claim holds at a time.
    #[must_use]
    pub fn holds_at(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }
}

/// Something that ends TCP connections on the client's behalf: a load balancer, a SASE point of presence, a bastion.
#[derive(Clone, Debug)]
pub struct Middlebox {
    /// Name in reasons.
    pub name: String,
    /// Addresses that it shows.
    pub net: Vec<IpNet>,
    /// Where it stands. Nothing is judged by it: the round trip to a middlebox says nothing of whoever is behind it.
    pub place: Option<Place>,
}

/// Something wrong in a file of claims or leases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}: {message}")]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// The field, as `claim.place.radius_km`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Claims {
    /// Reads a claims file, TOML or CSV.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of lines; syntax errors come alone.
    pub fn parse(text: &str, reading: Reading) -> Result<Self, Vec<Problem>> {
        let content = text.trim_start_matches('\u{feff}');
        let is_csv = reading.is_csv || rows::is_header(content);
        let read = if is_csv { rows::read } else { file::read };
        let mut claims = read(content, reading.has_leases)?;
        let ties = matching::ties(&claims.identities);
        if !ties.is_empty() {
            return Err(ties);
        }
        claims.sha256 = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        claims.index = Index::of(&claims.identities);
        Ok(claims)
    }

    /// Adds leases, which then lead to claims before the match blocks do.
    #[must_use]
    pub fn with_leases(mut self, leases: Leases) -> Self {
        for identity in &self.identities {
            match self.by_name.get_mut(&identity.name) {
                Some(known) => known.places.extend(identity.places.iter().cloned()),
                None => {
                    self.by_name.insert(identity.name.clone(), identity.clone());
                }
            }
        }
        self.leases = leases;
        self
    }

    /// Puts the sensor at a place, whatever the file says: "City, CC", or "lat, lon" in degrees.
    ///
    /// # Errors
    /// What is wrong with the place.
    pub fn with_sensor_at(mut self, place: &str) -> Result<Self, String> {
        self.sensor.place = Some(value::place_or_point(place)?);
        Ok(self)
    }

    /// The claim of whoever had the address by lease, otherwise the one whose match is the most specific.
    #[must_use]
    pub fn find(&self, subject: &Subject<'_>) -> Found<'_> {
        if let Some(lease) = self.leases.at(subject.client, subject.start) {
            return self.claim_of(lease).map_or(Found::Unclaimed(lease), |identity| Found::Leased(identity, lease));
        }
        let matched = self.index.find(&self.identities, subject);
        matched.map_or(Found::Nothing, |(identity, block)| Found::Matched(identity, block))
    }

    /// The leases.
    #[must_use]
    pub fn leases(&self) -> &[Lease] {
        self.leases.all()
    }

    /// The claim that a lease leads to.
    #[must_use]
    pub fn claim_of(&self, lease: &Lease) -> Option<&Identity> {
        lease.names.iter().find_map(|name| self.by_name.get(name))
    }

    /// The first allowance that a finding of a session falls under.
    #[must_use]
    pub fn allowance(&self, finding: &str, identity: &str, ends: [IpAddr; 2], start: Timestamp) -> Option<&Allowance> {
        let [client, server] = ends;
        self.allowances.iter().find(|allowance| allowance.covers(finding, identity, client, server, start))
    }

    /// The middlebox that an address belongs to.
    #[must_use]
    pub fn middlebox(&self, ip: IpAddr) -> Option<&Middlebox> {
        self.middleboxes.iter().find(|middlebox| middlebox.net.iter().any(|net| net.contains(&ip)))
    }
}

impl<'a> Found<'a> {
    /// The claim, if there is one.
    #[must_use]
    pub const fn identity(&self) -> Option<&'a Identity> {
        match self {
            Self::Matched(identity, _) | Self::Leased(identity, _) => Some(identity),
            Self::Unclaimed(_) | Self::Nothing => None,
        }
    }
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
