//! What was found out about an interface and the machine, before anything is said of it.

/// A fact, or why it is not known.
pub(super) type Fact<T> = Result<T, String>;

/// About an interface.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    /// `IFF_*` of <linux/if.h>.
    pub(super) flags: u32,
    pub(super) link: Fact<Link>,
    /// Whether it hears everything while a capture is open, where that can be seen; or why none could be opened.
    pub(super) capture: Fact<Option<bool>>,
    pub(super) features: Fact<Vec<Feature>>,
    pub(super) ring: Fact<Ring>,
    pub(super) coalescing: Fact<Coalescing>,
    /// Number of the hardware's own clock, where there is one.
    pub(super) clock: Fact<Option<u32>>,
    pub(super) queues: Queues,
    /// The CPUs that each of its interrupts is served by, as the kernel writes them.
    pub(super) interrupts: Vec<String>,
    pub(super) counters: Fact<Counters>,
}

/// What the kernel shows of it under `/sys`.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// `ARPHRD_*` of <linux/if_arp.h>.
    pub(super) kind: u32,
    /// Largest packet in bytes, without the link's header.
    pub(super) mtu: u32,
    /// As the kernel names it: `up`, `down`, `lowerlayerdown`, `unknown`, …
    pub(super) state: String,
    /// Speed in Mbit/s, where the driver tells.
    pub(super) speed: Option<u64>,
}

/// An offload, by the kernel's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Feature {
    pub(super) name: String,
    pub(super) is_on: bool,
    /// Whether it can be changed.
    pub(super) is_free: bool,
}

/// The ring of buffers that the hardware writes frames into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub(super) frames: u32,
    pub(super) most: u32,
}

/// How long the hardware holds an interrupt back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coalescing {
    /// In microseconds.
    pub(super) usecs: u32,
    /// The driver chooses by the load.
    pub(super) is_adaptive: bool,
}

/// Queues that frames come in by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queues {
    /// For that only.
    pub(super) rx: u64,
    /// For both directions.
    pub(super) combined: u64,
}

/// Frames since the interface was made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) packets: u64,
    /// By the kernel, also for want of anybody who wants them.
    pub(super) dropped: u64,
    /// By the hardware, for want of buffers.
    pub(super) missed: u64,
    /// The same, as other drivers count it.
    pub(super) fifo: u64,
    /// Bad ones.
    pub(super) errors: u64,
}

/// About the machine. Texts are as the kernel writes them.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Whether the program may capture.
    pub(super) may_capture: Fact<bool>,
    /// The command that lets it.
    pub(super) permit: String,
    /// `current_clocksource` and `available_clocksource`.
    pub(super) clock_source: Fact<(String, String)>,
    pub(super) clock_sync: Fact<ClockSync>,
    /// `scaling_governor` of each CPU that has one.
    pub(super) governors: Vec<String>,
    /// `/proc/cpuinfo`.
    pub(super) cpuinfo: Fact<String>,
    /// `/proc/stat`.
    pub(super) stat: Fact<String>,
    /// `/proc/net/softnet_stat`.
    pub(super) softnet: Fact<String>,
    /// `/proc/meminfo`.
    pub(super) meminfo: Fact<String>,
    /// Whether Landlock answers.
    pub(super) landlock: Fact<()>,
    /// `/proc/sys/kernel/seccomp/actions_avail`.
    pub(super) seccomp: Fact<String>,
}

/// Who was asked about the clock, and what was answered.
#[derive(Clone, Debug)]
pub(super) enum ClockSync {
    /// `chronyc -c tracking`.
    Chrony(String),
    /// `timedatectl show -p NTPSynchronized --value`.
    Systemd(String),
}
