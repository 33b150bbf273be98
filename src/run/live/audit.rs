//! The file of `--audit`: what was changed of configuration and claims, a line each, on disk before it holds.
//!
//! Each line has the SHA-256 of the one before, so that whoever keeps a copy of the last one sees whether any was changed. The file is opened
//! anew for each line, so that it may be moved away, and lines of earlier runs tell what was in force then.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest, Sha256};
use tracing::info;

use crate::{
    config::LiveConfig,
    output::{
        audit::{self, Entry, What},
        escape,
    },
};

/// Lines are sought in so much of the end of the file, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Tells of each change; without a file only the log hears of it.
#[derive(Debug)]
pub(super) struct Audit {
    path: Option<PathBuf>,
    /// What is in force: options and SHA-256 of their files.
    in_force: Vec<(String, String)>,
}

impl Audit {
    /// Begins with what the last line of the file says was in force.
    ///
    /// # Errors
    /// Where the file cannot be written to.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let in_force = match path {
            Some(path) => last_line(&mut append(path)?)?.map_or_else(Vec::new, |line| audit::in_force(&line)),
            None => Vec::new(),
        };
        Ok(Self { path: path.map(Path::to_owned), in_force })
    }

    /// What a configuration says holds from here on.
    ///
    /// # Errors
    /// Where the file cannot be written to: then it must not hold.
    pub(super) fn tell(&mut self, what: What, config: &LiveConfig, takes_restart: Vec<&'static str>) -> io::Result<()> {
        let claims = config.claims.as_ref();
        let hash = |(option, path): &(&'static str, PathBuf)| match claims {
            _ if what == What::End => self.before(option),
            // As it was read, and not as it is by now.
            Some(claims) if *option == "claims" => Some(claims.sha256.clone()),
            _ => sha256_of(path),
        };
        let files: Vec<_> = config.files.iter().map(|file| self.file(file, hash(file))).collect();
        let kept = files.iter().filter_map(|file| Some((file.option.clone(), file.after.clone()?))).collect();
        let gone = self.gone(&config.files);
        let sensor = claims.and_then(|claims| claims.sensor.name.as_deref()).map(|name| escape::text(name.as_bytes()));
        self.write(what, [files, gone].concat(), takes_restart, None, sensor.as_deref())?;
        self.in_force = kept;
        Ok(())
    }

    /// What was to be read again cannot be; what is in force stays.
    ///
    /// # Errors
    /// Where the file cannot be written to.
    pub(super) fn refuse(&self, config: &LiveConfig, mistakes: &str) -> io::Result<()> {
        let files = config.files.iter().map(|file| self.file(file, sha256_of(&file.1))).collect();
        let sensor = config.claims.as_ref().and_then(|claims| claims.sensor.name.as_deref());
        let mistakes = Some(escape::uncut(mistakes.as_bytes()));
        self.write(What::Refused, files, Vec::new(), mistakes, sensor.map(|name| escape::text(name.as_bytes())).as_deref())
    }

    fn before(&self, option: &str) -> Option<String> {
        self.in_force.iter().find(|(known, _)| known == option).map(|(_, hash)| hash.clone())
    }

    fn file(&self, (option, path): &(&'static str, PathBuf), after: Option<String>) -> audit::File {
        let found = fs::metadata(path).ok();
        audit::File {
            option: (*option).to_owned(),
            path: escape::uncut(path.as_os_str().as_bytes()),
            before: self.before(option),
            after,
            owner: found.as_ref().map(MetadataExt::uid),
            modified: found.and_then(|found| found.modified().ok()).map(rfc3339),
        }
    }

    /// Files that were in force and are not named any more.
    fn gone(&self, files: &[(&'static str, PathBuf)]) -> Vec<audit::File> {
        let gone = self.in_force.iter().filter(|(option, _)| !files.iter().any(|(named, _)| named == option));
        gone.map(|(option, hash)| audit::File {
            option: option.clone(),
            path: String::new(),
            before: Some(hash.clone()),
            after: None,
            owner: None,
            modified: None,
        })
        .collect()
    }

    fn write(
        &self,
        event: What,
        files: Vec<audit::File>,
        takes_restart: Vec<&'static str>,
        mistakes: Option<String>,
        sensor: Option<&str>,
    ) -> io::Result<()> {
        for file in files.iter().filter(|file| file.before != file.after) {
            let [before, after] = [&file.before, &file.after].map(|hash| hash.as_deref().unwrap_or("none"));
            info!("audit: {event:?}: --{} {}: SHA-256 {before} before, {after} now", file.option, file.path);
        }
        let Some(path) = &self.path else { return Ok(()) };
        let mut out = append(path)?;
        let entry = Entry {
            time: rfc3339(SystemTime::now()),
            event,
            version: env!("CARGO_PKG_VERSION"),
            user: rustix::process::geteuid().as_raw(),
            pid: std::process::id(),
            arguments: audit::words(env::args_os().map(|word| word.as_bytes().to_vec())),
            changed: files.iter().any(|file| file.before != file.after),
            files,
            takes_restart,
            mistakes,
            previous: last_line(&mut out)?.map(|line| hex(&line)),
        };
        let mut text = Vec::new();
        audit::ndjson(&entry, sensor, &mut text);
        out.write_all(&text)?;
        out.sync_data()
    }
}

/// For its owner alone, to be added to.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// The last line, without its end; what was cut off by a crash counts as one, and is ended.
fn last_line(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_LINE)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if tail.last().is_some_and(|last| *last != b'\n') {
        file.write_all(b"\n")?;
    } else {
        tail.pop();
    }
    Ok((length > 0).then(|| tail.rsplit(|byte| *byte == b'\n').next().unwrap_or_default().to_vec()))
}

fn sha256_of(path: &Path) -> Option<String> {
    fs::read(path).ok().map(|bytes| hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.9}"))
}
