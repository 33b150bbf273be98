use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{time::Timestamp, wire::SeqNumber};
use Side::{Client as C, Server as S};

fn data(bytes: &[u8]) -> Data<'_> {
    Data { bytes, len: bytes.len() as u32, time: Timestamp::from_nanos(0), end: SeqNumber(0), acked: None, sent: None }
}

/// What came of a talk: the decoder and the keys.
fn talk(lines: &[(Side, &[u8])]) -> (Rdp, Vec<KeyAction>) {
    let mut rdp = Rdp::default();
    let mut cues = Vec::new();
    lines.iter().for_each(|(side, bytes)| rdp.on_data(*side, &data(bytes), &mut cues));
    let keys = cues.iter().filter_map(|cue| match cue {
        Cue::Key(event) => Some(event.action),
        _ => None,
    });
    (rdp, keys.collect())
}

/// A connection request or confirm around what follows its seven bytes.
fn x224(code: u8, rest: &[u8]) -> Vec<u8> {
    let len = 11 + rest.len();
    [&[3, 0, 0, len as u8, len as u8 - 5, code, 0, 0, 0, 0, 0], rest].concat()
}

fn request(line: &[u8], protocols: u8) -> Vec<u8> {
    x224(0xe0, &[line, &[1, 0, 8, 0, protocols, 0, 0, 0]].concat())
}

fn answer(kind: u8, code: u8) -> Vec<u8> {
    x224(0xd0, &[kind, 0, 8, 0, code, 0, 0, 0])
}

#[test]
fn the_negotiation_is_read_in_any_pieces() {
    let (ours, theirs) = (request(b"Cookie: mstshash=jdoe\r\n", 11), answer(2, 2));
    for piece in [1, 2, 5, 100] {
        let mut lines: Vec<(Side, &[u8])> = ours.chunks(piece).map(|bytes| (C, bytes)).collect();
        lines.extend(theirs.chunks(piece).map(|bytes| (S, bytes)));
        let (rdp, _) = talk(&lines);
        let facts = rdp.facts();
        assert_eq!(rdp.standing(), Standing::Both);
        assert_eq!((facts.cookie.as_deref(), facts.requested), (Some(&b"jdoe"[..]), Some(11)));
        assert_eq!(facts.answer, Some(Answer::Selected(2)));
    }
}

#[test]
fn a_client_joins_each_channel_when_the_last_one_is_confirmed() {
    let (mut joining, mut cues) = (Joining::default(), Vec::new());
    let ladder = [
        (C, 455), // the conference
        (S, 109),
        (C, 12), // erect domain: as long as a request to join
        (C, 8),
        (S, 11),
        (C, 12),
        (S, 15),
        (C, 12),
        (S, 15),
        (C, 343), // who logs in
        (S, 15),
        (C, 12),
    ];
    for (side, len) in ladder {
        joining.on_message(side, len, &data(b""), &mut cues);
    }
    let asked: Vec<bool> = cues.iter().map(|cue| matches!(cue, Cue::Asked(_))).collect();
    assert_eq!(asked, [true, false, true, false, true], "nothing behind the ladder");
}

#[test]
fn a_routing_token_is_no_name() {
    let (rdp, _) = talk(&[(C, &request(b"Cookie: msts=3640205228.15629.0000\r\n", 1)), (S, &answer(3, 2))]);
    let facts = rdp.facts();
    assert_eq!(facts.routing_token.as_deref(), Some(&b"Cookie: msts=3640205228.15629.0000"[..]));
    assert_eq!((facts.cookie, facts.answer), (None, Some(Answer::Failed(2))));
}

#[test]
fn a_client_that_does_not_negotiate_is_read_too() {
    let (rdp, _) = talk(&[(C, &x224(0xe0, b"Cookie: mstshash=a\r\n")), (S, &x224(0xd0, b""))]);
    assert_eq!((rdp.facts().requested, rdp.facts().answer), (None, Some(Answer::Silent)));
}

#[test]
fn other_protocols_in_tpkt_are_not_ours() {
    // S7comm: X.224 parameters; and a length that does not fit.
    assert_eq!(talk(&[(C, &x224(0xe0, &[0xc0, 1, 10, 0xc1, 2, 1, 0]))]).0.standing(), Standing::NotOurs);
    assert_eq!(talk(&[(C, &[3, 0, 0, 11, 9, 0xe0, 0, 0, 0, 0, 0])]).0.standing(), Standing::NotOurs);
    assert_eq!(talk(&[(C, b"SSH-2.0-x\r\n")]).0.standing(), Standing::NotOurs);
}

/// A Connect-Initial around a client's core data.
fn connect_initial(name: &str) -> Vec<u8> {
    let mut core = vec![0x01, 0xc0, 72, 0, 4, 0, 8, 0, 0x80, 0x04, 0x60, 0x03, 1, 0xca, 3, 0xaa, 9, 4, 0, 0, 0x70, 0x17, 0, 0];
    core.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    core.resize(72, 0);
    let body = [b"\x02\xf0\x80\x7f\x65....Duca\x80\x48".as_slice(), &core].concat();
    [&[3, 0, 0, body.len() as u8 + 4], body.as_slice()].concat()
}

#[test]
fn under_its_own_security_the_client_says_who_it_is() {
    let lines: [(Side, &[u8]); 3] = [(C, &request(b"", 0)), (S, &answer(2, 0)), (C, &connect_initial("FROG-POND"))];
    let client = talk(&lines).0.facts().client.unwrap();
    assert_eq!(
        (client.name.as_str(), client.build, client.keyboard_layout, client.size),
        ("FROG-POND", 6_000, 0x409, (1_152, 864))
    );
}

#[test]
fn input_under_its_own_security_is_counted_by_its_length() {
    let encrypted = |events: u8, bytes: usize| {
        let len = 2 + 8 + bytes;
        let mut pdu = vec![0x80 | events << 2, len as u8];
        pdu.resize(len, 0x55);
        pdu
    };
    let (key, mouse, both) = (encrypted(1, 2), encrypted(1, 7), encrypted(3, 2 + 7 + 2));
    let clear = [1 << 2, 4, 0, 30, 1 << 2, 4, 1, 30];
    let (rdp, keys) = talk(&[
        (C, &request(b"", 0)),
        (S, &answer(2, 0)),
        (C, &connect_initial("A")),
        (C, &key),
        (C, &mouse),
        (C, &both),
        (C, &clear),
    ]);
    let either = KeyAction::Either(Doubtful::Nothing);
    assert_eq!(keys, [either, either, either, KeyAction::Down, KeyAction::Up]);
    assert!(rdp.keys_known());
}

/// ServerHello of TLS 1.3, or of TLS 1.2 with this suite.
fn server_hello(suite: [u8; 2]) -> Vec<u8> {
    let mut bytes = vec![22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    bytes.extend([7; 32]);
    bytes.extend([0, suite[0], suite[1], 0]);
    bytes
}

/// The keys in records of these lengths of content, with a suite that adds so many bytes.
fn keys_of(suite: [u8; 2], overhead: u16, contents: &[u16]) -> (usize, bool) {
    let records: Vec<Vec<u8>> = contents
        .iter()
        .map(|content| {
            let len = content + overhead - 5;
            [&[23, 3, 3], len.to_be_bytes().as_slice(), &vec![0xaa; usize::from(len)]].concat()
        })
        .collect();
    let (ours, theirs, hello) = (request(b"", 1), answer(2, 1), server_hello(suite));
    let mut lines: Vec<(Side, &[u8])> = vec![(C, &ours), (S, &theirs), (S, &hello)];
    lines.extend(records.iter().map(|record| (C, record.as_slice())));
    let (rdp, keys) = talk(&lines);
    (keys.len(), rdp.keys_known())
}

const AES_GCM: [u8; 2] = [0xc0, 0x30];
const AES_CBC: [u8; 2] = [0, 0x2f];

#[test]
fn a_freerdp_client_writes_long_headers() {
    assert_eq!(keys_of(AES_GCM, 29, &[412, 12, 4, 4, 5, 5, 10, 10, 5, 5, 4, 5]), (5, true), "not the lock keys, not the mouse");
}

#[test]
fn an_mstsc_client_writes_short_ones() {
    assert_eq!(keys_of(AES_GCM, 29, &[412, 3, 4, 4, 9, 4, 4, 16, 6, 5]), (6, true), "two keys in one PDU are two");
}

#[test]
fn a_few_records_do_not_show_what_a_key_is() {
    assert_eq!(keys_of(AES_GCM, 29, &[4, 4, 10]), (0, false));
}

#[test]
fn a_cipher_of_blocks_hides_keys_among_the_mouse() {
    assert_eq!(keys_of(AES_CBC, 53, &[0, 16, 0, 0, 0, 0, 0, 0, 0]), (0, false));
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(lines in vec((any::<bool>(), vec(any::<u8>(), 0..80)), 0..40), honest in 0_usize..3, own in any::<bool>()) {
        let (ours, theirs) = (request(b"Cookie: mstshash=a\r\n", 1), answer(2, u8::from(!own)));
        let open: [(Side, &[u8]); 3] = [(C, &ours), (S, &theirs), (S, &server_hello(AES_GCM))];
        let mut rdp = Rdp::default();
        let mut cues = Vec::new();
        open.iter().take(honest + 1).for_each(|(side, bytes)| rdp.on_data(*side, &data(bytes), &mut cues));
        for (is_client, bytes) in &lines {
            let side = if *is_client { C } else { S };
            if bytes.is_empty() { rdp.on_gap(side) } else { rdp.on_data(side, &data(bytes), &mut cues) }
        }
        prop_assert!(rdp.first.client.len() <= 2 * MAX_FIRST + 80);
    }
}
