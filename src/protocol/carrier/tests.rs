use super::*;
use crate::{time::Timestamp, wire::SeqNumber};

const C: Side = Side::Client;
const S: Side = Side::Server;

fn feed(carried: &mut Carried, side: Side, bytes: &[u8]) {
    let (time, len) = (Timestamp::from_nanos(0), bytes.len() as u32);
    carried.on_data(side, &Data { bytes, len, time, end: SeqNumber(0), acked: None, sent: None }, None, &mut Vec::new());
}

/// What comes of these turns, in pieces of so many bytes.
fn run(turns: &[(Side, &[u8])], piece: usize) -> Carried {
    let mut carried = Carried::default();
    for (side, bytes) in turns {
        bytes.chunks(piece).for_each(|piece| feed(&mut carried, *side, piece));
    }
    carried
}

/// The same in pieces of every length; what was asked for.
fn asked(turns: &[(Side, &[u8])]) -> (Standing, Vec<(Kind, String, u16)>) {
    let told = |carried: &Carried| {
        let shown = |carrier: Carrier| (carrier.kind, String::from_utf8(carrier.target.host).unwrap(), carrier.target.port);
        (carried.standing(), carried.carriers().into_iter().map(shown).collect::<Vec<_>>())
    };
    let whole = told(&run(turns, 4_096));
    for piece in 1..40 {
        assert_eq!(told(&run(turns, piece)), whole, "in pieces of {piece}");
    }
    whole
}

type Turns<'a> = [(Side, &'a [u8])];

const SSH: [(Side, &[u8]); 2] = [(C, b"SSH-2.0-a\r\n"), (S, b"SSH-2.0-b\r\n")];

#[test]
fn each_way_to_ask_and_what_follows_is_the_session() {
    let accepted4: &[u8] = &[0, 90, 0, 0, 0, 0, 0, 0];
    let accepted5: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let request6 = [&[5, 1, 0, 4, 0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7, 0, 22]].concat();
    let connect: &[u8] = b"CONNECT [2001:db8::7]:2222 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n";
    let cases: [(&Turns<'_>, Kind, &str, u16); 7] = [
        (&[(C, &[4, 1, 0, 22, 192, 0, 2, 7, 0]), (S, accepted4)], Kind::Socks4, "192.0.2.7", 22),
        (&[(C, b"\x04\x01\x08\xae\0\0\0\x01me\0host.example\0"), (S, accepted4)], Kind::Socks4a, "host.example", 2222),
        (
            &[(C, &[5, 1, 0]), (S, &[5, 0]), (C, &[5, 1, 0, 1, 192, 0, 2, 7, 0, 22]), (S, accepted5)],
            Kind::Socks5,
            "192.0.2.7",
            22,
        ),
        (&[(C, &[5, 2, 0, 1]), (S, &[5, 0]), (C, &request6), (S, accepted5)], Kind::Socks5, "2001:db8::7", 22),
        (
            &[
                (C, &[5, 2, 0, 2]),
                (S, &[5, 2]),
                (C, b"\x01\x04jdoe\x06secret"),
                (S, &[1, 0]),
                (C, b"\x05\x01\0\x03\x04host\0\x16"),
                (S, b"\x05\0\0\x03\x03abc\0\x01"),
            ],
            Kind::Socks5,
            "host",
            22,
        ),
        (&[(C, connect), (S, b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n")], Kind::HttpConnect, "2001:db8::7", 2222),
        (&[(C, b"CONNECT a:22 HTTP/1.0\n\n"), (S, b"HTTP/1.1 200\r\n\r\n")], Kind::HttpConnect, "a", 22),
    ];
    for (turns, kind, host, port) in cases {
        let turns = [turns, &SSH].concat();
        assert_eq!(asked(&turns), (Standing::Both, vec![(kind, host.to_owned(), port)]), "{host}");
        let Some(Facts::Ssh(facts)) = run(&turns, 3).facts() else { panic!("not SSH") };
        assert_eq!(facts.banners.server.as_deref(), Some(&b"SSH-2.0-b"[..]));
    }
}

/// A frame of a client's, with a mask, and of a server's.
fn frame(side: Side, bytes: &[u8]) -> Vec<u8> {
    let mask = [9, 8, 7, 6];
    match side {
        C => {
            let masked = bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
            [0x82, 0x80 | bytes.len() as u8].into_iter().chain(mask).chain(masked).collect()
        }
        S => [&[0x82, bytes.len() as u8], bytes].concat(),
    }
}

const UPGRADE: &[u8] =
    b"GET /websockify?token=secret HTTP/1.1\r\nHost: [2001:db8::7]:6080\r\nCookie: secret\r\nUPGRADE: WebSocket\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: binary\r\n\r\n";

#[test]
fn what_frames_of_websocket_carry_is_the_session() {
    let (client, server) = (frame(C, b"SSH-2.0-a\r\n"), frame(S, b"SSH-2.0-b\r\n"));
    let ping = [0x89, 0];
    let turns: [(Side, &[u8]); 5] = [(C, UPGRADE), (S, SWITCHED), (S, &ping), (C, &client), (S, &server)];
    let socket = (Kind::WebSocket, "2001:db8::7".to_owned(), 6_080);
    assert_eq!(asked(&turns), (Standing::Both, vec![socket.clone()]));
    let Some(Facts::Ssh(facts)) = run(&turns, 3).facts() else { panic!("not SSH") };
    assert_eq!(facts.banners.server.as_deref(), Some(&b"SSH-2.0-b"[..]));

    let connect: [(Side, &[u8]); 2] = [(C, b"CONNECT a:80 HTTP/1.1\r\n\r\n"), (S, b"HTTP/1.1 200 OK\r\n\r\n")];
    let links = vec![(Kind::HttpConnect, "a".to_owned(), 80), socket];
    assert_eq!(asked(&[&connect[..], &turns].concat()), (Standing::Both, links));
}

#[test]
fn websocket_with_extensions_refused_or_of_no_session_is_none() {
    let page = frame(C, b"{\"type\":1}");
    let cases: [&Turns<'_>; 4] = [
        &[(C, UPGRADE), (S, b"HTTP/1.1 101 x\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n")],
        &[(C, UPGRADE), (S, b"HTTP/1.1 200 OK\r\n\r\n")],
        &[(C, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
        &[(C, UPGRADE), (S, SWITCHED), (C, &page)],
    ];
    for turns in cases {
        assert_eq!(asked(turns).0, Standing::NotOurs, "{turns:?}");
    }
}

#[test]
fn a_gap_ends_what_is_known_of_one_side_of_websocket() {
    let (client, server) = (frame(C, b"SSH-2.0-a\r\n"), frame(S, b"SSH-2.0-b\r\n"));
    let mut carried = run(&[(C, UPGRADE), (S, SWITCHED), (C, &client), (S, &server)], 4_096);
    carried.on_gap(C, &mut Vec::new());
    feed(&mut carried, C, &frame(C, b"x"));
    assert_eq!(carried.standing(), Standing::Both);
    feed(&mut carried, S, &frame(S, b"y"));
}

#[test]
fn a_chain_is_read_to_its_end_and_a_password_that_is_asked_for_is_no_link_of_it() {
    let turns: [(Side, &[u8]); 8] = [
        (C, b"CONNECT b:1080 HTTP/1.1\r\n\r\n"),
        (S, b"HTTP/1.1 407 Authentication Required\r\ncontent-length: 5\r\n\r\nLogin"),
        (C, b"CONNECT b:1080 HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n"),
        (S, b"HTTP/1.1 200 OK\r\n\r\n"),
        (C, &[5, 1, 0]),
        (S, &[5, 0]),
        (C, b"\x05\x01\0\x03\x01c\0\x16"),
        (S, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ];
    let links = vec![(Kind::HttpConnect, "b".to_owned(), 1080), (Kind::Socks5, "c".to_owned(), 22)];
    assert_eq!(asked(&[&turns[..], &SSH].concat()), (Standing::Both, links));
}

#[test]
fn who_is_refused_or_asks_for_something_else_is_no_session() {
    let cases: [&Turns<'_>; 10] = [
        &[(C, &[4, 2, 0, 22, 192, 0, 2, 7, 0])],                                  // BIND
        &[(C, &[4, 1, 0, 22, 192, 0, 2, 7, 0]), (S, &[0, 91, 0, 0, 0, 0, 0, 0])], // refused
        &[(C, &[5, 1, 0]), (S, &[5, 255])],                                       // no method
        &[(C, &[5, 1, 1]), (S, &[5, 1])],                                         // GSSAPI wraps all that follows
        &[(C, &[5, 1, 2]), (S, &[5, 2]), (C, b"\x01\x01a\x01b"), (S, &[1, 1])],   // wrong password
        &[(C, &[5, 1, 0]), (S, &[5, 0]), (C, &[5, 3, 0, 1, 0, 0, 0, 0, 0, 0])],   // UDP
        &[(C, &[5, 1, 0]), (S, &[5, 0]), (C, &[5, 1, 0, 1, 0, 0, 0, 0, 0, 0]), (S, &[5, 5])], // not reached
        &[(C, b"CONNECT a:443 HTTP/1.1\r\n\r\n"), (S, b"HTTP/1.1 403 Forbidden\r\n")],
        &[(C, b"CONNECT / HTTP/1.1\r\n")],
        &[(C, b"CONNECT a:443 HTTP/1.1\r\n\r\n"), (S, b"HTTP/1.1 200 OK\r\n\r\n"), (C, b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")],
    ];
    for turns in cases {
        assert_eq!(asked(turns).0, Standing::NotOurs, "{turns:?}");
    }
}

#[test]
fn what_may_begin_one_is_told_by_all_of_the_first_segment() {
    for fits in
        [&b"\x05"[..], b"\x05\x01\0", b"\x05\x03\0\x01\x02", b"\x04\x01", b"C", b"CONNECT a:1 HTTP/1.1\r\n\r\nSSH-", UPGRADE]
    {
        assert!(Carried::may_begin(fits), "{fits:?}");
    }
    for other in [
        &b""[..],
        b"\x05\0",
        b"\x05\x11",
        b"\x05\x01\0\0",
        b"\x04\x03",
        b"CON ",
        b"CONNECT a HTTP/1.1\r\n",
        b"SSH-",
        b"G",
        b"GET / HTTP/1.1\r\n",
        &UPGRADE[..90],
    ] {
        assert!(!Carried::may_begin(other), "{other:?}");
    }
}

#[test]
fn one_direction_is_enough_and_a_gap_of_the_proxys_loses_that_direction() {
    let client: [(Side, &[u8]); 3] = [(C, &[5, 1, 0]), (C, b"\x05\x01\0\x03\x01c\0\x16"), SSH[0]];
    assert_eq!(asked(&client), (Standing::OneSide, vec![(Kind::Socks5, "c".to_owned(), 22)]));
    let mut carried = run(&client[..2], 99);
    carried.on_gap(S, &mut Vec::new());
    feed(&mut carried, S, b"\0\0SSH-2.0-b\r\n");
    feed(&mut carried, C, SSH[0].1);
    assert_eq!(carried.standing(), Standing::OneSide);
    let mut carried = run(&client[..1], 99);
    carried.on_gap(C, &mut Vec::new());
    assert_eq!(carried.standing(), Standing::NotOurs);
}

#[test]
fn what_is_kept_is_bounded_and_no_secret_is_in_it() {
    let mut carried = run(&[(C, &[5, 1, 2]), (S, &[5, 2]), (C, b"\x01\x04jdoe\x06sec")], 1);
    assert!(!format!("{carried:?}").contains(&format!("{:?}", b"jdoe")[1..17]), "{carried:?}");
    feed(&mut carried, C, b"ret");
    let mut carried = Carried::default();
    for _ in 0..100 {
        feed(&mut carried, C, b"CONNECT a:1 HTTP/1.1\r\n\r\n");
        feed(&mut carried, S, b"HTTP/1.1 200 OK\r\n\r\n");
    }
    assert_eq!((carried.standing(), carried.stages.len()), (Standing::NotOurs, MOST_REQUESTS));
    assert!(!Carried::may_begin(&[&b"CONNECT "[..], &[b'a'; 600]].concat()));
    let mut carried = Carried::default();
    feed(&mut carried, C, &[&b"CONNECT a:1 HTTP/1.1\r\n"[..], &b"x: y\r\n".repeat(20_000)].concat());
    assert_eq!(carried.standing(), Standing::NotOurs);
}
