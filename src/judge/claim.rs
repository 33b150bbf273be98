//! Claims: who says to be where. Read from TOML; every error names its line and field.
//!
//! A claim belongs to an identity and is found by its match blocks: the keys of one block must all hold, one value of a key
//! is enough, and one block is enough. The most specific block wins: a name or a hardware address before an address
//! prefix, a longer prefix before a shorter one, and where those are equal a VLAN before none. Two identities with equally specific blocks that can meet are
//! an error, told with both lines.

mod file;
mod matching;

use std::net::IpAddr;

use ipnet::IpNet;
use sha2::{Digest, Sha256};

pub use self::matching::{MatchBlock, Subject};
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
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
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
}

/// Something wrong in a claims file.
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
    /// Reads a claims file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of lines; syntax errors come alone.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut claims = file::read(text)?;
        claims.sha256 = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let ties = matching::ties(&claims.identities);
        if ties.is_empty() { Ok(claims) } else { Err(ties) }
    }

    /// The identity whose claim is the most specific for a session.
    #[must_use]
    pub fn find(&self, subject: &Subject) -> Option<&Identity> {
        let ranked = self.identities.iter().filter_map(|identity| {
            let rank = identity.matches.iter().filter_map(|block| block.rank_for(subject)).max()?;
            Some((rank, identity))
        });
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, identity)| identity)
    }

    /// The middlebox that an address belongs to.
    #[must_use]
    pub fn middlebox(&self, ip: IpAddr) -> Option<&Middlebox> {
        self.middleboxes.iter().find(|middlebox| middlebox.net.iter().any(|net| net.contains(&ip)))
    }
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
