//! Which sessions a claim is about.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{Identity, Problem};
use crate::time::Timestamp;

/// What a session shows of itself to be matched.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Address of the end that types.
    pub client: IpAddr,
    /// Address of the other end.
    pub server: IpAddr,
    /// The client's hardware address, where the sensor sees it.
    pub mac: Option<[u8; 6]>,
    /// Its outermost 802.1Q VLAN identifier, where it has one.
    pub vlan: Option<u16>,
    /// The name in its connection cookie, where it is of RDP and has one.
    pub rdp_cookie: Option<&'a [u8]>,
    /// The name of its desktop, where it is of VNC and shows one.
    pub vnc_desktop: Option<&'a [u8]>,
    /// When the session began: leases and travel windows are looked up then.
    pub start: Timestamp,
}

/// One `[[claim.match]]` block, or one row of CSV: an empty list asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchBlock {
    /// Client addresses.
    pub client: Vec<IpNet>,
    /// Server addresses.
    pub server: Vec<IpNet>,
    /// Client hardware addresses.
    pub mac: Vec<[u8; 6]>,
    /// 802.1Q VLAN identifiers.
    pub vlan: Vec<u16>,
    /// Names in RDP's connection cookie; only RDP sessions have them.
    pub rdp_cookie: Vec<String>,
    /// VNC desktop names; only VNC sessions have them.
    pub vnc_desktop: Vec<String>,
    /// Line of the file, from 1.
    pub line: usize,
}

impl MatchBlock {
    /// Whether it asks for a name.
    pub(super) const fn names(&self) -> bool {
        !self.rdp_cookie.is_empty() || !self.vnc_desktop.is_empty()
    }

    /// Whether the names fit, letter by letter, where they are asked for.
    pub(super) fn names_fit(&self, subject: &Subject<'_>) -> bool {
        let fits = |asked: &[String], name: Option<&[u8]>| {
            asked.is_empty() || name.is_some_and(|name| asked.iter().any(|asked| asked.as_bytes() == name))
        };
        fits(&self.rdp_cookie, subject.rdp_cookie) && fits(&self.vnc_desktop, subject.vnc_desktop)
    }

    /// How specific the match of the hardware address is; as of the VLAN.
    pub(super) fn mac_fit(&self, subject: &Subject<'_>) -> Option<u8> {
        if self.mac.is_empty() {
            return Some(0);
        }
        subject.mac.is_some_and(|mac| self.mac.contains(&mac)).then_some(1)
    }

    /// How specific the match of the VLAN is: 1 where one is asked for and fits, 0 where none is asked for, `None` where none
    /// fits.
    pub(super) fn vlan_fit(&self, subject: &Subject<'_>) -> Option<u8> {
        if self.vlan.is_empty() {
            return Some(0);
        }
        subject.vlan.is_some_and(|vlan| self.vlan.contains(&vlan)).then_some(1)
    }

    /// The values of one key.
    fn values(&self, key: Key) -> Vec<Value<'_>> {
        match key {
            Key::Client => self.client.iter().copied().map(Value::Net).collect(),
            Key::Server => self.server.iter().copied().map(Value::Net).collect(),
            Key::Mac => self.mac.iter().copied().map(Value::Mac).collect(),
            Key::Vlan => self.vlan.iter().copied().map(Value::Vlan).collect(),
            Key::RdpCookie => self.rdp_cookie.iter().map(|name| Value::Name(name)).collect(),
            Key::VncDesktop => self.vnc_desktop.iter().map(|name| Value::Name(name)).collect(),
        }
    }
}

/// Length of the longest net with this address, plus one; 0 where none is asked for, `None` where none fits.
pub(super) fn longest(nets: &[IpNet], ip: IpAddr) -> Option<u8> {
    if nets.is_empty() {
        return Some(0);
    }
    nets.iter().filter(|net| net.contains(&ip)).map(|net| net.prefix_len() + 1).max()
}

#[derive(Clone, Copy)]
enum Key {
    Client,
    Mac,
    RdpCookie,
    VncDesktop,
    Server,
    Vlan,
}

const KEYS: [Key; 6] = [Key::Client, Key::Mac, Key::RdpCookie, Key::VncDesktop, Key::Server, Key::Vlan];

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value<'a> {
    /// The key is not asked for.
    Nothing,
    Net(IpNet),
    Mac([u8; 6]),
    Vlan(u16),
    Name(&'a str),
}

/// A block and the position of its identity.
type Owned<'a> = (usize, &'a MatchBlock);

/// Every identity that could claim a session with the same right as an earlier one; told once for each two.
pub(super) fn ties(identities: &[Identity]) -> Vec<Problem> {
    let blocks = identities.iter().enumerate().flat_map(|(who, identity)| identity.matches.iter().map(move |block| (who, block)));
    let mut found = BTreeMap::new();
    collect_ties(blocks.collect(), &KEYS, &mut found);
    let problem = |((first, second), lines): ((usize, usize), (usize, usize))| {
        Some(tie(identities.get(first)?, identities.get(second)?, lines))
    };
    found.into_iter().filter_map(problem).collect()
}

/// Two nets of one length that overlap are the same net, so a tie needs a common value of every key, or no value in both.
/// Blocks are split by the values of one key after the other, so that the work grows with the blocks and not with their
/// pairs; what is left together at the end ties with the first.
fn collect_ties(blocks: Vec<Owned<'_>>, keys: &[Key], found: &mut BTreeMap<(usize, usize), (usize, usize)>) {
    let Some((first, one)) = blocks.first().copied() else { return };
    if blocks.iter().all(|(who, _)| *who == first || found.contains_key(&(first, *who))) {
        return;
    }
    let Some((key, rest)) = keys.split_first() else {
        for (who, other) in blocks.into_iter().filter(|(who, _)| *who != first) {
            found.entry((first, who)).or_insert((one.line, other.line));
        }
        return;
    };
    let mut parts: BTreeMap<Value<'_>, Vec<Owned<'_>>> = BTreeMap::new();
    for (who, block) in blocks {
        let mut values = block.values(*key);
        if values.is_empty() {
            values.push(Value::Nothing);
        }
        for value in values {
            parts.entry(value).or_default().push((who, block));
        }
    }
    for part in parts.into_values() {
        collect_ties(part, rest, found);
    }
}

fn tie(a: &Identity, b: &Identity, (first, second): (usize, usize)) -> Problem {
    Problem {
        line: second,
        field: "claim.match".to_owned(),
        message: format!(
            "\"{}\" matches the same sessions as \"{}\" (line {first}), and neither is more specific: narrow one of them",
            b.name, a.name
        ),
    }
}
