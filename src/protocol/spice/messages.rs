//! Messages behind the link: a header with kind and length, and a body, of which only little is looked at.
//!
//! A key's message is its header: which key it was is passed over and enters no buffer. Of a message with several scan codes it is kept
//! which way each went.

use crate::flow::Data;

/// Lengths of the two headers: kind and length, or those between a serial number and an offset.
const MINI: usize = 6;
const FULL: usize = 18;

/// Bytes kept of a body, at most.
pub(super) const MOST_KEPT: usize = 260;

/// What is kept of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    /// So many bytes from its beginning.
    Bytes(usize),
    /// Of each scan code, [`DOWN`] or [`UP`].
    Ways,
}

/// See [`Keep::Ways`].
pub(super) const DOWN: u8 = 0;
pub(super) const UP: u8 = 1;

/// A message that is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    /// With its header, in bytes.
    pub(super) bytes: u32,
    /// What was to be kept.
    pub(super) kept: &'a [u8],
}

/// Splits one side's bytes into messages.
#[derive(Clone, Debug)]
pub(super) struct Messages {
    header: usize,
    head: Vec<u8>,
    /// Bytes of the current body that are still to come.
    left: u64,
    kind: u16,
    bytes: u32,
    keep: Keep,
    kept: Vec<u8>,
    /// Bytes are missing: nobody knows where a message begins.
    lost: bool,
}

impl Messages {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = 2 * (FULL + MOST_KEPT);

    pub(super) const fn new(mini_header: bool) -> Self {
        let header = if mini_header { MINI } else { FULL };
        Self { header, head: Vec::new(), left: 0, kind: 0, bytes: 0, keep: Keep::Nothing, kept: Vec::new(), lost: false }
    }

    /// Whether a message's beginning can still be told.
    pub(super) const fn is_lost(&self) -> bool {
        self.lost
    }

    /// Bytes are missing.
    pub(super) fn on_gap(&mut self) {
        *self = Self { lost: true, ..Self::new(self.header == MINI) };
    }

    /// Bytes were missing, and here a message begins.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::new(self.header == MINI);
    }

    /// Takes the next bytes. `keep` says what is to be kept of a kind of message, `emit` gets each with its last byte.
    pub(super) fn push(&mut self, data: &Data<'_>, keep: impl Fn(u16) -> Keep, mut emit: impl FnMut(Message<'_>)) {
        let mut bytes = data.bytes;
        let mut left = u64::from(data.len);
        while left > 0 && !self.lost {
            if self.head.len() < self.header {
                let Some((&byte, rest)) = bytes.split_first() else {
                    self.on_gap(); // cut off by a snaplen
                    return;
                };
                (bytes, left) = (rest, left - 1);
                self.head.push(byte);
                if self.head.len() < self.header {
                    continue;
                }
                self.on_head(&keep);
            } else {
                let step = self.left.min(left);
                let (now, later) = bytes.split_at(usize::try_from(step).unwrap_or(usize::MAX).min(bytes.len()));
                self.on_body(now);
                bytes = later;
                (self.left, left) = (self.left - step, left - step);
            }
            if self.left == 0 {
                emit(Message { kind: self.kind, bytes: self.bytes, kept: &self.kept });
                self.head.clear();
                self.kept.clear();
            }
        }
    }

    fn on_head(&mut self, keep: impl Fn(u16) -> Keep) {
        let at = self.header - if self.header == MINI { MINI } else { 10 };
        let Some(&[low, high, a, b, c, d]) = self.head.get(at..at + MINI) else { return };
        let size = u32::from_le_bytes([a, b, c, d]);
        self.kind = u16::from_le_bytes([low, high]);
        self.left = u64::from(size);
        self.bytes = size.saturating_add(u32::try_from(self.header).unwrap_or(0));
        self.keep = keep(self.kind);
    }

    fn on_body(&mut self, bytes: &[u8]) {
        let room = MOST_KEPT.saturating_sub(self.kept.len());
        match self.keep {
            Keep::Nothing => {}
            Keep::Bytes(most) => {
                let room = most.saturating_sub(self.kept.len()).min(room);
                self.kept.extend(bytes.iter().take(room));
            }
            Keep::Ways => {
                let codes = bytes.iter().filter(|code| !matches!(code, 0xe0 | 0xe1)); // prefixes
                self.kept.extend(codes.take(room).map(|code| if code & 0x80 == 0 { DOWN } else { UP }));
            }
        }
    }
}
