//! What is to be said of the machine.

use std::collections::BTreeSet;

use super::{
    check,
    facts::{ClockSync, Fact, Machine},
};
use crate::output::check::{Check, State};

/// Clocks that are read in some nanoseconds and never stop.
const GOOD_CLOCKS: &[&str] = &["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen", "stp", "timebase"];

/// Clocks that tick with the timer, in milliseconds.
const COARSE_CLOCKS: &[&str] = &["jiffies", "refined-jiffies"];

/// Distance from true time that is worth a warning, in seconds: as leases and travel windows have it.
const FAR_OFF: f64 = 1.0;

/// Of 10,000 ticks, how many a host may take for other machines.
const SOME_STEAL: u64 = 50;
const MUCH_STEAL: u64 = 500;

/// Frames lost of so many that came: from here on it is bad.
const MANY: u64 = 10_000;

/// Available memory in MiB.
const LITTLE_MEMORY: u64 = 512;
const NO_MEMORY: u64 = 128;

/// Everything.
pub(super) fn checks(machine: &Machine) -> Vec<Check> {
    [
        privileges(machine),
        clock_source(&machine.clock_source),
        clock_sync(&machine.clock_sync),
        governor(&machine.governors),
        virtualization(&machine.cpuinfo, &machine.stat),
        backlog(&machine.softnet),
        memory(&machine.meminfo),
        landlock(&machine.landlock),
        seccomp(&machine.seccomp),
    ]
    .into()
}

fn privileges(machine: &Machine) -> Check {
    let check = check("privileges", "To capture takes CAP_NET_RAW, and nothing more.");
    match &machine.may_capture {
        Ok(true) => check.finds(State::Ok, "CAP_NET_RAW"),
        Ok(false) => check.finds(State::Bad, "no CAP_NET_RAW").mend(machine.permit.clone()),
        Err(error) => check.finds(State::Unknown, error.clone()),
    }
}

fn clock_source(fact: &Fact<(String, String)>) -> Check {
    let why =
        "Each frame is stamped by this clock: a slow one costs microseconds a frame, a coarse one is wrong by milliseconds.";
    let check = check("clock_source", why);
    let (current, available) = match fact {
        Ok(clocks) => clocks,
        Err(error) => return check.finds(State::Unknown, error.clone()),
    };
    if GOOD_CLOCKS.contains(&current.as_str()) {
        return check.finds(State::Ok, current.clone());
    }
    let state = if COARSE_CLOCKS.contains(&current.as_str()) { State::Bad } else { State::Warn };
    let check = check.finds(state, format!("{current}; there are: {available}"));
    match available.split_whitespace().find(|name| GOOD_CLOCKS.contains(name)) {
        Some(better) => {
            let file = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
            check.mend(format!("echo {better} | sudo tee {file}"))
        }
        None => check,
    }
}

fn clock_sync(fact: &Fact<ClockSync>) -> Check {
    let why = "Round trips and intervals need no true time. Leases, travel windows and hours of work do, and a clock that is set while \
               it runs spoils what is measured across it.";
    let check = check("clock_sync", why);
    match fact {
        Ok(ClockSync::Chrony(answer)) => match chrony(answer) {
            Some((offset, true)) if offset.abs() < FAR_OFF => {
                check.finds(State::Ok, format!("by chrony, {:.3} ms off", offset * 1e3)).values(offset_values(offset))
            }
            Some((offset, true)) => check
                .finds(State::Warn, format!("by chrony, {offset:.3} s off"))
                .values(offset_values(offset))
                .mend("sudo chronyc makestep"),
            Some((_, false)) => check.finds(State::Warn, "chrony runs and is not synchronized").mend("chronyc -n sources"),
            None => check.finds(State::Unknown, format!("chronyc says {answer}")),
        },
        Ok(ClockSync::Systemd(answer)) => match answer.as_str() {
            "yes" => check.finds(State::Ok, "synchronized, as systemd says"),
            "no" => check.finds(State::Warn, "not synchronized, as systemd says").mend("sudo timedatectl set-ntp true"),
            other => check.finds(State::Unknown, format!("timedatectl says {other}")),
        },
        Err(error) => check.finds(State::Unknown, error.clone()).mend("sudo apt-get install chrony"),
    }
}

fn offset_values(offset: f64) -> [(&'static str, u64); 1] {
    [("offset_us", (offset.abs() * 1e6) as u64)]
}

/// Seconds by which the clock is ahead, and whether it is synchronized: fields 5 and 14 of `chronyc -c tracking`.
fn chrony(answer: &str) -> Option<(f64, bool)> {
    let fields: Vec<_> = answer.lines().next()?.split(',').collect();
    let offset: f64 = fields.get(4)?.parse().ok()?;
    Some((offset, *fields.get(13)? != "Not synchronised")).filter(|_| offset.is_finite())
}

fn governor(governors: &[String]) -> Check {
    let why = "A CPU that sleeps or slows down takes its time to wake: frames are handled, and stamped, later.";
    let check = check("cpu_governor", why);
    let names: BTreeSet<_> = governors.iter().map(String::as_str).collect();
    let found = names.iter().copied().collect::<Vec<_>>().join(", ");
    match names.into_iter().collect::<Vec<_>>().as_slice() {
        [] => check.finds(State::Unknown, "the kernel does not set the speed of the CPUs, as is usual in virtual machines"),
        ["performance"] => check.finds(State::Ok, found),
        _ => check.finds(State::Warn, found).mend("sudo cpupower frequency-set -g performance"),
    }
}

fn virtualization(cpuinfo: &Fact<String>, stat: &Fact<String>) -> Check {
    let why = "In a virtual machine frames are stamped when the host lets it run. While the host runs others, time stands still.";
    let check = check("virtualization", why);
    let (cpuinfo, steal) = match (cpuinfo, stat.as_ref().map(|stat| steal(stat))) {
        (Ok(cpuinfo), Ok(Some(steal))) => (cpuinfo, steal),
        (Err(error), _) => return check.finds(State::Unknown, error.clone()),
        (_, Err(error)) => return check.finds(State::Unknown, error.clone()),
        (_, Ok(None)) => return check.finds(State::Unknown, "/proc/stat has no line of all CPUs"),
    };
    let is_virtual = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags"))
        .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
    let (stolen, ticks) = steal;
    let share = stolen.saturating_mul(10_000) / ticks.max(1);
    let percent = share as f64 / 100.0;
    let state = match share {
        MUCH_STEAL.. => State::Bad,
        SOME_STEAL.. => State::Warn,
        _ => State::Ok,
    };
    let found = match (is_virtual, stolen) {
        (false, 0) => "no sign of a host below this machine".to_owned(),
        _ => format!("a virtual machine; its host took {percent:.2} % of its time since it started"),
    };
    check.finds(state, found).values([("steal_ticks", stolen), ("all_ticks", ticks)])
}

/// Ticks that the host took, and all there were: of `cpu  user nice system idle iowait irq softirq steal …` in `/proc/stat`. What
/// follows is counted in user and nice already.
fn steal(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|ticks| ticks.parse().ok()).take(8).collect();
    Some((ticks.get(7).copied()?, ticks.iter().fold(0, |sum, ticks| sum.saturating_add(*ticks))))
}

fn backlog(softnet: &Fact<String>) -> Check {
    let why = "Frames that the kernel does not get to are dropped on their way to every capture.";
    let check = check("backlog", why);
    let (handled, dropped, squeezed) = match softnet.as_ref().map(|text| softnet_sums(text)) {
        Ok(Some(sums)) => sums,
        Ok(None) => return check.finds(State::Unknown, "/proc/net/softnet_stat cannot be read"),
        Err(error) => return check.finds(State::Unknown, error.clone()),
    };
    let state = match dropped {
        0 => State::Ok,
        _ if dropped.saturating_mul(MANY) >= handled => State::Bad,
        _ => State::Warn,
    };
    check
        .finds(state, format!("{handled} frames since the machine started: {dropped} dropped, {squeezed} times put off"))
        .values([("processed", handled), ("dropped", dropped), ("time_squeeze", squeezed)])
        .mend("sudo sysctl -w net.core.netdev_max_backlog=10000")
}

/// Frames handled, dropped, and how often work was put off: the first three hexadecimal columns, over all CPUs.
fn softnet_sums(text: &str) -> Option<(u64, u64, u64)> {
    let mut sums = (0u64, 0u64, 0u64);
    for line in text.lines() {
        let mut columns = line.split_whitespace().map_while(|column| u64::from_str_radix(column, 16).ok());
        for sum in [&mut sums.0, &mut sums.1, &mut sums.2] {
            *sum = sum.saturating_add(columns.next()?);
        }
    }
    (!text.trim().is_empty()).then_some(sums)
}

fn memory(meminfo: &Fact<String>) -> Check {
    let check = check("memory", "Rings and tables need it; a machine that swaps stalls.");
    let available = match meminfo {
        Ok(text) => {
            text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        }
        Err(error) => return check.finds(State::Unknown, error.clone()),
    };
    let Some(kib) = available else { return check.finds(State::Unknown, "/proc/meminfo has no MemAvailable") };
    let mib = kib / 1024;
    let state = match mib {
        ..NO_MEMORY => State::Bad,
        NO_MEMORY..LITTLE_MEMORY => State::Warn,
        _ => State::Ok,
    };
    check.finds(state, format!("{mib} MiB available")).values([("available_bytes", kib.saturating_mul(1024))])
}

fn landlock(fact: &Fact<()>) -> Check {
    let check =
        check("landlock", "With it a sensor gives up the file system: whoever takes it over by a frame finds nothing there.");
    match fact {
        Ok(()) => check.finds(State::Ok, "the kernel has it"),
        Err(error) => check.finds(State::Warn, format!("the kernel has none: {error}")),
    }
}

fn seccomp(fact: &Fact<String>) -> Check {
    let check = check("seccomp", "With it a sensor gives up the system calls that it does not need.");
    match fact {
        Ok(actions) if actions.contains("kill_process") => check.finds(State::Ok, "the kernel has it"),
        Ok(actions) => check.finds(State::Warn, format!("the kernel can only {actions}")),
        Err(error) => check.finds(State::Warn, format!("the kernel has none: {error}")),
    }
}
