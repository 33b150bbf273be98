//! UDP: a flow is looked at until some of its first datagrams have shown that it is no session.

use super::{
    Engine,
    ahead::Address,
    candidate::Candidate,
    clock::ClockOfFlow,
    evidence::session_id,
    opening::roles_by_port,
    session::Session,
    watch::{is_beat, is_datagram_due},
};
use crate::{
    flow::{Data, End, Evidence, Flow, FlowId, Kept, Looks, Side},
    protocol::{
        Standing,
        datagram::{Datagrams, Miss, Recognised, is_announcing, recognise},
    },
    wire::{Frame, Packet, SeqNumber, UdpDatagram},
};

/// Datagrams of a flow that are looked at: what a session begins with may come behind a copy, or a datagram that went astray.
const LOOKS: u8 = 4;

/// Of the first byte of a QUIC packet that opens a connection (RFC 8999 §5.1); DTLS has none.
const LONG_HEADER: u8 = 0x80;

impl Engine {
    pub(super) fn handle_udp(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, datagram: &UdpDatagram<'_>, address: &Address) {
        let &Address { key, hash, sender, flow } = address;
        let id = self.table.find(&key, hash, flow).unwrap_or_else(|| {
            self.counters.udp_flows += 1;
            let (side, evidence) = roles_by_port(key.endpoint(sender), key.endpoint(sender.other()));
            let client = if side == Side::Client { sender } else { sender.other() };
            let mut flow = Flow::new(key, client, evidence, false, frame.time);
            flow.kept = Kept::Datagrams(Looks { left: LOOKS, ..Looks::default() });
            self.insert(flow, frame, packet)
        });
        let Some(flow) = self.table.get_mut(id) else { return };
        let silence = frame.time - flow.last_time;
        let side = flow.note_packet(sender, frame.time);
        if let Kept::Datagrams(Looks { left: left @ 1.., .. }) = flow.kept {
            return self.look_at_datagram(id, sender, left, frame, packet, datagram);
        }
        let len = datagram.payload_len;
        let flow = if is_beat(side, len, silence) && is_datagram_due(flow, len) {
            self.begin_watch(id, frame, packet);
            let Some(flow) = self.table.get_mut(id) else { return };
            flow
        } else {
            flow
        };
        if flow.attached.is_some() {
            self.handle_datagram(id, side, frame, packet, datagram);
        }
    }

    /// Of a flow of which it is not yet known whether it is a session.
    #[inline(never)]
    fn look_at_datagram(
        &mut self,
        id: FlowId,
        sender: End,
        left: u8,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        datagram: &UdpDatagram<'_>,
    ) {
        let ports = [datagram.src_port, datagram.dst_port];
        let Some(flow) = self.table.get_mut(id) else { return };
        let Some(initials) = self.shards.initials(flow.shard(), frame.time) else { return };
        let recognised = recognise(datagram.payload, datagram.payload_len, ports, initials);
        let Kept::Datagrams(looks) = &mut flow.kept else { return };
        match recognised {
            Ok(recognised) => {
                looks.left = 0;
                let midstream = recognised.midstream || left < LOOKS;
                self.begin_datagrams(id, sender, recognised, midstream, frame, packet);
            }
            Err(_) if is_announcing(ports) => {}
            Err(Miss::Datagram) => looks.left = left - 1,
            Err(Miss::Unread) => {
                (looks.left, looks.is_quic) = (left - 1, true);
                self.counters.unread += 1;
            }
            Err(Miss::Flow) => {
                let is_quic = datagram.payload.first().is_some_and(|first| first & LONG_HEADER != 0);
                (looks.left, looks.is_quic) = (0, is_quic);
            }
        }
        let Some(flow) = self.table.get(id).filter(|flow| flow.attached.is_some()) else { return };
        let side = flow.side_of(sender);
        self.handle_datagram(id, side, frame, packet, datagram);
    }

    /// A flow becomes a session, as far as one datagram tells.
    fn begin_datagrams(
        &mut self,
        id: FlowId,
        sender: End,
        recognised: Recognised,
        midstream: bool,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
    ) {
        let Some(shard) = self.table.get(id).map(|flow| flow.shard()) else { return };
        if !self.has_room_for_session(shard, frame.time) {
            self.counters.dropped_flows += 1;
            return;
        }
        let Some(flow) = self.table.get_mut(id) else { return };
        flow.midstream = midstream;
        let is_new = flow.attached.is_none();
        let clock = ClockOfFlow::since(self.clock.steps());
        let candidate =
            flow.attached.get_or_insert_with(|| Box::new(Candidate::new(frame.time, frame.input, packet.encapsulation, clock)));
        if let Some(side) = recognised.sender {
            let client = if side == Side::Client { sender } else { sender.other() };
            if client != flow.client {
                flow.client = client;
                flow.seen.swap();
                candidate.halves.swap();
                candidate.mac.swap();
                candidate.clock.swap();
            }
            flow.evidence = Evidence::Banner;
        }
        let session = session_id(&flow.key, candidate.first_time, self.pseudonyms.as_deref());
        let mut decoder = recognised.decoder;
        if let Datagrams::Rdp(rdp) = &mut decoder {
            rdp.belongs_to(self.rdp.only(&flow.key, flow.client));
        }
        candidate.session = Some(Box::new(Session::of_datagrams(session, decoder, self.losses)));
        if is_new {
            self.shards.add_candidate(shard);
        }
        self.shards.begin_session(shard);
    }

    /// Of a flow that is a session, may become one, or is reported anyway.
    fn handle_datagram(&mut self, id: FlowId, side: Side, frame: &Frame<'_>, packet: &Packet<'_>, datagram: &UdpDatagram<'_>) {
        let Some(flow) = self.table.get_mut(id) else { return };
        let (shard, key) = (flow.shard(), flow.key);
        let Some(candidate) = flow.attached.as_deref_mut() else { return };
        candidate.note_mac(side, packet.mac);
        candidate.halves.get_mut(side).observe_datagram(packet.ip.ttl, frame.original_len, datagram.payload_len);
        candidate.clock.on_packet(&self.clock);
        self.keep_headers(id, frame, datagram.payload_len > 0);
        let Some(candidate) = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut()) else { return };
        let (bytes, len) = (datagram.payload, datagram.payload_len);
        let data = Data { bytes, len, time: frame.time, end: SeqNumber(0), acked: None, sent: None };
        if candidate.watched.is_some() {
            self.watch_datagram(id, side, &data);
            self.drop_refused_datagrams(id);
            return;
        }
        let Some(session) = &mut candidate.session else { return };
        let was_established = session.is_established();
        session.on_datagram(side, &data, &mut candidate.handshake, &mut self.scratch);
        session.losses.on_segment(self.losses, self.counters.packets);
        if session.standing() == Standing::NotOurs {
            if let Some(session) = candidate.session.take() {
                self.let_go(&key, &session);
                self.shards.end_session(shard);
            }
            self.drop_datagrams(id);
            return;
        }
        if session.is_established() && !was_established {
            self.table.schedule(id);
        }
        self.take_decided(id, frame.time);
        self.expect_report(id, frame.time);
        self.weigh(id);
    }

    /// Nobody types into it.
    fn drop_refused_datagrams(&mut self, id: FlowId) {
        let candidate = self.table.get(id).and_then(|flow| flow.attached.as_deref());
        if candidate.is_some_and(|candidate| candidate.session.is_none() && candidate.watched.is_none()) {
            self.drop_datagrams(id);
        }
    }

    /// A flow that is no session keeps nothing, unless it is reported anyway.
    fn drop_datagrams(&mut self, id: FlowId) {
        let Some(flow) = self.table.get_mut(id).filter(|_| !self.limits.all_flows) else { return };
        if let Some(mut candidate) = flow.attached.take() {
            self.shards.remove(flow.shard(), false);
            self.take_headers(&mut candidate);
        }
    }
}
