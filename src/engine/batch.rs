//! Batches of frames: all of them, or those that are this engine's among those of others.

use std::{mem, ops::Range};

use super::{Engine, ahead::Ahead};
use crate::{
    flow::{Shard, prefetch},
    wire::Batch,
};

impl Engine {
    /// Takes a batch of frames in.
    pub fn handle_batch(&mut self, batch: &Batch<'_>) {
        let (mut frames, mut coming, mut ahead) = (batch.iter(), batch.iter(), Ahead::new());
        for _ in 0..Ahead::STEPS {
            ahead.step(&mut coming, self);
        }
        while frames.len() > 0 {
            ahead.step(&mut coming, self);
            for (glance, frame) in ahead.glances().iter().zip(frames.by_ref()) {
                self.handle(&frame, glance);
            }
        }
    }

    /// The same where it is known of which shard each frame is, if a glance shows it: `shards` has a place for each. The bytes of
    /// frames of others are not looked at, which another processor may have read and this one would have to fetch.
    pub fn handle_known(&mut self, batch: &Batch<'_>, shards: &[Option<Shard>]) {
        let own = self.own_frames(shards);
        // Link, network and transport headers mostly take two cache lines.
        for frame in own.iter().filter_map(|&nth| batch.frame(nth)) {
            frame.bytes.first().into_iter().for_each(prefetch);
            frame.bytes.get(64).into_iter().for_each(prefetch);
        }
        let (mut coming, mut ahead) = (own.iter().filter_map(|&nth| batch.frame(nth)), Ahead::new());
        for _ in 0..Ahead::STEPS {
            ahead.step(&mut coming, self);
        }
        let (mut turns, mut passed) = (own.iter(), 0);
        while turns.len() > 0 {
            ahead.step(&mut coming, self);
            for (glance, &nth) in ahead.glances().iter().zip(turns.by_ref()) {
                self.pass(batch, passed..nth);
                passed = nth + 1;
                batch.frame(nth).into_iter().for_each(|frame| self.handle(&frame, glance));
            }
        }
        self.pass(batch, passed..batch.frames.len());
        self.own = own;
    }

    /// Which frames are not known to be another engine's.
    fn own_frames(&mut self, shards: &[Option<Shard>]) -> Vec<usize> {
        let mut own = mem::take(&mut self.own);
        own.resize(shards.len(), 0);
        let mut count = 0;
        for (nth, shard) in shards.iter().enumerate() {
            // Written whether it is or not: nobody can guess which one is next.
            own.get_mut(count).into_iter().for_each(|place| *place = nth);
            let foreign = self.limits.share.zip(*shard).is_some_and(|(share, shard)| !share.has(shard));
            count += usize::from(!foreign);
        }
        own.truncate(count);
        own
    }

    /// Frames of others: they count, and they tell the time.
    fn pass(&mut self, batch: &Batch<'_>, frames: Range<usize>) {
        for nth in frames {
            batch.frame(nth).into_iter().for_each(|frame| self.note_frame(&frame));
        }
    }
}
