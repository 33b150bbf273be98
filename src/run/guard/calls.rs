//! System calls: a seccomp filter for this thread.
//!
//! It lets everything pass but a list, rather than nothing but a list: libc, libpcap and the kernel move on to new calls with
//! each release, and a sensor that dies of an update sees nothing. What is refused fails with `EPERM`, which libraries handle.

use std::{collections::BTreeMap, env::consts::ARCH, fmt};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter,
};

use super::Role;

/// Calls that are refused whatever their arguments.
const REFUSED: &[i64] = &[
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts, roots and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    // The kernel and its larger interfaces.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_personality,
];

/// The same, of x86-64 alone.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] =
    &[libc::SYS_fork, libc::SYS_vfork, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_kexec_file_load];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// x86-64 has a second table of calls, x32, by a bit in the number: a filter that forgets it is none.
const X32: Option<i64> = if cfg!(target_arch = "x86_64") { Some(0x4000_0000) } else { None };
/// What has another number there: execve, execveat, ptrace, process_vm_readv and _writev, kexec_load.
#[cfg(target_arch = "x86_64")]
const REFUSED_X32: &[i64] = &[0x4000_0208, 0x4000_0221, 0x4000_0209, 0x4000_021b, 0x4000_021c, 0x4000_0210];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_X32: &[i64] = &[];

/// What became of the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calls {
    /// It holds.
    Filtered,
    /// It does not, and why.
    Unfiltered(String),
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filtered => write!(f, "system calls limited (seccomp)"),
            Self::Unfiltered(why) => write!(f, "system calls not limited ({why})"),
        }
    }
}

/// Refuses this thread what its role has no use for.
pub(super) fn refuse(role: Role) -> Calls {
    match programs(role).and_then(|programs| programs.iter().try_for_each(|program| apply_filter(program))) {
        Ok(()) => Calls::Filtered,
        Err(error) => Calls::Unfiltered(error.to_string()),
    }
}

/// Two filters, since one has one way to refuse.
fn programs(role: Role) -> Result<[BpfProgram; 2], seccompiler::Error> {
    let compile = |rules, errno: i32| {
        let refuse = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::try_from(ARCH)?)?.try_into()
    };
    // The arguments of `clone3` cannot be seen: libc takes `clone` where there is none.
    let unseen = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([compile(refused(role)?, libc::EPERM)?, compile(unseen, libc::ENOSYS)?])
}

/// The calls that are refused, each with the arguments that it is refused for; none stands for all.
fn refused(role: Role) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut refused: BTreeMap<_, _> = REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, Vec::new())).collect();
    refused.insert(libc::SYS_socket, sockets(role)?);
    // Threads are made with CLONE_THREAD; everything else is a process, or a namespace.
    refused.insert(libc::SYS_clone, vec![rule(&[(0, SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64), 0)])?]);
    let again: Vec<_> = X32.map_or(Vec::new(), |bit| refused.iter().map(|(call, rules)| (call | bit, rules.clone())).collect());
    refused.extend(again);
    refused.extend(REFUSED_X32.iter().map(|call| (*call, Vec::new())));
    Ok(refused)
}

/// Sockets are local or IP, without raw access; netlink tells of interfaces. Who captures may also have packet sockets.
fn sockets(role: Role) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let mut domains = vec![libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    if role == Role::Capturing {
        domains.push(libc::AF_PACKET);
    }
    let other: Vec<_> = domains.iter().map(|domain| (0, SeccompCmpOp::Ne, *domain)).collect();
    // The type shares its word with flags.
    let raw = (1, SeccompCmpOp::MaskedEq(0xf), libc::SOCK_RAW);
    let of = |domain| rule(&[(0, SeccompCmpOp::Eq, domain), raw.clone()]);
    Ok(vec![rule(&other)?, of(libc::AF_INET)?, of(libc::AF_INET6)?])
}

/// Applies where all conditions do: position of an argument, comparison, value.
fn rule(conditions: &[(u8, SeccompCmpOp, i32)]) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = |(position, comparison, value): &(u8, SeccompCmpOp, i32)| {
        SeccompCondition::new(*position, SeccompCmpArgLen::Dword, comparison.clone(), u64::from(value.unsigned_abs()))
    };
    SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_refused_under_one_number_only() {
        let Some(bit) = X32 else { return };
        for role in [Role::Analysing, Role::Capturing] {
            let refused = refused(role).unwrap();
            let again = |call: &i64| call & bit != 0 || refused.contains_key(&(call | bit));
            assert!(refused.contains_key(&libc::SYS_execve) && refused.keys().all(again));
        }
    }
}
