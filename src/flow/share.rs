//! Which part of the traffic a packet belongs to, and which of several engines.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::wire::{Frame, Ip, peek};

/// Parts of the traffic that are never divided; a multiple of all usual numbers of processors.
pub const SHARDS: usize = 256;

/// One of [`SHARDS`] parts of the traffic: every packet between two addresses is in one, whatever its ports, so that what belongs
/// together meets (fragments, several sessions of one pair, copies from several mirrors). What has a bound has it by shard: what
/// is dropped of one depends on its own traffic, and not on how many engines share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(u8);

impl Shard {
    /// The shard of what passes between two addresses; the same whichever of them sent.
    #[must_use]
    #[inline]
    pub fn of(a: Ip, b: Ip) -> Self {
        if a <= b { Self::of_words(a.words(), b.words()) } else { Self::of_words(b.words(), a.words()) }
    }

    /// The shard of a frame, if a glance shows it.
    #[must_use]
    pub fn of_frame(frame: &Frame<'_>) -> Option<Self> {
        peek(frame).map(|packet| Self::of(packet.ip.source, packet.ip.destination))
    }

    /// The same of addresses in order.
    #[inline]
    pub(super) fn of_words([a0, a1]: [u64; 2], [b0, b1]: [u64; 2]) -> Self {
        // Not seeded: whoever wants all of their packets in one shard has but to keep their address.
        let mut hasher = FixedState::default().build_hasher();
        [a0, a1, b0, b1].into_iter().for_each(|word| hasher.write_u64(word));
        Self((hasher.finish() >> 32) as u8)
    }

    /// From 0 to below [`SHARDS`].
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What of a limit falls to each shard: it is divided evenly, and rounded up.
#[must_use]
pub const fn per_shard(limit: usize) -> usize {
    limit.div_ceil(SHARDS)
}

/// One engine's share of the traffic: some of the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// A bit for each shard.
    shards: [u64; SHARDS / 64],
}

impl Share {
    /// The shares of so many engines, 256 at most; with 0 there is one.
    pub fn all(engines: usize) -> impl Iterator<Item = Self> {
        let of = engines.clamp(1, SHARDS);
        (0..of).map(move |index| {
            let mut shards = [0; SHARDS / 64];
            (index..SHARDS).step_by(of).for_each(|shard| {
                shards.get_mut(shard / 64).into_iter().for_each(|bits| *bits |= 1 << (shard % 64));
            });
            Self { shards }
        })
    }

    /// Whether packets between two addresses belong to this share; the same whichever of them sent.
    #[must_use]
    #[inline]
    pub fn owns(self, a: Ip, b: Ip) -> bool {
        self.has(Shard::of(a, b))
    }

    /// Whether a shard is one of this share.
    #[must_use]
    #[inline]
    pub fn has(self, shard: Shard) -> bool {
        self.shards.get(shard.index() / 64).is_some_and(|bits| bits >> (shard.index() % 64) & 1 == 1)
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
