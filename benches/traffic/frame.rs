//! From segments to Ethernet frames, with checksums.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder, TcpHeader};
use keywitness::flow::{PerSide, Side};

use super::{
    chance::Chance,
    script::{ACK, FIN, Load, PSH, RST, SYN, Segment},
};

/// Options of a SYN: MSS 1460, SACK permitted, time stamps, no operation, window scale 7.
const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7];
/// Options of any other segment: two no operations, time stamps.
const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];

/// Bytes of noise that loads are cut from.
const NOISE: usize = 1 << 16;

/// Addresses, initial numbers and clocks of one flow.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) at: PerSide<SocketAddr>,
    pub(crate) is_udp: bool,
    /// Initial sequence numbers.
    pub(crate) isn: PerSide<u32>,
    /// What the clocks of the two hosts showed when the capture began.
    pub(crate) clock: PerSide<u32>,
    /// IPv4 identification of the last packet.
    pub(crate) id: PerSide<u16>,
}

/// Writes frames, one after the other into the same memory.
#[derive(Debug)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    load: Vec<u8>,
    noise: Vec<u8>,
    chance: Chance,
}

impl Frames {
    pub(crate) fn new() -> Self {
        let mut chance = Chance::new(0x6e6f_6973);
        let mut noise: Vec<u8> = (0..NOISE / 8).flat_map(|_| chance.bits().to_le_bytes()).collect();
        // Nothing in it may be taken for the beginning of a session.
        noise.iter_mut().filter(|byte| **byte == b'S').for_each(|byte| *byte = b's');
        Self { bytes: Vec::new(), load: Vec::new(), noise, chance }
    }

    /// One frame.
    pub(crate) fn frame(&mut self, ends: &mut Ends, segment: &Segment) -> &[u8] {
        self.fill(&segment.load);
        self.bytes.clear();
        let side = segment.side;
        let (from, to) = (*ends.at.get(side), *ends.at.get(side.other()));
        // Clients and servers each sit behind a router of their own.
        let mac = |side: Side| if side == Side::Client { [2, 0, 0, 0, 0, 1] } else { [2, 0, 0, 0, 0, 2] };
        let ttl = if side == Side::Client { 57 } else { 63 };
        let protocol = if ends.is_udp { IpNumber::UDP } else { IpNumber::TCP };
        let link = PacketBuilder::ethernet2(mac(side), mac(side.other()));
        let ip = match (from.ip(), to.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = Ipv4Header::new(0, ttl, protocol, source.octets(), destination.octets()).unwrap();
                let id = ends.id.get_mut(side);
                *id = id.wrapping_add(1);
                (header.identification, header.dont_fragment) = (*id, true);
                link.ip(etherparse::IpHeaders::Ipv4(header, Default::default()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    traffic_class: 0,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: 0,
                    next_header: protocol,
                    hop_limit: ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                link.ip(etherparse::IpHeaders::Ipv6(header, Default::default()))
            }
            _ => unreachable!("both ends are of one family"),
        };
        if ends.is_udp {
            ip.udp(from.port(), to.port()).write(&mut self.bytes, &self.load).unwrap();
        } else {
            ip.tcp_header(tcp(ends, segment, from.port(), to.port())).write(&mut self.bytes, &self.load).unwrap();
        }
        &self.bytes
    }

    /// Writes what a segment carries.
    fn fill(&mut self, load: &Load) {
        self.load.clear();
        let len = load.len() as usize;
        let from = self.chance.below((NOISE - 1_500) as u32) as usize;
        match load {
            Load::Nothing => {}
            Load::Noise(_) => self.load.extend(&self.noise[from..from + len]),
            Load::Lengthened(_) => {
                self.load.extend((len as u32 - 20).to_be_bytes());
                self.load.extend(&self.noise[from..from + len - 4]);
            }
            Load::Text(bytes) => self.load.extend(&bytes[..]),
        }
    }
}

fn tcp(ends: &Ends, segment: &Segment, source: u16, destination: u16) -> TcpHeader {
    let (side, flags) = (segment.side, segment.flags);
    let own = ends.isn.get(side).wrapping_add(segment.seq);
    let mut tcp = TcpHeader::new(source, destination, own, 501);
    (tcp.fin, tcp.syn, tcp.rst) = (flags & FIN != 0, flags & SYN != 0, flags & RST != 0);
    (tcp.psh, tcp.ack) = (flags & PSH != 0, flags & ACK != 0);
    let (mut echoed, stamp) = (0, ends.clock.get(side).wrapping_add(segment.stamp));
    if tcp.ack {
        tcp.acknowledgment_number = ends.isn.get(side.other()).wrapping_add(segment.ack);
        echoed = ends.clock.get(side.other()).wrapping_add(segment.echoed);
    }
    let (mut with_syn, mut plain) = (SYN_OPTIONS, OPTIONS);
    let (options, at) = if tcp.syn { (&mut with_syn[..], 8) } else { (&mut plain[..], 4) };
    options[at..at + 4].copy_from_slice(&stamp.to_be_bytes());
    options[at + 4..at + 8].copy_from_slice(&echoed.to_be_bytes());
    tcp.set_options_raw(options).unwrap();
    tcp
}
