//! Least privilege. Whoever sends packets past a sensor chooses the bytes that it parses; once the interfaces are open, the
//! program keeps nothing that those bytes could make use of.
//!
//! Four layers, each told in the log with what the kernel made of it:
//!
//! * capabilities: none in any set, except that a capturing thread keeps `CAP_NET_RAW`, to open again an interface that went away
//!   and came back; as root, [`become_user`] first;
//! * `no_new_privs`: no set-user-id program gives any back;
//! * Landlock: of all files only those of [`Needs`], and no TCP but to the ports in it;
//! * seccomp: no programs, no new processes, no debugging, no mounts, no kernel interfaces, no raw sockets (`calls.rs` has the list).
//!
//! All of this belongs to a **thread** on Linux and is inherited by the threads that it starts, so the order matters:
//!
//! 1. [`become_user`] where asked for, while there is one thread;
//! 2. open interfaces and files, listen for metrics, read what the service manager said;
//! 3. start each capturing thread; it calls [`enter`] with [`Role::Capturing`] first thing;
//! 4. the main thread calls [`enter`] with [`Role::Analysing`]; only then it starts the others.

mod calls;
mod files;
mod privileges;

use std::{fmt, io, path::PathBuf};

pub use self::{
    calls::Calls,
    files::{Files, State},
    privileges::{Privileges, become_user},
};

/// What a thread does from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Decodes, judges, writes: needs no capability.
    Analysing,
    /// Reads frames, and may have to open an interface again: keeps `CAP_NET_RAW` where it has it.
    Capturing,
}

/// What the process needs of the world once it runs.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Files that are read again later, such as claims and leases, and folders. Of a file its folder is meant, since who replaces
    /// a file by renaming makes a new one, unless that folder is shared with the rest of the system ([`Files::fixed`]).
    pub read: Vec<PathBuf>,
    /// Folders that are written into, with all below them, and files that are written; of a file its folder is meant, in
    /// the same way, so that it can be rotated.
    pub write: Vec<PathBuf>,
    /// TCP ports that are connected to, on any address.
    pub connect: Vec<u16>,
}

/// What holds for a thread after [`enter`]. As text it is a line for the log.
#[derive(Clone, Debug)]
pub struct Report {
    /// Capabilities, user and `no_new_privs`.
    pub privileges: Privileges,
    /// Files and TCP ports.
    pub files: Files,
    /// System calls.
    pub calls: Calls,
}

/// Gives up, for this thread and those that it will start, whatever its role does not need. There is no way back.
///
/// Landlock and seccomp do what the kernel can; the report says how much that is. Capabilities are another matter: whoever
/// cannot drop them has not dropped them.
///
/// # Errors
/// [`GuardError`] where capabilities could not be dropped, or a path of `needs` is missing. The thread must not go on then: part
/// of the guard may hold.
pub fn enter(role: Role, needs: &Needs) -> Result<Report, GuardError> {
    privileges::keep(role.capability())?;
    let files = files::confine(needs)?;
    let calls = calls::refuse(role);
    Ok(Report { privileges: Privileges::of_this_thread()?, files, calls })
}

impl Role {
    const fn capability(self) -> Option<caps::Capability> {
        match self {
            Self::Analysing => None,
            Self::Capturing => Some(caps::Capability::CAP_NET_RAW),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}; {}", self.privileges, self.files, self.calls)
    }
}

/// Why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// There is no such user.
    #[error("--user {0}: there is no such user")]
    NoUser(String),
    /// Giving up root for root.
    #[error("--user {0}: is root")]
    Root(String),
    /// Only root may become someone else.
    #[error("--user {0}: only root can become another user")]
    NotRoot(String),
    /// Other threads would keep theirs.
    #[error("--user: {0} threads run already")]
    Threads(usize),
    /// The kernel said no.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A path that the run needs is not there.
    #[error("{}: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl GuardError {
    /// Something the kernel would not do.
    fn system<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |error| Self::System { what, source: io::Error::other(error) }
    }
}
