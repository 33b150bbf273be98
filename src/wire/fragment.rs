//! Fragments of IP packets, and what a packet carries once they are together again.

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6ExtensionSlice, Ipv6ExtensionsSlice, ip_number};

use super::{
    Transport, Undecoded,
    decode::{tcp_or_short, tunnel_or_other, udp_or_short},
    tunnel::Carrier,
};

/// One fragment of an IP packet (RFC 791 §3.2, RFC 8200 §4.5). Only packets that may hold TCP, UDP or a tunnel are told so; fragments
/// of others are [`Undecoded::Protocol`].
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Which packet of its sender it belongs to; 16 bits in IPv4, 32 in IPv6.
    pub identification: u32,
    /// What the packet carries, as this fragment says: an IP protocol number, in IPv6 perhaps of one more extension header.
    pub protocol: u8,
    /// Where its first byte stands in the packet's payload, in bytes.
    pub offset: u32,
    /// Whether more follow behind it.
    pub more: bool,
    /// What was captured of its payload.
    pub bytes: &'a [u8],
    /// Length of its payload on the wire in bytes: more than `bytes` holds where the frame was cut.
    pub len: u32,
}

/// Whether a packet of this protocol is worth putting together.
fn may_hold(protocol: IpNumber) -> bool {
    matches!(protocol, ip_number::TCP | ip_number::UDP) || Carrier::of_ip(protocol).is_some()
}

/// A fragment of an IPv4 packet, as a transport.
#[cold]
pub(super) fn ipv4_fragment<'a>(header: &Ipv4HeaderSlice<'_>, bytes: &'a [u8], len: u32) -> Transport<'a> {
    let protocol = header.protocol();
    if !may_hold(protocol) {
        return Transport::Other(Undecoded::Protocol(protocol.0));
    }
    Transport::Fragment(Fragment {
        identification: u32::from(header.identification()),
        protocol: protocol.0,
        offset: u32::from(header.fragments_offset().value()) * 8,
        more: header.more_fragments(),
        bytes,
        len,
    })
}

/// A fragment of an IPv6 packet, as a transport.
///
/// `etherparse` reads extension headers on behind the fragment header, where all fragments but the first hold something
/// else; so the payload is taken anew, from there to the end of `payload`, which like `extensions` is a part of `frame`.
/// `missing` bytes behind it were cut off.
#[cold]
pub(super) fn ipv6_fragment<'a>(
    frame: &'a [u8],
    extensions: &Ipv6ExtensionsSlice<'a>,
    payload: &'a [u8],
    missing: u32,
) -> Transport<'a> {
    let header = extensions.clone().into_iter().find_map(|extension| match extension {
        Ipv6ExtensionSlice::Fragment(header) => Some(header),
        _ => None,
    });
    let Some(header) = header else { return Transport::Other(Undecoded::Fragment) };
    let place = |part: &[u8]| part.as_ptr().addr().wrapping_sub(frame.as_ptr().addr()).wrapping_add(part.len());
    let Some(bytes) = frame.get(place(header.slice())..place(payload)) else { return Transport::Other(Undecoded::Fragment) };
    let protocol = header.next_header();
    let is_extension = matches!(protocol, ip_number::IPV6_DEST_OPTIONS | ip_number::IPV6_ROUTE | ip_number::AUTH);
    if !is_extension && !may_hold(protocol) {
        return Transport::Other(Undecoded::Protocol(protocol.0));
    }
    Transport::Fragment(Fragment {
        identification: header.identification(),
        protocol: protocol.0,
        offset: u32::from(header.fragment_offset().value()) * 8,
        more: header.more_fragments(),
        bytes,
        len: (bytes.len() as u32).saturating_add(missing),
    })
}

/// What a packet carries that was put together from fragments: never a fragment again.
///
/// `protocol` is that of its first fragment, `bytes` what was captured without a hole, `len` its length on the wire.
#[must_use]
pub fn decode_reassembled(protocol: u8, bytes: &[u8], len: u32) -> Transport<'_> {
    let (extensions, protocol, rest, _) = Ipv6ExtensionsSlice::from_slice_lax(IpNumber(protocol), bytes);
    let len = len.saturating_sub((bytes.len() - rest.len()) as u32);
    match protocol {
        _ if extensions.is_fragmenting_payload() => Transport::Other(Undecoded::Fragment),
        ip_number::TCP => tcp_or_short(bytes, rest, len),
        ip_number::UDP => udp_or_short(bytes, rest, len),
        other => tunnel_or_other(other, rest, len),
    }
}
