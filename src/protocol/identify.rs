//! Recognising a protocol by the first bytes of each side, whatever the port.
//!
//! The answer has three values. "Not yet" keeps the bytes; "not ours" lets go of the flow for good, so that what is
//! not a session costs nothing.

use super::{Protocol, carrier::Carried, families::Families, rdp, rlogin::Rlogin, spice::Spice, telnet::Telnet, x11::X11};
use crate::{flow::Side, wire::SeqNumber};

/// The port that IANA assigned to SSH; used only where a flow's beginning was not captured.
pub const SSH_PORT: u16 = 22;

/// First bytes of an SSH identification line (RFC 4253 §4.2).
const SSH_PREFIX: &[u8] = b"SSH-";

/// First bytes of VNC's version line (RFC 6143 §7.1.1).
const VNC_PREFIX: &[u8] = b"RFB ";

/// How far behind the beginning of a stream a segment may lie and still be kept for the bytes before it: the handshake of
/// an SSH session is no longer than this.
const REACH: i32 = 16 * 1024;

/// What the beginning of one side says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guess {
    /// Nothing was seen of it.
    #[default]
    Unseen,
    /// It fits so far.
    Possible,
    /// It does not fit.
    NotOurs,
}

/// Looks at one segment with payload. `start` is the first sequence number of the stream, where known; with `None`
/// the segment is taken for the beginning.
#[must_use]
pub fn guess(start: Option<SeqNumber>, seq: SeqNumber, payload: &[u8], side: Side) -> Guess {
    let offset = start.map_or(0, |start| seq.since(start));
    match offset {
        0 if protocol(payload, side).is_some() => Guess::Possible,
        0 => Guess::NotOurs,
        1..REACH => Guess::Possible, // the bytes before it may still come
        _ => Guess::NotOurs,
    }
}

/// The protocol that one side can have begun with these bytes.
#[must_use]
pub(super) fn protocol(bytes: &[u8], side: Side) -> Option<Protocol> {
    let begins = |prefix: &[u8]| {
        let seen = bytes.len().min(prefix.len());
        bytes.get(..seen) == prefix.get(..seen)
    };
    // A server may send other lines first (RFC 4253 §4.2); they come in one segment with the line that counts, or the
    // client's line decides.
    let behind_a_line = || side == Side::Server && bytes.windows(5).any(|bytes| bytes == b"\nSSH-");
    if begins(SSH_PREFIX) || behind_a_line() {
        Some(Protocol::Ssh)
    } else if begins(VNC_PREFIX) {
        Some(Protocol::Vnc)
    } else if Telnet::may_begin(bytes) {
        Some(Protocol::Telnet)
    } else if side == Side::Client && rdp::may_begin(bytes) {
        Some(Protocol::Rdp)
    } else if side == Side::Client && Rlogin::may_begin(bytes) {
        Some(Protocol::Rlogin)
    } else if side == Side::Client && Spice::may_begin(bytes) {
        Some(Protocol::Spice)
    } else if side == Side::Client && X11::may_begin(bytes) {
        Some(Protocol::X11)
    } else if side == Side::Client && Carried::may_begin(bytes) {
        Some(Protocol::Carried)
    } else {
        Families::may_begin(bytes, side).then_some(Protocol::Family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        let start = Some(SeqNumber(100));
        assert_eq!(guess(start, SeqNumber(100), b"SSH-2.0-x\r\n", Side::Client), Guess::Possible);
        assert_eq!(guess(start, SeqNumber(100), b"S", Side::Client), Guess::Possible);
        assert_eq!(guess(start, SeqNumber(100), b"GET / HTTP/1.1", Side::Client), Guess::NotOurs);
        assert_eq!(guess(None, SeqNumber(5), b"SSH-", Side::Server), Guess::Possible);
    }

    #[test]
    fn a_server_may_greet_first() {
        assert_eq!(guess(None, SeqNumber(5), b"hello\r\nSSH-2.0-x\r\n", Side::Server), Guess::Possible);
        assert_eq!(guess(None, SeqNumber(5), b"hello\r\nSSH-2.0-x\r\n", Side::Client), Guess::NotOurs);
    }

    #[test]
    fn a_segment_that_came_early_is_kept_within_reach() {
        let start = Some(SeqNumber(100));
        assert_eq!(guess(start, SeqNumber(104), b"2.0", Side::Client), Guess::Possible);
        assert_eq!(guess(start, SeqNumber(100 + 20_000), b"xyz", Side::Client), Guess::NotOurs);
        assert_eq!(guess(start, SeqNumber(90), b"xyz", Side::Client), Guess::NotOurs);
    }
}
