//! A simulated path with a sensor on it: no socket, no clock, the same packets on every run.
//!
//! ```text
//! client ── delay, jitter, loss ── sensor ── delay ── server
//! ```
//!
//! Both hosts speak enough TCP to be measured: handshake, acknowledgements at once or delayed, piggybacked where there is
//! data to send, SACK for holes, fast retransmission and a backed-off timer. Queues keep their order.

use std::collections::{BTreeMap, VecDeque};

use keywitness::{flow::Side, time::Timestamp, wire::TcpFlags};

use crate::common::{Rng, Shot, Tcp};

/// Nanoseconds.
pub(crate) type Nanos = i64;

pub(crate) const MS: Nanos = 1_000_000;
pub(crate) const US: Nanos = 1_000;

/// How long a delayed acknowledgement waits: Linux' and Windows' usual value.
pub(crate) const DELAYED_ACK: Nanos = 40 * MS;

/// Retransmission timer beyond the round trip: Linux' least.
const RTO: Nanos = 200 * MS;

const SYN: u8 = TcpFlags::SYN;
const ACK: u8 = TcpFlags::ACK;

/// When a host acknowledges data that it has nothing to send with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    AtOnce,
    /// One in ten is delayed.
    TenthDelayed,
    AllDelayed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) seed: u64,
    /// Round trip from the sensor to the client and back, without jitter.
    pub(crate) client_rtt: Nanos,
    /// Median of what a queue adds each way.
    pub(crate) jitter: Nanos,
    /// Share of packets lost between client and sensor, in thousandths.
    pub(crate) loss: usize,
    pub(crate) client_acks: Acks,
    pub(crate) server_rtt: Nanos,
    pub(crate) server_acks: Acks,
}

/// What one side says once everything before it in the script was said, and heard where the other side said it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) side: Side,
    pub(crate) bytes: Vec<u8>,
    /// Time to think of it.
    pub(crate) after: Nanos,
}

/// What passed the sensor.
pub(crate) struct Recording {
    pub(crate) frames: Vec<Shot>,
    /// When each key and each echo passed it first.
    pub(crate) keys: Vec<Nanos>,
    pub(crate) echoes: Vec<Nanos>,
}

#[derive(Debug)]
enum Event {
    Sensor(Side, Packet),
    Arrival(Side, Packet),
    Speak(usize),
    Key,
    Echo,
    AckTimer(Side, u32),
    Retransmit(Side, u32),
}

#[derive(Clone, Debug)]
struct Packet {
    id: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Packet {
    fn end(&self) -> u32 {
        self.seq + self.payload.len() as u32 + u32::from(self.flags & SYN != 0)
    }
}

/// One end of the connection. Sequence numbers begin at 0 and do not wrap here.
#[derive(Default)]
struct Host {
    ids: u16,
    next: u32,
    acked: u32,
    repeated: u32,
    in_flight: VecDeque<Packet>,
    expected: u32,
    early: BTreeMap<u32, u32>,
    /// Counts up whenever an acknowledgement is sent: a timer set before is void.
    acks_sent: u32,
    ack_waits: bool,
    timer: u32,
    backoff: u32,
}

/// The whole arrangement while it runs.
pub(crate) struct Simulation {
    path: Path,
    rng: Rng,
    now: Nanos,
    events: BTreeMap<(Nanos, u64), Event>,
    serial: u64,
    client: Host,
    server: Host,
    last_arrival: [Nanos; 2],
    script: Vec<Line>,
    /// The line of the script that was said last.
    said: usize,
    keys: Vec<Nanos>,
    /// Bytes that the script takes, by side; and keys sent and echoed, 36 bytes each.
    spoken: [u32; 2],
    echoed: u32,
    recording: Recording,
}

/// Length of a key's message and of its echo: chacha20-poly1305.
const KEY: u32 = 36;

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Simulation {
    /// Plays a script and then types: keys at these times after the script's end, each echoed after `processing`.
    pub(crate) fn play(path: Path, script: Vec<Line>, keys: &[Nanos], processing: Nanos) -> Recording {
        let total = |side| 1 + script.iter().filter(|line| line.side == side).map(|line| line.bytes.len() as u32).sum::<u32>();
        let spoken = [total(Side::Client), total(Side::Server)];
        let mut run = Self {
            rng: Rng::new(path.seed),
            now: 1_700_000_000_000_000_000,
            events: BTreeMap::new(),
            serial: 0,
            client: Host::default(),
            server: Host::default(),
            last_arrival: [0; 2],
            script,
            said: 0,
            keys: keys.to_vec(),
            spoken,
            echoed: 0,
            recording: Recording { frames: Vec::new(), keys: Vec::new(), echoes: Vec::new() },
            path,
        };
        run.send(Side::Client, SYN, Vec::new());
        while let Some(((time, _), event)) = run.events.pop_first() {
            run.now = time;
            match event {
                Event::Sensor(from, packet) => run.sense(from, packet),
                Event::Arrival(at, packet) => run.arrive(at, &packet, processing),
                Event::Speak(line) => run.speak(line),
                Event::Key => run.send(Side::Client, ACK | PSH, vec![0x5a; KEY as usize]),
                Event::Echo => run.send(Side::Server, ACK | PSH, vec![0xa5; KEY as usize]),
                Event::AckTimer(side, set) => run.acknowledge_late(side, set),
                Event::Retransmit(side, set) => run.retransmit_late(side, set),
            }
        }
        run.recording
    }

    const fn host(&mut self, side: Side) -> &mut Host {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn at(&mut self, time: Nanos, event: Event) {
        self.serial += 1;
        self.events.insert((time, self.serial), event);
    }

    /// New data, or a SYN.
    fn send(&mut self, from: Side, flags: u8, payload: Vec<u8>) {
        let host = self.host(from);
        let packet = Packet { id: 0, seq: host.next, ack: 0, flags, options: Vec::new(), payload };
        host.next = packet.end();
        let idle = host.in_flight.is_empty();
        host.in_flight.push_back(packet.clone());
        self.transmit(from, packet);
        if idle {
            self.start_timer(from);
        }
    }

    /// Puts a packet on the wire with the acknowledgement of the day.
    fn transmit(&mut self, from: Side, mut packet: Packet) {
        let host = self.host(from);
        host.ids += 1;
        (packet.id, packet.ack) = (host.ids, host.expected);
        (host.ack_waits, host.acks_sent) = (false, host.acks_sent + 1);
        if let Some((&start, &end)) = host.early.first_key_value() {
            packet.options = [&[1, 1, 5, 10], &start.to_be_bytes()[..], &end.to_be_bytes()].concat();
        }
        match from {
            Side::Server => self.at(self.now + self.path.server_rtt / 2, Event::Sensor(from, packet)),
            Side::Client => {
                let arrival = self.cross(from);
                if !self.is_lost() {
                    self.at(arrival, Event::Sensor(from, packet));
                }
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        self.rng.below(1_000) < self.path.loss
    }

    /// When a packet that leaves now has crossed the long leg; a queue keeps its order.
    fn cross(&mut self, from: Side) -> Nanos {
        // Roughly lognormal with sigma 0.9: the sum of four uniform numbers is roughly normal.
        let normal = ((0..4).map(|_| self.rng.below(1_000_001)).sum::<usize>() as f64 / 1e6 - 2.0) * 3f64.sqrt();
        let queue = (self.path.jitter as f64 * (0.9 * normal).exp()) as Nanos;
        let last = &mut self.last_arrival[index(from)];
        *last = (self.now + self.path.client_rtt / 2 + queue).max(*last + US);
        *last
    }

    fn sense(&mut self, from: Side, packet: Packet) {
        let client = ([203, 0, 113, 7].into(), 50_000);
        let server = ([192, 0, 2, 1].into(), 22);
        let (source, destination) = if from == Side::Client { (client, server) } else { (server, client) };
        let (seen, script) = match from {
            Side::Client => (&mut self.recording.keys, self.spoken[0]),
            Side::Server => (&mut self.recording.echoes, self.spoken[1]),
        };
        // Seen for the first time; those that were lost before are filled in when they come.
        if packet.seq >= script && !packet.payload.is_empty() {
            let nth = ((packet.seq - script) / KEY) as usize;
            seen.resize(seen.len().max(nth + 1), 0);
            if seen[nth] == 0 {
                seen[nth] = self.now;
            }
        }
        let tcp = Tcp {
            time: Timestamp::from_nanos(self.now),
            mac: [[2; 6], [3; 6]],
            source,
            destination,
            id: packet.id,
            seq: packet.seq,
            ack: packet.ack,
            flags: packet.flags,
            window: 500,
            options: packet.options.clone(),
            payload: packet.payload.clone(),
        };
        self.recording.frames.push(tcp.shot());
        match from {
            Side::Client => self.at(self.now + self.path.server_rtt / 2, Event::Arrival(Side::Server, packet)),
            Side::Server => {
                let arrival = self.cross(from);
                if !self.is_lost() {
                    self.at(arrival, Event::Arrival(Side::Client, packet));
                }
            }
        }
    }

    fn arrive(&mut self, at: Side, packet: &Packet, processing: Nanos) {
        if packet.flags & ACK != 0 {
            self.take_ack(at, packet);
        }
        if packet.end() == packet.seq {
            return;
        }
        let host = self.host(at);
        let before = host.expected;
        if packet.seq > before {
            host.early.insert(packet.seq, packet.end());
        } else {
            host.expected = before.max(packet.end());
            while let Some(entry) = host.early.first_entry().filter(|entry| *entry.key() <= host.expected) {
                host.expected = host.expected.max(entry.remove());
            }
        }
        let (expected, whole) = (host.expected, host.early.is_empty());
        let is_syn = packet.flags & SYN != 0;
        match (is_syn, at) {
            (true, Side::Server) if before == 0 => self.send(Side::Server, SYN | ACK, Vec::new()),
            (true, Side::Server) => self.retransmit(Side::Server),
            (true, Side::Client) => {
                self.acknowledge(at);
                if before == 0 {
                    self.at(self.now + self.script[0].after, Event::Speak(0));
                }
            }
            // Holes and copies are answered at once (RFC 5681 §4.2).
            _ if expected == before || !whole => self.acknowledge(at),
            _ => self.acknowledge_new(at),
        }
        if expected > before {
            self.hear(at, processing);
        }
    }

    fn acknowledge(&mut self, from: Side) {
        let (seq, flags) = (self.host(from).next, ACK);
        self.transmit(from, Packet { id: 0, seq, ack: 0, flags, options: Vec::new(), payload: Vec::new() });
    }

    fn acknowledge_new(&mut self, from: Side) {
        let acks = if from == Side::Client { self.path.client_acks } else { self.path.server_acks };
        let delayed = acks == Acks::AllDelayed || (acks == Acks::TenthDelayed && self.rng.below(10) == 0);
        if !delayed {
            self.acknowledge(from);
        } else if !self.host(from).ack_waits {
            let host = self.host(from);
            host.ack_waits = true;
            let set = host.acks_sent;
            self.at(self.now + DELAYED_ACK, Event::AckTimer(from, set));
        }
    }

    fn acknowledge_late(&mut self, side: Side, set: u32) {
        let host = self.host(side);
        if host.ack_waits && host.acks_sent == set {
            self.acknowledge(side);
        }
    }

    fn take_ack(&mut self, at: Side, packet: &Packet) {
        let host = self.host(at);
        if packet.ack > host.acked {
            (host.acked, host.repeated, host.backoff) = (packet.ack, 0, 0);
            while host.in_flight.front().is_some_and(|sent| sent.end() <= packet.ack) {
                host.in_flight.pop_front();
            }
            self.start_timer(at);
        } else if packet.payload.is_empty() && packet.flags & SYN == 0 && !host.in_flight.is_empty() {
            host.repeated += 1;
            if host.repeated == 3 {
                self.retransmit(at);
            }
        }
    }

    fn start_timer(&mut self, side: Side) {
        let rto = self.path.client_rtt + 4 * self.path.jitter + RTO;
        let host = self.host(side);
        host.timer += 1;
        if !host.in_flight.is_empty() {
            let (set, wait) = (host.timer, rto << host.backoff.min(6));
            self.at(self.now + wait, Event::Retransmit(side, set));
        }
    }

    fn retransmit(&mut self, side: Side) {
        if let Some(first) = self.host(side).in_flight.front().cloned() {
            self.transmit(side, first);
        }
    }

    fn retransmit_late(&mut self, side: Side, set: u32) {
        if self.host(side).timer == set {
            self.host(side).backoff += 1;
            self.retransmit(side);
            self.start_timer(side);
        }
    }

    fn speak(&mut self, nth: usize) {
        let line = self.script[nth].clone();
        self.said = nth;
        self.send(line.side, ACK | PSH, line.bytes);
        match self.script.get(nth + 1) {
            Some(next) if next.side == line.side => self.at(self.now + next.after, Event::Speak(nth + 1)),
            _ => {}
        }
    }

    /// A program reads what has come in order, and answers.
    fn hear(&mut self, at: Side, processing: Nanos) {
        let heard = self.host(at).expected;
        let due: u32 =
            1 + self.script[..=self.said].iter().filter(|line| line.side != at).map(|line| line.bytes.len() as u32).sum::<u32>();
        let said = &self.script[self.said];
        if heard == due && said.side != at && heard > 1 {
            match self.script.get(self.said + 1) {
                Some(next) if next.side == at => self.at(self.now + next.after, Event::Speak(self.said + 1)),
                None if !self.keys.is_empty() => {
                    for key in std::mem::take(&mut self.keys) {
                        self.at(self.now + key, Event::Key);
                    }
                }
                _ => {}
            }
        }
        let script = self.spoken[0];
        while at == Side::Server && heard >= script + (self.echoed + 1) * KEY {
            self.echoed += 1;
            self.at(self.now + processing, Event::Echo);
        }
    }
}

const PSH: u8 = 0x08;
