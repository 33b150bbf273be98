//! Requests and answers of Kafka's protocol in the versions that every broker from 0.11 to 4 speaks (kafka.apache.org/protocol), and
//! record batches (kafka.apache.org/documentation/#messageformat).

/// Numbers of requests.
pub(super) const PRODUCE: i16 = 0;
pub(super) const METADATA: i16 = 3;
pub(super) const SASL_HANDSHAKE: i16 = 17;
pub(super) const API_VERSIONS: i16 = 18;
pub(super) const SASL_AUTHENTICATE: i16 = 36;

/// What stands in a batch in front of its length, and between it and what the checksum covers.
const BATCH_HEAD: usize = 12;
const CHECKED_FROM: usize = BATCH_HEAD + 4 + 1 + 4;

const MAGIC: u8 = 2;
const NONE: i64 = -1;

/// One message.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) key: String,
    pub(super) body: Vec<u8>,
}

/// What came is no answer of a broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbage;

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = text.len().min(i16::MAX as usize);
    out.extend((len as i16).to_be_bytes());
    out.extend(text.bytes().take(len));
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A request with its head, version 1.
pub(super) fn request(api: i16, version: i16, correlation: i32, body: &[u8], out: &mut Vec<u8>) {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(correlation.to_be_bytes());
    put_text(&mut request, "keywitness");
    request.extend_from_slice(body);
    put_bytes(out, &request);
}

/// Reads an answer from its front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a>(pub(super) &'a [u8]);

impl<'a> Read<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Garbage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Garbage)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn skip(&mut self, len: usize) -> Result<&'a [u8], Garbage> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Garbage)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Garbage> {
        self.take().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Garbage> {
        self.take().map(i32::from_be_bytes)
    }

    /// A text, or none.
    pub(super) fn text(&mut self) -> Result<&'a [u8], Garbage> {
        let len = self.i16()?;
        self.skip(usize::try_from(len).unwrap_or(0))
    }

    /// Reads each element of a list. How many there are said to be reserves nothing.
    pub(super) fn list(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), Garbage>) -> Result<(), Garbage> {
        let len = self.i32()?;
        (0..len).try_for_each(|_| read(self))
    }
}

fn put_varint(out: &mut Vec<u8>, number: i64) {
    let mut rest = (number << 1 ^ number >> 63) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_var_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// A record: the key that orders it is the alert's, the header has that of the delivery.
fn record(nth: i64, entry: &Entry) -> Vec<u8> {
    let alert = entry.key.rsplit_once('-').map_or(entry.key.as_str(), |(alert, _)| alert);
    let mut record = vec![0]; // attributes
    put_varint(&mut record, 0); // all of a batch have its time
    put_varint(&mut record, nth);
    put_var_bytes(&mut record, alert.as_bytes());
    put_var_bytes(&mut record, &entry.body);
    put_varint(&mut record, 1);
    put_var_bytes(&mut record, b"delivery_key");
    put_var_bytes(&mut record, entry.key.as_bytes());
    record
}

/// A batch of records, made at this time in milliseconds since 1970.
pub(super) fn batch(entries: &[Entry], now: i64) -> Vec<u8> {
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes()); // not compressed, times are those of making
    checked.extend((entries.len() as i32 - 1).to_be_bytes()); // no more than are sent at once
    checked.extend(now.to_be_bytes());
    checked.extend(now.to_be_bytes());
    checked.extend(NONE.to_be_bytes()); // producer
    checked.extend((NONE as i16).to_be_bytes());
    checked.extend((NONE as i32).to_be_bytes());
    checked.extend((entries.len() as i32).to_be_bytes());
    for (nth, entry) in entries.iter().enumerate() {
        put_var_bytes(&mut checked, &record(nth as i64, entry));
    }
    let mut batch = Vec::with_capacity(CHECKED_FROM + checked.len());
    batch.extend(0_i64.to_be_bytes());
    batch.extend(((CHECKED_FROM - BATCH_HEAD + checked.len()) as i32).to_be_bytes());
    batch.extend((NONE as i32).to_be_bytes());
    batch.push(MAGIC);
    batch.extend(crc32c::crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_are_zigzagged() {
        for (number, bytes) in [(0, &[0][..]), (-1, &[1]), (1, &[2]), (63, &[126]), (64, &[128, 1]), (300, &[216, 4])] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out, bytes, "{number}");
        }
    }

    #[test]
    fn a_list_that_is_said_to_be_endless_ends_with_its_bytes() {
        let mut read = Read(&[0x7f, 0xff, 0xff, 0xff, 0, 1]);
        assert_eq!(read.list(|element| element.i16().map(|_| ())), Err(Garbage));
        assert_eq!(Read(&[0, 9, b'x']).text(), Err(Garbage));
        assert_eq!(Read(&[0xff, 0xff]).text(), Ok(&[][..]));
    }
}
