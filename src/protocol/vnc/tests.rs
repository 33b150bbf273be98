use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    cue::{Doubtful, KeyAction, Step},
    time::Timestamp,
    wire::SeqNumber,
};

fn data(bytes: &[u8]) -> Data<'_> {
    Data { bytes, len: bytes.len() as u32, time: Timestamp::from_nanos(0), end: SeqNumber(0), acked: None, sent: None }
}

/// What came of a talk: the decoder and the keys.
fn talk(lines: &[(Side, &[u8])]) -> (Vnc, Vec<KeyAction>) {
    let mut vnc = Vnc::new();
    let mut cues = Vec::new();
    lines.iter().for_each(|(side, bytes)| vnc.on_data(*side, &data(bytes), &mut cues));
    (vnc, keys(&cues))
}

fn keys(cues: &[Cue]) -> Vec<KeyAction> {
    cues.iter()
        .filter_map(|cue| match cue {
            Cue::Key(event) => Some(event.action),
            _ => None,
        })
        .collect()
}

use Side::{Client as C, Server as S};

/// ServerInit of an 800 by 600 desktop named "lab".
const SERVER_INIT: &[u8] = b"\x03\x20\x02\x58................\0\0\0\x03lab";
const DOWN: &[u8] = &[4, 1, 0, 0, 0, 0, 0, b'a'];
const UP: &[u8] = &[4, 0, 0, 0, 0, 0, 0, b'a'];
const QEMU_DOWN: &[u8] = &[255, 0, 0, 1, 0, 0, 0, b'a', 0, 0, 0, 30];
const POINTER: &[u8] = &[5, 0, 0, 9, 0, 9];

fn opened(minor: &[u8; 3], security: &[(Side, &[u8])], then: &[(Side, &[u8])]) -> (Vnc, Vec<KeyAction>) {
    let version = [b"RFB 003.".as_slice(), minor, b"\n"].concat();
    let mut lines: Vec<(Side, &[u8])> = vec![(S, &version), (C, &version)];
    lines.extend(security);
    lines.extend(then);
    talk(&lines)
}

const AFTERWARDS: &[(Side, &[u8])] = &[(C, &[1]), (S, SERVER_INIT), (C, DOWN), (C, UP)];

#[test]
fn none_is_followed_by_a_result_only_in_3_8() {
    let (vnc, keys) = opened(b"003", &[(S, &[0, 0, 0, 1])], AFTERWARDS);
    assert_eq!((vnc.facts().security_ok, keys.len()), (Some(true), 2));
    let (vnc, keys) = opened(b"007", &[(S, &[1, 1]), (C, &[1])], AFTERWARDS);
    assert_eq!((vnc.facts().security_ok, keys.len()), (Some(true), 2));
    let (vnc, keys) = opened(b"008", &[(S, &[1, 1]), (C, &[1]), (S, &[0; 4])], AFTERWARDS);
    assert_eq!((vnc.facts().security_ok, keys.len()), (Some(true), 2));
    let (vnc, keys) = opened(b"889", &[(S, &[1, 1]), (C, &[1]), (S, &[0; 4])], AFTERWARDS);
    assert_eq!((vnc.facts().security_ok, keys.len()), (Some(true), 2), "Apple's is as 3.8");
}

#[test]
fn zero_is_success_and_anything_else_is_not() {
    let vnc_auth: [(Side, &[u8]); 4] = [(S, &[1, 2]), (C, &[2]), (S, &[7; 16]), (C, &[8; 16])];
    let after = |result: u8| {
        let result = [0, 0, 0, result];
        let security = [&vnc_auth[..], &[(S, &result)]].concat();
        let (vnc, keys) = opened(b"008", &security, AFTERWARDS);
        (vnc.facts().security_type, vnc.facts().security_ok, keys.len())
    };
    assert_eq!(after(0), (Some(2), Some(true), 2));
    assert_eq!(after(1), (Some(2), Some(false), 0));
    assert_eq!(after(2), (Some(2), Some(false), 0));
}

#[test]
fn a_server_that_offers_nothing_has_refused() {
    let (vnc, _) = opened(b"008", &[(S, b"\0\0\0\0\x04full")], &[]);
    assert_eq!((vnc.facts().security_type, vnc.facts().security_ok), (Some(0), Some(false)));
    let (vnc, _) = opened(b"003", &[(S, b"\0\0\0\0\0\0\0\x04full")], &[]);
    assert_eq!((vnc.facts().security_type, vnc.facts().security_ok), (Some(0), Some(false)));
}

#[test]
fn the_lower_version_is_in_use() {
    let (vnc, keys) = talk(&[
        (S, b"RFB 003.008\n"),
        (C, b"RFB 003.003\n"),
        (S, &[0, 0, 0, 2]),
        (S, &[7; 16]),
        (C, &[8; 16]),
        (S, &[0; 4]),
        (C, &[0]),
        (S, SERVER_INIT),
        (C, DOWN),
    ]);
    let facts = vnc.facts();
    assert_eq!(facts.version, Some(Version { major: 3, minor: 3 }));
    assert_eq!((facts.shared, facts.size, facts.desktop_name.as_deref()), (Some(false), Some((800, 600)), Some(&b"lab"[..])));
    assert_eq!(keys, [KeyAction::Down]);
}

#[test]
fn every_message_is_passed_over_by_its_own_length() {
    let mut messages: Vec<Vec<u8>> = vec![
        [&[0][..], &[0; 19]].concat(),            // SetPixelFormat
        vec![2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1], // SetEncodings
        vec![3, 0, 0, 0, 0, 0, 3, 32, 2, 88],     // FramebufferUpdateRequest
        POINTER.to_vec(),
        b"\x06\0\0\0\0\0\0\x02hi".to_vec(),                     // ClientCutText
        b"\x06\0\0\0\xff\xff\xff\xfcabcd".to_vec(),             // the extended clipboard: four bytes
        [&[248, 0, 0, 0, 0x80, 0, 0, 0, 1][..], &[9]].concat(), // Fence
        vec![150, 1, 0, 0, 0, 0, 3, 32, 2, 88],                 // EnableContinuousUpdates
        [&[251, 0, 3, 32, 2, 88, 1, 0][..], &[0; 16]].concat(), // SetDesktopSize
        vec![250, 0, 1, 2],                                     // xvp
        vec![253, 129, 0, 2, 7, 7],                             // gii, most significant byte first
        vec![255, 1, 0, 0],                                     // QEMU audio
        vec![255, 1, 0, 2, 1, 2, 0, 0, 172, 68],                // QEMU audio format
    ];
    messages = messages.into_iter().flat_map(|message| [message, QEMU_DOWN.to_vec()]).collect();
    let stream = messages.concat();
    let open: [(Side, &[u8]); 3] = [(S, &[1, 1]), (C, &[1]), (S, &[0; 4])];
    for piece in [1, 2, 3, 7, stream.len()] {
        let pieces: Vec<(Side, &[u8])> = stream.chunks(piece).map(|bytes| (C, bytes)).collect();
        let (_, keys) = opened(b"008", &open, &[&[(C, &[1][..]), (S, SERVER_INIT)], &pieces[..]].concat());
        assert_eq!(keys, vec![KeyAction::Down; 13], "in pieces of {piece}");
    }
}

#[test]
fn an_unknown_message_ends_the_knowledge() {
    let open: [(Side, &[u8]); 3] = [(S, &[1, 1]), (C, &[1]), (S, &[0; 4])];
    let (vnc, keys) = opened(b"008", &open, &[(C, &[1]), (S, SERVER_INIT), (C, &[99, 0]), (C, DOWN)]);
    assert_eq!((keys.len(), vnc.keys_known()), (0, false));
}

#[test]
fn behind_a_gap_whole_messages_are_found_again() {
    let mut cues = Vec::new();
    let open: [(Side, &[u8]); 5] = [(S, &[1, 1]), (C, &[1]), (S, &[0; 4]), (C, &[1]), (S, SERVER_INIT)];
    let (mut vnc, _) = opened(b"008", &open, &[]);
    vnc.on_data(C, &data(&QEMU_DOWN[..5]), &mut cues);
    vnc.on_gap(C);
    vnc.on_data(C, &data(&[0, 30, 5]), &mut cues);
    vnc.on_data(C, &data(DOWN), &mut cues);
    assert_eq!(keys(&cues), [KeyAction::Down]);
}

/// What was asked (true) and answered, in order.
fn turns(lines: &[(Side, &[u8])]) -> Vec<(Step, bool)> {
    let (mut vnc, mut cues) = (Vnc::new(), Vec::new());
    for (i, (side, bytes)) in (0..).zip(lines) {
        vnc.on_data(*side, &Data { time: Timestamp::from_nanos(i * 10_000_000), ..data(bytes) }, &mut cues);
    }
    cues.iter()
        .filter_map(|cue| match cue {
            Cue::Asked(ask) => Some((ask.step, true)),
            Cue::Answered(reply) => Some((reply.step, false)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_viewer_answers_each_turn_of_the_handshake_and_each_fence() {
    const VERSION: &[u8] = b"RFB 003.008\n";
    let fence = |flags: u8| [248, 0, 0, 0, flags, 0, 0, 1, 1, 7];
    let picture = [&[0, 0, 0, 1][..], &fence(0x80), &[0; 30]].concat();
    let update = [3, 1, 0, 0, 0, 0, 3, 32, 2, 88];
    let lines: [(Side, &[u8]); 25] = [
        (S, VERSION),
        (C, VERSION),
        (S, &[1, 2]),
        (C, &[2]),
        (S, &[7; 16]),
        (C, &[8; 16]),
        (S, &[0; 4]),
        (C, &[1]),
        (S, SERVER_INIT),
        (C, &update),
        (S, &picture),
        (C, &fence(0)),
        (C, &update),
        (S, &[0; 40]),
        (C, QEMU_DOWN),
        (C, &fence(0x80)), // the client asks: no answer
        (C, &update),
        (S, &[0; 40]),
        (S, &[0; 40]),
        (C, &update), // who knows what of it was answered
        (S, &picture[..8]),
        (S, &picture[8..]),
        (S, &picture), // behind another one
        (C, &fence(0)),
        (C, &fence(0)),
    ];
    let both = |step| [(step, true), (step, false)];
    let mut expected = [Step::Banner, Step::Security, Step::Auth, Step::Init, Step::Init].map(both).concat();
    expected.extend([
        (Step::Fence, true),
        (Step::Update, true),
        (Step::Fence, false),
        (Step::Update, false),
        (Step::Update, true),
    ]);
    expected.extend([
        (Step::Update, false),
        (Step::Update, true),
        (Step::Update, true),
        (Step::Fence, true),
        (Step::Fence, false),
    ]);
    assert_eq!(turns(&lines), expected);
}

#[test]
fn before_tls_and_in_it_there_are_turns_too() {
    let hello = [22, 3, 1, 0, 1, 0];
    let lines: [(Side, &[u8]); 12] = [
        (S, b"RFB 003.008\n"),
        (C, b"RFB 003.008\n"),
        (S, &[1, 19]),
        (C, &[19]),
        (S, &[0, 2]),
        (C, &[0, 2]),
        (S, &[0, 1, 0, 0, 1, 2]),
        (C, &[0, 0, 1, 2]),
        (S, &[1]),
        (C, &hello),
        (S, &hello),
        (C, &hello),
    ];
    let both = |step| [(step, true), (step, false)];
    let expected = [Step::Banner, Step::Security, Step::Security, Step::Security, Step::Security, Step::Tls].map(both).concat();
    assert_eq!(turns(&lines), expected);
}

#[test]
fn who_speaks_first_is_the_server() {
    let mut vnc = Vnc::new();
    let mut cues = Vec::new();
    vnc.on_data(C, &data(b"RFB 003.008\n"), &mut cues);
    assert!(vnc.take_role_swap() && !vnc.take_role_swap());
    vnc.on_data(C, &data(b"RFB 003.007\n"), &mut cues);
    assert_eq!(vnc.facts().versions.client, Some(Version { major: 3, minor: 7 }));
    assert_eq!(vnc.standing(), Standing::Both);
}

#[test]
fn something_else_is_not_ours() {
    assert_eq!(talk(&[(S, b"RFB is not this")]).0.standing(), Standing::NotOurs);
    assert_eq!(talk(&[(S, b"RFB 003.008\n"), (C, b"GET / HTTP/1.1\r\n")]).0.standing(), Standing::NotOurs);
}

#[test]
fn passwords_in_clear_are_passed_over() {
    let lines: [(Side, &[u8]); 8] = [
        (S, &[1, 19]),
        (C, &[19]),
        (S, &[0, 2]),
        (C, &[0, 2]),
        (S, &[0, 1, 0, 0, 1, 0]),
        (C, &[0, 0, 1, 0]),
        (C, b"\0\0\0\x02\0\0\0\x03mesec"),
        (S, &[0; 4]),
    ];
    // VeNCrypt's status and its list of subtypes come in one segment.
    let (vnc, keys) = opened(b"008", &lines, AFTERWARDS);
    assert_eq!((vnc.facts().subtype, vnc.facts().security_ok, keys.len()), (Some(256), Some(true), 2));
    assert!(!format!("{vnc:?}").contains("115, 101, 99"), "the password is not kept");
}

/// A TLS record of application data with so many bytes behind its header.
fn record(len: u16) -> Vec<u8> {
    let mut bytes = vec![23, 3, 3];
    bytes.extend(len.to_be_bytes());
    bytes.resize(5 + usize::from(len), 0xaa);
    bytes
}

fn server_hello(version: [u8; 2], suite: [u8; 2], extensions: &[u8]) -> Vec<u8> {
    let len = 2 + 32 + 1 + 2 + 1 + 2 + extensions.len();
    let mut bytes = vec![22, 3, 3, 0, (len + 4) as u8, 2, 0, 0, len as u8];
    bytes.extend(version);
    bytes.extend([7; 32]);
    bytes.push(0);
    bytes.extend(suite);
    bytes.extend([0, 0, extensions.len() as u8]);
    bytes.extend(extensions);
    bytes
}

/// A session inside TLS up to the client's set-up record.
fn sealed(hello: &[u8], set_up: u16, then: &[(Side, &[u8])]) -> Vec<KeyAction> {
    let set_up = record(set_up);
    let lines: [(Side, &[u8]); 9] = [
        (S, &[1, 19]),
        (C, &[19]),
        (S, &[0, 2]),
        (C, &[0, 2]),
        (S, &[0, 1, 0, 0, 1, 1]),
        (C, &[0, 0, 1, 1]),
        (S, &[1]),
        (S, hello),
        (C, &set_up),
    ];
    opened(b"008", &lines, then).1
}

#[test]
fn where_the_suite_shows_lengths_a_key_is_a_record_of_its_own() {
    let hello = server_hello([3, 3], [0x13, 0x02], &[0, 43, 0, 2, 3, 4]);
    let (key, old_key, pointer, fence) = (record(12 + 17), record(8 + 17), record(6 + 17), record(10 + 17));
    let found = sealed(&hello, 60, &[(C, &key), (C, &pointer), (C, &fence), (C, &old_key)]);
    assert_eq!(found, [KeyAction::Either(Doubtful::Nothing); 2]);
}

#[test]
fn where_all_records_are_alike_an_odd_one_is_input() {
    // AES-CBC, encrypt-then-MAC: one block holds a key, the pointer and the answer to a fence.
    let hello = server_hello([3, 3], [0, 0x34], &[0, 22, 0, 0]);
    let one = record(52);
    let (two, three) = (one.repeat(2), one.repeat(3));
    let talk = [(C, one.as_slice()), (C, &two), (C, &two), (C, &two), (C, &two), (C, &one), (C, &two), (C, &three)];
    let found = sealed(&hello, 132, &talk);
    assert_eq!(found, [KeyAction::Either(Doubtful::Pointer); 2], "not before pairs were seen");
    // A client that asks for each update itself sends one record at a time, and types nothing.
    let asking = vec![(C, one.as_slice()); 200];
    assert_eq!(sealed(&hello, 132, &[&talk[1..5], &asking[..]].concat()).len(), 32, "not when pairs are no longer common");
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(lines in vec((any::<bool>(), vec(any::<u8>(), 0..80)), 0..40), honest in 0_usize..9) {
        let open: [(Side, &[u8]); 9] = [
            (S, b"RFB 003.008\n"), (C, b"RFB 003.008\n"), (S, &[1, 19]), (C, &[19]),
            (S, &[0, 2]), (C, &[0, 2]), (S, &[0, 1, 0, 0, 1, 1]), (C, &[0, 0, 1, 1]), (S, &[1]),
        ];
        let mut vnc = Vnc::new();
        let mut cues = Vec::new();
        open.iter().take(honest).for_each(|(side, bytes)| vnc.on_data(*side, &data(bytes), &mut cues));
        for (is_client, bytes) in &lines {
            let side = if *is_client { C } else { S };
            if bytes.is_empty() { vnc.on_gap(side) } else { vnc.on_data(side, &data(bytes), &mut cues) }
        }
        prop_assert!(vnc.facts().desktop_name.is_none_or(|name| name.len() <= 1_024));
    }
}

/// RSA-AES with short keys, up to the credentials, and what is sealed alike behind it.
fn rsa_aes(kind: u8, bits: u32, then: &[(Side, &[u8])]) -> (Vnc, Vec<KeyAction>) {
    let key = [&bits.to_be_bytes()[..], &[7; 256]].concat();
    let random = [&[0, 128][..], &[7; 128]].concat();
    let hash = eax(if kind >= 129 { 32 } else { 20 });
    let [subtype, credentials] = [eax(1), eax(9)];
    let choice = [1, kind];
    let mut security: Vec<(Side, &[u8])> =
        vec![(S, &choice), (C, &choice[1..]), (S, &key), (C, &key), (S, &random), (C, &random)];
    security.extend([(C, &hash[..]), (S, &hash), (S, &subtype), (C, &credentials)]);
    opened(b"008", &security, then)
}

fn eax(content: usize) -> Vec<u8> {
    [&(content as u16).to_be_bytes()[..], &vec![0xa5; content + 16]].concat()
}

#[test]
fn rsa_aes_is_read_by_lengths_or_in_clear() {
    for kind in [6, 130] {
        let (vnc, told) = rsa_aes(kind, 1_024, &[&[(S, &[0; 4][..])], AFTERWARDS].concat());
        assert_eq!((vnc.facts().security_ok, vnc.facts().key_bits, told.len()), (Some(true), Some(1_024), 2));
    }
    let [result, init, pixels, extended, plain, pointer, request] = [4, 1, 20, 12, 8, 6, 10].map(eax);
    let input = [&extended[..], &pointer, &request, &plain].concat();
    let (begun, rest) = input.split_at(37);
    let lines: [(Side, &[u8]); 6] = [(S, &result), (C, &init), (C, &plain), (C, &pixels), (C, begun), (C, rest)];
    for kind in [5, 129] {
        let (mut vnc, told) = rsa_aes(kind, 1_024, &lines);
        assert_eq!((vnc.facts().security_ok, told), (Some(true), vec![KeyAction::Either(Doubtful::Nothing); 2]));
        vnc.on_gap(C);
        let mut cues = Vec::new();
        vnc.on_data(C, &data(&extended[3..]), &mut cues);
        vnc.on_data(C, &data(&extended), &mut cues);
        assert_eq!(cues.len(), 1, "only whole messages begin anew");
    }
    assert!(!rsa_aes(5, 64, &lines).0.keys_known(), "no such keys");
    assert!(!rsa_aes(13, 1_024, &lines).0.keys_known(), "two steps are not read");
}
