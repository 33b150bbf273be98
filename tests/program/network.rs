//! A network namespace with a pair of interfaces that are wired to each other, where this is permitted.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    process::{self, Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Both ends of the wire.
pub(crate) const NEAR: &str = "near0";
pub(crate) const FAR: &str = "far0";

/// Goes away with its interfaces when it is dropped.
struct Namespace(String);

impl Namespace {
    /// None where it cannot be made: not permitted, or no `ip`.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kw-test-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name])?;
        let namespace = Self(name);
        // Before there are interfaces: those of IPv6 speak up on their own.
        let quiet = "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 > /dev/null";
        run("ip", &["netns", "exec", &namespace.0, "sh", "-c", quiet])?;
        ip(&["-n", &namespace.0, "link", "add", NEAR, "type", "veth", "peer", "name", FAR])?;
        for end in [NEAR, FAR, "lo"] {
            ip(&["-n", &namespace.0, "link", "set", end, "up"])?;
        }
        Some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.0]);
    }
}

/// Carries a test out inside of a new namespace, together with all programs that it starts; where that is not permitted, says so. The
/// test is given the namespace's name: `ip netns exec NAME` has its `/sys` too.
pub(crate) fn within(test: impl FnOnce(&str) + Send) {
    let Some(namespace) = Namespace::new() else {
        let _ = writeln!(io::stderr(), "skipped: no permission for network namespaces and veth pairs (or no `ip`)");
        return;
    };
    let inside = || {
        let handle = File::open(format!("/run/netns/{}", namespace.0)).unwrap();
        move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        test(&namespace.0);
    };
    // A thread of its own: threads do not come back out of a namespace.
    thread::scope(|scope| scope.spawn(inside).join()).unwrap();
}

/// `ip`; none if it failed.
pub(crate) fn ip(args: &[&str]) -> Option<Output> {
    run("ip", args)
}

fn run(program: &str, args: &[&str]) -> Option<Output> {
    Command::new(program).args(args).output().ok().filter(|output| output.status.success())
}
