use super::*;
use crate::{
    cue::{DataRange, Doubt, InputKind, OutputKind},
    wire::SeqNumber,
};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_nanos(ms * 1_000_000)
}

/// A session in a test: keys carry 36 bytes each, echoes acknowledge them.
struct Session {
    keystrokes: Keystrokes,
    seq: u32,
    out: Vec<Keystroke>,
}

impl Session {
    fn new(terminal: Terminal) -> Self {
        let mut keystrokes = Keystrokes::default();
        keystrokes.on_terminal(terminal);
        Self { keystrokes, seq: 0, out: Vec::new() }
    }

    fn input(&mut self, ms: i64, kind: InputKind, doubt: Doubt) {
        self.seq += 36;
        let input = Input {
            time: at(ms),
            sent: None,
            end: SeqNumber(self.seq),
            bytes: 36,
            data: DataRange { least: 1, most: 2 },
            kind,
            doubt,
        };
        self.keystrokes.on_input(input, Some(Span::from_millis(30)), &mut self.out);
    }

    fn key(&mut self, ms: i64) {
        self.input(ms, InputKind::Char, Doubt::None);
    }

    fn output(&mut self, ms: i64, bytes: u32, kind: OutputKind) {
        let output = Output { time: at(ms), acked: Some(SeqNumber(self.seq)), bytes, kind };
        self.keystrokes.on_output(output, &mut self.out);
    }

    fn echo(&mut self, ms: i64) {
        self.output(ms, 36, OutputKind::Echo);
    }

    fn finish(mut self) -> (Vec<Keystroke>, KeystrokeSummary) {
        self.keystrokes.finish(&mut self.out);
        let summary = self.keystrokes.summary().unwrap();
        (self.out, summary)
    }
}

#[test]
fn typing_gives_times_intervals_and_echoes() {
    let mut session = Session::new(Terminal::Open);
    for ms in [0, 150, 400] {
        session.key(ms);
        session.echo(ms + 2);
    }
    let (keys, summary) = session.finish();
    assert_eq!(
        keys.iter().map(|key| key.interval).collect::<Vec<_>>(),
        [None, Some(Span::from_millis(150)), Some(Span::from_millis(250))]
    );
    assert!(keys.iter().all(|key| key.echo == Some(Span::from_millis(2)) && key.class == KeyClass::Char && !key.hidden));
    assert_eq!((summary.count, summary.presses, summary.silent), (3, 3, 0));
}

#[test]
fn keys_typed_before_the_echo_came_back_each_get_their_own() {
    let mut session = Session::new(Terminal::Open);
    // The sensor stands at the client: echoes take 200 ms, keys come each 80 ms.
    let times: Vec<i64> = (0..10).map(|i| i * 80).collect();
    let mut events: Vec<(i64, Option<u32>)> = times.iter().map(|ms| (*ms, None)).collect();
    events.extend(times.iter().enumerate().map(|(i, ms)| (ms + 200, Some((i as u32 + 1) * 36))));
    events.sort_unstable();
    for (ms, acked) in events {
        match acked {
            None => session.key(ms),
            Some(acked) => {
                let acked = Some(SeqNumber(acked));
                let output = Output { time: at(ms), acked, bytes: 36, kind: OutputKind::Echo };
                session.keystrokes.on_output(output, &mut session.out);
            }
        }
    }
    let (keys, _) = session.finish();
    assert!(keys.iter().all(|key| key.echo == Some(Span::from_millis(200))), "{keys:?}");
}

#[test]
fn a_password_is_counted_and_not_timed() {
    let mut session = Session::new(Terminal::Open);
    session.key(0);
    session.echo(1);
    for i in 0..9 {
        session.key(2_000 + i * 150);
    }
    session.key(2_000 + 9 * 150); // Enter
    session.output(2_000 + 9 * 150 + 1, 300, OutputKind::Text);
    session.key(6_000);
    session.echo(6_001);
    let (keys, summary) = session.finish();
    assert_eq!((summary.count, summary.silent), (12, 9));
    assert_eq!(keys.iter().filter(|key| key.hidden).count(), 9);
    assert_eq!(keys.iter().map(|key| key.index).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
    assert_eq!(keys[10].interval, None, "the key that ends the run does not time its last one");
    assert_eq!(summary.interval.unwrap().samples, 1, "only the key after Enter has an interval that counts");
}

#[test]
fn a_single_silent_key_is_a_key_like_any_other() {
    let mut session = Session::new(Terminal::Open);
    session.key(0);
    session.key(2_000);
    session.echo(2_001);
    let (keys, summary) = session.finish();
    assert_eq!((keys.len(), summary.silent), (2, 1));
    assert!(keys.iter().all(|key| !key.hidden));
    assert_eq!((keys[0].echo, keys[0].class), (None, KeyClass::Unknown));
}

#[test]
fn without_knowledge_of_a_terminal_only_echoed_keys_count() {
    let mut session = Session::new(Terminal::Unknown);
    session.key(0);
    session.echo(1);
    session.key(2_000);
    session.key(4_000);
    session.echo(4_500); // too late to be sure
    assert_eq!(session.finish().1.count, 1);
}

#[test]
fn without_a_terminal_nothing_counts() {
    let mut session = Session::new(Terminal::Absent);
    session.key(0);
    session.echo(1);
    assert_eq!(session.finish().1.count, 0);
}

#[test]
fn several_keys_in_one_segment_are_several_records_of_one_time() {
    let mut session = Session::new(Terminal::Open);
    session.key(0);
    session.echo(1);
    session.input(500, InputKind::KeysOrBulk(3), Doubt::None);
    session.output(501, 44, OutputKind::Redraw);
    session.input(900, InputKind::KeysOrBulk(3), Doubt::None);
    session.output(901, 108, OutputKind::Text);
    let (keys, summary) = session.finish();
    assert_eq!((summary.presses, summary.pastes), (4, 1));
    assert!(keys[1..4].iter().all(|key| key.time == at(500)));
    assert_eq!((keys[1].interval, keys[2].interval), (Some(Span::from_millis(500)), None));
}

#[test]
fn enter_erase_and_arrows_are_told_apart() {
    let mut session = Session::new(Terminal::Open);
    session.key(0);
    session.output(1, 44, OutputKind::Redraw);
    session.key(500);
    session.echo(501);
    session.output(505, 300, OutputKind::Text);
    session.input(1_000, InputKind::Sequence, Doubt::None);
    session.echo(1_001);
    let classes: Vec<_> = session.finish().0.iter().map(|key| key.class).collect();
    assert_eq!(classes, [KeyClass::Edit, KeyClass::Control, KeyClass::Navigation]);
}

#[test]
fn keep_alives_and_their_answers_are_not_keys() {
    let mut session = Session::new(Terminal::Open);
    session.key(0);
    session.echo(1);
    // The client's timer: five seconds after the last output reached it, 30 ms of path.
    session.input(5_031, InputKind::Sequence, Doubt::KeepAlive);
    session.echo(5_032);
    session.input(7_000, InputKind::Bulk, Doubt::KeepAlive);
    session.output(7_001, 28, OutputKind::Status);
    // The server asked, the client answers, nothing comes back.
    session.input(9_000, InputKind::Char, Doubt::Reply);
    // An arrow key, at no special time, is one.
    session.input(12_347, InputKind::Sequence, Doubt::KeepAlive);
    session.echo(12_348);
    assert_eq!(session.finish().1.count, 2);
}

#[test]
fn a_paste_comes_back_and_a_programs_message_does_not() {
    let mut session = Session::new(Terminal::Open);
    session.input(0, InputKind::Bulk, Doubt::None);
    session.output(2, 60, OutputKind::Text);
    session.input(3_000, InputKind::Bulk, Doubt::None);
    assert_eq!(session.finish().1.pastes, 1);
}

#[test]
fn chaff_takes_back_what_waits() {
    let mut session = Session::new(Terminal::Open);
    session.keystrokes.on_can_obfuscate(false, true);
    for i in 0..60 {
        session.key(i * 20);
        session.echo(i * 20 + 1);
    }
    assert!(session.out.is_empty());
    assert_eq!(session.keystrokes.obfuscated(), Some(true));
    let (keys, summary) = session.finish();
    assert_eq!((summary.count, summary.step), (1, Some(Span::from_millis(20))), "a burst begins with a key: {keys:?}");
    assert_eq!((keys[0].time, keys[0].method), (at(0), Method::SlotAndAnswer));
}

#[test]
fn what_waits_is_bounded() {
    let mut session = Session::new(Terminal::Open);
    (0..10_000).for_each(|_| session.key(0));
    assert!(session.keystrokes.waiting.len() <= MAX_WAITING);
}

#[test]
fn a_response_is_the_time_from_the_end_of_output_to_the_next_key() {
    let mut session = Session::new(Terminal::Open);
    session.key(0); // Enter
    session.output(1, 36, OutputKind::Echo);
    session.output(40, 300, OutputKind::Text);
    session.output(90, 36, OutputKind::Echo); // the prompt
    session.key(490);
    session.echo(491);
    session.key(640); // typed on: nothing was shown but an echo
    session.echo(641);
    let response = session.finish().1.response.unwrap();
    assert_eq!((response.samples, response.p50), (1, Span::from_millis(400)));
}

#[test]
fn the_clients_clock_takes_the_path_out_of_an_interval() {
    let mut session = Session::new(Terminal::Open);
    for (passed, sent) in [(100, 60), (280, 200)] {
        session.seq += 36;
        let (end, data) = (SeqNumber(session.seq), DataRange { least: 1, most: 2 });
        let sent = Some(Span::from_millis(sent));
        let input = Input { time: at(passed), sent, end, bytes: 36, data, kind: InputKind::Char, doubt: Doubt::None };
        session.keystrokes.on_input(input, None, &mut session.out);
    }
    assert_eq!(session.finish().0[1].interval, Some(Span::from_millis(140)));
}

#[test]
fn a_person_and_a_script_are_told_apart() {
    for (step, spread, want) in [(120, 97, InputOrigin::Human), (5, 2, InputOrigin::Scripted)] {
        let mut session = Session::new(Terminal::Open);
        let mut ms = 0;
        for i in 0..60 {
            ms += step + i * 37 % spread;
            session.key(ms);
            session.echo(ms + 1);
        }
        assert_eq!(session.finish().1.origin, want);
    }
}
