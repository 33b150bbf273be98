//! Captures as owned packets, read and written in the classic format.

use std::fs;

use super::program::repository;

/// A captured Ethernet frame, whole.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) bytes: Vec<u8>,
}

/// A variant of the format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classic {
    pub(crate) big_endian: bool,
    pub(crate) microseconds: bool,
}

/// A capture in `pcaps`: little-endian, nanoseconds, Ethernet, nothing cut.
pub(crate) fn read(name: &str) -> Vec<Packet> {
    let bytes = fs::read(repository().join(format!("pcaps/{name}.pcap"))).unwrap();
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((u32_at(0), u32_at(20)), (0xa1b2_3c4d, 1), "{name}");
    let mut packets = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let [seconds, nanos, captured, original] = [0, 4, 8, 12].map(|offset| u32_at(at + offset));
        assert_eq!(captured, original, "{name} is not cut");
        let end = at + 16 + captured as usize;
        let time = u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
        packets.push(Packet { time, bytes: bytes[at + 16..end].to_vec() });
        at = end;
    }
    packets
}

impl Classic {
    /// A file of these packets.
    pub(crate) fn write(self, packets: &[Packet]) -> Vec<u8> {
        let magic = if self.microseconds { 0xa1b2_c3d4 } else { 0xa1b2_3c4d };
        let unit = if self.microseconds { 1000 } else { 1 };
        // Version 2.4 is two numbers of 16 bits.
        let version = if self.big_endian { 0x0002_0004 } else { 0x0004_0002 };
        let mut file = self.u32s([magic, version, 0, 0, 0x4_0000, 1]);
        for packet in packets {
            let (seconds, nanos) = (packet.time / 1_000_000_000, packet.time % 1_000_000_000);
            let length = packet.bytes.len() as u32;
            file.extend(self.u32s([seconds as u32, nanos as u32 / unit, length, length]));
            file.extend(&packet.bytes);
        }
        file
    }

    fn u32s<const N: usize>(self, numbers: [u32; N]) -> Vec<u8> {
        numbers.iter().flat_map(|number| if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }).collect()
    }
}
