use super::*;
use crate::{time::Timestamp, wire::SeqNumber};

/// As the engine does: roles are swapped when asked.
struct Talk {
    x11: X11,
    swapped: bool,
}

impl Talk {
    fn say(&mut self, from_program: bool, bytes: &[u8]) -> Vec<KeyAction> {
        let side = if from_program == self.swapped { Side::Server } else { Side::Client };
        let len = bytes.len() as u32;
        let data = Data { bytes, len, time: Timestamp::from_nanos(1), end: SeqNumber(1), acked: None, sent: None };
        let mut cues = Vec::new();
        self.x11.on_data(side, &data, &mut cues);
        self.swapped |= self.x11.take_role_swap();
        let action = |cue| if let Cue::Key(event) = cue { Some(event.action) } else { None };
        cues.into_iter().filter_map(action).collect()
    }

    fn open(big_endian: bool) -> Self {
        let mut talk = Self { x11: X11::default(), swapped: false };
        let (setup, answer): (&[u8], &[u8]) = match big_endian {
            true => (b"B\0\0\x0b\0\0\0\0\0\0\0\0", &[1, 0, 0, 11, 0, 0, 0, 2, 9, 9, 9, 9, 9, 9, 9, 9]),
            false => (b"l\0\x0b\0\0\0\0\0\0\0\0\0", &[1, 0, 11, 0, 0, 0, 2, 0, 9, 9, 9, 9, 9, 9, 9, 9]),
        };
        assert!(X11::may_begin(setup));
        talk.say(true, setup);
        assert_eq!(talk.x11.standing(), Standing::OneSide);
        for byte in answer {
            talk.say(false, &[*byte]);
        }
        assert_eq!((talk.x11.standing(), talk.swapped), (Standing::Both, true));
        talk
    }
}

fn event(kind: u8, code: u8, time: u8) -> Vec<u8> {
    let mut event = vec![0; UNIT];
    event.splice(..5, [kind, code, 0, 0, time]);
    event
}

use KeyAction::{Down, Up};

#[test]
fn keys_are_found_among_replies_and_events_in_any_pieces() {
    for big_endian in [false, true] {
        let mut reply = event(1, 0, 0);
        reply.splice(4..8, if big_endian { [0, 0, 0, 1] } else { [1, 0, 0, 0] });
        reply.extend([2; 4]);
        let stream = [event(2, 38, 1), reply, event(6, 0, 2), event(3, 38, 3), event(0x82, 38, 4)].concat();
        let mut talk = Talk::open(big_endian);
        for size in [1, 32, 1_000] {
            let mut keys: Vec<_> = stream.chunks(size).flat_map(|piece| talk.say(false, piece)).collect();
            keys.extend(talk.say(true, b"draw"));
            assert_eq!(keys, [Down, Up], "in pieces of {size}");
        }
    }
}

#[test]
fn a_held_key_is_down_until_it_is_let_go() {
    let mut talk = Talk::open(false);
    assert_eq!(talk.say(false, &event(2, 38, 1)), [Down]);
    assert_eq!(talk.say(false, &event(3, 38, 7)), []);
    assert_eq!(talk.say(false, &event(2, 38, 7)), [Down], "again, in two segments");
    assert_eq!(talk.say(false, &[event(3, 38, 8), event(2, 38, 8)].concat()), [Down], "and in one");
    assert_eq!(talk.say(false, &[event(3, 38, 9), event(2, 40, 10)].concat()), [Up, Down], "another key");
}

#[test]
fn where_an_extension_may_bring_the_keys_nothing_is_told() {
    let mut talk = Talk::open(false);
    assert!(talk.x11.keys_known());
    talk.say(false, &event(35, 131, 0));
    assert!(!talk.x11.keys_known());
    talk.say(false, &event(2, 38, 1));
    assert!(talk.x11.keys_known());
}

#[test]
fn a_refusal_and_a_gap_end_the_knowledge() {
    let mut talk = Talk { x11: X11::default(), swapped: false };
    talk.say(true, b"l\0\x0b\0\0\0\0\0\0\0\0\0");
    talk.say(false, &[0, 4, 11, 0, 0, 0, 1, 0, b'n', b'o', b'!', b'!']);
    assert_eq!((talk.x11.facts().accepted, talk.x11.keys_known()), (Some(false), false));
    let mut talk = Talk::open(false);
    talk.x11.on_gap(Side::Client);
    assert_eq!(talk.say(false, &event(2, 38, 1)), []);
}

#[test]
fn whatever_comes_is_bounded_and_no_panic() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut talk = Talk::open(false);
    for round in 0..3_000_usize {
        let bytes: Vec<u8> = (0..round % 130)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state & 7 < 4 { (state >> 8) as u8 % 40 } else { 0 }
            })
            .collect();
        talk.say(round % 3 == 0, &bytes);
        assert!(talk.x11.head.server.len() < UNIT);
    }
    let mut talk = Talk { x11: X11::default(), swapped: false };
    talk.say(true, &[b'x'; 5_000]);
    assert_eq!(talk.x11.standing(), Standing::NotOurs);
}
