//! What can go wrong with one input, told so that the place can be found with a hex viewer.

use std::fmt;
use std::io;

use super::unpack::UnpackError;

/// Why an input could not be read, or not to its end.
///
/// The text names neither file nor input: whoever prints it puts that in front. It is complete in
/// itself, also where it has a source. All offsets count bytes from the start of the input; of a compressed one, from
/// the start of what it holds, except in [`CaptureError::Unpack`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file could not be opened.
    #[error("cannot be opened: {source}")]
    Open {
        /// What the system said.
        source: io::Error,
    },
    /// The system failed to deliver more bytes.
    #[error("reading failed at byte {offset}: {source}")]
    Read {
        /// Bytes read before.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// There is not a single byte.
    #[error("empty: not a single byte")]
    Empty,
    /// The first bytes are of no format that is read.
    #[error("not a capture file: begins with {first}")]
    NotACapture {
        /// What is there instead.
        first: FirstBytes,
    },
    /// The first bytes are those of a file compressed in another way than gzip or zstd.
    #[error("compressed with {kind}, which is not supported: decompress it first")]
    Compressed {
        /// Name of the format.
        kind: &'static str,
    },
    /// What a compressed file holds is compressed once more.
    #[error("compressed twice, inside with {kind}, which is not supported: decompress it first")]
    CompressedTwice {
        /// Name of the inner format.
        kind: &'static str,
    },
    /// The compressed data does not go on to its proper end. What came before was delivered.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A folder in which nothing is.
    #[error("no captures: the folder is empty")]
    EmptyFolder,
    /// A folder in which no file is a capture.
    #[error("no captures: none of the {entries} entries of the folder is one")]
    NoCaptures {
        /// Files and all else that lies in it.
        entries: usize,
    },
    /// Something in a folder that is not a file: another folder, a pipe, a socket, a device.
    #[error("not a file: folders in folders, pipes and devices are not looked into")]
    NotAFile,
    /// A capture of a version that may mean something else by the same bytes.
    #[error("{format} version {major}.{minor} at byte {offset} is not supported")]
    UnsupportedVersion {
        /// Where the file or section header begins.
        offset: u64,
        /// "pcap" or "pcapng".
        format: &'static str,
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// The input ends inside of a header, record or block. Nothing of the cut item was delivered.
    #[error("cut short: {what} at byte {offset} needs {need} bytes, {have} are there")]
    Truncated {
        /// Where the item begins.
        offset: u64,
        /// What was being read.
        what: &'static str,
        /// Bytes of the item as far as they are known to be needed.
        need: u64,
        /// Bytes that are there, fewer than `need`.
        have: u64,
    },
    /// A length field that cannot be true: the input is damaged here, and what follows cannot be found.
    #[error("damaged: {what} at byte {offset} has length {length}, possible are {min} to {max}")]
    BadLength {
        /// Where the item begins.
        offset: u64,
        /// Whose length it is.
        what: &'static str,
        /// What the field says, in bytes.
        length: u32,
        /// The least it can be.
        min: u32,
        /// The most it can be: what the enclosing item leaves, or a limit such as
        /// [`MAX_RECORD`](super::MAX_RECORD).
        max: u32,
    },
    /// A pcapng block whose length at its end is not the one at its front.
    #[error("damaged: block at byte {offset} is {front} bytes long by its front, {back} by its end")]
    LengthMismatch {
        /// Where the block begins.
        offset: u64,
        /// Total length in front, in bytes.
        front: u32,
        /// Total length at the end, in bytes.
        back: u32,
    },
    /// A pcapng section header without the byte-order magic 0x1A2B3C4D in either order.
    #[error("damaged: section at byte {offset} has byte-order magic {magic:#010x}")]
    BadByteOrder {
        /// Where the section header block begins.
        offset: u64,
        /// What is there instead, read as big-endian.
        magic: u32,
    },
    /// A pcapng packet of an interface that its section has not described, so that neither its link
    /// type nor its clock is known.
    #[error("damaged: packet at byte {offset} is of interface {interface}, {known} are described")]
    UnknownInterface {
        /// Where the packet's block begins.
        offset: u64,
        /// The interface it names.
        interface: u32,
        /// Interfaces that the section has described so far.
        known: usize,
    },
    /// A pcapng interface description that cannot be read.
    #[error("damaged: interface description at byte {offset} cannot be read")]
    BadInterface {
        /// Where the block begins.
        offset: u64,
    },
    /// A pcapng section that describes more interfaces than are kept.
    #[error("more than {limit} interfaces in one section, at byte {offset}")]
    TooManyInterfaces {
        /// Where the first description beyond the limit begins.
        offset: u64,
        /// How many are kept.
        limit: usize,
    },
}

impl CaptureError {
    /// Whether this says that there is no capture, rather than that one is damaged or cannot be read.
    pub(in crate::capture) const fn is_no_capture(&self) -> bool {
        matches!(self, Self::NotACapture { .. } | Self::Empty | Self::NotAFile)
    }
}

/// The beginning of something that is not a capture: at most 16 bytes, shown as hex and as text in
/// which everything but printable ASCII is a dot, so that it is safe on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstBytes {
    bytes: [u8; 16],
    len: usize, // in 0..=16
}

impl FirstBytes {
    /// The first bytes of `input`.
    #[must_use]
    pub fn of(input: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let len = input.len().min(bytes.len());
        for (kept, byte) in bytes.iter_mut().zip(input) {
            *kept = *byte;
        }
        Self { bytes, len }
    }
}

impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = || self.bytes.iter().take(self.len);
        for byte in bytes() {
            write!(f, "{byte:02x} ")?;
        }
        f.write_str("(\"")?;
        for &byte in bytes() {
            let shown = if matches!(byte, b' '..=b'~') { byte } else { b'.' };
            write!(f, "{}", char::from(shown))?;
        }
        f.write_str("\")")
    }
}
