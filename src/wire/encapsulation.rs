//! What a packet came wrapped in, as a list that is small enough to be copied with each packet.

use serde::{Deserialize, Serialize};

/// Headers around a packet that are listed; what is wrapped deeper is nobody's network.
pub(super) const MAX_WRAPPERS: usize = 6;

/// Which header stands around something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum WrapperKind {
    /// IEEE 802.1Q tag; its VLAN identifier. A tag of priority alone is none.
    Vlan = 1,
    /// Cisco's VN-Tag; the source virtual interface, or the destination's where that is 0.
    VnTag,
    /// IEEE 802.1BR E-Tag; its E-CID.
    ETag,
    /// IEEE 802.1ah service tag; its service identifier.
    Pbb,
    /// MPLS label stack (RFC 3032), with a pseudowire's control word (RFC 4448) where there is one; the bottom label.
    Mpls,
    /// PPP over Ethernet (RFC 2516); its session identifier.
    Pppoe,
    /// IPv4 or IPv6 within IP (RFC 2003, RFC 2473, RFC 4213).
    IpInIp,
    /// Ethernet within IP (RFC 3378).
    EtherIp,
    /// Generic routing encapsulation (RFC 2784, RFC 2890, RFC 2637; over UDP RFC 8086); its key.
    Gre,
    /// A mirrored frame in GRE; its session, which type I does not have.
    Erspan,
    /// RFC 7348; its network identifier.
    Vxlan,
    /// RFC 8926; its network identifier.
    Geneve,
    /// GTP-U (3GPP TS 29.281); its tunnel endpoint identifier, another one in each direction.
    Gtp,
}

impl WrapperKind {
    /// As records call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vlan => "vlan",
            Self::VnTag => "vntag",
            Self::ETag => "etag",
            Self::Pbb => "pbb",
            Self::Mpls => "mpls",
            Self::Pppoe => "pppoe",
            Self::IpInIp => "ipip",
            Self::EtherIp => "etherip",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gtp => "gtp",
        }
    }

    /// Whether its identifier names a network, which may have the same addresses as another. A VLAN's does only where the user says
    /// so. All others name a customer, a way or a mirror, many of them another one in each direction.
    const fn parts_networks(self) -> bool {
        matches!(self, Self::Gre | Self::Vxlan | Self::Geneve)
    }
}

/// One header around something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapper {
    /// Which kind.
    pub kind: WrapperKind,
    /// Its number, where it has one.
    pub id: Option<u32>,
    /// Whether it holds an Ethernet frame rather than a packet.
    pub(super) bridges: bool,
}

/// What a packet came wrapped in, beside its own link and IP header: the outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encapsulation {
    ids: [u32; MAX_WRAPPERS],
    /// None behind the innermost.
    kinds: [Option<WrapperKind>; MAX_WRAPPERS],
    /// Bit by bit, by position: whether there is an identifier, and whether it bridges.
    has_id: u8,
    bridges: u8,
}

/// The network that a packet was found in, as far as a tunnel names it: 0 for none. What stands in different networks may have
/// the same addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Network(pub u64);

impl Encapsulation {
    /// In one VLAN and nothing else, or in nothing: `None` and 0 stand for no VLAN.
    #[must_use]
    pub fn of_vlan(vlan: Option<u16>) -> Self {
        Self::default().with_vlan(vlan.unwrap_or_default()).unwrap_or_default()
    }

    /// The same with one more header within all others; `None` where there are too many.
    #[must_use]
    pub(super) fn with(mut self, wrapper: Wrapper) -> Option<Self> {
        let place = self.kinds.iter().position(Option::is_none)?;
        *self.kinds.get_mut(place)? = Some(wrapper.kind);
        *self.ids.get_mut(place)? = wrapper.id.unwrap_or_default();
        self.has_id |= u8::from(wrapper.id.is_some()) << place;
        self.bridges |= u8::from(wrapper.bridges) << place;
        Some(self)
    }

    /// The same with a VLAN's tag; one whose identifier is 0 carries a priority and no VLAN (IEEE 802.1Q §9.6).
    pub(super) fn with_vlan(self, id: u16) -> Option<Self> {
        if id == 0 {
            return Some(self);
        }
        self.with(Wrapper { kind: WrapperKind::Vlan, id: Some(u32::from(id)), bridges: false })
    }

    /// The headers, the outermost first.
    pub fn wrappers(&self) -> impl DoubleEndedIterator<Item = Wrapper> {
        let Self { ids, kinds, has_id, bridges } = *self;
        ids.into_iter().zip(kinds).enumerate().filter_map(move |(place, (id, kind))| {
            let bit = |bits: u8| bits >> place & 1 == 1;
            Some(Wrapper { kind: kind?, id: bit(has_id).then_some(id), bridges: bit(bridges) })
        })
    }

    /// Whether there is nothing around the packet.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        let [outermost, ..] = self.kinds;
        outermost.is_none()
    }

    /// Whether what is here may be less than was there, though nothing of the frame is missing: mirrors cut what they send on.
    pub(super) fn may_be_cut(&self) -> bool {
        self.wrappers().any(|wrapper| wrapper.kind != WrapperKind::Vlan)
    }

    /// The outermost VLAN of the Ethernet frame that the packet came in: of the innermost frame, where frames came in tunnels. A
    /// mirror's own VLAN is not the session's.
    #[must_use]
    #[inline(always)] // asked of every frame, nearly none of which has anything around it
    pub fn vlan(&self) -> Option<u16> {
        if self.is_empty() { None } else { self.vlan_of_some() }
    }

    #[inline(never)]
    fn vlan_of_some(&self) -> Option<u16> {
        self.wrappers().fold(None, |vlan, wrapper| match wrapper {
            Wrapper { kind: WrapperKind::Vlan, id, .. } => vlan.or_else(|| id.map(|id| id as u16)), // of 12 bits
            Wrapper { bridges: true, .. } => None,
            _ => vlan,
        })
    }

    /// The network: of the innermost tunnel that names one.
    #[must_use]
    #[inline(always)] // see `vlan`
    pub fn network(&self) -> Network {
        if self.is_empty() { Network::default() } else { self.network_of_some() }
    }

    #[inline(never)]
    fn network_of_some(&self) -> Network {
        let named = self.wrappers().rev().find(|wrapper| wrapper.kind.parts_networks() && wrapper.id.is_some());
        Network(named.map_or(0, |wrapper| u64::from(wrapper.kind as u8) << 32 | u64::from(wrapper.id.unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(wrappers: &[(WrapperKind, Option<u32>, bool)]) -> Encapsulation {
        wrappers
            .iter()
            .fold(Encapsulation::default(), |all, &(kind, id, bridges)| all.with(Wrapper { kind, id, bridges }).unwrap())
    }

    #[test]
    fn headers_come_back_in_order_and_too_many_are_refused() {
        let kinds =
            [WrapperKind::Vlan, WrapperKind::Mpls, WrapperKind::Erspan, WrapperKind::Vlan, WrapperKind::Gtp, WrapperKind::Gre];
        let wrappers: Vec<_> = kinds.into_iter().zip([Some(0), Some(7), None, Some(9), Some(u32::MAX), None]).collect();
        let all = around(&wrappers.iter().map(|&(kind, id)| (kind, id, false)).collect::<Vec<_>>());
        assert_eq!(all.wrappers().map(|wrapper| (wrapper.kind, wrapper.id)).collect::<Vec<_>>(), wrappers);
        assert_eq!(all.with(Wrapper { kind: WrapperKind::Gre, id: None, bridges: false }), None);
        assert!(!all.is_empty() && Encapsulation::default().is_empty());
    }

    #[test]
    fn the_vlan_is_that_of_the_innermost_frame() {
        let (vlan, mirror) = ((WrapperKind::Vlan, Some(10), false), (WrapperKind::Erspan, Some(1), true));
        let other = (WrapperKind::Vlan, Some(20), false);
        assert_eq!(around(&[vlan, other]).vlan(), Some(10), "the outermost of its frame");
        assert_eq!(around(&[vlan, mirror, other]).vlan(), Some(20));
        assert_eq!(around(&[vlan, mirror]).vlan(), None);
        assert_eq!(around(&[vlan, (WrapperKind::Gre, None, false)]).vlan(), Some(10), "a packet has no frame of its own");
    }

    #[test]
    fn the_network_is_that_of_the_innermost_tunnel_that_names_one() {
        let network = |wrappers: &[(WrapperKind, Option<u32>, bool)]| around(wrappers).network();
        let (vxlan, gre) = ((WrapperKind::Vxlan, Some(5), true), (WrapperKind::Gre, None, false));
        assert_eq!(network(&[vxlan, gre]), network(&[vxlan]));
        assert_ne!(network(&[vxlan]), network(&[(WrapperKind::Geneve, Some(5), true)]), "kinds count by themselves");
        assert_ne!(network(&[vxlan]), Network::default());
        for kind in [WrapperKind::Vlan, WrapperKind::Gtp, WrapperKind::Mpls, WrapperKind::Erspan, WrapperKind::Pppoe] {
            assert_eq!(network(&[(kind, Some(5), false)]), Network::default());
        }
    }
}
