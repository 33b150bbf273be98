//! The client's messages in clear (RFC 6143 §7.5, rfbproto).
//!
//! Their lengths are exact, so is whether a key went down or up. Which key it was is passed over: it never enters the buffer.

use crate::{cue::KeyAction, flow::Data};

/// Bytes of a message that are looked at, at most.
const MOST_LOOKED_AT: usize = 9;

/// A key's transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyMessage {
    pub(super) action: KeyAction,
    /// Length in bytes.
    pub(super) bytes: u32,
}

/// A message that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A key's transition.
    Key(KeyMessage),
    /// The answer to a fence.
    FenceAnswer,
    /// A request for an update.
    UpdateRequest,
}

/// Splits the client's bytes into messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    /// The beginning of the next message, as far as it has to be looked at.
    head: Vec<u8>,
    /// Bytes of the current message that are still to come.
    skip: u64,
    /// What the message that ends with them says.
    seen: Option<Seen>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Synced,
    /// Bytes are missing: a segment that is whole messages and nothing else shows where one begins.
    Lost,
    /// A message whose length is not known.
    Ended,
}

impl Messages {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, data: &Data<'_>, mut emit: impl FnMut(Seen)) {
        if self.state == State::Lost && is_whole(data) {
            *self = Self::default();
        }
        if self.state != State::Synced {
            return;
        }
        let mut left = u64::from(data.len);
        let mut bytes = data.bytes;
        while left > 0 {
            if self.skip > 0 {
                let step = self.skip.min(left);
                bytes = usize::try_from(step).ok().and_then(|step| bytes.get(step..)).unwrap_or_default();
                left -= step;
                self.skip -= step;
                if self.skip == 0 {
                    self.seen.take().into_iter().for_each(&mut emit);
                }
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                self.on_gap(); // cut off by a snaplen
                return;
            };
            bytes = rest;
            left -= 1;
            self.head.push(byte);
            match length(&self.head) {
                Length::NotYet => {}
                Length::Unknown => {
                    self.state = State::Ended;
                    return;
                }
                Length::Is(total) => {
                    self.seen = seen(&self.head);
                    self.skip = total.saturating_sub(self.head.len() as u64);
                    self.head.clear();
                    if self.skip == 0 {
                        self.seen.take().into_iter().for_each(&mut emit);
                    }
                }
            }
        }
    }

    /// Bytes are missing.
    pub(super) fn on_gap(&mut self) {
        if self.state == State::Synced {
            *self = Self { state: State::Lost, ..Self::default() };
        }
    }

    /// Whether messages can still be told.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }
}

/// Whether a segment is whole messages and nothing else.
fn is_whole(data: &Data<'_>) -> bool {
    let mut bytes = data.bytes;
    if bytes.len() != data.len as usize || bytes.is_empty() {
        return false;
    }
    while !bytes.is_empty() {
        let looked_at = (1..=bytes.len().min(MOST_LOOKED_AT)).find_map(|len| match length(bytes.get(..len)?) {
            Length::Is(total) => Some(total),
            _ => None,
        });
        let Some(rest) = looked_at.and_then(|total| bytes.get(usize::try_from(total).ok()?..)) else { return false };
        bytes = rest;
    }
    true
}

/// How long a message is.
enum Length {
    /// More of it has to be seen.
    NotYet,
    /// So many bytes.
    Is(u64),
    /// Nobody knows.
    Unknown,
}

/// The length of the message that begins so.
fn length(head: &[u8]) -> Length {
    let total = match *head {
        [0, ..] => 20,                                                           // SetPixelFormat
        [2, _, high, low] => 4 + 4 * u64::from(u16::from_be_bytes([high, low])), // SetEncodings
        [3 | 150, ..] => 10, // FramebufferUpdateRequest, EnableContinuousUpdates
        [4, _] => 8,         // KeyEvent
        [5, ..] => 6,        // PointerEvent
        [250, ..] => 4,      // xvp
        // ClientCutText; a negative length is that of the extended clipboard.
        [6, _, _, _, a, b, c, d] => 8 + u64::from(i32::from_be_bytes([a, b, c, d]).unsigned_abs()),
        [248, _, _, _, _, _, _, _, len] => 9 + u64::from(len), // Fence
        [251, _, _, _, _, _, screens] => 8 + 16 * u64::from(screens), // SetDesktopSize
        [253, kind, a, b] => {
            4 + u64::from(if kind & 0x80 == 0 { u16::from_le_bytes([a, b]) } else { u16::from_be_bytes([a, b]) })
        }
        [255, 0, _, _] => 12,    // QEMU: extended key
        [255, 1, 0, 0 | 1] => 4, // QEMU: audio on, off
        [255, 1, 0, 2] => 10,    // QEMU: audio format
        [255, 0 | 1] | [255] | [255, 0 | 1, _] => return Length::NotYet,
        [2 | 4 | 6 | 248 | 251 | 253, ..] if head.len() < MOST_LOOKED_AT => return Length::NotYet,
        _ => return Length::Unknown,
    };
    Length::Is(total)
}

/// What a message says, if it matters. The head of a key's ends before the key's name.
fn seen(head: &[u8]) -> Option<Seen> {
    let key = |down: bool, bytes| Seen::Key(KeyMessage { action: if down { KeyAction::Down } else { KeyAction::Up }, bytes });
    match *head {
        [3] => Some(Seen::UpdateRequest),
        [4, down] => Some(key(down != 0, 8)),
        [248, _, _, _, flags, ..] if flags & 0x80 == 0 => Some(Seen::FenceAnswer),
        [255, 0, high, low] => Some(key(high | low != 0, 12)),
        _ => None,
    }
}
