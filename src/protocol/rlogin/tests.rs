use super::*;
use crate::{cue::InputKind, time::Timestamp, wire::SeqNumber};

fn say(rlogin: &mut Rlogin, side: Side, bytes: &[u8]) -> Vec<Cue> {
    let mut cues = Vec::new();
    let len = bytes.len() as u32;
    let data = Data { bytes, len, time: Timestamp::from_nanos(1), end: SeqNumber(1), acked: None, sent: None };
    rlogin.on_data(side, &data, &mut cues);
    cues
}

fn open() -> Rlogin {
    let mut rlogin = Rlogin::default();
    say(&mut rlogin, Side::Client, b"\0");
    assert_eq!(rlogin.standing(), Standing::Candidate);
    say(&mut rlogin, Side::Client, b"jo\0root\0xterm-256color/38400\0");
    assert_eq!(rlogin.standing(), Standing::OneSide);
    assert_eq!(say(&mut rlogin, Side::Server, b"\0"), [Cue::Terminal(Terminal::Open)]);
    rlogin
}

#[test]
fn names_and_terminal_are_read_and_keys_follow() {
    let mut rlogin = open();
    assert_eq!(rlogin.standing(), Standing::Both);
    let facts = rlogin.facts();
    assert_eq!(
        (facts.client_user.as_deref(), facts.server_user.as_deref(), facts.terminal.as_deref()),
        (Some(&b"jo"[..]), Some(&b"root"[..]), Some(&b"xterm-256color/38400"[..]))
    );
    assert!(say(&mut rlogin, Side::Client, b"\xff\xffss\0\x18\0\x50\0\0\0\0").is_empty(), "a window is no key");
    let cues = say(&mut rlogin, Side::Client, b"l");
    assert!(matches!(cues.as_slice(), [Cue::Input(input)] if input.kind == InputKind::Char));
}

#[test]
fn what_else_begins_with_a_zero_is_not_rlogin() {
    assert!(Rlogin::may_begin(b"\0"));
    assert!(!Rlogin::may_begin(b"\0\x1d\x12\x34"), "DNS");
    assert!(!Rlogin::may_begin(b"\0\0\0\x45\xfeSMB"), "SMB");
    assert!(!Rlogin::may_begin(b"\0a\0b\0c\0"), "no speed");
    assert!(!Rlogin::may_begin(b"\0a\0b\0c/9600\0more\0"));
    assert!(!Rlogin::may_begin(b"1022\0a\0b\0ls\0"), "rsh");
    let mut rlogin = Rlogin::default();
    say(&mut rlogin, Side::Client, b"\0a\0b\0c/9600\0");
    say(&mut rlogin, Side::Server, b"\x01Permission denied.\n");
    assert_eq!(rlogin.standing(), Standing::NotOurs);
}

#[test]
fn an_opening_without_end_is_let_go_of() {
    let mut rlogin = Rlogin::default();
    say(&mut rlogin, Side::Client, b"\0");
    for _ in 0..1_000 {
        say(&mut rlogin, Side::Client, b"aaaaaaaa");
        assert!(rlogin.opening.len() <= 2 * MOST_OPENING);
    }
    assert_eq!(rlogin.standing(), Standing::NotOurs);
    let mut rlogin = Rlogin::default();
    rlogin.on_gap();
    assert_eq!(rlogin.standing(), Standing::NotOurs);
}
