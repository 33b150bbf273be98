//! Flows that no frame is shed of, as engines tell and taps ask, without locks.
//!
//! It is a table of counts, by a hash of what is kept: two flows that meet in one count keep each other, and where it is in doubt, a
//! frame is kept that need not be. Its size is fixed. The hash is seeded at each start: nobody can choose ports that have a flood kept.

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use foldhash::fast::RandomState;

use crate::wire::Ip;

/// Counts: some for each session that there may be.
const COUNTS: usize = 1 << 18;

/// An address and a port.
pub type Party = (Ip, u16);

/// Flows that no frame is shed of: a table of counts, as engines tell and taps ask.
#[derive(Debug)]
pub struct Kept {
    counts: Box<[AtomicU32]>,
    seed: RandomState,
}

impl Default for Kept {
    fn default() -> Self {
        Self { counts: (0..COUNTS).map(|_| AtomicU32::default()).collect(), seed: RandomState::default() }
    }
}

impl Kept {
    /// From now on frames between these two are kept, and fragments between their addresses.
    pub fn add(&self, one: Party, other: Party) {
        for count in self.counts_of(one, other) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// They need not be kept any more. To be called once for each [`Kept::add`].
    pub fn remove(&self, one: Party, other: Party) {
        for count in self.counts_of(one, other) {
            count.fetch_sub(1, Relaxed);
        }
    }

    /// Whether frames between these two are kept.
    pub(super) fn has_flow(&self, one: Party, other: Party) -> bool {
        self.count(one, other).is_some_and(|count| count.load(Relaxed) > 0)
    }

    /// Whether fragments between these two addresses are kept.
    pub(super) fn has_pair(&self, one: Ip, other: Ip) -> bool {
        // No flow has port 0 at both ends; if one had, it would be kept with the pair.
        self.has_flow((one, 0), (other, 0))
    }

    fn counts_of(&self, one: Party, other: Party) -> impl Iterator<Item = &AtomicU32> {
        self.count(one, other).into_iter().chain(self.count((one.0, 0), (other.0, 0)))
    }

    fn count(&self, one: Party, other: Party) -> Option<&AtomicU32> {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let words = |(ip, port): Party| (ip.words(), port);
        let hash = self.seed.hash_one((words(low), words(high)));
        self.counts.get(hash as usize % COUNTS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn party(n: u16) -> Party {
        (Ip::v4([192, 0, 2, (n >> 8) as u8 & 3]), n)
    }

    proptest! {
        /// Whatever comes and goes: what is in it is kept, from whichever side it is asked, and an empty table keeps nothing.
        #[test]
        fn what_is_in_it_is_kept(flows in prop::collection::vec((any::<u16>(), any::<u16>(), any::<bool>()), 0..50)) {
            let kept = Kept::default();
            for &(one, other, _) in &flows {
                kept.add(party(one), party(other));
            }
            for &(one, other, _) in flows.iter().filter(|flow| !flow.2) {
                kept.remove(party(other), party(one));
            }
            for &(one, other, _) in flows.iter().filter(|flow| flow.2) {
                prop_assert!(kept.has_flow(party(one), party(other)) && kept.has_flow(party(other), party(one)));
                prop_assert!(kept.has_pair(party(other).0, party(one).0));
                kept.remove(party(one), party(other));
            }
            prop_assert!(kept.counts.iter().all(|count| count.load(Relaxed) == 0));
        }
    }

    #[test]
    fn few_others_are_kept_with_a_thousand_sessions() {
        let kept = Kept::default();
        let server = (Ip::v4([198, 51, 100, 1]), 22);
        for n in 0..1_000u16 {
            kept.add((Ip::v4([10, 0, (n >> 8) as u8, n as u8]), 50_000), server);
        }
        let others = (0..10_000u16).filter(|n| kept.has_flow((Ip::v4([10, 1, (n >> 8) as u8, *n as u8]), 50_000), server));
        assert!(others.count() < 300, "of 10,000, by chance 76");
    }
}
