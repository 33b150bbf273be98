//! The one door for strings from the network.
//!
//! A banner is written by whoever connects. Before it reaches a terminal, a log or a file, control characters,
//! bidirectional and other invisible characters, and bytes that are not UTF-8 are written out, and the rest is
//! cut.

use std::{borrow::Cow, fmt::Write as _};

/// Bytes of a network string that are kept.
const KEPT: usize = 256;

/// Makes bytes from the network readable and harmless.
///
/// Printable UTF-8 stays as it is; a backslash is doubled, so that escapes cannot be forged. Other characters become
/// `\u{…}`, other bytes `\x…`. What lies behind 256 bytes is cut and marked with `…`.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let kept = bytes.get(..KEPT).unwrap_or(bytes);
    let mut out = uncut(kept);
    if kept.len() < bytes.len() {
        out.push('…');
    }
    out
}

/// The same for texts of our own that quote what others wrote, and are bounded elsewhere: nothing is cut.
#[must_use]
pub fn uncut(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                c if is_harmless(c) => out.push(c),
                c => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The same for text that came through here before, or is our own: what is harmful is written out, a backslash stays as it is.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_harmless(character) {
            out.push(character);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
    }
    Cow::Owned(out)
}

/// Whether a character shows as itself and changes nothing around it: no controls (Unicode category Cc), no line or
/// paragraph separators, no formats (Cf: bidirectional marks, zero-width characters, tags), no byte-order mark.
const fn is_harmless(c: char) -> bool {
    !matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_readable_stays() {
        assert_eq!(text(b"SSH-2.0-OpenSSH_10.0p2 Debian-7"), "SSH-2.0-OpenSSH_10.0p2 Debian-7");
        assert_eq!(text("Zürich ☃".as_bytes()), "Zürich ☃");
    }

    #[test]
    fn terminals_logs_and_readers_are_safe() {
        assert_eq!(text(b"a\x1b[2J\r\nb\0"), "a\\u{1b}[2J\\u{d}\\u{a}b\\u{0}");
        assert_eq!(text("a\u{202e}b\u{200b}\u{feff}".as_bytes()), "a\\u{202e}b\\u{200b}\\u{feff}");
        assert_eq!(text(b"\xff\xfe ok"), "\\xff\\xfe ok");
        assert_eq!(text(br"\u{1b}"), r"\\u{1b}", "an escape cannot be forged");
    }

    #[test]
    fn long_strings_are_cut_and_say_so() {
        let cut = text(&[b'a'; 300]);
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (257, true));
        assert!(!text(&[b'a'; 256]).ends_with('…'));
        assert!(text("é".repeat(200).as_bytes()).ends_with('…'), "a cut inside a character is no error");
    }
}
