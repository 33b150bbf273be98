use std::collections::BTreeSet;

use super::*;
use crate::wire::Ip;

#[derive(Debug)]
struct Mark {
    session: bool,
    number: u32,
}

impl Attached for Mark {
    const FRONT: usize = 0;

    fn is_session(&self) -> bool {
        self.session
    }

    fn is_certain(&self) -> bool {
        self.session
    }

    fn expect(&self) {}
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_nanos(secs * 1_000_000_000)
}

/// A flow between the same two addresses as all others, so that they are in one shard.
fn flow(n: u32, time: i64, session: bool) -> Flow<Mark> {
    flow_from([192, 0, 2, 1], n, time, session)
}

fn flow_from(ip: [u8; 4], n: u32, time: i64, session: bool) -> Flow<Mark> {
    let (key, end) = FlowKey::of((Ip::v4(ip), n as u16), (Ip::v4([255; 4]), 22), TransportKind::Tcp);
    Flow { attached: Some(Box::new(Mark { session, number: n })), ..Flow::new(key, end, Evidence::Syn, true, at(time)) }
}

/// A table that holds so many flows of a shard.
fn table(most: usize) -> FlowTable<Mark> {
    FlowTable::new(Limits { max_flows: most * SHARDS, ..Limits::default() })
}

fn number(flow: &Flow<Mark>) -> u32 {
    flow.attached.as_ref().unwrap().number
}

fn is_session(flow: &Flow<Mark>) -> bool {
    flow.attached.as_ref().unwrap().session
}

fn find(table: &FlowTable<Mark>, key: &FlowKey) -> Option<FlowId> {
    table.find(key, table.hash(key), None)
}

#[test]
fn flows_go_at_their_deadline_and_not_before() {
    let mut table = table(10);
    let (first, _) = table.insert(flow(1, 0, false));
    table.insert(flow(2, 0, true));
    table.get_mut(first).unwrap().last_time = at(200);
    assert!(table.expire(at(499)).is_empty());
    let gone = table.expire(at(502));
    assert_eq!(gone.iter().map(|(deadline, flow)| (*deadline, number(flow))).collect::<Vec<_>>(), [(at(500), 1)]);
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
    assert_eq!((gone[0].0, number(&gone[0].1)), (at(5), 1));
}

#[test]
fn a_jump_in_time_expires_everything_at_its_deadline() {
    let mut table = table(1000);
    for n in 0..100 {
        table.insert(flow(n, i64::from(n % 7), false));
    }
    let gone = table.expire(at(1_000_000_000));
    assert_eq!(gone.len(), 100);
    let numbers: BTreeSet<_> = gone.iter().map(|(_, flow)| number(flow)).collect();
    assert_eq!(numbers.len(), 100);
    assert!(gone.iter().all(|(deadline, flow)| *deadline == at(i64::from(number(flow) % 7) + 300)));
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
        assert!(evicted.is_none_or(|flow| !is_session(&flow)), "sessions are evicted last");
        assert!(table.len() <= 32);
    }
    assert_eq!(table.evicted(), 5_000 - 32);
    assert_eq!(table.drain().filter(is_session).count(), 8);
}

/// What is dropped of a shard is what would be dropped if there were no others.
#[test]
fn a_shard_is_full_for_itself() {
    let ips: Vec<[u8; 4]> = (0..40).map(|n| [10, 0, n, 1]).collect();
    let insert_all = |mine: &dyn Fn(Shard) -> bool| {
        let mut table = table(8);
        let mut dropped = BTreeSet::new();
        for n in 0..3_000u32 {
            let ip = ips[(n * n % 1_009) as usize % ips.len()];
            let flow = flow_from(ip, n, i64::from(n / 10), n % 50 == 0);
            if !mine(flow.shard()) {
                continue;
            }
            table.expire(flow.last_time);
            let (id, evicted) = table.insert(flow);
            dropped.extend(evicted.map(|flow| (n, number(&flow))));
            if n % 7 == 0 {
                table.remove(id);
            }
            if n % 5 == 0 {
                let some = table.evict_one(Shard::of(Ip::v4(ip), Ip::v4([255; 4])), |flow| {
                    (!is_session(flow) && number(flow).is_multiple_of(2)).then_some(flow.last_time)
                });
                dropped.extend(some.map(|flow| (n, number(&flow))));
            }
        }
        (dropped, table.evicted())
    };
    let (together, evicted) = insert_all(&|_| true);
    assert!(evicted > 1_000 && evicted == together.len() as u64, "{evicted}");
    for engines in [2, 3, 5] {
        let apart: Vec<_> = (0..engines).map(|one| insert_all(&|shard| shard.index() % engines == one)).collect();
        assert_eq!(apart.iter().flat_map(|(dropped, _)| dropped).copied().collect::<BTreeSet<_>>(), together);
        assert_eq!(apart.iter().map(|(_, evicted)| evicted).sum::<u64>(), evicted);
    }
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
