//! `replay`: what goes into an interface comes out at the other end of its wire, all of it, in order.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/network.rs"]
mod network;
#[path = "program/pcap.rs"]
mod pcap;
#[expect(dead_code, reason = "no records are read here")]
mod program;
#[path = "program/terminal.rs"]
mod terminal;

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use ::pcap::{Active, Capture};
use network::{FAR, NEAR, ip, within};
use pcap::{Classic, Packet, read};
use program::{Run, captures, command, keywitness, repository};
use tempfile::TempDir;
use terminal::{Terminal, screen};

/// Longer than any machine takes to hand on what was sent.
const PATIENCE: Duration = Duration::from_secs(20);

/// The far end of the wire.
struct Listener(Capture<Active>);

impl Listener {
    fn open() -> Self {
        let device = Capture::from_device(FAR).unwrap().promisc(true).timeout(50).buffer_size(32 << 20);
        // With a blocking one, libpcap waits for ever where nothing comes.
        Self(device.open().unwrap().setnonblock().unwrap())
    }

    /// The next so many frames.
    fn frames(&mut self, count: usize) -> Vec<Vec<u8>> {
        let begun = Instant::now();
        let mut frames = Vec::new();
        while frames.len() < count && begun.elapsed() < PATIENCE {
            match self.0.next_packet() {
                Ok(packet) => frames.push(packet.data.to_vec()),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
        frames
    }

    /// Whether nothing more came, now that all that was sent is here.
    fn is_quiet(&mut self) -> bool {
        self.0.next_packet().is_err()
    }
}

fn bytes(packets: &[Packet]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| packet.bytes.clone()).collect()
}

/// Frames of this length, one millisecond apart; each has its number in it.
fn packets(lengths: &[usize]) -> Vec<Packet> {
    let frame = |(number, &length): (usize, &usize)| {
        let mut bytes = [vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5], number.to_be_bytes().to_vec()].concat();
        bytes.resize(length, 0x5a);
        Packet { time: 1_800_000_000_000_000_000 + number as u64 * 1_000_000, bytes }
    };
    lengths.iter().enumerate().map(frame).collect()
}

fn written(packets: &[Packet], change: impl FnOnce(&mut Vec<u8>)) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made-up.pcap");
    let mut capture = Classic { big_endian: false, microseconds: false }.write(packets);
    change(&mut capture);
    fs::write(&file, capture).unwrap();
    (folder, file)
}

#[test]
fn every_frame_of_every_capture_comes_out_in_order() {
    within(|_| {
        for name in captures() {
            let mut listener = Listener::open();
            let file = format!("pcaps/{name}.pcap");
            let run = keywitness(["replay", &file, "-i", NEAR, "--topspeed"]);
            let packets = read(&name);
            assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{name}: {}", run.stderr);
            let total: usize = packets.iter().map(|packet| packet.bytes.len()).sum();
            assert!(run.stderr.contains(&format!(" {} frames, {total} bytes in ", packets.len())), "{}", run.stderr);
            assert!(run.stderr.contains("; 0 failed"), "{}", run.stderr);
            assert!(listener.frames(packets.len()) == bytes(&packets), "{name}");
            assert!(listener.is_quiet(), "{name}");
        }
    });
}

#[test]
fn several_captures_are_merged_by_time_and_standard_input_is_one() {
    within(|_| {
        let [home, far] = ["ssh-home", "ssh-far"].map(read);
        let mut listener = Listener::open();
        let mut command = command(["replay", "pcaps/ssh-far.pcap", "-", "-i", NEAR, "--topspeed"]);
        let stdin = fs::File::open(repository().join("pcaps/ssh-home.pcap")).unwrap();
        let run = Run::from(command.stdin(stdin).output().unwrap());
        assert_eq!(run.status, 0, "{}", run.stderr);
        let mut merged = [far, home].concat();
        merged.sort_by_key(|packet| packet.time);
        assert!(listener.frames(merged.len()) == bytes(&merged) && listener.is_quiet());
    });
}

#[test]
fn each_pace_sends_the_same_frames_and_none_too_early() {
    within(|_| {
        let packets = packets(&[60; 40]);
        let (_folder, file) = written(&packets, |_| ());
        let paces: [(&[&str], u64); 4] = [(&[], 39), (&["--realtime"], 39), (&["--pps", "200"], 195), (&["--topspeed"], 0)];
        for (pace, at_least) in paces {
            let mut listener = Listener::open();
            let begun = Instant::now();
            let run = keywitness(["replay", file.to_str().unwrap(), "-i", NEAR].into_iter().chain(pace.iter().copied()));
            // How long it takes is up to the machine; but it can never be faster than it should.
            assert!(begun.elapsed() >= Duration::from_millis(at_least), "{pace:?}");
            assert_eq!(run.status, 0, "{pace:?}: {}", run.stderr);
            assert_eq!(run.stderr.contains(" late; "), at_least > 0, "{pace:?}: {}", run.stderr);
            assert_eq!(listener.frames(40), bytes(&packets), "{pace:?}");
        }
    });
}

#[test]
fn ctrl_c_ends_it_with_what_was_sent() {
    within(|_| {
        let mut packets = packets(&[60, 60, 60]);
        packets[2].time += 3_600_000_000_000;
        let (_folder, file) = written(&packets, |_| ());
        let mut listener = Listener::open();
        let mut command = command(["replay", file.to_str().unwrap(), "-i", NEAR]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(listener.frames(2).len(), 2);
        let id = rustix::process::Pid::from_child(&child);
        // Twice, as `timeout` does it.
        for _ in 0..2 {
            rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        }
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.status, 0, "{}", run.stderr);
        for told in ["the next frame follows in 3600 s", " 2 frames, 120 bytes in ", "stopped before the end"] {
            assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
        }
    });
}

/// Where it waits for standard input, it hears of the first one only when something comes.
#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    within(|_| {
        let mut listener = Listener::open();
        let mut command = command(["replay", "-", "-i", NEAR]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&Classic { big_endian: false, microseconds: false }.write(&packets(&[60]))).unwrap();
        assert_eq!(listener.frames(1).len(), 1);
        let id = rustix::process::Pid::from_child(&child);
        let begun = Instant::now();
        let status = loop {
            assert!(begun.elapsed() < PATIENCE);
            rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
            thread::sleep(Duration::from_millis(100));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
        };
        assert_eq!(status.code(), Some(128 + 15));
        drop(stdin);
    });
}

#[test]
fn a_terminal_sees_how_much_was_sent() {
    within(|_| {
        let (_folder, file) = written(&packets(&[60; 300]), |_| ());
        let mut terminal = Terminal::open();
        let mut command = command(["--color=never", "replay", file.to_str().unwrap(), "-i", NEAR]);
        command.env("TERM", "xterm").stdin(Stdio::null()).stderr(terminal.end());
        let mut child = command.spawn().unwrap();
        drop(command); // and with it its own hold on the far end
        let sent = terminal.read_until(|_| false);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(sent.contains(" sent, ") && sent.contains("packets/s"), "{sent:?}");
        let left = screen(&sent);
        assert!(!left.contains(" sent, ") && left.contains(" 300 frames, 18000 bytes in "), "{left}");
    });
}

#[test]
fn frames_that_the_kernel_refuses_are_counted_and_told_once() {
    within(|_| {
        let packets = packets(&[60, 3_000, 70, 3_001, 1_514]);
        let (_folder, file) = written(&packets, |_| ());
        let mut listener = Listener::open();
        let run = keywitness(["replay", file.to_str().unwrap(), "-i", NEAR, "--topspeed"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert_eq!(run.stderr.matches("MTU").count(), 1, "{}", run.stderr);
        for told in ["frame 1 of 3000 bytes was not sent", " 3 frames, 1644 bytes in ", "; 2 failed"] {
            assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
        }
        let sent = [0, 2, 4].map(|number: usize| packets[number].bytes.clone());
        assert_eq!(listener.frames(3), sent);
        let (_folder, file) = written(&packets[1..2], |_| ());
        assert_eq!(keywitness(["replay", file.to_str().unwrap(), "-i", NEAR]).status, 4, "none was sent");
    });
}

#[test]
fn frames_that_a_snaplen_cut_go_out_as_they_are() {
    within(|_| {
        let packets = packets(&[60, 60]);
        // The length on the wire, of the first frame.
        let (_folder, file) = written(&packets, |capture| capture[24 + 12..][..4].copy_from_slice(&1_000u32.to_le_bytes()));
        let mut listener = Listener::open();
        let run = keywitness(["replay", file.to_str().unwrap(), "-i", NEAR, "--topspeed"]);
        assert_eq!(run.status, 0);
        assert!(run.stderr.contains(" 1 frames were cut by the capture's snaplen"), "{}", run.stderr);
        assert_eq!(listener.frames(2), bytes(&packets));
    });
}

#[test]
fn what_is_not_ethernet_is_an_input_error() {
    within(|_| {
        for (number, name) in [(113, "LINKTYPE_LINUX_SLL"), (101, "LINKTYPE_RAW"), (147, "link type 147")] {
            let (_folder, file) = written(&packets(&[60]), |capture| capture[20] = number);
            let run = keywitness(["replay", file.to_str().unwrap(), "pcaps/ssh-idle.pcap", "-i", NEAR, "--topspeed"]);
            assert_eq!(run.status, 3);
            assert!(run.stderr.contains(name), "{}", run.stderr);
            assert!(run.stderr.contains(&format!(" {} frames, ", read("ssh-idle").len())), "the others: {}", run.stderr);
        }
        let run = keywitness(["replay", "no-such-file", "pcaps/ssh-idle.pcap", "-i", NEAR, "--topspeed"]);
        assert_eq!(run.status, 3);
        assert!(run.stderr.contains("no-such-file: cannot be opened"), "{}", run.stderr);
    });
}

#[test]
fn an_interface_that_cannot_be_used_is_told_with_what_mends_it() {
    let run = keywitness(["replay", "pcaps/ssh-idle.pcap", "-i", "no\u{1b}such"]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("there is no \"no\\u{1b}such\"; there are: ") && run.stderr.contains("lo"), "{}", run.stderr);
    within(|_| {
        ip(&["link", "set", NEAR, "down"]).unwrap();
        let run = keywitness(["replay", "pcaps/ssh-idle.pcap", "-i", NEAR]);
        assert_eq!((run.status, run.stderr.as_str()), (2, "--interface: near0 is down: sudo ip link set dev near0 up\n"));
        if ip(&["tuntap", "add", "tun0", "mode", "tun"]).is_some() {
            let run = keywitness(["replay", "pcaps/ssh-idle.pcap", "-i", "tun0"]);
            assert_eq!((run.status, run.stderr.as_str()), (2, "--interface: tun0 takes no Ethernet frames\n"));
        }
        ip(&["link", "set", NEAR, "up"]).unwrap();
        let program = env!("CARGO_BIN_EXE_keywitness");
        let mut without = std::process::Command::new("setpriv");
        without.args(["--bounding-set=-net_raw", program, "replay", "pcaps/ssh-idle.pcap", "-i", NEAR]).current_dir(repository());
        let run = Run::from(without.output().unwrap());
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains(&format!("sudo setcap cap_net_raw+ep {program}")), "{}", run.stderr);
    });
}

#[test]
fn usage() {
    for args in [
        &["replay", "pcaps/ssh-idle.pcap"][..],
        &["replay", "-i", "lo"],
        &["replay", "pcaps/ssh-idle.pcap", "-i", "lo", "--pps", "0"],
        &["replay", "pcaps/ssh-idle.pcap", "-i", "lo", "--pps", "5", "--topspeed"],
        &["replay", "pcaps/ssh-idle.pcap", "-i", "lo", "--realtime", "--topspeed"],
        &["replay", "pcaps/ssh-idle.pcap", "-i", "lo", "--realtime", "--pps", "5"],
    ] {
        assert_eq!(keywitness(args.iter().copied()).status, 2, "{args:?}");
    }
}
