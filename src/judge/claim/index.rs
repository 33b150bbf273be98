//! Which claim is the most specific for a session, without a look at every claim: hash tables by name, by hardware address, by net
//! from the longest prefix to the shortest, and by VLAN.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use super::{
    Identity, MatchBlock,
    matching::{Subject, longest},
};

/// Positions of an identity and of one of its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    identity: u32,
    block: u32,
}

/// Every block that a session can match, each filed once a value under the first key that it asks for: name,
/// hardware address, client, server, VLAN. That is also the order in which they win.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    by_name: HashMap<Vec<u8>, Vec<Entry>>,
    by_mac: HashMap<[u8; 6], Vec<Entry>>,
    by_client: Nets,
    by_server: Nets,
    by_vlan: HashMap<u16, Vec<Entry>>,
}

impl Index {
    pub(super) fn of(identities: &[Identity]) -> Self {
        let mut index = Self::default();
        for (who, identity) in (0..).zip(identities) {
            for (position, block) in (0..).zip(&identity.matches) {
                index.add(block, Entry { identity: who, block: position });
            }
        }
        index.by_client.sort();
        index.by_server.sort();
        index
    }

    fn add(&mut self, block: &MatchBlock, entry: Entry) {
        for name in block.rdp_cookie.iter().chain(&block.vnc_desktop) {
            self.by_name.entry(name.clone().into_bytes()).or_default().push(entry);
        }
        if block.names() {
            return;
        }
        for mac in &block.mac {
            self.by_mac.entry(*mac).or_default().push(entry);
        }
        if !block.mac.is_empty() {
            return;
        }
        let nets =
            if block.client.is_empty() { (&mut self.by_server, &block.server) } else { (&mut self.by_client, &block.client) };
        nets.1.iter().for_each(|net| nets.0.add(*net, entry));
        if nets.1.is_empty() {
            for vlan in &block.vlan {
                self.by_vlan.entry(*vlan).or_default().push(entry);
            }
        }
    }

    /// The identity and the block that match most specifically.
    pub(super) fn find<'a>(&self, identities: &'a [Identity], subject: &Subject<'_>) -> Option<(&'a Identity, &'a MatchBlock)> {
        let by_name = || {
            let rank = |block: &MatchBlock| {
                let (client, server) = (longest(&block.client, subject.client)?, longest(&block.server, subject.server)?);
                let named = (block.mac_fit(subject)?, client, server, block.vlan_fit(subject)?);
                block.names_fit(subject).then_some(named)
            };
            let names = [subject.rdp_cookie, subject.vnc_desktop].into_iter().flatten();
            names.filter_map(|name| self.by_name.get(name)).find_map(|entries| best(identities, entries, rank))
        };
        let of_mac = subject.mac.and_then(|mac| self.by_mac.get(&mac)).map(Vec::as_slice);
        let by_mac = || {
            let rank = |block: &MatchBlock| {
                let (client, server) = (longest(&block.client, subject.client)?, longest(&block.server, subject.server)?);
                Some((client, server, block.vlan_fit(subject)?))
            };
            best(identities, of_mac?, rank)
        };
        let by_client = || {
            let rank = |block: &MatchBlock| Some((longest(&block.server, subject.server)?, block.vlan_fit(subject)?));
            self.by_client.holding(subject.client).find_map(|entries| best(identities, entries, rank))
        };
        let fit = |block: &MatchBlock| block.vlan_fit(subject);
        let by_server = || self.by_server.holding(subject.server).find_map(|entries| best(identities, entries, fit));
        let of_vlan = || subject.vlan.and_then(|vlan| self.by_vlan.get(&vlan)).map(Vec::as_slice);
        let by_vlan = || best(identities, of_vlan()?, fit);
        by_name().or_else(by_mac).or_else(by_client).or_else(by_server).or_else(by_vlan)
    }
}

/// The best of blocks that are filed under one value, by the keys that remain.
fn best<'a, R: Ord>(
    identities: &'a [Identity],
    entries: &[Entry],
    rank: impl Fn(&MatchBlock) -> Option<R>,
) -> Option<(&'a Identity, &'a MatchBlock)> {
    let ranked = entries.iter().filter_map(|entry| {
        let identity = identities.get(entry.identity as usize)?;
        let block = identity.matches.get(entry.block as usize)?;
        Some((rank(block)?, (identity, block)))
    });
    ranked.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, found)| found)
}

/// Entries by net, and which prefix lengths there are.
#[derive(Clone, Debug, Default)]
struct Nets {
    entries: HashMap<IpNet, Vec<Entry>>,
    /// The longest first.
    v4_lengths: Vec<u8>,
    v6_lengths: Vec<u8>,
}

impl Nets {
    fn add(&mut self, net: IpNet, entry: Entry) {
        let entries = self.entries.entry(net).or_default();
        entries.push(entry);
        if entries.len() == 1 {
            let lengths = if net.addr().is_ipv4() { &mut self.v4_lengths } else { &mut self.v6_lengths };
            if !lengths.contains(&net.prefix_len()) {
                lengths.push(net.prefix_len());
            }
        }
    }

    fn sort(&mut self) {
        for lengths in [&mut self.v4_lengths, &mut self.v6_lengths] {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// The entries of each net that holds an address, the longest first.
    fn holding(&self, ip: IpAddr) -> impl Iterator<Item = &[Entry]> {
        let lengths = if ip.is_ipv4() { &self.v4_lengths } else { &self.v6_lengths };
        lengths.iter().filter_map(move |length| {
            let net = IpNet::new(ip, *length).ok()?.trunc();
            self.entries.get(&net).map(Vec::as_slice)
        })
    }
}
