//! Lines out of pieces of any length, in bounded memory.

/// Bytes that a line may have, its end not counted.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// More than [`MAX_LINE`] bytes, which were not kept.
    TooLong,
}

/// Puts lines together that begin in one piece and end in another.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Hands on every line that ends in this piece.
    pub(super) fn split(&mut self, piece: &[u8], mut handle: impl FnMut(Line<'_>)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let Some(end) = part.strip_suffix(b"\n") else {
                self.keep(part);
                continue;
            };
            if self.begun.is_empty() && !self.too_long && end.len() <= MAX_LINE {
                handle(Line::Whole(end));
                continue;
            }
            self.keep(end);
            self.end(&mut handle);
        }
    }

    /// Hands on the last line where it has no end.
    pub(super) fn finish(mut self, mut handle: impl FnMut(Line<'_>)) {
        if self.too_long || !self.begun.is_empty() {
            self.end(&mut handle);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        self.too_long |= self.begun.len() + part.len() > MAX_LINE;
        if self.too_long {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn end(&mut self, handle: &mut impl FnMut(Line<'_>)) {
        handle(if self.too_long { Line::TooLong } else { Line::Whole(&self.begun) });
        self.begun.clear();
        self.too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of the lines, `None` for those that are too long.
    fn lengths(text: &[u8], piece: usize) -> Vec<Option<usize>> {
        let mut found = Vec::new();
        let mut note = |line: Line<'_>| {
            found.push(match line {
                Line::Whole(line) => Some(line.len()),
                Line::TooLong => None,
            });
        };
        let mut lines = Lines::default();
        text.chunks(piece).for_each(|piece| lines.split(piece, &mut note));
        lines.finish(&mut note);
        found
    }

    #[test]
    fn pieces_of_any_length_give_the_same_lines() {
        let mut text = b"a\n\nbcd\n".to_vec();
        text.extend(vec![b'x'; MAX_LINE]);
        text.push(b'\n');
        text.extend(vec![b'y'; MAX_LINE + 1]);
        text.extend(b"\nlast");
        for piece in [1, 2, 3, 7, 4096, MAX_LINE, text.len()] {
            assert_eq!(lengths(&text, piece), [Some(1), Some(0), Some(3), Some(MAX_LINE), None, Some(4)], "{piece}");
        }
        assert_eq!(lengths(b"", 1), []);
        assert_eq!(lengths(b"\n", 1), [Some(0)]);
    }
}
