//! Frames of flows that are no sessions, made up.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

use super::pcap::Packet;

/// An address and a port.
pub(crate) type End = (Ipv4Addr, u16);

/// When the frames of [`Traffic`] begin, in nanoseconds since 1970.
pub(crate) const BEGIN: u64 = 1_800_000_000_000_000_000;

/// Frames in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Traffic(pub(crate) Vec<Packet>);

impl Traffic {
    /// One segment at a time in milliseconds; `flags` holds letters of S, A, F and R.
    #[expect(clippy::too_many_arguments, reason = "one line of a trace, as tcpdump prints it")]
    pub(crate) fn tcp(&mut self, ms: u64, from: End, to: End, flags: &str, seq: u32, ack: u32, payload: &[u8]) {
        let mut tcp = link(from, to).tcp(from.1, to.1, seq, 65_000);
        for flag in flags.chars() {
            tcp = match flag {
                'S' => tcp.syn(),
                'A' => tcp.ack(ack),
                'F' => tcp.fin(),
                _ => tcp.rst(),
            };
        }
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, payload).unwrap();
        self.0.push(Packet { time: BEGIN + ms * 1_000_000, bytes });
    }

    /// One datagram.
    pub(crate) fn udp(&mut self, ms: u64, from: End, to: End, payload: &[u8]) {
        let mut bytes = Vec::new();
        link(from, to).udp(from.1, to.1).write(&mut bytes, payload).unwrap();
        self.0.push(Packet { time: BEGIN + ms * 1_000_000, bytes });
    }

    /// A fetch of a page: 40 ms to the client, 2 ms to the server, two requests.
    pub(crate) fn fetch(&mut self, ms: u64, client: End, server: End) {
        self.tcp(ms, client, server, "S", 100, 0, b"");
        self.tcp(ms + 2, server, client, "SA", 500, 101, b"");
        self.tcp(ms + 42, client, server, "A", 101, 501, b"");
        self.tcp(ms + 43, client, server, "A", 101, 501, &[b'q'; 50]);
        self.tcp(ms + 48, server, client, "A", 501, 151, &[b'a'; 300]);
        self.tcp(ms + 87, client, server, "A", 151, 801, b"");
        self.tcp(ms + 90, client, server, "A", 151, 801, &[b'q'; 50]);
        self.tcp(ms + 94, server, client, "A", 801, 201, &[b'a'; 300]);
        self.tcp(ms + 144, client, server, "FA", 201, 1101, b"");
        self.tcp(ms + 146, server, client, "FA", 1101, 202, b"");
        self.tcp(ms + 186, client, server, "A", 202, 1102, b"");
    }

    /// All there is to see: a fetch, a query, an unanswered SYN and a stream whose beginning is missing.
    pub(crate) fn of_all_sorts() -> Self {
        let end = |last: u8, port: u16| (Ipv4Addr::new(203, 0, 113, last), port);
        let server = (Ipv4Addr::new(198, 51, 100, 9), 80);
        let mut traffic = Self::default();
        traffic.fetch(0, end(9, 40_000), server);
        traffic.udp(1_000, end(9, 40_001), (server.0, 53), &[1; 30]);
        traffic.udp(1_004, (server.0, 53), end(9, 40_001), &[2; 90]);
        traffic.tcp(2_000, end(17, 40_002), (server.0, 23), "S", 7, 0, b"");
        traffic.tcp(3_000, server, end(25, 40_003), "A", 900, 70, &[b'x'; 10]);
        traffic
    }
}

/// Ethernet and IP.
fn link(from: End, to: End) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    let mac = |end: End| [2, 0, 0, 0, 0, end.0.octets()[3]];
    PacketBuilder::ethernet2(mac(from), mac(to)).ipv4(from.0.octets(), to.0.octets(), 57)
}
