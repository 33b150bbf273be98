//! The endpoint for metrics, asked as Prometheus, a load balancer and somebody ill-willed would.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use keywitness::{
    capture::live::TapCounters,
    cli::AlertArgs,
    judge::{Severity, verdict::Verdict},
    output::Context,
    run::{
        counters::Counters,
        deliver::{Delivery, Setup},
        health::Health,
        metrics,
    },
};
use program::keywitness;
use tempfile::TempDir;

/// A sensor on two interfaces, of which it is asked.
struct Sensor {
    taps: [Arc<TapCounters>; 2],
    counters: Arc<Counters>,
    health: Arc<Health>,
    address: SocketAddr,
}

fn sensor() -> Sensor {
    let taps: [Arc<TapCounters>; 2] = Default::default();
    let names = ["eth0", "odd \"name\\"].map(str::to_owned);
    let counters = Arc::new(Counters::new(names.into_iter().zip(taps.clone()), 2));
    let health = Arc::new(Health::default());
    let endpoint = metrics::listen(metrics::address("0").unwrap()).unwrap();
    let address = endpoint.local_address().unwrap();
    let counted = Arc::clone(&counters);
    endpoint.serve(move || counted.snapshot(), Arc::clone(&health)).unwrap();
    Sensor { taps, counters, health, address }
}

impl Sensor {
    /// Sends bytes and reads to the end: status line with headers, and body.
    fn ask(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: sensor\r\n\r\n"))
    }

    /// Something of everything; an alert too, which goes to a collector that is there and to one that is not.
    fn work(&self) -> Collectors {
        let collectors = Collectors::new();
        self.counters.watch(collectors.delivery.watch());
        let counters = &self.counters;
        for tap in &self.taps {
            tap.set_open(true);
            tap.on_frames(12, 3456);
            tap.on_lost(7, 0);
        }
        for (engine, flows) in counters.engines.iter().zip([12, 13]) {
            engine.frames.set(12);
            engine.flows.set(flows);
        }
        counters.flows_max.set(100);
        counters.session_ended(Verdict::Implausible);
        counters.alert(Severity::High);
        counters.record_written(Duration::from_millis(3));
        counters.claims_read(Some(&"5".repeat(64)));
        counters.claims_failed();
        collectors
    }

    /// The page, once it has these lines.
    fn page_with(&self, lines: &[String]) -> String {
        let begun = Instant::now();
        loop {
            let body = self.get("/metrics").1;
            let missing: Vec<_> = lines.iter().filter(|line| !body.lines().any(|found| found == line.as_str())).collect();
            if missing.is_empty() {
                return body;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{missing:?} in\n{body}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A delivery of one alert that waited in a spool.
struct Collectors {
    delivery: Delivery,
    there: UdpSocket,
    names: [String; 2],
    _spool: TempDir,
}

impl Collectors {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().join("spool");
        let capture = ["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml", "pcaps/ssh-far.pcap", "--spool"];
        assert_eq!(keywitness(capture.into_iter().chain(spool.to_str())).status, 0);
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let names = [format!("udp://{}", there.local_addr().unwrap()), format!("tcp://{nobody}")];
        let args = AlertArgs {
            alert_to: names.to_vec(),
            spool: Some(spool),
            spool_size: 1,
            spool_age: Duration::from_secs(3600),
            cool_down: Duration::ZERO,
            alert_wait: Duration::ZERO,
        };
        let delivery = Setup::resolve(&args).unwrap().unwrap().start(false, Context::default()).unwrap();
        Self { delivery, there, names, _spool: folder }
    }
}

#[test]
fn prometheus_gets_what_was_counted() {
    let sensor = sensor();
    let _collectors = sensor.work();
    let (head, body) = sensor.get("/metrics?x=1");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    for line in [
        "keywitness_frames_total{interface=\"eth0\"} 12",
        "keywitness_bytes_total{interface=\"odd \\\"name\\\\\"} 3456",
        "keywitness_kernel_drops_total{interface=\"eth0\"} 7",
        "keywitness_shed_bulk_frames_total{interface=\"eth0\"} 0",
        "keywitness_overload_level{interface=\"eth0\"} 0",
        "keywitness_interface_up{interface=\"eth0\"} 1",
        "keywitness_handled_frames_total 12",
        "keywitness_table_fill_ratio 0.25",
        "keywitness_verdicts_total{verdict=\"implausible\"} 1",
        "keywitness_alerts_total{severity=\"high\"} 1",
        "keywitness_record_latency_seconds_bucket{le=\"0.005\"} 1",
        "keywitness_claims_reloads_total{outcome=\"failure\"} 1",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} in\n{body}");
    }
    let resident = body.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
    assert!(resident.parse::<f64>().unwrap() > 1e6, "{resident}");
}

/// What becomes of alerts is told for each destination.
#[test]
fn prometheus_hears_what_becomes_of_alerts() {
    let sensor = sensor();
    assert!(!sensor.get("/metrics").1.contains("keywitness_delivery"), "nothing without a spool");
    let collectors = sensor.work();
    collectors.there.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut datagram = [0; 8192];
    let length = collectors.there.recv(&mut datagram).unwrap();
    assert!(String::from_utf8_lossy(datagram.get(..length).unwrap()).contains("rtt_above_claim"));
    let of = |name: &str, destination: usize, value: u64| {
        format!("keywitness_delivery_{name}{{destination=\"{}\"}} {value}", collectors.names[destination])
    };
    let body = sensor.page_with(&[
        of("arrived_total", 0, 1),
        of("sent_total", 0, 1),
        of("sent_again_total", 0, 0),
        of("waiting", 0, 0),
        of("connected", 0, 1),
        of("connections_total", 0, 1),
        of("lost_total", 0, 0),
        of("arrived_total", 1, 0),
        of("waiting", 1, 1),
        of("connected", 1, 0),
        "keywitness_spool_lost_total{reason=\"disk_full\"} 0".to_owned(),
        "keywitness_spool_max_bytes 1048576".to_owned(),
        "keywitness_spool_queued 0".to_owned(),
    ]);
    let bytes = body.lines().find_map(|line| line.strip_prefix("keywitness_spool_bytes ")).unwrap();
    assert!(bytes.parse::<f64>().unwrap() > 1000.0, "{bytes}");
}

#[test]
fn promtool_has_nothing_to_say() {
    let sensor = sensor();
    let _collectors = sensor.work();
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        writeln!(io::stderr(), "skipped: promtool (package prometheus) is not installed").unwrap();
        return;
    };
    child.stdin.take().unwrap().write_all(sensor.get("/metrics").1.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{}", String::from_utf8_lossy(&text));
}

/// The operators' notes list each family, with its kind, and none that is not there.
#[test]
fn the_notes_list_all_metrics() {
    let sensor = sensor();
    let _collectors = sensor.work();
    let body = sensor.get("/metrics").1;
    let told: BTreeSet<_> =
        body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| line.replace(' ', "` | ")).collect();
    let notes = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/sensor.md")).unwrap();
    let row = |line: &str| line.strip_prefix("| `").and_then(|row| row.rsplit_once(" | ")).map(|(row, _)| row.to_owned());
    let written: BTreeSet<_> =
        notes.lines().filter_map(row).filter(|row| row.contains("keywitness_") || row.contains("process_")).collect();
    assert_eq!(told, written);
}

#[test]
fn health_names_what_is_wrong() {
    let sensor = sensor();
    let status = |path| {
        let (head, body) = sensor.get(path);
        (head[9..12].to_owned(), body)
    };
    let down = ("503".to_owned(), "interface eth0 is not open\n".to_owned());
    let ok = ("200".to_owned(), "ok\n".to_owned());
    assert_eq!(status("/healthz"), down);
    let _collectors = sensor.work();
    let beat = sensor.health.expect("capture of eth0");
    beat.mark();
    assert_eq!(status("/healthz"), ok, "nothing was received, and all is well");
    assert_eq!(status("/readyz"), ("503".to_owned(), "not ready\n".to_owned()));
    sensor.health.set_ready(true);
    assert_eq!(status("/readyz"), ok);
    sensor.taps[0].set_open(false);
    assert_eq!(status("/healthz"), down);
}

#[test]
fn what_is_no_such_request_is_refused() {
    let sensor = sensor();
    let status = |request: &str| sensor.ask(request).0[9..12].to_owned();
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), "404");
    assert_eq!(status("POST /metrics HTTP/1.1\r\n\r\n"), "405");
    assert_eq!(status("no request\r\n\r\n"), "400");
    assert_eq!(status(&format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65))), "431");
    assert_eq!(status(&format!("GET /metrics HTTP/1.1\r\nA: {}", "a".repeat(8192 - 26))), "431");
    let (head, body) = sensor.ask("HEAD /healthz HTTP/1.0\r\n\r\n");
    assert!(head.contains("Content-Length: ") && body.is_empty(), "{head}\n{body}");
}

/// Whoever sends nothing, or a byte now and then, takes one of few places, and not for long.
#[test]
fn slow_clients_lose_their_places() {
    let sensor = sensor();
    let mut slow: Vec<_> = (0..8).map(|_| TcpStream::connect(sensor.address).unwrap()).collect();
    for stream in &mut slow[..4] {
        stream.write_all(b"GET /met").unwrap();
    }
    // The ninth is turned away: closed without an answer.
    let mut ninth = TcpStream::connect(sensor.address).unwrap();
    assert_eq!(ninth.read(&mut [0; 16]).unwrap_or(0), 0);
    let mut dripping = slow.pop().unwrap();
    while dripping.write_all(b"x").is_ok() {
        thread::sleep(Duration::from_millis(100));
    }
    for mut stream in slow {
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "closed without an answer");
    }
    assert_eq!(sensor.get("/readyz").1, "not ready\n");
}

#[test]
fn a_port_alone_is_of_loopback() {
    for text in ["9720", ":9720", "127.0.0.1:9720"] {
        assert_eq!(metrics::address(text).unwrap().to_string(), "127.0.0.1:9720");
    }
    assert_eq!(metrics::address("[::]:1").unwrap().to_string(), "[::]:1");
    for text in ["", "here:9720", "127.0.0.1", "70000"] {
        assert!(metrics::address(text).unwrap_err().contains("is not ADDR:PORT"));
    }
}
