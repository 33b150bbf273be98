//! Reading: the walk over a file's records, as it is and compressed.

use std::{
    hint::black_box,
    io::{Cursor, Write},
    sync::Arc,
};

use criterion::{Criterion, Throughput};
use flate2::{Compression, write::GzEncoder};
use keywitness::{
    capture::{BATCH, Reader},
    time::Timestamp,
};

use crate::{recording::Recording, traffic::Kind};

pub(crate) fn stage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("capture");
    for (name, kind, scale) in [("mix", Kind::Mix, 0.05), ("small", Kind::Small, 0.02)] {
        let recording = Recording::of(kind, scale);
        let plain = recording.pcap();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&plain).unwrap();
        let (gzip, zstd) = (gzip.finish().unwrap(), zstd::encode_all(plain.as_slice(), 3).unwrap());
        group.throughput(Throughput::Elements(recording.len()));
        for (form, file) in [("pcap", plain), ("gzip", gzip), ("zstd", zstd)] {
            let file: Arc<[u8]> = file.into();
            assert_eq!(walk(&file), recording.len());
            group.bench_function(format!("{form} {name}"), |bencher| bencher.iter(|| black_box(walk(&file))));
        }
    }
    group.finish();
}

/// Frames of a file.
fn walk(file: &Arc<[u8]>) -> u64 {
    let mut reader = Reader::from_stream("memory", Box::new(Cursor::new(file.clone())));
    let mut frames = 0;
    while reader.fill().unwrap() {
        frames += black_box(reader.take(Timestamp::MAX, BATCH, frames)).frames.len() as u64;
    }
    frames
}
