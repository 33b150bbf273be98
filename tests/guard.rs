//! What is left to a thread behind the guard. There is no way back from it, and who is who depends on there being one thread: so
//! this file is a program of its own (`harness = false`) that runs itself again for each test, as a child with nothing but `main`.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests, and what children say")]

use std::{
    env, fs,
    io::{self, BufRead, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use keywitness::run::{
    counters::Counters,
    guard::{self, Calls, GuardError, Needs, Privileges, Report, Role, State},
    health::Health,
    metrics,
};
use libtest_mimic::{Arguments, Trial};
use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use tempfile::TempDir;

/// Names the test, and then the folder, that a child is for.
const CHILD: &str = "KEYWITNESS_TEST_CHILD";
const FOLDER: &str = "KEYWITNESS_TEST_FOLDER";
/// Says that a child has a network of its own.
const ALONE: &str = "KEYWITNESS_TEST_ALONE";

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
    ("metrics_are_served", metrics_are_served),
    (SERVICE, a_service_keeps_what_it_was_given_for_its_capture_alone),
    (ANEW, an_interface_that_is_made_anew_is_opened_again),
    (RELOAD, reload_when_told),
];
const RELOAD: &str = "claims_can_be_replaced";
const ANEW: &str = "an_interface_that_is_made_anew_is_opened_again";
const SERVICE: &str = "a_service_keeps_what_it_was_given_for_its_capture_alone";

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
    let program = env::current_exe().unwrap();
    let mut child = Command::new(match name {
        SERVICE if is_root() => "setpriv",
        ANEW if is_root() && has_networks() => "unshare",
        _ => return child_of(Command::new(program), name, folder),
    });
    if name == ANEW {
        child.arg("--net").env(ALONE, "");
    } else {
        // As systemd starts it: a user with an ambient capability, and no other within reach.
        let only = "-all,+net_raw";
        child.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
        child.args(["--inh-caps", only, "--ambient-caps", only, "--bounding-set", only]);
    }
    child.arg(program);
    child_of(child, name, folder)
}

fn child_of(mut child: Command, name: &str, folder: &Path) -> Command {
    child.env(CHILD, name).env(FOLDER, folder);
    child
}

/// Whether this is root with what a container may have taken away.
fn is_root() -> bool {
    let privileges = Privileges::of_this_thread().unwrap();
    let needed = ["CAP_NET_RAW", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"];
    let root = privileges.user == 0 && needed.iter().all(|needed| privileges.usable().contains(needed));
    if !root {
        println!("skipped: takes root");
    }
    root
}

/// Whether there can be networks beside that of the machine, and virtual interfaces in them.
fn has_networks() -> bool {
    let try_it = ["--net", "ip", "link", "add", "kw0", "type", "veth", "peer", "name", "kw1"];
    Command::new("unshare").args(try_it).status().is_ok_and(|status| status.success())
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
    assert!(report.files.fixed.is_empty());
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
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the child ended");
    }
    fs::write(path.join("next"), "new").unwrap();
    fs::rename(path.join("next"), path.join("plain.toml")).unwrap();
    symlink("v2", path.join("data.next")).unwrap();
    fs::rename(path.join("data.next"), path.join("data")).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
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

fn metrics_are_served(folder: &Path) {
    let endpoint = metrics::listen(metrics::address("0").unwrap()).unwrap();
    let address = endpoint.local_address().unwrap();
    // The port is for this test, which asks from behind the guard too.
    let needs = Needs { connect: vec![address.port()], ..Needs { write: vec![folder.join("out")], ..Needs::default() } };
    println!("{}", guard::enter(Role::Analysing, &needs).unwrap());
    let counters = Counters::new([("lo".to_owned(), Arc::default())], 1);
    endpoint.serve(move || counters.snapshot(), Arc::new(Health::default())).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    client.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.contains("\nprocess_cpu_seconds_total "), "{page}");
}

fn a_service_keeps_what_it_was_given_for_its_capture_alone(folder: &Path) {
    let before = Privileges::of_this_thread().unwrap();
    if before.user == 0 || before.usable().is_empty() {
        println!("skipped: takes root and setpriv");
        return;
    }
    let report = guard::enter(Role::Capturing, &needs(folder)).unwrap();
    println!("{report}");
    assert_eq!(report.privileges.usable(), ["CAP_NET_RAW"]);
    capture_a_datagram();
    // Without CAP_SETPCAP the bounding set stays as it was, and no more than it was.
    let report = guard::enter(Role::Analysing, &needs(folder)).unwrap();
    assert_eq!(report.privileges.usable(), [""; 0]);
    assert!(report.to_string().contains("capabilities none (1 in the bounding set), no_new_privs on"), "{report}");
    assert!(socket(AddressFamily::PACKET, SocketType::RAW, None).is_err());
}

fn an_interface_that_is_made_anew_is_opened_again(folder: &Path) {
    if env::var_os(ALONE).is_none() {
        println!("skipped: takes root and a network of its own");
        return;
    }
    // Behind the guard nothing is started: whoever makes interfaces has to be there before.
    let make = "ip link add kw0 type veth peer name kw1 && ip link set kw0 up && ip link set kw1 up && echo made";
    let make = format!("{make}; read go; ip link del kw0; {make}");
    let mut shell = Command::new("sh").args(["-c", &make]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = io::BufReader::new(shell.stdout.take().unwrap()).lines();
    let mut is_made = || assert_eq!(said.next().unwrap().unwrap(), "made");
    let open = || pcap::Capture::from_device("kw0").unwrap().timeout(100).promisc(true).open();

    is_made();
    let before = open().unwrap();
    guard::enter(Role::Capturing, &needs(folder)).unwrap();
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    is_made();
    drop(before);
    open().unwrap();
    guard::enter(Role::Analysing, &needs(folder)).unwrap();
    assert!(open().is_err());
    shell.wait().unwrap();
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
            tell.send((this_thread(), report.clone())).unwrap();
            asked.recv().unwrap();
            capture_a_datagram();
            // In the thread that captures nothing is started either.
            assert_eq!(Command::new("/bin/true").status().is_err(), report.calls == Calls::Filtered);
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
