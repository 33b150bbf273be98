//! Samples of what kernels and their keepers of time say, and what is made of them.

use super::{
    facts::{ClockSync, Coalescing, Counters, Feature, Interface, Link, Machine, Queues, Ring},
    interface, machine,
};
use crate::output::check::{Check, State};

/// As of a server's port that is fit to measure.
fn sound_interface() -> Interface {
    Interface {
        name: "eth7".to_owned(),
        flags: 0x1003,
        link: Ok(wired()),
        capture: Ok(Some(true)),
        features: Ok(vec![
            feature("rx-gro", false, true),
            feature("rx-lro", false, false),
            feature("tx-tcp-segmentation", false, true),
        ]),
        ring: Ok(Ring { frames: 4096, most: 8192 }),
        coalescing: Ok(Coalescing { usecs: 10, is_adaptive: false }),
        clock: Ok(Some(0)),
        queues: Queues { rx: 0, combined: 1 },
        interrupts: vec!["3".to_owned()],
        counters: Ok(Counters { packets: 1_000_000, ..Counters::default() }),
    }
}

fn wired() -> Link {
    Link { kind: 1, mtu: 1500, state: "up".to_owned(), speed: Some(10_000) }
}

fn feature(name: &str, is_on: bool, is_free: bool) -> Feature {
    Feature { name: name.to_owned(), is_on, is_free }
}

fn sound_machine() -> Machine {
    let text = |text: &str| Ok(text.to_owned());
    Machine {
        may_capture: Ok(true),
        permit: "sudo setcap cap_net_raw+ep /usr/bin/keywitness".to_owned(),
        clock_source: Ok(("tsc".to_owned(), "tsc hpet acpi_pm".to_owned())),
        clock_sync: Ok(ClockSync::Systemd("yes".to_owned())),
        governors: vec!["performance".to_owned(); 4],
        cpuinfo: text("processor\t: 0\nflags\t\t: fpu vme de pse\n"),
        stat: text("cpu  100 0 100 9800 0 0 0 0 0 0\ncpu0 100 0 100 9800 0 0 0 0 0 0\n"),
        softnet: text("0000000a 00000000 00000001 00000000\n00000014 00000000 00000000 00000000\n"),
        meminfo: text("MemTotal:       32768000 kB\nMemFree:          100 kB\nMemAvailable:   16384000 kB\n"),
        landlock: Ok(()),
        seccomp: text("kill_process kill_thread trap errno user_notif trace log allow"),
    }
}

/// What one check says of the sound interface with one thing changed.
fn of_interface(id: &str, change: impl FnOnce(&mut Interface)) -> Check {
    let mut facts = sound_interface();
    change(&mut facts);
    let checks = interface::checks(&facts, "permit");
    assert!(checks.iter().all(|check| check.interface.as_deref() == Some("eth7")));
    only(checks, id)
}

fn of_machine(id: &str, change: impl FnOnce(&mut Machine)) -> Check {
    let mut facts = sound_machine();
    change(&mut facts);
    only(machine::checks(&facts), id)
}

/// The check of this name; all others must be content.
fn only(checks: Vec<Check>, id: &str) -> Check {
    let (mut own, others): (Vec<_>, Vec<_>) = checks.into_iter().partition(|check| check.id == id);
    assert!(others.iter().all(|check| check.state == State::Ok && check.mend.is_none()), "{others:#?}");
    assert_eq!(own.len(), 1, "{id}");
    own.pop().unwrap()
}

fn outcome(check: &Check) -> (State, Option<&str>) {
    (check.state, check.mend.as_deref())
}

#[test]
fn a_link_that_hears_nothing_is_bad() {
    assert_eq!(outcome(&of_interface("link", |_| ())), (State::Ok, None));
    let down = of_interface("link", |facts| facts.flags = 0x1002);
    assert_eq!(outcome(&down), (State::Bad, Some("sudo ip link set dev eth7 up")));
    assert_eq!(
        outcome(&of_interface("link", |facts| facts.link = Ok(Link { state: "down".to_owned(), ..wired() }))),
        (State::Bad, None)
    );
    assert_eq!(
        outcome(&of_interface("link", |facts| facts.link = Ok(Link { state: "unknown".to_owned(), ..wired() }))),
        (State::Ok, None),
        "as of tunnels"
    );
    let small = of_interface("mtu", |facts| facts.link = Ok(Link { mtu: 1400, ..wired() }));
    assert_eq!(outcome(&small), (State::Warn, Some("sudo ip link set dev eth7 mtu 1500")));
}

#[test]
fn a_capture_that_does_not_open_is_bad_and_told_how_to() {
    let refused = of_interface("capture", |facts| facts.capture = Err("socket: Operation not permitted".to_owned()));
    assert_eq!(outcome(&refused), (State::Bad, Some("permit")));
    let other = of_interface("capture", |facts| facts.capture = Err("No such device".to_owned()));
    assert_eq!(outcome(&other), (State::Bad, None));
    assert_eq!(outcome(&of_interface("capture", |facts| facts.capture = Ok(Some(false)))), (State::Warn, None));
    assert_eq!(
        outcome(&of_machine("privileges", |facts| facts.may_capture = Ok(false))),
        (State::Bad, Some("sudo setcap cap_net_raw+ep /usr/bin/keywitness"))
    );
}

#[test]
fn offloads_that_merge_are_bad_and_those_that_split_a_warning() {
    let with = |id: &str, features: Vec<Feature>| of_interface(id, |facts| facts.features = Ok(features));
    let merging = with("receive_offload", vec![feature("rx-gro", true, true), feature("rx-lro", true, true)]);
    assert_eq!(outcome(&merging), (State::Bad, Some("sudo ethtool -K eth7 gro off lro off")));
    let fixed = with("receive_offload", vec![feature("rx-gro-hw", true, false)]);
    assert_eq!((outcome(&fixed), fixed.found.as_str()), ((State::Bad, None), "on and fixed by the driver: rx-gro-hw"));
    let tso = ["tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-generic-segmentation", "tx-nocache-copy"];
    let splitting = with("send_offload", tso.map(|name| feature(name, true, true)).into());
    assert_eq!(outcome(&splitting), (State::Warn, Some("sudo ethtool -K eth7 gso off tso off")));
    assert_eq!(outcome(&with("vlan_offload", vec![feature("rx-vlan-hw-parse", true, true)])), (State::Ok, None));
    let mut loopback = sound_interface();
    (loopback.flags, loopback.features) = (0x9, Ok(vec![feature("rx-gro", true, true)]));
    assert!(interface::checks(&loopback, "").iter().all(|check| check.state == State::Ok));
}

#[test]
fn a_ring_below_what_it_could_be_is_a_warning() {
    let ring = |frames, most| of_interface("ring", |facts| facts.ring = Ok(Ring { frames, most }));
    assert_eq!(outcome(&ring(512, 8192)), (State::Warn, Some("sudo ethtool -G eth7 rx 4096")));
    assert_eq!(outcome(&ring(512, 2048)), (State::Warn, Some("sudo ethtool -G eth7 rx 2048")));
    assert_eq!(outcome(&ring(256, 256)), (State::Ok, None));
    let silent = of_interface("ring", |facts| facts.ring = Err("the driver does not tell".to_owned()));
    assert_eq!((outcome(&silent), silent.found.as_str()), ((State::Unknown, None), "the driver does not tell"));
}

#[test]
fn interrupts_that_are_held_back_are_told_by_how_much() {
    let held = |usecs, is_adaptive| of_interface("coalescing", |facts| facts.coalescing = Ok(Coalescing { usecs, is_adaptive }));
    assert_eq!(outcome(&held(99, false)), (State::Ok, None));
    assert_eq!(outcome(&held(100, false)), (State::Warn, Some("sudo ethtool -C eth7 rx-usecs 10")));
    assert_eq!(outcome(&held(3, true)), (State::Warn, Some("sudo ethtool -C eth7 adaptive-rx off rx-usecs 10")));
    let slow = held(1000, false);
    assert_eq!((slow.state, slow.values.get("rx_usecs")), (State::Bad, Some(&1000)));
}

#[test]
fn queues_on_several_cpus_are_a_warning() {
    let queues = |rx, combined, cpus: &[&str]| {
        of_interface("queues", |facts| {
            facts.queues = Queues { rx, combined };
            facts.interrupts = cpus.iter().map(|&cpus| cpus.to_owned()).collect();
        })
    };
    assert_eq!(outcome(&queues(0, 4, &["0", "1", "2", "3"])), (State::Warn, Some("sudo ethtool -L eth7 combined 1")));
    assert_eq!(outcome(&queues(2, 0, &[])), (State::Warn, Some("sudo ethtool -L eth7 rx 1")), "nobody knows which");
    assert_eq!(outcome(&queues(0, 4, &["2", "2", "2", "2"])), (State::Ok, None));
    assert_eq!(outcome(&queues(0, 1, &["0", "1"])), (State::Ok, None), "receives by one of them");
}

#[test]
fn losses_count_by_their_share() {
    let lost = |packets, missed, fifo, errors| {
        of_interface("drops", |facts| facts.counters = Ok(Counters { packets, dropped: 7, missed, fifo, errors }))
    };
    assert_eq!(lost(1_000_000, 0, 0, 0).state, State::Ok);
    assert_eq!(outcome(&lost(1_000_000, 99, 99, 0)), (State::Warn, Some("sudo ethtool -G eth7 rx 8192")));
    assert_eq!(lost(1_000_000, 60, 0, 40).state, State::Bad);
    assert_eq!(lost(0, 1, 0, 0).state, State::Bad);
    let softnet = |line: &str| of_machine("backlog", |facts| facts.softnet = Ok(line.to_owned()));
    assert_eq!(softnet("000f4240 00000063 00000000").state, State::Warn, "99 of a million");
    let bad = softnet("000f4240 00000032 00000001 0\n00000000 00000032 00000002 0");
    assert_eq!(
        (bad.state, bad.found.as_str()),
        (State::Bad, "1000000 frames since the machine started: 100 dropped, 3 times put off")
    );
    assert_eq!(bad.mend.as_deref(), Some("sudo sysctl -w net.core.netdev_max_backlog=10000"));
    for junk in ["", "xyz", "1 2", "ffffffffffffffffff 0 0"] {
        assert_eq!(softnet(junk).state, State::Unknown, "{junk:?}");
    }
}

#[test]
fn clocks() {
    let source = |current: &str, available: &str| {
        of_machine("clock_source", |facts| facts.clock_source = Ok((current.to_owned(), available.to_owned())))
    };
    let better = "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource";
    assert_eq!(outcome(&source("kvm-clock", "kvm-clock tsc")), (State::Ok, None));
    assert_eq!(outcome(&source("hpet", "tsc hpet acpi_pm")), (State::Warn, Some(better)));
    assert_eq!(outcome(&source("acpi_pm", "acpi_pm")), (State::Warn, None));
    assert_eq!(outcome(&source("jiffies", "jiffies")), (State::Bad, None));

    let sync = |sync| of_machine("clock_sync", |facts| facts.clock_sync = sync);
    // From the manual of chronyc: reference, name, stratum, time, offset, …, status of leap seconds.
    let chrony = |offset: &str, leap: &str| {
        Ok(ClockSync::Chrony(format!(
            "A9FEA97B,169.254.169.123,4,1700000000.123456789,{offset},-0.000000741,0.000016,-13.212,0.000,0.008,0.000461,0.000269,16.2,{leap}"
        )))
    };
    let near = sync(chrony("0.000123456", "Normal"));
    assert_eq!((outcome(&near), near.found.as_str()), ((State::Ok, None), "by chrony, 0.123 ms off"));
    assert_eq!(near.values.get("offset_us"), Some(&123));
    assert_eq!(outcome(&sync(chrony("-7.5", "Normal"))), (State::Warn, Some("sudo chronyc makestep")));
    assert_eq!(sync(chrony("0.0", "Not synchronised")).state, State::Warn);
    assert_eq!(sync(chrony("NaN", "Normal")).state, State::Unknown);
    assert_eq!(sync(Ok(ClockSync::Chrony("506 Cannot talk to daemon".to_owned()))).state, State::Unknown);
    assert_eq!(outcome(&sync(Ok(ClockSync::Systemd("no".to_owned())))), (State::Warn, Some("sudo timedatectl set-ntp true")));
    assert_eq!(outcome(&sync(Err("nobody".to_owned()))), (State::Unknown, Some("sudo apt-get install chrony")));
}

#[test]
fn processors_and_their_host() {
    let governor = |names: &[&str]| {
        of_machine("cpu_governor", |facts| facts.governors = names.iter().map(|&name| name.to_owned()).collect())
    };
    let mixed = governor(&["performance", "powersave", "powersave"]);
    assert_eq!(
        (outcome(&mixed), mixed.found.as_str()),
        ((State::Warn, Some("sudo cpupower frequency-set -g performance")), "performance, powersave")
    );
    assert_eq!(outcome(&governor(&[])), (State::Unknown, None));

    let steal = |ticks: u64, flags: &str| {
        of_machine("virtualization", |facts| {
            facts.cpuinfo = Ok(format!("processor\t: 0\nflags\t\t: fpu {flags} de\n"));
            facts.stat = Ok(format!("cpu  0 0 0 {} 0 0 0 {ticks} 900 0\ncpu0 1 2 3\n", 10_000 - ticks));
        })
    };
    assert_eq!(steal(49, "hypervisor").state, State::Ok);
    assert_eq!(steal(50, "hypervisor").state, State::Warn);
    let much = steal(500, "");
    assert_eq!(
        (much.state, much.found.as_str()),
        (State::Bad, "a virtual machine; its host took 5.00 % of its time since it started")
    );
    assert_eq!(steal(0, "").found, "no sign of a host below this machine");
    assert_eq!(of_machine("virtualization", |facts| facts.stat = Ok("intr 5".to_owned())).state, State::Unknown);
}

#[test]
fn memory_and_what_shuts_a_sensor_in() {
    let memory = |text: &str| of_machine("memory", |facts| facts.meminfo = Ok(text.to_owned())).state;
    assert_eq!(memory("MemAvailable:  524288 kB"), State::Ok);
    assert_eq!(memory("MemAvailable:  524287 kB"), State::Warn);
    assert_eq!(memory("MemAvailable:  131071 kB"), State::Bad);
    assert_eq!(memory("MemFree:  131071 kB"), State::Unknown);
    assert_eq!(of_machine("landlock", |facts| facts.landlock = Err("no".to_owned())).state, State::Warn);
    assert_eq!(of_machine("seccomp", |facts| facts.seccomp = Ok("errno".to_owned())).state, State::Warn);
}
