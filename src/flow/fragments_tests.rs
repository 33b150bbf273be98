use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

fn key(n: u32) -> FragmentKey {
    let [source, destination] = [1, 2].map(|last| Ip::v4([192, 0, 2, last]));
    FragmentKey { source, destination, identification: n, protocol: 6, vlan: None, network: Network::default() }
}

/// Bytes that tell their place.
fn bytes(offset: u32, len: u32) -> Vec<u8> {
    (offset..offset + len).map(|place| (place / 3) as u8).collect()
}

struct Sender {
    table: FragmentTable,
    now: i64,
}

impl Sender {
    fn new(limits: FragmentLimits) -> Self {
        Self { table: FragmentTable::new(limits), now: 0 }
    }

    fn send(&mut self, n: u32, offset: u32, len: u32, more: bool) -> Joined {
        self.send_bytes(n, offset, &bytes(offset, len), len, more)
    }

    fn send_bytes(&mut self, n: u32, offset: u32, bytes: &[u8], len: u32, more: bool) -> Joined {
        self.now += 1;
        let fragment = Fragment { identification: n, protocol: 6, offset, more, bytes, len };
        self.table.push(key(n), &fragment, len + 34, at(self.now))
    }
}

fn sender() -> Sender {
    Sender::new(FragmentLimits::default())
}

fn whole(joined: Joined) -> Reassembled {
    match joined {
        Joined::Whole(whole) => whole,
        other => unreachable!("expected a whole packet, got {other:?}"),
    }
}

#[test]
fn any_order_gives_the_packet_once() {
    let fragments = [(0, 16, true), (16, 8, true), (24, 5, false)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut sender = sender();
        let joined = order.map(|i: usize| {
            let (offset, len, more) = fragments[i];
            sender.send(9, offset, len, more)
        });
        assert_eq!((&joined[0], &joined[1]), (&Joined::Waiting, &Joined::Waiting), "{order:?}");
        let expected = Reassembled { protocol: 6, bytes: bytes(0, 29), len: 29, frame_bytes: 29 + 3 * 34 };
        assert_eq!(whole(joined[2].clone()), expected, "{order:?}");
        assert_eq!((sender.table.len(), sender.table.held_bytes(), sender.table.dropped()), (0, 0, 0));
    }
}

#[test]
fn the_first_fragment_alone_gives_nothing() {
    let mut sender = sender();
    assert_eq!(sender.send(9, 0, 1_480, true), Joined::Waiting);
    sender.table.finish();
    assert_eq!((sender.table.len(), sender.table.held_bytes(), sender.table.dropped()), (0, 0, 1));
}

#[test]
fn copies_are_passed_over_before_and_shortly_after() {
    let mut sender = sender();
    assert_eq!(sender.send(9, 0, 16, true), Joined::Waiting);
    assert_eq!(sender.send(9, 0, 16, true), Joined::Copy);
    assert_eq!(sender.send(9, 8, 8, true), Joined::Copy, "a part of it says the same");
    whole(sender.send(9, 16, 4, false));
    assert_eq!(sender.send(9, 16, 4, false), Joined::Copy);
    assert_eq!(sender.send(9, 0, 16, true), Joined::Copy);
    sender.now += 100;
    assert_eq!(sender.send(9, 0, 16, true), Joined::Waiting, "the identification has come round");
    assert_eq!(whole(sender.send(9, 16, 4, false)).len, 20);
    assert_eq!(sender.table.dropped(), 0);
}

#[test]
fn fragments_that_contradict_each_other_spoil_the_packet() {
    let other = [0xee; 64];
    type Second<'a> = (u32, &'a [u8], u32, bool);
    let contradictions: [Second<'_>; 6] = [
        (0, &other[..16], 16, true),   // the same place, other bytes
        (8, &bytes(8, 16), 16, true),  // half new, though the old half is the same
        (0, &bytes(0, 24), 24, true),  // around it
        (8, &bytes(8, 4), 4, false),   // an end in the middle
        (0, &bytes(0, 16), 16, false), // the same, and an end
        (8, &other[..8], 8, true),     // within it, other bytes
    ];
    for (i, (offset, bytes, len, more)) in contradictions.into_iter().enumerate() {
        let mut sender = sender();
        sender.send(9, 0, 16, true);
        assert_eq!(sender.send_bytes(9, offset, bytes, len, more), Joined::Refused, "{i}");
        assert_eq!(sender.send(9, 16, 4, false), Joined::Refused, "{i}: what comes later is refused too");
        assert_eq!(sender.send(9, 0, 16, true), Joined::Refused, "{i}");
        assert_eq!((sender.table.held_bytes(), sender.table.dropped()), (0, 4), "{i}");
    }
    let mut sender = sender();
    sender.send(9, 32, 4, false);
    assert_eq!(sender.send(9, 40, 8, true), Joined::Refused, "beyond the end");
}

#[test]
fn impossible_fragments_are_refused() {
    let mut sender = sender();
    for (offset, len, more) in [(0, 0, true), (8, 0, false), (0, 12, true), (65_528, 8, false), (u32::MAX - 7, 16, true)] {
        assert_eq!(sender.send_bytes(9, offset, &[], len, more), Joined::Refused, "{offset} {len} {more}");
    }
    assert!(sender.table.is_empty());
    let end = sender.send(9, 65_528, 7, false);
    assert_eq!(end, Joined::Waiting, "the last byte there can be");
}

#[test]
fn what_a_snaplen_cut_ends_what_is_given() {
    let mut sender = sender();
    sender.send_bytes(9, 0, &bytes(0, 20), 24, true);
    assert_eq!(sender.send(9, 0, 24, true), Joined::Copy);
    let cut = whole(sender.send(9, 24, 8, false));
    assert_eq!((cut.bytes, cut.len), (bytes(0, 20), 32));
}

#[test]
fn a_packet_is_given_up_when_its_time_is_over() {
    let mut sender = sender();
    sender.send(1, 0, 16, true);
    sender.now = 29_999;
    sender.send(2, 0, 16, true);
    assert_eq!(sender.table.len(), 2);
    assert_eq!(sender.send(1, 16, 4, false), Joined::Waiting, "a new packet: the first fragment is forgotten");
    assert_eq!((sender.table.len(), sender.table.dropped()), (2, 1));
}

#[test]
fn a_flood_stays_within_the_limits_and_the_oldest_go_first() {
    let limits = FragmentLimits { max_packets: 100, max_bytes: 20_000, ..FragmentLimits::default() };
    let mut sender = Sender::new(limits);
    for n in 0..10_000 {
        sender.send(n, 8 * (n % 50), 8 + 8 * (n % 60), true);
        assert!(sender.table.len() <= 100 && sender.table.held_bytes() <= 20_000, "{n}");
        assert!(sender.table.order.len() <= 201);
    }
    assert_eq!(sender.table.dropped() + sender.table.len() as u64, 10_000);
    assert_eq!(sender.send(9_999, 8 * (9_999 % 50) + 8 + 8 * (9_999 % 60), 8, true), Joined::Waiting);
    assert_eq!(sender.table.len() as u64 + sender.table.dropped(), 10_000, "the newest was still there");
}

/// Signs of packets that have gone must not pile up, even where time stands still.
#[test]
fn packets_that_come_together_leave_nothing_behind() {
    let mut sender = sender();
    for n in 0..100_000 {
        sender.now = 0;
        sender.send(n % 1_000, 0, 8, true);
        whole(sender.send(n % 1_000, 8, 8, false));
    }
    assert!(sender.table.is_empty() && sender.table.order.len() <= 2 * 4_096 + 1 && sender.table.done.len() <= MAX_DONE);
}

#[test]
fn a_packet_in_too_many_pieces_is_given_up() {
    let mut sender = sender();
    let last = (0..200).map(|n| sender.send(9, n * 8, 8, true)).last();
    assert_eq!((last, sender.table.held_bytes(), sender.table.dropped()), (Some(Joined::Refused), 0, 200));
}
