//! One frame to one [`Packet`]: link, VLAN, IP, TCP or UDP, as far as the bytes go.
//!
//! Strict first: `etherparse`'s strict slices are the fast path and hold for every sound frame. Where they stop,
//! the lax ones run over the same bytes, so that a frame cut by a snaplen, or with one lying length,
//! still gives the headers that are there. What could not be decoded keeps its reason.

use std::net::IpAddr;

use etherparse::{
    EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, LinkSlice, NetSlice, SlicedPacket, TransportSlice,
    err::packet::SliceError, ip_number,
};

use super::{Frame, LinkType, TcpSegment};

/// What a frame says, as far as it could be read.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Sender's and receiver's hardware address, where the link has them.
    pub mac: Option<MacPair>,
    /// Outermost 802.1Q VLAN identifier, where there is one.
    pub vlan: Option<u16>,
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
    /// Receiver.
    pub destination: [u8; 6],
}

/// The fields of an IPv4 or IPv6 header that later stages use.
#[derive(Clone, Copy, Debug)]
pub struct IpHeader {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// IPv4 identification; 0 for IPv6, which has none.
    pub identification: u16,
}

/// The payload of an IP packet.
#[derive(Clone, Copy, Debug)]
pub enum Transport<'a> {
    /// A TCP segment.
    Tcp(TcpSegment<'a>),
    /// A UDP datagram: only its ports are used so far.
    Udp {
        /// Sending port.
        src_port: u16,
        /// Receiving port.
        dst_port: u16,
    },
    /// IP decoded, its payload not; see the reason.
    Other(Undecoded),
}

/// Why a frame, or the part of it behind IP, was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecoded {
    /// A link type that is not supported.
    #[error("link type {0:?} is not decoded")]
    Link(LinkType),
    /// Not IP: ARP, LLDP, spanning tree and the like.
    #[error("EtherType {0:#06x} is not IP")]
    NotIp(u16),
    /// An IP protocol that is not TCP or UDP.
    #[error("IP protocol {0} is neither TCP nor UDP")]
    Protocol(u8),
    /// A fragment of an IP packet.
    #[error("an IP fragment")]
    Fragment,
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
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Link => "link",
            Self::Ip => "IP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// Decodes one frame.
///
/// # Errors
/// [`Undecoded`] where not even an IP header could be read. Never panics, whatever the bytes.
pub fn decode<'a>(frame: &Frame<'a>) -> Result<Packet<'a>, Undecoded> {
    let strict = match frame.link {
        LinkType::Ethernet => SlicedPacket::from_ethernet(frame.bytes),
        LinkType::RawIp => SlicedPacket::from_ip(frame.bytes),
        LinkType::Unknown(_) => return Err(Undecoded::Link(frame.link)),
    };
    match strict {
        Ok(sliced) => from_strict(frame, &sliced),
        Err(error) => decode_lax(frame, &error),
    }
}

fn from_strict<'a>(frame: &Frame<'a>, sliced: &SlicedPacket<'a>) -> Result<Packet<'a>, Undecoded> {
    let (ip, payload, fragmented) = match &sliced.net {
        Some(NetSlice::Ipv4(v4)) => (ipv4(v4.header()), v4.payload(), v4.is_payload_fragmented()),
        Some(NetSlice::Ipv6(v6)) => (ipv6(v6.header()), v6.payload(), v6.is_payload_fragmented()),
        Some(NetSlice::Arp(_)) => return Err(Undecoded::NotIp(EtherType::ARP.0)),
        None => return Err(Undecoded::NotIp(sliced.payload_ether_type().map_or(0, |t| t.0))),
    };
    let transport = if fragmented {
        Transport::Other(Undecoded::Fragment)
    } else {
        match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => tcp_or_short(frame.bytes, tcp.slice(), tcp.slice().len() as u32),
            Some(TransportSlice::Udp(udp)) => Transport::Udp { src_port: udp.source_port(), dst_port: udp.destination_port() },
            _ => Transport::Other(Undecoded::Protocol(payload.ip_number.0)),
        }
    };
    Ok(Packet { mac: mac(sliced.link.as_ref()), vlan: sliced.vlan_ids().first().map(|id| id.value()), ip, transport })
}

/// The second look at a frame on which the strict slices stopped with `error`.
#[cold]
fn decode_lax<'a>(frame: &Frame<'a>, error: &SliceError) -> Result<Packet<'a>, Undecoded> {
    let sliced = match frame.link {
        LinkType::RawIp => LaxSlicedPacket::from_ip(frame.bytes).map_err(|_| reason(error))?,
        _ => LaxSlicedPacket::from_ethernet(frame.bytes).map_err(|_| reason(error))?,
    };
    let missing = frame.original_len.saturating_sub(frame.bytes.len() as u32);
    let (ip, payload, promised, fragmented) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(v4)) => {
            let promised = u32::from(v4.header().total_len()).saturating_sub(u32::from(v4.header().ihl()) * 4);
            (ipv4(v4.header()), v4.payload(), promised, v4.is_payload_fragmented())
        }
        Some(LaxNetSlice::Ipv6(v6)) => (ipv6(v6.header()), v6.payload(), 0, v6.is_payload_fragmented()),
        Some(LaxNetSlice::Arp(_)) => return Err(Undecoded::NotIp(EtherType::ARP.0)),
        None => return Err(reason(error)),
    };
    // What the snaplen took away was on the wire all the same. An IPv4 total length is exact (no Ethernet padding);
    // a total length of 0 is what segmentation offload leaves in frames captured on the sender.
    let there = payload.payload.len() as u32;
    let wire_len = if missing == 0 {
        there
    } else if promised > there {
        promised
    } else {
        there.saturating_add(missing)
    };
    let transport = if fragmented {
        Transport::Other(Undecoded::Fragment)
    } else {
        match payload.ip_number {
            ip_number::TCP => tcp_or_short(frame.bytes, payload.payload, wire_len),
            ip_number::UDP => udp_or_short(frame.bytes, payload.payload),
            IpNumber(other) => Transport::Other(Undecoded::Protocol(other)),
        }
    };
    Ok(Packet { mac: mac(sliced.link.as_ref()), vlan: sliced.vlan_ids().first().map(|id| id.value()), ip, transport })
}

fn tcp_or_short<'a>(frame: &[u8], bytes: &'a [u8], wire_len: u32) -> Transport<'a> {
    match TcpSegment::parse(bytes, wire_len) {
        Some(segment) => Transport::Tcp(segment),
        None => Transport::Other(short(Layer::Tcp, frame, bytes, 20)),
    }
}

fn udp_or_short<'a>(frame: &[u8], bytes: &'a [u8]) -> Transport<'a> {
    match bytes {
        &[a, b, c, d, ..] => Transport::Udp { src_port: u16::from_be_bytes([a, b]), dst_port: u16::from_be_bytes([c, d]) },
        _ => Transport::Other(short(Layer::Udp, frame, bytes, 8)),
    }
}

/// A header that does not fit into `bytes`, which are a part of `frame`.
fn short(layer: Layer, frame: &[u8], bytes: &[u8], need: u16) -> Undecoded {
    let offset = bytes.as_ptr().addr().wrapping_sub(frame.as_ptr().addr());
    Undecoded::Short { layer, offset: clamp(offset), need, have: clamp(bytes.len()) }
}

fn ipv4(header: etherparse::Ipv4HeaderSlice<'_>) -> IpHeader {
    IpHeader {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        identification: header.identification(),
    }
}

fn ipv6(header: etherparse::Ipv6HeaderSlice<'_>) -> IpHeader {
    IpHeader { source: header.source_addr().into(), destination: header.destination_addr().into(), identification: 0 }
}

fn mac(link: Option<&LinkSlice<'_>>) -> Option<MacPair> {
    match link? {
        LinkSlice::Ethernet2(ethernet) => Some(MacPair { source: ethernet.source(), destination: ethernet.destination() }),
        _ => None,
    }
}

fn reason(error: &SliceError) -> Undecoded {
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
            offset: clamp(e.layer_start_offset),
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
