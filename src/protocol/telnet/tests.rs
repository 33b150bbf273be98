use super::*;
use crate::{
    cue::{InputKind, OutputKind},
    time::Timestamp,
    wire::SeqNumber,
};

fn data(bytes: &[u8]) -> Data<'_> {
    Data { bytes, len: bytes.len() as u32, time: Timestamp::from_nanos(1), end: SeqNumber(1), acked: None, sent: None }
}

fn say(telnet: &mut Telnet, side: Side, bytes: &[u8]) -> Vec<Cue> {
    let mut cues = Vec::new();
    telnet.on_data(side, &data(bytes), &mut cues);
    cues
}

/// As Debian's programs do.
fn in_character_mode() -> Telnet {
    let mut telnet = Telnet::default();
    assert_eq!(telnet.standing(), Standing::Candidate);
    say(&mut telnet, Side::Server, &[255, 253, 24, 255, 253, 31, 255, 251, 3]);
    assert_eq!(telnet.standing(), Standing::OneSide);
    say(&mut telnet, Side::Client, &[255, 251, 24, 255, 253, 3, 255, 253, 1]);
    assert!(!telnet.keys_known());
    say(&mut telnet, Side::Server, &[255, 251, 1]);
    telnet
}

#[test]
fn a_byte_is_a_key_where_the_server_echoes() {
    let mut telnet = in_character_mode();
    assert!(telnet.keys_known());
    assert_eq!(telnet.standing(), Standing::Both);
    let cues = say(&mut telnet, Side::Client, b"a");
    assert!(matches!(cues.as_slice(), [Cue::Input(input)] if input.kind == InputKind::Char && input.bytes == 1));
    let cues = say(&mut telnet, Side::Client, &[255, 241]);
    assert!(cues.is_empty(), "NOP is no key");
    let cues = say(&mut telnet, Side::Server, b"a");
    assert!(matches!(cues.as_slice(), [Cue::Output(output)] if output.kind == OutputKind::Echo));
}

#[test]
fn lines_are_no_keys() {
    let mut telnet = Telnet::default();
    say(&mut telnet, Side::Server, &[255, 251, 3]);
    assert!(say(&mut telnet, Side::Client, b"ls -l\r\n").is_empty());
    let mut telnet = in_character_mode();
    say(&mut telnet, Side::Server, &[255, 250, 34, 1, 1, 255, 240]);
    assert!(say(&mut telnet, Side::Client, b"ls -l\r\n").is_empty(), "the client edits");
    say(&mut telnet, Side::Server, &[255, 250, 34, 1, 0, 255, 240]);
    assert_eq!(say(&mut telnet, Side::Client, b"l").len(), 1);
    say(&mut telnet, Side::Client, &[255, 254, 1]);
    assert!(say(&mut telnet, Side::Client, b"ls -l\r\n").is_empty(), "it echoes by itself again");
}

#[test]
fn terminal_and_window_are_read_in_pieces() {
    let mut telnet = in_character_mode();
    for byte in [255, 250, 24, 0, b'V', b'T', 255, 240, 255, 250, 31, 0, 255, 255, 0, 24, 255, 240] {
        say(&mut telnet, Side::Client, &[byte]);
    }
    let facts = telnet.facts();
    assert_eq!(facts.terminal_type.as_deref(), Some(&b"VT"[..]));
    assert_eq!(facts.window, Some(Window { columns: 255, rows: 24 }), "255 is sent twice");
}

#[test]
fn only_commands_about_known_options_begin_a_session() {
    assert!(Telnet::may_begin(&[255]));
    assert!(Telnet::may_begin(&[255, 253, 24, 255]));
    assert!(!Telnet::may_begin(&[255, 251, 0x90, 0x64]), "MPEG audio");
    assert!(!Telnet::may_begin(&[255, 216, 255]), "JPEG");
    assert!(!Telnet::may_begin(b"login: "));
}

#[test]
fn whatever_comes_is_bounded_and_no_panic() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut telnet = Telnet::default();
    for round in 0..2_000 {
        let bytes: Vec<u8> = (0..round % 97)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state & 3 == 0 { 240 + (state >> 8) as u8 % 16 } else { (state >> 16) as u8 }
            })
            .collect();
        let side = if round % 2 == 0 { Side::Client } else { Side::Server };
        say(&mut telnet, side, &bytes);
        if round % 31 == 0 {
            telnet.on_gap(side);
        }
    }
    say(&mut telnet, Side::Client, &[255, 240, 255, 250, 24, 0]);
    say(&mut telnet, Side::Client, &[b'x'; 100_000]);
    say(&mut telnet, Side::Client, &[255, 240]);
    assert!(telnet.facts().terminal_type.is_none_or(|name| name.len() <= options::MOST_KEPT));
}
