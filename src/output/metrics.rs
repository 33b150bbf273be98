//! Metrics in the text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>): each family with `# HELP` and `# TYPE`,
//! counters end in `_total`, units are seconds and bytes.
//!
//! A family whose values are not known (no claims, no process figures) is left out, rather than 0.

mod delivery;

use std::fmt::Write as _;

pub use self::delivery::{Delivery, Destination};

/// Upper ends of the buckets of [`Latency`], in nanoseconds; one bucket without an end follows.
pub const LATENCY_BOUNDS: [u64; 13] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// What a sensor counts, at one moment. Counts are since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Each interface, by name.
    pub interfaces: Vec<Interface>,
    /// Batches of frames that wait for an engine.
    pub queued: u64,
    /// Frames that engines have handled.
    pub handled: u64,
    /// Frames that could not be decoded and should have been.
    pub undecoded: u64,
    /// Frames cut by a snaplen.
    pub truncated: u64,
    /// Copies of frames.
    pub duplicated: u64,
    /// Flows that the flow table had no room for.
    pub table_evictions: u64,
    /// Flows in the table.
    pub flows: u64,
    /// Flows that the table has room for.
    pub flows_max: u64,
    /// Sessions in the table, and flows that may become one.
    pub sessions: u64,
    /// Records, by kind: its name in records, and how many.
    pub records: Vec<(&'static str, u64)>,
    /// Sessions that ended, by verdict: its name in records, and how many.
    pub verdicts: Vec<(&'static str, u64)>,
    /// Alerts, by severity: its name in records, and how many.
    pub alerts: Vec<(&'static str, u64)>,
    /// Alerts whose evidence could not be saved.
    pub evidence_errors: u64,
    /// Sessions that could not be archived.
    pub archive_lost: u64,
    /// From the capture time at which a record became known to when it was written.
    pub latency: Latency,
    /// What becomes of alerts; `None` without a spool.
    pub delivery: Option<Delivery>,
    /// The claims in force; `None` where none were ever read.
    pub claims: Option<Claims>,
    /// What the process takes; `None` where the system does not tell.
    pub process: Option<Process>,
    /// When the process started, in seconds since 1970.
    pub start_time_s: f64,
}

/// What came from one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Frames received.
    pub frames: u64,
    /// Bytes of these on the wire.
    pub bytes: u64,
    /// Frames that the kernel had no room for.
    pub kernel_drops: u64,
    /// Frames that the network card or its driver dropped.
    pub interface_drops: u64,
    /// Frames with bulk payload that were left out because the sensor was behind.
    pub shed_bulk: u64,
    /// Other frames of flows that are no established sessions, left out because it was further behind.
    pub shed_new: u64,
    /// What is left out now: 0 for nothing, 1 for bulk payload, 2 for all but established sessions.
    pub overload_level: u64,
    /// How often its thread had to wait because the engines were behind.
    pub waits: u64,
    /// How often it was opened after the start: it was down, or had vanished.
    pub reopened: u64,
    /// Whether it is open.
    pub is_up: bool,
}

/// A distribution of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many fell in each bucket of [`LATENCY_BOUNDS`] and below no other; the last is for what is longer.
    pub buckets: [u64; LATENCY_BOUNDS.len() + 1],
    /// Sum of all, in nanoseconds.
    pub sum_ns: u64,
}

/// The claims in force, and how reading them again went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// SHA-256 of the file, in hexadecimal; `None` where there are none any more.
    pub sha256: Option<String>,
    /// When claims were last read, in seconds since 1970.
    pub success_s: Option<f64>,
    /// When they last could not be read, in seconds since 1970; those before stay in force.
    pub failure_s: Option<f64>,
    /// How often they were read, the start included.
    pub successes: u64,
    /// How often they could not be.
    pub failures: u64,
}

/// What a process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time, user and system, in seconds.
    pub cpu_s: f64,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Virtual memory, in bytes.
    pub virtual_size: u64,
    /// Threads.
    pub threads: u64,
}

/// Adds all of a snapshot to a page.
pub fn write(snapshot: &Snapshot, out: &mut String) {
    let mut page = Page { out };
    let info = [("version", env!("CARGO_PKG_VERSION"))];
    page.family("build_info", "gauge", "Which program this is; always 1.", [(&info[..], 1.0)]);
    interfaces(snapshot, &mut page);
    let counters = [
        ("handled_frames_total", "Frames that engines have handled.", snapshot.handled),
        ("undecoded_frames_total", "Frames that could not be decoded and should have been.", snapshot.undecoded),
        ("truncated_frames_total", "Frames cut by a snaplen.", snapshot.truncated),
        ("duplicated_frames_total", "Copies of frames.", snapshot.duplicated),
        ("table_evictions_total", "Flows that the flow table had no room for.", snapshot.table_evictions),
        ("evidence_errors_total", "Alerts whose evidence could not be saved.", snapshot.evidence_errors),
        ("archive_lost_total", "Sessions that could not be archived.", snapshot.archive_lost),
    ];
    for (name, help, value) in counters {
        page.family(name, "counter", help, [(&[][..], value as f64)]);
    }
    let gauges = [
        ("queued_batches", "Batches of frames that wait for an engine.", snapshot.queued),
        ("flows", "Flows in the flow table.", snapshot.flows),
        ("flows_max", "Flows that the flow table has room for.", snapshot.flows_max),
        ("sessions", "Sessions in the flow table, and flows that may become one.", snapshot.sessions),
    ];
    for (name, help, value) in gauges {
        page.family(name, "gauge", help, [(&[][..], value as f64)]);
    }
    let fill = if snapshot.flows_max == 0 { 0.0 } else { snapshot.flows as f64 / snapshot.flows_max as f64 };
    page.family("table_fill_ratio", "gauge", "Flows in the table by how many it has room for, 0 to 1.", [(&[][..], fill)]);
    page.by("records_total", "Records, by kind.", "record", &snapshot.records);
    page.by("verdicts_total", "Sessions that ended, by verdict.", "verdict", &snapshot.verdicts);
    page.by("alerts_total", "Alerts, by severity.", "severity", &snapshot.alerts);
    page.latency(&snapshot.latency);
    if let Some(delivery) = &snapshot.delivery {
        delivery::write(delivery, &mut page);
    }
    if let Some(claims) = &snapshot.claims {
        self::claims(claims, &mut page);
    }
    process(snapshot, &mut page);
}

fn interfaces(snapshot: &Snapshot, page: &mut Page<'_>) {
    let mut per = |name, kind, help, value: fn(&Interface) -> u64| {
        let labels: Vec<_> = snapshot.interfaces.iter().map(|interface| [("interface", interface.name.as_str())]).collect();
        page.family(name, kind, help, labels.iter().zip(&snapshot.interfaces).map(|(labels, i)| (&labels[..], value(i) as f64)));
    };
    per("interface_up", "gauge", "1 while the interface is open.", |i| u64::from(i.is_up));
    per("frames_total", "counter", "Frames received.", |i| i.frames);
    per("bytes_total", "counter", "Bytes on the wire of the frames received.", |i| i.bytes);
    per("kernel_drops_total", "counter", "Frames that the kernel had no room for.", |i| i.kernel_drops);
    per("interface_drops_total", "counter", "Frames that the network card or its driver dropped.", |i| i.interface_drops);
    per("shed_bulk_frames_total", "counter", "Frames with bulk payload left out because the sensor was behind.", |i| i.shed_bulk);
    per("shed_new_frames_total", "counter", "Other frames left out, of flows that are no established sessions.", |i| i.shed_new);
    per("overload_level", "gauge", "0 nothing is left out, 1 bulk payload, 2 all but established sessions.", |i| {
        i.overload_level
    });
    per("channel_waits_total", "counter", "How often the interface's thread waited because the engines were behind.", |i| {
        i.waits
    });
    per(
        "interface_reopened_total",
        "counter",
        "How often the interface was opened after the start: it was down, or had vanished.",
        |i| i.reopened,
    );
}

fn claims(claims: &Claims, page: &mut Page<'_>) {
    let hash = claims.sha256.as_deref().map(|hash| [("sha256", hash)]);
    page.family("claims_info", "gauge", "The claims in force; always 1.", hash.iter().map(|hash| (&hash[..], 1.0)));
    let success =
        ("claims_reload_success_timestamp_seconds", "When claims were last read, the start included.", claims.success_s);
    let failure = ("claims_reload_failure_timestamp_seconds", "When claims last could not be read.", claims.failure_s);
    for (name, help, time) in [success, failure] {
        page.family(name, "gauge", help, time.map(|time| (&[][..], time)));
    }
    let reloads = [("success", claims.successes), ("failure", claims.failures)];
    page.by("claims_reloads_total", "How often claims were read, the start included, by outcome.", "outcome", &reloads);
}

/// Under the names that all programs use.
fn process(snapshot: &Snapshot, page: &mut Page<'_>) {
    let mut one = |name, kind, help, value| page.named(name, kind, help, [(&[][..], value)]);
    one("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.", snapshot.start_time_s);
    let Some(process) = snapshot.process else { return };
    one("process_cpu_seconds_total", "counter", "Processor time, user and system.", process.cpu_s);
    one("process_resident_memory_bytes", "gauge", "Resident memory.", process.resident as f64);
    one("process_virtual_memory_bytes", "gauge", "Virtual memory.", process.virtual_size as f64);
    one("process_threads", "gauge", "Threads of the process.", process.threads as f64);
}

/// What is written of a family: names and values of labels, and the value.
type Sample<'a> = (&'a [(&'a str, &'a str)], f64);

struct Page<'a> {
    out: &'a mut String,
}

impl Page<'_> {
    /// A family of this program.
    fn family<'s>(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = Sample<'s>>) {
        self.named(&format!("keywitness_{name}"), kind, help, samples);
    }

    /// A family; nothing without a sample.
    fn named<'s>(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = Sample<'s>>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_some() {
            self.head(name, kind, help);
        }
        for (labels, value) in samples {
            self.sample(name, labels, value);
        }
    }

    /// A counter for each value of a label.
    fn by(&mut self, name: &str, help: &str, label: &str, counts: &[(&str, u64)]) {
        let labels: Vec<_> = counts.iter().map(|(value, _)| [(label, *value)]).collect();
        self.family(name, "counter", help, labels.iter().zip(counts).map(|(labels, (_, count))| (&labels[..], *count as f64)));
    }

    /// Buckets count what falls in them and in all before them.
    fn latency(&mut self, latency: &Latency) {
        let name = "keywitness_record_latency_seconds";
        self.head(name, "histogram", "From the capture time at which a record became known to when it was written.");
        let ends = LATENCY_BOUNDS.iter().map(|end| seconds(*end).to_string()).chain(["+Inf".to_owned()]);
        let mut total = 0_u64;
        for (end, count) in ends.zip(latency.buckets) {
            total = total.saturating_add(count);
            self.sample(&format!("{name}_bucket"), &[("le", &end)], total as f64);
        }
        self.sample(&format!("{name}_sum"), &[], seconds(latency.sum_ns));
        self.sample(&format!("{name}_count"), &[], total as f64);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.out.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            self.out.push(if position == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{label}=\"{}\"", escaped(text));
        }
        self.out.push_str(if labels.is_empty() { "" } else { "}" });
        let _ = writeln!(self.out, " {value}");
    }
}

/// The value of a label, in which the format writes three characters otherwise.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(snapshot: &Snapshot) -> String {
        let mut out = String::new();
        write(snapshot, &mut out);
        out
    }

    fn interface(name: &str) -> Interface {
        Interface { name: name.to_owned(), frames: 3, is_up: true, ..Interface::default() }
    }

    #[test]
    fn labels_are_escaped() {
        let text = page(&Snapshot { interfaces: vec![interface("a\"b\\c\nd")], ..Snapshot::default() });
        assert!(text.contains("keywitness_frames_total{interface=\"a\\\"b\\\\c\\nd\"} 3\n"), "{text}");
    }

    #[test]
    fn a_family_has_one_head_whatever_its_samples() {
        let text = page(&Snapshot { interfaces: vec![interface("a"), interface("b")], ..Snapshot::default() });
        assert_eq!(text.matches("# TYPE keywitness_frames_total counter\n").count(), 1);
        assert_eq!(text.matches("\nkeywitness_frames_total{").count(), 2);
        assert!(!page(&Snapshot::default()).contains("frames_total{interface"));
    }

    #[test]
    fn buckets_add_up() {
        let mut latency = Latency { sum_ns: 3_500_000_000, ..Latency::default() };
        latency.buckets[0] = 2;
        latency.buckets[9] = 1;
        latency.buckets[LATENCY_BOUNDS.len()] = 4;
        let text = page(&Snapshot { latency, ..Snapshot::default() });
        for line in
            ["bucket{le=\"0.001\"} 2", "bucket{le=\"1\"} 3", "bucket{le=\"10\"} 3", "bucket{le=\"+Inf\"} 7", "sum 3.5", "count 7"]
        {
            assert!(text.contains(&format!("keywitness_record_latency_seconds_{line}\n")), "{line} in {text}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = page(&Snapshot::default());
        assert!(!text.contains("claims") && !text.contains("cpu"), "{text}");
        let claims = Some(Claims { sha256: Some("ab".to_owned()), success_s: Some(1.5), ..Claims::default() });
        let text = page(&Snapshot { claims, ..Snapshot::default() });
        assert!(text.contains("keywitness_claims_info{sha256=\"ab\"} 1\n"), "{text}");
        assert!(text.contains("keywitness_claims_reload_success_timestamp_seconds 1.5\n"), "{text}");
        assert!(!text.contains("reload_failure_timestamp"), "{text}");
    }
}
