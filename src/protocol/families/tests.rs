use super::*;
use crate::{time::Timestamp, wire::SeqNumber};

fn say(families: &mut Families, side: Side, bytes: &[u8]) {
    let len = bytes.len() as u32;
    families.on_data(side, &Data { bytes, len, time: Timestamp::from_nanos(1), end: SeqNumber(1), acked: None, sent: None });
}

/// A ClientHello in one record; `before` bytes of padding stand in front of the name.
fn hello(name: &[u8], alpn: &[u8], before: usize) -> Vec<u8> {
    let part = |kind: u16, data: &[u8]| [&kind.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat();
    let name = [&((name.len() + 3) as u16).to_be_bytes()[..], &[0], &(name.len() as u16).to_be_bytes(), name].concat();
    let alpn = [&((alpn.len() + 1) as u16).to_be_bytes()[..], &[alpn.len() as u8], alpn].concat();
    let extensions = [part(21, &vec![0; before]), part(0, &name), part(16, &alpn)].concat();
    let len = (extensions.len() as u16).to_be_bytes();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &len, &extensions].concat();
    let message = [&[1, 0], &(body.len() as u16).to_be_bytes()[..], &body].concat();
    [&[22, 3, 1], &(message.len() as u16).to_be_bytes()[..], &message].concat()
}

fn protocol(families: &Families) -> Option<&str> {
    families.facts().map(|facts| facts.mark.protocol.as_str())
}

#[test]
fn a_name_or_an_application_protocol_gives_it_away_in_any_pieces() {
    for (hello, wanted) in [
        (hello(b"router7.teamviewer.com", b"h2", 0), "teamviewer"),
        (hello(b"example.org", b"anydesk/6.2.0/linux", 1_400), "anydesk"),
    ] {
        for size in [1, 3, 700, 4_000] {
            let mut families = Families::default();
            assert!(Families::may_begin(hello.get(..size.min(hello.len())).unwrap(), Side::Client));
            hello.chunks(size).for_each(|piece| say(&mut families, Side::Client, piece));
            assert_eq!(protocol(&families), Some(wanted), "in pieces of {size}");
            assert_eq!(families.standing(), Standing::OneSide);
        }
    }
}

#[test]
fn any_other_name_is_let_go_of_as_soon_as_it_is_seen() {
    let other = hello(b"www.example.org", b"h2", 0);
    assert!(!Families::may_begin(&other, Side::Client));
    assert!(
        !Families::may_begin(other.get(..other.len() - 2).unwrap(), Side::Client),
        "the name is whole, the rest does not matter"
    );
    let late = hello(b"www.example.org", b"h2", 1_400);
    assert!(Families::may_begin(late.get(..1_400).unwrap(), Side::Client), "the name may still come");
    let mut families = Families::default();
    late.chunks(1_400).for_each(|piece| say(&mut families, Side::Client, piece));
    assert_eq!(families.standing(), Standing::NotOurs);
    for other in [&b"GET / HTTP/1.1"[..], b"\x16", b"\x01", b"", b"\x16\x03\x01\0\0"] {
        let is_tls = tls::may_begin(other);
        assert_eq!(Families::may_begin(other, Side::Client), is_tls, "{other:?}");
        assert!(!Families::may_begin(other, Side::Server));
    }
}

#[test]
fn a_hello_without_sense_is_let_go_of_once_it_is_all_there() {
    let body = [0x33; 508];
    let senseless = [&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc][..], &body].concat();
    assert!(!Families::may_begin(&senseless, Side::Client));
    assert!(Families::may_begin(senseless.get(..400).unwrap(), Side::Client), "more of it may come");
    let of_two_records = [&[22, 3, 1, 2, 0, 1, 0, 1, 0xfd][..], &body].concat();
    assert!(Families::may_begin(&of_two_records, Side::Client), "its last byte is in another record");
}

#[test]
fn whatever_comes_is_bounded_and_no_panic() {
    let whole = hello(b"boot.net.anydesk.com", b"anydesk/1", 30);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut broken = whole.clone();
            *broken.get_mut(at).unwrap() ^= 1 << bit;
            let _ = Families::may_begin(&broken, Side::Client);
            let mut families = Families::default();
            say(&mut families, Side::Client, &broken);
            say(&mut families, Side::Server, &broken);
        }
    }
    let mut families = Families::default();
    for _ in 0..1_000 {
        say(&mut families, Side::Client, b"REDQ");
        assert!(families.kept.len() <= 2 * MOST_KEPT);
    }
    assert_eq!(families.standing(), Standing::NotOurs);
    families.on_gap();
}
