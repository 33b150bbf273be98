//! Where the headers of a frame lie: for whoever keeps or changes bytes rather than reading them.

use std::ops::Range;

use etherparse::{EtherType, IpNumber, Ipv6ExtensionSlice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, ip_number};

use super::{
    Encapsulation, LinkType, WrapperKind,
    decode::wire_len,
    header::{Header, Inner, header_of},
    link::link_header,
    tunnel::{Carrier, UDP_HEADER, is_tunnel_port, udp_tunnel},
};

/// Length of a TCP header without options in bytes (RFC 9293 §3.1).
const FIXED_HEADER: usize = 20;

/// The headers of a frame that carries a whole TCP segment or UDP datagram, by their place in bytes from the frame's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What stands before the segment or datagram, the outermost first; the last is its own.
    pub envelopes: Vec<Envelope>,
    /// Whether that is a datagram.
    pub is_udp: bool,
    /// TCP with its options, as far as they were captured, at least the 20 bytes that are fixed; or the 8 bytes of UDP.
    pub transport: Range<usize>,
}

/// Link and IP headers before something, or one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// How to read the first byte; `None` where a header before has said what follows.
    pub link: Option<LinkType>,
    /// Where that is.
    pub start: usize,
    /// Security tags of MACsec (IEEE 802.1AE §9.3), which may name the sender's hardware address.
    pub macsec: Vec<Range<usize>>,
    /// IPv4 with its options, or the fixed header of IPv6; empty where there is none.
    pub ip: Range<usize>,
    /// What stands between that and what it carries, header by header.
    pub extensions: Vec<Range<usize>>,
    /// The UDP header of a tunnel; empty where there is none.
    pub udp: Range<usize>,
    /// The header around the next envelope, with all of its fields; empty at the segment's own.
    pub wrapper: Range<usize>,
    /// Which kind of header that is; `None` for one that only says what follows.
    pub kind: Option<WrapperKind>,
}

/// What an envelope holds.
enum Held<'a> {
    Ip(IpNumber, &'a [u8], u32),
    Other(EtherType, &'a [u8]),
}

/// What is left of a frame.
struct Rest<'a> {
    bytes: &'a [u8],
    inner: Inner,
    around: Encapsulation,
    /// Bytes of the frame that were not captured.
    missing: u32,
}

impl Layout {
    /// Finds the headers of a frame of `original_len` bytes on the wire. `None` for what [`decode`](super::decode()) and
    /// [`decode_tunnel`](super::decode_tunnel) do not find a segment or datagram in: other protocols, fragments, headers that are cut.
    #[must_use]
    pub fn of(link: LinkType, bytes: &[u8], original_len: u32) -> Option<Self> {
        let mut envelopes = Vec::new();
        let (skipped, inner) = match link {
            LinkType::Ethernet => (0, Inner::Ethernet),
            LinkType::RawIp => (0, Inner::Ip),
            _ => link_header(link, bytes).ok().map(|header| (header.len, Inner::Typed(header.ether_type)))?,
        };
        let missing = original_len.saturating_sub(bytes.len() as u32);
        let mut rest = Rest { bytes: bytes.get(skipped..)?, inner, around: Encapsulation::default(), missing };
        loop {
            let (mut envelope, held) = Envelope::of(&mut rest, bytes)?;
            if envelopes.is_empty() {
                envelope = Envelope { link: Some(link), start: 0, ..envelope };
            }
            let (header, payload) = match held {
                Held::Ip(ip_number::TCP, payload, _) => {
                    let promised = usize::from(payload.get(12)? >> 4) * 4;
                    if promised < FIXED_HEADER || payload.len() < FIXED_HEADER {
                        return None;
                    }
                    let transport = place(payload.get(..promised.min(payload.len()))?, bytes)?;
                    envelopes.push(envelope);
                    return Some(Self { envelopes, is_udp: false, transport });
                }
                Held::Ip(ip_number::UDP, payload, len) => {
                    let port = u16::from_be_bytes([*payload.get(2)?, *payload.get(3)?]);
                    let udp = place(payload.get(..UDP_HEADER)?, bytes)?;
                    if !is_tunnel_port(port) || udp_tunnel(port, payload, len).is_none() {
                        envelopes.push(envelope);
                        return Some(Self { envelopes, is_udp: true, transport: udp });
                    }
                    let header = Carrier::Udp(port).header(payload, len).ok()?;
                    envelope.udp = udp;
                    (Header { len: header.len - UDP_HEADER, ..header }, payload.get(UDP_HEADER..)?)
                }
                Held::Ip(protocol, payload, len) => (Carrier::of_ip(protocol)?.header(payload, len).ok()?, payload),
                Held::Other(kind, payload) => {
                    (header_of(kind, payload, (payload.len() as u32).saturating_add(missing)).ok()?, payload)
                }
            };
            envelope.wrapper = place(payload.get(..header.len)?, bytes)?;
            envelope.kind = header.wrapper.map(|wrapper| wrapper.kind);
            envelopes.push(envelope);
            let around = rest.around.with_header(&header)?;
            rest = Rest { bytes: payload.get(header.len..)?, inner: header.inner, around, missing };
        }
    }
}

impl Envelope {
    /// The headers that what is left of a frame begins with, and what they carry.
    fn of<'a>(rest: &mut Rest<'a>, frame: &[u8]) -> Option<(Self, Held<'a>)> {
        let sliced = match rest.inner {
            Inner::Ethernet => LaxSlicedPacket::from_ethernet(rest.bytes).ok()?,
            Inner::Ip => LaxSlicedPacket::from_ip(rest.bytes).ok()?,
            Inner::Typed(kind) => LaxSlicedPacket::from_ether_type(kind, rest.bytes),
        };
        rest.around = sliced.vlan_ids().into_iter().try_fold(rest.around, |around, id| around.with_vlan(id.value()))?;
        let macsec = sliced.link_exts.iter().filter_map(|extension| match extension {
            LaxLinkExtSlice::Macsec(macsec) => Some(place(macsec.header.slice(), frame)),
            LaxLinkExtSlice::Vlan(_) => None,
        });
        let envelope = Self {
            link: (rest.inner == Inner::Ethernet).then_some(LinkType::Ethernet),
            start: place(rest.bytes, frame)?.start,
            macsec: macsec.collect::<Option<_>>()?,
            ..Self::default()
        };
        let Some(net) = &sliced.net else {
            let payload = sliced.ether_payload()?;
            return Some((envelope, Held::Other(payload.ether_type, payload.payload)));
        };
        let (ip, extensions, payload, promised) = match net {
            LaxNetSlice::Ipv4(v4) if !v4.is_payload_fragmented() => {
                let extensions = v4.extensions().auth.iter().map(|header| place(header.slice(), frame)).collect::<Option<_>>()?;
                let promised = u32::from(v4.header().total_len()).saturating_sub(u32::from(v4.header().ihl()) * 4);
                (place(v4.header().slice(), frame)?, extensions, v4.payload(), promised)
            }
            LaxNetSlice::Ipv6(v6) if !v6.is_payload_fragmented() => {
                let extensions = v6.extensions().clone().into_iter();
                let extensions = extensions.map(|header| place(extension_bytes(&header), frame)).collect::<Option<_>>()?;
                let promised = u32::from(v6.header().payload_length()).saturating_sub(v6.extensions().slice().len() as u32);
                (place(v6.header().slice(), frame)?, extensions, v6.payload(), promised)
            }
            _ => return None,
        };
        let len = wire_len(payload.payload.len() as u32, promised, rest.missing, rest.around.may_be_cut());
        Some((Self { ip, extensions, ..envelope }, Held::Ip(payload.ip_number, payload.payload, len)))
    }
}

/// Where a part of a frame lies in it.
fn place(part: &[u8], frame: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(frame.as_ptr().addr())?;
    let end = start.checked_add(part.len()).filter(|end| *end <= frame.len())?;
    Some(start..end)
}

fn extension_bytes<'a>(header: &Ipv6ExtensionSlice<'a>) -> &'a [u8] {
    match header {
        Ipv6ExtensionSlice::HopByHop(header)
        | Ipv6ExtensionSlice::Routing(header)
        | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice(),
        Ipv6ExtensionSlice::Fragment(header) => header.slice(),
        Ipv6ExtensionSlice::Authentication(header) => header.slice(),
    }
}
