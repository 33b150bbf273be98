//! A ClientHello that comes in parts, any of them first: frames of QUIC, fragments of DTLS.

use std::ops::Range;

/// Longer ones are not read; with keys that withstand quantum computers they have some 1,800 bytes.
const LONGEST: usize = 4 * 1024;

/// Parts between holes, at most: browsers cut it up on purpose, so that nobody relies on finding it whole.
const MOST_PARTS: usize = 32;

/// What has come of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    bytes: Vec<u8>,
    /// Where there is something, in order, and nothing touches.
    there: Vec<Range<usize>>,
}

impl Parts {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = 2 * LONGEST + 2 * MOST_PARTS * size_of::<Range<usize>>();

    /// Takes a part in; whether there is more now than before.
    pub(super) fn add(&mut self, offset: usize, part: &[u8]) -> bool {
        let end = offset.saturating_add(part.len());
        let is_known = self.there.iter().any(|there| there.start <= offset && end <= there.end);
        if part.is_empty() || end > LONGEST || is_known || self.there.len() >= MOST_PARTS {
            return false;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        if let Some(place) = self.bytes.get_mut(offset..end) {
            place.copy_from_slice(part);
        }
        let (mut start, mut end) = (offset, end);
        self.there.retain(|there| {
            let touches = there.start <= end && start <= there.end;
            if touches {
                (start, end) = (start.min(there.start), end.max(there.end));
            }
            !touches
        });
        let place = self.there.partition_point(|there| there.end < start);
        self.there.insert(place, start..end);
        true
    }

    /// What there is from the beginning on.
    pub(super) fn beginning(&self) -> &[u8] {
        let first = self.there.first().filter(|there| there.start == 0);
        first.and_then(|there| self.bytes.get(there.clone())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_any_order_are_one_message() {
        let whole: Vec<u8> = (0..200).collect();
        let mut parts = Parts::default();
        for (offset, end) in [(150, 200), (40, 60), (50, 90), (90, 150), (150, 160)] {
            parts.add(offset, &whole[offset..end]);
            assert_eq!(parts.beginning(), b"");
        }
        assert!(parts.add(0, &whole[..41]) && !parts.add(3, &whole[3..100]));
        assert_eq!(parts.beginning(), whole);
        assert!(!parts.add(LONGEST, &[1]) && !parts.add(usize::MAX, &[1]));
        let mut holes = Parts::default();
        assert_eq!((0..100).filter(|nth| holes.add(2 * nth, &[1])).count(), MOST_PARTS);
    }
}
