//! From a key's hash to a flow's place: open addressing with linear probing (Knuth, TAOCP 3, §6.4, algorithm L), half full at
//! most, eight entries a cache line. It is our own so that the line of a packet that comes later can be fetched ahead.
//!
//! It holds 32 bits of each hash, for the place of an entry and to tell most others apart; so it grows without looking
//! at a flow.

use super::prefetch::prefetch;

/// Entries of an empty index: a power of two.
const SMALLEST: usize = 64;

/// A hash and a place, or nothing.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    /// [`EMPTY`] for nothing.
    place: u32,
}

const EMPTY: u32 = u32::MAX;

const NOTHING: Entry = Entry { hash: 0, place: EMPTY };

/// Places by hash.
#[derive(Debug)]
pub(super) struct Index {
    /// A power of two of them.
    entries: Vec<Entry>,
    len: usize,
}

impl Index {
    /// An empty index.
    pub(super) fn new() -> Self {
        Self { entries: vec![NOTHING; SMALLEST], len: 0 }
    }

    /// How many places it holds.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Has the line fetched where a hash begins to be looked for.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) {
        if let Some(entry) = self.entries.get(self.home(hash)) {
            prefetch(entry);
        }
    }

    /// The place with this hash that `is` the one.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let entry = self.entries.get(at).filter(|entry| entry.place != EMPTY)?;
            if entry.hash == hash && is(entry.place) {
                return Some(entry.place);
            }
            at = self.after(at);
        }
    }

    /// Adds a place, which is not [`u32::MAX`].
    pub(super) fn insert(&mut self, hash: u32, place: u32) {
        if (self.len + 1) * 2 > self.entries.len() {
            let larger = vec![NOTHING; self.entries.len() * 2];
            for entry in std::mem::replace(&mut self.entries, larger) {
                self.put(entry);
            }
        }
        self.put(Entry { hash, place });
        self.len += 1;
    }

    /// Takes a place out. Entries behind it move up, so that no search ends too early (algorithm R).
    pub(super) fn remove(&mut self, hash: u32, place: u32) {
        let mut hole = self.home(hash);
        loop {
            match self.entries.get(hole) {
                Some(entry) if entry.place == EMPTY => return,
                Some(entry) if entry.place == place => break,
                Some(_) => hole = self.after(hole),
                None => return,
            }
        }
        self.len -= 1;
        let mut at = hole;
        loop {
            at = self.after(at);
            let Some(entry) = self.entries.get(at).copied().filter(|entry| entry.place != EMPTY) else { break };
            // An entry may not move in front of its home.
            let mask = self.entries.len() - 1;
            if at.wrapping_sub(self.home(entry.hash)) & mask >= at.wrapping_sub(hole) & mask {
                self.set(hole, entry);
                hole = at;
            }
        }
        self.set(hole, NOTHING);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    fn put(&mut self, entry: Entry) {
        if entry.place == EMPTY {
            return;
        }
        let mut at = self.home(entry.hash);
        while self.entries.get(at).is_some_and(|other| other.place != EMPTY) {
            at = self.after(at);
        }
        self.set(at, entry);
    }

    fn set(&mut self, at: usize, entry: Entry) {
        if let Some(slot) = self.entries.get_mut(at) {
            *slot = entry;
        }
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.entries.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        at.wrapping_add(1) & (self.entries.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a map would: places come and go, with hashes that collide.
        #[test]
        fn it_holds_what_was_put_in_and_not_taken_out(steps in prop::collection::vec((any::<bool>(), 0u32..200, 0u32..40), 1..600)) {
            let mut index = Index::new();
            let mut model = BTreeMap::new();
            for (add, place, spread) in steps {
                // Homes at the end of the table too, so that searches go round.
                let hash = u32::MAX - spread * spread;
                match model.get(&place).copied() {
                    None if add => {
                        index.insert(hash, place);
                        model.insert(place, hash);
                    }
                    Some(hash) if !add => {
                        index.remove(hash, place);
                        model.remove(&place);
                    }
                    _ => {}
                }
                prop_assert_eq!(index.len(), model.len());
                for place in 0..200 {
                    let found = model.get(&place).and_then(|hash| index.find(*hash, |other| other == place));
                    prop_assert_eq!(found, model.get(&place).map(|_| place));
                }
            }
            index.remove(7, 1000);
            prop_assert_eq!(index.len(), model.len(), "what is not there is not taken out");
        }
    }
}
