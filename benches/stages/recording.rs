//! Captures in memory.

use keywitness::{
    time::Timestamp,
    wire::{Batch, Frame, FrameMeta, LinkType},
};

use crate::{
    is_measured,
    traffic::{self, Kind, pcap},
};

/// Frames in a batch: as many as a reader hands on.
const BATCH: usize = keywitness::capture::BATCH;

/// Frames, and where each one lies.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) data: Vec<u8>,
    pub(crate) frames: Vec<FrameMeta>,
}

impl Recording {
    /// About so many packets of a kind; fewer where nothing is measured.
    pub(crate) fn of(kind: Kind, scale: f64) -> Self {
        let mut recording = Self::default();
        traffic::generate(kind, if is_measured() { scale } else { scale / 20.0 }, |time, frame| recording.push(time, frame));
        recording
    }

    pub(crate) fn push(&mut self, time: i64, frame: &[u8]) {
        self.frames.push(FrameMeta {
            time: Timestamp::from_nanos(time),
            offset: self.data.len() as u32,
            captured_len: frame.len() as u32,
            original_len: frame.len() as u32,
            link: LinkType::Ethernet,
        });
        self.data.extend(frame);
    }

    pub(crate) const fn len(&self) -> u64 {
        self.frames.len() as u64
    }

    pub(crate) fn batches(&self) -> impl Iterator<Item = Batch<'_>> {
        let of = |(nth, frames)| Batch { first_number: (nth * BATCH) as u64, input: 0, data: &self.data, frames };
        self.frames.chunks(BATCH).enumerate().map(of)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Frame<'_>> {
        self.batches().flat_map(|batch| batch.iter())
    }

    /// The frames that are wanted, made into others.
    pub(crate) fn map(&self, change: impl Fn(&Frame<'_>) -> Option<Vec<u8>>) -> Self {
        let mut changed = Self::default();
        for frame in self.iter() {
            if let Some(bytes) = change(&frame) {
                changed.push(frame.time.as_nanos(), &bytes);
            }
        }
        changed
    }

    /// As a file.
    pub(crate) fn pcap(&self) -> Vec<u8> {
        let mut file = pcap::header().to_vec();
        for frame in self.iter() {
            file.extend(pcap::record(frame.time.as_nanos(), frame.bytes.len()));
            file.extend(frame.bytes);
        }
        file
    }
}
