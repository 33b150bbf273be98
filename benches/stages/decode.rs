//! Decoding: the usual frame, and those that take more.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use etherparse::{IpNumber, PacketBuilder};
use keywitness::wire::{Frame, Transport, decode, decode_tunnel};

use crate::{recording::Recording, traffic::Kind};

const IPV4: [u8; 2] = [8, 0];

pub(crate) fn stage(criterion: &mut Criterion) {
    let mix = Recording::of(Kind::Mix, 0.03);
    let if_ipv4 = |frame: &Frame<'_>, is_ipv4: bool| (is_ipv4 == (frame.bytes[12..14] == IPV4)).then(|| frame.bytes.to_vec());
    let mut cut = mix.map(|frame| Some(frame.bytes[..frame.bytes.len().min(60)].to_vec()));
    cut.frames.iter_mut().zip(&mix.frames).for_each(|(cut, whole)| cut.original_len = whole.original_len);
    let kinds = [
        ("plain", mix.map(|frame| if_ipv4(frame, true))),
        ("ipv6", mix.map(|frame| if_ipv4(frame, false))),
        ("vlan", mix.map(|frame| Some(on_vlan(frame.bytes)))),
        ("cut", cut),
        ("gre", mix.map(|frame| if_ipv4(frame, true).map(|_| in_tunnel(&frame.bytes[14..])))),
    ];
    let mut group = criterion.benchmark_group("decode");
    for (name, recording) in kinds {
        // A short one stays in the cache: this is what decoding takes, not memory.
        let frames: Vec<_> = recording.iter().take(1_000).collect();
        assert!(frames.iter().all(|frame| is_decoded(frame) || name == "cut"), "{name}");
        group.throughput(Throughput::Elements(frames.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| frames.iter().filter(|frame| is_decoded(black_box(frame))).count());
        });
    }
    group.finish();
}

/// Whether ports are found, if need be in a tunnel.
fn is_decoded(frame: &Frame<'_>) -> bool {
    let Ok(packet) = decode(frame) else { return false };
    match &packet.transport {
        Transport::Tunnel(tunnel) => decode_tunnel(frame, &packet, tunnel).is_ok_and(|inner| has_ports(&inner.transport)),
        transport => has_ports(transport),
    }
}

const fn has_ports(transport: &Transport<'_>) -> bool {
    matches!(transport, Transport::Tcp(_) | Transport::Udp(_))
}

fn on_vlan(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, 42], &frame[12..]].concat()
}

/// An IPv4 packet within GRE (RFC 2784).
fn in_tunnel(ip: &[u8]) -> Vec<u8> {
    let payload = [&[0, 0, 8, 0], ip].concat();
    let mut frame = Vec::new();
    let outer = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 60);
    outer.write(&mut frame, IpNumber::GRE, &payload).unwrap();
    frame
}
