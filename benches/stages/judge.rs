//! Claims and answers.

use std::{
    fmt::Write as _,
    hint::black_box,
    io::Write as _,
    net::Ipv4Addr,
    process::{Command, Stdio},
};

use criterion::{Criterion, Throughput};
use keywitness::{
    judge::{
        PlaceClaim,
        claim::{Claims, Reading, Subject},
        delay_model::Access,
        inquiry::Inquiry,
        place::Place,
    },
    output::answer,
    time::{Span, Timestamp},
};

use crate::many;

/// Claims in the file.
const CLAIMS: usize = 20_000;
/// Sessions that are looked up, a half of them without a claim.
const SESSIONS: usize = 100_000;
/// Lines that the program is asked at a time: its start is little beside them.
const LINES: usize = 100_000;

pub(crate) fn stage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("judge");
    let count = many(CLAIMS);
    let text = claims_file(count);
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("read claims", |bencher| bencher.iter(|| Claims::parse(&text, Reading::default()).unwrap()));

    let claims = Claims::parse(&text, Reading::default()).unwrap();
    let subjects: Vec<_> = (0..many(SESSIONS)).map(|nth| subject(nth * 7_919 % (2 * count))).collect();
    let found = subjects.iter().filter(|subject| claims.find(subject).identity().is_some()).count();
    assert!(found > subjects.len() / 3 && found < subjects.len(), "{found} of {} have a claim", subjects.len());
    group.throughput(Throughput::Elements(subjects.len() as u64));
    group.bench_function("look up a session", |bencher| {
        bencher.iter(|| subjects.iter().filter(|subject| claims.find(black_box(subject)).identity().is_some()).count());
    });

    let (sensor, place) = (Place::new(47.6, -122.3).unwrap(), Place::new(43.6, -116.2).unwrap());
    let claim = PlaceClaim { sensor: &sensor, place: &place, radius_km: 50.0, via: None, access: Access::Cable };
    group.throughput(Throughput::Elements(1));
    group.bench_function("answer", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            let inquiry = Inquiry { claim, round_trip: black_box(Span::from_millis(166)), samples: None };
            answer::ndjson(&inquiry.answer(), &mut out);
        });
    });

    let questions = questions(many(LINES));
    group.throughput(Throughput::Elements(many(LINES) as u64));
    group.sample_size(10);
    group.bench_function("judge -, per line", |bencher| bencher.iter(|| ask(&questions)));
    group.finish();
}

/// Claims, each about one address.
fn claims_file(count: usize) -> String {
    let mut text = "[sensor]\nplace = \"Seattle, US\"\n".to_owned();
    for n in 0..count {
        let client = Ipv4Addr::from(0x0a00_0000 + n as u32);
        let _ = write!(
            text,
            "[[claim]]\nidentity = \"u{n}\"\n[[claim.match]]\nclient = [\"{client}/32\"]\n[[claim.place]]\nplace = \"Boise, US\"\n"
        );
    }
    text
}

fn subject(n: usize) -> Subject<'static> {
    let client = Ipv4Addr::from(0x0a00_0000 + n as u32).into();
    Subject {
        client,
        server: Ipv4Addr::new(192, 0, 2, 1).into(),
        mac: None,
        vlan: None,
        rdp_cookie: None,
        vnc_desktop: None,
        start: Timestamp::MIN,
    }
}

/// Questions with places by name, as many different round trips as lines.
fn questions(count: usize) -> Vec<u8> {
    let places = ["Boise, US", "Phoenix, US", "Lisbon, PT", "Seoul, KR", "Toronto, CA"];
    let line = |(n, place): (usize, &&str)| {
        let rtt = 10.0 + n as f64 / 1_000.0;
        format!(
            "{{\"sensor\":{{\"place\":\"Seattle, US\"}},\"claim\":{{\"place\":\"{place}\"}},\"rtt_ms\":{rtt},\"access\":\"cable\"}}\n"
        )
    };
    (0..count).zip(places.iter().cycle()).map(line).collect::<String>().into_bytes()
}

/// Asks the program itself.
fn ask(questions: &[u8]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywitness"));
    let mut child = command.args(["judge", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(questions).unwrap();
    assert!(child.wait().unwrap().success());
}
