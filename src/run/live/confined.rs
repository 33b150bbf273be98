//! What a sensor keeps once everything is open, thread by thread; see [`guard`].

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tracing::{debug, info, warn};

use crate::{
    config::LiveConfig,
    run::deliver::Setup,
    run::guard::{self, Calls, GuardError, Needs, Report, Role, State},
};

/// Where the kernel tells of interfaces.
const INTERFACES: &str = "/sys/class/net";

/// What capturing takes: what the kernel tells of the interfaces, from which libpcap reads what they dropped.
pub(super) fn capturing(interfaces: &[String]) -> Needs {
    // The folder around that of the interface: one that is made anew has a new folder.
    let around = |name: &String| Some(fs::canonicalize(Path::new(INTERFACES).join(name)).ok()?.parent()?.to_owned());
    let mut read: Vec<_> = interfaces.iter().filter_map(around).collect();
    read.sort_unstable();
    read.dedup();
    Needs { read, ..Needs::default() }
}

/// What everything else takes: to read configuration and claims again, to open the output again, to write into folders, to keep alerts and
/// to send them.
pub(super) fn analysing<'a>(config: &LiveConfig, folders: impl Iterator<Item = &'a Path>, alerts: Option<&'a Setup>) -> Needs {
    let folders = folders.chain(alerts.map(Setup::folder)).map(PathBuf::from);
    Needs {
        read: config.files.iter().map(|(_, path)| path.clone()).collect(),
        write: config.output.iter().chain(&config.audit).cloned().chain(folders).collect(),
        connect: alerts.map_or_else(Vec::new, |alerts| alerts.ports().collect()),
    }
}

/// Confines a thread that captures.
///
/// # Errors
/// As [`guard::enter`].
pub(super) fn capture(interface: &str, needs: &Needs) -> io::Result<()> {
    let report = guard::enter(Role::Capturing, needs).map_err(io::Error::other)?;
    debug!("capture of {interface}: {report}");
    Ok(())
}

/// Confines this thread and those that it starts from now on, and says once what holds.
///
/// # Errors
/// As [`guard::enter`].
pub(super) fn analyse(needs: &Needs) -> Result<(), GuardError> {
    let report = guard::enter(Role::Analysing, needs)?;
    tell(&report);
    Ok(())
}

fn tell(report: &Report) {
    if report.files.state == State::None || report.calls != Calls::Filtered {
        warn!("this kernel does not limit the sensor as it could: {report}");
    } else {
        info!("{report}");
    }
    if report.files.state != State::None {
        for path in &report.files.fixed {
            warn!(
                "{}: its folder belongs to the whole system and stays closed; if the file is replaced or rotated, the sensor has to be \
                 started again. Give it a folder of its own",
                path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_of_an_interface_is_open_to_its_capture() {
        let needs = capturing(&["lo".to_owned(), "any".to_owned(), "lo".to_owned()]);
        let drops = fs::canonicalize("/sys/class/net/lo/statistics/rx_dropped").unwrap();
        assert!(needs.read.len() == 1 && needs.write.is_empty() && needs.connect.is_empty(), "{needs:?}");
        assert!(drops.starts_with(&needs.read[0]) && !Path::new("/sys/devices").starts_with(&needs.read[0]), "{needs:?}");
    }
}
