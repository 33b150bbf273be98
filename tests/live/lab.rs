//! A laboratory: a network namespace with pairs of interfaces, the sensor in it, a sender and a recorder.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    net::UdpSocket,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{self, Child, ChildStdout, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pcap::{Active, Capture, Precision};
use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use serde_json::Value;

use super::{pcap_file::Packet, program::command};

/// How long anything may take that comes at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come to pass");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A network namespace of its own, gone when dropped.
#[derive(Debug)]
pub(crate) struct Lab {
    name: String,
}

impl Lab {
    /// None, with a word why, where this is not permitted.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let name = format!("kw-live-{}-{test}", process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        match made {
            Ok(output) if output.status.success() => {
                let lab = Self { name };
                lab.ip("link set lo up");
                Some(lab)
            }
            Ok(Output { stderr, .. }) => {
                println!("skipped: no network namespace: {}", String::from_utf8_lossy(&stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: ip: {error}");
                None
            }
        }
    }

    /// Runs `ip` inside.
    pub(crate) fn ip(&self, args: &str) {
        let output = Command::new("ip").args(["-n", &self.name]).args(args.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Two interfaces that are tied together and say nothing of their own.
    pub(crate) fn pair(&self, one: &str, other: &str) {
        self.ip(&format!("link add {one} type veth peer name {other}"));
        for name in [one, other] {
            self.ip(&format!("link set {name} addrgenmode none"));
            self.ip(&format!("link set {name} up"));
        }
    }

    /// Does something in a thread that is inside.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new("/var/run/netns").join(&self.name)).unwrap();
        let enter = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    /// An interface to send and to record on.
    fn open(&self, interface: &str) -> Capture<Active> {
        let open = || {
            let capture = Capture::from_device(interface).unwrap().precision(Precision::Nano).promisc(true).timeout(1);
            capture.buffer_size(64 << 20).snaplen(262_144).open().unwrap().setnonblock().unwrap()
        };
        self.inside(open)
    }

    /// Sends frames, one after the other.
    pub(crate) fn send<'a>(&self, interface: &str, packets: impl IntoIterator<Item = &'a Packet>) {
        let mut sender = self.open(interface);
        packets.into_iter().for_each(|packet| sender.sendpacket(packet.bytes.as_slice()).unwrap());
    }

    /// Sends frames from several interfaces with the pauses that they had, `speed` times as fast.
    pub(crate) fn replay(&self, packets: &[(&str, &Packet)], speed: u64) {
        let mut senders: Vec<(&str, Capture<Active>)> = Vec::new();
        for (interface, _) in packets {
            if !senders.iter().any(|(name, _)| name == interface) {
                senders.push((interface, self.open(interface)));
            }
        }
        let (begun, first) = (Instant::now(), packets.first().unwrap().1.time);
        for (interface, packet) in packets {
            let due = begun + Duration::from_nanos((packet.time - first) / speed);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (_, sender) = senders.iter_mut().find(|(name, _)| name == interface).unwrap();
            sender.sendpacket(packet.bytes.as_slice()).unwrap();
        }
    }

    /// Sees to it that the kernel stamps each frame once, and not for each listener anew; as long as what this gives is there.
    pub(crate) fn common_stamps(&self, from: &str, to: &str) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimestamp, &true).unwrap();
        let [mut sender, mut one, mut other] = [from, to, to].map(|interface| self.open(interface));
        wait_until("a common stamp", || {
            sender.sendpacket([0xff; 60].as_slice()).unwrap();
            let [one, other] = [&mut one, &mut other].map(|capture| {
                let mut stamp = None;
                wait_until("a frame", || {
                    stamp = capture.next_packet().ok().map(|packet| packet.header.ts);
                    stamp.is_some()
                });
                stamp.map(|stamp| (stamp.tv_sec, stamp.tv_usec))
            });
            one == other
        });
        socket
    }

    /// Records what passes an interface.
    pub(crate) fn record(&self, interface: &str, file: PathBuf) -> Recorder {
        self.record_only("", interface, file)
    }

    /// The same of what a filter lets pass.
    pub(crate) fn record_only(&self, filter: &str, interface: &str, file: PathBuf) -> Recorder {
        let mut capture = self.open(interface);
        capture.filter(filter, true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let mut savefile = capture.savefile(&file).unwrap();
        let thread = thread::spawn(move || {
            let mut frames = 0;
            loop {
                let is_last = stopping.load(Ordering::SeqCst);
                while let Ok(packet) = capture.next_packet() {
                    savefile.write(&packet);
                    frames += 1;
                }
                savefile.flush().unwrap();
                if is_last {
                    return frames;
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        Recorder { thread, stop, file }
    }

    /// Starts the sensor, and waits until it captures.
    pub(crate) fn sensor(&self, args: &[&str]) -> Sensor {
        let sensor = self.start(args);
        sensor.wait_for_log("capturing on");
        sensor
    }

    /// Starts the sensor; nobody reads what it writes to standard output.
    pub(crate) fn unheard_sensor(&self, args: &[&str]) -> Sensor {
        self.start_with(args, |stdout| {
            drop(stdout);
            Lines::of(io::empty())
        })
    }

    /// Starts the sensor with things said in its environment, and waits until it captures.
    pub(crate) fn sensor_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Sensor {
        let sensor = self.start_in(&[&["--as-root"], args].concat(), environment, Lines::of);
        sensor.wait_for_log("capturing on");
        sensor
    }

    /// Starts the sensor without leave to be root, and waits until it captures.
    pub(crate) fn sensor_by_user(&self, args: &[&str]) -> Sensor {
        let sensor = self.start_in(args, &[], Lines::of);
        sensor.wait_for_log("capturing on");
        sensor
    }

    fn start(&self, args: &[&str]) -> Sensor {
        self.start_with(args, Lines::of)
    }

    fn start_with(&self, args: &[&str], read: impl FnOnce(ChildStdout) -> Lines) -> Sensor {
        self.start_in(&[&["--as-root"], args].concat(), &[], read)
    }

    fn start_in(&self, args: &[&str], environment: &[(&str, &str)], read: impl FnOnce(ChildStdout) -> Lines) -> Sensor {
        let program = command([]);
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name]).arg(program.get_program());
        inside.args(["-v", "live"]).args(args).envs(environment.iter().copied()).current_dir(super::program::repository());
        inside.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = inside.spawn().unwrap();
        let (stdout, stderr) = (read(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
        Sensor { child, stdout, stderr }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// What writes a recording.
#[derive(Debug)]
pub(crate) struct Recorder {
    thread: JoinHandle<u64>,
    stop: Arc<AtomicBool>,
    file: PathBuf,
}

impl Recorder {
    /// Ends the recording, which has this many frames.
    pub(crate) fn finish(self, frames: u64) -> String {
        let records = |path: &Path| count(&fs::read(path).unwrap());
        wait_until("the recording", || records(&self.file) >= frames);
        self.stop.store(true, Ordering::SeqCst);
        assert_eq!(self.thread.join().unwrap(), frames, "nothing else passed");
        self.file.into_os_string().into_string().unwrap()
    }
}

/// Lines that a process writes, as they come.
#[derive(Debug)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let add = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                add.lock().unwrap().push(line.unwrap());
            }
        });
        Self { lines, reader }
    }

    fn now(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// The sensor as a process.
#[derive(Debug)]
pub(crate) struct Sensor {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What it wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) lines: Vec<String>,
    pub(crate) log: Vec<String>,
}

impl Sensor {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process. `ip` has become it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last line of the log with these words.
    pub(crate) fn logged(&self, words: &str) -> String {
        self.stderr.now().into_iter().rfind(|line| line.contains(words)).unwrap()
    }

    /// The records so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        records(&self.stdout.now())
    }

    /// Waits until a number of records of a kind are such.
    pub(crate) fn wait_for_records(&self, count: usize, is_such: impl Fn(&Value) -> bool) {
        let log = || self.stderr.now().join("\n");
        wait_until(&format!("{count} records\n{}", log()), || {
            self.records().iter().filter(|record| is_such(record)).count() >= count
        });
    }

    /// Waits until standard output has a line with these words.
    pub(crate) fn wait_for_lines(&self, words: &str) {
        wait_until(words, || self.stdout.now().iter().any(|line| line.contains(words)));
    }

    /// Waits until the log has a line with these words.
    pub(crate) fn wait_for_log(&self, words: &str) {
        self.wait_for_logs(words, 1);
    }

    /// Whether the log has a line with these words.
    pub(crate) fn has_logged(&self, words: &str) -> bool {
        self.stderr.now().iter().any(|line| line.contains(words))
    }

    /// Waits until the log has a number of lines with these words.
    pub(crate) fn wait_for_logs(&self, words: &str, count: usize) {
        wait_until(&format!("{words} in the log"), || {
            self.stderr.now().iter().filter(|line| line.contains(words)).count() >= count
        });
    }

    /// Whether it runs no more.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> Ended {
        wait_until("the end of the sensor", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap().code();
        let [lines, log] = [self.stdout, self.stderr].map(|lines| {
            lines.reader.join().unwrap();
            Arc::try_unwrap(lines.lines).unwrap().into_inner().unwrap()
        });
        Ended { status, lines, log }
    }
}

impl Ended {
    pub(crate) fn records(&self) -> Vec<Value> {
        records(&self.lines)
    }

    /// The last record.
    pub(crate) fn summary(&self) -> Value {
        let summary = self.records().pop().unwrap();
        assert_eq!(summary["record"], "summary", "{:?}", self.log);
        summary
    }
}

fn records(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whole records in a capture file, little-endian.
fn count(file: &[u8]) -> u64 {
    let mut rest = file.get(24..).unwrap_or_default();
    let mut records = 0;
    while let Some(length) = rest.get(8..12) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let Some(behind) = rest.get(16 + length..) else { break };
        (rest, records) = (behind, records + 1);
    }
    records
}
