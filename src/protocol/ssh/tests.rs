use super::*;
use crate::{time::Timestamp, wire::SeqNumber};

/// A session that was captured from its beginning.
fn fresh() -> Ssh {
    Ssh::new(PerSide { client: true, server: true })
}

fn packet(payload: &[u8]) -> Vec<u8> {
    let mut padding = 8 - (5 + payload.len()) % 8;
    if padding < 4 {
        padding += 8;
    }
    let mut out = ((1 + payload.len() + padding) as u32).to_be_bytes().to_vec();
    out.push(padding as u8);
    out.extend(payload);
    out.extend(vec![0; padding]);
    out
}

fn offer(kex: &str) -> Vec<u8> {
    let lists = [kex, "k", "aes128-gcm@openssh.com", "aes128-gcm@openssh.com", "", "", "none", "none", "", ""];
    packet(&kexinit::tests::payload(lists))
}

fn client_stream() -> Vec<u8> {
    [b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), offer("x,ext-info-c"), packet(&[30, 1, 2, 3]), packet(&[NEWKEYS])].concat()
}

fn server_stream() -> Vec<u8> {
    [b"SSH-2.0-dropbear\r\n".to_vec(), offer("x"), packet(&[31, 9, 9]), packet(&[NEWKEYS])].concat()
}

fn feed(ssh: &mut Ssh, side: Side, bytes: &[u8], cut: usize) -> Vec<Cue> {
    let mut cues = Vec::new();
    for chunk in bytes.chunks(cut) {
        let data = Data {
            bytes: chunk,
            len: chunk.len() as u32,
            time: Timestamp::from_nanos(0),
            end: SeqNumber(0),
            acked: None,
            sent: None,
        };
        ssh.on_data(side, &data, None, &mut cues);
    }
    cues
}

#[test]
fn the_handshake_reads_the_same_however_it_is_cut() {
    for cut in [1, 2, 7, 64, 10_000] {
        let mut ssh = fresh();
        feed(&mut ssh, Side::Client, &client_stream(), cut);
        assert_eq!(ssh.standing(), Standing::OneSide);
        feed(&mut ssh, Side::Server, &server_stream(), cut);
        assert_eq!(ssh.standing(), Standing::Both, "cut {cut}");
        let facts = ssh.facts();
        assert_eq!(facts.banners.client.as_deref(), Some(&b"SSH-2.0-OpenSSH_9.9"[..]));
        assert_eq!((facts.kex.as_deref(), facts.cipher.as_deref(), facts.mac), (Some("x"), Some("aes128-gcm@openssh.com"), None));
        assert_eq!(facts.host_key_algorithm.as_deref(), Some("k"));
        assert!(facts.hassh.is_some() && facts.hassh_server.is_some());
    }
}

#[test]
fn what_follows_newkeys_in_the_same_segment_is_encrypted() {
    let mut ssh = fresh();
    feed(&mut ssh, Side::Server, &server_stream(), 10_000);
    let encrypted = [vec![0, 0, 0, 16], vec![0xaa; 32]].concat();
    feed(&mut ssh, Side::Client, &client_stream(), 10_000);
    assert!(ssh.lengths_known());
    let mut late = fresh();
    feed(&mut late, Side::Client, &client_stream(), 10_000);
    let cues = feed(&mut late, Side::Server, &[server_stream(), encrypted].concat(), 10_000);
    assert!(matches!(cues.last(), Some(Cue::Output(output)) if output.bytes == 36), "{cues:?}");
}

#[test]
fn a_reverse_session_tells_its_roles() {
    let mut ssh = fresh();
    feed(&mut ssh, Side::Client, &server_stream(), 10_000);
    feed(&mut ssh, Side::Server, &client_stream(), 10_000);
    assert!(ssh.take_role_swap());
    assert!(!ssh.take_role_swap());
    assert_eq!(ssh.facts().banners.client.as_deref(), Some(&b"SSH-2.0-OpenSSH_9.9"[..]));
}

#[test]
fn a_gap_in_what_is_in_clear_ends_the_knowledge() {
    let mut ssh = fresh();
    feed(&mut ssh, Side::Server, &server_stream()[..60], 10_000);
    feed(&mut ssh, Side::Client, &client_stream()[..60], 10_000);
    let mut cues = Vec::new();
    ssh.on_gap(Side::Client, &mut cues);
    assert_eq!(cues, []);
    assert_eq!(feed(&mut ssh, Side::Client, &[0; 36], 36), []);
    assert!(!ssh.lengths_known());
}

#[test]
fn hostile_clear_packets_end_the_reading() {
    for bytes in [[0xff; 64].as_slice(), &[0, 0, 0, 12, 255, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0; 64]] {
        let mut ssh = fresh();
        feed(&mut ssh, Side::Client, &[b"SSH-2.0-x\r\n", bytes].concat(), 10_000);
        assert!(!ssh.lengths_known());
        assert_eq!(ssh.standing(), Standing::OneSide);
    }
}

#[test]
fn a_side_whose_beginning_is_missing_decides_nothing() {
    let mut ssh = Ssh::new(PerSide::default());
    feed(&mut ssh, Side::Server, &server_stream()[..60], 10_000);
    feed(&mut ssh, Side::Client, &offer("x"), 10_000);
    assert_eq!(ssh.standing(), Standing::OneSide);
}

#[test]
fn something_else_is_not_ours() {
    let mut ssh = fresh();
    feed(&mut ssh, Side::Client, b"GET / HTTP/1.1\r\n", 3);
    assert_eq!(ssh.standing(), Standing::NotOurs);
}
