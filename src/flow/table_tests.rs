use super::*;
use crate::wire::{Encapsulation, Ip, LinkType};

#[derive(Debug, Default)]
struct Mark(bool);

impl Attached for Mark {
    type More = ();

    fn is_session(&self) -> bool {
        self.0
    }

    fn more(&self) -> Option<&()> {
        None
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_nanos(secs * 1_000_000_000)
}

fn flow(n: u32, time: i64, session: bool) -> Flow<Mark> {
    let endpoint = |ip: u32, port| (Ip::v4(ip.to_be_bytes()), port);
    let (key, end) = FlowKey::of(endpoint(n, 40_000), endpoint(u32::MAX, 22), TransportKind::Tcp);
    let frame = Frame { number: u64::from(n), input: 0, time: at(time), link: LinkType::Ethernet, bytes: &[], original_len: 0 };
    let mut flow = Flow::new(key, end, Evidence::Syn, true, &frame, Encapsulation::default());
    flow.attached = Mark(session);
    flow
}

fn table(max_flows: usize) -> FlowTable<Mark> {
    FlowTable::new(Limits { max_flows, ..Limits::default() })
}

fn find(table: &FlowTable<Mark>, key: &FlowKey) -> Option<FlowId> {
    table.find(key, table.hash(key))
}

#[test]
fn flows_go_at_their_deadline_and_not_before() {
    let mut table = table(10);
    let (first, _) = table.insert(flow(1, 0, false));
    table.insert(flow(2, 0, true));
    table.get_mut(first).unwrap().last_time = at(200);
    assert!(table.expire(at(499)).is_empty());
    let gone = table.expire(at(502));
    assert_eq!(gone.iter().map(|(deadline, flow)| (*deadline, flow.first_frame)).collect::<Vec<_>>(), [(at(500), 1)]);
    assert!(find(&table, &gone[0].1.key).is_none());
    assert_eq!(table.len(), 1, "the session stays");
    assert_eq!(table.expire(at(7_502)).len(), 1);
}

#[test]
fn a_closed_flow_goes_soon() {
    let mut table = table(10);
    let (id, _) = table.insert(flow(1, 0, false));
    table.insert(flow(2, 0, false));
    table.get_mut(id).unwrap().life = Life::Closed;
    table.schedule(id);
    let gone = table.expire(at(7));
    assert_eq!(gone.len(), 1);
    assert_eq!((gone[0].0, gone[0].1.first_frame), (at(5), 1));
}

#[test]
fn a_jump_in_time_expires_everything_in_order() {
    let mut table = table(1000);
    for n in 0..100 {
        table.insert(flow(n, i64::from(n % 7), false));
    }
    let gone = table.expire(at(1_000_000_000));
    assert_eq!(gone.len(), 100);
    assert!(gone.is_sorted_by_key(|(deadline, flow)| (*deadline, flow.first_frame)));
    assert!(table.is_empty());
}

#[test]
fn a_full_table_drops_the_least_useful_and_counts_it() {
    let mut table = table(32);
    for n in 0..8 {
        table.insert(flow(n, 0, true));
    }
    for n in 8..5_000 {
        let (_, evicted) = table.insert(flow(n, i64::from(n), false));
        assert!(evicted.is_none_or(|flow| !flow.attached.0), "sessions are evicted last");
        assert!(table.len() <= 32);
    }
    assert_eq!(table.evicted(), 5_000 - 32);
    assert_eq!(table.drain().iter().filter(|flow| flow.attached.0).count(), 8);
}

#[test]
fn keys_are_found_until_they_are_removed() {
    let mut table = table(100_000);
    let ids: Vec<_> = (0..10_000).map(|n| table.insert(flow(n, 0, false)).0).collect();
    for (n, &id) in ids.iter().enumerate() {
        let key = flow(n as u32, 0, false).key;
        assert_eq!(find(&table, &key), Some(id));
        if n % 2 == 0 {
            table.remove(id);
            assert_eq!(find(&table, &key), None);
        }
    }
    assert_eq!(table.len(), 5_000);
}
