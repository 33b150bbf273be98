//! One header around something, and how to read what it holds. Here are those that stand between a link and IP.

use etherparse::{EtherType, ether_type};

use super::{Layer, Undecoded, Wrapper, WrapperKind};

/// EtherTypes that `etherparse` has no name for (IEEE's registry).
pub(super) const MPLS: EtherType = EtherType(0x8847);
const MPLS_UPSTREAM: EtherType = EtherType(0x8848);
pub(super) const PPPOE_SESSION: EtherType = EtherType(0x8864);
pub(super) const PPP: EtherType = EtherType(0x880b);
const VN_TAG: EtherType = EtherType(0x8926);
const E_TAG: EtherType = EtherType(0x893f);
const SERVICE_TAG: EtherType = EtherType(0x88e7);
/// Ethernet frames in a tunnel (RFC 7637 §3.2: Transparent Ethernet Bridging).
pub(super) const BRIDGED_ETHERNET: EtherType = EtherType(0x6558);

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// Labels of a stack that are read.
const MAX_LABELS: usize = 8;

/// How to read what a header holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    /// From the destination address on.
    Ethernet,
    /// An IPv4 or IPv6 header.
    Ip,
    /// What this type says.
    Typed(EtherType),
}

/// A header around something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// What is told of it; `None` for one that says nothing but what follows.
    pub(super) wrapper: Option<Wrapper>,
    /// Its length in bytes.
    pub(super) len: usize,
    /// What stands behind it.
    pub(super) inner: Inner,
}

impl Header {
    pub(super) fn new(kind: WrapperKind, id: Option<u32>, len: usize, inner: Inner) -> Self {
        Self { wrapper: Some(Wrapper { kind, id, bridges: inner == Inner::Ethernet }), len, inner }
    }
}

impl Inner {
    /// What an EtherType within a tunnel stands for.
    pub(super) const fn of(kind: EtherType) -> Self {
        match kind {
            ether_type::IPV4 | ether_type::IPV6 => Self::Ip,
            BRIDGED_ETHERNET => Self::Ethernet,
            other => Self::Typed(other),
        }
    }

    /// Whether bytes may be such: for headers that say little of themselves.
    pub(super) fn is_plausible(self, bytes: &[u8]) -> bool {
        match self {
            Self::Ip => matches!(bytes.first().map(|byte| byte >> 4), Some(4 | 6)),
            Self::Ethernet => match bytes.get(12..ETHERNET) {
                Some(&[a, b]) => {
                    Self::Typed(EtherType(u16::from_be_bytes([a, b]))).is_plausible(bytes.get(ETHERNET..).unwrap_or_default())
                }
                _ => false,
            },
            Self::Typed(ether_type::IPV4) => bytes.first().is_none_or(|byte| byte >> 4 == 4),
            Self::Typed(ether_type::IPV6) => bytes.first().is_none_or(|byte| byte >> 4 == 6),
            Self::Typed(ether_type::ARP | BRIDGED_ETHERNET) => true,
            Self::Typed(kind) => is_vlan(kind) || is_wrapper(kind),
        }
    }
}

const fn is_vlan(kind: EtherType) -> bool {
    matches!(kind, ether_type::VLAN_TAGGED_FRAME | ether_type::PROVIDER_BRIDGING | ether_type::VLAN_DOUBLE_TAGGED_FRAME)
}

const fn is_wrapper(kind: EtherType) -> bool {
    matches!(kind, MPLS | MPLS_UPSTREAM | PPPOE_SESSION | PPP | VN_TAG | E_TAG | SERVICE_TAG)
}

/// Reads the header that an EtherType announces; `bytes` begin with it, and are `len` bytes long on the wire.
///
/// # Errors
/// [`Undecoded`] where it is cut or impossible, and for types that are neither IP nor around it.
pub(super) fn header_of(kind: EtherType, bytes: &[u8], len: u32) -> Result<Header, Undecoded> {
    match kind {
        MPLS | MPLS_UPSTREAM => mpls(bytes, len),
        PPPOE_SESSION => pppoe(bytes),
        PPP => ppp(bytes),
        VN_TAG => vn_tag(bytes),
        E_TAG => e_tag(bytes),
        SERVICE_TAG => {
            // Four bytes of tag, of which three are the service's identifier (IEEE 802.1Q §9.7).
            let &[_, a, b, c] = head(bytes, WrapperKind::Pbb)?;
            Ok(Header::new(WrapperKind::Pbb, Some(u32::from_be_bytes([0, a, b, c])), 4, Inner::Ethernet))
        }
        BRIDGED_ETHERNET => Ok(Header { wrapper: None, len: 0, inner: Inner::Ethernet }),
        // More tags than `etherparse` takes at a time.
        kind if is_vlan(kind) => Ok(Header { wrapper: None, len: 0, inner: Inner::Typed(kind) }),
        other => Err(Undecoded::NotIp(other.0)),
    }
}

/// Labels up to the one that says it is the last (RFC 3032 §2.1). What follows them is not said: IP shows by its first bits, and all
/// else is taken for Ethernet, behind a control word of four bytes (RFC 4448 §4.6) where a frame is seen behind one.
fn mpls(bytes: &[u8], len: u32) -> Result<Header, Undecoded> {
    let mut rest = bytes;
    for labels in 1..=MAX_LABELS {
        let &[a, b, c, _] = head(rest, WrapperKind::Mpls)?;
        rest = rest.get(4..).unwrap_or_default();
        if c & 1 == 0 {
            continue;
        }
        let size = 4 * labels;
        let header = |more, inner| {
            let label = u32::from_be_bytes([0, a, b, c]) >> 4;
            Header::new(WrapperKind::Mpls, Some(label), size + more, inner)
        };
        let behind_word = rest.get(4..).unwrap_or_default();
        return match rest.first().map(|byte| byte >> 4) {
            Some(4 | 6) if is_ip(rest, len.saturating_sub(size as u32)) => Ok(header(0, Inner::Ip)),
            Some(0) if Inner::Ethernet.is_plausible(behind_word) => Ok(header(4, Inner::Ethernet)),
            Some(1) if !Inner::Ethernet.is_plausible(rest) => Err(Undecoded::NotIp(MPLS.0)), // an associated channel (RFC 5586)
            _ if Inner::Ethernet.is_plausible(rest) => Ok(header(0, Inner::Ethernet)),
            Some(4 | 6) => Ok(header(0, Inner::Ip)), // and its length lies
            _ => Err(Undecoded::NotIp(MPLS.0)),
        };
    }
    Err(Undecoded::Nested)
}

/// Whether bytes begin with an IP header that fits into `len` bytes: hardware addresses may begin with its first bits.
fn is_ip(bytes: &[u8], len: u32) -> bool {
    let number = |at: usize| bytes.get(at..at + 2).map_or(0, |n| n.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)));
    match bytes.first().map(|byte| (byte >> 4, byte & 15)) {
        Some((4, words)) => words >= 5 && (20..=len).contains(&number(2)),
        Some((6, _)) => number(4) + 40 <= len,
        _ => false,
    }
}

/// Version and type 1, code 0 for session data, session, length, PPP (RFC 2516 §4).
fn pppoe(bytes: &[u8]) -> Result<Header, Undecoded> {
    let &[version, code, id0, id1, ..] = head::<6>(bytes, WrapperKind::Pppoe)?;
    if (version, code) != (0x11, 0) {
        return Err(Undecoded::NotIp(PPPOE_SESSION.0));
    }
    let inner = ppp(bytes.get(6..).unwrap_or_default())?;
    let id = u32::from(u16::from_be_bytes([id0, id1]));
    Ok(Header::new(WrapperKind::Pppoe, Some(id), 6 + inner.len, inner.inner))
}

/// Address and control where they are not compressed away, then the protocol in two bytes or, compressed, in one (RFC 1661 §6.5
/// and §6.6). Nothing is told of it.
pub(super) fn ppp(bytes: &[u8]) -> Result<Header, Undecoded> {
    let skipped = if bytes.starts_with(&[0xff, 3]) { 2 } else { 0 };
    let rest = bytes.get(skipped..).unwrap_or_default();
    let (protocol, len) = match rest {
        [odd, ..] if odd & 1 == 1 => (u16::from(*odd), 1),
        [a, b, ..] => (u16::from_be_bytes([*a, *b]), 2),
        _ => return Err(short(Layer::Link, bytes, 2 + skipped)),
    };
    let inner = match protocol {
        0x0021 | 0x0057 => Inner::Ip,
        0x0281 => Inner::Typed(MPLS),
        other => return Err(Undecoded::NotIp(other)),
    };
    Ok(Header { wrapper: None, len: skipped + len, inner })
}

/// Direction, pointer, destination of 14 bits; looped, version, source of 12 bits; EtherType (Cisco's VN-Tag proposal to IEEE 802.1,
/// 2008).
fn vn_tag(bytes: &[u8]) -> Result<Header, Undecoded> {
    let &[d0, d1, s0, s1, kind0, kind1] = head(bytes, WrapperKind::VnTag)?;
    let (destination, source) = (u16::from_be_bytes([d0, d1]) & 0x3fff, u16::from_be_bytes([s0, s1]) & 0x0fff);
    let id = if source == 0 { destination } else { source };
    let kind = EtherType(u16::from_be_bytes([kind0, kind1]));
    Ok(Header::new(WrapperKind::VnTag, Some(u32::from(id)), 6, Inner::Typed(kind)))
}

/// Priority and ingress E-CID of 12 bits; group and E-CID of 12 bits; their extensions; EtherType (IEEE 802.1BR §7.5).
fn e_tag(bytes: &[u8]) -> Result<Header, Undecoded> {
    let &[_, _, base0, base1, _, extension, kind0, kind1] = head(bytes, WrapperKind::ETag)?;
    let id = u32::from(extension) << 14 | u32::from(u16::from_be_bytes([base0, base1]) & 0x3fff);
    let kind = EtherType(u16::from_be_bytes([kind0, kind1]));
    Ok(Header::new(WrapperKind::ETag, Some(id), 8, Inner::Typed(kind)))
}

/// The first `N` bytes.
pub(super) fn head<const N: usize>(bytes: &[u8], kind: WrapperKind) -> Result<&[u8; N], Undecoded> {
    bytes.first_chunk().ok_or_else(|| short(Layer::Wrapper(kind), bytes, N))
}

/// A header of which less is there than `need` bytes.
pub(super) fn short(layer: Layer, bytes: &[u8], need: usize) -> Undecoded {
    Undecoded::Short { layer, offset: 0, need: need as u16, have: bytes.len() as u16 } // fewer than `need`
}
