//! What a terminal sends in clear: how many keys the bytes of a segment are, and not which.
//!
//! A key is one character, or an escape sequence (ECMA-48 §5.4; xterm's control sequences). What a terminal answers by itself,
//! where the pointer is, and whether the window has the focus, it sends in escape sequences too: those are no keys.

use crate::{
    cue::{DataRange, Doubt, Input, InputKind, Output, OutputKind},
    flow::Data,
};

/// As many keys in one segment are typed while the one before them waited for its acknowledgement; more are pasted.
const MOST_TYPED: u32 = 4;

/// What echoes one key at most, in bytes: a step back that erases to the end of the line.
const REDRAW: u32 = 4;

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 7;

/// What the bytes of a segment are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Typed {
    /// Keys.
    keys: u32,
    /// Their bytes.
    bytes: u32,
    /// One of them is an escape sequence.
    sequence: bool,
    /// The terminal says that they are pasted.
    pasted: bool,
}

/// What the client sent, where keys are among it. `typed` is what `data` carries without the protocol's own bytes.
pub(super) fn input(data: &Data<'_>, typed: &[u8]) -> Option<Input> {
    let Typed { keys, bytes, sequence, pasted } = count(typed);
    let kind = match keys {
        _ if pasted => InputKind::Bulk,
        0 => return None,
        1 if sequence => InputKind::Sequence,
        1 => InputKind::Char,
        2..=MOST_TYPED => InputKind::Keys(u8::try_from(keys).unwrap_or(u8::MAX)),
        _ => InputKind::Bulk,
    };
    let range = DataRange { least: bytes, most: bytes };
    Some(Input { time: data.time, sent: data.sent, end: data.end, bytes, data: range, kind, doubt: Doubt::None })
}

/// What the server showed with this many bytes.
pub(super) const fn output(data: &Data<'_>, bytes: u32) -> Output {
    let kind = match bytes {
        0 => OutputKind::Status,
        1 => OutputKind::Echo,
        2..=REDRAW => OutputKind::Redraw,
        _ => OutputKind::Text,
    };
    Output { time: data.time, acked: data.acked, bytes, kind }
}

fn count(mut rest: &[u8]) -> Typed {
    let mut typed = Typed::default();
    while let Some((&first, behind)) = rest.split_first() {
        let (len, is_key) = match (first, behind.first()) {
            (ESCAPE, Some(_)) => sequence(rest, &mut typed),
            (b'\r', Some(0 | b'\n')) => (2, true), // one key: RFC 854 wants a second byte behind it
            (0xc0.., _) => (1 + behind.iter().take(3).take_while(|byte| matches!(byte, 0x80..=0xbf)).count(), true),
            _ => (1, true),
        };
        if is_key {
            typed.keys = typed.keys.saturating_add(1);
            typed.bytes = typed.bytes.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        }
        rest = rest.get(len..).unwrap_or_default();
    }
    typed
}

/// Length of the escape sequence that `bytes` begin with, and whether it is a key.
fn sequence(bytes: &[u8], typed: &mut Typed) -> (usize, bool) {
    let until = |ends: fn(u8) -> bool| bytes.iter().skip(2).position(|byte| ends(*byte)).map_or(bytes.len(), |at| at + 3);
    let (len, is_key) = match *bytes {
        [_, b'[', b'M', ..] => (6, false),
        [_, b'[', ..] => {
            let len = until(|byte| matches!(byte, 0x40..=0x7e));
            let sequence = bytes.get(2..len).unwrap_or_default();
            typed.pasted |= sequence == b"200~";
            let is_bracket = sequence == b"200~" || sequence == b"201~";
            let is_private = sequence.first().is_some_and(|first| matches!(first, b'<'..=b'?'));
            let is_answer = sequence.last().is_some_and(|last| matches!(last, b'R' | b'c' | b'n' | b't' | b'y' | b'I' | b'O'));
            (len, !(is_bracket || is_private || is_answer))
        }
        [_, b']' | b'P' | b'_' | b'^', ..] => (until(|byte| byte == BELL || byte == b'\\'), false), // OSC, DCS, APC, PM
        [_, b'O', ..] => (3, true),
        _ => (2, true), // with Alt
    };
    typed.sequence |= is_key;
    (len, is_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> (u32, bool) {
        let typed = count(bytes);
        (typed.keys, typed.pasted)
    }

    #[test]
    fn keys_are_counted_whatever_they_send() {
        assert_eq!(keys(b""), (0, false));
        assert_eq!(keys(b"a"), (1, false));
        assert_eq!(keys(b"\r\0"), (1, false));
        assert_eq!(keys("é".as_bytes()), (1, false));
        assert_eq!(keys(b"\x1b[A"), (1, false));
        assert_eq!(keys(b"\x1bOP\x1b[15~x"), (3, false));
        assert_eq!(keys(b"\x1b"), (1, false));
        assert_eq!(keys(b"\x1b[200~two words\x1b[201~"), (9, true));
    }

    #[test]
    fn what_a_terminal_says_by_itself_is_no_key() {
        for answer in
            [&b"\x1b[>41;354;0c"[..], b"\x1b[24;80R", b"\x1b]11;rgb:0/0/0\x07", b"\x1b]11;x\x1b\\", b"\x1b[<0;3;4M", b"\x1b[M !!"]
        {
            assert_eq!(keys(answer), (0, false), "{answer:?}");
        }
    }
}
