//! Timing: keystrokes out of cues, and estimates out of samples.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use keywitness::{
    cue::{DataRange, Doubt, Input, InputKind, Output, OutputKind, Terminal},
    measure::{
        estimate::{Distribution, RunningMedian},
        keystroke::{KeystrokeSummary, Keystrokes},
    },
    time::{Span, Timestamp},
    wire::SeqNumber,
};

use crate::{many, traffic::Chance};

/// Length of a key's packet and of its echo: chacha20-poly1305.
const KEY: u32 = 36;

pub(crate) fn stage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("measure");
    let typed = typing(many(10_000));
    group.throughput(Throughput::Elements(typed.len() as u64));
    group.bench_function("keystrokes, per key", |bencher| {
        bencher.iter(|| {
            let summary = recover(&typed).expect("nothing is hidden");
            assert_eq!(summary.count, typed.len() as u64);
            summary
        });
    });

    let mut chance = Chance::new(2);
    let samples: Vec<_> = (0..many(100_000)).map(|_| Span::from_nanos((chance.skewed(30e6, 0.3)) as i64)).collect();
    for (name, count) in [("few samples", 500), ("many samples", samples.len())] {
        let samples = &samples[..count];
        let distribution = distribution(samples);
        group.throughput(Throughput::Elements(samples.len() as u64));
        group.bench_function(format!("record {name}"), |bencher| bencher.iter(|| self::distribution(samples)));
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("quantiles of {name}"), |bencher| {
            bencher.iter(|| (black_box(&distribution).quantiles(), distribution.floor()));
        });
    }
    group.throughput(Throughput::Elements(samples.len() as u64));
    group.bench_function("running median", |bencher| {
        bencher.iter(|| {
            let mut median = RunningMedian::default();
            samples.iter().for_each(|sample| median.record(*sample));
            median
        });
    });
    group.finish();
}

fn distribution(samples: &[Span]) -> Distribution {
    let mut distribution = Distribution::default();
    samples.iter().for_each(|sample| distribution.record(*sample));
    distribution
}

/// Keys and their echoes, as a person types.
fn typing(keys: usize) -> Vec<(Input, Output)> {
    let mut chance = Chance::new(3);
    let mut now = 0;
    let mut key = |nth| {
        now += (chance.skewed(170.0, 0.45).clamp(25.0, 4_000.0) * 1e6) as i64;
        let (time, end) = (Timestamp::from_nanos(now), SeqNumber(KEY.wrapping_mul(nth as u32 + 1)));
        let data = DataRange { least: 1, most: 2 };
        let input = Input { time, sent: None, end, bytes: KEY, data, kind: InputKind::Char, doubt: Doubt::None };
        let echo = Timestamp::from_nanos(now + (chance.skewed(1.0, 0.5) * 1e6) as i64);
        (input, Output { time: echo, acked: Some(end), bytes: KEY, kind: OutputKind::Echo })
    };
    (0..keys).map(&mut key).collect()
}

fn recover(typed: &[(Input, Output)]) -> Option<KeystrokeSummary> {
    let (mut keystrokes, mut out) = (Keystrokes::default(), Vec::new());
    keystrokes.on_terminal(Terminal::Open);
    for (input, output) in typed {
        keystrokes.on_input(*input, Some(Span::from_millis(30)), &mut out);
        keystrokes.on_output(*output, &mut out);
        out.clear();
    }
    keystrokes.finish(&mut out);
    keystrokes.summary()
}
