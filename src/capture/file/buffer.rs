//! The read-ahead buffer: one large allocation, bytes that were not used are moved to its front.

use std::io::{ErrorKind, Read};

use super::CaptureError;

/// A window that slides over a stream.
pub(super) struct Buffer {
    stream: Box<dyn Read + Send>,
    bytes: Vec<u8>, // all initialised; grows only for an item that is larger than it
    start: usize,   // first unread byte, <= end
    end: usize,     // end of what was read, <= bytes.len()
    start_offset: u64,
}

impl Buffer {
    /// A buffer of `capacity` bytes, at least one.
    pub(super) fn new(stream: Box<dyn Read + Send>, capacity: usize) -> Self {
        Self { stream, bytes: vec![0; capacity.max(1)], start: 0, end: 0, start_offset: 0 }
    }

    /// All bytes that are held, used ones first: what offsets of frames count from.
    pub(super) fn held(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }

    /// The bytes that are not used yet.
    pub(super) fn unread(&self) -> Window<'_> {
        Window {
            bytes: self.bytes.get(self.start..self.end).unwrap_or_default(),
            position: self.start,
            offset: self.start_offset,
        }
    }

    /// Marks the next `count` bytes as used. They stay where they are until [`Buffer::read_more`].
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end.saturating_sub(self.start));
        self.start = self.start.saturating_add(count);
        self.start_offset = self.start_offset.saturating_add(count as u64);
    }

    /// Forgets used bytes and reads once, as much as the stream gives and the buffer takes; false
    /// at the end of the stream. A full buffer grows towards `need`, at most twofold at a time, so that a
    /// length field alone never makes it larger than twice the bytes that are really there.
    pub(super) fn read_more(&mut self, need: usize) -> Result<bool, CaptureError> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        if self.end == self.bytes.len() {
            let twice = self.bytes.len().saturating_mul(2);
            let grown = need.clamp(self.bytes.len().saturating_add(1), twice.max(2));
            self.bytes.resize(grown, 0);
        }
        let free = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = loop {
            match self.stream.read(free) {
                Ok(count) => break count.min(free.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = self.start_offset.saturating_add(self.end as u64);
                    return Err(CaptureError::Read { offset, source });
                }
            }
        };
        self.end = self.end.saturating_add(count);
        Ok(count > 0)
    }

    /// Bytes of memory that the buffer takes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

/// Unread bytes, and where they lie.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Where they begin in the buffer.
    pub(super) position: usize,
    /// Where they begin in the input.
    pub(super) offset: u64,
}

impl Window<'_> {
    /// This window without its first `used` bytes.
    pub(super) fn after(self, used: usize) -> Self {
        Self {
            bytes: self.bytes.get(used..).unwrap_or_default(),
            position: self.position.saturating_add(used),
            offset: self.offset.saturating_add(used as u64),
        }
    }
}
