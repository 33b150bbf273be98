//! What the server behind a proxy can have received, when it sends something.
//!
//! The proxy acknowledges at once what the server has yet to see, so its acknowledgements do not tell what an answer is the answer to.
//! The round trip behind the proxy does: what the client sent later than that cannot have been answered yet. While a session opens, the
//! two sides take turns for the most part, and each turn is such a round trip and the server's work; what crosses on
//! its way falls out of the shortest span that holds half of the turns.

use std::collections::VecDeque;

use crate::{
    flow::{Data, Side},
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// Turns that are looked at, and how many of them there must be.
const MOST_TURNS: usize = 16;
const LEAST_TURNS: usize = 4;

/// Segments of the client that are on their way, at most: a second of chaff, and more than anybody types.
const MOST_SENT: usize = 64;

/// See the [module's documentation](self).
#[derive(Clone, Debug, Default)]
pub(super) struct Beyond {
    /// The client's first segment since the server sent something.
    asked: Option<Timestamp>,
    turns: Vec<Span>,
    round_trip: Option<Span>,
    /// What the client sent, and the server has not received.
    sent: VecDeque<(Timestamp, SeqNumber)>,
    received: Option<SeqNumber>,
}

impl Beyond {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = 2 * MOST_TURNS * size_of::<Span>() + 2 * MOST_SENT * size_of::<(Timestamp, SeqNumber)>();

    /// Takes a segment of what is carried, and says what it acknowledges between the ends.
    pub(super) fn acked(&mut self, side: Side, data: &Data<'_>) -> Option<SeqNumber> {
        if side == Side::Client {
            self.asked.get_or_insert(data.time);
            self.sent.push_back((data.time, data.end));
            if self.sent.len() > MOST_SENT {
                self.received = self.sent.pop_front().map(|(_, end)| end);
            }
            return data.acked; // the client's own
        }
        if let Some(asked) = self.asked.take().filter(|_| self.turns.len() < MOST_TURNS) {
            self.turns.push(data.time - asked);
            self.round_trip = usual(&self.turns);
        }
        // A tenth is what a path varies by, and what the server took while the session opened.
        let Some(round_trip) = self.round_trip else { return data.acked };
        let until = data.time - Span::from_nanos(round_trip.as_nanos() / 10 * 9);
        while let Some(&(_, end)) = self.sent.front().filter(|(time, _)| *time <= until) {
            self.sent.pop_front();
            self.received = Some(end);
        }
        let limit = self.received?;
        Some(data.acked.filter(|acked| acked.since(limit) < 0).unwrap_or(limit))
    }
}

/// Where the shortest span begins that holds half of these.
fn usual(turns: &[Span]) -> Option<Span> {
    let mut turns = turns.to_vec();
    turns.sort_unstable();
    let half = turns.len().div_ceil(2);
    let spans = turns.iter().zip(turns.iter().skip(half.checked_sub(1)?));
    let (begin, _) = spans.filter(|_| turns.len() >= LEAST_TURNS).min_by_key(|(begin, end)| **end - **begin)?;
    Some(*begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs segments given as (who, milliseconds, sequence number behind it), the client's or what the proxy acknowledged.
    fn run(segments: &[(Side, i64, u32)]) -> Vec<Option<u32>> {
        let mut beyond = Beyond::default();
        let mut told = Vec::new();
        for &(side, ms, number) in segments {
            let time = Timestamp::from_nanos(ms * 1_000_000);
            let (end, acked) = (SeqNumber(number), (side == Side::Server).then_some(SeqNumber(number)));
            let acked = beyond.acked(side, &Data { bytes: &[], len: 1, time, end, acked, sent: None });
            if side == Side::Server {
                told.push(acked.map(|acked| acked.0));
            }
        }
        told
    }

    #[test]
    fn an_answer_is_of_what_was_sent_a_round_trip_ago() {
        use Side::{Client as C, Server as S};
        // Two that cross, then five turns of 70 ms and a little more, then keys 40 ms apart.
        let opening = [(C, 0, 1), (S, 50, 1), (C, 51, 2), (S, 86, 2)];
        let turns = (0..5).flat_map(|nth| [(C, 100 + 100 * nth, 3 + nth as u32), (S, 170 + nth + 100 * nth, 3 + nth as u32)]);
        let keys = [(C, 1_000, 10), (C, 1_040, 11), (S, 1_070, 11), (C, 1_080, 12), (S, 1_110, 12), (S, 1_150, 12)];
        let told = run(&opening.into_iter().chain(turns).chain(keys).collect::<Vec<_>>());
        assert_eq!(told[..2], [Some(1), Some(2)], "as the proxy says, before anything else is known");
        assert_eq!(told[7..], [Some(10), Some(11), Some(12)]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let segments: Vec<_> = (0..2_000).map(|nth| (Side::Client, nth, nth as u32)).collect();
        assert_eq!(run(&segments), []);
        let mut beyond = Beyond::default();
        for nth in 0..2_000 {
            let (time, end) = (Timestamp::from_nanos(nth), SeqNumber(nth as u32));
            beyond.acked(Side::Client, &Data { bytes: &[], len: 1, time, end, acked: None, sent: None });
        }
        assert_eq!(beyond.sent.len(), MOST_SENT);
    }
}
