use super::*;
use crate::wire::LinkType;

struct Taps {
    full: Sender<FrameBatch>,
    merge: LiveMerge,
    backs: Vec<Receiver<FrameBatch>>,
    /// Lost frames that were told with runs.
    lost: u64,
}

impl Taps {
    fn new(count: usize) -> Self {
        let (full, queue) = crossbeam::channel::unbounded();
        let (give, backs): (Vec<_>, _) = (0..count).map(|_| crossbeam::channel::bounded(8)).unzip();
        Self { full, merge: LiveMerge::new(queue, give.into_iter().map(|give| (give, Arc::default()))), backs, lost: 0 }
    }

    /// A batch with frames at these times.
    fn send(&self, input: u32, times: &[i64], up_to: i64, lost: u64) {
        let mut batch = FrameBatch::default();
        batch.clear(input);
        for &time in times {
            batch.push(Timestamp::from_nanos(time), LinkType::Ethernet, &[input as u8; 60], 60);
        }
        (batch.up_to, batch.missed.lost) = (Timestamp::from_nanos(up_to), lost);
        self.full.send(batch).unwrap();
    }

    /// All that comes out now: interface, number and time of each frame.
    fn out(&mut self) -> Vec<(u32, u64, i64)> {
        let mut out = Vec::new();
        while self.merge.receive(Duration::ZERO) == Received::Something {}
        while let Some(run) = self.merge.next_run() {
            self.lost += run.missed.lost;
            out.extend(run.batch().iter().map(|frame| {
                assert_eq!(frame.bytes, [frame.input as u8; 60]);
                (frame.input, frame.number, frame.time.as_nanos())
            }));
        }
        out
    }
}

#[test]
fn one_interface_waits_for_nobody() {
    let mut taps = Taps::new(1);
    taps.send(0, &[10, 12, 11, 30], 30, 0);
    assert_eq!(taps.out(), [(0, 0, 10), (0, 1, 12), (0, 2, 11), (0, 3, 30)], "in the order in which they were read");
    assert_eq!(taps.merge.up_to(), Some(Timestamp::from_nanos(30)));
}

#[test]
fn interfaces_are_merged_as_far_as_all_are_known() {
    let mut taps = Taps::new(2);
    taps.send(0, &[10, 20, 40], 40, 0);
    assert_eq!(taps.out(), [], "nothing is known of the other");
    assert_eq!(taps.merge.up_to(), None);
    taps.send(1, &[15, 20, 25], 25, 0);
    assert_eq!(taps.out(), [(0, 0, 10), (1, 1, 15), (0, 2, 20), (1, 3, 20), (1, 4, 25)]);
    taps.send(1, &[], 39, 0);
    assert_eq!(taps.out(), []);
    assert_eq!(taps.merge.up_to(), Some(Timestamp::from_nanos(39)), "time goes on without frames");
    taps.send(1, &[], 50, 0);
    assert_eq!(taps.out(), [(0, 5, 40)]);
}

#[test]
fn at_the_end_everything_comes_out() {
    let mut taps = Taps::new(2);
    taps.send(0, &[10, 40], 40, 0);
    taps.send(1, &[20], 20, 0);
    let (unused, _) = crossbeam::channel::unbounded();
    taps.full = unused;
    assert_eq!(taps.out(), [(0, 0, 10), (1, 1, 20), (0, 2, 40)]);
    assert_eq!(taps.merge.receive(Duration::ZERO), Received::End);
    assert_eq!(taps.merge.up_to(), None, "there is no time after the end");
}

#[test]
fn batches_go_back_to_their_taps_and_losses_are_told_once() {
    let mut taps = Taps::new(2);
    taps.send(0, &[10, 11], 11, 3);
    taps.send(1, &[], 50, 4);
    taps.send(0, &[], 60, 5);
    assert_eq!(taps.out().len(), 2);
    assert_eq!((taps.backs[0].len(), taps.backs[1].len()), (2, 1));
    assert_eq!((taps.lost, taps.merge.take_missed().lost, taps.merge.take_missed().lost), (12, 0, 0));
}
