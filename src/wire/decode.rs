//! One frame to one [`Packet`]: link, what stands between it and IP, IP with its extension headers, TCP or UDP, as far as the bytes
//! go.
//!
//! The usual frame is read by [`plain`]. `etherparse`'s strict slices hold for every other sound frame. Where they stop,
//! the lax ones run over the same bytes, so that a frame cut by a snaplen, or with one lying length,
//! still gives the headers that are there. What could not be decoded keeps its reason.

use etherparse::{
    EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, LinkSlice, NetSlice, SlicedPacket, TransportSlice, VlanId,
    err::packet::SliceError, ip_number,
};

use super::{
    Encapsulation, Fragment, Frame, Ip, LinkType, TcpSegment, Tunnel, WrapperKind,
    fragment::{ipv4_fragment, ipv6_fragment},
    header::{Inner, header_of},
    link::link_header,
    plain::plain,
    tunnel::{UDP_HEADER, ip_tunnel, is_tunnel_port, udp_tunnel},
};

/// What a frame says, as far as it could be read.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The sender's hardware address and perhaps the receiver's, where the link has them.
    pub mac: Option<MacPair>,
    /// What stands around it.
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
    Udp(UdpDatagram<'a>),
    /// A part of an IP packet, to be put together by whoever keeps the others.
    Fragment(Fragment<'a>),
    /// A packet in a tunnel, to be decoded by [`decode_tunnel`](super::decode_tunnel).
    Tunnel(Tunnel<'a>),
    /// IP decoded, its payload not; see the reason.
    Other(Undecoded),
}

/// What is used of a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// Sending port.
    pub src_port: u16,
    /// Receiving port.
    pub dst_port: u16,
    /// Bytes of its payload on the wire.
    pub payload_len: u32,
    /// Those of them that were captured.
    pub payload: &'a [u8],
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
    /// An IP protocol that is not TCP or UDP, and no tunnel that is known.
    #[error("IP protocol {0} is none of TCP, UDP and tunnels")]
    Protocol(u8),
    /// A fragment of a fragment, or one that does not say which.
    #[error("an IP fragment within a fragment")]
    Fragment,
    /// Too many headers around each other.
    #[error("headers are nested too deep")]
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
    /// One that stands around something.
    Wrapper(WrapperKind),
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Link => "link",
            Self::Ip => "IP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Wrapper(kind) => kind.name(),
        })
    }
}

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
    let (inner, len, source) = match frame.link {
        LinkType::Ethernet => (Inner::Ethernet, 0, None),
        LinkType::RawIp => (Inner::Ip, 0, None),
        other => {
            let header = link_header(other, frame.bytes)?;
            (Inner::Typed(header.ether_type), header.len, header.source)
        }
    };
    let bytes = frame.bytes.get(len..).unwrap_or_default();
    let mac = source.map(|source| MacPair { source, destination: None });
    Part { frame, bytes, mac, around: Encapsulation::default() }.decode(inner)
}

/// A frame, or what a tunnel holds, from some header on.
#[derive(Clone, Copy)]
pub(super) struct Part<'f, 'a> {
    /// All of it.
    pub(super) frame: &'f Frame<'a>,
    /// What of its bytes is left.
    pub(super) bytes: &'a [u8],
    /// Of the last Ethernet header, or what stands for one.
    pub(super) mac: Option<MacPair>,
    /// The headers that were read, and those around all of it.
    pub(super) around: Encapsulation,
}

/// What the bytes of a part led to.
enum Found<'f, 'a> {
    Packet(Packet<'a>),
    /// A header that is not IP's, and perhaps stands around it.
    Header(EtherType, Part<'f, 'a>),
}

impl<'f, 'a> Part<'f, 'a> {
    /// Reads header by header until there is IP. Each header takes bytes away.
    pub(super) fn decode(mut self, mut inner: Inner) -> Result<Packet<'a>, Undecoded> {
        loop {
            let (kind, part) = match self.slice(inner)? {
                Found::Packet(packet) => return Ok(packet),
                Found::Header(kind, part) => (kind, part),
            };
            let header = header_of(kind, part.bytes, (part.bytes.len() as u32).saturating_add(self.missing()))?;
            let around = part.around.with_header(&header).ok_or(Undecoded::Nested)?;
            self = Self { bytes: part.bytes.get(header.len..).unwrap_or_default(), around, ..part };
            inner = header.inner;
        }
    }

    /// Bytes of the frame that were not captured.
    fn missing(&self) -> u32 {
        self.frame.original_len.saturating_sub(self.frame.bytes.len() as u32)
    }

    fn slice(self, inner: Inner) -> Result<Found<'f, 'a>, Undecoded> {
        let bytes = self.bytes;
        let strict = match inner {
            Inner::Ethernet => SlicedPacket::from_ethernet(bytes),
            Inner::Ip => SlicedPacket::from_ip(bytes),
            Inner::Typed(kind) => SlicedPacket::from_ether_type(kind, bytes),
        };
        match &strict {
            Ok(sliced) => self.packet_of(sliced),
            Err(error) => self.slice_lax(inner, error),
        }
    }

    fn packet_of(self, sliced: &SlicedPacket<'a>) -> Result<Found<'f, 'a>, Undecoded> {
        let around = self.with_vlans(sliced.vlan_ids())?;
        let mac = mac(sliced.link.as_ref()).or(self.mac);
        let (ip, payload) = match &sliced.net {
            Some(NetSlice::Ipv4(v4)) => (ipv4(v4.header()), v4.payload()),
            Some(NetSlice::Ipv6(v6)) => (ipv6(v6.header()), v6.payload()),
            Some(NetSlice::Arp(_)) => return Err(Undecoded::NotIp(EtherType::ARP.0)),
            None => {
                let payload = sliced.ether_payload().ok_or(Undecoded::NotIp(0))?; // encrypted
                return Ok(Found::Header(payload.ether_type, Self { bytes: payload.payload, mac, around, ..self }));
            }
        };
        let bytes = self.frame.bytes;
        let transport = match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => tcp_or_short(bytes, tcp.slice(), tcp.slice().len() as u32),
            Some(TransportSlice::Udp(udp)) => udp_or_short(bytes, udp.slice(), udp.slice().len() as u32),
            _ => match &sliced.net {
                Some(NetSlice::Ipv4(v4)) if v4.is_payload_fragmented() => {
                    ipv4_fragment(&v4.header(), payload.payload, payload.payload.len() as u32)
                }
                Some(NetSlice::Ipv6(v6)) if v6.is_payload_fragmented() => {
                    ipv6_fragment(bytes, v6.extensions(), payload.payload, 0)
                }
                _ => tunnel_or_other(payload.ip_number, payload.payload, payload.payload.len() as u32),
            },
        };
        Ok(Found::Packet(Packet { mac, encapsulation: around, ip, transport }))
    }

    /// The second look at bytes on which the strict slices stopped with `error`.
    #[cold]
    fn slice_lax(self, inner: Inner, error: &SliceError) -> Result<Found<'f, 'a>, Undecoded> {
        let why = || reason(error, self.frame.bytes.len() - self.bytes.len());
        let sliced = match inner {
            Inner::Ip => LaxSlicedPacket::from_ip(self.bytes).map_err(|_| why())?,
            Inner::Ethernet => LaxSlicedPacket::from_ethernet(self.bytes).map_err(|_| why())?,
            Inner::Typed(kind) => LaxSlicedPacket::from_ether_type(kind, self.bytes),
        };
        self.packet_of_lax(&sliced, why)
    }

    fn packet_of_lax(self, sliced: &LaxSlicedPacket<'a>, why: impl FnOnce() -> Undecoded) -> Result<Found<'f, 'a>, Undecoded> {
        let around = self.with_vlans(sliced.vlan_ids())?;
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
        let (bytes, there) = (self.frame.bytes, payload.payload.len() as u32);
        let wire_len = wire_len(there, promised, self.missing(), around.may_be_cut());
        let transport = match &sliced.net {
            Some(LaxNetSlice::Ipv4(v4)) if v4.is_payload_fragmented() => ipv4_fragment(&v4.header(), payload.payload, wire_len),
            Some(LaxNetSlice::Ipv6(v6)) if v6.is_payload_fragmented() => {
                ipv6_fragment(bytes, v6.extensions(), payload.payload, wire_len.saturating_sub(there))
            }
            _ => match payload.ip_number {
                ip_number::TCP => tcp_or_short(bytes, payload.payload, wire_len),
                ip_number::UDP => udp_or_short(bytes, payload.payload, wire_len),
                other => tunnel_or_other(other, payload.payload, wire_len),
            },
        };
        let mac = mac(sliced.link.as_ref()).or(self.mac);
        Ok(Found::Packet(Packet { mac, encapsulation: around, ip, transport }))
    }

    fn with_vlans(&self, ids: impl IntoIterator<Item = VlanId>) -> Result<Encapsulation, Undecoded> {
        ids.into_iter().try_fold(self.around, |around, id| around.with_vlan(id.value())).ok_or(Undecoded::Nested)
    }
}

/// Length on the wire of an IP payload of which `there` bytes were captured, `promised` by the IP header, where the whole frame
/// lacks `missing` bytes.
///
/// What the snaplen took away was on the wire all the same. The IP header's length is exact (no Ethernet padding); a length of
/// 0 is what segmentation offload leaves in frames captured on the sender. A tunnel's end may cut what it mirrors, and the frame
/// tells nothing of that.
pub(super) const fn wire_len(there: u32, promised: u32, missing: u32, may_be_cut: bool) -> u32 {
    if promised > there && (missing > 0 || may_be_cut) {
        promised
    } else if missing == 0 {
        there
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
    let &[a, b, c, d, ..] = bytes else { return Transport::Other(short(Layer::Udp, frame, bytes, UDP_HEADER as u16)) };
    let [src_port, dst_port] = [[a, b], [c, d]].map(u16::from_be_bytes);
    let tunnel = if is_tunnel_port(dst_port) { udp_tunnel(dst_port, bytes, wire_len) } else { None };
    let payload_len = wire_len.saturating_sub(UDP_HEADER as u32);
    let payload = bytes.get(UDP_HEADER..).unwrap_or_default();
    tunnel.map_or(Transport::Udp(UdpDatagram { src_port, dst_port, payload_len, payload }), Transport::Tunnel)
}

pub(super) fn tunnel_or_other(protocol: IpNumber, bytes: &[u8], len: u32) -> Transport<'_> {
    ip_tunnel(protocol, bytes, len).map_or(Transport::Other(Undecoded::Protocol(protocol.0)), Transport::Tunnel)
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
