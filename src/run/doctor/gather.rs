//! Asks the kernel, and whoever keeps the clock.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use caps::{CapSet, Capability};
use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};

use pnet::datalink::NetworkInterface;

use super::{
    ethtool::Ethtool,
    facts::{ClockSync, Counters, Fact, Interface, Link, Machine, Queues},
};
use crate::run::interface::permit;

/// `IFF_PROMISC` of <linux/if.h>.
const PROMISCUOUS: u32 = 0x100;

/// About an interface that is there.
pub(super) fn interface(interface: &NetworkInterface) -> Interface {
    let name = interface.name.as_str();
    let folder = folder(interface);
    let ethtool = Ethtool::open().map_err(|error| format!("ethtool: {error}"));
    let ethtool = ethtool.as_ref().map_err(String::clone);
    let queues = ethtool.as_ref().ok().and_then(|ethtool| ethtool.queues(name));
    Interface {
        name: name.to_owned(),
        flags: interface.flags,
        link: folder.as_ref().map_err(String::clone).and_then(|folder| link(folder)),
        capture: capture(name, folder.as_deref().ok()),
        features: ethtool.clone().and_then(|ethtool| ethtool.features(name)),
        ring: ethtool.clone().and_then(|ethtool| ethtool.ring(name)),
        coalescing: ethtool.clone().and_then(|ethtool| ethtool.coalescing(name)),
        clock: ethtool.clone().and_then(|ethtool| ethtool.clock(name)),
        queues: queues.or_else(|| Some(self::queues(folder.as_ref().ok()?))).unwrap_or_default(),
        interrupts: folder.as_ref().map(|folder| interrupts(name, folder)).unwrap_or_default(),
        counters: folder.and_then(|folder| counters(&folder)),
    }
}

/// Where the kernel shows an interface. In a network namespace that was entered without its own `/sys`, another of the same name
/// may be there.
fn folder(interface: &NetworkInterface) -> Fact<PathBuf> {
    let folder = Path::new("/sys/class/net").join(&interface.name);
    let is = |file: &str, value: String| read(folder.join(file)).is_ok_and(|there| there == value);
    if is("ifindex", interface.index.to_string()) && interface.mac.is_none_or(|mac| is("address", mac.to_string())) {
        return Ok(folder);
    }
    Err("/sys shows another network namespace; ip netns exec enters both".to_owned())
}

fn link(folder: &Path) -> Fact<Link> {
    let number = |file: &str| {
        let text = read(folder.join(file))?;
        text.parse::<u32>().map_err(|error| format!("{file}: {error}"))
    };
    let speed = read(folder.join("speed")).ok().and_then(|speed| speed.parse().ok()); // -1 where there is none
    Ok(Link { kind: number("type")?, mtu: number("mtu")?, state: read(folder.join("operstate"))?, speed })
}

/// About this machine.
pub(super) fn machine() -> Machine {
    let clock = Path::new("/sys/devices/system/clocksource/clocksource0");
    let current = read(clock.join("current_clocksource"));
    let available = read(clock.join("available_clocksource"));
    Machine {
        may_capture: caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_RAW).map_err(|error| error.to_string()),
        permit: permit(),
        clock_source: current.and_then(|current| Ok((current, available?))),
        clock_sync: clock_sync(),
        governors: governors(),
        cpuinfo: read("/proc/cpuinfo"),
        stat: read("/proc/stat"),
        softnet: read("/proc/net/softnet_stat"),
        meminfo: read("/proc/meminfo"),
        landlock: landlock(),
        seccomp: read("/proc/sys/kernel/seccomp/actions_avail"),
    }
}

fn read(path: impl AsRef<Path>) -> Fact<String> {
    let path = path.as_ref();
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// Opens a capture for a moment, as a sensor does, and looks whether the interface hears everything then; only `/sys` tells.
fn capture(name: &str, folder: Option<&Path>) -> Fact<Option<bool>> {
    let open = || pcap::Capture::from_device(name)?.promisc(true).snaplen(64).buffer_size(1 << 20).timeout(1).open();
    let _open = open().map_err(|error| error.to_string())?;
    let flags = folder.and_then(|folder| read(folder.join("flags")).ok());
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok());
    Ok(flags.map(|flags| flags & PROMISCUOUS != 0))
}

fn queues(folder: &Path) -> Queues {
    let rx = entries(&folder.join("queues")).filter(|path| file_name(path).starts_with("rx-")).count();
    Queues { rx: rx as u64, combined: 0 }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The CPUs of each interrupt: of the device, of the one that it sits on (as virtio does), or by its name.
fn interrupts(name: &str, folder: &Path) -> Vec<String> {
    let numbered = |below: &str| entries(&folder.join(below)).map(|path| file_name(&path)).collect::<BTreeSet<_>>();
    let mut numbers = numbered("device/msi_irqs");
    if numbers.is_empty() && folder.join("device").exists() {
        numbers = numbered("device/../msi_irqs");
    }
    if numbers.is_empty() {
        let lines = read("/proc/interrupts").unwrap_or_default();
        let own = lines.lines().filter(|line| line.split([' ', '-', '@']).any(|word| word == name));
        numbers = own.filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect();
    }
    let cpus = |number: &String| {
        let folder = Path::new("/proc/irq").join(number);
        read(folder.join("effective_affinity_list")).or_else(|_| read(folder.join("smp_affinity_list"))).ok()
    };
    numbers.iter().filter_map(cpus).filter(|cpus| !cpus.is_empty()).collect()
}

fn counters(folder: &Path) -> Fact<Counters> {
    let counter = |name: &str| {
        let text = read(folder.join("statistics").join(name))?;
        u64::from_str(&text).map_err(|error| format!("{name}: {error}"))
    };
    Ok(Counters {
        packets: counter("rx_packets")?,
        dropped: counter("rx_dropped")?,
        missed: counter("rx_missed_errors")?,
        fifo: counter("rx_fifo_errors")?,
        errors: counter("rx_errors")?,
    })
}

fn governors() -> Vec<String> {
    let cpus = entries(Path::new("/sys/devices/system/cpu"));
    cpus.filter_map(|cpu| read(cpu.join("cpufreq/scaling_governor")).ok()).collect()
}

/// Asks chrony, which knows by how much, then systemd, which knows whether.
fn clock_sync() -> Fact<ClockSync> {
    if let Ok(answer) = ask("chronyc", &["-c", "tracking"]) {
        return Ok(ClockSync::Chrony(answer));
    }
    ask("timedatectl", &["show", "--property=NTPSynchronized", "--value"])
        .map(ClockSync::Systemd)
        .map_err(|error| format!("neither chronyc nor timedatectl answers ({error})"))
}

fn ask(program: &str, args: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !answer.is_empty() { Ok(answer) } else { Err(io::Error::other(output.status.to_string())) }
}

/// Makes rules, and throws them away before they hold for anything.
fn landlock() -> Fact<()> {
    let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(ABI::V1));
    rules.and_then(Ruleset::create).map(drop).map_err(|error| error.to_string())
}
