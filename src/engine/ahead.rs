//! Looking ahead: some frames are decoded before the first of them is handled, so that their flows are on the way from memory
//! meanwhile. Nothing else depends on it.

use super::Attachment;
use crate::{
    flow::{End, FlowKey, FlowTable, KeyHash, TransportKind},
    wire::{Encapsulation, Frame, Packet, Transport, Undecoded, decode},
};

/// Frames that are decoded together: memory answers in the time that about ten take, and what is on its way fits well into
/// the innermost cache.
pub(super) const AHEAD: usize = 16;

/// A frame that was decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) packet: Result<Packet<'a>, Undecoded>,
    /// Of TCP and UDP.
    pub(super) address: Option<Address>,
}

/// Which flow a packet belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) key: FlowKey,
    pub(super) hash: KeyHash,
    /// Which end sent it.
    pub(super) sender: End,
}

impl<'a> Decoded<'a> {
    /// Decodes a frame, and has the table look out for its flow.
    #[inline(always)] // for every frame, and from two places: a batch and a single one
    pub(super) fn new(frame: Frame<'a>, table: &FlowTable<Attachment>, vlan_in_key: bool) -> Self {
        let packet = decode(&frame);
        let address = packet.as_ref().ok().and_then(|packet| Address::of(packet, table, vlan_in_key));
        if let Some(address) = &address {
            table.expect_soon(address.hash);
        }
        Self { frame, packet, address }
    }
}

impl Address {
    /// The flow of what a packet carries; `None` where that is neither TCP nor UDP.
    #[inline]
    pub(super) fn of(packet: &Packet<'_>, table: &FlowTable<Attachment>, vlan_in_key: bool) -> Option<Self> {
        let (src_port, dst_port, kind) = match &packet.transport {
            Transport::Tcp(segment) => (segment.src_port, segment.dst_port, TransportKind::Tcp),
            Transport::Udp { src_port, dst_port } => (*src_port, *dst_port, TransportKind::Udp),
            Transport::Fragment(_) | Transport::Gre(_) | Transport::Other(_) => return None,
        };
        let (key, sender) = FlowKey::of((packet.ip.source, src_port), (packet.ip.destination, dst_port), kind);
        let Encapsulation { vlan, gre } = packet.encapsulation;
        let key = key.on_vlan(vlan.filter(|_| vlan_in_key)).in_tunnel(gre);
        Some(Self { key, hash: table.hash(&key), sender })
    }
}
