use super::*;
use crate::wire::SeqNumber;

const CHACHA: (&str, &str) = ("chacha20-poly1305@openssh.com", "");
const GCM: (&str, &str) = ("aes128-gcm@openssh.com", "");
const SHA256: (&str, &str) = ("aes128-ctr", "hmac-sha2-256");
const OPENSSH: &[u8] = b"SSH-2.0-OpenSSH_10.0p2 Debian-7";

/// Runs a login given as (length, milliseconds): positive from the client, negative from the server. The shortest packet of the
/// server ends it.
fn run(client: &[u8], (cipher, mac): (&str, &str), records: &[(i32, i64)]) -> Auth {
    let sizes = Sizes::of(cipher, mac, "none").unwrap();
    let mut auth = Auth::default();
    auth.set_client(client);
    for &(len, ms) in records {
        let time = Timestamp::from_nanos(ms * 1_000_000);
        let record =
            Record { len: len.unsigned_abs(), exact: sizes.length_in_clear, time, end: SeqNumber(0), acked: None, sent: None };
        auth.push(if len > 0 { Side::Client } else { Side::Server }, &record, sizes, None);
        if -len == sizes.packet(payload::STATUS) as i32 {
            auth.succeed();
        }
    }
    auth
}

/// (method, typed, attempts, let in)
fn login(client: &[u8], suite: (&str, &str), records: &[(i32, i64)]) -> (Option<Method>, Option<bool>, Option<u32>, bool) {
    let login = run(client, suite, records).login().unwrap();
    (login.method, login.typed, login.attempts, login.succeeded)
}

/// Lengths and times as recorded between real programs; the account of each is known.
#[test]
fn passwords_are_counted_and_a_person_is_told_from_a_program() {
    let twice = [(44, 80), (-44, 84), (60, 88), (-264, 89), (148, 89), (-52, 3492), (148, 3497), (-28, 3516)];
    assert_eq!(login(OPENSSH, CHACHA, &twice), (Some(Method::Password), Some(false), Some(2), true));
    let typed = [(52, 227), (-52, 227), (68, 228), (-52, 232), (148, 2464), (-36, 2508)];
    assert_eq!(login(OPENSSH, GCM, &typed), (Some(Method::Password), Some(true), Some(1), true));
    let between = [(52, 227), (-52, 227), (68, 228), (-52, 232), (148, 732), (-36, 800)];
    assert_eq!(login(OPENSSH, GCM, &between), (Some(Method::Password), None, Some(1), true));
    let putty = [(64, 94), (-64, 94), (96, 112), (-80, 113), (272, 113), (-48, 121)];
    assert_eq!(login(b"SSH-2.0-PuTTY_Release_0.78", SHA256, &putty), (Some(Method::Password), Some(false), Some(1), true));
}

#[test]
fn a_key_that_is_asked_about_and_signed_for_is_one_attempt() {
    let ed25519 = [(44, 241), (-44, 243), (60, 249), (-256, 249), (140, 251), (-100, 253), (308, 254), (-28, 260)];
    assert_eq!(login(OPENSSH, CHACHA, &ed25519), (Some(Method::PublicKey), None, Some(1), true));
    let rsa = [(52, 215), (-52, 216), (68, 216), (-52, 216), (500, 217), (-468, 218), (996, 221), (-36, 234)];
    assert_eq!(login(OPENSSH, GCM, &rsa), (Some(Method::PublicKey), None, Some(1), true));
    let direct = [(64, 75), (-64, 83), (256, 83), (-48, 92)];
    assert_eq!(login(b"SSH-2.0-paramiko_5.1.0", SHA256, &direct), (Some(Method::PublicKey), None, Some(1), true));
}

#[test]
fn questions_and_their_answers_are_one_attempt() {
    let automated =
        [(44, 171), (-44, 171), (68, 171), (-68, 172), (92, 173), (-60, 173), (84, 183), (-44, 190), (84, 190), (-28, 195)];
    assert_eq!(login(OPENSSH, CHACHA, &automated), (Some(Method::KeyboardInteractive), Some(false), Some(1), true));
}

#[test]
fn a_signature_that_does_not_suffice_is_the_first_of_two_factors() {
    let both = [(44, 0), (-44, 1), (68, 2), (-256, 2), (204, 3), (-164, 4), (388, 5), (-52, 20), (92, 21), (-60, 22)];
    let answers = [(84, 3212), (-44, 3216), (84, 3216), (-28, 3221)];
    let whole = [&both[..], &answers[..]].concat();
    assert_eq!(login(OPENSSH, CHACHA, &whole), (Some(Method::MultiFactor), Some(true), Some(2), true));
}

#[test]
fn nobody_is_let_in_before_the_server_says_so() {
    let failing = [(64, 87), (-64, 87), (112, 88), (-80, 1841)];
    let (method, _, attempts, succeeded) = login(b"SSH-2.0-paramiko_5.1.0", SHA256, &failing);
    assert_eq!((method, attempts, succeeded), (Some(Method::Password), Some(1), false));
    let none = [(44, 128), (-44, 144), (60, 148), (-28, 168)];
    assert_eq!(login(OPENSSH, CHACHA, &none), (Some(Method::None), None, Some(1), true));
}

#[test]
fn what_is_missing_or_foreign_is_not_guessed() {
    let records = [(44, 80), (-44, 84), (60, 88), (-264, 89), (148, 89)];
    let mut gap = run(OPENSSH, CHACHA, &records);
    gap.give_up();
    assert_eq!(gap.login(), None, "a gap");
    assert_eq!(run(OPENSSH, CHACHA, &[]).login(), None, "nothing was asked");
    let unknown = [(44, 80), (-44, 84), (60, 88), (-28, 92)];
    assert_eq!(login(b"SSH-2.0-x", CHACHA, &unknown), (None, None, None, true), "no proof, or a short password");
    let flood: Vec<(i32, i64)> = (0..10_000).flat_map(|i| [(148, 2 * i), (-52, 2 * i + 1)]).collect();
    let mut auth = run(OPENSSH, CHACHA, &[&records[..3], &flood[..]].concat());
    assert_eq!(auth.login(), None, "more than a server puts up with");
    assert_eq!(auth.exchanges.capacity(), 0);
    auth.succeed();
    assert_eq!(auth.login(), Some(Login { succeeded: true, ..Login::default() }), "that much shows");
}
