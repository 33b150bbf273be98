//! Segments of a session that wait to be worked through together.
//!
//! A session takes some kilobytes, and of thousands of sessions none is near when its packet comes: to wait for memory takes
//! longer than all the work. So where nobody needs to know at once, what matters of a segment is noted, all in one place, and
//! the session takes in several together. What comes out is the same as if it had taken in each when it came.

use super::{Engine, candidate::Candidate, losses::Losses, session::Scratch};
use crate::{
    flow::{Arrival, Envelope, FlowId, Shard, Side, per_shard, prefetch},
    time::Timestamp,
    wire::{SeqNumber, TcpFlags, TcpSegment},
};

/// Segments that wait at most: with more of them nothing is gained.
const MOST: usize = 32;

/// So many places before the last the session is fetched.
const SOON: usize = 2;

/// Bytes of payload that wait at most, where they are read.
const MOST_BYTES: usize = 2_048;

/// Length of the options that nearly every segment has: time stamps (RFC 7323, appendix A).
const OPTIONS: usize = 12;

/// What matters of a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Note {
    time: Timestamp,
    seq: SeqNumber,
    ack: SeqNumber,
    payload_len: u32,
    frame_len: u32,
    identification: u16,
    window: u16,
    options: [u8; OPTIONS],
    has_options: bool,
    flags: TcpFlags,
    from_server: bool,
}

/// What waits of one session; none does before it was opened.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The first `noted` of them wait.
    notes: Option<Box<[Note; MOST]>>,
    /// Payload of the segments that wait, one behind the other, where it is read: the first `held` bytes.
    bytes: Option<Box<[u8; MOST_BYTES]>>,
    noted: u16,
    held: u16,
    /// Frames that the sensor had seen by the last of them.
    packets: u64,
}

impl Backlog {
    /// What one takes at most, beside itself.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = MOST * size_of::<Note>() + MOST_BYTES;

    /// Segments may wait from now on; `reads_bytes` says whether what they carry matters, besides how much it is.
    pub(super) fn open(&mut self, reads_bytes: bool) {
        if self.notes.is_none() {
            self.notes = Some(Box::new([Note::default(); MOST]));
            self.bytes = reads_bytes.then(|| Box::new([0; MOST_BYTES]));
        }
    }

    /// Has that place fetched where the next segment will be noted; false where the session will have to take in what there is.
    #[inline]
    pub(super) fn expect(&self) -> bool {
        if let Some(place) = self.bytes.as_ref().and_then(|bytes| bytes.get(usize::from(self.held)..)?.first_chunk::<64>()) {
            prefetch(place);
        }
        let Some(notes) = &self.notes else { return false };
        notes.get(usize::from(self.noted)).into_iter().for_each(prefetch);
        usize::from(self.noted) + SOON < MOST
    }

    /// Whether a segment can wait; it does then. Not those that begin or end a connection, nor unusual ones, nor one more than
    /// there is room for.
    #[inline(always)] // a segment is taken apart as it was put together: in registers
    pub(super) fn takes(&mut self, side: Side, segment: &TcpSegment<'_>, envelope: &Envelope, packets: u64) -> bool {
        let flags = segment.flags;
        let controls = flags.has(TcpFlags::SYN) || flags.has(TcpFlags::FIN) || flags.has(TcpFlags::RST);
        let place = self.notes.as_mut().and_then(|notes| notes.get_mut(usize::from(self.noted)));
        let Some(place) = place.filter(|_| !controls) else { return false };
        let options = match (segment.options.first_chunk(), segment.options.len()) {
            (None, 0) => [0; OPTIONS],
            (Some(options), OPTIONS) => *options,
            _ => return false,
        };
        if let Some(bytes) = &mut self.bytes {
            let len = segment.payload.len();
            let room = bytes.get_mut(usize::from(self.held)..).and_then(|room| room.get_mut(..len));
            let Some(room) = room.filter(|_| len == segment.payload_len as usize) else { return false };
            room.copy_from_slice(segment.payload);
            self.held += len as u16; // at most MOST_BYTES
        }
        *place = Note {
            time: envelope.time,
            seq: segment.seq,
            ack: segment.ack,
            payload_len: segment.payload_len,
            frame_len: envelope.frame_len,
            identification: envelope.identification,
            window: segment.window,
            options,
            has_options: !segment.options.is_empty(),
            flags,
            from_server: side == Side::Server,
        };
        self.noted += 1;
        self.packets = packets;
        true
    }
}

impl Note {
    /// The segment, but for its ports.
    fn segment<'a>(&'a self, payload: &'a [u8]) -> TcpSegment<'a> {
        TcpSegment {
            src_port: 0,
            dst_port: 0,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            options: if self.has_options { &self.options } else { &[] },
            payload,
            payload_len: self.payload_len,
        }
    }
}

impl Engine {
    /// Has a session take in what waits.
    pub(super) fn catch_up(&mut self, id: FlowId) {
        let Some(flow) = self.table.get_mut(id) else { return };
        let shard = flow.shard();
        let Some(candidate) = flow.attached.as_deref_mut().filter(|candidate| candidate.backlog.noted > 0) else { return };
        let room = per_shard(self.limits.max_waiting).saturating_sub(self.shards.of(shard).waiting);
        let done = candidate.catch_up(room, &mut self.scratch);
        self.note_done(shard, &done);
    }

    /// The same for one that has left the table.
    pub(super) fn catch_up_with(&mut self, shard: Shard, candidate: &mut Candidate) {
        if candidate.backlog.noted > 0 {
            let room = per_shard(self.limits.max_waiting).saturating_sub(self.shards.of(shard).waiting);
            let done = candidate.catch_up(room, &mut self.scratch);
            self.note_done(shard, &done);
        }
    }

    fn note_done(&mut self, shard: Shard, done: &Done) {
        self.counters.duplicated += done.copies;
        self.shards.change_waiting(shard, done.held_before, done.held);
    }
}

/// What became of segments that waited.
struct Done {
    /// How many of them were copies.
    copies: u64,
    /// Bytes that waited behind holes before and after them.
    held_before: usize,
    held: usize,
}

impl Candidate {
    /// Takes in what waits. `room` is for bytes behind holes.
    #[inline(never)]
    fn catch_up(&mut self, room: usize, scratch: &mut Scratch) -> Done {
        let mut backlog = std::mem::take(&mut self.backlog);
        let held_before = self.session.as_ref().map_or(0, |session| session.held_memory());
        let mut done = Done { copies: 0, held_before, held: held_before };
        let mut bytes = backlog.bytes.as_ref().map(|bytes| bytes.as_slice()).unwrap_or_default();
        for note in backlog.notes.iter().flat_map(|notes| notes.iter()).take(usize::from(backlog.noted)) {
            // Nothing is held where nothing is read.
            let (payload, rest) = bytes.split_at_checked(note.payload_len as usize).unwrap_or_default();
            bytes = rest;
            let segment = note.segment(payload);
            let side = if note.from_server { Side::Server } else { Side::Client };
            let arrival = self.observe(side, &segment, note.identification, note.time, note.frame_len);
            done.copies += u64::from(arrival == Arrival::Duplicate);
            if let Some(least) = &mut self.least {
                least.on_segment(side, &segment, arrival, note.time);
            }
            if let Some(session) = &mut self.session {
                session.on_deadline(note.time, scratch); // see `Engine::handle_session`
                session.set_room(side, (room + held_before).saturating_sub(done.held));
                session.on_segment(side, &segment, arrival, note.time, scratch);
                done.held = session.held_memory();
                session.take_keystrokes(scratch, false, |_, _| {}); // nobody asked for them
            }
        }
        if let Some(session) = &mut self.session {
            session.losses.on_segment(Losses::default(), backlog.packets); // nothing waits once something was lost
        }
        (backlog.noted, backlog.held) = (0, 0);
        self.backlog = backlog;
        done
    }
}
