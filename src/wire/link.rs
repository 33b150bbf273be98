//! Link types: how the first byte of a frame is to be read, and the short headers that only name what follows.

use etherparse::{EtherType, ether_type};

use super::{
    Layer, Undecoded,
    header::{PPP, PPPOE_SESSION},
};

/// Link-layer header type, from the tcpdump.org LINKTYPE registry. Numbers that are not decoded are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_RAW (101), LINKTYPE_IPV4 (228), LINKTYPE_IPV6 (229) and the raw-IP numbers 12 and 14 that
    /// old writers put into files: the frame begins with an IPv4 or IPv6 header.
    RawIp,
    /// LINKTYPE_NULL (0): BSD loopback, an address family in the byte order of the machine that captured.
    Null,
    /// LINKTYPE_LOOP (108): OpenBSD loopback, the same in network byte order.
    Loop,
    /// LINKTYPE_PPP (9) and LINKTYPE_PPP_HDLC (50): PPP, with or without address and control.
    Ppp,
    /// LINKTYPE_C_HDLC (104): Cisco's HDLC.
    CiscoHdlc,
    /// LINKTYPE_PPP_ETHER (51): a PPPoE header.
    Pppoe,
    /// LINKTYPE_LINUX_SLL (113): Linux "cooked" capture, as of the device `any`.
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2 (276): its second version, with the interface's index.
    LinuxSll2,
    /// Any other registered or private number; such frames are counted as not decoded.
    Unknown(u16),
}

impl LinkType {
    /// From the number in a capture file.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            51 => Self::Pppoe,
            104 => Self::CiscoHdlc,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            other => Self::Unknown(other),
        }
    }

    /// The number to write into a capture file.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Ppp => 9,
            Self::Pppoe => 51,
            Self::CiscoHdlc => 104,
            Self::RawIp => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
            Self::Unknown(other) => other,
        }
    }
}

/// A link header that says little more than what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkHeader {
    /// Its length in bytes.
    pub(super) len: usize,
    /// What follows.
    pub(super) ether_type: EtherType,
    /// The sender's hardware address, where there is one of six bytes.
    pub(super) source: Option<[u8; 6]>,
}

/// Reads the header of a frame that is neither Ethernet nor IP from its first byte on.
///
/// `etherparse` reads the first cooked header too, but only for hardware that it knows: it refuses loopback, PPP and tunnel
/// devices, which captures of the device `any` are full of.
///
/// # Errors
/// [`Undecoded`] where the header is cut, names no IP, or `link` has another kind of header.
pub(super) fn link_header(link: LinkType, bytes: &[u8]) -> Result<LinkHeader, Undecoded> {
    match link {
        LinkType::Null => null(bytes, |family| family.swap_bytes()),
        LinkType::Loop => null(bytes, |family| family),
        LinkType::Ppp => Ok(LinkHeader { len: 0, ether_type: PPP, source: None }),
        LinkType::Pppoe => Ok(LinkHeader { len: 0, ether_type: PPPOE_SESSION, source: None }),
        LinkType::CiscoHdlc => {
            let &[_, _, kind0, kind1] = head(bytes)?; // address, control, EtherType
            Ok(LinkHeader { len: 4, ether_type: EtherType(u16::from_be_bytes([kind0, kind1])), source: None })
        }
        LinkType::LinuxSll => linux_sll(bytes),
        LinkType::LinuxSll2 => linux_sll2(bytes),
        _ => Err(Undecoded::Link(link)),
    }
}

/// An address family of four bytes. `other_order` gives the second reading that is tried of what was read in network order.
fn null(bytes: &[u8], other_order: fn(u32) -> u32) -> Result<LinkHeader, Undecoded> {
    let family = u32::from_be_bytes(*head(bytes)?);
    let ether_type = ip_family(family).or_else(|| ip_family(other_order(family))).ok_or(Undecoded::Family(family))?;
    Ok(LinkHeader { len: 4, ether_type, source: None })
}

/// `AF_INET` is 2 everywhere; `AF_INET6` is 10 on Linux, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS.
const fn ip_family(family: u32) -> Option<EtherType> {
    match family {
        2 => Some(ether_type::IPV4),
        10 | 24 | 28 | 30 => Some(ether_type::IPV6),
        _ => None,
    }
}

/// LINKTYPE_LINUX_SLL: packet type, hardware type, address length, address, protocol.
fn linux_sll(bytes: &[u8]) -> Result<LinkHeader, Undecoded> {
    let &[_, _, _, _, l0, l1, a, b, c, d, e, f, _, _, p0, p1] = head(bytes)?;
    let source = (u16::from_be_bytes([l0, l1]) == 6).then_some([a, b, c, d, e, f]);
    Ok(LinkHeader { len: 16, ether_type: EtherType(u16::from_be_bytes([p0, p1])), source })
}

/// LINKTYPE_LINUX_SLL2: protocol, two reserved bytes, interface index, hardware type, packet type, address length, address.
fn linux_sll2(bytes: &[u8]) -> Result<LinkHeader, Undecoded> {
    let &[p0, p1, _, _, _, _, _, _, _, _, _, len, a, b, c, d, e, f, _, _] = head(bytes)?;
    let source = (len == 6).then_some([a, b, c, d, e, f]);
    Ok(LinkHeader { len: 20, ether_type: EtherType(u16::from_be_bytes([p0, p1])), source })
}

/// The first `N` bytes.
fn head<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], Undecoded> {
    let have = bytes.len() as u16; // fewer than N where it is told
    bytes.first_chunk().ok_or(Undecoded::Short { layer: Layer::Link, offset: 0, need: N as u16, have })
}
