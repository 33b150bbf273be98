//! The same session through a proxy: behind the handshake of SOCKS or CONNECT it is what it was.

use keywitness::{
    flow::Side,
    protocol::carrier::{Carrier, Kind, Target},
    time::Span,
    wire::TcpFlags,
};

use crate::{
    common::{Outcome, Tcp, run},
    pcaps::segments,
    same_facts, shots, side_of,
};

/// What is said before the session, in turns.
type Turns = [(Side, &'static [u8])];

const SOCKS5: &Turns = &[
    (Side::Client, &[5, 2, 0, 2]),
    (Side::Server, &[5, 2]),
    (Side::Client, b"\x01\x04jdoe\x06secret"),
    (Side::Server, &[1, 0]),
    (Side::Client, b"\x05\x01\0\x03\x04host\0\x16"),
    (Side::Server, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
];
const SOCKS4: &Turns = &[(Side::Client, &[4, 1, 0, 22, 192, 0, 2, 7, 0]), (Side::Server, &[0, 90, 0, 0, 0, 0, 0, 0])];
const CONNECT: &Turns = &[
    (Side::Client, b"CONNECT host:22 HTTP/1.1\r\nHost: host:22\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n"),
    (Side::Server, b"HTTP/1.1 200 Connection established\r\n\r\n"),
];

/// The connection of a capture with these turns in front of what is said in it, in segments of so many bytes; each takes the time between
/// the three of TCP's handshake and the first that follows.
fn through(segments: &[Tcp], turns: &Turns, piece: usize) -> Vec<Tcp> {
    let (opening, session) = segments.split_at(3);
    let len = |wanted: Side| turns.iter().filter(|(side, _)| *side == wanted).map(|(_, bytes)| bytes.len() as u32).sum::<u32>();
    let moved = |segment: &Tcp| {
        let side = side_of(segments, segment);
        let (seq, ack) = (segment.seq.wrapping_add(len(side)), segment.ack.wrapping_add(len(side.other())));
        Tcp { seq, ack, ..segment.clone() }
    };
    let mut all = opening.to_vec();
    let [_, server, client] = opening else { panic!("no handshake") };
    let mut next = [client.seq, server.seq.wrapping_add(1)];
    let pieces: Vec<_> = turns.iter().flat_map(|(side, bytes)| bytes.chunks(piece).map(move |piece| (*side, piece))).collect();
    for (nth, (side, bytes)) in pieces.iter().enumerate() {
        let (of, mine, other) = if *side == Side::Client { (client, 0, 1) } else { (server, 1, 0) };
        let (seq, ack) = (next[mine], next[other]);
        let time = client.time + Span::from_micros(1 + nth as i64);
        let (flags, id) = (TcpFlags::ACK, 40_000 + nth as u16);
        all.push(Tcp { time, seq, ack, flags, id, options: Vec::new(), payload: bytes.to_vec(), ..of.clone() });
        next[mine] = seq.wrapping_add(bytes.len() as u32);
    }
    all.extend(session.iter().map(moved));
    all
}

fn asked(found: &Outcome) -> &[Carrier] {
    &found.session().carriers
}

#[test]
fn a_session_through_a_proxy_is_the_same_session() {
    let target = |host: &str| Target { host: host.as_bytes().to_vec(), port: 22 };
    for name in ["ssh-home", "ssh-aes-gcm", "vnc-none", "vnc-tls", "rdp-tls", "telnet", "rlogin"] {
        let segments = segments(name);
        let original = run(&shots(&segments));
        assert_eq!(asked(&original), []);
        for (turns, kind, host) in
            [(SOCKS5, Kind::Socks5, "host"), (SOCKS4, Kind::Socks4, "192.0.2.7"), (CONNECT, Kind::HttpConnect, "host")]
        {
            for piece in [1, 7, 1_000] {
                let context = format!("{name} through {kind:?} in pieces of {piece}");
                let found = run(&shots(&through(&segments, turns, piece)));
                assert_eq!(asked(&found), [Carrier { kind, target: target(host) }], "{context}");
                same_facts(&context, found.session(), original.session());
                let times = |outcome: &Outcome| outcome.keystrokes.iter().map(|key| (key.time, key.kind)).collect::<Vec<_>>();
                assert_eq!(times(&found), times(&original), "{context}");
            }
        }
    }
}

/// A server behind a proxy answers too late to tell one message of chaff from the next: nothing is said of keys then.
#[test]
fn among_chaff_no_keys_are_told_through_a_proxy() {
    let segments = segments("ssh-obfuscated");
    let found = run(&shots(&through(&segments, SOCKS5, 1_000)));
    assert_eq!((found.session().obfuscated, found.session().keystrokes, found.keystrokes.len()), (Some(true), None, 0));
}

/// Where bytes of the handshake are missing, what follows is not guessed at.
#[test]
fn a_gap_in_the_handshake_is_not_guessed_across() {
    let segments = segments("ssh-home");
    let whole = through(&segments, SOCKS5, 1_000);
    let without = |lost: usize| {
        let mut left = whole.clone();
        left.remove(3 + lost);
        run(&shots(&left))
    };
    for lost in [2, 4] {
        assert_eq!(without(lost).sessions.len(), 0, "of the client");
    }
    for lost in [1, 3, 5] {
        let found = without(lost);
        assert_eq!(found.sessions.len(), 1, "of the proxy");
        assert_eq!(found.keystrokes.len(), 0);
    }
}
