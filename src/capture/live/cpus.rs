//! Which processors threads run on.

use std::{fmt, io, str::FromStr};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Processors, as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

/// What is wrong with a list of processors.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CpuError {
    /// It cannot be read.
    #[error("{0:?} is no list of processors such as 2,3 or 0-3,6")]
    List(String),
    /// A processor is named twice.
    #[error("processor {0} is named twice")]
    Twice(usize),
    /// A processor that is not there, or not for this process.
    #[error("there is no processor {missing} for this process; there are {there}")]
    Missing {
        /// The processor.
        missing: usize,
        /// Those that it may run on.
        there: Cpus,
    },
}

impl FromStr for Cpus {
    type Err = CpuError;

    fn from_str(text: &str) -> Result<Self, CpuError> {
        let wrong = || CpuError::List(text.to_owned());
        let number = |text: &str| text.parse().ok().filter(|cpu| *cpu < CpuSet::MAX_CPU).ok_or_else(wrong);
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(wrong());
            }
            for cpu in first..=last {
                if cpus.contains(&cpu) {
                    return Err(CpuError::Twice(cpu));
                }
                cpus.push(cpu);
            }
        }
        Ok(Self(cpus))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "{}", numbers.join(","))
    }
}

impl Cpus {
    /// Keeps this thread, and those that it begins, to these processors.
    ///
    /// # Errors
    /// [`CpuError::Missing`] where one of them is not for this process.
    pub fn confine(&self) -> Result<(), CpuError> {
        let there = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        if let Some(&missing) = self.0.iter().find(|cpu| !there.is_set(**cpu)) {
            let there = Self((0..CpuSet::MAX_CPU).filter(|cpu| there.is_set(*cpu)).collect());
            return Err(CpuError::Missing { missing, there });
        }
        pin(&self.0);
        Ok(())
    }

    /// Keeps this thread to one of them: the first thread to the first, and so on, and again from the front. Without any it may run
    /// anywhere.
    pub fn take_turn(&self, thread: usize) {
        if let Some(&cpu) = self.0.iter().cycle().nth(thread) {
            pin(&[cpu]);
        }
    }
}

fn pin(cpus: &[usize]) {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    if cpus.is_empty() {
        return;
    }
    if let Err(error) = sched_setaffinity(None, &set).map_err(io::Error::from) {
        tracing::warn!("a thread is not kept to its processor: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        for (text, cpus) in [("0", &[0][..]), ("2,3", &[2, 3]), ("0-2,6", &[0, 1, 2, 6]), ("5-5", &[5])] {
            assert_eq!(text.parse(), Ok(Cpus(cpus.to_vec())), "{text}");
        }
        for wrong in ["", ",", "1,", "a", "-1", "3-1", "1-", "0,5000000", "1 2", "0-99999999"] {
            assert_eq!(wrong.parse::<Cpus>(), Err(CpuError::List(wrong.to_owned())));
        }
        assert_eq!("1-3,2".parse::<Cpus>(), Err(CpuError::Twice(2)));
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let error = Cpus(vec![CpuSet::MAX_CPU - 1]).confine().unwrap_err().to_string();
        assert!(error.contains(&format!("no processor {}", CpuSet::MAX_CPU - 1)), "{error}");
    }
}
