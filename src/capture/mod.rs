//! Where frames come from: capture files and streams, read ahead in batches and merged by time. Those of interfaces come by
//! [`live`].
//!
//! ```text
//! path ─▶ Reader ─┐
//! path ─▶ Reader ─┼─▶ Merge ─▶ Batch, Batch, … ─▶ one status per input
//!  -   ─▶ Reader ─┘
//! ```
//!
//! A path is a file, `-`, or a folder, which stands for the captures in it. A [`Reader`] walks one file or stream (classic
//! pcap or pcapng, as it is or compressed with gzip or zstd, told apart by content) and keeps up
//! to [`BATCH`] frames pending in its own buffer. [`Merge`] owns the readers and hands out runs of
//! pending frames in time order, without copying a frame; a [`Selection`] leaves out what was not asked for. Where several
//! engines want all frames, [`Shared`] reads them once. Nothing seeks, so a pipe is as good as a file.
//!
//! Bytes in a capture are hostile: every length is checked against the bytes that are there and
//! against [`MAX_RECORD`], nothing panics, and memory stays bounded whatever a length field says.

mod file;
mod filter;
mod folder;
pub mod live;
mod merge;
mod meter;
#[cfg(test)]
mod samples;
mod selection;
mod shared;

pub use file::{BATCH, CaptureError, FirstBytes, MAX_RECORD, Reader, UnpackError};
pub use filter::{Filter, FilterError};
pub use merge::{InputStatus, Merge, Outcome};
pub use selection::{Selection, TimeRange};
pub use shared::{Piece, Shared, Taker};
