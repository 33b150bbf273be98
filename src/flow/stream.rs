//! Reassembly of one direction of a session, with gaps as input to whoever reads it.
//!
//! Bytes come out in order, each with the capture time of the segment that carried it first. What was never captured
//! comes out as [`Item::Gap`]; nobody guesses across it. A segment's borders survive: they are what shows
//! packets whose length field is encrypted.

use std::collections::VecDeque;

use crate::{
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// Bytes held behind a hole, at most, as they were on the wire. A hole in an interactive session is followed by little; a transfer that
/// fills this is no place to look for keystrokes, and its hole becomes a gap.
const MAX_HELD_BYTES: usize = 256 * 1024;

/// Segments held behind a hole, at most.
const MAX_HELD_SEGMENTS: usize = 256;

/// Memory that a stream may take for what it holds, whatever others hold, in bytes: more than is behind a hole in what somebody types.
const ALWAYS_HELD: usize = 4 * 1024;

/// A segment further ahead than this is not of this connection's life: the largest window is 1 GiB (RFC 7323 §2.3).
const MAX_AHEAD: i32 = 1 << 30;

/// How long after the receiver acknowledged missing bytes their frame may still come, where a tap
/// changes the order between directions.
const ORDER_TOLERANCE: Span = Span::from_millis(20);

/// What a stream yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The next bytes.
    Data(Data<'a>),
    /// The next `len` bytes were not captured.
    Gap {
        /// Missing bytes.
        len: u32,
    },
}

/// New bytes from one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// What was captured of them: fewer than `len` where a snaplen cut the frame.
    pub bytes: &'a [u8],
    /// How many there are.
    pub len: u32,
    /// When the segment passed the sensor.
    pub time: Timestamp,
    /// First sequence number behind them.
    pub end: SeqNumber,
    /// What the segment acknowledged, where it did.
    pub acked: Option<SeqNumber>,
    /// When the segment was sent by the sender's own clock, where that is known and this was the first time.
    pub sent: Option<Span>,
}

/// A segment that waits behind a hole.
#[derive(Clone, Debug)]
struct Held {
    seq: SeqNumber,
    bytes: Box<[u8]>,
    len: u32,
    time: Timestamp,
    acked: Option<SeqNumber>,
    sent: Option<Span>,
}

/// Reassembly state of one direction.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    next: Option<SeqNumber>,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Memory that may be held beyond what every stream may, in bytes.
    room: usize,
    hole_since: Timestamp,
    /// How far the receiver has acknowledged beyond `next`, and since when it is beyond.
    overtaken: Option<(SeqNumber, Timestamp)>,
    gaps: u32,
}

impl Stream {
    /// A stream that begins at `start`; with `None` it begins at the first segment that comes.
    #[must_use]
    pub fn new(start: Option<SeqNumber>) -> Self {
        Self { next: start, room: usize::MAX, ..Self::default() }
    }

    /// Gaps so far.
    #[must_use]
    pub const fn gaps(&self) -> u32 {
        self.gaps
    }

    /// Bytes that wait behind a hole: never more than 256 KiB between two calls.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Memory that they take, in bytes.
    #[must_use]
    pub fn held_memory(&self) -> usize {
        self.held_bytes + self.held.len() * size_of::<Held>()
    }

    /// How much memory they may take from now on, in bytes; 4 KiB they always may.
    pub fn set_room(&mut self, bytes: usize) {
        self.room = bytes.max(ALWAYS_HELD);
    }

    /// Takes a segment's payload and yields what is now in order.
    pub fn push(&mut self, seq: SeqNumber, data: Data<'_>, mut yield_item: impl FnMut(Item<'_>)) {
        let next = *self.next.get_or_insert(seq);
        let ahead = seq.since(next);
        if ahead > MAX_AHEAD {
            return;
        }
        if ahead > 0 {
            self.hold(seq, &data);
            if self.is_hole_overdue(data.time) {
                self.give_up_hole(&mut yield_item);
            }
            let room = self.room;
            let is_too_much = |stream: &Self| stream.held_bytes > MAX_HELD_BYTES || stream.held.len() > MAX_HELD_SEGMENTS;
            while is_too_much(self) || self.held_memory() > room {
                self.give_up_hole(&mut yield_item);
            }
            return;
        }
        self.deliver(seq, data, &mut yield_item);
        self.drain(&mut yield_item);
    }

    /// The receiver has acknowledged up to `acked`: a hole before that was filled where the sensor did not see it.
    pub fn on_ack(&mut self, acked: SeqNumber, now: Timestamp, mut yield_item: impl FnMut(Item<'_>)) {
        let Some(next) = self.next else { return };
        if acked.is_after(next) {
            let since = self.overtaken.map_or(now, |(_, since)| since);
            self.overtaken = Some((acked, since));
        }
        if self.is_hole_overdue(now) {
            self.give_up_hole(&mut yield_item);
        }
    }

    /// Nothing more will come: whatever waits comes out, with its gaps.
    pub fn finish(&mut self, mut yield_item: impl FnMut(Item<'_>)) {
        while !self.held.is_empty() {
            self.give_up_hole(&mut yield_item);
        }
    }

    /// Whether the receiver has acknowledged the bytes in front of what is held, and they had their time to come.
    fn is_hole_overdue(&self, now: Timestamp) -> bool {
        let (Some((acked, since)), Some(first)) = (self.overtaken, self.held.front()) else { return false };
        acked.since(first.seq) >= 0 && now - since.min(self.hole_since) >= ORDER_TOLERANCE
    }

    fn hold(&mut self, seq: SeqNumber, data: &Data<'_>) {
        if self.held.is_empty() {
            self.hole_since = data.time;
        }
        let at = self.held.partition_point(|held| seq.since(held.seq) > 0);
        if self.held.get(at).is_some_and(|held| held.seq == seq && held.len >= data.len) {
            return; // the same bytes again; the first time they passed is the one that counts
        }
        self.held_bytes += data.len as usize;
        self.held.insert(
            at,
            Held { seq, bytes: data.bytes.into(), len: data.len, time: data.time, acked: data.acked, sent: data.sent },
        );
    }

    /// Yields what of a segment is new; it begins at or before `next`.
    fn deliver(&mut self, seq: SeqNumber, data: Data<'_>, yield_item: &mut impl FnMut(Item<'_>)) {
        let Some(next) = self.next else { return };
        let seen = next.since(seq).unsigned_abs();
        if seen >= data.len {
            return;
        }
        let end = seq.plus(data.len);
        self.next = Some(end);
        self.overtaken = self.overtaken.filter(|(acked, _)| acked.is_after(end));
        let bytes = data.bytes.get(seen as usize..).unwrap_or_default();
        yield_item(Item::Data(Data { bytes, len: data.len - seen, end, ..data }));
    }

    fn drain(&mut self, yield_item: &mut impl FnMut(Item<'_>)) {
        while let (Some(next), Some(first)) = (self.next, self.held.front()) {
            if first.seq.is_after(next) {
                return;
            }
            let Some(held) = self.held.pop_front() else { return };
            self.held_bytes = self.held_bytes.saturating_sub(held.len as usize);
            let data =
                Data { bytes: &held.bytes, len: held.len, time: held.time, end: held.seq, acked: held.acked, sent: held.sent };
            self.deliver(held.seq, data, yield_item);
        }
    }

    fn give_up_hole(&mut self, yield_item: &mut impl FnMut(Item<'_>)) {
        let (Some(next), Some(first)) = (self.next, self.held.front()) else { return };
        self.gaps = self.gaps.saturating_add(1);
        self.next = Some(first.seq);
        self.hole_since = first.time;
        self.overtaken = None;
        yield_item(Item::Gap { len: first.seq.since(next).unsigned_abs() });
        self.drain(yield_item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds (sequence number, bytes) in order and returns what comes out: bytes, and `?` per missing byte.
    fn run(start: Option<u32>, feed: &[(u32, &[u8])], finish: bool) -> String {
        let mut stream = Stream::new(start.map(SeqNumber));
        let mut out = String::new();
        let mut take = |item: Item<'_>| match item {
            Item::Data(data) => out.push_str(std::str::from_utf8(data.bytes).unwrap()),
            Item::Gap { len } => out.push_str(&"?".repeat(len as usize)),
        };
        for (i, &(seq, bytes)) in feed.iter().enumerate() {
            let time = Timestamp::from_nanos(i as i64 * 1_000_000);
            let data = Data { bytes, len: bytes.len() as u32, time, end: SeqNumber(0), acked: None, sent: None };
            stream.push(SeqNumber(seq), data, &mut take);
        }
        if finish {
            stream.finish(&mut take);
        }
        out
    }

    #[test]
    fn order_copies_and_overlaps_do_not_matter() {
        assert_eq!(run(Some(10), &[(10, b"ab"), (14, b"ef"), (10, b"ab"), (12, b"cd"), (16, b"g")], false), "abcdefg");
        assert_eq!(run(Some(10), &[(12, b"cdef"), (11, b"bcd"), (10, b"abc")], false), "abcdef");
        assert_eq!(run(Some(u32::MAX), &[(1, b"cd"), (u32::MAX, b"ab")], false), "abcd");
    }

    #[test]
    fn a_hole_waits_and_then_is_a_gap() {
        assert_eq!(run(Some(10), &[(10, b"ab"), (15, b"fg")], false), "ab");
        assert_eq!(run(Some(10), &[(10, b"ab"), (15, b"fg")], true), "ab???fg");
    }

    #[test]
    fn an_acknowledged_hole_is_a_gap() {
        let mut stream = Stream::new(Some(SeqNumber(10)));
        let mut gaps = Vec::new();
        let data = Data { bytes: b"xy", len: 2, time: Timestamp::from_nanos(0), end: SeqNumber(0), acked: None, sent: None };
        stream.push(SeqNumber(20), data, |_| {});
        let mut take = |item: Item<'_>| {
            if let Item::Gap { len } = item {
                gaps.push(len);
            }
        };
        stream.on_ack(SeqNumber(10), Timestamp::from_nanos(1_000_000_000), &mut take);
        stream.on_ack(SeqNumber(22), Timestamp::from_nanos(1_000), &mut take);
        assert!(stream.gaps() == 0, "not acknowledged, or too early");
        stream.on_ack(SeqNumber(22), Timestamp::from_nanos(30_000_000), &mut take);
        assert_eq!(gaps, [10]);
    }

    #[test]
    fn what_waits_behind_a_hole_is_bounded() {
        let mut stream = Stream::new(Some(SeqNumber(0)));
        let payload = [0u8; 1400];
        let mut gaps = 0;
        for i in 1..2000u32 {
            let data =
                Data { bytes: &payload, len: 1400, time: Timestamp::from_nanos(0), end: SeqNumber(0), acked: None, sent: None };
            // every second segment is missing
            stream.push(SeqNumber(i * 2800), data, |item| gaps += u32::from(matches!(item, Item::Gap { .. })));
            assert!(stream.held_bytes <= MAX_HELD_BYTES + 1400 && stream.held.len() <= MAX_HELD_SEGMENTS + 1);
        }
        assert!(gaps > 1000);
    }
}
