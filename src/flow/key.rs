//! What makes two packets belong to one flow.

use std::{
    hash::{Hash, Hasher},
    net::IpAddr,
};

use community_id::calculate_community_id;
use sha2::{Digest, Sha256};

use serde::{Deserialize, Serialize};

use super::Shard;
use crate::{
    time::Timestamp,
    wire::{Ip, Network},
};

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
}

/// The transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TransportKind {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
}

impl TransportKind {
    /// IANA protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// The unordered pair of endpoints: both directions of a flow have the same key. Where asked for, the VLAN parts flows too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    low: [u64; 2],
    high: [u64; 2],
    low_port: u16,
    high_port: u16,
    /// 0 for none: no VLAN has that identifier.
    vlan: u16,
    is_ipv6: bool,
    transport: TransportKind,
    network: Network,
}

impl Hash for FlowKey {
    #[inline(always)] // see `FlowTable::hash`
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.low_port) << 32 | u64::from(self.high_port) << 48;
        let rest = u64::from(self.vlan) << 16 | u64::from(self.is_ipv6) << 8 | u64::from(self.transport.number());
        state.write_u64(ports | rest);
        if self.network != Network::default() {
            state.write_u64(self.network.0);
        }
        let ([low_upper, low_lower], [high_upper, high_lower]) = (self.low, self.high);
        if self.is_ipv6 {
            state.write_u64(low_upper);
            state.write_u64(high_upper);
            state.write_u64(low_lower);
            state.write_u64(high_lower);
        } else {
            state.write_u64(low_lower << 32 | high_lower);
        }
    }
}

/// Which of a key's two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The smaller endpoint.
    Low,
    /// The larger endpoint.
    High,
}

impl End {
    /// The opposite one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

impl FlowKey {
    /// The key of a packet, and which end sent it. Both addresses are of one family.
    #[must_use]
    #[inline]
    pub fn of(source: (Ip, u16), destination: (Ip, u16), transport: TransportKind) -> (Self, End) {
        let sender = if source <= destination { End::Low } else { End::High };
        // Word by word: chosen as wholes they would go through memory.
        let in_order = |a: u64, b: u64| if sender == End::Low { [a, b] } else { [b, a] };
        let ((from, from_port), (to, to_port)) = (source, destination);
        let ([from_upper, from_lower], [to_upper, to_lower]) = (from.words(), to.words());
        let [low_upper, high_upper] = in_order(from_upper, to_upper);
        let [low_lower, high_lower] = in_order(from_lower, to_lower);
        let [low_port, high_port] = in_order(u64::from(from_port), u64::from(to_port)).map(|port| port as u16);
        let key = Self {
            low: [low_upper, low_lower],
            high: [high_upper, high_lower],
            low_port,
            high_port,
            vlan: 0,
            is_ipv6: from.is_ipv6(),
            transport,
            network: Network::default(),
        };
        (key, sender)
    }

    /// The same within a VLAN, for networks whose addresses overlap.
    #[must_use]
    pub fn on_vlan(self, vlan: Option<u16>) -> Self {
        Self { vlan: vlan.unwrap_or_default(), ..self }
    }

    /// The same within a network that a tunnel names: different ones may have the same addresses.
    #[must_use]
    pub fn in_network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// The two hosts alone, whatever the ports and the transport.
    #[must_use]
    pub const fn hosts(self) -> Self {
        Self { low_port: 0, high_port: 0, transport: TransportKind::Tcp, ..self }
    }

    /// The part of the traffic that it belongs to.
    #[must_use]
    #[inline]
    pub fn shard(&self) -> Shard {
        Shard::of_words(self.low, self.high)
    }

    /// The same flow under other addresses.
    #[must_use]
    pub fn with_addresses(&self, other: impl Fn(IpAddr) -> IpAddr) -> Self {
        let [low, high] = [End::Low, End::High].map(|end| self.endpoint(end)).map(|end| (Ip::from(other(end.ip)), end.port));
        Self { vlan: self.vlan, network: self.network, ..Self::of(low, high, self.transport).0 }
    }

    /// One of the two endpoints.
    #[must_use]
    pub fn endpoint(&self, end: End) -> Endpoint {
        let (words, port) = match end {
            End::Low => (self.low, self.low_port),
            End::High => (self.high, self.high_port),
        };
        Endpoint { ip: Ip::from_words(self.is_ipv6, words).into(), port }
    }

    /// The transport protocol.
    #[must_use]
    pub const fn transport(&self) -> TransportKind {
        self.transport
    }

    /// Community ID version 1 with seed 0 (Corelight's specification); the same for both directions.
    #[must_use]
    pub fn community_id(&self) -> String {
        let (a, b) = (self.endpoint(End::Low), self.endpoint(End::High));
        calculate_community_id(0, a.ip, b.ip, Some(a.port), Some(b.port), self.transport.number(), false).unwrap_or_default()
    }

    /// Identifier of a session: the first 64 bits of SHA-256 over the first frame's time and the key.
    /// The same capture gives the same identifier on every run.
    #[must_use]
    pub fn session_id(&self, first_time: Timestamp) -> SessionId {
        let mut hash = Sha256::new();
        hash.update(first_time.as_nanos().to_be_bytes());
        hash.update([self.transport.number()]);
        for endpoint in [End::Low, End::High].map(|end| self.endpoint(end)) {
            match endpoint.ip {
                IpAddr::V4(ip) => hash.update(ip.octets()),
                IpAddr::V6(ip) => hash.update(ip.octets()),
            }
            hash.update(endpoint.port.to_be_bytes());
        }
        if self.vlan != 0 {
            hash.update(self.vlan.to_be_bytes());
        }
        if self.network != Network::default() {
            hash.update(self.network.0.to_be_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        SessionId(digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
    }
}

/// See [`FlowKey::session_id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str, port: u16) -> Endpoint {
        Endpoint { ip: text.parse().unwrap(), port }
    }

    fn key(a: Endpoint, b: Endpoint, transport: TransportKind) -> (FlowKey, End) {
        FlowKey::of((a.ip.into(), a.port), (b.ip.into(), b.port), transport)
    }

    #[test]
    fn both_directions_share_a_key() {
        let (a, b) = (endpoint("10.0.0.9", 22), endpoint("10.0.0.1", 40000));
        let (forth, sender) = key(a, b, TransportKind::Tcp);
        let (back, receiver) = key(b, a, TransportKind::Tcp);
        assert_eq!(forth, back);
        assert_eq!(sender, receiver.other());
        assert_eq!(forth.endpoint(sender), a);
    }

    #[test]
    fn endpoints_come_back_as_they_went_in() {
        for (a, b) in [("10.0.0.9", "10.0.0.10"), ("2001:db8::1", "2001:db8:8000::2"), ("::ffff:10.0.0.9", "::10.0.0.9")] {
            let (a, b) = (endpoint(a, 22), endpoint(b, 40_000));
            let (key, sender) = key(a, b, TransportKind::Udp);
            assert_eq!((key.endpoint(sender), key.endpoint(sender.other()), key.transport()), (a, b, TransportKind::Udp));
            assert_eq!(sender == End::Low, a < b);
        }
        let between = |a, b| key(endpoint(a, 1), endpoint(b, 2), TransportKind::Tcp).0;
        assert_ne!(between("0.0.0.1", "0.0.0.2"), between("::1", "::2"), "families differ");
    }

    #[test]
    fn a_vlan_parts_flows_only_where_it_is_asked_for() {
        let key = key(endpoint("10.0.0.9", 22), endpoint("10.0.0.1", 40000), TransportKind::Tcp).0;
        let time = Timestamp::from_nanos(7);
        assert_ne!(key.on_vlan(Some(10)), key.on_vlan(Some(20)));
        assert_ne!(key.on_vlan(Some(10)).session_id(time), key.session_id(time));
        assert_eq!((key.on_vlan(None), key.on_vlan(None).session_id(time)), (key, key.session_id(time)));
        assert_eq!(key.on_vlan(Some(10)).community_id(), key.community_id());
    }

    /// Published vectors: the specification's README and its `baseline` folder (Corelight).
    #[test]
    fn community_id_agrees_with_the_specification() {
        let id = |a, pa, b, pb| key(endpoint(a, pa), endpoint(b, pb), TransportKind::Tcp).0.community_id();
        assert_eq!(id("128.232.110.120", 34855, "66.35.250.204", 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id("66.35.250.204", 80, "128.232.110.120", 34855), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(
            id("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943, "2607:f8b0:400c:c03::1a", 25),
            "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="
        );
    }
}
