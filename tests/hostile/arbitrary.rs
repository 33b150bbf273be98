//! Properties that hold for arbitrary input of one stage.

use keywitness::{
    cue::Cue,
    flow::{Arrival, Data, Item, PerSide, Side, Stream},
    measure::{ack::AckTimer, estimate::Distribution},
    protocol::{
        Standing,
        ssh::{Facts, Ssh},
    },
    time::{Span, Timestamp},
    wire::{Frame, LinkType, SeqNumber, TcpFlags, TcpSegment, Transport, Undecoded, decode},
};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::RngSeed};

use crate::{common::Shot, pcaps};

/// The same cases on every run.
pub(crate) fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
}

/// A byte to be overwritten, somewhere.
type Damage = Vec<(Index, u8)>;

fn damage(bytes: &mut [u8], damage: &Damage) {
    for (at, value) in damage {
        bytes[at.index(bytes.len())] = *value;
    }
}

fn decoded_within_bounds(link: LinkType, bytes: &[u8], original_len: u32) {
    let frame = Frame { number: 0, input: 0, time: Timestamp::from_nanos(0), link, bytes, original_len };
    let decoded = decode(&frame);
    assert_eq!(matches!(decoded, Err(Undecoded::Link(_))), matches!(link, LinkType::Unknown(_)));
    let Ok(packet) = decoded else { return };
    let has_mac = match link {
        LinkType::Ethernet => Some(true),
        LinkType::LinuxSll | LinkType::LinuxSll2 => None,
        _ => Some(false),
    };
    assert!(has_mac.is_none_or(|has_mac| packet.mac.is_some() == has_mac));
    assert!(packet.mac.is_none_or(|mac| mac.destination.is_some() == (link == LinkType::Ethernet)));
    if let Transport::Fragment(fragment) = packet.transport {
        assert!(fragment.bytes.len() <= bytes.len() && fragment.len as usize >= fragment.bytes.len());
        assert!(fragment.offset < 65_536 && fragment.offset % 8 == 0);
    }
    if let Transport::Tcp(segment) = packet.transport {
        assert!(segment.payload.len() + 20 <= bytes.len());
        assert!(segment.payload_len as usize >= segment.payload.len());
        assert!(segment.payload_len <= original_len.max(bytes.len() as u32).max(0xffff));
        let (_, _) = (segment.timestamps(), segment.has_sack());
    }
}

/// Segments of a stream of which each byte is a function of its place: (first byte, length).
fn pieces(reach: i64) -> impl Strategy<Value = Vec<(i64, u32, bool)>> {
    vec((-200..reach, 0u32..1_500, any::<bool>()), 1..200)
}

fn byte_at(place: i64) -> u8 {
    (place.wrapping_mul(167) >> 3) as u8
}

/// Feeds pieces to a stream that begins at `start` and follows what comes out.
struct Follower {
    start: u32,
    place: i64,
    data: i64,
    gaps: u32,
}

impl Follower {
    fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Gap { len } => {
                assert!(len > 0);
                self.place += i64::from(len);
                self.gaps += 1;
            }
            Item::Data(data) => {
                assert!(data.len > 0 && data.bytes.len() == data.len as usize);
                for (i, byte) in data.bytes.iter().enumerate() {
                    assert_eq!(*byte, byte_at(self.place + i as i64), "byte {} in its place, once", self.place);
                }
                self.place += i64::from(data.len);
                self.data += i64::from(data.len);
                assert_eq!(data.end, SeqNumber(self.start).plus(self.place as u32));
            }
        }
    }
}

fn bare(seq: u32, ack: u32, flags: u8, payload_len: u32) -> TcpSegment<'static> {
    TcpSegment {
        src_port: 1,
        dst_port: 2,
        seq: SeqNumber(seq),
        ack: SeqNumber(ack),
        flags: TcpFlags(flags),
        window: 0,
        options: &[],
        payload: &[],
        payload_len,
    }
}

/// Reads the server's stream and then the client's, each in pieces of these lengths, over and over.
fn read_ssh(streams: [&[u8]; 2], lengths: &[usize]) -> (Facts, Standing, bool) {
    let mut ssh = Ssh::new(PerSide { client: true, server: true });
    let mut swapped = false;
    for (stream, side) in streams.into_iter().zip([Side::Client, Side::Server]).rev() {
        let (mut rest, mut lengths) = (stream, lengths.iter().cycle());
        while !rest.is_empty() && ssh.standing() != Standing::NotOurs {
            let (bytes, tail) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
            rest = tail;
            let (time, end) = (Timestamp::from_nanos(0), SeqNumber(0));
            let data = Data { bytes, len: bytes.len() as u32, time, end, acked: None, sent: None };
            let mut cues: Vec<Cue> = Vec::new();
            ssh.on_data(if swapped { side.other() } else { side }, &data, None, &mut cues);
            swapped ^= ssh.take_role_swap();
        }
    }
    (ssh.facts(), ssh.standing(), ssh.lengths_known())
}

/// What both sides of a real session sent up to its first keystrokes.
fn handshake() -> [Vec<u8>; 2] {
    let segments = pcaps::segments("ssh-aes-gcm");
    let sent = |client: bool| {
        let sent = segments.iter().filter(|segment| (segment.source == segments[0].source) == client);
        sent.flat_map(|segment| segment.payload.clone()).take(3_500).collect::<Vec<u8>>()
    };
    [sent(true), sent(false)]
}

proptest! {
    #![proptest_config(seeded(4_000))]

    #[test]
    fn decoding_any_bytes_stays_within_them(
        number in prop_oneof![Just(1u16), Just(101), Just(0), Just(108), Just(113), Just(276), any::<u16>()],
        bytes in vec(any::<u8>(), 0..200),
        missing in 0u32..2_000,
    ) {
        decoded_within_bounds(LinkType::from_number(number), &bytes, bytes.len() as u32 + missing);
    }

    #[test]
    fn decoding_damaged_frames_stays_within_them(
        which: Index,
        harm in vec((any::<Index>(), any::<u8>()), 0..6),
        cut: Index,
        raw: bool,
        lie: Option<u32>,
    ) {
        thread_local! { static SHOTS: Vec<Shot> = pcaps::capture("ssh-paste"); }
        let mut shot = SHOTS.with(|shots| shots[which.index(shots.len())].clone());
        damage(&mut shot.bytes, &harm);
        let (link, skip) = if raw { (LinkType::RawIp, 14) } else { (LinkType::Ethernet, 0) };
        let bytes = &shot.bytes[skip..];
        decoded_within_bounds(link, &bytes[..cut.index(bytes.len() + 1)], lie.unwrap_or(shot.original_len));
    }
}

proptest! {
    #![proptest_config(seeded(400))]

    #[test]
    fn a_stream_gives_every_byte_once_and_in_order(start: u32, pieces in pieces(60_000), acks: bool) {
        let mut stream = Stream::new(Some(SeqNumber(start)));
        let mut follower = Follower { start, place: 0, data: 0, gaps: 0 };
        let mut pushed = vec![false; 62_000];
        for (i, &(first, len, far)) in pieces.iter().enumerate() {
            // Now and then somewhere else altogether: never a byte of this stream's near future.
            let first = if far && i % 16 == 0 { first + (1 << 30) + 100_000 } else { first };
            let bytes: Vec<u8> = (first..first + i64::from(len)).map(byte_at).collect();
            let time = Timestamp::from_nanos(i as i64 * 5_000_000);
            let seq = SeqNumber(start.wrapping_add(first as u32));
            let data = Data { bytes: &bytes, len, time, end: seq.plus(len), acked: None, sent: None };
            stream.push(seq, data, |item| follower.take(item));
            for place in first..first + i64::from(len) {
                if let Some(pushed) = usize::try_from(place).ok().and_then(|place| pushed.get_mut(place)) {
                    *pushed = true;
                }
            }
            if acks && far {
                stream.on_ack(seq, time, |item| follower.take(item));
            }
            prop_assert!(stream.held_bytes() <= 256 * 1024);
        }
        stream.finish(|item| follower.take(item));
        prop_assert_eq!(stream.gaps(), follower.gaps);
        prop_assert_eq!(stream.held_bytes(), 0);
        let known = pushed.iter().take(follower.place as usize).filter(|pushed| **pushed).count();
        prop_assert!(follower.data <= known as i64);
        if follower.gaps == 0 {
            prop_assert_eq!(follower.data, follower.place);
        }
    }

    #[test]
    fn what_a_stream_holds_is_bounded_whatever_the_sizes(lens in vec(1usize..65_000, 400..600), small in 0usize..300) {
        let mut stream = Stream::new(Some(SeqNumber(0)));
        let payload = vec![0; 65_000];
        let mut seq = SeqNumber(0);
        for (i, &len) in lens.iter().enumerate() {
            let len = if i < small { 1 } else { len };
            seq = seq.plus(1);
            let bytes = &payload[..len];
            let data = Data { bytes, len: len as u32, time: Timestamp::from_nanos(0), end: seq, acked: None, sent: None };
            stream.push(seq, data, |_| {});
            seq = seq.plus(len as u32);
            prop_assert!(stream.held_bytes() <= 256 * 1024, "{} bytes held", stream.held_bytes());
        }
    }

    #[test]
    fn a_damaged_handshake_reads_the_same_however_it_is_cut(
        harm in [vec((any::<Index>(), any::<u8>()), 0..3), vec((any::<Index>(), any::<u8>()), 0..3)],
        lengths in vec(1usize..200, 1..20),
    ) {
        let mut streams = handshake();
        streams.iter_mut().zip(&harm).for_each(|(stream, harm)| damage(stream, harm));
        let streams = [streams[0].as_slice(), &streams[1]];
        let read = read_ssh(streams, &lengths);
        if harm.iter().all(Vec::is_empty) {
            prop_assert!(read.0.cipher.is_some() && read.2);
        }
        prop_assert_eq!(read, read_ssh(streams, &[usize::MAX]));
    }

    #[test]
    fn an_ssh_decoder_takes_any_chunks(chunks in vec((any::<bool>(), any::<bool>(), vec(any::<u8>(), 0..300)), 0..40), banner: bool) {
        let mut ssh = Ssh::new(PerSide { client: true, server: true });
        let mut cues = Vec::new();
        for (client, gap, bytes) in &chunks {
            let side = if *client { Side::Client } else { Side::Server };
            let bytes = if banner { [b"SSH-2.0-", bytes.as_slice()].concat() } else { bytes.clone() };
            let (time, end) = (Timestamp::from_nanos(0), SeqNumber(0));
            let data = Data { bytes: &bytes, len: bytes.len() as u32 + u32::from(*gap), time, end, acked: None, sent: None };
            ssh.on_data(side, &data, None, &mut cues);
        }
        // Without a key exchange there is no encrypted record, and so nothing that could be input or output.
        prop_assert!(!ssh.lengths_known() && ssh.facts().cipher.is_none());
        prop_assert!(!cues.iter().any(|cue| matches!(cue, Cue::Input(_) | Cue::Output(_))));
    }

    #[test]
    fn round_trips_are_never_negative(events in vec((any::<bool>(), 0u32..5_000, 0u32..100, 0u8..6, -50i64..1_000), 1..300)) {
        let mut timer = AckTimer::default();
        let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
        for (is_data, number, len, arrival, millis) in events {
            let arrivals = [Arrival::New, Arrival::OutOfOrder, Arrival::Retransmitted, Arrival::Duplicate, Arrival::Probe, Arrival::Bare];
            let (arrival, time) = (arrivals[usize::from(arrival)], Timestamp::from_nanos(millis * 1_000_000));
            (earliest, latest) = (earliest.min(millis), latest.max(millis));
            if is_data {
                timer.note(&bare(number, 0, TcpFlags::ACK, len), arrival, time);
            } else if let Some(rtt) = timer.complete(&bare(0, number, TcpFlags::ACK, 0), arrival, time) {
                prop_assert!(!rtt.is_negative() && rtt <= Span::from_millis(latest - earliest));
            }
        }
    }

    #[test]
    fn a_floor_lies_among_its_samples(nanos in vec(prop_oneof![-1_000i64..200_000_000, any::<i64>()], 0..200)) {
        let mut distribution = Distribution::default();
        nanos.iter().for_each(|&nanos| distribution.record(Span::from_nanos(nanos)));
        let samples: Vec<Span> = nanos.iter().filter(|nanos| **nanos >= 0).map(|&nanos| Span::from_nanos(nanos)).collect();
        prop_assert_eq!(distribution.count(), samples.len() as u64);
        prop_assert_eq!(distribution.min(), samples.iter().min().copied());
        let (Some(floor), Some(q)) = (distribution.floor(), distribution.quantiles()) else {
            prop_assert!(samples.is_empty());
            return Ok(());
        };
        prop_assert!(samples.contains(&floor.value));
        prop_assert_eq!(samples.iter().max(), Some(&q.max));
        prop_assert!([q.min, q.p5, q.p10, q.p25, q.p50, q.p75, q.p95, q.max].is_sorted());
    }
}
