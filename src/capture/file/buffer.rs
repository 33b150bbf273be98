//! The read-ahead buffer: one large allocation, bytes that were not used are moved to its front. While somebody else still looks
//! at it, reading goes on in another.

use std::io::{self, BufRead, ErrorKind, Read};
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::CaptureError;
use super::unpack::UnpackError;

/// A window that slides over a stream.
pub(super) struct Buffer {
    stream: Box<dyn Read + Send>,
    bytes: Arc<Vec<u8>>, // all initialised; grows only for an item that is larger than it
    start: usize,        // first unread byte, <= end
    end: usize,          // end of what was read, <= bytes.len()
    start_offset: u64,
    /// Lent ones, which come back by being let go of. As many as there ever were at a time.
    lent: Vec<Arc<Vec<u8>>>,
}

impl Buffer {
    /// A buffer of `capacity` bytes, at least one.
    pub(super) fn new(stream: Box<dyn Read + Send>, capacity: usize) -> Self {
        let bytes = Arc::new(vec![0; capacity.max(1)]);
        Self { stream, bytes, start: 0, end: 0, start_offset: 0, lent: Vec::new() }
    }

    /// Puts something between the stream and this buffer, before anything is read.
    pub(super) fn wrap(&mut self, wrap: impl FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send>) {
        let stream = mem::replace(&mut self.stream, Box::new(io::empty()));
        self.stream = wrap(stream);
    }

    /// All bytes that are held, used ones first: what offsets of frames count from.
    pub(super) fn held(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }

    /// The same for others to keep; what lies behind the bytes that are held means nothing.
    pub(super) fn lend(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.bytes)
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
        self.fetch(need).map_err(|error| match error.downcast::<UnpackError>() {
            Ok(error) => error.into(),
            Err(source) => {
                let offset = self.start_offset.saturating_add(self.end.saturating_sub(self.start) as u64);
                CaptureError::Read { offset, source }
            }
        })
    }

    /// The next bytes, `count` of them or all that are left, whatever the stream gives at a time.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.unread().bytes.len() < count && self.fetch(count)? {}
        Ok(self.unread().bytes)
    }

    /// Bytes of memory that the buffer takes.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// See [`Buffer::read_more`].
    fn fetch(&mut self, need: usize) -> io::Result<bool> {
        let unread = self.start..self.end;
        (self.start, self.end) = (0, unread.len());
        let bytes = Self::own(&mut self.bytes, &mut self.lent, unread);
        if self.end == bytes.len() {
            let twice = bytes.len().saturating_mul(2);
            let grown = need.clamp(bytes.len().saturating_add(1), twice.max(2));
            bytes.resize(grown, 0);
        }
        let free = bytes.get_mut(self.end..).unwrap_or_default();
        let count = loop {
            match self.stream.read(free) {
                Ok(count) => break count.min(free.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.end = self.end.saturating_add(count);
        Ok(count > 0)
    }
}

impl Buffer {
    /// A buffer at which nobody else looks, with the unread bytes at its front: the present one if it can be, or else one that has
    /// come back, or a new one.
    fn own<'a>(bytes: &'a mut Arc<Vec<u8>>, lent: &mut Vec<Arc<Vec<u8>>>, unread: Range<usize>) -> &'a mut Vec<u8> {
        if Arc::get_mut(bytes).is_some() {
            let bytes = Arc::make_mut(bytes);
            bytes.copy_within(unread, 0);
            return bytes;
        }
        let size = bytes.len();
        let back = lent.iter_mut().position(|bytes| Arc::get_mut(bytes).is_some_and(|bytes| bytes.len() == size));
        let other = back.map_or_else(|| Arc::new(vec![0; size]), |at| lent.swap_remove(at));
        let before = mem::replace(bytes, other);
        let bytes = Arc::make_mut(bytes); // is nobody else's, so nothing is copied
        let held = before.get(unread).unwrap_or_default();
        bytes.get_mut(..held.len()).into_iter().for_each(|front| front.copy_from_slice(held));
        lent.retain(|bytes| bytes.len() == size);
        lent.push(before);
        bytes
    }
}

/// What a decompressor reads from.
impl BufRead for Buffer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)
    }

    fn consume(&mut self, count: usize) {
        Self::consume(self, count);
    }
}

impl Read for Buffer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        Self::consume(self, count);
        Ok(count)
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
