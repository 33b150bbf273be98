//! Which records of a client are keys, learned from their lengths.
//!
//! A fast-path PDU is a header of two bytes, or of three where a client always writes its length in two (FreeRDP); a key adds
//! two, a move of the mouse seven, a change of the lock keys one. So a key is four or five bytes, and never as long as the mouse.
//! Whether it is four or five shows in what the client sends most of: a FreeRDP client's four bytes are the lock keys,
//! mstsc's five a character that no key has; both are rare.

/// Content of a client's key, header included: a short header, a long one.
const SHORT: u32 = 4;
const LONG: u32 = 5;

/// Content of two keys behind one short header.
const SHORT_TWO: u32 = 6;

/// How often a length has to come before it is believed, and how often more than the other one.
const ENOUGH: u32 = 3;

/// A belief is given up where the other length has come so often, and three times as often.
const OVERTAKEN: u32 = 8;

/// What one client's lengths have shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alphabet {
    short: u32,
    long: u32,
    key: Option<u32>,
}

impl Alphabet {
    /// Whether it is known what a key's length is.
    pub(super) const fn is_known(&self) -> bool {
        self.key.is_some()
    }

    /// Takes the length of a record's content into account.
    pub(super) fn learn(&mut self, content: u32) {
        match content {
            SHORT => self.short = self.short.saturating_add(1),
            LONG => self.long = self.long.saturating_add(1),
            _ => return,
        }
        let leads = |ours: u32, other: u32| ours >= ENOUGH && ours > other.saturating_add(other / 2);
        let overtakes = |ours: u32, other: u32| ours >= OVERTAKEN && ours > other.saturating_mul(3);
        match self.key {
            None if leads(self.long, self.short) => self.key = Some(LONG),
            None if leads(self.short, self.long) => self.key = Some(SHORT),
            Some(SHORT) if overtakes(self.long, self.short) => self.key = Some(LONG),
            Some(LONG) if overtakes(self.short, self.long) => self.key = Some(SHORT),
            _ => {}
        }
    }

    /// Whether content of this length may be keys, before it is known.
    pub(super) const fn may_be_key(content: u32) -> bool {
        matches!(content, SHORT | LONG)
    }

    /// How many keys content of this length is.
    pub(super) fn keys(&self, content: u32) -> u32 {
        match (self.key, content) {
            (Some(key), _) if key == content => 1,
            (Some(SHORT), SHORT_TWO) => 2,
            _ => 0,
        }
    }
}
