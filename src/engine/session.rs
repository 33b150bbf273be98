//! What the engine keeps of a flow that is a session, or may become one: the decoder, the measurers, and the cues carried
//! from one to the others.

use super::{
    candidate::Candidate,
    losses::{Losses, LossesOfSession},
    typing::Typing,
    updates::Updates,
};
use crate::{
    cue::{Cue, Shape, Terminal},
    flow::{Arrival, Data, Half, Item, PerSide, SessionId, Side, Stream},
    measure::{
        ack::AckTimer,
        behaviour::{SEQUENCE, Segment},
        estimate::{Distribution, Floor, FloorMethod},
        handshake::Handshake,
        keystroke::Keystroke,
        program::ProgramTimer,
        quality::{Grain, Quality},
        tsval::{EchoTimer, SenderClock},
    },
    observation::{Body, IdentifiedBy, RoundTrips, SessionReport, Stack},
    protocol::{
        Decoder, Standing,
        blind::{Blind, Wrapping},
        datagram::Datagrams,
    },
    time::{Span, Timestamp},
    wire::{SeqNumber, TcpFlags, TcpSegment},
};

/// A segment longer than this holds no keystroke whose time would matter.
const LONGEST_TYPED: u32 = 512;

/// What is in use while a session handles a packet, and empty between: one for all sessions.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    cues: Vec<Cue>,
    decided: Vec<Keystroke>,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    by_port: bool,
    decoder: Decoder,
    streams: PerSide<Stream>,
    timers: PerSide<AckTimer>,
    echo_timers: PerSide<EchoTimer>,
    clocks: PerSide<SenderClock>,
    rtt: PerSide<Distribution>,
    /// Round trips of each side that a segment without data completed.
    prompt: PerSide<u64>,
    last_client_rtt: Option<Span>,
    grain: Grain,
    /// Longest payload of each side, in bytes.
    longest: PerSide<u32>,
    typing: Typing,
    program: ProgramTimer,
    sequence: u64,
    scheduled: Option<Timestamp>,
    /// Reports before the last one.
    pub(super) updates: Updates,
    /// What the sensor lost meanwhile.
    pub(super) losses: LossesOfSession,
    /// Where it is worth keeping whole: frames that the sensor had seen when it became so.
    pub(super) kept_since: Option<u64>,
    is_interactive: bool,
}

impl Session {
    /// A session whose streams begin at these sequence numbers, where known.
    pub(super) fn new(id: SessionId, starts: PerSide<Option<SeqNumber>>, by_port: bool, losses: Losses) -> Self {
        Self {
            id,
            by_port,
            decoder: match by_port {
                true => Decoder::midstream(),
                false => Decoder::new(PerSide::from_fn(|side| starts.get(side).is_some())),
            },
            streams: PerSide::from_fn(|side| Stream::new(*starts.get(side))),
            timers: PerSide::default(),
            echo_timers: PerSide::default(),
            clocks: PerSide::default(),
            rtt: PerSide::default(),
            prompt: PerSide::default(),
            last_client_rtt: None,
            grain: Grain::default(),
            longest: PerSide::default(),
            typing: Typing::default(),
            program: ProgramTimer::default(),
            sequence: 0,
            scheduled: None,
            updates: Updates::default(),
            losses: LossesOfSession::new(losses),
            kept_since: None,
            is_interactive: false,
        }
    }

    /// A session over UDP, whose first datagram this decoder has recognised and will be given.
    pub(super) fn of_datagrams(id: SessionId, decoder: Datagrams, losses: Losses) -> Self {
        let decoder = Decoder::Datagrams(Box::new(decoder));
        Self { decoder, ..Self::new(id, PerSide::default(), false, losses) }
    }

    /// A session that its behaviour has shown, wrapped in this and of this shape.
    pub(super) fn of_behaviour(
        id: SessionId,
        starts: PerSide<Option<SeqNumber>>,
        (wrapping, shape): (Wrapping, Shape),
        losses: Losses,
    ) -> Self {
        let decoder = Decoder::Blind(Blind::new(wrapping, shape, SEQUENCE));
        Self { decoder, ..Self::new(id, starts, false, losses) }
    }

    /// Takes in what was seen of it before.
    pub(super) fn replay(&mut self, segments: &[Segment], scratch: &mut Scratch) {
        for &Segment { time, side, len, end, acked } in segments {
            let data = Data { bytes: &[], len, time, end, acked, sent: None };
            self.decoder.on_data(side, &data, None, &mut scratch.cues);
            self.carry_cues(scratch);
        }
    }

    /// Takes a datagram in.
    pub(super) fn on_datagram(&mut self, side: Side, data: &Data<'_>, handshake: &mut Handshake, scratch: &mut Scratch) {
        self.grain.note(data.time);
        self.decoder.on_data(side, data, None, &mut scratch.cues);
        if self.decoder.is_blind() {
            return self.carry_cues(scratch);
        }
        for cue in scratch.cues.drain(..) {
            let Cue::RoundTrip { side, rtt } = cue else { continue };
            if handshake.rtt().get(side).is_none() {
                handshake.take(side, rtt);
            } else {
                self.rtt.get_mut(side).record(rtt);
                *self.prompt.get_mut(side) += 1;
            }
        }
    }

    pub(super) const fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn standing(&self) -> Standing {
        self.decoder.standing()
    }

    /// Whether this is a session that is reported, not only one that may become one.
    pub(super) fn is_confirmed(&self) -> bool {
        self.by_port || matches!(self.decoder.standing(), Standing::OneSide | Standing::Both)
    }

    /// Whether both sides speak the protocol, or nothing more can be asked: a banner of one side alone, which anybody can send,
    /// is worth no more than any flow when room is short.
    pub(super) fn is_established(&self) -> bool {
        self.by_port || matches!(self.decoder.standing(), Standing::Both)
    }

    /// Whether this is RDP over TCP, as it came.
    pub(super) const fn is_rdp(&self) -> bool {
        matches!(self.decoder, Decoder::Rdp(_))
    }

    /// Whether a terminal was opened, or a key found.
    pub(super) const fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// Whether it is known for good whether this is a session, and who is its client.
    pub(super) fn is_settled(&self) -> bool {
        self.decoder.is_settled()
    }

    /// Whether it matters what segments carry, besides how much it is.
    pub(super) fn reads_bytes(&self) -> bool {
        self.decoder.reads_bytes()
    }

    pub(super) fn roles_known(&self) -> bool {
        self.decoder.roles_known()
    }

    /// Whether client and server turned out to be the other way round; everything here is swapped then.
    pub(super) fn take_role_swap(&mut self) -> bool {
        let swapped = self.decoder.take_role_swap();
        if swapped {
            self.streams.swap();
            self.timers.swap();
            self.echo_timers.swap();
            self.clocks.swap();
            self.rtt.swap();
            self.prompt.swap();
            self.longest.swap();
            self.last_client_rtt = None;
            self.program = ProgramTimer::default();
        }
        swapped
    }

    /// Takes a segment in.
    pub(super) fn on_segment(
        &mut self,
        side: Side,
        segment: &TcpSegment<'_>,
        arrival: Arrival,
        time: Timestamp,
        scratch: &mut Scratch,
    ) {
        self.grain.note(time);
        let longest = self.longest.get_mut(side);
        *longest = segment.payload_len.max(*longest);
        let timestamps = segment.timestamps();
        self.time_round_trips(side, segment, timestamps, arrival, time);
        let may_be_typed = side == Side::Client && (1..=LONGEST_TYPED).contains(&segment.payload_len);
        let sent = match arrival {
            Arrival::New | Arrival::OutOfOrder if may_be_typed && timestamps.is_some() => self.clocks.client.stamp(),
            // A segment that was sent again says when that was, not when it was typed.
            _ => None,
        };
        // A copy yields nothing from a stream; a segment that was taken for one is not lost.
        let rtt = self.rtt.client.min();
        let (decoder, cues) = (&mut self.decoder, &mut scratch.cues);
        if segment.payload_len > 0 && arrival != Arrival::Probe {
            let seq = segment.seq.plus(u32::from(segment.flags.has(TcpFlags::SYN)));
            let data = Data {
                bytes: segment.payload,
                len: segment.payload_len,
                time,
                end: seq.plus(segment.payload_len),
                acked: segment.acked(),
                sent,
            };
            self.streams.get_mut(side).push(seq, data, |item| read(decoder, side, item, rtt, cues));
        }
        if let Some(acked) = segment.acked() {
            let other = side.other();
            self.streams.get_mut(other).on_ack(acked, time, |item| read(decoder, other, item, rtt, cues));
        }
        self.carry_cues(scratch);
        if may_be_typed && arrival == Arrival::New && self.decoder.is_unreadable() {
            self.program.on_unread(time, segment.payload_len);
        }
        if side == Side::Client && self.program.is_waiting() && segment.payload_len == 0 {
            segment.acked().into_iter().for_each(|ack| self.program.on_ack(ack, time));
        }
        if side == Side::Client && (segment.flags.has(TcpFlags::FIN) || segment.flags.has(TcpFlags::RST)) {
            self.typing.on_client_gone(time);
        }
    }

    /// Memory that what waits behind holes takes, in bytes.
    pub(super) fn held_memory(&self) -> usize {
        self.streams.client.held_memory() + self.streams.server.held_memory()
    }

    /// How much of it what a side sends may take, in bytes.
    pub(super) fn set_room(&mut self, side: Side, bytes: usize) {
        self.streams.get_mut(side).set_room(bytes);
    }

    /// A deadline of this session.
    pub(super) fn on_deadline(&mut self, now: Timestamp, scratch: &mut Scratch) {
        self.scheduled = None;
        self.typing.on_deadline(now, &mut scratch.decided);
        self.is_interactive |= !scratch.decided.is_empty();
    }

    /// The deadline to wake up for, where it is not yet scheduled.
    pub(super) fn new_deadline(&mut self) -> Option<Timestamp> {
        // A deadline at the end of time never falls due; it would fire again and again.
        let deadline = self.typing.next_deadline().filter(|deadline| *deadline < Timestamp::MAX)?;
        if self.scheduled.is_some_and(|scheduled| scheduled <= deadline) {
            return None;
        }
        self.scheduled = Some(deadline);
        Some(deadline)
    }

    /// Hands on what was decided since the last call, where it is wanted.
    pub(super) fn take_keystrokes(&mut self, scratch: &mut Scratch, wanted: bool, mut take: impl FnMut(u64, Body)) {
        for keystroke in scratch.decided.drain(..).filter(|_| wanted) {
            take(self.sequence, Body::Keystroke { keystroke, client_rtt: self.last_client_rtt });
            self.sequence += 1;
        }
    }

    pub(super) const fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// The next position, for a report.
    pub(super) const fn take_sequence(&mut self) -> u64 {
        let sequence = self.sequence;
        self.sequence += 1;
        sequence
    }

    /// The session is over: decides what waits and says everything that is known.
    pub(super) fn finish(&mut self, candidate: &Candidate, headers: SessionReport, scratch: &mut Scratch) -> SessionReport {
        let rtt = self.rtt.client.min();
        let (decoder, cues) = (&mut self.decoder, &mut scratch.cues);
        for side in [Side::Client, Side::Server] {
            self.streams.get_mut(side).finish(|item| read(decoder, side, item, rtt, cues));
        }
        self.carry_cues(scratch);
        self.typing.finish(&mut scratch.decided);
        self.report(candidate, headers)
    }

    /// Everything that is known so far, besides what the headers say. The session may go on.
    pub(super) fn report(&self, candidate: &Candidate, headers: SessionReport) -> SessionReport {
        let handshake = candidate.handshake.rtt();
        let mut keystrokes = self.typing.summary().filter(|_| self.decoder.keys_known());
        if let Some(keystrokes) = keystrokes.as_mut().filter(|_| self.decoder.is_blind()) {
            keystrokes.levels = None; // what else its server does is not known
        }
        let traffic = PerSide::from_fn(|side| {
            let mut traffic = candidate.halves.get(side).traffic;
            traffic.gaps = self.streams.get(side).gaps();
            traffic
        });
        let seen = Quality::of(&traffic); // but for the clock, which the engine knows
        SessionReport {
            update: self.updates.reported(),
            identified_by: Some(match (self.by_port, self.decoder.standing()) {
                (true, _) => IdentifiedBy::Port,
                _ if self.decoder.is_blind() => IdentifiedBy::Behaviour,
                (false, Standing::Both) => IdentifiedBy::Handshake,
                _ => IdentifiedBy::Signature,
            }),
            facts: self.decoder.facts(),
            carriers: self.decoder.carriers(),
            obfuscated: self.typing.obfuscated(),
            stack: PerSide::from_fn(|side| Stack {
                marks: candidate.halves.get(side).stack,
                timestamp_hz: self.clocks.get(side).hz(),
            }),
            traffic,
            rtt: PerSide::from_fn(|side| self.round_trips(side, *handshake.get(side))),
            keystrokes,
            program: self.program.summary(self.typing.obfuscated() == Some(true)),
            quality: Quality {
                merged_segments: self.merged_segments(&candidate.halves),
                resolution: self.grain.resolution(),
                drops: seen.drops.saturating_add(self.losses.frames()),
                ..seen
            },
            ..headers
        }
    }

    /// Whether a segment was longer than the other side's SYN allows.
    fn merged_segments(&self, halves: &PerSide<Half>) -> Option<bool> {
        let merged = |side: Side| {
            let most = halves.get(side.other()).stack.mss?;
            Some(*self.longest.get(side) > u32::from(most))
        };
        match (merged(Side::Client), merged(Side::Server)) {
            (None, None) => None,
            (client, server) => Some(client == Some(true) || server == Some(true)),
        }
    }

    fn round_trips(&self, side: Side, handshake: Option<Span>) -> RoundTrips {
        let mut distribution = self.rtt.get(side).clone();
        if let Some(handshake) = handshake {
            distribution.record(handshake);
        }
        distribution.sort();
        let repeated_floor = distribution.floor();
        let undelayed = handshake.map(|value| Floor { value, method: FloorMethod::Handshake });
        let floor = repeated_floor.map(|floor| undelayed.filter(|handshake| handshake.value < floor.value).unwrap_or(floor));
        let prompt = *self.prompt.get(side);
        RoundTrips { handshake, samples: distribution.quantiles(), least: None, prompt, floor, repeated_floor }
    }

    /// Data of one side is timed against the acknowledgements of the other: the round trip belongs to who answers.
    /// Where sequence numbers are ambiguous, timestamps may not be.
    fn time_round_trips(
        &mut self,
        side: Side,
        segment: &TcpSegment<'_>,
        timestamps: Option<(u32, u32)>,
        arrival: Arrival,
        time: Timestamp,
    ) {
        self.timers.get_mut(side).note(segment, arrival, time);
        let by_ack = self.timers.get_mut(side.other()).complete(segment, arrival, time);
        let mut by_echo = None;
        if let (Some((tsval, tsecr)), true) = (timestamps, arrival != Arrival::Duplicate) {
            if segment.payload_len > 0 {
                self.echo_timers.get_mut(side).note(tsval, time);
            }
            by_echo = self.echo_timers.get_mut(side.other()).complete(tsecr, time);
            self.clocks.get_mut(side).note(tsval, time);
        }
        if let Some(rtt) = by_ack.or(by_echo) {
            self.rtt.get_mut(side).record(rtt);
            *self.prompt.get_mut(side) += u64::from(segment.payload_len == 0);
            if side == Side::Client {
                self.last_client_rtt = Some(rtt);
            }
        }
    }

    fn carry_cues(&mut self, scratch: &mut Scratch) {
        let Scratch { cues, decided } = scratch;
        let rtt = self.rtt.client.min();
        if self.decoder.shows_releases() {
            self.typing.expect_releases();
        }
        // What the program does by itself is not known of a protocol that is not.
        let is_known = !self.decoder.is_blind();
        for cue in cues.drain(..) {
            self.is_interactive |= cue == Cue::Terminal(Terminal::Open);
            match cue {
                Cue::Input(input) if is_known => self.program.on_input(&input, rtt),
                // No terminal, no answers of one.
                Cue::Output(output) if is_known && !self.decoder.shows_releases() => self.program.on_output(&output),
                Cue::Lost(_) => self.program.on_lost(),
                Cue::Asked(ask) => self.program.on_ask(ask),
                Cue::Answered(reply) => self.program.on_reply(reply, rtt),
                Cue::Input(_)
                | Cue::Output(_)
                | Cue::Terminal(_)
                | Cue::CanObfuscate { .. }
                | Cue::Rekeyed { .. }
                | Cue::Key(_)
                | Cue::HeldBack
                | Cue::RoundTrip { .. } => {}
            }
            self.typing.on_cue(cue, rtt, decided);
        }
        self.is_interactive |= !decided.is_empty();
    }
}

fn read(decoder: &mut Decoder, side: Side, item: Item<'_>, rtt: Option<Span>, cues: &mut Vec<Cue>) {
    match item {
        Item::Data(data) => decoder.on_data(side, &data, rtt, cues),
        Item::Gap { .. } => {
            cues.push(Cue::Lost(side));
            decoder.on_gap(side, cues);
        }
    }
}
