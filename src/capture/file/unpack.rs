//! Decompression on the way from the stream to the walk, in memory that no input can make grow.
//!
//! gzip (RFC 1952) and zstd (RFC 8878) are read: any number of gzip members and zstd frames one after the other,
//! skippable frames among them, as `cat`, `pigz`, `bgzip` and `pzstd` make them. Zeros behind the last one are padding, as gzip
//! has it.
//!
//! A bomb is only slow: nothing is kept of what was decompressed, whatever it amounts to, and a window beyond [`MAX_WINDOW_LOG`]
//! is refused.

use std::io::{self, ErrorKind, Read};
use std::mem;

use flate2::bufread::GzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::FirstBytes;
use super::buffer::Buffer;

/// Largest window of a zstd frame, as a power of two: 128 MiB, as in `zstd -d` and in browsers; `zstd --long` needs all of it.
const MAX_WINDOW_LOG: u32 = 27;

/// The longest [magic number](MAGICS).
const MAGIC: usize = 6;

/// How compressed data begins. None begins with a zero, which would be padding.
const MAGICS: [(&[u8], Compression); 5] = [
    (&[0x1f, 0x8b], Compression::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0x00], Compression::Other("xz")),
    (&[0x04, 0x22, 0x4d, 0x18], Compression::Other("lz4")),
    (b"BZh", Compression::Other("bzip2")),
];

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    /// Known by name only.
    Other(&'static str),
}

impl Compression {
    /// What these first bytes belong to.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let known = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, compression)| *compression);
        // A skippable frame, RFC 8878 §3.1.2: magics 0x184D2A50 to 0x184D2A5F. pzstd begins with one.
        let is_skippable = matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        if is_skippable { Some(Self::Zstd) } else { known }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Other(name) => name,
        }
    }

    pub(super) const fn is_supported(self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

/// Why compressed data was not read to its proper end. Offsets count bytes of the compressed input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It ends too early. All that could be decompressed was delivered.
    #[error("cut short: the {kind} data ends early, at byte {offset} of the compressed input")]
    Cut {
        /// Name of the compression.
        kind: &'static str,
        /// Where it ends.
        offset: u64,
    },
    /// It cannot be decompressed any further.
    #[error("damaged: {kind} data near byte {offset} of the compressed input: {reason}")]
    Damaged {
        /// Name of the compression.
        kind: &'static str,
        /// How far it was read.
        offset: u64,
        /// What the decompressor says.
        reason: String,
    },
    /// Something else follows it.
    #[error("garbage follows the {kind} data, from byte {offset} of the compressed input on, and was left out: {first}")]
    Garbage {
        /// Name of the compression.
        kind: &'static str,
        /// Where it begins.
        offset: u64,
        /// How it begins.
        first: FirstBytes,
    },
}

/// The decompressed bytes of a compressed stream. An error is told once, after the last byte before it.
pub(super) struct Unpack {
    /// Of the part that was begun last.
    kind: &'static str,
    stage: Stage,
}

enum Stage {
    /// Before a part, or behind the last one.
    Between(Buffer),
    Gzip(Box<GzDecoder<Buffer>>),
    Zstd(Box<ZstdDecoder<'static, Buffer>>),
    Ended,
}

impl Unpack {
    /// Of a stream that begins with compressed data that is [supported](Compression::is_supported).
    pub(super) const fn new(packed: Buffer) -> Self {
        Self { kind: "compressed", stage: Stage::Between(packed) }
    }

    /// What the decompressor gives, nothing at the end of a part.
    fn read_part(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (count, offset) = match &mut self.stage {
            Stage::Gzip(decoder) => (decoder.read(into), decoder.get_ref().unread().offset),
            Stage::Zstd(decoder) => (decoder.read(into), decoder.get_ref().unread().offset),
            Stage::Between(_) | Stage::Ended => return Ok(0),
        };
        let kind = self.kind;
        count.map_err(|error| match error.kind() {
            _ if error.raw_os_error().is_some() => error,
            ErrorKind::UnexpectedEof => io::Error::other(UnpackError::Cut { kind, offset }),
            _ => io::Error::other(UnpackError::Damaged { kind, offset, reason: error.to_string() }),
        })
    }

    /// Goes on to the next part; false if there is none.
    fn next_part(&mut self) -> io::Result<bool> {
        let mut packed = match mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Between(packed) => packed,
            Stage::Gzip(decoder) => decoder.into_inner(),
            Stage::Zstd(decoder) => decoder.finish(),
            Stage::Ended => return Ok(false),
        };
        let next = Compression::of(packed.peek(MAGIC)?);
        self.kind = next.filter(|next| next.is_supported()).map_or(self.kind, Compression::name);
        self.stage = match next {
            Some(Compression::Gzip) => Stage::Gzip(Box::new(GzDecoder::new(packed))),
            Some(Compression::Zstd) => Stage::Zstd(Box::new(zstd_frame(packed)?)),
            _ => return self.at_end(packed),
        };
        Ok(true)
    }

    /// Whether it ends here as it should.
    fn at_end(&self, mut packed: Buffer) -> io::Result<bool> {
        let kind = self.kind;
        let rest = packed.peek(MAGIC)?;
        if !rest.is_empty() && MAGICS.iter().any(|(magic, _)| magic.starts_with(rest)) {
            let offset = packed.unread().offset.saturating_add(packed.unread().bytes.len() as u64);
            return Err(io::Error::other(UnpackError::Cut { kind, offset }));
        }
        let offset = packed.unread().offset;
        loop {
            let rest = packed.peek(1)?;
            if rest.is_empty() {
                return Ok(false);
            }
            if rest.iter().any(|&byte| byte != 0) {
                let first = FirstBytes::of(rest);
                return Err(io::Error::other(UnpackError::Garbage { kind, offset, first }));
            }
            let zeros = rest.len();
            packed.consume(zeros);
        }
    }
}

impl Read for Unpack {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !into.is_empty() {
            match self.read_part(into) {
                Ok(0) if self.next_part()? => {}
                Ok(count) => return Ok(count),
                Err(error) => {
                    self.stage = Stage::Ended;
                    return Err(error);
                }
            }
        }
        Ok(0)
    }
}

/// A decompressor of the one frame that comes next.
fn zstd_frame(packed: Buffer) -> io::Result<ZstdDecoder<'static, Buffer>> {
    let mut decoder = ZstdDecoder::with_buffer(packed)?.single_frame();
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(decoder)
}
