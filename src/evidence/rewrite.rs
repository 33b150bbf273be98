//! Headers under pseudonyms.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use etherparse::{checksum::Sum16BitWords, ip_number};

use super::{CHECKSUM, UDP_CHECKSUM};
use crate::{
    pseudonym::Pseudonyms,
    wire::{Envelope, Layout, LinkType, WrapperKind},
};

/// Length of an IPv4 header without options in bytes (RFC 791 §3.1).
const IPV4: usize = 20;

/// Length of a TCP header without options in bytes (RFC 9293 §3.1).
const TCP: usize = 20;

/// Turns addresses into pseudonyms and remembers those of the flow.
pub(super) struct Rewriter<'a> {
    pseudonyms: &'a Pseudonyms,
    addresses: HashMap<IpAddr, IpAddr>,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(pseudonyms: &'a Pseudonyms) -> Self {
        Self { pseudonyms, addresses: HashMap::new() }
    }

    /// Changes the headers of a frame of `original_len` bytes on the wire; `None` where something is not where it should be, and the bytes are of no use then.
    pub(super) fn rewrite(&mut self, link: LinkType, bytes: &mut [u8], original_len: u32) -> Option<()> {
        let layout = Layout::of(link, bytes, original_len)?;
        for envelope in &layout.envelopes {
            self.envelope(envelope, bytes)?;
        }
        let (before, tcp) = bytes.get_mut(..layout.transport.end)?.split_at_mut_checked(layout.transport.start)?;
        if layout.is_udp {
            tcp.get_mut(UDP_CHECKSUM..)?.fill(0);
            return Some(());
        }
        blank_options(tcp.get_mut(TCP..)?);
        tcp.get_mut(CHECKSUM..CHECKSUM + 2)?.fill(0);
        let ip = layout.envelopes.last()?.ip.clone();
        if let Some(sum) = checksum(before.get(ip.start..)?, ip.len(), tcp) {
            tcp.get_mut(CHECKSUM..CHECKSUM + 2)?.copy_from_slice(&sum);
        }
        Some(())
    }

    /// The headers around a segment, or around a tunnel.
    fn envelope(&mut self, envelope: &Envelope, bytes: &mut [u8]) -> Option<()> {
        let link = bytes.get_mut(envelope.start..)?;
        match envelope.link {
            Some(LinkType::Ethernet) => {
                self.mac(link.get_mut(..6)?)?;
                self.mac(link.get_mut(6..12)?)?;
            }
            Some(LinkType::LinuxSll) => self.cooked(link, 4..6, 6..14)?,
            Some(LinkType::LinuxSll2) => self.cooked(link, 11..12, 12..20)?,
            Some(LinkType::Unknown(_)) => return None,
            Some(_) | None => {} // no address
        }
        for tag in &envelope.macsec {
            blank_channel(bytes.get_mut(tag.clone())?)?;
        }
        if !envelope.ip.is_empty() {
            self.ip(bytes.get_mut(envelope.ip.clone())?)?;
        }
        for extension in &envelope.extensions {
            // What follows and how long it is stays; zeros are valid in each: padding, no segments left, the only fragment.
            bytes.get_mut(extension.clone())?.get_mut(2..)?.fill(0);
        }
        let wrapper = bytes.get_mut(envelope.wrapper.clone())?;
        match envelope.kind {
            Some(WrapperKind::Geneve) => wrapper.get_mut(8..)?.fill(0), // options: zeros are such, of no length
            Some(WrapperKind::Gtp) => blank_extensions(wrapper.get_mut(8..)?),
            _ => {}
        }
        Some(())
    }

    fn mac(&self, bytes: &mut [u8]) -> Option<()> {
        let mac = bytes.try_into().ok()?;
        bytes.copy_from_slice(&self.pseudonyms.mac(mac));
        Some(())
    }

    /// The sender's address in a Linux cooked header: eight bytes, of which `length` says how many count. What is not a
    /// hardware address of six may be anything, a tunnel's IP address among it.
    fn cooked(&self, bytes: &mut [u8], length: Range<usize>, address: Range<usize>) -> Option<()> {
        let length = bytes.get(length)?.iter().fold(0, |length, byte| length << 8 | u32::from(*byte));
        let (mac, rest) = bytes.get_mut(address)?.split_at_mut_checked(6)?;
        rest.fill(0);
        if length == 6 {
            return self.mac(mac);
        }
        mac.fill(0);
        Some(())
    }

    /// An IPv4 header with its options, or the fixed header of IPv6.
    fn ip(&mut self, header: &mut [u8]) -> Option<()> {
        if header.first()? >> 4 == 4 {
            for place in [12..16, 16..20] {
                let octets: [u8; 4] = header.get(place.clone())?.try_into().ok()?;
                let IpAddr::V4(ip) = self.address(Ipv4Addr::from(octets).into()) else { return None };
                header.get_mut(place)?.copy_from_slice(&ip.octets());
            }
            header.get_mut(IPV4..)?.fill(1); // No Operation
            header.get_mut(10..12)?.fill(0);
            let sum = Sum16BitWords::new().add_slice(header).ones_complement();
            header.get_mut(10..12)?.copy_from_slice(&sum.to_ne_bytes());
        } else {
            for place in [8..24, 24..40] {
                let octets: [u8; 16] = header.get(place.clone())?.try_into().ok()?;
                let IpAddr::V6(ip) = self.address(Ipv6Addr::from(octets).into()) else { return None };
                header.get_mut(place)?.copy_from_slice(&ip.octets());
            }
        }
        Some(())
    }

    fn address(&mut self, ip: IpAddr) -> IpAddr {
        *self.addresses.entry(ip).or_insert_with(|| self.pseudonyms.ip(ip))
    }
}

/// The checksum of a TCP header whose own is 0 (RFC 9293 §3.1), behind an IP header and its extensions. `None` where there is
/// payload, or some of the header was not captured.
fn checksum(ip: &[u8], fixed: usize, tcp: &[u8]) -> Option<[u8; 2]> {
    let length = |at| Some(usize::from(u16::from_be_bytes([*ip.get(at)?, *ip.get(at + 1)?])));
    let (addresses, payload) = match ip.first()? >> 4 {
        4 => (ip.get(12..20)?, length(2)?.checked_sub(ip.len())?),
        _ => (ip.get(8..40)?, length(4)?.checked_sub(ip.len() - fixed)?),
    };
    if payload != tcp.len() || usize::from(*tcp.get(12)? >> 4) * 4 != tcp.len() {
        return None;
    }
    let [_, _, high, low] = (tcp.len() as u32).to_be_bytes(); // 60 at most
    let sum = Sum16BitWords::new().add_slice(addresses).add_2bytes([0, ip_number::TCP.0]).add_2bytes([high, low]);
    Some(sum.add_slice(tcp).ones_complement().to_ne_bytes())
}

/// Leaves the content of GTP's extension headers out; each begins with its length in words and ends with the type of the next
/// (TS 29.281 §5.2.1). They stand behind four bytes, the last of which is the first's type.
fn blank_extensions(bytes: &mut [u8]) {
    let mut rest = bytes.get_mut(4..).unwrap_or_default();
    while let Some(length) = rest.first().map(|words| 4 * usize::from(*words)).filter(|length| (4..=rest.len()).contains(length))
    {
        let (extension, others) = std::mem::take(&mut rest).split_at_mut(length);
        extension.get_mut(1..length - 1).unwrap_or_default().fill(0);
        rest = others;
    }
}

/// The secure channel identifier, where a MACsec tag has one: a hardware address and a port (IEEE 802.1AE §9.9).
fn blank_channel(tag: &mut [u8]) -> Option<()> {
    if tag.first()? & 0x20 != 0 {
        tag.get_mut(6..14)?.fill(0);
    }
    Some(())
}

/// Leaves the TCP options that measuring needs (RFC 9293 §3.2, RFC 7323, RFC 2018) and makes No Operation of all others: MPTCP's
/// and some load balancers' hold addresses.
fn blank_options(mut options: &mut [u8]) {
    loop {
        let length = match options {
            [] => return,
            [1, ..] => 1,
            [2, 4, ..] => 4,
            [3, 3, ..] => 3,
            [4, 2, ..] => 2,
            [5, length @ (10 | 18 | 26 | 34), ..] => usize::from(*length),
            [8, 10, ..] => 10,
            [0, ..] => {
                options.fill(0); // the end of the list; what follows has no meaning, or a hidden one
                return;
            }
            [_, length @ 2..=40, ..] => {
                let length = usize::from(*length);
                options.iter_mut().take(length).for_each(|byte| *byte = 1);
                length
            }
            _ => usize::MAX, // no option at all
        };
        if length > options.len() {
            options.fill(1); // damaged, or cut
            return;
        }
        options = std::mem::take(&mut options).split_at_mut(length).1;
    }
}
