//! The same stream in other segments gives the same facts: cut, reordered, copied, with one segment lost, with its
//! beginning missing. What is not known is left out; it is never wrong.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod common;
#[path = "common/pcaps.rs"]
mod pcaps;

#[path = "cut/carried.rs"]
mod carried;
#[path = "cut/encapsulated.rs"]
mod encapsulated;
#[path = "cut/tunnelled.rs"]
mod tunnelled;
#[path = "cut/wrapped.rs"]
mod wrapped;

use common::{Outcome, Rng, Shot, Tcp, run};
use keywitness::{
    flow::{PerSide, Side, Traffic},
    measure::keystroke::KeystrokeKind,
    observation::SessionReport,
    protocol::{Facts, ssh},
    time::Span,
    wire::TcpFlags,
};
use pcaps::{capture, segments};

/// Each kind of cipher: lengths hidden (chacha20-poly1305, MAC over the plaintext) and in clear (AES-GCM, encrypt-then-MAC).
const HIDDEN: [&str; 4] = ["ssh-home", "ssh-far", "ssh-old-client", "ssh-ctr-sha512"];
const EXACT: [&str; 2] = ["ssh-aes-gcm", "ssh-ctr-umac-etm"];

/// Message number of SSH_MSG_NEWKEYS, the last packet in clear.
const NEWKEYS: u8 = 21;

/// Bytes of the two streams of a capture, by what of them is in clear.
struct Session {
    segments: Vec<Tcp>,
    original: Outcome,
    clear: PerSide<u32>,
}

impl Session {
    fn load(name: &str) -> Self {
        let segments = segments(name);
        let original = run(&shots(&segments));
        assert!(original.count() > 50, "{name} has keystrokes to lose");
        let clear = PerSide::from_fn(|side| {
            let sent = segments.iter().filter(|segment| side_of(&segments, segment) == side);
            clear_len(&sent.flat_map(|segment| segment.payload.clone()).collect::<Vec<_>>())
        });
        Self { segments, original, clear }
    }

    fn side(&self, segment: &Tcp) -> Side {
        side_of(&self.segments, segment)
    }

    /// Bytes of a segment that are in clear.
    fn clear_in(&self, segment: &Tcp) -> usize {
        let side = self.side(segment);
        let first = self.segments.iter().find(|first| self.side(first) == side).unwrap();
        let offset = segment.seq.wrapping_sub(first.seq).wrapping_sub(1);
        (self.clear.get(side).saturating_sub(offset) as usize).min(segment.payload.len())
    }

    /// The session with each segment in pieces of the lengths that `lengths` gives, one `apart` after the other.
    fn cut(&self, apart: Span, mut lengths: impl FnMut(&Self, &Tcp) -> Vec<usize>) -> Vec<Tcp> {
        let mut pieces = Vec::new();
        for segment in &self.segments {
            let mut rest = segment.payload.as_slice();
            let mut seq = segment.seq;
            let mut time = segment.time;
            let lengths = if rest.is_empty() { vec![0] } else { lengths(self, segment) };
            for length in lengths {
                let (payload, tail) = rest.split_at(length);
                let fin = if tail.is_empty() { segment.flags } else { segment.flags & !TcpFlags::FIN };
                pieces.push(Tcp { time, seq, flags: fin, payload: payload.to_vec(), ..segment.clone() });
                (rest, seq, time) = (tail, seq.wrapping_add(length as u32), time + apart);
            }
            assert!(rest.is_empty());
        }
        pieces.sort_by_key(|piece| piece.time);
        self.number(&mut pieces);
        pieces
    }

    /// Gives each segment the IP identification that its sender's counter would give it.
    fn number(&self, pieces: &mut [Tcp]) {
        let mut ids = PerSide { client: 0u16, server: 0 };
        for piece in pieces {
            let id = ids.get_mut(self.side(piece));
            *id = id.checked_add(1).unwrap();
            piece.id = *id;
        }
    }
}

fn side_of(segments: &[Tcp], segment: &Tcp) -> Side {
    if segment.source == segments[0].source { Side::Client } else { Side::Server }
}

/// Length of what a stream holds in clear: the identification line and packets up to NEWKEYS.
fn clear_len(stream: &[u8]) -> u32 {
    let mut at = stream.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    loop {
        let length = u32::from_be_bytes(stream[at..at + 4].try_into().unwrap());
        let message = stream[at + 5];
        at += 4 + length as usize;
        if message == NEWKEYS {
            return at as u32;
        }
    }
}

fn shots(segments: &[Tcp]) -> Vec<Shot> {
    segments.iter().map(Tcp::shot).collect()
}

/// One-byte pieces.
fn ones(count: usize) -> Vec<usize> {
    vec![1; count]
}

/// Pieces of 1 to 16 bytes.
fn some(rng: &mut Rng, mut count: usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    while count > 0 {
        lengths.push((1 + rng.below(16)).min(count));
        count -= lengths[lengths.len() - 1];
    }
    lengths
}

fn same_facts(name: &str, found: &SessionReport, original: &SessionReport) {
    assert_eq!(found.facts, original.facts, "{name}");
    assert_eq!(found.endpoints, original.endpoints, "{name}");
    assert_eq!((found.evidence, found.identified_by), (original.evidence, original.identified_by), "{name}");
    assert_eq!((found.midstream, found.obfuscated), (original.midstream, original.obfuscated), "{name}");
}

/// The same facts, and every keystroke at the same time with the same echo.
fn same_keys(name: &str, found: &Outcome, original: &Outcome) {
    same_facts(name, found.session(), original.session());
    assert_eq!(found.keystrokes, original.keystrokes, "{name}");
    assert_eq!(found.session().keystrokes, original.session().keystrokes, "{name}");
}

#[test]
fn a_handshake_in_one_byte_segments_is_the_same_handshake() {
    for name in HIDDEN.iter().chain(&EXACT) {
        let session = Session::load(name);
        let cut = session.cut(Span::ZERO, |session, segment| {
            let clear = session.clear_in(segment);
            let rest = segment.payload.len() - clear;
            [ones(clear), vec![rest; usize::from(rest > 0)]].concat()
        });
        assert!(cut.len() > session.segments.len() + 3_000);
        same_keys(name, &run(&shots(&cut)), &session.original);
    }
}

/// Only where lengths are in clear: where they are hidden, the segment is the unit, and a session in other segments is
/// another session to every observer.
#[test]
fn exact_lengths_survive_one_byte_segments() {
    for name in EXACT {
        let session = Session::load(name);
        let cut = session.cut(Span::ZERO, |_, segment| ones(segment.payload.len()));
        same_keys(name, &run(&shots(&cut)), &session.original);
    }
}

#[test]
fn neighbours_may_change_places() {
    for (name, exact) in HIDDEN.iter().map(|name| (name, false)).chain(EXACT.iter().map(|name| (name, true))) {
        let session = Session::load(name);
        for seed in 0..8 {
            let mut rng = Rng::new(seed);
            // In clear, pieces of neighbouring segments mix as well; encrypted ones keep the time of their segment.
            let apart = if exact { Span::ZERO } else { Span::from_micros(20) };
            let mut pieces = session.cut(apart, |session, segment| {
                let cut = if exact { segment.payload.len() } else { session.clear_in(segment) };
                let rest = segment.payload.len() - cut;
                [some(&mut rng, cut), vec![rest; usize::from(rest > 0)]].concat()
            });
            assert!(swap_neighbours(&session, &mut pieces, &mut rng) > 50, "{name}");
            let found = run(&shots(&pieces));
            same_facts(name, found.session(), session.original.session());
            assert_eq!(found.count(), session.original.count(), "{name}, seed {seed}");
            let gaps = found.session().traffic;
            assert_eq!((gaps.client.gaps, gaps.server.gaps), (0, 0), "{name}, seed {seed}");
        }
    }
}

/// Swaps a third of the pairs of segments with payload that one side sent within a millisecond; how many.
fn swap_neighbours(session: &Session, pieces: &mut [Tcp], rng: &mut Rng) -> usize {
    let mut swapped = 0;
    for side in [Side::Client, Side::Server] {
        let sent: Vec<usize> = (0..pieces.len()).filter(|&at| session.side(&pieces[at]) == side).collect();
        let mut pairs = sent.windows(2);
        while let Some(&[first, second]) = pairs.next() {
            let (a, b) = (&pieces[first], &pieces[second]);
            let plain = [a, b].iter().all(|piece| !piece.payload.is_empty() && piece.flags & TcpFlags::FIN == 0);
            if plain && b.time - a.time <= Span::from_millis(1) && rng.below(3) == 0 {
                let (early, late) = (a.time, b.time);
                pieces.swap(first, second);
                (pieces[first].time, pieces[second].time) = (early, late);
                swapped += 1;
                pairs.next();
            }
        }
    }
    swapped
}

#[test]
fn copies_of_frames_change_nothing_and_are_counted() {
    for name in HIDDEN.iter().chain(&EXACT) {
        let session = Session::load(name);
        let frames = shots(&session.segments);
        for clump in [1, 2, 4] {
            let found = run(&doubled(&frames, clump));
            same_keys(name, &found, &session.original);
            let (found, original) = (found.session(), session.original.session());
            assert_eq!(found.rtt, original.rtt, "{name}, clumps of {clump}");
            let copied = |traffic: Traffic| Traffic { duplicated: u32::try_from(traffic.packets).unwrap(), ..traffic };
            assert_eq!(found.traffic.client, copied(original.traffic.client), "{name}, clumps of {clump}");
            assert_eq!(found.traffic.server, copied(original.traffic.server), "{name}, clumps of {clump}");
        }
    }
}

/// Every frame twice, as a SPAN port gives them that mirrors both ports: runs of up to `clump` frames within a
/// millisecond, and then the same again.
fn doubled(frames: &[Shot], clump: usize) -> Vec<Shot> {
    let mut out = Vec::new();
    let mut rest = frames;
    while let Some(first) = rest.first() {
        let close = rest.iter().take(clump).take_while(|frame| frame.time - first.time <= Span::from_millis(1)).count();
        let (run, tail) = rest.split_at(close);
        let last = run[close - 1].time;
        let time = tail.first().map_or(last, |next| next.time).min(last + Span::from_micros(3));
        out.extend_from_slice(run);
        out.extend(run.iter().map(|frame| Shot { time, ..frame.clone() }));
        rest = tail;
    }
    out
}

#[test]
fn a_lost_segment_is_a_gap_and_never_a_wrong_fact() {
    for name in HIDDEN.iter().chain(&EXACT) {
        let session = Session::load(name);
        let frames = shots(&session.segments);
        let mut rng = Rng::new(3);
        for _ in 0..120 {
            let lost = rng.below(frames.len());
            let found = run(frames.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, frame)| frame));
            let context = format!("{name} without frame {}", lost + 1);
            nothing_wrong(&context, &found, &session.original);
            assert!(!found.session().midstream, "{context}");
            // A hole shows where more follows; that the peer acknowledged it all is so in these captures.
            let side = session.side(&session.segments[lost]);
            let later = session.segments[lost + 1..].iter().filter(|segment| session.side(segment) == side);
            let shows = !session.segments[lost].payload.is_empty() && later.clone().any(|segment| !segment.payload.is_empty());
            let traffic = found.session().traffic;
            assert_eq!(traffic.get(side).gaps, u32::from(shows), "{context}");
            assert_eq!(traffic.get(side.other()).gaps, 0, "{context}");
        }
    }
}

#[test]
fn a_session_without_its_beginning_says_so_and_invents_nothing() {
    for name in HIDDEN.iter().chain(&EXACT) {
        let session = Session::load(name);
        let frames = shots(&session.segments);
        // Frame by frame through handshake and login, then further apart.
        for missing in (1..45).chain((45..frames.len() - 20).step_by(23)) {
            let found = run(&frames[missing..]);
            let context = format!("{name} without its first {missing} frames");
            if found.sessions.is_empty() {
                // The server's line was captured and the client's was not: a client that does not speak SSH looks like that.
                assert!((4..=9).contains(&missing) && found.keystrokes.is_empty(), "{context}");
                continue;
            }
            nothing_wrong(&context, &found, &session.original);
            let session = found.session();
            assert_eq!(session.midstream, missing >= 2, "{context}: SYN and SYN-ACK are the first two");
            assert!(session.rtt.server.handshake.is_none(), "{context}");
            // Lengths are told by what is typed then, once it was echoed a dozen times.
            if ssh(session).cipher.is_none() && session.keystrokes.is_none() {
                assert_eq!(found.keystrokes.len(), 0, "{context}");
            }
        }
    }
}

/// Keys are told without the handshake once they were echoed a dozen times; with every kind of cipher, and none among chaff.
#[test]
fn what_is_typed_is_told_without_a_beginning() {
    let mut told = 0;
    for name in HIDDEN.iter().chain(&EXACT).chain(&["ssh-silent", "ssh-russh", "ssh-libssh", "ssh-lossy"]) {
        let frames = capture(name);
        let (original, found) = (run(&frames), run(&frames[80..]));
        let session = found.session();
        assert!(session.midstream && ssh(session).cipher.is_none() && session.program.is_none(), "{name}");
        for key in &found.keystrokes {
            assert!(original.keystrokes.iter().any(|other| other.time == key.time), "{name}: no key was there: {key:?}");
            assert!(key.echo.is_some(), "{name}: {key:?}");
        }
        told += usize::from(found.keystrokes.len() > 20);
    }
    assert!(told >= 8, "{told} captures with keys");
    for name in ["ssh-obfuscated", "ssh-obfuscated-gcm"] {
        let found = run(&capture(name)[80..]);
        let session = found.session();
        assert_eq!((session.obfuscated, session.keystrokes, found.keystrokes.len()), (Some(true), None, 0), "{name}");
    }
    for name in ["scp-up", "ssh-yes", "ssh-paste", "ssh-go"] {
        let found = run(&capture(name)[40..]);
        assert!(
            found.sessions.iter().all(|session| session.keystrokes.is_none()),
            "{name}: none were typed, or none can be told"
        );
    }
}

/// Of one direction what that side said is told, and nothing that takes two.
#[test]
fn one_direction_alone_tells_what_it_said_and_no_times() {
    for name in HIDDEN.iter().chain(&EXACT).chain(&["ssh-socks5", "ssh-connect"]) {
        let segments = segments(name);
        let last = segments[segments.len() - 1].source.1;
        let of_last: Vec<Tcp> =
            segments.iter().filter(|segment| [segment.source.1, segment.destination.1].contains(&last)).cloned().collect();
        let original = run(&shots(&of_last));
        for side in [Side::Client, Side::Server] {
            let sent: Vec<Tcp> = of_last.iter().filter(|segment| side_of(&of_last, segment) == side).cloned().collect();
            let found = run(&shots(&sent));
            if side == Side::Server && !original.session().carriers.is_empty() {
                assert_eq!(found.sessions.len(), 0, "{name}: what a proxy answers is not looked for");
                continue;
            }
            let (is, was) = (found.session(), ssh(original.session()));
            let facts = ssh(is);
            assert_eq!(facts.banners.get(side), was.banners.get(side), "{name}");
            let offered = if side == Side::Client { (&was.hassh, &None) } else { (&None, &was.hassh_server) };
            assert_eq!((&facts.hassh, &facts.hassh_server), offered, "{name}");
            assert_eq!((&facts.cipher, &facts.login, &facts.activity), (&None, &None, &None), "{name}");
            assert!(is.quality.one_sided && is.quality.objection().is_some(), "{name}");
            assert_eq!(
                (is.keystrokes, found.keystrokes.len(), is.rtt.client.count(), is.rtt.server.count()),
                (None, 0, 0, 0),
                "{name}"
            );
            assert!(is.program.is_none(), "{name}");
            let carriers = if side == Side::Client { original.session().carriers.as_slice() } else { &[] };
            assert_eq!(is.carriers, carriers, "{name}");
        }
    }
}

/// What a session of SSH said.
fn ssh(report: &SessionReport) -> &ssh::Facts {
    match &report.facts {
        Some(Facts::Ssh(facts)) => facts,
        _ => panic!("not SSH"),
    }
}

/// Every fact is the original's or left out, and so is every number of every keystroke.
fn nothing_wrong(context: &str, found: &Outcome, original: &Outcome) {
    let (is, was) = (found.session(), original.session());
    let (i, w) = (ssh(is), ssh(was));
    for (is, was) in [(&i.banners.client, &w.banners.client), (&i.banners.server, &w.banners.server)] {
        assert!(is.is_none() || is == was, "{context}: {is:?}");
    }
    let names = [
        (&i.hassh, &w.hassh),
        (&i.hassh_server, &w.hassh_server),
        (&i.kex, &w.kex),
        (&i.host_key_algorithm, &w.host_key_algorithm),
        (&i.cipher, &w.cipher),
        (&i.mac, &w.mac),
        (&i.compression, &w.compression),
    ];
    for (is, was) in names {
        assert!(is.is_none() || is == was, "{context}: {is:?}");
    }
    assert_eq!(is.endpoints, was.endpoints, "{context}");
    // Whose versions are not known may hide keystrokes, until it is seen not to.
    assert!(is.obfuscated.is_none() || is.obfuscated == was.obfuscated.or(Some(false)), "{context}");
    for key in &found.keystrokes {
        let same = original.keystrokes.iter().find(|other| other.time == key.time);
        let same = same.unwrap_or_else(|| panic!("{context}: a keystroke that there was not: {key:?}"));
        // A repeat is told by the keys around it: where they are missing it may pass for a press, and the first key behind
        // a gap for a repeat.
        let known = match (key.kind, same.kind) {
            (KeystrokeKind::Press, KeystrokeKind::Repeat) => true,
            (KeystrokeKind::Repeat, KeystrokeKind::Press) => key.interval.is_none(),
            (is, was) => is == was,
        };
        assert!(key.bytes == same.bytes && known, "{context}: {key:?}, was {same:?}");
        // Where in its millisecond the client sent a key is told by the keys before it: less is known with fewer of them.
        let near = |(is, was): (Span, Span)| (is - was).abs() <= Span::from_millis(1);
        assert!(key.interval.is_none() || key.interval.zip(same.interval).is_some_and(near), "{context}: {key:?}, was {same:?}");
        assert!(key.echo.is_none() || key.echo == same.echo, "{context}: {key:?}, was {same:?}");
    }
    assert!(found.count() <= original.count(), "{context}");
    for (is, was) in [(is.rtt.client, was.rtt.client), (is.rtt.server, was.rtt.server)] {
        assert!(is.handshake.is_none() || is.handshake == was.handshake, "{context}");
        if let (Some(is), Some(was)) = (is.samples, was.samples) {
            // A lost acknowledgement leaves no trace: the next one is taken for it, and its sample is too long.
            assert!(is.min >= was.min, "{context}: {is:?}, was {was:?}");
        }
    }
}
