//! Looking ahead: of some frames it is found out which flows they belong to before the first of them is handled, so that those are
//! on their way from memory meanwhile. Each is decoded again when its turn comes: that costs less than to keep what was
//! decoded.

use super::{Engine, candidate::Candidate};
use crate::{
    flow::{End, FlowId, FlowKey, FlowTable, KeyHash, Share, TransportKind},
    wire::{Frame, Packet, Transport, peek},
};

/// Frames that take a step together: memory answers in the time that about ten take.
const GROUP: usize = 16;

/// Groups that are on their way: one at each step, and one whose turn it is.
const GROUPS: usize = 5;

/// The frames that come next. With the first step the index is fetched, and with each later one what the one before led to.
#[derive(Debug)]
pub(super) struct Ahead {
    /// In a ring, of which the newest moves on by one with each step.
    groups: [[Glance; GROUP]; GROUPS],
    newest: usize,
}

impl Ahead {
    /// Steps before the turn of the first frame that was looked at.
    pub(super) const STEPS: usize = GROUPS - 1;

    /// Nothing was looked at.
    pub(super) const fn new() -> Self {
        Self { groups: [[Glance::Unknown; GROUP]; GROUPS], newest: 0 }
    }

    /// What was seen of the frames whose turn it is.
    pub(super) fn glances(&self) -> &[Glance] {
        self.group(Self::STEPS)
    }

    /// Looks at some more frames, where there are more.
    #[inline(always)] // see `Glance::at`
    pub(super) fn step<'a>(&mut self, frames: &mut impl Iterator<Item = Frame<'a>>, engine: &Engine) {
        let (table, limits) = (&engine.table, &engine.limits);
        self.newest = (self.newest + 1) % GROUPS;
        for glance in self.groups.get_mut(self.newest).into_iter().flatten() {
            *glance = match frames.next() {
                Some(frame) => Glance::at(&frame, table, limits.vlan_in_key, limits.share),
                None => Glance::Unknown,
            };
        }
        for glance in self.groups.get_mut((self.newest + GROUPS - 1) % GROUPS).into_iter().flatten() {
            if let Glance::Flow(address) = glance {
                address.flow = table.expect_next(address.hash);
                if address.flow.is_none() {
                    table.expect_new(&address.key);
                }
            }
        }
        for glance in self.group(2) {
            if let Glance::Flow(Address { flow: Some(id), .. }) = glance {
                table.expect_attached(*id);
            }
        }
        for glance in self.group(3) {
            if let Glance::Flow(Address { flow: Some(id), .. }) = glance {
                table.expect_more(*id);
            }
        }
    }

    fn group(&self, age: usize) -> &[Glance] {
        self.groups.get((self.newest + GROUPS - age) % GROUPS).map(|group| group.as_slice()).unwrap_or_default()
    }
}

/// Which flow a packet belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) key: FlowKey,
    pub(super) hash: KeyHash,
    /// Which end sent it.
    pub(super) sender: End,
    /// The flow that was probably meant when it was looked for.
    pub(super) flow: Option<FlowId>,
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
}

impl Address {
    /// The flow of what a packet carries; `None` where that is neither TCP nor UDP.
    #[inline(always)] // see `Glance::at`; other calls are rare
    pub(super) fn of(packet: &Packet<'_>, table: &FlowTable<Candidate>, vlan_in_key: bool) -> Option<Self> {
        let (src_port, dst_port, kind) = match &packet.transport {
            Transport::Tcp(segment) => (segment.src_port, segment.dst_port, TransportKind::Tcp),
            Transport::Udp(datagram) => (datagram.src_port, datagram.dst_port, TransportKind::Udp),
            Transport::Fragment(_) | Transport::Tunnel(_) | Transport::Other(_) => return None,
        };
        let (key, sender) = FlowKey::of((packet.ip.source, src_port), (packet.ip.destination, dst_port), kind);
        let around = &packet.encapsulation;
        let key = key.on_vlan(around.vlan().filter(|_| vlan_in_key)).in_network(around.network());
        Some(Self { key, hash: table.hash(&key), sender, flow: None })
    }
}
