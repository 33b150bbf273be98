//! Users and capabilities: what this thread may do by who it is.

use std::{ffi::CString, fmt, fs};

use caps::{CapSet, Capability, CapsHashSet};
use nix::{
    sys::prctl,
    unistd::{self, User},
};

use super::GuardError;

/// The sets of capabilities that a thread has, as the kernel's manual names them.
const SETS: [(&str, CapSet); 5] = [
    ("effective", CapSet::Effective),
    ("permitted", CapSet::Permitted),
    ("inheritable", CapSet::Inheritable),
    ("ambient", CapSet::Ambient),
    ("bounding", CapSet::Bounding),
];

/// What a thread may do by who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Effective user id; 0 is root.
    pub user: u32,
    /// Names of the capabilities in each set, in order; the bounding set only limits what a new program could get.
    pub capabilities: Vec<(&'static str, Vec<String>)>,
    /// Whether no new program can gain any.
    pub no_new_privs: bool,
}

impl Privileges {
    /// Reads those of this thread.
    ///
    /// # Errors
    /// [`GuardError::System`] where the kernel does not tell.
    pub fn of_this_thread() -> Result<Self, GuardError> {
        let read = |&(name, set)| {
            let held = caps::read(None, set).map_err(GuardError::system("capabilities"))?;
            let mut held: Vec<_> = held.iter().map(ToString::to_string).collect();
            held.sort_unstable();
            Ok((name, held))
        };
        Ok(Self {
            user: unistd::geteuid().as_raw(),
            capabilities: SETS.iter().map(read).collect::<Result<_, _>>()?,
            no_new_privs: prctl::get_no_new_privs().map_err(GuardError::system("no_new_privs"))?,
        })
    }

    /// What can be used now, or taken up without anybody's leave; the bounding set is neither.
    #[must_use]
    pub fn usable(&self) -> Vec<&str> {
        let mut usable: Vec<_> = self
            .capabilities
            .iter()
            .filter(|(set, _)| *set != "bounding")
            .flat_map(|(_, held)| held)
            .map(String::as_str)
            .collect();
        usable.sort_unstable();
        usable.dedup();
        usable
    }
}

impl fmt::Display for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usable = self.usable();
        let held = if usable.is_empty() { "none".to_owned() } else { usable.join(" ") };
        let bounding = self.capabilities.iter().find(|(set, _)| *set == "bounding").map_or(0, |(_, held)| held.len());
        write!(f, "user {}, capabilities {held}", self.user)?;
        match bounding {
            0 => {}
            // Without CAP_SETPCAP the bounding set stays; with no_new_privs and no program to start it bounds nothing.
            left => write!(f, " ({left} in the bounding set)")?,
        }
        write!(f, ", no_new_privs {}", if self.no_new_privs { "on" } else { "off" })
    }
}

/// Keeps one capability of those that this thread may use, or none, clears the other sets, and lets no new program gain any.
pub(super) fn keep(kept: Option<Capability>) -> Result<(), GuardError> {
    let permitted = caps::read(None, CapSet::Permitted).map_err(GuardError::system("capabilities"))?;
    let kept: CapsHashSet = kept.into_iter().filter(|capability| permitted.contains(capability)).collect();
    // First, since it takes CAP_SETPCAP; without it the set stays, which the report shows.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        clear_bounding()?;
    }
    let none = CapsHashSet::new();
    // In this order: what is ambient is inheritable, and what is effective is permitted.
    for (set, value) in
        [(CapSet::Ambient, &none), (CapSet::Inheritable, &none), (CapSet::Effective, &kept), (CapSet::Permitted, &kept)]
    {
        caps::set(None, set, value).map_err(GuardError::system("capabilities"))?;
    }
    prctl::set_no_new_privs().map_err(GuardError::system("no_new_privs"))
}

fn clear_bounding() -> Result<(), GuardError> {
    caps::clear(None, CapSet::Bounding).map_err(GuardError::system("capabilities (bounding set)"))
}

/// Becomes a user, with their groups, and keeps `CAP_NET_RAW` alone, which opens interfaces. For a process that root started and
/// that has one thread. Files opened and made from now on are that user's.
///
/// # Errors
/// [`GuardError`] where there is no such user, it is root, this is not, or other threads run.
pub fn become_user(name: &str) -> Result<(), GuardError> {
    let user = User::from_name(name).map_err(GuardError::system("--user"))?;
    let user = user.ok_or_else(|| GuardError::NoUser(name.to_owned()))?;
    if user.uid.is_root() {
        return Err(GuardError::Root(name.to_owned()));
    }
    if !unistd::geteuid().is_root() {
        return Err(GuardError::NotRoot(name.to_owned()));
    }
    // The C library changes the user of all threads, but what follows is for this one.
    let threads = fs::read_dir("/proc/self/task").map_err(GuardError::system("/proc/self/task"))?.count();
    if threads != 1 {
        return Err(GuardError::Threads(threads));
    }
    clear_bounding()?;
    prctl::set_keepcaps(true).map_err(GuardError::system("keep capabilities"))?;
    let login = CString::new(name).map_err(GuardError::system("--user"))?;
    unistd::initgroups(&login, user.gid).map_err(GuardError::system("initgroups"))?;
    unistd::setgid(user.gid).map_err(GuardError::system("setgid"))?;
    unistd::setuid(user.uid).map_err(GuardError::system("setuid"))?;
    let raw = CapsHashSet::from([Capability::CAP_NET_RAW]);
    for set in [CapSet::Permitted, CapSet::Effective] {
        caps::set(None, set, &raw).map_err(GuardError::system("capabilities"))?;
    }
    prctl::set_keepcaps(false).map_err(GuardError::system("keep capabilities"))
}
