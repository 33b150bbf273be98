//! How often a client said something as short as a key, and as long as the time before, in two bytes.

/// Short messages of a client that were as long as the one before, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beats {
    count: u8,
    len: u8,
}

impl Beats {
    /// Length of the last one, in bytes less one.
    #[must_use]
    pub const fn last(self) -> u8 {
        self.len
    }

    /// Counts a message of this length, in bytes less one, where it is as long as the one before; how many there were then. From 255
    /// it goes on at 128.
    #[inline]
    pub const fn note(&mut self, len: u8) -> Option<u8> {
        self.note_or(len, false)
    }

    /// The same where it may be like another one as well.
    #[inline]
    pub const fn note_or(&mut self, len: u8, is_like_another: bool) -> Option<u8> {
        let is_alike = self.len == len || is_like_another;
        self.len = len;
        if !is_alike {
            return None;
        }
        self.count = if self.count == u8::MAX { 1 << 7 } else { self.count + 1 };
        Some(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_long_as_before_counts() {
        let mut beats = Beats::default();
        let counts: Vec<_> = [9, 9, 9, 3, 9, 9].map(|len| beats.note(len)).into_iter().collect();
        assert_eq!(counts, [None, Some(1), Some(2), None, None, Some(3)]);
        let rest: Vec<_> = (4..=256).map(|_| beats.note(9)).collect();
        assert_eq!(rest[251..], [Some(255), Some(128)]);
    }
}
