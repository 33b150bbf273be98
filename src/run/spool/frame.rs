//! How records stand in a segment: `length, checksum, number, bytes`; the first three are 4, 4 and 8 bytes, little-endian. The checksum
//! (CRC-32, IEEE) is over length, number and bytes, so that a piece of another segment is none of this one.

/// What a segment begins with.
pub(super) const MAGIC: [u8; 8] = *b"KWSPOOL1";

/// The format that a segment says it has, where it is another: the last byte of the eight.
pub(super) fn other_format(beginning: [u8; 8]) -> Option<u8> {
    let [name @ .., format] = beginning;
    let [ours @ .., _] = MAGIC;
    (name == ours && beginning != MAGIC).then_some(format)
}

/// Bytes in front of a record.
pub(super) const HEAD: usize = 16;

/// The longest record in bytes: no alert comes near.
pub(super) const LONGEST: usize = 1 << 20;

/// What stands somewhere in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A record, and how many bytes its frame takes.
    Record { bytes: &'a [u8], frame: usize },
    /// The beginning of one, or nothing.
    Unfinished,
    /// Something else.
    Broken,
}

/// Adds a frame.
pub(super) fn write(out: &mut Vec<u8>, number: u64, record: &[u8]) {
    let length = (record.len() as u32).to_le_bytes();
    out.extend(length);
    out.extend(checksum(length, number, record).to_le_bytes());
    out.extend(number.to_le_bytes());
    out.extend_from_slice(record);
}

/// Reads the frame of a record that must have this number.
pub(super) fn read(bytes: &[u8], number: u64) -> Found<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Found::Unfinished };
    let [l0, l1, l2, l3, c0, c1, c2, c3, numbered @ ..] = *head;
    let length = [l0, l1, l2, l3];
    let size = u32::from_le_bytes(length) as usize;
    if size > LONGEST || u64::from_le_bytes(numbered) != number {
        return Found::Broken;
    }
    let Some(record) = rest.get(..size) else { return Found::Unfinished };
    if checksum(length, number, record) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Found::Broken;
    }
    Found::Record { bytes: record, frame: HEAD + size }
}

fn checksum(length: [u8; 4], number: u64, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(&number.to_le_bytes());
    hasher.update(record);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_is_seen_and_a_cut_is_none() {
        let mut bytes = Vec::new();
        write(&mut bytes, 7, b"an alert");
        assert_eq!(read(&bytes, 7), Found::Record { bytes: b"an alert", frame: bytes.len() });
        assert_eq!(read(&bytes, 8), Found::Broken, "in its place only");
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut], 7), Found::Unfinished, "{cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read(&bytes, 7), Found::Record { .. }), "bit {bit}");
        }
    }
}
