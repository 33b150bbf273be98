use super::*;
use crate::{time::Timestamp, wire::SeqNumber};

/// A channel, both sides by turns.
struct Talk(Spice);

fn data(bytes: &[u8]) -> Data<'_> {
    Data { bytes, len: bytes.len() as u32, time: Timestamp::from_nanos(1), end: SeqNumber(1), acked: None, sent: None }
}

fn link(body: &[u8]) -> Vec<u8> {
    [b"REDQ\x02\0\0\0\x02\0\0\0", &(body.len() as u32).to_le_bytes()[..], body].concat()
}

impl Talk {
    fn say(&mut self, side: Side, bytes: &[u8]) -> Vec<Cue> {
        let mut cues = Vec::new();
        self.0.on_data(side, &data(bytes), &mut cues);
        cues
    }

    /// Up to the first message; `capabilities` of both sides alike.
    fn open(channel: u8, capabilities: u8) -> Self {
        let mut talk = Self(Spice::default());
        let client = [&[7, 0, 0, 0, channel, 0][..], &[1, 0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 0, capabilities, 0, 0, 0]].concat();
        let server = [&[0; 166][..], &[1, 0, 0, 0, 0, 0, 0, 0, 178, 0, 0, 0, capabilities, 0, 0, 0]].concat();
        assert!(Spice::may_begin(&link(&client)));
        for byte in link(&client) {
            talk.say(Side::Client, &[byte]);
        }
        assert_eq!(talk.0.standing(), Standing::OneSide);
        talk.say(Side::Server, &link(&server));
        assert_eq!((talk.0.standing(), talk.0.keys_known()), (Standing::Both, false));
        if capabilities & 1 != 0 {
            assert_eq!(steps(&talk.say(Side::Client, &[1, 0, 0, 0])), [Step::Security]);
        }
        talk.say(Side::Client, &[9; 128]);
        assert_eq!(steps(&talk.say(Side::Server, &[0; 4])), [Step::Init]);
        talk
    }

    fn keys(&mut self, bytes: &[u8]) -> Vec<KeyAction> {
        let action = |cue| if let Cue::Key(event) = cue { Some(event.action) } else { None };
        self.say(Side::Client, bytes).into_iter().filter_map(action).collect()
    }
}

fn steps(cues: &[Cue]) -> Vec<Step> {
    let step = |cue: &Cue| match cue {
        Cue::Asked(ask) => Some(ask.step),
        Cue::Answered(reply) => Some(reply.step),
        _ => None,
    };
    cues.iter().filter_map(step).collect()
}

fn message(mini: bool, kind: u16, body: &[u8]) -> Vec<u8> {
    let head = [&kind.to_le_bytes()[..], &(body.len() as u32).to_le_bytes()].concat();
    if mini { [&head, body].concat() } else { [&[1, 0, 0, 0, 0, 0, 0, 0], &head[..], &[0; 4], body].concat() }
}

use KeyAction::{Down, Up};

#[test]
fn keys_are_told_from_the_pointer_with_both_headers_in_any_pieces() {
    for (mini, capabilities) in [(true, 0x0b), (false, 0x03), (false, 0)] {
        let say = |kind, body: &[u8]| message(mini, kind, body);
        let pause = say(KEY_SCANCODE, &[0xe0, 0x4b, 0xe0, 0xcb]);
        let pointer = [say(111, &[0; 10]), say(112, &[1; 11]), say(113, &[1; 3]), say(114, &[1; 3])].concat();
        let stream = [say(103, &[0; 2]), say(KEY_DOWN, &[1; 4]), pointer, say(KEY_UP, &[1; 4]), pause].concat();
        for size in [1, 7, 1_000] {
            let mut talk = Talk::open(link::INPUTS, capabilities);
            assert_eq!(talk.0.facts().link.mini_header, Some(mini));
            let keys: Vec<_> = stream.chunks(size).flat_map(|piece| talk.keys(piece)).collect();
            assert_eq!(keys, [Down, Up, Down, Up], "in pieces of {size}");
            assert!(talk.0.keys_known() && talk.0.facts().holds_back);
        }
    }
}

#[test]
fn a_ping_is_held_against_its_own_answer() {
    let mut talk = Talk::open(link::MAIN, 0x0b);
    let ping = |id: u8| message(true, PING, &[id; 12]);
    let pong = |id: u8| message(true, PONG, &[id; 12]);
    assert_eq!(steps(&talk.say(Side::Server, &[ping(1), ping(2)].concat())), [Step::Ping], "the second is behind it");
    assert_eq!(steps(&talk.say(Side::Client, &message(true, 101, &[0; 16]))), [Step::Init]);
    assert_eq!(steps(&talk.say(Side::Client, &[pong(1), pong(2)].concat())), [Step::Ping]);
    assert_eq!(steps(&talk.say(Side::Server, &message(true, PING, &[3; 400]))), [], "it carries a load");
    talk.say(Side::Server, &ping(4));
    talk.0.on_gap(Side::Server);
    assert_eq!(steps(&talk.say(Side::Client, &pong(4))), []);
    assert!(!talk.0.keys_known() && talk.keys(&message(true, KEY_DOWN, &[0; 4])).is_empty(), "no channel of keys");
}

#[test]
fn the_main_channel_names_session_and_machine() {
    let mut talk = Talk::open(link::MAIN, 0x0b);
    talk.say(Side::Server, &[message(true, MAIN_INIT, &[5; 32]), message(true, MAIN_NAME, b"\x03\0\0\0vm\0")].concat());
    let facts = talk.0.facts();
    assert_eq!((facts.link.connection_id, facts.name.as_deref()), (7, Some(&b"vm"[..])));
    assert_eq!((facts.connection_id, talk.0.given_id), (Some(7), Some(0x0505_0505)), "what the client asked for counts");
}

#[test]
fn refusals_sasl_and_other_protocols_end_the_knowledge() {
    let client = link(&[&[0, 0, 0, 0, 3, 0, 1, 0, 0, 0][..], &[0, 0, 0, 0, 18, 0, 0, 0, 0x0b, 0, 0, 0]].concat());
    let refusal = link(&[&[5, 0, 0, 0][..], &[0; 174]].concat());
    let mut talk = Talk(Spice::default());
    talk.say(Side::Client, &client);
    talk.say(Side::Server, &refusal);
    assert_eq!(talk.0.facts().link.result.and_then(result_name), Some("need_secured"));
    let offer = [&[0; 166][..], &[1, 0, 0, 0, 0, 0, 0, 0, 178, 0, 0, 0, 0x0f, 0, 0, 0]].concat();
    let mut talk = Talk(Spice::default());
    talk.say(Side::Client, &client);
    talk.say(Side::Server, &link(&offer));
    talk.say(Side::Client, &[2, 0, 0, 0]);
    assert_eq!((talk.0.facts().link.auth.and_then(auth_name), talk.0.keys_known()), (Some("sasl"), false));
    for other in [&b"REDQ\x01\0\0\0\0\0\0\0\0\0\0\0"[..], b"REDQ\x02\0\0\0\0\0\0\0\0\0\x01\0", &link(&[0; 5]), b"REDS"] {
        let mut talk = Talk(Spice::default());
        talk.say(Side::Client, other);
        assert_eq!(talk.0.standing(), Standing::NotOurs, "{other:?}");
    }
}

#[test]
fn behind_a_gap_only_whole_messages_begin_anew() {
    let mut talk = Talk::open(link::INPUTS, 0x0b);
    talk.0.on_gap(Side::Client);
    assert_eq!(talk.keys(&message(true, KEY_DOWN, &[0; 3])), [], "no such length");
    assert_eq!(talk.keys(&[message(true, 112, &[0; 11]), message(true, KEY_UP, &[0; 4])].concat()), [Up]);
}

#[test]
fn whatever_comes_is_bounded_and_no_panic() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut talk = Talk::open(link::MAIN, 0x0b);
    for round in 0..3_000_usize {
        let bytes: Vec<u8> = (0..round % 130)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state & 7 < 5 { (state >> 8) as u8 % 5 } else { 0 }
            })
            .collect();
        talk.say(if round % 3 == 0 { Side::Client } else { Side::Server }, &bytes);
        assert!(talk.0.name.as_ref().is_none_or(|name| name.len() <= messages::MOST_KEPT));
    }
}
