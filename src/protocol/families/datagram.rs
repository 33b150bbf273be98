//! What gives a family away in a datagram: a question and its answer, or bytes that any of its datagrams has.

use super::table::{Mark, fixed_bytes};

/// Whose turn a datagram shows, and where in the talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The client's first.
    Question,
    /// The server's answer to that.
    Answer,
    /// Either side's, once both have spoken.
    Middle,
    /// Either side's, at any time.
    Either,
}

/// Bytes at places of a datagram, and its length on the wire where that is always the same.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    fixed: Vec<(usize, u8)>,
    len: Option<u32>,
}

impl Pattern {
    /// Of bytes in hexadecimal; `None` where they are not, or too few to name a session by.
    pub(super) fn new(text: &str, len: Option<u32>) -> Option<Self> {
        let bytes = fixed_bytes(text)?;
        let fixed: Vec<_> = bytes.iter().enumerate().filter_map(|(at, byte)| Some((at, (*byte)?))).collect();
        (fixed.len() >= 4).then_some(Self { fixed, len })
    }

    fn fits(&self, bytes: &[u8], len: u32) -> bool {
        self.len.is_none_or(|wanted| wanted == len) && self.fixed.iter().all(|(at, byte)| bytes.get(*at) == Some(byte))
    }

    fn may_begin_with(&self, byte: u8) -> bool {
        self.fixed.iter().all(|(at, wanted)| *at != 0 || *wanted == byte)
    }
}

/// A mark of datagrams.
#[derive(Debug)]
pub struct DatagramMark {
    /// What it is a mark of.
    pub mark: Mark,
    pub(super) patterns: Vec<(Turn, Pattern)>,
    /// What the client answers the answer with, at once.
    pub(super) confirm: Option<Pattern>,
}

impl DatagramMark {
    /// Whether a datagram is of this turn. `len` is its length on the wire.
    #[must_use]
    pub fn is(&self, turn: Turn, bytes: &[u8], len: u32) -> bool {
        self.patterns.iter().any(|(of, pattern)| *of == turn && pattern.fits(bytes, len))
    }

    /// Whether a datagram of the client confirms the answer.
    #[must_use]
    pub fn confirms(&self, bytes: &[u8], len: u32) -> bool {
        self.confirm.as_ref().is_some_and(|pattern| pattern.fits(bytes, len))
    }
}

/// All of them, by the first byte.
#[derive(Debug, Default)]
pub(super) struct DatagramMarks {
    marks: Vec<DatagramMark>,
    by_first: Vec<Vec<(usize, usize)>>,
}

impl DatagramMarks {
    pub(super) fn add(&mut self, mark: DatagramMark) {
        self.by_first.resize(256, Vec::new());
        for (places, first) in self.by_first.iter_mut().zip(0..=u8::MAX) {
            let begins = mark.patterns.iter().enumerate().filter(|(_, (_, pattern))| pattern.may_begin_with(first));
            places.extend(begins.map(|(nth, _)| (self.marks.len(), nth)));
        }
        self.marks.push(mark);
    }

    pub(super) fn marks(&self) -> impl Iterator<Item = &DatagramMark> {
        self.marks.iter()
    }

    /// The mark that a datagram shows, and its turn.
    pub(super) fn find(&self, bytes: &[u8], len: u32) -> Option<(&DatagramMark, Turn)> {
        let places = self.by_first.get(usize::from(*bytes.first()?))?;
        places.iter().find_map(|&(mark, nth)| {
            let mark = self.marks.get(mark)?;
            let (turn, pattern) = mark.patterns.get(nth)?;
            pattern.fits(bytes, len).then_some((mark, *turn))
        })
    }
}
