//! What is kept of a flow of which nothing but one SYN was seen: all that it said, so that the flow can be treated as any other
//! when something else comes of it. Of scans and floods nothing else comes.

use super::{Side, Slim};
use crate::{
    time::Timestamp,
    wire::{Encapsulation, Frame, MacPair, Packet, SeqNumber, TcpFlags, TcpSegment},
};

/// What is kept of a flow to which nothing is attached.
#[derive(Debug)]
pub enum Kept {
    /// It is nothing to us.
    Slim(Slim),
    /// It has only begun.
    Opening(Opening),
    /// Of a UDP flow it was looked at some datagrams.
    Datagrams(Looks),
}

/// What is kept of a UDP flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Datagrams that are still looked at.
    pub left: u8,
    /// It begins as QUIC does.
    pub is_quic: bool,
    /// Length less one, in bytes, of the short datagram of the client's before the last.
    pub before: u8,
}

impl Default for Kept {
    fn default() -> Self {
        Self::Slim(Slim::default())
    }
}

impl Kept {
    /// Where a side's stream begins, and how far it has come, as far as that is known.
    #[must_use]
    pub fn reach(&self, side: Side) -> [Option<SeqNumber>; 2] {
        match self {
            Self::Slim(slim) => [slim.start(side), slim.next(side)],
            Self::Datagrams(_) => [None; 2],
            Self::Opening(opening) => [(side == Side::Client).then(|| opening.seq.plus(1)); 2],
        }
    }
}

/// A client's SYN, and what goes with it, in 44 bytes. Its time is the flow's last.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    seq: SeqNumber,
    /// Of its timestamp option.
    tsval: u32,
    frame_len: u32,
    /// Which input it came from, by position.
    pub input: u32,
    /// What the caller wants to know again.
    pub note: u32,
    mac: [[u8; 6]; 2],
    /// 0 for none: no VLAN has that identifier.
    vlan: u16,
    window: u16,
    mss: u16,
    identification: u16,
    ttl: u8,
    window_scale: u8,
    flags: TcpFlags,
    /// Bits of the constants below: what there was.
    has: u8,
}

const TIMESTAMPS: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 4;
const SOURCE_MAC: u8 = 8;
const DESTINATION_MAC: u8 = 16;

/// What of a segment's frame and packet is looked at besides the segment itself.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Capture time.
    pub time: Timestamp,
    /// Length of the frame on the wire in bytes.
    pub frame_len: u32,
    /// Hardware addresses.
    pub mac: Option<MacPair>,
    /// IPv4 time to live or IPv6 hop limit.
    pub ttl: u8,
    /// IPv4 identification; 0 for none.
    pub identification: u16,
}

impl Envelope {
    /// What a segment came in.
    #[must_use]
    #[inline]
    pub const fn of(frame: &Frame<'_>, packet: &Packet<'_>) -> Self {
        let (ttl, identification) = (packet.ip.ttl, packet.ip.identification);
        Self { time: frame.time, frame_len: frame.original_len, mac: packet.mac, ttl, identification }
    }
}

impl Opening {
    /// The first segment of a flow; `None` for one that is more than a client's SYN, for one that acknowledges or echoes something
    /// without saying so, and for one that came in a tunnel.
    #[must_use]
    pub fn of(frame: &Frame<'_>, packet: &Packet<'_>, segment: &TcpSegment<'_>, note: u32) -> Option<Self> {
        let controls = segment.flags.0 & (TcpFlags::SYN | TcpFlags::ACK | TcpFlags::FIN | TcpFlags::RST);
        let is_more = controls != TcpFlags::SYN || segment.payload_len > 0;
        let vlan = packet.encapsulation.vlan();
        let is_more = is_more || packet.encapsulation != Encapsulation::of_vlan(vlan);
        let timestamps = segment.timestamps();
        if is_more || segment.ack.0 != 0 || timestamps.is_some_and(|(_, echo)| echo != 0) {
            return None;
        }
        let bit = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        let (mss, window_scale) = segment.mss_and_window_scale();
        let destination = packet.mac.and_then(|mac| mac.destination);
        Some(Self {
            seq: segment.seq,
            tsval: timestamps.map_or(0, |(value, _)| value),
            frame_len: frame.original_len,
            input: frame.input,
            note,
            mac: [packet.mac.map(|mac| mac.source), destination].map(Option::unwrap_or_default),
            vlan: vlan.unwrap_or_default(),
            window: segment.window,
            mss: mss.unwrap_or_default(),
            identification: packet.ip.identification,
            ttl: packet.ip.ttl,
            window_scale: window_scale.unwrap_or_default(),
            flags: segment.flags,
            has: bit(timestamps.is_some(), TIMESTAMPS)
                | bit(mss.is_some(), MSS)
                | bit(window_scale.is_some(), WINDOW_SCALE)
                | bit(packet.mac.is_some(), SOURCE_MAC)
                | bit(destination.is_some(), DESTINATION_MAC),
        })
    }

    /// The VLAN that it came on.
    #[must_use]
    pub fn encapsulation(&self) -> Encapsulation {
        Encapsulation::of_vlan(Some(self.vlan))
    }

    /// Has the segment taken once more, and what it came in. Its ports are not kept.
    pub fn replay<R>(&self, time: Timestamp, take: impl FnOnce(&TcpSegment<'_>, Envelope) -> R) -> R {
        let options = self.options();
        let segment = TcpSegment {
            src_port: 0,
            dst_port: 0,
            seq: self.seq,
            ack: SeqNumber(0),
            flags: self.flags,
            window: self.window,
            options: &options,
            payload: &[],
            payload_len: 0,
        };
        let [source, destination] = self.mac;
        let destination = (self.has & DESTINATION_MAC != 0).then_some(destination);
        let mac = (self.has & SOURCE_MAC != 0).then_some(MacPair { source, destination });
        let Self { frame_len, ttl, identification, .. } = *self;
        take(&segment, Envelope { time, frame_len, mac, ttl, identification })
    }

    /// The options that are looked at, as a SYN has them (RFC 9293 §3.1, RFC 7323); no-operations in place of what was not there.
    fn options(&self) -> [u8; 20] {
        let (value, [high, low]) = (self.tsval.to_be_bytes(), self.mss.to_be_bytes());
        let mut options = [1; 20];
        let (size, rest) = options.split_at_mut(4);
        let (stamps, scale) = rest.split_at_mut(12);
        if self.has & TIMESTAMPS != 0 {
            let [a, b, c, d] = value;
            stamps.copy_from_slice(&[1, 1, 8, 10, a, b, c, d, 0, 0, 0, 0]);
        }
        if self.has & MSS != 0 {
            size.copy_from_slice(&[2, 4, high, low]);
        }
        if self.has & WINDOW_SCALE != 0 {
            scale.copy_from_slice(&[1, 3, 3, self.window_scale]);
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::wire::{LinkType, Transport, decode};

    /// Everything that is looked at, of a frame with a SYN and of what is kept of it.
    fn seen_and_kept(bytes: &[u8]) -> Option<[String; 2]> {
        let time = Timestamp::from_nanos(7);
        let frame = Frame { number: 0, input: 3, time, link: LinkType::Ethernet, bytes, original_len: bytes.len() as u32 };
        let packet = decode(&frame).unwrap();
        let Transport::Tcp(segment) = packet.transport else { return None };
        let tell = |segment: &TcpSegment<'_>, envelope: Envelope| {
            let head = (segment.seq, segment.ack, segment.flags, segment.window, segment.payload_len, segment.end_seq());
            format!("{head:?} {:?} {:?} {:?} {envelope:?}", segment.timestamps(), segment.mss(), segment.window_scale())
        };
        let opening = Opening::of(&frame, &packet, &segment, 9)?;
        assert_eq!((opening.input, opening.note, opening.encapsulation()), (3, 9, packet.encapsulation));
        Some([tell(&segment, Envelope::of(&frame, &packet)), opening.replay(time, tell)])
    }

    #[test]
    fn a_syn_is_kept_with_all_that_is_looked_at() {
        use etherparse::TcpOptionElement::{MaximumSegmentSize, Noop, SelectiveAcknowledgementPermitted, Timestamp, WindowScale};
        let linux =
            [MaximumSegmentSize(1460), SelectiveAcknowledgementPermitted, Timestamp(0xdead_beef, 0), Noop, WindowScale(7)];
        for options in [&linux[..], &[], &[MaximumSegmentSize(536)], &[WindowScale(0)], &[Timestamp(1, 0)]] {
            for vlan in [None, Some(7)] {
                let link = PacketBuilder::ethernet2([2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13]);
                let ip = match vlan {
                    None => link.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 57),
                    Some(id) => link.single_vlan(id.try_into().unwrap()).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 57),
                };
                let mut bytes = Vec::new();
                ip.tcp(1, 2, 0xffff_ffff, 64_240).syn().options(options).unwrap().write(&mut bytes, &[]).unwrap();
                let [seen, kept] = seen_and_kept(&bytes).unwrap();
                assert_eq!(seen, kept);
            }
        }
        assert_eq!((size_of::<Opening>(), size_of::<Kept>()), (44, 52));
    }

    #[test]
    fn what_is_more_than_a_syn_is_not_kept_so() {
        use etherparse::TcpOptionElement::Timestamp;
        let tcp = || PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 57).tcp(1, 2, 5, 6);
        let echoing = tcp().syn().options(&[Timestamp(1, 2)]).unwrap();
        let more = [(tcp().syn().ack(5), &b""[..]), (tcp().syn(), b"x"), (tcp().syn().fin(), b""), (tcp(), b""), (echoing, b"")];
        for (builder, payload) in more {
            let mut bytes = Vec::new();
            builder.write(&mut bytes, payload).unwrap();
            assert!(seen_and_kept(&bytes).is_none());
        }
    }
}
