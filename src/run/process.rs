//! What this process takes, from `/proc`.

use std::{fs::File, io, os::unix::fs::FileExt};

use nix::unistd::{SysconfVar, sysconf};
use procfs_core::{FromRead, process::Stat};

use crate::output::metrics::Process;

/// Longest line of `/proc/self/stat` that is looked at, in bytes; they have some 300.
const LINE: usize = 4096;

/// Reads again and again from a file that was opened before the guard closed `/proc`.
#[derive(Debug)]
pub(super) struct ProcessMeter {
    stat: File,
    /// Clock ticks a second.
    ticks: f64,
    /// Bytes a page.
    page: u64,
}

impl ProcessMeter {
    /// Opens what there is to read.
    ///
    /// # Errors
    /// [`io::Error`] where `/proc` is not there.
    pub(super) fn open() -> io::Result<Self> {
        let unknown = || io::Error::other("the system does not tell its clock ticks and page size");
        let ask = |what| sysconf(what).ok().flatten().and_then(|value| u32::try_from(value).ok()).ok_or_else(unknown);
        let (ticks, page) = (f64::from(ask(SysconfVar::CLK_TCK)?), u64::from(ask(SysconfVar::PAGE_SIZE)?));
        Ok(Self { stat: File::open("/proc/self/stat")?, ticks, page })
    }

    /// What it takes now; `None` where it cannot be read.
    pub(super) fn read(&self) -> Option<Process> {
        let mut line = [0; LINE];
        let length = self.stat.read_at(&mut line, 0).ok()?;
        let stat = Stat::from_read(line.get(..length)?).ok()?;
        Some(Process {
            cpu_s: (stat.utime + stat.stime) as f64 / self.ticks,
            resident: stat.rss.saturating_mul(self.page),
            virtual_size: stat.vsize,
            threads: u64::try_from(stat.num_threads).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something_and_more_each_time() {
        let meter = ProcessMeter::open().unwrap();
        let before = meter.read().unwrap();
        assert!(before.resident > 1 << 20 && before.virtual_size >= before.resident && before.threads > 0, "{before:?}");
        let mut spent = 0_u64;
        while meter.read().unwrap().cpu_s <= before.cpu_s {
            spent = spent.wrapping_add(1);
        }
    }
}
