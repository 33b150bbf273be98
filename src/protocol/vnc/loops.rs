//! What a viewer answers by itself all the time: fences with their copies, updates of the screen with the request for the next.
//!
//! Several may be under way at once. A fence is timed only where no other is, so that the next answer is its own; an update only
//! where it came at once, so that its end is known.

use super::messages::Seen;
use crate::{
    cue::{Cue, Step},
    flow::Data,
    protocol::turn,
    time::{Span, Timestamp},
};

/// Bytes of a fence up to its payload's length.
const FENCE: usize = 9;

/// Longest payload of a fence.
const MOST_PAYLOAD: u8 = 64;

/// From the first to the last segment of an update that came at once.
const AT_ONCE: Span = Span::from_millis(2);

/// See the [module's documentation](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loops {
    /// The client has said something: it has taken in what the desktop is like.
    has_begun: bool,
    /// The server's last bytes: a fence may begin in one segment and end in the next.
    tail: [u8; FENCE - 1],
    /// Fences without an answer, and whether the first of them is timed. Where bytes were not captured nobody knows.
    fences: Option<u32>,
    is_timed: bool,
    update: Update,
}

/// The update that the client waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Update {
    #[default]
    NotWanted,
    Wanted,
    /// It has begun to come then.
    Came(Timestamp),
    /// It took longer than [`AT_ONCE`].
    Long,
}

impl Loops {
    /// Takes the server's next bytes.
    pub(super) fn on_server(&mut self, data: &Data<'_>, cues: &mut Vec<Cue>) {
        let over = self.has_begun && data.bytes.len() < data.len as usize;
        let requests = requests(&self.tail, data.bytes);
        if let Some(rest) = data.bytes.len().checked_sub(self.tail.len()).and_then(|from| data.bytes.get(from..)) {
            self.tail.copy_from_slice(rest);
        } else {
            self.tail.rotate_left(data.bytes.len());
            let kept = self.tail.len() - data.bytes.len();
            self.tail.iter_mut().skip(kept).zip(data.bytes).for_each(|(place, byte)| *place = *byte);
        }
        match &mut self.fences {
            _ if over => self.fences = None,
            Some(fences) if requests > 0 => {
                if *fences == 0 {
                    self.is_timed = true;
                    turn::ask(Step::Fence, data, cues);
                }
                *fences = fences.saturating_add(requests);
            }
            _ => {}
        }
        self.update = match self.update {
            Update::NotWanted => Update::NotWanted,
            Update::Wanted => {
                turn::ask(Step::Update, data, cues);
                Update::Came(data.time)
            }
            Update::Came(first) if data.time - first <= AT_ONCE => {
                turn::ask(Step::Update, data, cues);
                Update::Came(first)
            }
            Update::Came(_) | Update::Long => Update::Long,
        };
    }

    /// Takes the client's next message.
    pub(super) fn on_client(&mut self, data: &Data<'_>, seen: Seen, cues: &mut Vec<Cue>) {
        match seen {
            Seen::FenceAnswer => {
                if std::mem::take(&mut self.is_timed) {
                    turn::answer(Step::Fence, data, cues);
                }
                self.fences = self.fences.map(|fences| fences.saturating_sub(1));
            }
            Seen::UpdateRequest => {
                if matches!(self.update, Update::Came(_)) {
                    turn::answer(Step::Update, data, cues);
                }
                self.update = Update::Wanted;
            }
            Seen::Key(_) => {}
        }
    }

    /// The client's first bytes behind the handshake.
    pub(super) fn begin(&mut self, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            turn::answer(Step::Init, data, cues);
            self.fences = Some(0);
        }
    }

    /// Bytes are missing: fences, or answers to them, may be among them.
    pub(super) const fn on_gap(&mut self) {
        (self.fences, self.is_timed, self.update) = (None, false, Update::NotWanted);
    }
}

/// How many fences that ask for an answer end their fixed part in `bytes`, which may be those of a picture: nine bytes of which 55 bits
/// are given.
fn requests(before: &[u8; FENCE - 1], bytes: &[u8]) -> u32 {
    let is_request = |bytes: &[u8]| matches!(*bytes, [248, 0, 0, 0, 0x80, 0, 0, flags, len] if flags <= 7 && len <= MOST_PAYLOAD);
    let across: Vec<u8> = before.iter().chain(bytes.iter().take(FENCE - 1)).copied().collect();
    let count = across.windows(FENCE).chain(bytes.windows(FENCE)).filter(|window| is_request(window)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}
