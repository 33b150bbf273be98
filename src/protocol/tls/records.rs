//! From a byte stream to TLS records: five bytes in clear say kind, version and length of each (RFC 8446 §5.1).

use crate::{
    flow::Data,
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// Bytes of a record's header.
const HEADER: usize = 5;

/// Longest record: 2^14 bytes of content and 2,048 for the cipher (RFC 5246 §6.2.3).
const MAX_RECORD: u16 = (1 << 14) + 2_048;

/// Bytes kept of the first handshake message; what is longer is not kept.
pub(super) const MAX_HELLO: usize = 8 * 1024;

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// What one direction allocates at most: a hello, doubled as it grows.
#[cfg(test)]
pub(super) const MOST_BYTES: usize = 2 * MAX_HELLO + 16;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its kind in clear; encrypted handshake messages of TLS 1.3 count as application data.
    pub is_application_data: bool,
    /// Length on the wire, header included, in bytes.
    pub len: u32,
    /// When its last byte passed the sensor.
    pub time: Timestamp,
    /// First sequence number behind the segment that carried its end.
    pub end: SeqNumber,
    /// When that segment was sent by the sender's own clock, where that is known.
    pub sent: Option<Span>,
}

/// Splits one direction into records.
#[derive(Clone, Debug, Default)]
pub(super) struct Framer {
    header: Vec<u8>,
    /// Bytes of the current record that are still to come.
    remaining: u32,
    /// Length of the current record, header included.
    current: u32,
    kind: u8,
    /// Where the next record begins is not known: it is looked for at the beginning of each segment.
    lost: bool,
    /// Bytes were seen that are no records, though nothing was missing.
    broken: bool,
    /// The first handshake message, as long as it is wanted.
    hello: Hello,
}

/// The bytes of one side's first handshake message.
#[derive(Clone, Debug, Default)]
enum Hello {
    #[default]
    None,
    Bytes(Vec<u8>),
    Done,
}

impl Framer {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, data: &Data<'_>, emit: &mut impl FnMut(Record)) {
        if self.lost {
            // A program writes whole records: one begins with the segment, or the search goes on.
            self.lost = data.bytes.first_chunk().is_none_or(|header| payload_len(*header).is_none());
            self.header.clear();
            self.remaining = 0;
        }
        let mut bytes = data.bytes;
        let mut len = data.len;
        while len > 0 && !self.lost {
            if self.remaining > 0 {
                let step = self.remaining.min(len);
                let (body, rest) = bytes.split_at_checked(step as usize).unwrap_or((bytes, &[]));
                self.keep_hello(body, step);
                bytes = rest;
                len -= step;
                self.remaining -= step;
                if self.remaining == 0 {
                    self.emit(data, emit);
                }
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                self.lost = true; // cut off by a snaplen
                self.header.clear();
                return;
            };
            bytes = rest;
            len -= 1;
            self.header.push(byte);
            if let Some(header) = self.header.first_chunk::<HEADER>().copied() {
                self.header.clear();
                self.begin(header);
            }
        }
    }

    /// Bytes are missing: where the next record begins has to be found again.
    pub(super) fn on_gap(&mut self) {
        self.lost = true;
        self.hello = Hello::Done;
    }

    /// Whether something else was spoken here.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// What has come of the first handshake message.
    pub(super) fn hello(&self) -> Option<&[u8]> {
        match &self.hello {
            Hello::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether there will be none any more.
    pub(super) const fn has_passed_hello(&self) -> bool {
        matches!(self.hello, Hello::Done) || self.lost
    }

    /// It was read.
    pub(super) fn drop_hello(&mut self) {
        self.hello = Hello::Done;
    }

    fn begin(&mut self, header: [u8; HEADER]) {
        let Some(len) = payload_len(header) else {
            self.lost = true;
            self.broken = true;
            return;
        };
        let [kind, ..] = header;
        self.kind = kind;
        self.current = u32::from(len) + HEADER as u32;
        self.remaining = u32::from(len);
        match (&self.hello, kind) {
            (Hello::None, HANDSHAKE) => self.hello = Hello::Bytes(Vec::new()),
            (Hello::None, APPLICATION_DATA) => self.hello = Hello::Done,
            _ => {}
        }
    }

    fn keep_hello(&mut self, body: &[u8], len: u32) {
        if let (Hello::Bytes(bytes), HANDSHAKE) = (&mut self.hello, self.kind) {
            bytes.extend(body.iter().take(MAX_HELLO.saturating_sub(bytes.len())));
            if body.len() < len as usize {
                self.hello = Hello::Done;
            }
        }
    }

    fn emit(&self, data: &Data<'_>, emit: &mut impl FnMut(Record)) {
        emit(Record {
            is_application_data: self.kind == APPLICATION_DATA,
            len: self.current,
            time: data.time,
            end: data.end,
            sent: data.sent,
        });
    }
}

/// The length behind a header that a TLS record can have. Empty records exist (against attacks on TLS 1.0).
fn payload_len([kind, major, minor, high, low]: [u8; HEADER]) -> Option<u16> {
    let len = u16::from_be_bytes([high, low]);
    let plausible = (20..=24).contains(&kind) && major == 3 && minor <= 4 && len <= MAX_RECORD && len > 0;
    plausible.then_some(len)
}
