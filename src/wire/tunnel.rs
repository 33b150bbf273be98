//! Packets within IP and within UDP.
//!
//! A UDP tunnel is known by its destination port, and by what its header must hold: a datagram in which that is not found is one
//! like any other.

use etherparse::{EtherType, IpNumber, ip_number};

use super::{
    Encapsulation, Frame, Layer, Packet, Undecoded, WrapperKind,
    decode::Part,
    gre::gre,
    header::{Header, Inner, MPLS, head, header_of, short},
    plain::plain,
};

/// Bytes of a UDP header, RFC 768.
pub(super) const UDP_HEADER: usize = 8;

/// Destination ports of tunnels (IANA's registry): GTP-U, GRE, VXLAN, Geneve, MPLS; 8472 is what Linux took for VXLAN before that had one.
const GTP_PORT: u16 = 2152;
const GRE_PORT: u16 = 4754;
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
const GENEVE_PORT: u16 = 6081;
const MPLS_PORT: u16 = 6635;

/// A packet that holds another one, tunnel header included.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel<'a> {
    /// How to read it.
    carrier: Carrier,
    /// What was captured of it.
    bytes: &'a [u8],
    /// Its length on the wire in bytes.
    len: u32,
}

/// What says how to read a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// An IP protocol.
    Ip(IpNumber),
    /// A UDP destination port; the UDP header is a part of the tunnel's.
    Udp(u16),
}

impl Carrier {
    /// Of an IP protocol, where it is a tunnel's.
    pub(super) const fn of_ip(protocol: IpNumber) -> Option<Self> {
        match protocol {
            ip_number::IPV4 | ip_number::IPV6 | ip_number::GRE | ip_number::ETHER_IP | ip_number::MPLS_IN_IP => {
                Some(Self::Ip(protocol))
            }
            _ => None,
        }
    }

    /// The header of a tunnel of `len` bytes on the wire.
    pub(super) fn header(self, bytes: &[u8], len: u32) -> Result<Header, Undecoded> {
        match self {
            Self::Ip(ip_number::GRE) => gre(bytes),
            Self::Ip(ip_number::MPLS_IN_IP) => header_of(MPLS, bytes, len),
            Self::Ip(ip_number::ETHER_IP) => match head(bytes, WrapperKind::EtherIp)? {
                [0x30, 0] => Ok(Header::new(WrapperKind::EtherIp, None, 2, Inner::Ethernet)),
                _ => Err(Undecoded::Malformed(Layer::Wrapper(WrapperKind::EtherIp))),
            },
            Self::Ip(_) => Ok(Header::new(WrapperKind::IpInIp, None, 0, Inner::Ip)),
            Self::Udp(port) => {
                let payload = bytes.get(UDP_HEADER..).unwrap_or_default();
                let header = of_udp(port, payload, len.saturating_sub(UDP_HEADER as u32))?;
                Ok(Header { len: UDP_HEADER + header.len, ..header })
            }
        }
    }
}

/// Whether datagrams to this port may hold packets.
#[inline]
pub(super) const fn is_tunnel_port(port: u16) -> bool {
    matches!(port, GTP_PORT | GRE_PORT | 4789 | 8472 | GENEVE_PORT | MPLS_PORT)
}

/// The tunnel that a datagram is, header included, of `len` bytes on the wire; `None` for one that only has its port. A header that
/// is cut so short that this cannot be said is taken for one.
#[cold]
pub(super) fn udp_tunnel(port: u16, bytes: &[u8], len: u32) -> Option<Tunnel<'_>> {
    let carrier = Carrier::Udp(port);
    let is_cut = (bytes.len() as u64) < u64::from(len);
    let header = carrier.header(bytes, len);
    match header {
        Ok(_) => {}
        Err(Undecoded::Short { .. }) if is_cut => {}
        Err(_) => return None,
    }
    Some(Tunnel { carrier, bytes, len })
}

/// An IP payload as a tunnel, where it is one.
pub(super) fn ip_tunnel(protocol: IpNumber, bytes: &[u8], len: u32) -> Option<Tunnel<'_>> {
    Some(Tunnel { carrier: Carrier::of_ip(protocol)?, bytes, len })
}

/// The header at the beginning of a datagram's payload.
fn of_udp(port: u16, bytes: &[u8], len: u32) -> Result<Header, Undecoded> {
    let not = Err(Undecoded::Protocol(ip_number::UDP.0));
    let header = match port {
        GTP_PORT => gtp(bytes, len)?,
        GENEVE_PORT => geneve(bytes)?,
        GRE_PORT => gre(bytes)?,
        MPLS_PORT => header_of(MPLS, bytes, len)?,
        port if VXLAN_PORTS.contains(&port) => vxlan(bytes)?,
        _ => return not,
    };
    let inner = bytes.get(header.len..).unwrap_or_default();
    let needed = if header.inner == Inner::Ethernet { 15 } else { 1 };
    if inner.len() < needed {
        return Err(short(Layer::Wrapper(header.wrapper.map_or(WrapperKind::Gre, |wrapper| wrapper.kind)), inner, needed));
    }
    if header.inner.is_plausible(inner) { Ok(header) } else { not }
}

/// Flags, of which one says that the identifier holds; it, in three bytes; a reserved byte (RFC 7348 §5). What is reserved is not
/// looked at: group policies and others use it.
fn vxlan(bytes: &[u8]) -> Result<Header, Undecoded> {
    let &[flags, _, _, _, a, b, c, _] = head(bytes, WrapperKind::Vxlan)?;
    if flags & 0x08 == 0 {
        return Err(Undecoded::Malformed(Layer::Wrapper(WrapperKind::Vxlan)));
    }
    Ok(Header::new(WrapperKind::Vxlan, Some(u32::from_be_bytes([0, a, b, c])), 8, Inner::Ethernet))
}

/// Version 0 and length of the options in words of four bytes; flags; EtherType; identifier in three bytes; reserved; options
/// (RFC 8926 §3.4).
fn geneve(bytes: &[u8]) -> Result<Header, Undecoded> {
    let &[first, flags, kind0, kind1, a, b, c, _] = head(bytes, WrapperKind::Geneve)?;
    if first >> 6 != 0 || flags & 0x3f != 0 {
        return Err(Undecoded::Malformed(Layer::Wrapper(WrapperKind::Geneve)));
    }
    let len = 8 + 4 * usize::from(first & 0x3f);
    if bytes.len() < len {
        return Err(short(Layer::Wrapper(WrapperKind::Geneve), bytes, len));
    }
    let inner = Inner::of(EtherType(u16::from_be_bytes([kind0, kind1])));
    Ok(Header::new(WrapperKind::Geneve, Some(u32::from_be_bytes([0, a, b, c])), len, inner))
}

/// Version 1 of GTP, not of GTP'; user data; length behind these eight bytes; endpoint; four more bytes where one of three flags
/// says so, and extension headers behind them (TS 29.281 §5.1, §5.2).
fn gtp(bytes: &[u8], len: u32) -> Result<Header, Undecoded> {
    let &[flags, kind, len0, len1, a, b, c, d] = head(bytes, WrapperKind::Gtp)?;
    let promised = 8 + u32::from(u16::from_be_bytes([len0, len1]));
    if flags & 0xf8 != 0x30 || kind != 0xff || promised > len {
        return Err(Undecoded::Malformed(Layer::Wrapper(WrapperKind::Gtp)));
    }
    let mut at = if flags & 7 == 0 { 8 } else { 12 };
    let cut = |need: usize| short(Layer::Wrapper(WrapperKind::Gtp), bytes, need);
    let mut next = if flags & 4 == 0 { 0 } else { *bytes.get(11).ok_or_else(|| cut(12))? };
    while next != 0 {
        let words = usize::from(*bytes.get(at).ok_or_else(|| cut(at + 1))?);
        if words == 0 {
            return Err(Undecoded::Malformed(Layer::Wrapper(WrapperKind::Gtp)));
        }
        at += 4 * words;
        next = *bytes.get(at - 1).ok_or_else(|| cut(at))?;
    }
    Ok(Header::new(WrapperKind::Gtp, Some(u32::from_be_bytes([a, b, c, d])), at, Inner::Ip))
}

/// Decodes the packet in a tunnel, of which `outer` is the outside. `frame` lends its number and time.
///
/// # Errors
/// [`Undecoded`] where a header is cut, impossible or of an unknown kind, or holds no IP packet; and where there are more than six
/// headers around the packet.
pub fn decode_tunnel<'a>(frame: &Frame<'_>, outer: &Packet<'_>, tunnel: &Tunnel<'a>) -> Result<Packet<'a>, Undecoded> {
    let header = tunnel.carrier.header(tunnel.bytes, tunnel.len)?;
    let Some(around) = outer.encapsulation.with_header(&header) else { return Err(Undecoded::Nested) };
    let bytes = tunnel.bytes.get(header.len..).unwrap_or_default();
    let original_len = tunnel.len.saturating_sub(header.len as u32);
    if header.inner == Inner::Ethernet
        && let Some(packet) = plain(bytes)
    {
        return Ok(Packet { encapsulation: around, ..packet });
    }
    let frame = Frame { bytes, original_len, ..*frame };
    Part { frame: &frame, bytes, mac: None, around }.decode(header.inner) // the tunnel's ends are not the session's
}

impl Encapsulation {
    /// The same with one more header; one that says nothing takes no place.
    pub(super) fn with_header(self, header: &Header) -> Option<Self> {
        match header.wrapper {
            Some(wrapper) => self.with(wrapper),
            None => Some(self),
        }
    }
}
