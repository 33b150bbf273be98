//! A nats-server with JetStream, and a client for what a test asks of it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long anything may take that comes at all.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come to pass");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A server; killed when dropped.
pub(crate) struct Server {
    config: PathBuf,
    port: u16,
    child: Child,
    connect: Value,
}

impl Server {
    /// None, with a word why, where it is not installed.
    pub(crate) fn start(folder: &Path, more: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (config, store) = (folder.join("nats.conf"), folder.join("store"));
        let text = format!("listen: 127.0.0.1:{port}\njetstream {{ store_dir: \"{}\" }}\n{more}\n", store.display());
        fs::write(&config, text).unwrap();
        let Some(child) = spawn(&config) else {
            println!("skipped: nats-server is not installed");
            return None;
        };
        let connect = json!({"verbose": false, "headers": true, "no_responders": true});
        let server = Self { config, port, child, connect };
        wait_until("the server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Who the test says it is.
    pub(crate) fn login(&mut self, user: &str, password: &str) {
        self.connect["user"] = user.into();
        self.connect["pass"] = password.into();
    }

    /// With SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.config).unwrap();
        wait_until("the server", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub(crate) fn make_stream(&self, name: &str, subject: &str) {
        let config = json!({
            "name": name, "subjects": [subject], "storage": "file", "retention": "limits", "num_replicas": 1, "allow_direct": true,
            "duplicate_window": 600_000_000_000_u64,
        });
        let (_, answer) = self.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &config);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// How many messages a stream holds.
    pub(crate) fn messages(&self, stream: &str) -> u64 {
        let mut messages = None;
        // A server that was just started may not answer yet.
        wait_until("the stream", || {
            let (_, answer) = self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), &json!({}));
            messages = serde_json::from_slice::<Value>(&answer).ok().and_then(|info| info["state"]["messages"].as_u64());
            messages.is_some()
        });
        messages.unwrap()
    }

    /// A message of a stream: its `Nats-Msg-Id` and its body.
    pub(crate) fn message(&self, stream: &str, number: u64) -> (String, Vec<u8>) {
        let (head, body) = self.ask(&format!("$JS.API.DIRECT.GET.{stream}"), &json!({"seq": number}));
        let key = head.lines().find_map(|line| line.strip_prefix("Nats-Msg-Id:")).unwrap_or_default();
        (key.trim().to_owned(), body)
    }

    /// Asks, and gives the header fields and the body of the answer.
    fn ask(&self, subject: &str, body: &Value) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let body = body.to_string();
        let words =
            format!("CONNECT {}\r\nSUB _INBOX.test 1\r\nPUB {subject} _INBOX.test {}\r\n{body}\r\n", self.connect, body.len());
        stream.write_all(words.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "no answer to {subject}");
            assert!(!line.starts_with("-ERR"), "{line}");
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let sizes = match words[0] {
                "MSG" => [0, words[words.len() - 1].parse().unwrap()],
                "HMSG" => [words[words.len() - 2].parse().unwrap(), words[words.len() - 1].parse::<usize>().unwrap()],
                _ => continue,
            };
            let mut message = vec![0; sizes[1]];
            reader.read_exact(&mut message).unwrap();
            let body = message.split_off(sizes[0]);
            return (String::from_utf8(message).unwrap(), body);
        }
    }
}

fn spawn(config: &Path) -> Option<Child> {
    let program = ["/usr/sbin/nats-server", "/usr/bin/nats-server"].into_iter().find(|path| Path::new(path).exists())?;
    Command::new(program).arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
