//! The laboratory's captures as frames and as TCP segments.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use keywitness::{
    capture::{Merge, Outcome},
    wire::{Transport, decode},
};

use super::common::{Shot, Tcp};

/// Where a capture lies.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("pcaps").join(format!("{name}.pcap"))
}

/// All frames of a capture.
pub(crate) fn capture(name: &str) -> Vec<Shot> {
    let mut merge = Merge::new([path(name)]);
    let mut shots = Vec::new();
    while let Some(batch) = merge.next_batch() {
        shots.extend(batch.iter().map(|frame| Shot {
            time: frame.time,
            link: frame.link,
            bytes: frame.bytes.to_vec(),
            original_len: frame.original_len,
        }));
    }
    assert!(
        merge.finish().iter().all(|input| matches!(input.outcome, Outcome::Whole) && input.frames > 0),
        "{name} reads to its end"
    );
    shots
}

/// All frames of a capture, which holds nothing but TCP over IPv4 over Ethernet.
pub(crate) fn segments(name: &str) -> Vec<Tcp> {
    capture(name).iter().map(|shot| tcp(shot).unwrap()).collect()
}

fn tcp(shot: &Shot) -> Option<Tcp> {
    let packet = decode(&shot.frame(0)).ok()?;
    let Transport::Tcp(segment) = packet.transport else { return None };
    let mac = packet.mac?;
    Some(Tcp {
        time: shot.time,
        mac: [mac.source, mac.destination?],
        source: (v4(packet.ip.source.into())?, segment.src_port),
        destination: (v4(packet.ip.destination.into())?, segment.dst_port),
        id: packet.ip.identification,
        seq: segment.seq.0,
        ack: segment.ack.0,
        flags: segment.flags.0,
        window: segment.window,
        options: segment.options.to_vec(),
        payload: segment.payload.to_vec(),
    })
}

const fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}
