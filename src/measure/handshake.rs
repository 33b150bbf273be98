//! The two round trips of TCP's three-way handshake (RFC 9293 §3.5).
//!
//! Server side: SYN → SYN-ACK. Client side: SYN-ACK → ACK. Neither side delays these, so one handshake is one clean
//! sample of each; a retransmission makes its sample ambiguous, and it is not taken (Karn and Partridge, 1987).

use crate::{
    flow::{Arrival, PerSide, Side},
    time::{Span, Timestamp},
    wire::{SeqNumber, TcpFlags, TcpSegment},
};

/// See the [module's documentation](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshake {
    state: State,
    rtt: PerSide<Option<Span>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Nothing,
    Syn {
        sent: Timestamp,
        once: bool,
    },
    SynAck {
        sent: Timestamp,
        once: bool,
        acks: SeqNumber,
    },
    Over,
}

impl Handshake {
    /// Round trip of each side, where it was measured.
    #[must_use]
    pub const fn rtt(&self) -> PerSide<Option<Span>> {
        self.rtt
    }

    /// What a handshake over UDP took; the first of each side stands.
    pub fn take(&mut self, side: Side, rtt: Span) {
        self.rtt.get_mut(side).get_or_insert(rtt);
    }

    /// Client and server turned out to be the other way round; what is not over by then stays unmeasured.
    pub const fn swap(&mut self) {
        self.rtt.swap();
        self.state = State::Over;
    }

    /// Takes a segment into account; cheap once the handshake is over.
    pub fn on_segment(&mut self, side: Side, segment: &TcpSegment<'_>, arrival: Arrival, time: Timestamp) {
        if matches!(self.state, State::Over) || arrival == Arrival::Duplicate {
            return;
        }
        let syn = segment.flags.has(TcpFlags::SYN);
        self.state = match (self.state, side, syn, segment.acked()) {
            (State::Nothing, Side::Client, true, None) => State::Syn { sent: time, once: true },
            (State::Syn { .. }, Side::Client, true, None) => State::Syn { sent: time, once: false },
            (State::Syn { sent, once }, Side::Server, true, Some(_)) => {
                self.rtt.server = once.then(|| time - sent).filter(|rtt| !rtt.is_negative());
                State::SynAck { sent: time, once: true, acks: segment.end_seq() }
            }
            // The SYN itself was not captured; the client's half is there all the same.
            (State::Nothing, Side::Server, true, Some(_)) => State::SynAck { sent: time, once: true, acks: segment.end_seq() },
            (State::SynAck { acks, .. }, Side::Server, true, Some(_)) => State::SynAck { sent: time, once: false, acks },
            (State::SynAck { once, acks, .. }, Side::Client, true, _) => State::SynAck { sent: time, once: once && !syn, acks },
            (State::SynAck { sent, once, acks }, Side::Client, false, Some(acked)) => {
                // Data in its place means that the ACK itself was lost: not a round trip of the network.
                let clean = once && acked == acks && arrival == Arrival::Bare;
                self.rtt.client = clean.then(|| time - sent).filter(|rtt| !rtt.is_negative());
                State::Over
            }
            (state @ State::SynAck { .. }, Side::Server, false, _) => state,
            _ => State::Over,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs (side, flags, milliseconds); client sequence numbers begin at 100, the server's at 900.
    fn run(feed: &[(Side, u8, i64)]) -> PerSide<Option<Span>> {
        let mut handshake = Handshake::default();
        for &(side, flags, ms) in feed {
            let syn = flags & TcpFlags::SYN != 0;
            let (seq, ack) = match side {
                Side::Client => (if syn { 100 } else { 101 }, 901),
                Side::Server => (900, 101),
            };
            let segment = TcpSegment {
                src_port: 1,
                dst_port: 2,
                seq: SeqNumber(seq),
                ack: SeqNumber(ack),
                flags: TcpFlags(flags),
                window: 0,
                options: &[],
                payload: &[],
                payload_len: 0,
            };
            let arrival = if syn { Arrival::New } else { Arrival::Bare };
            handshake.on_segment(side, &segment, arrival, Timestamp::from_nanos(ms * 1_000_000));
        }
        handshake.rtt()
    }

    const SYN: u8 = TcpFlags::SYN;
    const ACK: u8 = TcpFlags::ACK;

    #[test]
    fn both_halves_are_measured() {
        let rtt = run(&[(Side::Client, SYN, 0), (Side::Server, SYN | ACK, 3), (Side::Client, ACK, 113)]);
        assert_eq!((rtt.server, rtt.client), (Some(Span::from_millis(3)), Some(Span::from_millis(110))));
    }

    #[test]
    fn a_syn_sent_twice_is_ambiguous_for_the_server_only() {
        let rtt =
            run(&[(Side::Client, SYN, 0), (Side::Client, SYN, 1000), (Side::Server, SYN | ACK, 1003), (Side::Client, ACK, 1113)]);
        assert_eq!((rtt.server, rtt.client), (None, Some(Span::from_millis(110))));
    }

    #[test]
    fn a_syn_ack_sent_twice_is_ambiguous_for_the_client_only() {
        let rtt = run(&[
            (Side::Client, SYN, 0),
            (Side::Server, SYN | ACK, 3),
            (Side::Server, SYN | ACK, 1003),
            (Side::Client, ACK, 1113),
        ]);
        assert_eq!((rtt.server, rtt.client), (Some(Span::from_millis(3)), None));
    }

    #[test]
    fn time_that_runs_backwards_is_not_a_round_trip() {
        let rtt = run(&[(Side::Client, SYN, 10), (Side::Server, SYN | ACK, 3), (Side::Client, ACK, 1)]);
        assert_eq!(rtt, PerSide::default());
    }

    #[test]
    fn half_a_handshake_gives_half() {
        assert_eq!(run(&[(Side::Server, SYN | ACK, 3), (Side::Client, ACK, 113)]).client, Some(Span::from_millis(110)));
        assert_eq!(run(&[(Side::Client, ACK, 113)]), PerSide::default());
    }
}
