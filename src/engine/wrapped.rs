//! Packets that do not stand in a frame as they are: in fragments, in tunnels.

use super::{Engine, ahead::Address};
use crate::{
    flow::{FragmentKey, Joined},
    wire::{Fragment, Frame, Gre, Packet, decode_gre, decode_reassembled},
};

impl Engine {
    /// A packet that is together again passes at the time of the fragment that came last, in a frame as long as all of its were.
    #[cold]
    pub(super) fn handle_fragment(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, fragment: &Fragment<'_>) {
        let key = FragmentKey::of(packet, fragment, self.key_vlan(packet));
        match self.fragments.push(key, fragment, frame.original_len, self.stream_time) {
            Joined::Waiting | Joined::Refused => {}
            Joined::Copy => self.counters.duplicated += 1,
            Joined::Whole(whole) => {
                self.counters.reassembled += 1;
                let frame = Frame { original_len: whole.frame_bytes, ..*frame };
                let transport = decode_reassembled(whole.protocol, &whole.bytes, whole.len);
                self.handle_unwrapped(&frame, &Packet { transport, ..*packet });
            }
        }
        self.count_dropped_fragments();
    }

    /// What a tunnel carries is a packet like any other; the frame around it is as long as it was.
    #[cold]
    pub(super) fn handle_gre(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, gre: &Gre<'_>) {
        match decode_gre(frame, packet, gre) {
            Ok(inner) => self.handle_unwrapped(frame, &inner),
            Err(reason) => self.note_undecoded(reason),
        }
    }

    /// Ends after a few steps: what is together again is no fragment, and tunnels are only followed so deep.
    #[inline(never)]
    fn handle_unwrapped(&mut self, frame: &Frame<'_>, packet: &Packet<'_>) {
        let address = Address::of(packet, &self.table, self.limits.vlan_in_key);
        self.handle_packet(frame, packet, address.as_ref());
    }

    pub(super) fn count_dropped_fragments(&mut self) {
        let dropped = self.fragments.dropped();
        self.counters.undecoded += dropped - self.counters.dropped_fragments;
        self.counters.dropped_fragments = dropped;
    }
}
