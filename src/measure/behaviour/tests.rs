//! Segments by hand: what is typed and what only looks like it.

use super::{MOST_MESSAGES, Segment, Verdict, Watch};
use crate::{
    cue::Shape,
    flow::Side,
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// Intervals of a hand in milliseconds: lognormal quantiles in no order.
fn hand(at: usize) -> i64 {
    const INTERVALS: [i64; 24] =
        [142, 97, 231, 88, 165, 310, 121, 74, 190, 136, 420, 109, 155, 82, 262, 128, 176, 93, 1_150, 147, 116, 208, 158, 640];
    INTERVALS[at * 7 % INTERVALS.len()]
}

/// What becomes of messages `len(i)` each `gap(i)` ms, answered by `answer(i)` bytes after 4 ms.
fn watch(len: impl Fn(usize) -> u32, gap: impl Fn(usize) -> i64, answer: impl Fn(usize) -> Option<u32>) -> Verdict {
    let mut watch = Watch::default();
    let (mut time, mut sent) = (Timestamp::from_nanos(0), 0_u32);
    for at in 0..MOST_MESSAGES {
        time = time + Span::from_millis(gap(at));
        sent = sent.wrapping_add(len(at));
        let (end, acked) = (SeqNumber(sent), None);
        let verdict = watch.on_segment(Segment { time, side: Side::Client, len: len(at), end, acked });
        if verdict != Verdict::Open {
            return verdict;
        }
        if let Some(len) = answer(at) {
            let (time, acked) = (time + Span::from_millis(4), Some(SeqNumber(sent)));
            watch.on_segment(Segment { time, side: Side::Server, len, end: SeqNumber(0), acked });
        }
    }
    Verdict::Open
}

#[test]
fn a_terminal_is_known_by_its_echoes_and_its_rhythm() {
    let line = |at: usize| Some(if at % 9 == 8 { 180 } else { 31 });
    assert_eq!(
        watch(|at| if at % 11 == 10 { 31 } else { 29 }, hand, line),
        Verdict::Typed(Shape { key: 29, echo: 31, reaction: None })
    );
}

/// The same over UDP, where the client's program confirms each answer by itself after so many milliseconds.
fn watch_datagrams(gap: impl Fn(usize) -> i64, confirms: impl Fn(usize) -> Option<i64>) -> Verdict {
    let mut watch = Watch::of_datagrams();
    let mut time = Timestamp::from_nanos(0);
    for at in 0..MOST_MESSAGES {
        time = time + Span::from_millis(gap(at));
        let len = if at < 90 { 33 } else { 34 };
        let verdict = watch.on_datagram(time, Side::Client, len);
        if verdict != Verdict::Open {
            return verdict;
        }
        watch.on_datagram(time + Span::from_millis(4), Side::Server, 34);
        if let Some(after) = confirms(at).filter(|after| after + 4 < gap(at + 1)) {
            watch.on_datagram(time + Span::from_millis(4 + after), Side::Client, 32 + at as u32 % 2);
        }
    }
    Verdict::Open
}

#[test]
fn what_a_client_confirms_by_itself_is_no_key() {
    assert_eq!(watch_datagrams(hand, |_| None), Verdict::Typed(Shape { key: 33, echo: 34, reaction: None }));
    let Verdict::Typed(shape) = watch_datagrams(hand, |at| Some(41 + at as i64 % 20)) else { panic!("nobody types") };
    let reaction = shape.reaction.unwrap();
    assert_eq!((shape.key, shape.echo), (33, 34));
    assert!(
        reaction.holds(Span::from_millis(41)) && reaction.holds(Span::from_millis(60)) && !reaction.holds(Span::from_millis(90))
    );
    assert_eq!(watch_datagrams(|_| 100, |_| Some(41)), Verdict::Refused, "a comb that is confirmed");
    assert_eq!(watch_datagrams(|at| 250 + at as i64 % 7 * 10, |_| None), Verdict::Refused, "telemetry");
}

#[test]
fn nothing_of_it_may_lack() {
    let echo = |_: usize| Some(31);
    assert_eq!(
        watch(|at| 29 + at as u32 % 40, hand, echo),
        Verdict::Refused,
        "lengths that do not repeat: searching as one types"
    );
    assert_eq!(watch(|_| 29, hand, |at| Some(300 + at as u32)), Verdict::Refused, "long answers");
    assert_eq!(
        watch(|_| 29, hand, |at| (at % 2 == 0).then_some(31)),
        Verdict::Refused,
        "half of it unanswered: notices, releases"
    );
    assert_eq!(watch(|_| 29, |_| 100, echo), Verdict::Refused, "a comb");
    assert_eq!(watch(|_| 29, |at| 250 + at as i64 % 7 * 10, echo), Verdict::Refused, "telemetry");
    assert_eq!(watch(|_| 29, |_| 30_000, echo), Verdict::Refused, "keep-alives");
}
