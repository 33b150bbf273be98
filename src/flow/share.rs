//! Which of several engines a packet belongs to.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::wire::Ip;

/// Parts of the traffic that are never divided; a multiple of all usual numbers of processors.
const SHARDS: u64 = 256;

/// One engine's share of the traffic: every packet between two addresses belongs to one engine, whatever its ports, so that what
/// belongs together meets (fragments, several sessions of one pair, copies from several mirrors).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: u64,
    of: u64,
}

impl Share {
    /// The shares of so many engines, 256 at most; with 0 there is one.
    pub fn all(engines: usize) -> impl Iterator<Item = Self> {
        let of = (engines as u64).clamp(1, SHARDS);
        (0..of).map(move |index| Self { index, of })
    }

    /// Whether packets between two addresses belong to this share; the same whichever of them sent.
    #[must_use]
    #[inline]
    pub fn owns(self, a: Ip, b: Ip) -> bool {
        let ([a0, a1], [b0, b1]) = if a <= b { (a.words(), b.words()) } else { (b.words(), a.words()) };
        // Not seeded: whoever wants all of their packets in one share has but to keep their address.
        let hash = FixedState::default().hash_one([a0, a1, b0, b1]);
        (hash >> 32) % SHARDS % self.of == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_has_one_owner_and_all_have_work() {
        for engines in [1, 2, 3, 4, 7, 64] {
            let shares: Vec<_> = Share::all(engines).collect();
            let mut pairs = vec![0; engines];
            for n in 0..20_000u32 {
                let (a, b) = (Ip::v4(n.to_be_bytes()), Ip::v4([192, 0, 2, (n % 7) as u8]));
                let owners: Vec<_> = (0..engines).filter(|&i| shares[i].owns(a, b)).collect();
                assert_eq!(owners.len(), 1);
                assert!(shares[owners[0]].owns(b, a));
                pairs[owners[0]] += 1;
            }
            assert!(pairs.iter().all(|&count| count * engines > 10_000 && count * engines < 40_000), "{pairs:?}");
        }
    }
}
