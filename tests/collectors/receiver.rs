//! rsyslog and syslog-ng as whoever collects logs runs them, on ports of the loopback, with a configuration and a folder of their own.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take that comes at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come to pass");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody has, of TCP and most likely of UDP.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where a program is, or nothing, with a word.
fn find(name: &str, more: &[&str]) -> Option<PathBuf> {
    let path = env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/bin"]).chain(more.iter().copied());
    let found = folders.map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: {name} is not installed");
    }
    found
}

/// A collector as a process.
#[derive(Debug)]
pub(crate) struct Receiver {
    command: Vec<String>,
    /// Libraries of a program that was only unpacked.
    libraries: String,
    port: u16,
    folder: PathBuf,
    child: Option<Child>,
}

impl Receiver {
    /// rsyslog with these inputs. `{port}` stands for the port that it is waited for on; `{raw}`, `{parsed}` and `{json}` are rules:
    /// the message as it came, what rsyslog made of it, and what it found in JSON behind a cookie.
    pub(crate) fn rsyslog(folder: &Path, global: &str, inputs: &str) -> Option<Self> {
        let (port, path) = (free_port(), folder.display());
        let text = format!(
            "global(workDirectory=\"{path}\" maxMessageSize=\"64k\" {global})\n\
             {inputs}\n\
             template(name=\"raw\" type=\"string\" string=\"%rawmsg%\\n\")\n\
             template(name=\"parsed\" type=\"string\" string=\"%syslogfacility-text%|%syslogseverity-text%|%timereported:::date-rfc3339%|\
             %hostname%|%programname%|%msgid%|%structured-data%|%msg%\\n\")\n\
             template(name=\"json\" type=\"string\" string=\"%$!all-json%\\n\")\n\
             action(type=\"omfile\" file=\"{path}/raw\" template=\"raw\")\n\
             action(type=\"omfile\" file=\"{path}/parsed\" template=\"parsed\")\n\
             module(load=\"mmjsonparse\")\n\
             action(type=\"mmjsonparse\")\n\
             if $parsesuccess == \"OK\" then action(type=\"omfile\" file=\"{path}/json\" template=\"json\")\n"
        );
        let text = text.replace("{port}", &port.to_string()).replace("{folder}", &path.to_string());
        Self::rsyslog_as(folder, &text, port)
    }

    /// rsyslog with a whole configuration, which listens on this port.
    pub(crate) fn rsyslog_as(folder: &Path, text: &str, port: u16) -> Option<Self> {
        let program = find("rsyslogd", &[])?;
        let (config, pid) = (folder.join("rsyslog.conf"), folder.join("pid"));
        fs::write(&config, text).unwrap();
        let words = [program.to_str().unwrap(), "-n", "-f", config.to_str().unwrap(), "-i", pid.to_str().unwrap()];
        let command = words.map(str::to_owned).to_vec();
        Some(Self { command, libraries: String::new(), port, folder: folder.to_owned(), child: None })
    }

    /// syslog-ng with this source; it conflicts with rsyslog as a package, so that it may also be unpacked in /opt/syslog-ng.
    pub(crate) fn syslog_ng(folder: &Path, source: &str) -> Option<Self> {
        let (port, path) = (free_port(), folder.display());
        let text = format!(
            "@version: 3.38\n\
             options {{ keep-hostname(yes); use-dns(no); stats-freq(0); log-msg-size(65536); }};\n\
             source s {{ {source} }};\n\
             destination raw {{ file(\"{path}/raw\" template(\"<${{PRI}}>${{PROGRAM}} ${{MSGID}} ${{SDATA}} ${{MSG}}\\n\")); }};\n\
             log {{ source(s); destination(raw); }};\n"
        );
        let text = text.replace("{port}", &port.to_string()).replace("{folder}", &path.to_string());
        Self::syslog_ng_as(folder, &text, port)
    }

    /// syslog-ng with a whole configuration, which listens on this port.
    pub(crate) fn syslog_ng_as(folder: &Path, text: &str, port: u16) -> Option<Self> {
        let unpacked = Path::new("/opt/syslog-ng");
        let program = find("syslog-ng", &["/opt/syslog-ng/usr/sbin"])?;
        let config = folder.join("syslog-ng.conf");
        fs::write(&config, text).unwrap();
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let mut command = vec![program.to_str().unwrap().to_owned(), "-F".to_owned(), "--no-caps".to_owned()];
        for (option, name) in [("-f", "syslog-ng.conf"), ("-R", "persist"), ("-p", "pid"), ("-c", "control")] {
            command.extend([option.to_owned(), file(name)]);
        }
        let mut libraries = String::new();
        if program.starts_with(unpacked) {
            let modules = unpacked.join("usr/lib/syslog-ng");
            libraries = modules.display().to_string();
            command.push(format!("--module-path={}", modules.join("3.38").display()));
        }
        Some(Self { command, libraries, port, folder: folder.to_owned(), child: None })
    }

    /// Starts it, and waits until it listens on its port.
    pub(crate) fn start(&mut self) {
        let _ = fs::remove_file(self.folder.join("pid"));
        let (program, args) = self.command.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
        if !self.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", &self.libraries);
        }
        let errors = fs::File::options().create(true).append(true).open(self.folder.join("errors")).unwrap();
        self.child = Some(command.stderr(errors).spawn().unwrap());
        let address = format!("127.0.0.1:{}", self.port);
        wait_until(&format!("a receiver in {}", self.folder.display()), || TcpStream::connect(&address).is_ok());
    }

    /// Kills it: it writes nothing more.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    /// Has it end by itself, so that everything it has is in its files.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        wait_until("the end of the receiver", || child.try_wait().unwrap().is_some());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whole lines of one of its files.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read(self.folder.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
        whole.lines().map(str::to_owned).collect()
    }

    /// How often it has each alert, by delivery key, as messages of structured data have it.
    pub(crate) fn keys(&self) -> BTreeMap<(String, String), usize> {
        let mut keys = BTreeMap::new();
        let value = |line: &str, name: &str| {
            let (_, behind) = line.split_once(&format!(" {name}=\""))?;
            behind.split_once('"').map(|(value, _)| value.to_owned())
        };
        let lines = self.lines("raw");
        let named = lines.iter().filter_map(|line| {
            let alert = value(line, "alert_id").or_else(|| value(&line.replace('[', " "), "alert_id"))?;
            Some((alert, value(line, "revision")?))
        });
        named.for_each(|key| *keys.entry(key).or_default() += 1);
        keys
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}
