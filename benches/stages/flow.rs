//! Looking flows up, in a table of a size that no cache holds.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use keywitness::{
    flow::{Attached, Evidence, Flow, FlowKey, FlowTable, Limits, TransportKind},
    time::Timestamp,
    wire::Ip,
};

use crate::{many, traffic::Chance};

/// Look-ups in one measurement.
const LOOKUPS: usize = 100_000;

/// Packets that are looked at ahead, as the engine does.
const AHEAD: usize = 32;

/// Nothing is attached: the flow alone is measured.
#[derive(Debug)]
struct Nothing;

impl Attached for Nothing {
    const FRONT: usize = 0;

    fn is_certain(&self) -> bool {
        false
    }

    fn is_session(&self) -> bool {
        false
    }

    fn expect(&self) {}
}

pub(crate) fn stage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow");
    for (name, flows) in [("100 k", 100_000), ("1 M", 1_000_000)] {
        let mut table = FlowTable::new(Limits { max_flows: 1 << 20, ..Limits::default() });
        let flows = many(flows) as u32;
        fill(&mut table, flows);
        let mut chance = Chance::new(1);
        let keys: Vec<_> = (0..many(LOOKUPS)).map(|_| key(chance.below(flows))).collect();
        group.throughput(Throughput::Elements(keys.len() as u64));
        group.bench_function(format!("look-up at {name}, one by one"), |bencher| bencher.iter(|| one_by_one(&mut table, &keys)));
        group.bench_function(format!("look-up at {name}, ahead"), |bencher| bencher.iter(|| ahead(&mut table, &keys)));
    }
    let flows = many(LOOKUPS) as u32;
    group.throughput(Throughput::Elements(u64::from(flows)));
    group.bench_function("insert", |bencher| {
        bencher.iter(|| {
            let mut table = FlowTable::<Nothing>::new(Limits::default());
            fill(&mut table, flows);
            table
        });
    });
    group.finish();
}

fn fill(table: &mut FlowTable<Nothing>, flows: u32) {
    for n in 0..flows {
        table.insert(flow(n));
    }
}

fn one_by_one(table: &mut FlowTable<Nothing>, keys: &[FlowKey]) {
    for key in keys {
        let id = table.find(key, table.hash(key), None).expect("every key is there");
        touch(table.get_mut(id));
    }
}

fn ahead(table: &mut FlowTable<Nothing>, keys: &[FlowKey]) {
    for keys in keys.chunks(AHEAD) {
        let hashes: [_; AHEAD] = std::array::from_fn(|nth| table.hash(keys.get(nth).unwrap_or(&keys[0])));
        hashes.iter().for_each(|hash| table.expect_soon(*hash));
        for hash in hashes {
            table.expect_next(hash);
        }
        for (key, hash) in keys.iter().zip(hashes) {
            let id = table.find(key, hash, None).expect("every key is there");
            touch(table.get_mut(id));
        }
    }
}

/// What every packet does to its flow, at the least.
fn touch(flow: Option<&mut Flow<Nothing>>) {
    if let Some(flow) = flow {
        flow.note_packet(flow.client, black_box(flow.last_time));
    }
}

fn key(n: u32) -> FlowKey {
    let client = (Ip::v4((0x0a00_0000 + n).to_be_bytes()), 40_000);
    FlowKey::of(client, (Ip::v4([192, 0, 2, 1]), 443), TransportKind::Tcp).0
}

fn flow(n: u32) -> Flow<Nothing> {
    let client = (Ip::v4((0x0a00_0000 + n).to_be_bytes()), 40_000);
    let (key, end) = FlowKey::of(client, (Ip::v4([192, 0, 2, 1]), 443), TransportKind::Tcp);
    let time = Timestamp::from_nanos(i64::from(n) * 1_000);
    Flow::new(key, end, Evidence::Syn, false, time)
}
