//! What `capture` hands on: frames in batches, by reference into the reader's own buffer.
//!
//! A batch is one slice of bytes and one small array that says where each frame lies in it, so that
//! a frame costs neither an allocation nor a copy on its way to the decoder.

use super::LinkType;
use crate::time::Timestamp;

/// One captured frame: its bytes, when it passed the sensor, and how to read it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Position in the run, from 0 over all inputs in merged order; the key of every observation.
    pub number: u64,
    /// Which input it came from, by position, from 0.
    pub input: u32,
    /// Capture time.
    pub time: Timestamp,
    /// How to read the first byte.
    pub link: LinkType,
    /// What was captured: at most `original_len` bytes, fewer where a snaplen cut the frame.
    pub bytes: &'a [u8],
    /// Length on the wire in bytes.
    pub original_len: u32,
}

/// Where a frame lies in its batch.
#[derive(Clone, Copy, Debug)]
pub struct FrameMeta {
    /// Capture time.
    pub time: Timestamp,
    /// First byte of the frame, counted from the start of [`Batch::data`].
    pub offset: u32,
    /// Captured length in bytes.
    pub captured_len: u32,
    /// Length on the wire in bytes.
    pub original_len: u32,
    /// How to read the first byte.
    pub link: LinkType,
}

/// A run of frames that follow each other, all from one input.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Number of the first frame; the others follow without a hole.
    pub first_number: u64,
    /// Which input they came from, by position, from 0.
    pub input: u32,
    /// The bytes that all frames lie in.
    pub data: &'a [u8],
    /// The frames in reader order.
    pub frames: &'a [FrameMeta],
}

impl<'a> Batch<'a> {
    /// The frames one by one. A frame whose place lies outside of `data` comes out empty.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Frame<'a>> + Clone + use<'a> {
        let batch = *self;
        self.frames.iter().enumerate().map(move |(nth, meta)| batch.frame_at(nth, meta))
    }

    /// One of the frames, counted from 0.
    #[must_use]
    #[inline]
    pub fn frame(&self, nth: usize) -> Option<Frame<'a>> {
        self.frames.get(nth).map(|meta| self.frame_at(nth, meta))
    }

    #[inline]
    fn frame_at(&self, nth: usize, meta: &FrameMeta) -> Frame<'a> {
        let start = meta.offset as usize;
        let end = start.saturating_add(meta.captured_len as usize);
        Frame {
            number: self.first_number.wrapping_add(nth as u64),
            input: self.input,
            time: meta.time,
            link: meta.link,
            bytes: self.data.get(start..end).unwrap_or_default(),
            original_len: meta.original_len,
        }
    }
}
