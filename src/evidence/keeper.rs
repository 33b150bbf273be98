//! How much of which flow is kept.

use super::{Slice, write_record};
use crate::wire::Frame;

/// Frames of a flow that are kept before it is known what it is: a handshake, and some of it sent again.
const WAITING: u64 = 8;

/// Limits of what is kept, in bytes of records; a frame takes some 80.
#[derive(Clone, Copy, Debug)]
pub struct SliceLimits {
    /// Of a session's first frames.
    pub first: usize,
    /// Of its last frames.
    pub last: usize,
    /// Of all flows together; those that are no sessions yet take half of it at most.
    pub total: usize,
}

impl Default for SliceLimits {
    fn default() -> Self {
        Self { first: 1 << 20, last: 1 << 20, total: 256 << 20 }
    }
}

/// Adds frames to slices and counts what they take together.
#[derive(Debug)]
pub struct SliceKeeper {
    limits: SliceLimits,
    held: usize,
    record: Vec<u8>,
}

impl SliceKeeper {
    /// Nothing is kept yet.
    #[must_use]
    pub const fn new(limits: SliceLimits) -> Self {
        Self { limits, held: 0, record: Vec::new() }
    }

    /// Adds the headers of a frame to the slice of its flow, as far as there is room.
    pub fn push(&mut self, slice: &mut Option<Box<Slice>>, frame: &Frame<'_>, has_payload: bool, is_session: bool) {
        let slice = slice.get_or_insert_with(|| Box::new(Slice::new(frame.link)));
        let written = slice.link == frame.link && write_record(frame, has_payload, &mut self.record).is_some();
        if written && self.make_room(slice, is_session) {
            let bytes = self.record.len();
            if slice.last.is_empty() && slice.first.len() + bytes <= self.limits.first {
                slice.first.extend_from_slice(&self.record);
            } else {
                slice.last.extend(&self.record);
            }
            slice.kept += 1;
            self.held += bytes;
        } else {
            slice.left_out += 1;
        }
    }

    /// Takes a slice from a flow that ends.
    pub fn take(&mut self, slice: &mut Option<Box<Slice>>) -> Option<Box<Slice>> {
        let slice = slice.take()?;
        self.held -= slice.bytes();
        Some(slice)
    }

    /// Bytes that are held now.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Whether the record that waits fits; the oldest of the slice's last ones give way.
    fn make_room(&mut self, slice: &mut Slice, is_session: bool) -> bool {
        let bytes = self.record.len();
        if !is_session {
            return slice.kept < WAITING && self.held + bytes <= self.limits.total / 2;
        }
        if slice.last.is_empty() && slice.first.len() + bytes <= self.limits.first {
            return self.held + bytes <= self.limits.total;
        }
        while slice.last.len() + bytes > self.limits.last || self.held + bytes > self.limits.total {
            let freed = slice.drop_oldest();
            if freed == 0 {
                return false;
            }
            self.held -= freed;
        }
        true
    }
}
