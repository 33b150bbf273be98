//! What is kept of a flow that is nothing to us: enough to see it end or begin anew, and to know copies of its frames.

use super::{
    Half, PerSide, Side,
    half::{Mark, RECENT, copy_window},
};
use crate::{
    time::Timestamp,
    wire::{SeqNumber, TcpFlags, TcpSegment},
};

/// Sequence numbers and the last frames of both sides, in 52 bytes.
#[derive(Debug, Default)]
pub struct Slim {
    /// See [`Half::start`] and [`Half::next`].
    numbers: PerSide<[SeqNumber; 2]>,
    recent: [Mark; RECENT],
    /// Which of the numbers are known: bits of [`START`] and [`NEXT`].
    known: PerSide<u8>,
    finished: PerSide<bool>,
}

const START: u8 = 1;
const NEXT: u8 = 2;

impl Slim {
    /// Of a flow that was more to us until now.
    #[must_use]
    pub fn of(halves: &PerSide<Half>) -> Self {
        let bit = |is_known: bool, bit: u8| if is_known { bit } else { 0 };
        Self {
            numbers: PerSide::from_fn(|side| {
                let half = halves.get(side);
                [half.start, half.next].map(Option::unwrap_or_default)
            }),
            recent: halves.client.last_marks(&halves.server),
            known: PerSide::from_fn(|side| {
                let half = halves.get(side);
                bit(half.start.is_some(), START) | bit(half.next.is_some(), NEXT)
            }),
            finished: PerSide::from_fn(|side| halves.get(side).finished),
        }
    }

    /// What it was made of, but for counts.
    #[must_use]
    pub fn halves(&self) -> PerSide<Half> {
        PerSide::from_fn(|side| {
            let mut half = Half::default();
            (half.start, half.next) = (self.start(side), self.next(side));
            half.finished = *self.finished.get(side);
            half
        })
    }

    /// See [`Half::start`].
    #[must_use]
    pub fn start(&self, side: Side) -> Option<SeqNumber> {
        let [start, _] = *self.numbers.get(side);
        (self.known.get(side) & START != 0).then_some(start)
    }

    /// See [`Half::next`].
    #[must_use]
    pub fn next(&self, side: Side) -> Option<SeqNumber> {
        let [_, next] = *self.numbers.get(side);
        (self.known.get(side) & NEXT != 0).then_some(next)
    }

    /// Whether both sides have sent a FIN.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished.client && self.finished.server
    }

    /// Takes a segment into account; true where it is a copy of one of the last four.
    pub fn observe(&mut self, side: Side, segment: &TcpSegment<'_>, identification: u16, time: Timestamp) -> bool {
        let mark = Mark::of(segment, identification, time);
        let window = copy_window(segment, identification);
        if self.recent.iter().any(|&before| mark.copies(before, window)) {
            return true;
        }
        self.recent.rotate_right(1);
        if let Some(newest) = self.recent.first_mut() {
            *newest = mark;
        }
        let (end, known) = (segment.end_seq(), self.known.get_mut(side));
        let [start, next] = self.numbers.get_mut(side);
        if segment.flags.has(TcpFlags::SYN) {
            *start = segment.seq.plus(1);
            *known |= START;
        }
        if *known & NEXT == 0 || segment.flags.has(TcpFlags::SYN) || end.is_after(*next) {
            *next = end;
            *known |= NEXT;
        }
        if segment.flags.has(TcpFlags::FIN) {
            *self.finished.get_mut(side) = true;
        }
        false
    }
}
