//! Files and TCP ports: a Landlock domain for this thread.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::{GuardError, Needs};

/// What we ask for; an older kernel does what it knows. 1: files. 2: links between folders. 3: truncation. 4: TCP. 5: device
/// controls. 6: signals.
const ASKED: ABI = ABI::V6;

/// Folders that belong to the whole system: a file in one of them does not open the folder.
const SHARED: &[&str] = &[
    "/",
    "/boot",
    "/dev",
    "/dev/shm",
    "/etc",
    "/home",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/local/etc",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
    "/var/tmp",
];

/// What became of the rules for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// How much of it holds.
    pub state: State,
    /// Version of the kernel's Landlock, 0 where there is none.
    pub kernel: i32,
    /// Files in folders that are shared with the rest of the system: these alone can be opened, so that whoever replaces one by
    /// renaming has to start the program again.
    pub fixed: Vec<PathBuf>,
}

/// How much of the rules holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All.
    Full,
    /// What the kernel knows of.
    Partial,
    /// Nothing: the kernel has no Landlock, or it is off.
    None,
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            State::Full => write!(f, "files limited (Landlock {})", self.kernel),
            State::Partial => write!(f, "files limited in part (Landlock {}, asked for 6)", self.kernel),
            State::None => write!(f, "files not limited (no Landlock)"),
        }
    }
}

/// Limits this thread to the files and ports that it needs.
pub(super) fn confine(needs: &Needs) -> Result<Files, GuardError> {
    let mut grants = Grants::default();
    for path in &needs.read {
        grants.add(path, Kind::Read)?;
    }
    for path in &needs.write {
        grants.add(path, Kind::Write)?;
    }
    let status = restrict(&grants.rules, &needs.connect).map_err(GuardError::system("Landlock"))?;
    let state = match status.ruleset {
        RulesetStatus::FullyEnforced => State::Full,
        RulesetStatus::PartiallyEnforced => State::Partial,
        RulesetStatus::NotEnforced => State::None,
    };
    let kernel = match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => kernel_abi.unwrap_or(effective_abi as i32),
        _ => 0,
    };
    Ok(Files { state, kernel, fixed: grants.fixed })
}

fn restrict(rules: &[(PathFd, BitFlags<AccessFs>)], ports: &[u16]) -> Result<RestrictionStatus, RulesetError> {
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(ASKED))?.handle_access(AccessNet::from_all(ASKED))?;
    let mut ruleset = ruleset.scope(Scope::Signal)?.create()?;
    for (path, access) in rules {
        ruleset = ruleset.add_rule(PathBeneath::new(path, *access))?;
    }
    for port in ports {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    ruleset.restrict_self()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl Kind {
    /// For what lies in a folder.
    fn below(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::MakeDir;
        match self {
            Self::Read => read,
            Self::Write => read | write | AccessFs::RemoveFile | AccessFs::RemoveDir | AccessFs::Refer,
        }
    }

    /// For a file alone.
    fn file(self) -> BitFlags<AccessFs> {
        match self {
            Self::Read => AccessFs::ReadFile.into(),
            Self::Write => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate,
        }
    }
}

/// What is opened up, and to whom.
#[derive(Default)]
struct Grants {
    rules: Vec<(PathFd, BitFlags<AccessFs>)>,
    fixed: Vec<PathBuf>,
}

impl Grants {
    /// Opens a folder with what is below it, or a file with its folder. Pipes and devices are open already, and cannot be rotated.
    fn add(&mut self, path: &Path, kind: Kind) -> Result<(), GuardError> {
        let told = |source| GuardError::Path { path: path.to_owned(), source };
        let found = fs::metadata(path).map_err(told)?;
        if found.is_dir() {
            return self.grant(path, kind.below()).map_err(told);
        }
        if !found.is_file() {
            return Ok(());
        }
        // Where the name stands, and where it leads to through links: either may be replaced.
        let named = std::path::absolute(path).map_err(told)?;
        let real = fs::canonicalize(path).map_err(told)?;
        let mut folders: Vec<_> = [named.parent(), real.parent()].into_iter().flatten().collect();
        folders.dedup();
        for folder in folders {
            if is_shared(&fs::canonicalize(folder).map_err(told)?) {
                self.grant(&real, kind.file()).map_err(told)?;
                self.fixed.push(path.to_owned());
            } else {
                self.grant(folder, kind.below()).map_err(told)?;
            }
        }
        self.fixed.dedup();
        Ok(())
    }

    fn grant(&mut self, path: &Path, access: BitFlags<AccessFs>) -> io::Result<()> {
        self.rules.push((PathFd::new(path).map_err(io::Error::other)?, access));
        Ok(())
    }
}

fn is_shared(folder: &Path) -> bool {
    SHARED.iter().any(|shared| folder == Path::new(shared))
}
