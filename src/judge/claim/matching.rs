//! Which sessions a claim is about.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Identity, Problem};

/// What a session shows of itself to be matched.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Address of the end that types.
    pub client: IpAddr,
    /// Address of the other end.
    pub server: IpAddr,
    /// The client's hardware address, where the sensor sees it.
    pub mac: Option<[u8; 6]>,
    /// Its outermost 802.1Q VLAN identifier, where it has one.
    pub vlan: Option<u16>,
}

/// One `[[claim.match]]` block: an empty list asks nothing.
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

/// How specific a match is; the larger wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    names: u8,
    client_prefix: u8,
    server_prefix: u8,
    vlans: u8,
}

impl MatchBlock {
    /// How specifically this block matches a session; `None` where it does not.
    pub(super) fn rank_for(&self, subject: &Subject) -> Option<Rank> {
        if !self.rdp_cookie.is_empty() || !self.vnc_desktop.is_empty() {
            return None;
        }
        if !self.mac.is_empty() && !subject.mac.is_some_and(|mac| self.mac.contains(&mac)) {
            return None;
        }
        if !self.vlan.is_empty() && !subject.vlan.is_some_and(|vlan| self.vlan.contains(&vlan)) {
            return None;
        }
        Some(Rank {
            names: u8::from(!self.mac.is_empty()),
            client_prefix: longest(&self.client, subject.client)?,
            server_prefix: longest(&self.server, subject.server)?,
            vlans: u8::from(!self.vlan.is_empty()),
        })
    }

    /// Whether some session matches both blocks with equal rank.
    fn ties_with(&self, other: &Self) -> bool {
        same_or_both_empty(&self.client, &other.client)
            && same_or_both_empty(&self.server, &other.server)
            && same_or_both_empty(&self.mac, &other.mac)
            && same_or_both_empty(&self.vlan, &other.vlan)
            && same_or_both_empty(&self.rdp_cookie, &other.rdp_cookie)
            && same_or_both_empty(&self.vnc_desktop, &other.vnc_desktop)
    }
}

/// Two nets of one length that overlap are the same net, so a tie needs a common value of every key.
fn same_or_both_empty<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    (a.is_empty() && b.is_empty()) || a.iter().any(|value| b.contains(value))
}

/// Length of the longest net with this address, plus one; 0 where none is asked for, `None` where none fits.
fn longest(nets: &[IpNet], ip: IpAddr) -> Option<u8> {
    if nets.is_empty() {
        return Some(0);
    }
    nets.iter().filter(|net| net.contains(&ip)).map(|net| net.prefix_len() + 1).max()
}

/// Every pair of identities that could claim one session with equal right.
pub(super) fn ties(identities: &[Identity]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (i, a) in identities.iter().enumerate() {
        for b in identities.iter().skip(i + 1) {
            let tie = a.matches.iter().find_map(|x| b.matches.iter().find(|y| x.ties_with(y)).map(|y| (x.line, y.line)));
            if let Some((first, second)) = tie {
                problems.push(Problem {
                    line: second,
                    field: "claim.match".to_owned(),
                    message: format!(
                        "\"{}\" matches the same sessions as \"{}\" (line {first}), and neither is more specific: narrow one of them",
                        b.name, a.name
                    ),
                });
            }
        }
    }
    problems
}
