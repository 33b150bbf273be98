//! What is left to a thread behind the guard. There is no way back from it, and who is who depends on there being one thread: so
//! this file is a program of its own (`harness = false`) that runs itself again for each test, as a child with nothing but `main`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{
    env, fs,
    io::{self, ErrorKind, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use keywitness::run::guard::{self, Calls, GuardError, Needs, Privileges, Report, Role, State};
use libtest_mimic::{Arguments, Trial};
use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use tempfile::TempDir;

/// Names the test, and then the folder, that a child is for.
const CHILD: &str = "KEYWITNESS_TEST_CHILD";
const FOLDER: &str = "KEYWITNESS_TEST_FOLDER";

/// What a child does, and what for.
type InChild = fn(&Path);
const CHILDREN: &[(&str, InChild)] = &[
    ("only_named_files_can_be_reached", only_named_files_can_be_reached),
    ("a_file_in_a_shared_folder_does_not_open_the_folder", a_file_in_a_shared_folder_does_not_open_the_folder),
    ("what_is_missing_is_told", what_is_missing_is_told),
    ("nothing_is_started_and_no_socket_is_raw", nothing_is_started_and_no_socket_is_raw),
    ("tcp_goes_to_named_ports_only", tcp_goes_to_named_ports_only),
    ("one_thread_may_open_interfaces_and_no_other", one_thread_may_open_interfaces_and_no_other),
    ("root_becomes_a_user_who_opens_interfaces", root_becomes_a_user_who_opens_interfaces),
    (RELOAD, reload_when_told),
];
const RELOAD: &str = "claims_can_be_replaced";

fn main() -> ExitCode {
    if let Ok(name) = env::var(CHILD) {
        let (_, run) = CHILDREN.iter().find(|(child, _)| *child == name).unwrap();
        run(Path::new(&env::var_os(FOLDER).unwrap()));
        println!("{DONE}");
        return ExitCode::SUCCESS;
    }
    let trial = |name: &'static str| {
        Trial::test(name, move || {
            if name == RELOAD {
                claims_can_be_replaced()
            } else {
                run_child(name)
            };
            Ok(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), CHILDREN.iter().map(|(name, _)| trial(name)).collect()).exit_code()
}

/// Bit of `CAP_NET_RAW`.
const NET_RAW: u64 = 1 << 13;

/// What a child says at its end.
const DONE: &str = "the child is done";

/// Runs a function of this file in a child, which is given a folder with `config/claims.toml` and `out/`.
fn run_child(name: &str) {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("config")).unwrap();
    fs::create_dir(path.join("out")).unwrap();
    fs::write(path.join("config/claims.toml"), "first").unwrap();
    fs::write(path.join("secret"), "nobody's business").unwrap();
    Command::new("chmod").args(["-R", "a+rwX"]).arg(path).status().unwrap();
    let output = child(name, path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(DONE), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for skipped in said.lines().filter(|line| line.starts_with("skipped")) {
        println!("{name}: {skipped}");
    }
}

/// This program, as the child for a test.
fn child(name: &str, folder: &Path) -> Command {
    let mut child = Command::new(env::current_exe().unwrap());
    child.env(CHILD, name).env(FOLDER, folder);
    child
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: takes root");
    }
    root
}

/// Capabilities of a thread, by the name of the set in `/proc`.
fn capabilities(thread: &str, set: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(set)).unwrap();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

fn this_thread() -> String {
    rustix::thread::gettid().as_raw_nonzero().to_string()
}

/// What a run with claims and a folder for records needs; `/proc` is for these tests to look at.
fn needs(folder: &Path) -> Needs {
    let read = vec![folder.join("config/claims.toml"), PathBuf::from("/proc")];
    Needs { read, write: vec![folder.join("out")], connect: Vec::new() }
}

fn refused<T>(outcome: io::Result<T>) -> ErrorKind {
    outcome.err().unwrap().kind()
}

/// Whether the kernel has all of what the guard asks for; where it has not, what depends on it is skipped.
fn holds(report: &Report) -> bool {
    println!("{report}");
    let all = report.files.state == State::Full && report.calls == Calls::Filtered;
    if !all {
        println!("skipped: this kernel does not have all of it");
    }
    all
}

fn only_named_files_can_be_reached(folder: &Path) {
    let claims = folder.join("config/claims.toml");
    let out = folder.join("out");
    let report = guard::enter(Role::Analysing, &needs(folder)).unwrap();
    if !holds(&report) {
        return;
    }
    assert_eq!(report.files.fixed, [PathBuf::new(); 0]);
    assert_eq!(fs::read_to_string(&claims).unwrap(), "first");
    assert_eq!(refused(fs::write(&claims, "changed")), ErrorKind::PermissionDenied);
    assert_eq!(refused(fs::read("/etc/shadow")), ErrorKind::PermissionDenied);
    assert_eq!(refused(fs::read("/etc/passwd")), ErrorKind::PermissionDenied);
    assert_eq!(refused(fs::read(folder.join("secret"))), ErrorKind::PermissionDenied);
    assert_eq!(refused(fs::write(folder.join("new"), "")), ErrorKind::PermissionDenied);
    // Records, rotated; evidence in folders; what is left of either goes.
    fs::write(out.join("records"), "one").unwrap();
    fs::rename(out.join("records"), out.join("records.1")).unwrap();
    fs::create_dir(out.join("evidence")).unwrap();
    fs::write(out.join("evidence/a.pcap"), "frames").unwrap();
    fs::rename(out.join("records.1"), out.join("evidence/records.1")).unwrap();
    assert_eq!(fs::read_to_string(out.join("evidence/records.1")).unwrap(), "one");
    fs::remove_dir_all(out.join("evidence")).unwrap();
    assert_eq!(refused(symlink("/etc", out.join("etc"))), ErrorKind::PermissionDenied);
}

/// Claims are replaced by renaming while a child holds them open to itself alone.
fn claims_can_be_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    // As Kubernetes lays out files: a link to a link to a folder, which is what is replaced.
    for version in ["v1", "v2"] {
        fs::create_dir(path.join(version)).unwrap();
        fs::write(path.join(version).join("claims.toml"), version).unwrap();
    }
    symlink("v1", path.join("data")).unwrap();
    symlink("data/claims.toml", path.join("claims.toml")).unwrap();
    fs::write(path.join("plain.toml"), "old").unwrap();
    let mut child = child(RELOAD, path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("guarded") {
        line.clear();
        assert_ne!(io::BufRead::read_line(&mut said, &mut line).unwrap(), 0, "the child ended");
    }
    fs::write(path.join("next"), "new").unwrap();
    fs::rename(path.join("next"), path.join("plain.toml")).unwrap();
    symlink("v2", path.join("data.next")).unwrap();
    fs::rename(path.join("data.next"), path.join("data")).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut rest = String::new();
    io::Read::read_to_string(&mut said, &mut rest).unwrap();
    assert!(child.wait().unwrap().success() && rest.contains("v2 new"), "{rest}");
}

fn reload_when_told(folder: &Path) {
    let files = [folder.join("claims.toml"), folder.join("plain.toml")];
    guard::enter(Role::Analysing, &Needs { read: files.to_vec(), ..Needs::default() }).unwrap();
    println!("guarded");
    io::stdin().read_line(&mut String::new()).unwrap();
    println!("{}", files.map(|path| fs::read_to_string(path).unwrap()).join(" "));
}

fn a_file_in_a_shared_folder_does_not_open_the_folder(folder: &Path) {
    let named = tempfile::Builder::new().tempfile_in("/tmp").unwrap();
    let beside = tempfile::Builder::new().tempfile_in("/tmp").unwrap();
    let needs = Needs { read: vec![named.path().to_owned()], write: vec![folder.join("out")], ..Needs::default() };
    let report = guard::enter(Role::Analysing, &needs).unwrap();
    assert_eq!(report.files.fixed, [named.path()]);
    if !holds(&report) {
        return;
    }
    assert!(fs::read(named.path()).is_ok());
    assert_eq!(refused(fs::read(beside.path())), ErrorKind::PermissionDenied);
}

fn what_is_missing_is_told(_: &Path) {
    let needs = Needs { read: vec!["/no/such/claims.toml".into()], ..Needs::default() };
    let told = guard::enter(Role::Analysing, &needs).unwrap_err();
    assert!(told.to_string().starts_with("/no/such/claims.toml: "), "{told}");
}

fn nothing_is_started_and_no_socket_is_raw(folder: &Path) {
    let report = guard::enter(Role::Analysing, &needs(folder)).unwrap();
    if !holds(&report) {
        return;
    }
    let eperm = Some(rustix::io::Errno::PERM);
    assert_eq!(Command::new("/bin/true").status().err().unwrap().raw_os_error(), eperm.map(rustix::io::Errno::raw_os_error));
    let raw_icmp = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).err();
    let packet = socket(AddressFamily::PACKET, SocketType::RAW, None).err();
    // Needs no privilege, and is an address family that nobody here has a use for: it is the filter that refuses it.
    let other = socket(AddressFamily::VSOCK, SocketType::STREAM, None).err();
    assert_eq!((raw_icmp, packet, other), (eperm, eperm, eperm));
    let datagram = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    datagram.send_to(b"log line", datagram.local_addr().unwrap()).unwrap();
    // Threads go on being made, and the guard is theirs too.
    let inside =
        thread::spawn(|| (refused(fs::read("/etc/passwd")), Command::new("/bin/true").status().is_err())).join().unwrap();
    assert_eq!(inside, (ErrorKind::PermissionDenied, true));
}

fn tcp_goes_to_named_ports_only(folder: &Path) {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [collector, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let needs = Needs { connect: vec![collector.port()], ..needs(folder) };
    let report = guard::enter(Role::Analysing, &needs).unwrap();
    if !holds(&report) {
        return;
    }
    assert!(TcpStream::connect(collector).is_ok());
    assert_eq!(refused(TcpStream::connect(other)), ErrorKind::PermissionDenied);
    assert_eq!(refused(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))), ErrorKind::PermissionDenied);
    // What listened before goes on.
    assert!(listeners[0].accept().is_ok());
}

fn one_thread_may_open_interfaces_and_no_other(folder: &Path) {
    if !is_root() {
        return;
    }
    let (tell, told) = mpsc::channel();
    let (ask, asked) = mpsc::channel::<()>();
    let needs = needs(folder);
    let capture = {
        let needs = needs.clone();
        thread::spawn(move || {
            let report = guard::enter(Role::Capturing, &needs).unwrap();
            tell.send((this_thread(), report)).unwrap();
            asked.recv().unwrap();
            capture_a_datagram();
            assert!(Command::new("/bin/true").status().is_err());
        })
    };
    let (capturing, report) = told.recv().unwrap();
    assert_eq!(report.privileges.usable(), ["CAP_NET_RAW"]);
    assert_eq!(capabilities(&this_thread(), "CapEff") & NET_RAW, NET_RAW, "this thread has not begun");
    guard::enter(Role::Analysing, &needs).unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let worker = thread::spawn(move || stopped.recv().is_ok());

    let threads: Vec<_> =
        fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(threads.len(), 3, "main, capture, worker");
    for thread in threads {
        let kept = if thread == capturing { NET_RAW } else { 0 };
        let sets = ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"].map(|set| capabilities(&thread, set));
        assert_eq!(sets, [kept, kept, 0, 0, 0], "thread {thread}");
        let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
    ask.send(()).unwrap();
    capture.join().unwrap();
    stop.send(()).unwrap();
    assert!(worker.join().unwrap());
}

/// Opens the loopback interface, as it would one that came back, and sees what is sent on it.
fn capture_a_datagram() {
    let capture = pcap::Capture::from_device("lo").unwrap().immediate_mode(true).timeout(100).promisc(true);
    let mut capture = capture.open().unwrap().setnonblock().unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mark = b"the interface came back";
    for _ in 0..200 {
        socket.send_to(mark, socket.local_addr().unwrap()).unwrap();
        if let Ok(packet) = capture.next_packet()
            && packet.data.ends_with(mark)
        {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing was captured");
}

fn root_becomes_a_user_who_opens_interfaces(folder: &Path) {
    if !is_root() {
        return;
    }
    let no_user = guard::become_user("no-such-user").unwrap_err();
    assert_eq!(no_user.to_string(), "--user no-such-user: there is no such user");
    assert!(matches!(guard::become_user("root"), Err(GuardError::Root(_))));
    let (stop, stopped) = mpsc::channel::<()>();
    let other = thread::spawn(move || stopped.recv().is_ok());
    assert!(matches!(guard::become_user("nobody"), Err(GuardError::Threads(2))));
    stop.send(()).unwrap();
    assert!(other.join().unwrap());

    guard::become_user("nobody").unwrap();
    let privileges = Privileges::of_this_thread().unwrap();
    assert_ne!(privileges.user, 0);
    assert_eq!(privileges.usable(), ["CAP_NET_RAW"]);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for line in ["Uid:", "Gid:", "Groups:"].map(|key| status.lines().find(|line| line.starts_with(key)).unwrap()) {
        assert!(!line.split_whitespace().skip(1).any(|id| id == "0"), "{line}");
    }
    assert_eq!(refused(fs::read("/etc/shadow")), ErrorKind::PermissionDenied);
    socket(AddressFamily::PACKET, SocketType::RAW, None).unwrap();
    fs::write(folder.join("out/by-nobody"), "").unwrap();
    assert!(matches!(guard::become_user("daemon"), Err(GuardError::NotRoot(_))));

    let report = guard::enter(Role::Analysing, &needs(folder)).unwrap();
    assert_eq!(report.privileges.capabilities.iter().map(|(_, held)| held.len()).sum::<usize>(), 0);
    assert!(report.privileges.no_new_privs);
    assert!(socket(AddressFamily::PACKET, SocketType::RAW, None).is_err());
}
