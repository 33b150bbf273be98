//! What is to be said of an interface.

use std::collections::BTreeSet;

use super::{
    check,
    facts::{Counters, Fact, Feature, Interface, Queues, Ring},
};
use crate::output::check::{Check, State};

/// `IFF_UP` and `IFF_LOOPBACK` of <linux/if.h>.
const UP: u32 = 1;
const LOOPBACK: u32 = 8;

/// `ARPHRD_ETHER` of <linux/if_arp.h>.
const ETHERNET: u32 = 1;

/// Largest packet of usual networks, in bytes.
const USUAL_MTU: u32 = 1500;

/// A ring of so many frames is never small: 4 ms of minimum-size frames at 1 Gbit/s and 0.3 ms at 10.
const LARGE_RING: u32 = 4096;

/// Microseconds by which an interrupt may be held back: the first is a third of the error of an interval between keys, the second as
/// much as the error of a round trip.
const SLOW_USECS: u32 = 100;
const TOO_SLOW_USECS: u32 = 1000;

/// Frames lost of so many that came: from here on it is bad.
const MANY: u64 = 10_000;

/// Offloads that merge received segments: the kernel's name, and the one that `ethtool -K` takes.
const MERGING: &[(&str, &str)] = &[
    ("rx-gro", "gro"),
    ("rx-gro-hw", "rx-gro-hw"),
    ("rx-gro-list", "rx-gro-list"),
    ("rx-udp-gro-forwarding", "rx-udp-gro-forwarding"),
    ("rx-lro", "lro"),
];

/// Those that leave it to the hardware to split what this machine sends.
const SPLITTING: &[(&str, &str)] = &[
    ("tx-generic-segmentation", "gso"),
    ("tx-tcp-segmentation", "tso"),
    ("tx-tcp6-segmentation", "tso"),
    ("tx-tcp-mangleid-segmentation", "tso"),
];

/// Everything, in the order of the way that a frame takes.
pub(super) fn checks(interface: &Interface, permit: &str) -> Vec<Check> {
    let checks = [
        link(interface),
        mtu(interface),
        capture(interface, permit),
        merging(interface),
        splitting(interface),
        vlan(interface),
        ring(interface),
        coalescing(interface),
        queues(interface),
        clock(interface),
        drops(interface),
    ];
    let name = Some(interface.name.clone());
    checks.map(|check| Check { interface: name.clone(), ..check }).into()
}

fn link(interface: &Interface) -> Check {
    let check = check("link", "An interface that is down, or has no carrier, hears nothing.");
    if interface.flags & UP == 0 {
        return check.finds(State::Bad, "down").mend(format!("sudo ip link set dev {} up", interface.name));
    }
    let link = match &interface.link {
        Ok(link) => link,
        Err(error) => return check.finds(State::Unknown, format!("up; {error}")),
    };
    let kind = match link.kind {
        _ if is_loopback(interface) => "loopback".to_owned(),
        ETHERNET => "Ethernet".to_owned(),
        other => format!("hardware type {other}"),
    };
    if ["down", "lowerlayerdown", "notpresent"].contains(&link.state.as_str()) {
        return check.finds(State::Bad, format!("up without a carrier, {kind}"));
    }
    let speed = link.speed.map(|speed| format!(", {speed} Mbit/s")).unwrap_or_default();
    check.finds(State::Ok, format!("up, {kind}{speed}")).values(link.speed.map(|speed| ("speed_mbit_s", speed)))
}

const fn is_loopback(interface: &Interface) -> bool {
    interface.flags & LOOPBACK != 0
}

fn mtu(interface: &Interface) -> Check {
    let why =
        "The hardware may drop frames that are longer than the MTU, such as those of tunnels and networks with jumbo frames.";
    let check = check("mtu", why);
    let mtu = match &interface.link {
        Ok(link) => link.mtu,
        Err(error) => return check.finds(State::Unknown, error.clone()),
    };
    let check = check.values([("mtu_bytes", u64::from(mtu))]);
    let found = format!("{mtu} bytes");
    if mtu >= USUAL_MTU {
        return check.finds(State::Ok, found);
    }
    check.finds(State::Warn, found).mend(format!("sudo ip link set dev {} mtu {USUAL_MTU}", interface.name))
}

fn capture(interface: &Interface, permit: &str) -> Check {
    let why = "Without promiscuous mode only what is meant for this machine is heard, and without permission nothing.";
    let check = check("capture", why);
    match &interface.capture {
        Ok(Some(true)) => check.finds(State::Ok, "opens, in promiscuous mode"),
        Ok(None) => check.finds(State::Ok, "opens"),
        Ok(Some(false)) if is_loopback(interface) => check.finds(State::Ok, "opens"),
        Ok(Some(false)) => check.finds(State::Warn, "opens, but not in promiscuous mode"),
        Err(error) => {
            let is_permission = ["ermission", "not permitted"].iter().any(|word| error.contains(word));
            let check = check.finds(State::Bad, format!("does not open: {error}"));
            if is_permission { check.mend(permit) } else { check }
        }
    }
}

/// Those of these offloads that are on: by the name for `ethtool -K`, each once; and whether each can be switched off.
fn on<'a>(features: &[Feature], known: &[(&str, &'a str)]) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let mut free = BTreeSet::new();
    let mut fixed = BTreeSet::new();
    for (name, short) in known {
        match features.iter().find(|feature| feature.name == *name && feature.is_on) {
            Some(feature) if feature.is_free => free.insert(*short),
            Some(_) => fixed.insert(*short),
            None => false,
        };
    }
    (free, fixed)
}

fn offload(check: Check, interface: &Interface, known: &[(&str, &str)], state: State) -> Check {
    let features = match &interface.features {
        Ok(features) => features,
        Err(error) => return check.finds(State::Unknown, error.clone()),
    };
    let (free, fixed) = on(features, known);
    let [free, fixed] = [free, fixed].map(|names| names.into_iter().collect::<Vec<_>>());
    match (free.as_slice(), fixed.as_slice()) {
        ([], []) => check.finds(State::Ok, "off"),
        ([], fixed) => check.finds(state, format!("on and fixed by the driver: {}", fixed.join(", "))),
        (free, fixed) => {
            let off = free.iter().map(|name| format!(" {name} off")).collect::<String>();
            let names = [free, fixed].concat().join(", ");
            check.finds(state, format!("on: {names}")).mend(format!("sudo ethtool -K {}{off}", interface.name))
        }
    }
}

fn merging(interface: &Interface) -> Check {
    let why = "Segments that come close together are seen as one, at the time of the last: acknowledgements and keystrokes vanish in it.";
    // Loopback hands frames on past the place where the kernel merges them, whatever the setting.
    let state = if is_loopback(interface) { State::Ok } else { State::Bad };
    offload(check("receive_offload", why), interface, MERGING, state)
}

fn splitting(interface: &Interface) -> Check {
    let why = "What this machine itself sends is seen before it is split: segments larger than any on the wire. On a mirror port it \
               does no harm.";
    offload(check("send_offload", why), interface, SPLITTING, State::Warn)
}

fn vlan(interface: &Interface) -> Check {
    let check = check("vlan_offload", "The hardware takes VLAN tags off; libpcap puts them back.");
    match &interface.features {
        Ok(features) if features.iter().any(|feature| feature.name == "rx-vlan-hw-parse" && feature.is_on) => {
            check.finds(State::Ok, "on, which does no harm")
        }
        Ok(_) => check.finds(State::Ok, "off"),
        Err(error) => check.finds(State::Unknown, error.clone()),
    }
}

fn ring(interface: &Interface) -> Check {
    let check = check("ring", "Frames that come while the ring is full are lost; a larger one outlasts longer bursts.");
    let ring = match &interface.ring {
        Ok(ring) => ring,
        Err(error) => return check.finds(State::Unknown, error.clone()),
    };
    let found = format!("{} frames of at most {}", ring.frames, ring.most);
    let check = check.values([("rx_frames", u64::from(ring.frames)), ("rx_max_frames", u64::from(ring.most))]);
    let wanted = ring.most.min(LARGE_RING);
    if ring.frames >= wanted {
        return check.finds(State::Ok, found);
    }
    check.finds(State::Warn, found).mend(format!("sudo ethtool -G {} rx {wanted}", interface.name))
}

fn coalescing(interface: &Interface) -> Check {
    let check = check("coalescing", "Frames are stamped when their interrupt comes, so late by as much as it is held back.");
    let coalescing = match &interface.coalescing {
        Ok(coalescing) => coalescing,
        Err(error) => return check.finds(State::Unknown, error.clone()),
    };
    let usecs = coalescing.usecs;
    let adaptive = if coalescing.is_adaptive { ", adaptive: more under load" } else { "" };
    let state = match usecs {
        TOO_SLOW_USECS.. => State::Bad,
        SLOW_USECS.. => State::Warn,
        _ if coalescing.is_adaptive => State::Warn,
        _ => State::Ok,
    };
    let off = if coalescing.is_adaptive { " adaptive-rx off" } else { "" };
    check
        .finds(state, format!("interrupts held back by {usecs} µs{adaptive}"))
        .values([("rx_usecs", u64::from(usecs)), ("adaptive_rx", u64::from(coalescing.is_adaptive))])
        .mend(format!("sudo ethtool -C {}{off} rx-usecs 10", interface.name))
}

fn queues(interface: &Interface) -> Check {
    let why = "With several queues the two directions of a session may come by different ones, each with a delay of its own, and be \
               seen out of order. One queue takes what one CPU can, about a million frames a second.";
    let cpus: BTreeSet<_> = interface.interrupts.iter().collect();
    let Queues { rx, combined } = interface.queues;
    let queues = rx.saturating_add(combined);
    let mut found = format!("{queues} to receive");
    if !cpus.is_empty() {
        let list = cpus.iter().map(|cpus| cpus.as_str()).collect::<Vec<_>>().join(" ");
        found = format!("{found}; {} interrupts on CPU {list}", interface.interrupts.len());
    }
    let state = if queues > 1 && cpus.len() != 1 { State::Warn } else { State::Ok };
    check("queues", why)
        .finds(state, found)
        .values([("rx_queues", queues), ("interrupts", interface.interrupts.len() as u64)])
        .mend(format!("sudo ethtool -L {} {}", interface.name, if combined > 0 { "combined 1" } else { "rx 1" }))
}

fn clock(interface: &Interface) -> Check {
    let why = "The kernel stamps frames when the driver hands them on, some microseconds late; a clock in the hardware would do so \
               when they come.";
    let check = check("timestamps", why);
    match &interface.clock {
        Ok(Some(index)) => check.finds(State::Ok, format!("the kernel's; the hardware has a clock too, /dev/ptp{index}")),
        Ok(None) => check.finds(State::Ok, "the kernel's; the hardware has no clock"),
        Err(error) => check.finds(State::Unknown, error.clone()),
    }
}

fn drops(interface: &Interface) -> Check {
    let why = "What the hardware lost is missing in every session: gaps, and round trips that were never seen.";
    let check = check("drops", why);
    let Counters { packets, dropped, missed, fifo, errors } = match &interface.counters {
        Ok(counters) => *counters,
        Err(error) => return check.finds(State::Unknown, error.clone()),
    };
    // Some drivers count the same frame as both.
    let lost = missed.max(fifo).saturating_add(errors);
    let state = match lost {
        0 => State::Ok,
        _ if lost.saturating_mul(MANY) >= packets => State::Bad,
        _ => State::Warn,
    };
    let mut found = format!("{packets} frames came; {lost} were lost or spoilt on the way");
    if dropped > 0 {
        found = format!("{found}; the kernel dropped {dropped}, also those that nobody wanted");
    }
    let grow = ring_can_grow(&interface.ring);
    let check = check.finds(state, found).values([
        ("rx_packets", packets),
        ("rx_dropped", dropped),
        ("rx_missed_errors", missed),
        ("rx_fifo_errors", fifo),
        ("rx_errors", errors),
    ]);
    match grow {
        Some(most) => check.mend(format!("sudo ethtool -G {} rx {most}", interface.name)),
        None => check,
    }
}

fn ring_can_grow(ring: &Fact<Ring>) -> Option<u32> {
    ring.as_ref().ok().filter(|ring| ring.frames < ring.most).map(|ring| ring.most)
}
