//! Frames as nearly all are: Ethernet II, IPv4 without options or IPv6 without extension headers, TCP or UDP that is no
//! tunnel, nothing cut, no length that lies. They are read here, by hand, in a fifth of the time; every other frame is `etherparse`'s, and a test holds
//! the two against each other.

use super::{Encapsulation, Ip, IpHeader, MacPair, Packet, TcpSegment, Transport, UdpDatagram, tunnel::is_tunnel_port};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Version 4, five words of header (RFC 791 §3.1).
const VERSION_AND_LENGTH: u8 = 0x45;

/// More fragments, and the offset; not the bit "do not fragment" (RFC 791 §3.1).
const FRAGMENT: u16 = 0x3fff;

/// The packet of such a frame; `None` for any other, which may well be sound.
#[inline(always)] // a packet that is returned as a whole is copied, and takes twice as long
pub(super) fn plain(bytes: &[u8]) -> Option<Packet<'_>> {
    let (link, rest) = bytes.split_first_chunk::<14>()?;
    let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, type0, type1] = link;
    let (ip, protocol, body) = match u16::from_be_bytes([type0, type1]) {
        IPV4 => ipv4(rest)?,
        IPV6 => ipv6(rest)?,
        _ => return None,
    };
    let transport = match protocol {
        TCP => Transport::Tcp(TcpSegment::whole(body)?),
        UDP => udp(body)?,
        _ => return None,
    };
    let mac = MacPair { source: [s0, s1, s2, s3, s4, s5], destination: Some([d0, d1, d2, d3, d4, d5]) };
    Some(Packet { mac: Some(mac), encapsulation: Encapsulation::default(), ip, transport })
}

#[inline(always)] // see `plain`
fn ipv4(bytes: &[u8]) -> Option<(IpHeader, u8, &[u8])> {
    let header: &[u8; 20] = bytes.first_chunk()?;
    let &[VERSION_AND_LENGTH, _, len0, len1, id0, id1, frag0, frag1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        header
    else {
        return None;
    };
    if u16::from_be_bytes([frag0, frag1]) & FRAGMENT != 0 {
        return None;
    }
    let body = bytes.get(20..usize::from(u16::from_be_bytes([len0, len1])))?;
    let ip = IpHeader {
        source: Ip::v4([s0, s1, s2, s3]),
        destination: Ip::v4([d0, d1, d2, d3]),
        identification: u16::from_be_bytes([id0, id1]),
        ttl,
    };
    Some((ip, protocol, body))
}

#[inline(always)] // see `plain`
fn ipv6(bytes: &[u8]) -> Option<(IpHeader, u8, &[u8])> {
    let (fixed, rest) = bytes.split_first_chunk::<8>()?;
    let (source, rest) = rest.split_first_chunk::<16>()?;
    let (destination, rest) = rest.split_first_chunk::<16>()?;
    let &[version, _, _, _, len0, len1, next, ttl] = fixed;
    let length = usize::from(u16::from_be_bytes([len0, len1]));
    if version >> 4 != 6 || length == 0 {
        return None; // a length of 0 stands for a jumbogram, or for offloading
    }
    let body = rest.get(..length)?;
    let ip = IpHeader { source: Ip::v6(*source), destination: Ip::v6(*destination), identification: 0, ttl };
    Some((ip, next, body))
}

#[inline(always)] // see `plain`
fn udp(bytes: &[u8]) -> Option<Transport<'_>> {
    let &[s0, s1, d0, d1, len0, len1, _, _] = bytes.first_chunk::<8>()?;
    let length = usize::from(u16::from_be_bytes([len0, len1]));
    let dst_port = u16::from_be_bytes([d0, d1]);
    let is_plain = (8..=bytes.len()).contains(&length) && !is_tunnel_port(dst_port);
    is_plain.then(|| {
        let (src_port, payload_len) = (u16::from_be_bytes([s0, s1]), length as u32 - 8);
        Transport::Udp(UdpDatagram { src_port, dst_port, payload_len, payload: bytes.get(8..length).unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        time::Timestamp,
        wire::{Frame, LinkType, decode::decode_any},
    };

    /// What is said of a frame with the hand-written path and without it.
    fn both(bytes: &[u8]) -> (Option<String>, String) {
        let frame = Frame {
            number: 0,
            input: 0,
            time: Timestamp::from_nanos(0),
            link: LinkType::Ethernet,
            bytes,
            original_len: bytes.len() as u32,
        };
        (
            plain(bytes).map(|packet| format!("{packet:?}")),
            decode_any(&frame).map_or_else(|e| e.to_string(), |p| format!("{p:?}")),
        )
    }

    fn frames() -> Vec<Vec<u8>> {
        let ethernet = || PacketBuilder::ethernet2([1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]);
        let v4 = || ethernet().ipv4([192, 0, 2, 1], [198, 51, 100, 2], 61);
        let v6 = || ethernet().ipv6([0x20; 16], [0x30; 16], 57);
        let mut frames = Vec::new();
        for payload in [&[][..], b"hello", &[0xaa; 300]] {
            let mut write = |step: &dyn Fn(&mut Vec<u8>)| {
                let mut bytes = Vec::new();
                step(&mut bytes);
                frames.push(bytes.clone());
                frames.push([bytes, vec![0; 9]].concat()); // padding of Ethernet
            };
            write(&|out| v4().tcp(50_000, 22, 7, 1000).ack(9).write(out, payload).unwrap());
            write(&|out| v6().tcp(50_000, 22, 7, 1000).syn().options_raw(&[2, 4, 5, 180]).unwrap().write(out, payload).unwrap());
            write(&|out| v4().udp(5353, 53).write(out, payload).unwrap());
            write(&|out| v6().udp(5353, 53).write(out, payload).unwrap());
        }
        frames
    }

    #[test]
    fn usual_frames_are_read_and_say_what_etherparse_says() {
        for bytes in frames() {
            let (fast, slow) = both(&bytes);
            assert_eq!(fast, Some(slow));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        /// Whatever it does not leave alone, it reads as `etherparse` does: frames with bytes changed, and cut.
        #[test]
        fn what_is_read_at_all_is_read_alike(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((0usize..80, any::<u8>()), 0..4),
            cut in 0usize..400,
        ) {
            let mut bytes = which.get(&frames()).clone();
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(cut);
            if let (Some(fast), slow) = both(&bytes) {
                prop_assert_eq!(fast, slow);
            }
        }
    }
}
