//! What a client packet can be, going by its length and by what the server just sent.

use super::{
    adjust::{EagerAdjusts, WITHIN as ADJUST_WITHIN},
    records::Record,
    sizes::{Sizes, payload},
};
use crate::{
    cue::{Doubt, Input, InputKind, Output, OutputKind},
    time::{Span, Timestamp},
};

/// Data after which OpenSSH's client adds to the window of a terminal session: three packets of 16 KiB
/// (`channel_check_window`, `CHAN_SES_PACKET_DEFAULT`).
const ADJUST_AFTER: u32 = 48 * 1024;

/// Other clients add sooner; this much data in one run of output is no answer to a key either way.
const ADJUST_IN_BULK: u32 = 16 * 1024;

/// Output after a longer silence begins a new run.
const RUN_PAUSE: Span = Span::from_secs(1);

/// The round trip that is assumed before one was measured.
const UNKNOWN_RTT: Span = Span::from_millis(300);

/// How soon a client answers a keep-alive request: a round trip.
const REPLY_WITHIN: Span = Span::from_secs(2);

/// An IGNORE and the message that it goes before are written at once.
const IGNORE_BEFORE: Span = Span::from_millis(20);

/// The most keys that one segment is taken apart into.
const MAX_KEYS: u32 = 16;

/// What the classification of input remembers of the server's output.
#[derive(Clone, Debug, Default)]
pub(super) struct OutputMemory {
    /// Bytes of data since the client last added to the window: at most, since only lengths are seen.
    since_adjust: u32,
    /// The same in the run of output that goes on now, and when it last grew.
    run: u32,
    last: Option<Timestamp>,
    /// When the server last sent what may be a keep-alive request, with nothing behind it.
    asked: Option<Timestamp>,
    eager: EagerAdjusts,
    /// The client sends an IGNORE without data before each message (AsyncSSH), and when the last of them came with nothing behind it.
    ignores: bool,
    ignored: Option<Timestamp>,
}

impl OutputMemory {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = EagerAdjusts::MOST_BYTES;

    /// Who the client says it is.
    pub(super) const fn set_openssh_client(&mut self, is_openssh: bool) {
        self.eager.set_openssh(is_openssh);
    }

    /// Whether the client sends an IGNORE before each message.
    pub(super) const fn set_ignores(&mut self, ignores: bool) {
        self.ignores = ignores;
    }

    /// A record of the client without the IGNORE that goes before it; `None` where it is one.
    fn without_ignore(&mut self, record: &Record, sizes: Sizes) -> Option<Record> {
        let ignore = sizes.packet(payload::IGNORE);
        if !self.ignores || self.ignored.take().is_some_and(|before| record.time - before <= IGNORE_BEFORE) {
            return Some(*record);
        }
        if record.len == ignore {
            self.ignored = Some(record.time);
            return None;
        }
        let len = if record.exact { record.len } else { record.len.checked_sub(ignore).unwrap_or(record.len) };
        Some(Record { len, ..*record })
    }

    /// The server wrote this to a session that is open, and may have a terminal.
    pub(super) fn on_written(&mut self, record: &Record, sizes: Sizes) {
        if record.len >= sizes.key() {
            self.eager.on_output(record.time);
        }
    }

    /// Takes a server record into account.
    pub(super) fn on_output(&mut self, record: &Record, sizes: Sizes) -> Output {
        let quiet = self.last.is_none_or(|last| record.time - last > RUN_PAUSE);
        let data = sizes.most_data(record.len);
        self.run = if quiet { data } else { self.run.saturating_add(data) };
        self.since_adjust = self.since_adjust.saturating_add(data);
        self.last = Some(record.time);
        let requests = [payload::GLOBAL_KEEPALIVE, payload::CHANNEL_KEEPALIVE];
        let asks = quiet && requests.iter().any(|request| record.len == sizes.packet(*request));
        self.asked = asks.then_some(record.time);
        let kind = if record.len < sizes.key() {
            OutputKind::Status
        } else if record.len == sizes.key() {
            OutputKind::Echo
        } else if sizes.is_sequence(record.len) {
            OutputKind::Redraw
        } else {
            OutputKind::Text
        };
        Output { time: record.time, acked: record.acked, bytes: record.len, kind }
    }

    /// What a client record can be; `None` where it is none of a user's.
    ///
    /// `rtt` is the client-side round trip, where known.
    pub(super) fn classify(&mut self, record: &Record, sizes: Sizes, rtt: Option<Span>) -> Option<Input> {
        let record = &self.without_ignore(record, sizes)?;
        let asked = self.asked.take().filter(|&asked| record.time - asked <= REPLY_WITHIN);
        if record.len < sizes.key() {
            return None; // shorter than any data
        }
        let may_be_adjust = record.len == sizes.packet(payload::WINDOW_ADJUST);
        if may_be_adjust && (self.takes_adjust(record.time, rtt) || self.eager.takes(record.time, rtt)) {
            return None;
        }
        let (kind, bytes) = kind_of(record, sizes)?;
        let doubt = if asked.is_some() && record.len == sizes.packet(payload::CHANNEL_STATUS) {
            Doubt::Reply
        } else if record.len == sizes.packet(payload::GLOBAL_KEEPALIVE) {
            Doubt::KeepAlive
        } else {
            Doubt::None
        };
        Some(Input { time: record.time, sent: record.sent, end: record.end, bytes, data: sizes.data_range(bytes), kind, doubt })
    }

    /// Whether the client owes the server a window adjustment by now; one packet pays it.
    fn takes_adjust(&mut self, now: Timestamp, rtt: Option<Span>) -> bool {
        let rtt = rtt.unwrap_or(UNKNOWN_RTT);
        let flowing = self.last.is_some_and(|last| now - last <= rtt + Span::from_nanos(rtt.as_nanos() / 4) + ADJUST_WITHIN);
        let owed =
            flowing && (self.since_adjust >= ADJUST_AFTER || (self.run >= ADJUST_IN_BULK && self.since_adjust >= ADJUST_IN_BULK));
        if owed {
            self.since_adjust = 0;
        }
        owed
    }
}

/// The kind of a client record, and the length of one of its messages.
fn kind_of(record: &Record, sizes: Sizes) -> Option<(InputKind, u32)> {
    let (len, key) = (record.len, sizes.key());
    if len == key {
        return Some((if sizes.shows_sequences() { InputKind::Char } else { InputKind::Key }, len));
    }
    if sizes.is_sequence(len) {
        return Some((InputKind::Sequence, len));
    }
    if record.exact {
        return Some((InputKind::Bulk, len));
    }
    let one_packet = sizes.is_packet(len);
    match keys_in(len, sizes) {
        Some(count) if one_packet => Some((InputKind::KeysOrBulk(count), key)),
        Some(count) => Some((InputKind::Keys(count), key)),
        // Whole packets, but not of one key each: more than typing either way.
        None => Some((InputKind::Bulk, len)),
    }
}

/// Into how many packets of one key each a segment can be taken apart; the fewest.
fn keys_in(len: u32, sizes: Sizes) -> Option<u8> {
    let (key, sequence) = (sizes.key(), sizes.data(3));
    (2..=MAX_KEYS).find_map(|count| {
        let rest = len.checked_sub(key * count)?;
        let step = sequence - key;
        let fits = if step == 0 { rest == 0 } else { rest.is_multiple_of(step) && rest / step <= count };
        fits.then(|| u8::try_from(count).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SeqNumber;

    fn record(len: u32, millis: i64) -> Record {
        Record { len, exact: false, time: Timestamp::from_nanos(millis * 1_000_000), end: SeqNumber(0), acked: None, sent: None }
    }

    fn chacha() -> Sizes {
        Sizes::of("chacha20-poly1305@openssh.com", "", "none").unwrap()
    }

    fn kind(cipher: &str, mac: &str, len: u32) -> Option<InputKind> {
        let sizes = Sizes::of(cipher, mac, "none").unwrap();
        OutputMemory::default().classify(&record(len, 0), sizes, None).map(|input| input.kind)
    }

    #[test]
    fn one_key_or_several_or_more_than_that() {
        let chacha = |len| kind("chacha20-poly1305@openssh.com", "", len);
        assert_eq!(chacha(28), None);
        assert_eq!(chacha(36), Some(InputKind::Char));
        assert_eq!(chacha(44), Some(InputKind::Sequence));
        assert_eq!(chacha(72), Some(InputKind::Keys(2)));
        assert_eq!(chacha(80), Some(InputKind::Keys(2)));
        assert_eq!(chacha(108), Some(InputKind::KeysOrBulk(3)));
        assert_eq!(chacha(60), Some(InputKind::Bulk));
        assert_eq!(chacha(200), Some(InputKind::Bulk), "two packets, but not of one key each");
        assert_eq!(kind("aes128-ctr", "hmac-sha2-512", 96), Some(InputKind::Key));
        assert_eq!(kind("aes128-ctr", "hmac-sha2-512", 192), Some(InputKind::KeysOrBulk(2)));
    }

    #[test]
    fn a_window_adjustment_is_owed_after_much_output_and_only_then() {
        let rtt = Some(Span::from_millis(30));
        let mut memory = OutputMemory::default();
        for i in 0..40 {
            memory.on_output(&record(1448, 900 + i), chacha());
        }
        let mut thoughtful = memory.clone();
        assert!(thoughtful.classify(&record(36, 1_200), chacha(), rtt).is_some(), "a person takes longer than a program");
        assert_eq!(memory.classify(&record(36, 975), chacha(), rtt), None, "56 kB of output: the window grows");
        assert!(memory.classify(&record(36, 976), chacha(), rtt).is_some(), "paid: this one is a key");
        for i in 0..5 {
            memory.on_output(&record(1448, 1_100 + i), chacha());
        }
        assert!(memory.classify(&record(36, 1_130), chacha(), rtt).is_some(), "a screen of output is not a transfer");
    }

    #[test]
    fn what_is_to_be_ignored_goes_before_each_key() {
        let mut memory = OutputMemory::default();
        memory.set_ignores(true);
        // In a segment of its own, in one with the key, and after one that was not captured.
        let segments = [(36, 0), (36, 1), (72, 200), (36, 400), (36, 401), (36, 700), (36, 900), (36, 901)];
        let kinds = segments.map(|(len, ms)| memory.classify(&record(len, ms), chacha(), None).map(|input| input.kind));
        let key = Some(InputKind::Char);
        assert_eq!(kinds, [None, key, key, None, key, None, None, key]);
    }

    #[test]
    fn echoes_alone_never_fill_the_window() {
        let mut memory = OutputMemory::default();
        for i in 0..5_000 {
            memory.on_output(&record(36, i * 100), chacha());
            assert!(memory.classify(&record(36, i * 100 + 50), chacha(), None).is_some(), "key {i}");
        }
    }

    #[test]
    fn an_answer_to_a_keep_alive_is_in_doubt() {
        let mut memory = OutputMemory::default();
        memory.on_output(&record(60, 0), chacha());
        assert_eq!(memory.classify(&record(36, 30), chacha(), None).map(|input| input.doubt), Some(Doubt::Reply));
        assert_eq!(memory.classify(&record(36, 60), chacha(), None).map(|input| input.doubt), Some(Doubt::None));
    }
}
