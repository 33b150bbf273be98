//! What the program is held against: reading a capture and doing nothing with it.
//!
//! Each loop runs in a process of its own, so that its CPU time and memory are told as the program's are.

use std::{
    fs::File,
    hint::black_box,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// Bytes per `read`: the fastest, since they stay in the L2 cache.
const READ: usize = 256 * 1024;

/// More than any record has.
const LONGEST: usize = 128 * 1024;

/// Frames and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// libpcap's `pcap_loop` with a callback that counts.
pub(crate) fn bare(path: &Path) -> Result<Counted, pcap::Error> {
    let mut counted = Counted::default();
    pcap::Capture::from_file(path)?.for_each(None, |packet| {
        counted.frames += 1;
        counted.bytes += u64::from(packet.header.caplen);
    })?;
    Ok(counted)
}

/// `read`, a walk from record to record, and a look at the first 64 bytes of each frame. Of classic pcap, little-endian.
pub(crate) fn touch(path: &Path) -> io::Result<Counted> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(24))?;
    let mut buffer = vec![0; READ + LONGEST];
    let (mut counted, mut seen, mut held) = (Counted::default(), 0, 0);
    loop {
        let read = file.read(&mut buffer[held..held + READ])?;
        if read == 0 {
            break;
        }
        held += read;
        let mut rest = &buffer[..held];
        while let Some((header, behind)) = rest.split_first_chunk::<16>() {
            let len = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
            let Some((frame, behind)) = behind.split_at_checked(len) else { break };
            for word in frame[..len.min(64)].as_chunks::<8>().0 {
                seen ^= u64::from_le_bytes(*word);
            }
            counted.frames += 1;
            counted.bytes += len as u64;
            rest = behind;
        }
        let left = rest.len();
        assert!(left <= LONGEST, "a record of more than {LONGEST} bytes");
        buffer.copy_within(held - left..held, 0);
        held = left;
    }
    black_box(seen);
    Ok(counted)
}
