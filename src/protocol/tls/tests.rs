use super::*;
use crate::{time::Timestamp, wire::SeqNumber};

fn data(bytes: &[u8], ms: i64) -> Data<'_> {
    Data {
        bytes,
        len: bytes.len() as u32,
        time: Timestamp::from_nanos(ms * 1_000_000),
        end: SeqNumber(0),
        acked: None,
        sent: None,
    }
}

/// A record of application data with so many bytes behind its header.
fn record(len: u16) -> Vec<u8> {
    let mut bytes = vec![23, 3, 3];
    bytes.extend(len.to_be_bytes());
    bytes.resize(5 + usize::from(len), 0xaa);
    bytes
}

/// A handshake record with one message.
fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut bytes = vec![22, 3, 1];
    bytes.extend((message.len() as u16).to_be_bytes());
    bytes.extend(message);
    bytes
}

fn server_hello(version: u16, suite: u16, extensions: &[u8]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(suite.to_be_bytes());
    body.push(0);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    handshake(2, &body)
}

fn lengths(tls: &mut Tls, side: Side, segments: &[&[u8]]) -> Vec<(u32, i64)> {
    let mut seen = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        tls.on_data(side, &data(segment, i as i64), |record| {
            seen.push((record.len, record.time.as_nanos() / 1_000_000));
        });
    }
    seen
}

#[test]
fn records_are_the_same_however_the_stream_is_cut() {
    let stream: Vec<u8> = [record(22), record(1), record(600)].concat();
    let whole = lengths(&mut Tls::default(), Side::Client, &[&stream]);
    assert_eq!(whole, [(27, 0), (6, 0), (605, 0)]);
    for cut in 1..stream.len() {
        let (a, b) = stream.split_at(cut);
        let cut: Vec<u32> = lengths(&mut Tls::default(), Side::Client, &[a, b]).into_iter().map(|(len, _)| len).collect();
        assert_eq!(cut, [27, 6, 605]);
    }
}

#[test]
fn a_record_has_the_time_of_its_last_byte() {
    let one = record(22);
    let (a, b) = one.split_at(9);
    assert_eq!(lengths(&mut Tls::default(), Side::Client, &[a, b]), [(27, 1)]);
}

#[test]
fn behind_a_gap_a_record_is_looked_for_at_the_next_segment() {
    let mut tls = Tls::default();
    assert_eq!(lengths(&mut tls, Side::Client, &[&record(22)]).len(), 1);
    tls.on_gap(Side::Client);
    assert!(lengths(&mut tls, Side::Client, &[&[0xaa; 40]]).is_empty());
    assert_eq!(lengths(&mut tls, Side::Client, &[&record(27)]), [(32, 0)]);
    assert!(!tls.is_broken(Side::Client));
}

#[test]
fn a_cut_frame_still_shows_the_length() {
    let whole = record(27);
    let mut tls = Tls::default();
    let mut seen = Vec::new();
    let cut = Data { bytes: &whole[..8], len: 32, ..data(&[], 0) };
    tls.on_data(Side::Client, &cut, |record| seen.push(record.len));
    tls.on_data(Side::Client, &data(&record(22), 1), |record| seen.push(record.len));
    assert_eq!(seen, [32, 27]);
}

#[test]
fn something_else_is_told() {
    let mut tls = Tls::default();
    lengths(&mut tls, Side::Server, &[b"HTTP/1.1 400 Bad Request"]);
    assert!(tls.is_broken(Side::Server));
}

#[test]
fn hellos_are_read_in_any_pieces() {
    let names = [&[0u8, 0, 0, 9, 0, 7, 0, 0, 4][..], b"host", &[0, 16, 0, 6, 0, 4, 3], b"rdp"].concat();
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend((names.len() as u16).to_be_bytes());
    body.extend(&names);
    let client = handshake(1, &body);
    let server = server_hello(0x0303, 0x1302, &[0, 43, 0, 2, 3, 4]);
    let mut tls = Tls::default();
    client.chunks(3).for_each(|chunk| tls.on_data(Side::Client, &data(chunk, 0), |_| {}));
    server.chunks(7).for_each(|chunk| tls.on_data(Side::Server, &data(chunk, 0), |_| {}));
    let facts = tls.facts();
    assert_eq!(facts.server_name.as_deref(), Some(b"host".as_slice()));
    assert_eq!(facts.alpn, [b"rdp".to_vec()]);
    assert_eq!((facts.version, facts.suite), (Some(0x0304), Some(0x1302)));
    assert_eq!(tls.content(27), Some(Content { least: 5, most: 5 }));
}

#[test]
fn the_suite_tells_how_long_the_content_is() {
    let content = |version, suite, extensions: &[u8], len| {
        let mut tls = Tls::default();
        tls.on_data(Side::Server, &data(&server_hello(version, suite, extensions), 0), |_| {});
        tls.content(len)
    };
    assert_eq!(content(0x0303, 0xc02f, &[], 34).and_then(Content::exact), Some(5), "AES-GCM");
    assert_eq!(content(0x0303, 0xcca8, &[], 26).and_then(Content::exact), Some(5), "ChaCha20");
    assert_eq!(content(0x0303, 0xc0ff, &[], 26), None, "not known");
    // AES-CBC with SHA-1, the MAC outside: one block.
    assert_eq!(content(0x0303, 0x0034, &[0, 22, 0, 0], 57), Some(Content { least: 0, most: 15 }));
    // The MAC inside: 20 + 1 and up to 11 bytes fill two blocks.
    assert_eq!(content(0x0303, 0x0034, &[], 5 + 16 + 32), Some(Content { least: 0, most: 11 }));
    assert_eq!(content(0x0301, 0x002f, &[], 5 + 48), Some(Content { least: 12, most: 27 }));
    assert_eq!(content(0x0303, 0x0034, &[], 60), None, "not whole blocks");
}
