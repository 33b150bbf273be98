//! Packets within IP: generic routing encapsulation (RFC 2784), with key and sequence number (RFC 2890).

use etherparse::{EtherType, ether_type, ip_number};

use super::{Frame, Layer, LinkType, Packet, Undecoded, decode};

/// Bytes of the header without its optional fields.
const BASE: usize = 4;

/// EtherType of Ethernet frames in a tunnel (RFC 7637 §3.2: Transparent Ethernet Bridging).
const BRIDGED_ETHERNET: EtherType = EtherType(0x6558);

/// Tunnels within each other that are followed; deeper ones are nobody's network.
pub(super) const MAX_DEPTH: u8 = 4;

/// What a packet came wrapped in, beside its own link and IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encapsulation {
    /// Outermost 802.1Q VLAN identifier, where there is one; a tag of priority alone has none.
    pub vlan: Option<u16>,
    /// The innermost GRE tunnel.
    pub gre: Option<Tunnel>,
}

/// A GRE tunnel around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Its key, where it has one: tunnels between the same two ends are told apart by it.
    pub key: Option<u32>,
    /// How many tunnels there are, this one counted.
    depth: u8,
}

/// A GRE packet, header included.
#[derive(Clone, Copy, Debug)]
pub struct Gre<'a> {
    /// What was captured of it.
    pub(super) bytes: &'a [u8],
    /// Its length on the wire in bytes.
    pub(super) len: u32,
}

/// Decodes the packet in a tunnel, of which `outer` is the outside. `frame` lends its number and time.
///
/// # Errors
/// [`Undecoded`] where the header is cut, is of another version (PPTP's), or holds no IP packet; and where there are more
/// than four tunnels within each other.
pub fn decode_gre<'a>(frame: &Frame<'_>, outer: &Packet<'_>, gre: &Gre<'a>) -> Result<Packet<'a>, Undecoded> {
    let depth = outer.encapsulation.gre.map_or(0, |tunnel| tunnel.depth) + 1;
    if depth > MAX_DEPTH {
        return Err(Undecoded::Nested);
    }
    let (key, kind, header) = header(gre.bytes)?;
    let link = inner_link(kind).ok_or(Undecoded::NotIp(kind.0))?;
    let bytes = gre.bytes.get(header..).unwrap_or_default();
    let original_len = gre.len.saturating_sub(header as u32);
    let inner = decode(&Frame { number: frame.number, input: frame.input, time: frame.time, link, bytes, original_len })?;
    let vlan = outer.encapsulation.vlan.or(inner.encapsulation.vlan);
    Ok(Packet { encapsulation: Encapsulation { vlan, gre: Some(Tunnel { key, depth }) }, ..inner })
}

/// How to read what a tunnel carries; `None` where that is neither IP nor a frame.
pub(super) const fn inner_link(kind: EtherType) -> Option<LinkType> {
    match kind {
        ether_type::IPV4 | ether_type::IPV6 => Some(LinkType::RawIp),
        BRIDGED_ETHERNET => Some(LinkType::Ethernet),
        _ => None,
    }
}

/// Key, what follows, and how long the header is.
pub(super) fn header(bytes: &[u8]) -> Result<(Option<u32>, EtherType, usize), Undecoded> {
    let cut = |need: usize| Undecoded::Short { layer: Layer::Gre, offset: 0, need: need as u16, have: bytes.len() as u16 };
    let Some(&[flags, version, kind0, kind1]) = bytes.first_chunk::<BASE>() else { return Err(cut(BASE)) };
    if version & 7 != 0 {
        return Err(Undecoded::Protocol(ip_number::GRE.0));
    }
    let [checksum, routing, key, sequence] = [0x80, 0x40, 0x20, 0x10].map(|flag| flags & flag != 0);
    if routing {
        return Err(Undecoded::Malformed(Layer::Gre)); // RFC 1701's source routes: to be discarded (RFC 2784 §2.3)
    }
    let key_at = BASE + 4 * usize::from(checksum);
    let len = key_at + 4 * (usize::from(key) + usize::from(sequence));
    let optional = bytes.get(key_at..len).ok_or_else(|| cut(len))?;
    let key = optional.first_chunk().filter(|_| key).map(|key| u32::from_be_bytes(*key));
    Ok((key, EtherType(u16::from_be_bytes([kind0, kind1])), len))
}

#[cfg(test)]
#[path = "gre_tests.rs"]
mod tests;
