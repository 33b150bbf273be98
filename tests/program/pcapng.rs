//! Owned packets written as pcapng.

use super::pcap::Packet;

/// A pcapng file with one section and one Ethernet interface, in nanoseconds.
pub(crate) fn pcapng(packets: &[Packet]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padding = vec![0; body.len().wrapping_neg() % 4];
        let length = (body.len() + padding.len() + 12) as u32;
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &padding, &length.to_le_bytes()].concat()
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    // Magic, version 1.0, length of the section unknown; link type 1, no limit, if_tsresol = 9, end of options.
    let mut file = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    file.extend(block(1, &words(&[1, 0, 0x0001_0009, 9, 0])));
    for packet in packets {
        let length = packet.bytes.len() as u32;
        let head = words(&[0, (packet.time >> 32) as u32, packet.time as u32, length, length]);
        file.extend(block(6, &[head, packet.bytes.clone()].concat()));
    }
    file
}
