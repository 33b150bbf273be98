//! The TOML form of claims: what is written, and how it becomes what is meant.

use ipnet::IpNet;
use serde::Deserialize;
use toml::{Spanned, value::Datetime};

use super::{
    ClaimedPlace, Claims, DEFAULT_RADIUS_KM, Identity, MatchBlock, Middlebox, Problem, Sensor,
    allow::{Allowance, FINDINGS},
    value::{self, Lines},
};
use crate::{
    judge::{
        delay_model::Access,
        place::{Place, gazetteer},
    },
    time::Timestamp,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    sensor: Option<RawSensor>,
    #[serde(default)]
    claim: Vec<Spanned<RawClaim>>,
    #[serde(default)]
    middlebox: Vec<Spanned<RawMiddlebox>>,
    #[serde(default)]
    allow: Vec<Spanned<RawAllow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllow {
    finding: Vec<Spanned<String>>,
    #[serde(default)]
    identity: Vec<String>,
    #[serde(default)]
    client: Vec<Spanned<String>>,
    #[serde(default)]
    server: Vec<Spanned<String>>,
    from: Option<Spanned<Datetime>>,
    to: Option<Spanned<Datetime>>,
    /// For whoever reads the file.
    #[serde(rename = "reason")]
    _reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSensor {
    name: Option<String>,
    place: Option<Spanned<String>>,
    lat: Option<Spanned<f64>>,
    lon: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClaim {
    identity: Spanned<String>,
    timezone: Option<String>,
    #[serde(default)]
    keyboard: Vec<String>,
    #[serde(default, rename = "match")]
    matches: Vec<Spanned<RawMatch>>,
    #[serde(default)]
    place: Vec<Spanned<RawPlace>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMatch {
    #[serde(default)]
    client: Vec<Spanned<String>>,
    #[serde(default)]
    server: Vec<Spanned<String>>,
    #[serde(default)]
    mac: Vec<Spanned<String>>,
    #[serde(default)]
    vlan: Vec<Spanned<u16>>,
    #[serde(default)]
    rdp_cookie: Vec<String>,
    #[serde(default)]
    vnc_desktop: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlace {
    place: Option<Spanned<String>>,
    lat: Option<Spanned<f64>>,
    lon: Option<Spanned<f64>>,
    radius_km: Option<Spanned<f64>>,
    access: Option<Spanned<String>>,
    via: Option<Spanned<String>>,
    from: Option<Spanned<Datetime>>,
    to: Option<Spanned<Datetime>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMiddlebox {
    name: String,
    net: Vec<Spanned<String>>,
    place: Option<Spanned<String>>,
    lat: Option<Spanned<f64>>,
    lon: Option<Spanned<f64>>,
}

/// Reads a file; gives every problem, not only the first. A claim needs no match where leases may lead to it.
pub(super) fn read(text: &str, has_leases: bool) -> Result<Claims, Vec<Problem>> {
    let lines = Lines::of(text);
    let raw: RawFile = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        vec![Problem { line: lines.at(at), field: "toml".to_owned(), message: error.message().to_owned() }]
    })?;
    let mut reader = Reader { lines, has_leases, problems: Vec::new(), hints: Vec::new() };
    let claims = reader.file(raw);
    reader.problems.sort_by_key(|problem| problem.line);
    if reader.problems.is_empty() { Ok(Claims { hints: reader.hints, ..claims }) } else { Err(reader.problems) }
}

struct Reader {
    lines: Lines,
    has_leases: bool,
    problems: Vec<Problem>,
    hints: Vec<Problem>,
}

impl Reader {
    fn file(&mut self, raw: RawFile) -> Claims {
        let sensor = raw.sensor.map(|sensor| Sensor {
            place: self.point("sensor", 0, sensor.place.as_ref(), sensor.lat.as_ref(), sensor.lon.as_ref(), false),
            name: sensor.name,
        });
        let identities = raw.claim.into_iter().map(|claim| self.identity(claim)).collect();
        let middleboxes = raw.middlebox.into_iter().map(|raw| self.middlebox(raw)).collect();
        let allowances = raw.allow.into_iter().map(|raw| self.allowance(raw)).collect();
        Claims { sensor: sensor.unwrap_or_default(), identities, middleboxes, allowances, ..Claims::default() }
    }

    fn allowance(&mut self, raw: Spanned<RawAllow>) -> Allowance {
        let start = raw.span().start;
        let raw = raw.into_inner();
        if raw.finding.is_empty() {
            self.problem(start, "allow.finding", "is empty: name the findings that need no alert");
        }
        for finding in raw.finding.iter().filter(|finding| !FINDINGS.contains(&finding.get_ref().as_str())) {
            let message = format!("\"{}\" is none of {}", finding.get_ref(), FINDINGS.join(", "));
            self.problem(finding.span().start, "allow.finding", message);
        }
        if raw.identity.is_empty() && raw.client.is_empty() && raw.server.is_empty() {
            self.problem(start, "allow", "is for everybody: give at least one of identity, client, server");
        }
        let from = raw.from.as_ref().and_then(|from| self.moment("allow.from", from));
        let to = raw.to.as_ref().and_then(|to| self.moment("allow.to", to));
        let end = raw.to.as_ref().map_or(start, |to| to.span().start);
        self.checked("allow.to", end, value::window(from, to));
        Allowance {
            findings: raw.finding.into_iter().map(Spanned::into_inner).collect(),
            identities: raw.identity,
            clients: self.nets("allow.client", &raw.client),
            servers: self.nets("allow.server", &raw.server),
            from,
            to,
            line: self.lines.at(start),
        }
    }

    fn identity(&mut self, raw: Spanned<RawClaim>) -> Identity {
        let start = raw.span().start;
        let line = self.lines.at(start);
        let raw = raw.into_inner();
        if raw.identity.get_ref().trim().is_empty() {
            self.problem(raw.identity.span().start, "claim.identity", "is empty");
        }
        if raw.matches.is_empty() && !self.has_leases {
            self.problem(start, "claim.match", "is missing: without it, and without --leases, the claim is about no session");
        }
        if raw.place.is_empty() {
            self.problem(start, "claim.place", "is missing: without it there is nothing to hold a session against");
        }
        Identity {
            name: raw.identity.into_inner(),
            timezone: raw.timezone,
            keyboard: raw.keyboard,
            matches: raw.matches.into_iter().map(|block| self.match_block(block)).collect(),
            places: raw.place.into_iter().filter_map(|place| self.claimed_place(place)).collect(),
            line,
        }
    }

    fn match_block(&mut self, raw: Spanned<RawMatch>) -> MatchBlock {
        let start = raw.span().start;
        let raw = raw.into_inner();
        let block = MatchBlock {
            client: self.nets("claim.match.client", &raw.client),
            server: self.nets("claim.match.server", &raw.server),
            mac: raw.mac.iter().filter_map(|mac| self.mac(mac)).collect(),
            vlan: raw.vlan.iter().map(|vlan| self.vlan(vlan)).collect(),
            rdp_cookie: raw.rdp_cookie,
            vnc_desktop: raw.vnc_desktop,
            line: self.lines.at(start),
        };
        let asked = raw.client.len() + raw.server.len() + raw.mac.len() + raw.vlan.len();
        if asked + block.rdp_cookie.len() + block.vnc_desktop.len() == 0 {
            self.problem(start, "claim.match", "asks nothing, so it would match every session: give at least one key");
        }
        block
    }

    fn nets(&mut self, field: &str, raw: &[Spanned<String>]) -> Vec<IpNet> {
        raw.iter().filter_map(|text| self.checked(field, text.span().start, value::net(text.get_ref()))).collect()
    }

    fn mac(&mut self, raw: &Spanned<String>) -> Option<[u8; 6]> {
        let bytes: Option<Vec<u8>> =
            raw.get_ref().split([':', '-']).map(|pair| u8::from_str_radix(pair, 16).ok().filter(|_| pair.len() == 2)).collect();
        let mac = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        if mac.is_none() {
            let message = format!("\"{}\" is not a hardware address such as 00:1b:21:3c:9d:f8", raw.get_ref());
            self.problem(raw.span().start, "claim.match.mac", message);
        }
        mac
    }

    fn vlan(&mut self, raw: &Spanned<u16>) -> u16 {
        if !(1..=4094).contains(raw.get_ref()) {
            self.problem(raw.span().start, "claim.match.vlan", format!("{} is not within 1 to 4094", raw.get_ref()));
        }
        *raw.get_ref()
    }

    fn claimed_place(&mut self, raw: Spanned<RawPlace>) -> Option<ClaimedPlace> {
        let start = raw.span().start;
        let raw = raw.into_inner();
        let place = self.point("claim.place", start, raw.place.as_ref(), raw.lat.as_ref(), raw.lon.as_ref(), true);
        let radius_km = raw.radius_km.as_ref().map_or(Some(DEFAULT_RADIUS_KM), |radius| {
            self.checked("claim.place.radius_km", radius.span().start, value::radius_km(*radius.get_ref()))
        });
        let access = raw.access.as_ref().map_or_else(
            || Some(Access::default()),
            |access| self.checked("claim.place.access", access.span().start, value::access(access.get_ref())),
        );
        let via = raw.via.as_ref().and_then(|via| self.named("claim.place.via", via));
        let from = raw.from.as_ref().and_then(|from| self.moment("claim.place.from", from));
        let to = raw.to.as_ref().and_then(|to| self.moment("claim.place.to", to));
        let end = raw.to.as_ref().map_or(start, |to| to.span().start);
        self.checked("claim.place.to", end, value::window(from, to))?;
        Some(ClaimedPlace { place: place?, radius_km: radius_km?, access: access?, via, from, to })
    }

    fn middlebox(&mut self, raw: Spanned<RawMiddlebox>) -> Middlebox {
        let start = raw.span().start;
        let raw = raw.into_inner();
        let place = self.point("middlebox", start, raw.place.as_ref(), raw.lat.as_ref(), raw.lon.as_ref(), false);
        Middlebox { net: self.nets("middlebox.net", &raw.net), name: raw.name, place }
    }

    /// A point, by name or by both coordinates.
    fn point(
        &mut self,
        table: &str,
        start: usize,
        name: Option<&Spanned<String>>,
        lat: Option<&Spanned<f64>>,
        lon: Option<&Spanned<f64>>,
        needed: bool,
    ) -> Option<Place> {
        match (name, lat, lon) {
            (Some(name), None, None) => self.named(&format!("{table}.place"), name),
            (None, Some(lat), Some(lon)) => match Place::new(*lat.get_ref(), *lon.get_ref()) {
                Ok(place) => Some(place),
                Err(error) => {
                    self.problem(lat.span().start, table, error.to_string());
                    None
                }
            },
            (None, None, None) if !needed => None,
            (None, None, None) => {
                self.problem(start, table, "needs `place = \"City, CC\"`, or `lat` and `lon`");
                None
            }
            (Some(name), ..) => {
                self.problem(name.span().start, table, "has both a name and coordinates: give one of the two");
                None
            }
            (None, lat, lon) => {
                let at = lat.or(lon).map_or(start, |value| value.span().start);
                self.problem(at, table, "needs both `lat` and `lon`");
                None
            }
        }
    }

    fn named(&mut self, field: &str, name: &Spanned<String>) -> Option<Place> {
        let at = name.span().start;
        if let Some(message) = gazetteer::hint(name.get_ref()) {
            self.hints.push(Problem { line: self.lines.at(at), field: field.to_owned(), message });
        }
        self.checked(field, at, gazetteer::find(name.get_ref()).map_err(|error| error.to_string()))
    }

    fn moment(&mut self, field: &str, raw: &Spanned<Datetime>) -> Option<Timestamp> {
        self.checked(field, raw.span().start, value::moment(&raw.get_ref().to_string()))
    }

    /// A value, or nothing and a problem at this offset.
    fn checked<T>(&mut self, field: &str, offset: usize, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.problem(offset, field, message)).ok()
    }

    fn problem(&mut self, offset: usize, field: &str, message: impl Into<String>) {
        self.problems.push(Problem { line: self.lines.at(offset), field: field.to_owned(), message: message.into() });
    }
}
