//! Packets that do not stand in a frame as they are: in fragments, in tunnels.

use super::{Engine, ahead::Address};
use crate::{
    flow::{FragmentKey, Joined},
    wire::{Fragment, Frame, Packet, Transport, Tunnel, decode, decode_reassembled, decode_tunnel},
};

impl Engine {
    /// A packet that is together again passes at the time of the fragment that came last, in a frame as long as all of its were.
    #[cold]
    fn handle_fragment(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, fragment: &Fragment<'_>) {
        let key = FragmentKey::of(packet, fragment, self.key_vlan(packet));
        match self.fragments.push(key, fragment, frame.original_len, self.stream_time) {
            Joined::Waiting | Joined::Refused => {}
            Joined::Copy => self.counters.duplicated_fragments += 1,
            Joined::Whole(whole) => {
                self.counters.reassembled += 1;
                let frame = Frame { original_len: whole.frame_bytes, ..*frame };
                let transport = decode_reassembled(whole.protocol, &whole.bytes, whole.len);
                self.handle_packet(&frame, &Packet { transport, ..*packet });
            }
        }
        self.count_dropped_fragments();
    }

    /// What a tunnel carries is a packet like any other; the frame around it is as long as it was.
    #[cold]
    fn handle_tunnel(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, tunnel: &Tunnel<'_>) {
        match decode_tunnel(frame, packet, tunnel) {
            Ok(inner) => self.handle_packet(frame, &inner),
            Err(reason) => self.note_undecoded(reason),
        }
    }

    /// Any frame, also one that is as nearly all are.
    #[inline(never)]
    pub(super) fn handle_unusual(&mut self, frame: &Frame<'_>) {
        match decode(frame) {
            Ok(packet) => self.handle_packet(frame, &packet),
            Err(reason) => self.note_undecoded(reason),
        }
    }

    /// Ends after a few steps: what is together again is no fragment, and tunnels are only followed so deep.
    fn handle_packet(&mut self, frame: &Frame<'_>, packet: &Packet<'_>) {
        let address = Address::of(packet, &self.table, self.limits.vlan_in_key);
        let foreign = self.limits.share.is_some_and(|share| !share.owns(packet.ip.source, packet.ip.destination));
        match (&packet.transport, &address) {
            (Transport::Tcp(_) | Transport::Udp(_), _) if foreign => {}
            (Transport::Tcp(segment), Some(address)) => self.handle_tcp(frame, packet, segment, address),
            (Transport::Udp(datagram), Some(address)) => self.handle_udp(frame, packet, datagram, address),
            (Transport::Fragment(fragment), _) => self.handle_fragment(frame, packet, fragment),
            (Transport::Tunnel(tunnel), _) => self.handle_tunnel(frame, packet, tunnel),
            (Transport::Other(reason), _) => self.note_undecoded(*reason),
            (Transport::Tcp(_) | Transport::Udp(_), None) => {} // they have one
        }
    }

    pub(super) fn count_dropped_fragments(&mut self) {
        let dropped = self.fragments.dropped();
        self.counters.undecoded += dropped - self.counters.dropped_fragments;
        self.counters.dropped_fragments = dropped;
    }
}
