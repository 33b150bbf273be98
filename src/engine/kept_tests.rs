use super::{
    super::{
        EngineLimits,
        tests::{CLIENT, SERVER, Tap},
    },
    *,
};

fn tap() -> Tap {
    Tap::with(EngineLimits { in_flight: Some(0), ..EngineLimits::default() })
}

/// Whether the one session there is was kept, each time that it changed.
fn changes(tap: &mut Tap) -> Vec<bool> {
    let told: Vec<Worth> = std::iter::from_fn(|| tap.engine.poll_worth()).collect();
    for worth in &told {
        let mut ports = worth.ends.map(|end| end.port);
        ports.sort_unstable();
        assert_eq!(ports, [SERVER.1, CLIENT.1]);
    }
    told.iter().map(|worth| worth.is_kept).collect()
}

/// A session as it may go on: so many segments of the client with so many bytes.
fn goes_on(tap: &mut Tap, segments: u32, length: u32) {
    for number in 0..segments {
        let seq = 1_012 + number * length;
        tap.send(100 + i64::from(number), CLIENT, SERVER, seq, 5_012, "A", &vec![0xaa; length as usize]);
        tap.send(100 + i64::from(number), SERVER, CLIENT, 5_012, seq + length, "A", b"");
    }
}

#[test]
fn a_session_is_kept_from_its_banner_to_its_end() {
    let mut tap = tap();
    tap.open(0, 1_000, 5_000);
    assert_eq!(changes(&mut tap), [true]);
    goes_on(&mut tap, 2_000, 40);
    assert_eq!(changes(&mut tap), [false; 0], "short segments may be keys");
    tap.engine.finish();
    assert_eq!(changes(&mut tap), [false]);
}

#[test]
fn a_file_transfer_is_not_kept_for_long() {
    let mut tap = tap();
    tap.open(0, 1_000, 5_000);
    goes_on(&mut tap, 40, 1_400);
    assert_eq!(changes(&mut tap), [true], "56 kB");
    goes_on(&mut tap, 100, 1_400);
    assert_eq!(changes(&mut tap), [false]);
    tap.engine.finish();
    assert_eq!(changes(&mut tap), [false; 0], "it was told");
}

#[test]
fn what_one_side_can_forge_is_not_kept() {
    let mut alone = tap();
    alone.send(0, CLIENT, SERVER, 1_000, 0, "S", b"");
    alone.send(1, CLIENT, SERVER, 1_001, 1, "A", b"SSH-2.0-a\r\n");
    assert_eq!(changes(&mut alone), [false; 0]);
    let mut unanswered = tap();
    unanswered.send(0, CLIENT, SERVER, 1_000, 0, "S", b"");
    unanswered.send(1, SERVER, CLIENT, 5_000, 1_001, "SA", b"");
    unanswered.send(2, CLIENT, SERVER, 1_001, 5_001, "A", b"SSH-2.0-a\r\n");
    assert_eq!(changes(&mut unanswered), [true], "it may become one");
    goes_on(&mut unanswered, 2_000, 40);
    assert_eq!(changes(&mut unanswered), [false], "it has not");
}

#[test]
fn who_does_not_shed_is_told_nothing() {
    let mut tap = Tap::new();
    tap.open(0, 1_000, 5_000);
    assert_eq!(changes(&mut tap), [false; 0]);
}
