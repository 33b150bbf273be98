//! Looking ahead: of some frames it is found out which flows they belong to before the first of them is handled, so that those are
//! on their way from memory meanwhile. Each is decoded again when its turn comes: that costs less than to keep what was
//! decoded.

use super::candidate::Candidate;
use crate::{
    flow::{End, FlowId, FlowKey, FlowTable, KeyHash, Share, TransportKind},
    wire::{Encapsulation, Frame, Packet, Transport, peek},
};

/// Frames that are looked at ahead: memory answers in the time that about ten take, and what is on its way fits well into the
/// innermost cache.
pub(super) const AHEAD: usize = 32;

/// Which flow a packet belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) key: FlowKey,
    pub(super) hash: KeyHash,
    /// Which end sent it.
    pub(super) sender: End,
}

/// What a glance at a frame tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum Glance {
    /// Which flow it belongs to.
    Flow(Address),
    /// It belongs to another engine.
    Foreign,
    /// It takes more than a glance.
    Unknown,
}

impl Glance {
    /// At a frame that comes soon; the table then looks out for its flow.
    #[inline(always)] // for every frame, and one call
    pub(super) fn at(frame: &Frame<'_>, table: &FlowTable<Candidate>, vlan_in_key: bool, share: Option<Share>) -> Self {
        let Some(packet) = peek(frame) else { return Self::Unknown };
        if share.is_some_and(|share| !share.owns(packet.ip.source, packet.ip.destination)) {
            return Self::Foreign;
        }
        let Some(address) = Address::of(&packet, table, vlan_in_key) else { return Self::Unknown };
        table.expect_soon(address.hash);
        Self::Flow(address)
    }

    /// Has the flow fetched, and tells where it is; where there is none yet, the place where it will be.
    #[inline]
    pub(super) fn expect_next(&self, table: &FlowTable<Candidate>) -> Option<FlowId> {
        let Self::Flow(address) = self else { return None };
        let found = table.expect_next(address.hash);
        if found.is_none() {
            table.expect_new(&address.key);
        }
        found
    }
}

impl Address {
    /// The flow of what a packet carries; `None` where that is neither TCP nor UDP.
    #[inline(always)] // see `Glance::at`; other calls are rare
    pub(super) fn of(packet: &Packet<'_>, table: &FlowTable<Candidate>, vlan_in_key: bool) -> Option<Self> {
        let (src_port, dst_port, kind) = match &packet.transport {
            Transport::Tcp(segment) => (segment.src_port, segment.dst_port, TransportKind::Tcp),
            Transport::Udp(datagram) => (datagram.src_port, datagram.dst_port, TransportKind::Udp),
            Transport::Fragment(_) | Transport::Gre(_) | Transport::Other(_) => return None,
        };
        let (key, sender) = FlowKey::of((packet.ip.source, src_port), (packet.ip.destination, dst_port), kind);
        let Encapsulation { vlan, gre } = packet.encapsulation;
        let key = key.on_vlan(vlan.filter(|_| vlan_in_key)).in_tunnel(gre);
        Some(Self { key, hash: table.hash(&key), sender })
    }
}
