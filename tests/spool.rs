//! The spool: what it took is there whatever happened to the process or the disk, and what was lost is counted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use keywitness::run::spool::{Limits, Log, Progress, Reader, Spool, SpoolError};
use program::keywitness;
use serde_json::Value;

fn open(folder: &Path) -> Log {
    Log::open(folder, Limits::default()).unwrap().0
}

/// Everything that a folder holds, from a number on, and how much was missing.
fn read(folder: &Path, from: u64, end: u64) -> (Vec<(u64, Vec<u8>)>, u64) {
    let mut reader = Reader::new(folder, from);
    let records = std::iter::from_fn(|| reader.next(end).unwrap()).map(|record| (record.number, record.bytes)).collect();
    (records, reader.missing())
}

fn numbers(records: &[(u64, Vec<u8>)]) -> Vec<u64> {
    records.iter().map(|(number, _)| *number).collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "spool")).collect();
    paths.sort();
    paths
}

/// The spool as JSON, by the program.
fn status(folder: &Path) -> Value {
    let run = keywitness(["spool", "status", "--format", "ndjson", folder.to_str().unwrap()]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    run.records()[0].clone()
}

#[test]
fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path());
    for text in ["first", "second"] {
        assert_eq!(log.append(&[text]), 1);
    }
    let whole = fs::read(&segments(folder.path())[0]).unwrap();
    log.append(&["the third"]);
    drop(log);
    let torn = fs::read(&segments(folder.path())[0]).unwrap();
    for cut in whole.len()..torn.len() {
        fs::write(&segments(folder.path())[0], &torn[..cut]).unwrap();
        let (mut log, opened) = Log::open(folder.path(), Limits::default()).unwrap();
        assert_eq!((opened.records, opened.cut_bytes), (2, (cut - whole.len()) as u64));
        log.append(&["another"]);
        let (records, missing) = read(folder.path(), 0, log.end());
        let texts: Vec<&[u8]> = records.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        assert_eq!((texts, missing), (vec![b"first".as_slice(), b"second", b"another"], 0));
    }
    assert!(status(folder.path())["lost"]["cut_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn what_is_no_record_any_more_is_counted_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path());
    let texts: Vec<String> = (0..10).map(|number| format!("record {number}")).collect();
    log.append(&texts);
    let path = &segments(folder.path())[0];
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(8).position(|window| window == b"record 4").unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    let (records, missing) = read(folder.path(), 0, log.end());
    assert_eq!((numbers(&records), missing), (vec![0, 1, 2, 3], 6), "behind it nothing is known to be whole");
    assert_eq!(read(folder.path(), 100, 100).0, []);
}

#[test]
fn a_spool_of_another_format_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{:020}.spool", 0));
    let mut log = open(folder.path());
    log.append(&[b"an alert".to_vec()]);
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    let format = bytes.get_mut(7).unwrap();
    *format = b'2';
    fs::write(&path, &bytes).unwrap();
    let status = keywitness(["spool", "status", folder.path().to_str().unwrap()]);
    let analyze = keywitness(["analyze", "--spool", folder.path().to_str().unwrap(), "pcaps/ssh.pcap"]);
    for run in [status, analyze] {
        assert_ne!(run.status, 0);
        assert!(run.stderr.contains("a spool of format '2', and this version has '1'"), "{}", run.stderr);
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn one_process_writes() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    assert!(matches!(Log::open(folder.path(), Limits::default()), Err(SpoolError::Busy(_))));
    drop(log);
    assert!(Log::open(folder.path(), Limits::default()).is_ok());
}

#[test]
fn it_is_as_large_as_it_may_be_and_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let mut log = Log::open(folder.path(), limits).unwrap().0;
    for number in 0..4_000_u32 {
        assert_eq!(log.append(&[vec![b'x'; 1000 + number as usize % 7]]), 1);
    }
    let held: u64 = segments(folder.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(held <= (1 << 20) + (64 << 10), "{held}");
    let (records, missing) = read(folder.path(), 0, log.end());
    assert_eq!(numbers(&records), (missing..4_000).collect::<Vec<_>>());
    assert_eq!(log.losses().size, missing);
    drop(log);
    let status = status(folder.path());
    assert_eq!((status["lost"]["size"].as_u64(), status["records"].as_u64()), (Some(missing), Some(4_000 - missing)));
}

#[test]
fn what_is_delivered_or_too_old_goes() {
    let folder = tempfile::tempdir().unwrap();
    let destination = Arc::new(Progress::default());
    let limits = Limits { bytes: 1 << 20, age: Duration::from_secs(3600) };
    let mut log = Log::open(folder.path(), limits).unwrap().0.delivering_to(vec![Arc::clone(&destination)]);
    let fill = |log: &mut Log| (0..300).for_each(|_| assert_eq!(log.append(&[[b'x'; 1000]]), 1));
    fill(&mut log);
    let all = segments(folder.path());
    assert!(all.len() > 3);
    log.tidy();
    assert_eq!(segments(folder.path()), all, "nothing is delivered");
    destination.next.store(150, Relaxed);
    log.tidy();
    let left = segments(folder.path());
    assert!(left.len() < all.len() && log.losses().alerts() == 0);
    assert_eq!(read(folder.path(), 150, log.end()).0.len(), 150, "and nothing else is gone");
    drop(log);
    // Two hours later.
    for path in &left {
        let then = std::time::SystemTime::now() - Duration::from_secs(7200);
        fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }
    let mut log = Log::open(folder.path(), limits).unwrap().0.delivering_to(vec![destination]);
    log.tidy();
    assert_eq!(segments(folder.path()), left[left.len() - 1..], "the one that is written to stays");
    assert!(log.losses().age > 0);
}

/// A folder on a small disk of its own.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "keywitness"]).arg(folder.path()).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: no file system can be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_the_newest_stay_and_the_others_are_counted() {
    let Some(disk) = SmallDisk::mount(1 << 20) else { return };
    let folder = disk.0.path().join("spool");
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![0; 600 << 10]).unwrap();
    let mut log = open(&folder);
    let record = |number: u64| format!("{number:08} {}", "x".repeat(1500));
    for number in 0..2_000 {
        assert_eq!(log.append(&[record(number)]), 1, "{number}");
    }
    let (records, missing) = read(&folder, 0, log.end());
    assert_eq!(numbers(&records), (missing..2_000).collect::<Vec<_>>());
    assert_eq!(log.losses().disk_full, missing);
    assert!(missing > 1_000 && records.len() > 4, "{missing} of 2000 dropped");
    // More at once than there is room for: the newest of them.
    let many: Vec<String> = (2_000..4_000).map(record).collect();
    let kept = log.append(&many) as u64;
    let (records, _) = read(&folder, 0, log.end());
    assert_eq!(records.last().unwrap().1, record(3_999).into_bytes());
    assert_eq!(log.losses().disk_full, 4_000 - kept.min(records.len() as u64), "{kept} {}", records.len());
    // Others take the rest: nothing fits, and nothing breaks.
    drop(log);
    fs::write(&ballast, vec![0; 1 << 20]).unwrap_err();
    let mut log = open(&folder);
    let before = log.losses().disk_full;
    let kept = log.append(&[vec![b'y'; 700 << 10]]);
    assert_eq!((kept, log.losses().disk_full > before), (0, true));
    fs::remove_file(&ballast).unwrap();
    assert_eq!(log.append(&["room again"]), 1);
    let end = log.end();
    drop(log);
    assert_eq!(read(&folder, end - 1, end).0[0].1, b"room again");
    assert!(status(&folder)["lost"]["disk_full"].as_u64().unwrap() > before);
}

/// Not a test: what the next one kills. Says each number that was accepted.
#[test]
fn child_that_is_killed() {
    let Ok(folder) = env::var("KEYWITNESS_SPOOL_CHILD") else { return };
    let spool = Spool::open(Path::new(&folder), Limits::default(), Vec::new()).unwrap();
    let standing = Arc::clone(&spool.standing);
    let (queue, _thread) = spool.start().unwrap();
    let first = standing.end();
    thread::spawn(move || {
        for number in first.. {
            queue.push(format!("record {number} {}", "x".repeat(200)).into_bytes());
        }
    });
    loop {
        let _ = standing.wait(u64::MAX, Duration::from_millis(1));
        println!("accepted {}", standing.end());
    }
}

#[test]
fn nothing_that_was_accepted_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..5 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env("KEYWITNESS_SPOOL_CHILD", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut accepted = lines.filter_map(|line| line.strip_prefix("accepted ")?.parse::<u64>().ok());
        let told = accepted.find(|end| *end > before + 500 * (round + 1)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let last = accepted.last().unwrap_or(told);
        let (log, opened) = Log::open(folder.path(), Limits::default()).unwrap();
        assert!(opened.records >= last && log.end() == opened.records, "{last} were accepted, {} are there", opened.records);
        before = log.end();
        drop(log);
        let (records, missing) = read(folder.path(), 0, before);
        assert_eq!(missing, 0);
        let texts: BTreeSet<_> = records.iter().map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(texts.len() as u64, before, "each once");
        assert!(records.iter().all(|(number, bytes)| bytes.starts_with(format!("record {number} ").as_bytes())));
    }
}

#[test]
fn its_status_is_told_to_people_too() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).append(&["one", "two"]);
    let run = keywitness(["spool", "status", folder.path().to_str().unwrap()]);
    assert_eq!(run.status, 0);
    assert!(run.stdout.contains("2 alerts in") && run.stdout.contains("nothing was delivered from here yet"), "{}", run.stdout);
    let run = keywitness(["spool", "status", "/no/such/folder"]);
    assert_eq!((run.status, run.stdout.as_str()), (3, ""));
}
