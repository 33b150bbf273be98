//! The ladder of channels at the beginning of a session (MS-RDPBCGR §1.3.1.1): one is joined, confirmed, and then the next. The client
//! program answers each confirmation by itself, and the messages are of lengths of their own, inside TLS too.

use crate::{
    cue::{Cue, Step},
    flow::{Data, Side},
    protocol::turn,
};

/// Bytes of messages, as in the examples of MS-RDPBCGR §4.1: what the client says before (erect domain, attach user), the
/// confirmations of the attached user and of a joined channel, the request to join one.
const ATTACH: u32 = 8;
const ATTACHED: u32 = 11;
const JOINED: u32 = 15;
const JOIN: u32 = 12;

/// Where a session is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Joining {
    #[default]
    Before,
    Attached,
    Over,
}

impl Joining {
    /// Takes a message of one side, of so many bytes.
    pub(super) fn on_message(&mut self, side: Side, len: u32, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (*self, side, len) {
            (Self::Before, Side::Server, ATTACHED) => {
                *self = Self::Attached;
                turn::ask(Step::Join, data, cues);
            }
            (Self::Attached, Side::Server, JOINED) => turn::ask(Step::Join, data, cues),
            (Self::Attached, Side::Client, JOIN) => turn::answer(Step::Join, data, cues),
            (Self::Attached, Side::Client, len) if len != ATTACH => *self = Self::Over,
            _ => {}
        }
    }
}
