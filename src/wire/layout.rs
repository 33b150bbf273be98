//! Where the headers of a frame lie: for whoever keeps or changes bytes rather than reading them.

use std::ops::Range;

use etherparse::{IpNumber, Ipv6ExtensionSlice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, ip_number};

use super::{LinkType, gre, link::link_header};

/// Length of a TCP header without options in bytes (RFC 9293 §3.1).
const FIXED_HEADER: usize = 20;

/// The headers of a frame that carries a whole TCP segment, by their place in bytes from the frame's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What stands around the segment: tunnels, the outermost first.
    pub tunnels: Vec<Envelope>,
    /// Its own link and IP header.
    pub inner: Envelope,
    /// TCP with its options, as far as they were captured; at least the 20 bytes that are fixed.
    pub tcp: Range<usize>,
}

/// Link and IP headers around something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// How to read the first byte.
    pub link: LinkType,
    /// Where that is.
    pub start: usize,
    /// Security tags of MACsec (IEEE 802.1AE §9.3), which may name the sender's hardware address.
    pub macsec: Vec<Range<usize>>,
    /// IPv4 with its options, or the fixed header of IPv6.
    pub ip: Range<usize>,
    /// What stands between that and what it carries, header by header.
    pub extensions: Vec<Range<usize>>,
    /// GRE with its optional fields, around tunnels; empty otherwise.
    pub gre: Range<usize>,
}

impl Layout {
    /// Finds the headers of a frame. `None` for what [`decode`](super::decode()) and [`decode_gre`](super::decode_gre) do not
    /// find a TCP segment in: other protocols, fragments, headers that are cut.
    #[must_use]
    pub fn of(link: LinkType, bytes: &[u8]) -> Option<Self> {
        let mut tunnels = Vec::new();
        let (mut link, mut rest) = (link, bytes);
        loop {
            let (mut envelope, protocol, payload) = Envelope::of(link, rest, bytes)?;
            if protocol == ip_number::TCP {
                let promised = usize::from(payload.get(12)? >> 4) * 4;
                if promised < FIXED_HEADER || payload.len() < FIXED_HEADER {
                    return None;
                }
                let tcp = place(payload.get(..promised.min(payload.len()))?, bytes)?;
                return Some(Self { tunnels, inner: envelope, tcp });
            }
            if protocol != ip_number::GRE || tunnels.len() >= usize::from(gre::MAX_DEPTH) {
                return None;
            }
            let (_, kind, length) = gre::header(payload).ok()?;
            envelope.gre = place(payload.get(..length)?, bytes)?;
            tunnels.push(envelope);
            (link, rest) = (gre::inner_link(kind)?, payload.get(length..)?);
        }
    }

    /// All that stands around the segment, the outermost first.
    pub fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.tunnels.iter().chain([&self.inner])
    }
}

impl Envelope {
    /// The headers that `part` of a frame begins with, and what they carry.
    fn of<'a>(link: LinkType, part: &'a [u8], frame: &[u8]) -> Option<(Self, IpNumber, &'a [u8])> {
        let sliced = match link {
            LinkType::Ethernet => LaxSlicedPacket::from_ethernet(part).ok()?,
            LinkType::RawIp => LaxSlicedPacket::from_ip(part).ok()?,
            _ => {
                let header = link_header(link, part).ok()?;
                LaxSlicedPacket::from_ether_type(header.ether_type, part.get(header.len..)?)
            }
        };
        let macsec = sliced.link_exts.iter().filter_map(|extension| match extension {
            LaxLinkExtSlice::Macsec(macsec) => Some(place(macsec.header.slice(), frame)),
            LaxLinkExtSlice::Vlan(_) => None,
        });
        let macsec = macsec.collect::<Option<_>>()?;
        let (ip, extensions, payload) = match sliced.net.as_ref()? {
            LaxNetSlice::Ipv4(v4) if !v4.is_payload_fragmented() => {
                let extensions = v4.extensions().auth.iter().map(|header| place(header.slice(), frame)).collect::<Option<_>>()?;
                (place(v4.header().slice(), frame)?, extensions, v4.payload())
            }
            LaxNetSlice::Ipv6(v6) if !v6.is_payload_fragmented() => {
                let extensions = v6.extensions().clone().into_iter();
                let extensions = extensions.map(|header| place(extension_bytes(&header), frame)).collect::<Option<_>>()?;
                (place(v6.header().slice(), frame)?, extensions, v6.payload())
            }
            _ => return None,
        };
        let start = place(part, frame)?.start;
        Some((Self { link, start, macsec, ip, extensions, gre: 0..0 }, payload.ip_number, payload.payload))
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
