//! One capture file or stream: which format it is, and its frames in the order in which they lie there.

mod buffer;
mod error;
mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;
mod unpack;
#[cfg(test)]
mod unpack_tests;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::mem;
use std::path::Path;
use std::sync::Arc;

use self::buffer::Buffer;
pub use self::error::{CaptureError, FirstBytes};
use self::pcap::Pcap;
use self::pcapng::Pcapng;
pub use self::unpack::UnpackError;
use self::unpack::{Compression, Unpack};
use super::meter::Meter;
use crate::time::Timestamp;
use crate::wire::{Batch, FrameMeta};

/// Frames that a [`Reader`] walks over at a time, and so the most in one [`Batch`].
pub const BATCH: usize = 256;

/// Bytes that one pcapng block, or the captured bytes of one pcap record, may take: 16 MiB, as in
/// Wireshark. A record beyond it ends the input with an error. Classic pcap is bound further, by the
/// snaplen of its header or 256 KiB, whichever is more: so a damaged length is noticed earlier.
pub const MAX_RECORD: u32 = 16 * 1024 * 1024;

/// Bytes per `read`: from 256 to 512 KiB measured fastest, as the buffer then stays in the L2 cache.
const READ_SIZE: usize = 256 * 1024;

/// Bytes that are awaited before the format is told: the smaller of the two file headers (24 and 28).
const SNIFF: usize = pcap::FILE_HEADER;

/// A walk over one capture, by pulling: [`fill`](Reader::fill), look at
/// [`head_time`](Reader::head_time), [`take`](Reader::take), and again until `fill` says false.
///
/// Frames come in file order, which need not be time order. Memory is one buffer of 256 KiB, more only
/// for a single record or block that is larger ([`MAX_RECORD`]) and while frames are lent to several engines, and up to [`BATCH`]
/// frame places. A compressed
/// input takes a second buffer and its decompressor: 64 KiB for gzip; for zstd the window that the file asks for, which is 8
/// MiB at most unless it was made with `--long` or `--ultra`, and never more than 128 MiB.
pub struct Reader {
    name: String,
    size: Option<u64>,
    buffer: Buffer,
    format: Option<Format>, // none until the first bytes are there
    frames: Vec<FrameMeta>,
    next: usize, // first pending frame
    ended: bool, // the end or an error was reached: nothing more will be read
    unpacked: bool,
}

impl Reader {
    /// Opens a file. Its format is found out when it is first filled.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Open`] with what the system said.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::open_with(path, READ_SIZE)
    }

    /// Like [`Reader::open`], with reads of `read_size` bytes, for a look at the first frame only.
    pub(super) fn open_with(path: &Path, read_size: usize) -> Result<Self, CaptureError> {
        let file = File::open(path).map_err(|source| CaptureError::Open { source })?;
        let name = path.display().to_string();
        let size = file.metadata().ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
        Ok(Self { size, ..Self::with_read_size(name, Box::new(file), read_size) })
    }

    /// Reads standard input, under the name `-`.
    #[must_use]
    pub fn stdin() -> Self {
        Self::from_stream("-", Box::new(io::stdin()))
    }

    /// Reads any stream; it is never asked to seek. `name` is for whoever reports on it.
    #[must_use]
    pub fn from_stream(name: impl Into<String>, stream: Box<dyn Read + Send>) -> Self {
        Self::with_read_size(name.into(), stream, READ_SIZE)
    }

    fn with_read_size(name: String, stream: Box<dyn Read + Send>, read_size: usize) -> Self {
        Self {
            name,
            size: None,
            buffer: Buffer::new(stream, read_size),
            format: None,
            frames: Vec::with_capacity(BATCH),
            next: 0,
            ended: false,
            unpacked: false,
        }
    }

    /// Counts what is read; to be called before anything is.
    pub(super) fn metered(mut self, meter: &Meter) -> Self {
        self.buffer.wrap(|stream| meter.on(stream));
        self
    }

    /// Bytes of the input as it lies there, when it was opened; none for a stream.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// The name of the input.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sees to it that a frame is pending, reading on where none is; false at the end of the input, and
    /// ever after. Blocks only if no whole frame has arrived yet.
    ///
    /// # Errors
    ///
    /// Whatever ended the input before its proper end, told once, after the last whole frame before it was
    /// taken; from then on the reader is at its end.
    pub fn fill(&mut self) -> Result<bool, CaptureError> {
        if self.next < self.frames.len() {
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        self.frames.clear();
        self.next = 0;
        let more = self.walk();
        self.ended = !matches!(more, Ok(true));
        more
    }

    /// Time of the first pending frame; none where [`Reader::fill`] has to be called first.
    #[must_use]
    pub fn head_time(&self) -> Option<Timestamp> {
        self.frames.get(self.next).map(|frame| frame.time)
    }

    /// Takes pending frames from the front, in file order: at most `max`, and none from the first that
    /// is later than `until`. The first pending frame is always taken, so a batch is empty
    /// only if none is pending. `first_number` becomes the number of the first frame.
    pub fn take(&mut self, until: Timestamp, max: usize, first_number: u64) -> Batch<'_> {
        let pending = self.frames.get(self.next..).unwrap_or_default();
        let within = pending.iter().take(max);
        let run = within.take_while(|frame| frame.time <= until).count();
        let run = run.max(1).min(pending.len());
        let frames = pending.get(..run).unwrap_or_default();
        self.next = self.next.saturating_add(run);
        Batch { first_number, input: 0, data: self.buffer.held(), frames }
    }

    /// The bytes that the frames which were taken last lie in, to be kept: the reader then goes on in another buffer.
    pub(super) fn lend(&self) -> Arc<Vec<u8>> {
        self.buffer.lend()
    }

    /// Walks on until a frame is pending. An error behind whole frames is left lying: the next walk begins
    /// there and meets it again.
    fn walk(&mut self) -> Result<bool, CaptureError> {
        loop {
            let walked = match &mut self.format {
                Some(Format::Pcap(pcap)) => pcap.walk(self.buffer.unread(), &mut self.frames),
                Some(Format::Pcapng(pcapng)) => pcapng.walk(self.buffer.unread(), &mut self.frames),
                None => {
                    self.detect()?;
                    continue;
                }
            };
            self.buffer.consume(walked.used);
            if !self.frames.is_empty() {
                return Ok(true);
            }
            match walked.stop {
                Stop::Full => {}
                Stop::Bad(error) => return Err(error),
                Stop::Short { what, need } => {
                    if !self.buffer.read_more(need)? {
                        return self.at_end(what, need);
                    }
                }
            }
        }
    }

    /// Finds the format by the first bytes. Where these are of compressed data, the format is found in what it holds, next time.
    fn detect(&mut self) -> Result<(), CaptureError> {
        while self.buffer.unread().bytes.len() < SNIFF && self.buffer.read_more(SNIFF)? {}
        let bytes = self.buffer.unread().bytes;
        if let Some(pcap) = Pcap::detect(bytes) {
            self.format = Some(Format::Pcap(pcap?));
            self.buffer.consume(pcap::FILE_HEADER);
            Ok(())
        } else if let Some(pcapng) = Pcapng::detect(bytes) {
            self.format = Some(Format::Pcapng(pcapng));
            Ok(())
        } else if bytes.is_empty() {
            Err(CaptureError::Empty)
        } else if let Some(compression) = Compression::of(bytes) {
            self.unpack(compression)
        } else {
            let first = FirstBytes::of(bytes);
            Err(CaptureError::NotACapture { first })
        }
    }

    /// Puts a decompressor between the stream and the walk. Only once: otherwise a few bytes could keep it busy for ages.
    fn unpack(&mut self, compression: Compression) -> Result<(), CaptureError> {
        let kind = compression.name();
        if mem::replace(&mut self.unpacked, true) {
            return Err(CaptureError::CompressedTwice { kind });
        }
        if !compression.is_supported() {
            return Err(CaptureError::Compressed { kind });
        }
        let capacity = self.buffer.capacity();
        let packed = mem::replace(&mut self.buffer, Buffer::new(Box::new(io::empty()), 1));
        self.buffer = Buffer::new(Box::new(Unpack::new(packed)), capacity);
        Ok(())
    }

    /// The stream has ended: between two items, or inside of one.
    fn at_end(&self, what: &'static str, need: usize) -> Result<bool, CaptureError> {
        let window = self.buffer.unread();
        if window.bytes.is_empty() {
            return Ok(false);
        }
        Err(CaptureError::Truncated { offset: window.offset, what, need: need as u64, have: window.bytes.len() as u64 })
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("name", &self.name)
            .field("format", &self.format)
            .field("pending", &self.frames.len().saturating_sub(self.next))
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// The format of an input and where the walk over it stands.
#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// How far a walk came, and why not further.
struct Walked {
    /// Bytes that were dealt with, from the front of the window.
    used: usize,
    /// What lies behind them.
    stop: Stop,
}

/// Why a walk stopped.
enum Stop {
    /// A batch is full.
    Full,
    /// The next item needs this many bytes in all, and so many are not there.
    Short { what: &'static str, need: usize },
    /// The next item is damaged.
    Bad(CaptureError),
}

/// Byte order of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    const fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }
}
