//! One frame to one [`Packet`]: link, VLAN, IP with its extension headers, TCP or UDP, as far as the bytes go.
//!
//! The usual frame is read by [`plain`]. `etherparse`'s strict slices hold for every other sound frame. Where they stop,
//! the lax ones run over the same bytes, so that a frame cut by a snaplen, or with one lying length,
//! still gives the headers that are there. What could not be decoded keeps its reason.

use etherparse::{
    EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, LinkExtSlice, LinkSlice, NetSlice, SlicedPacket, TransportSlice, VlanId,
    err::packet::SliceError, ip_number,
};

use super::{
    Encapsulation, Fragment, Frame, Gre, Ip, LinkType, TcpSegment,
    fragment::{ipv4_fragment, ipv6_fragment},
    link::link_header,
    plain::plain,
};

/// What a frame says, as far as it could be read.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The sender's hardware address and perhaps the receiver's, where the link has them.
    pub mac: Option<MacPair>,
    /// VLAN and tunnel.
    pub encapsulation: Encapsulation,
    /// The IP header.
    pub ip: IpHeader,
    /// What the IP packet carries.
    pub transport: Transport<'a>,
}

/// Source and destination hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacPair {
    /// Sender.
    pub source: [u8; 6],
    /// Receiver; Linux cooked captures do not tell it.
    pub destination: Option<[u8; 6]>,
}

/// The fields of an IPv4 or IPv6 header that later stages use.
#[derive(Clone, Copy, Debug)]
pub struct IpHeader {
    /// Sender.
    pub source: Ip,
    /// Receiver.
    pub destination: Ip,
    /// IPv4 identification; 0 for IPv6, which has none.
    pub identification: u16,
    /// IPv4 time to live or IPv6 hop limit.
    pub ttl: u8,
}

/// The payload of an IP packet.
#[derive(Clone, Copy, Debug)]
pub enum Transport<'a> {
    /// A TCP segment.
    Tcp(TcpSegment<'a>),
    /// A UDP datagram.
    Udp(UdpDatagram),
    /// A part of an IP packet, to be put together by whoever keeps the others.
    Fragment(Fragment<'a>),
    /// A packet in a tunnel, to be decoded by [`decode_gre`](super::decode_gre).
    Gre(Gre<'a>),
    /// IP decoded, its payload not; see the reason.
    Other(Undecoded),
}

/// What is used of a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDatagram {
    /// Sending port.
    pub src_port: u16,
    /// Receiving port.
    pub dst_port: u16,
    /// Bytes of its payload on the wire.
    pub payload_len: u32,
}

/// Why a frame, or the part of it behind IP, was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecoded {
    /// A link type that is not supported.
    #[error("link type {0:?} is not decoded")]
    Link(LinkType),
    /// An address family of a BSD loopback header that is not IP.
    #[error("address family {0:#x} is not IP")]
    Family(u32),
    /// Not IP: ARP, LLDP, spanning tree and the like.
    #[error("EtherType {0:#06x} is not IP")]
    NotIp(u16),
    /// An IP protocol that is not TCP, UDP or GRE.
    #[error("IP protocol {0} is none of TCP, UDP and GRE")]
    Protocol(u8),
    /// A fragment of a fragment, or one that does not say which.
    #[error("an IP fragment within a fragment")]
    Fragment,
    /// Too many tunnels within each other.
    #[error("tunnels are nested too deep")]
    Nested,
    /// A header that is cut or lies about a length.
    #[error("{layer} header at byte {offset}: {need} bytes needed, {have} there")]
    Short {
        /// The layer that could not be read.
        layer: Layer,
        /// Where it begins, in bytes from the start of the frame.
        offset: u16,
        /// Bytes that its header or its length field asks for.
        need: u16,
        /// Bytes that are there.
        have: u16,
    },
    /// A header whose content is impossible, such as IP version 9.
    #[error("{0} header holds impossible values")]
    Malformed(Layer),
}

/// A layer of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Ethernet, VLAN or MACsec.
    Link,
    /// IPv4, IPv6 or an extension header.
    Ip,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Generic routing encapsulation.
    Gre,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Link => "link",
            Self::Ip => "IP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Gre => "GRE",
        })
    }
}

/// Bytes of a UDP header, RFC 768.
const UDP_HEADER: u32 = 8;

/// Decodes one frame.
///
/// # Errors
/// [`Undecoded`] where not even an IP header could be read. Never panics, whatever the bytes.
#[inline(always)] // see `plain`
pub fn decode<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecoded> {
    match peek(frame) {
        Some(packet) => Ok(packet),
        None => decode_any(frame),
    }
}

/// The same where that takes little: for frames as nearly all are, and `None` for the others.
#[inline(always)] // see `plain`
#[must_use]
pub fn peek<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    if matches!(frame.link, LinkType::Ethernet) { plain(frame.bytes) } else { None }
}

/// The same for every frame, usual or not.
#[inline(never)]
pub(super) fn decode_any<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecoded> {
    let strict = match frame.link {
        LinkType::Ethernet => SlicedPacket::from_ethernet(frame.bytes),
        LinkType::RawIp => SlicedPacket::from_ip(frame.bytes),
        _ => return decode_other_link(frame),
    };
    match &strict {
        Ok(sliced) => from_strict(frame, sliced),
        Err(error) => decode_lax(frame, error),
    }
}

#[inline(always)] // the way of nearly every frame; not called a second time but for rare links
fn from_strict<'a>(frame: &Frame<'a>, sliced: &SlicedPacket<'a>) -> Result<Packet<'a>, Undecoded> {
    let (ip, payload) = match &sliced.net {
        Some(NetSlice::Ipv4(v4)) => (ipv4(v4.header()), v4.payload()),
        Some(NetSlice::Ipv6(v6)) => (ipv6(v6.header()), v6.payload()),
        Some(NetSlice::Arp(_)) => return Err(Undecoded::NotIp(EtherType::ARP.0)),
        None => return Err(Undecoded::NotIp(sliced.payload_ether_type().map_or(0, |t| t.0))),
    };
    let transport = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => tcp_or_short(frame.bytes, tcp.slice(), tcp.slice().len() as u32),
        Some(TransportSlice::Udp(udp)) => udp_or_short(frame.bytes, udp.slice(), udp.slice().len() as u32),
        _ => match &sliced.net {
            Some(NetSlice::Ipv4(v4)) if v4.is_payload_fragmented() => {
                ipv4_fragment(&v4.header(), payload.payload, payload.payload.len() as u32)
            }
            Some(NetSlice::Ipv6(v6)) if v6.is_payload_fragmented() => {
                ipv6_fragment(frame.bytes, v6.extensions(), payload.payload, 0)
            }
            _ => gre_or_other(payload.ip_number, payload.payload, payload.payload.len() as u32),
        },
    };
    let encapsulation = Encapsulation { vlan: outermost_vlan(&sliced.link_exts), gre: None };
    Ok(Packet { mac: mac(sliced.link.as_ref()), encapsulation, ip, transport })
}

/// A frame whose link header names what follows and perhaps the sender.
#[inline(never)]
fn decode_other_link<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecoded> {
    let header = link_header(frame.link, frame.bytes)?;
    let body = frame.bytes.get(header.len..).unwrap_or_default();
    let mut packet = match SlicedPacket::from_ether_type(header.ether_type, body) {
        Ok(sliced) => from_strict(frame, &sliced)?,
        Err(error) => {
            let sliced = LaxSlicedPacket::from_ether_type(header.ether_type, body);
            from_lax(frame, &sliced, || reason(&error, header.len))?
        }
    };
    packet.mac = header.source.map(|source| MacPair { source, destination: None });
    Ok(packet)
}

/// The second look at a frame on which the strict slices stopped with `error`.
#[cold]
fn decode_lax<'a>(frame: &Frame<'a>, error: &SliceError) -> Result<Packet<'a>, Undecoded> {
    let why = || reason(error, 0);
    let sliced = match frame.link {
        LinkType::RawIp => LaxSlicedPacket::from_ip(frame.bytes).map_err(|_| why())?,
        _ => LaxSlicedPacket::from_ethernet(frame.bytes).map_err(|_| why())?,
    };
    from_lax(frame, &sliced, why)
}

fn from_lax<'a>(
    frame: &Frame<'a>,
    sliced: &LaxSlicedPacket<'a>,
    why: impl FnOnce() -> Undecoded,
) -> Result<Packet<'a>, Undecoded> {
    let (ip, payload, promised) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(v4)) => {
            let promised = u32::from(v4.header().total_len()).saturating_sub(u32::from(v4.header().ihl()) * 4);
            (ipv4(v4.header()), v4.payload(), promised)
        }
        Some(LaxNetSlice::Ipv6(v6)) => {
            let promised = u32::from(v6.header().payload_length()).saturating_sub(v6.extensions().slice().len() as u32);
            (ipv6(v6.header()), v6.payload(), promised)
        }
        Some(LaxNetSlice::Arp(_)) => return Err(Undecoded::NotIp(EtherType::ARP.0)),
        None => return Err(why()),
    };
    let there = payload.payload.len() as u32;
    let wire_len = wire_len(there, promised, frame.original_len.saturating_sub(frame.bytes.len() as u32));
    let transport = match &sliced.net {
        Some(LaxNetSlice::Ipv4(v4)) if v4.is_payload_fragmented() => ipv4_fragment(&v4.header(), payload.payload, wire_len),
        Some(LaxNetSlice::Ipv6(v6)) if v6.is_payload_fragmented() => {
            ipv6_fragment(frame.bytes, v6.extensions(), payload.payload, wire_len.saturating_sub(there))
        }
        _ => match payload.ip_number {
            ip_number::TCP => tcp_or_short(frame.bytes, payload.payload, wire_len),
            ip_number::UDP => udp_or_short(frame.bytes, payload.payload, wire_len),
            other => gre_or_other(other, payload.payload, wire_len),
        },
    };
    let encapsulation = Encapsulation { vlan: vlan(sliced.vlan_ids().first().copied()), gre: None };
    Ok(Packet { mac: mac(sliced.link.as_ref()), encapsulation, ip, transport })
}

/// Length on the wire of an IP payload of which `there` bytes were captured, `promised` by the IP header, where the whole frame
/// lacks `missing` bytes.
///
/// What the snaplen took away was on the wire all the same. The IP header's length is exact (no Ethernet padding); a length of
/// 0 is what segmentation offload leaves in frames captured on the sender.
const fn wire_len(there: u32, promised: u32, missing: u32) -> u32 {
    if missing == 0 {
        there
    } else if promised > there {
        promised
    } else {
        there.saturating_add(missing)
    }
}

pub(super) fn tcp_or_short<'a>(frame: &[u8], bytes: &'a [u8], wire_len: u32) -> Transport<'a> {
    match TcpSegment::parse(bytes, wire_len) {
        Some(segment) => Transport::Tcp(segment),
        None => Transport::Other(short(Layer::Tcp, frame, bytes, 20)),
    }
}

pub(super) fn udp_or_short<'a>(frame: &[u8], bytes: &'a [u8], wire_len: u32) -> Transport<'a> {
    match bytes {
        &[a, b, c, d, ..] => Transport::Udp(UdpDatagram {
            src_port: u16::from_be_bytes([a, b]),
            dst_port: u16::from_be_bytes([c, d]),
            payload_len: wire_len.saturating_sub(UDP_HEADER),
        }),
        _ => Transport::Other(short(Layer::Udp, frame, bytes, 8)),
    }
}

pub(super) const fn gre_or_other(protocol: IpNumber, bytes: &[u8], len: u32) -> Transport<'_> {
    match protocol {
        ip_number::GRE => Transport::Gre(Gre { bytes, len }),
        IpNumber(other) => Transport::Other(Undecoded::Protocol(other)),
    }
}

/// A header that does not fit into `bytes`, which are a part of `frame`.
fn short(layer: Layer, frame: &[u8], bytes: &[u8], need: u16) -> Undecoded {
    let offset = bytes.as_ptr().addr().wrapping_sub(frame.as_ptr().addr());
    Undecoded::Short { layer, offset: clamp(offset), need, have: clamp(bytes.len()) }
}

fn ipv4(header: etherparse::Ipv4HeaderSlice<'_>) -> IpHeader {
    IpHeader {
        source: Ip::v4(header.source()),
        destination: Ip::v4(header.destination()),
        identification: header.identification(),
        ttl: header.ttl(),
    }
}

fn ipv6(header: etherparse::Ipv6HeaderSlice<'_>) -> IpHeader {
    IpHeader {
        source: Ip::v6(header.source()),
        destination: Ip::v6(header.destination()),
        identification: 0,
        ttl: header.hop_limit(),
    }
}

fn mac(link: Option<&LinkSlice<'_>>) -> Option<MacPair> {
    match link? {
        LinkSlice::Ethernet2(ethernet) => Some(MacPair { source: ethernet.source(), destination: Some(ethernet.destination()) }),
        _ => None,
    }
}

fn outermost_vlan(extensions: &[LinkExtSlice<'_>]) -> Option<u16> {
    vlan(extensions.iter().find_map(|extension| match extension {
        LinkExtSlice::Vlan(tag) => Some(tag.vlan_identifier()),
        LinkExtSlice::Macsec(_) => None,
    }))
}

/// Identifier 0 is a tag that carries a priority and no VLAN (IEEE 802.1Q §9.6).
fn vlan(outermost: Option<VlanId>) -> Option<u16> {
    outermost.map(|id| id.value()).filter(|id| *id != 0)
}

/// Why `etherparse` stopped, `skipped` bytes behind the start of the frame.
fn reason(error: &SliceError, skipped: usize) -> Undecoded {
    match error {
        SliceError::Len(e) => Undecoded::Short {
            layer: match e.layer {
                etherparse::err::Layer::TcpHeader => Layer::Tcp,
                etherparse::err::Layer::UdpHeader | etherparse::err::Layer::UdpPayload => Layer::Udp,
                etherparse::err::Layer::Ethernet2Header
                | etherparse::err::Layer::VlanHeader
                | etherparse::err::Layer::MacsecHeader
                | etherparse::err::Layer::MacsecPacket
                | etherparse::err::Layer::EtherPayload => Layer::Link,
                _ => Layer::Ip,
            },
            offset: clamp(e.layer_start_offset.saturating_add(skipped)),
            need: clamp(e.required_len),
            have: clamp(e.len),
        },
        SliceError::Macsec(_) | SliceError::LinuxSll(_) => Undecoded::Malformed(Layer::Link),
        SliceError::Tcp(_) => Undecoded::Malformed(Layer::Tcp),
        _ => Undecoded::Malformed(Layer::Ip),
    }
}

fn clamp(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
