//! Damaged frames as evidence: what is kept is a capture of headers, and under pseudonyms names nobody.

use std::net::IpAddr;

use keywitness::{evidence::SliceLimits, pseudonym::Pseudonyms, wire::Layout};

use super::*;
use common::run_with;

#[test]
fn damaged_frames_as_evidence() {
    let key = b"0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301";
    let pseudonyms = Pseudonyms::parse(key).unwrap();
    let limits = EngineLimits { slices: Some(SliceLimits { first: 8_000, last: 8_000, total: 12_000 }), ..Default::default() };
    let mut partial = 0;
    for (name, mut rng) in names().into_iter().zip((400..).map(Rng::new)) {
        let shots = capture(&name);
        for round in 0..20 {
            let mut damaged = shots.clone();
            for shot in damaged.iter_mut().filter(|shot| shot.bytes.len() > 34) {
                match rng.below(16) {
                    0 => shot.bytes.truncate(rng.below(200)),
                    1 => {
                        // Anything but the addresses.
                        let places: Vec<usize> = (12..26).chain(34..shot.bytes.len().min(100)).collect();
                        shot.bytes[places[rng.below(places.len())]] = rng.next() as u8;
                    }
                    _ => {}
                }
            }
            for session in run_with(limits, &damaged).sessions {
                let slice = session.slice.unwrap();
                assert!(slice.pcap().len() <= 24 + 12_000, "{name}, round {round}");
                partial += u64::from(slice.left_out() > 0);
                let ips = [session.endpoints.client.ip, session.endpoints.server.ip];
                let (open, closed) = (read(&slice.pcap()), read(&slice.pseudonymized(&pseudonyms).pcap()));
                assert!(open.len() as u64 == slice.kept() && closed.len() <= open.len());
                for shot in open.iter().chain(&closed) {
                    assert_eq!(
                        Layout::of(shot.link, &shot.bytes, shot.original_len).unwrap().transport.end,
                        shot.bytes.len(),
                        "{name}, round {round}"
                    );
                }
                let named = |shot: &Shot| ips.iter().any(|ip| holds(&shot.bytes, *ip));
                assert!(open.iter().all(named) && !closed.iter().any(named), "{name}, round {round}");
            }
        }
    }
    assert!(partial > 100, "the limits were met");
}

fn holds(bytes: &[u8], ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip else { unreachable!("all captures are of version 4") };
    bytes.windows(4).any(|window| window == ip.octets())
}
