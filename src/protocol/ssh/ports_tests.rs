use super::*;
use crate::wire::SeqNumber;

const RTT: Option<Span> = Some(Span::from_millis(30));
const SUITES: [(&str, &str); 4] = [
    ("chacha20-poly1305@openssh.com", ""),
    ("aes128-gcm@openssh.com", ""),
    ("aes128-ctr", "hmac-sha2-512"),
    ("aes256-ctr", "umac-64-etm@openssh.com"),
];

/// Hears payloads (negative: of the server) at times in milliseconds, with each cipher; what they all say.
fn hear(messages: &[(i32, i64)]) -> (Option<bool>, Option<bool>, Option<bool>) {
    let mut said: Vec<_> = SUITES
        .iter()
        .map(|(cipher, mac)| {
            let sizes = Sizes::of(cipher, mac, "none").unwrap();
            let mut ports = Ports::default();
            for (payload, ms) in messages {
                let side = if *payload > 0 { Side::Client } else { Side::Server };
                let time = Timestamp::from_nanos(ms * 1_000_000);
                let len = sizes.packet(payload.unsigned_abs());
                let record = Record { len, exact: false, time, end: SeqNumber(0), acked: None, sent: None };
                ports.push(side, &record, sizes, RTT);
            }
            (ports.local(), ports.reverse(), ports.typing())
        })
        .collect();
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    said[0]
}

/// Opened from `127.0.0.1` to `localhost`, and confirmed.
const LOCAL: [(i32, i64); 2] = [(66, 1_000), (-17, 1_001)];
/// The server's host keys, which it tells; a connection to its `localhost`, from there; confirmed.
const REMOTE: [(i32, i64); 3] = [(-360, 1), (-66, 1_000), (17, 1_030)];

#[test]
fn the_first_connection_tells_whose_ports_they_are() {
    assert_eq!(hear(&LOCAL), (Some(true), None, None));
    assert_eq!(hear(&[&[(-360, 1), (27, 500), (-1, 501)], &LOCAL[..]].concat()), (Some(true), None, None));
    assert_eq!(hear(&[&LOCAL[..], &[(-200, 1_002), (100, 1_040)]].concat()), (Some(true), None, None));
    assert_eq!(hear(&REMOTE), (None, Some(true), None), "whether the client opened some later is not told");
    assert_eq!(hear(&[&REMOTE[..], &LOCAL[..]].concat()).0, None);
}

#[test]
fn nothing_is_opened_by_keep_alives_and_host_keys() {
    let none = (Some(false), None, None);
    assert_eq!(hear(&[]), none);
    assert_eq!(hear(&[(-360, 1), (27, 15_000), (-1, 15_001), (-27, 20_000), (1, 20_030)]), none);
    // Host keys that the client wants proved, and two signatures.
    assert_eq!(hear(&[(-360, 1), (150, 30), (-180, 31), (27, 15_000), (-1, 15_001)]), (None, None, None));
    // Refused.
    assert_eq!(hear(&[(66, 1_000), (-35, 1_001), (-360, 1_002)]), (None, None, None));
    assert_eq!(hear(&[(-66, 1_000), (35, 1_030)]), none);
}

#[test]
fn a_gap_ends_what_is_known() {
    let sizes = Sizes::of(SUITES[0].0, "", "none").unwrap();
    let record = |len| Record { len, exact: false, time: Timestamp::from_nanos(0), end: SeqNumber(0), acked: None, sent: None };
    let mut ports = Ports::default();
    ports.give_up();
    ports.push(Side::Client, &record(sizes.packet(66)), sizes, RTT);
    ports.push(Side::Server, &record(sizes.packet(17)), sizes, RTT);
    assert_eq!((ports.local(), ports.reverse()), (None, None));
}

/// Messages of the server each so many milliseconds after the one before, echoed a round trip later; each tenth by more.
fn typed(intervals: &[i64], answer: i32) -> Vec<(i32, i64)> {
    let mut at = 5_000;
    let keys = intervals.iter().enumerate().flat_map(|(nth, interval)| {
        at += interval;
        [(-10, at), (if nth % 10 == 9 { answer } else { 10 }, at + 31)]
    });
    let mut all: Vec<_> = REMOTE.into_iter().chain(keys).collect();
    all.sort_by_key(|(_, at)| *at);
    all
}

#[test]
fn what_the_servers_side_types_is_echoed_by_the_clients() {
    let person: Vec<i64> = (0..60).map(|nth| [90, 130, 310, 150, 700, 200][nth % 6]).collect();
    assert_eq!(hear(&typed(&person, 400)), (None, Some(true), Some(true)));
    assert_eq!(hear(&typed(&person[..20], 400)).2, None, "too few");
    assert_eq!(hear(&typed(&person, 10)).2, None, "nothing but echoes");
    assert_eq!(hear(&typed(&[200; 60], 400)).2, None, "a timer");
    assert_eq!(hear(&typed(&[20; 200], 400)).2, None, "chaff");
    let unheard: Vec<_> = typed(&person, 400).into_iter().filter(|(len, at)| *len < 0 || *at < 5_000).collect();
    assert_eq!(hear(&unheard).2, None, "no echoes");
}

#[test]
fn what_is_kept_is_bounded() {
    let sizes = Sizes::of(SUITES[0].0, "", "none").unwrap();
    let mut typing = Typing::default();
    for nth in 0..10_000 {
        let time = Timestamp::from_nanos(nth);
        let record = Record { len: sizes.key(), exact: false, time, end: SeqNumber(0), acked: None, sent: None };
        typing.push(Side::Server, &record, sizes, None);
    }
    assert!(typing.waiting.capacity() * size_of::<(u32, Timestamp)>() <= Typing::MOST_BYTES);
}
