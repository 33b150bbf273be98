//! Alerts produced to Kafka: a broker that speaks its protocol (tansu, with SQLite behind it), killed and started again, and what librdkafka
//! reads of it then. Skipped with a word without `KEYWITNESS_KAFKA`, the path of `tansu` (`cargo install tansu --features dynostore,libsql`).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[path = "collectors/alerts.rs"]
mod alerts;
#[path = "collectors/delivery.rs"]
mod delivery;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{
    collections::HashMap,
    env,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use alerts::{record, spool_of};
use delivery::{deliver, destination, ended, started};
use program::{Run, keywitness, repository};
use serde_json::Value;

/// A broker; killed when dropped.
struct Broker {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Broker {
    fn start(folder: &Path) -> Option<Self> {
        let Some(program) = env::var_os("KEYWITNESS_KAFKA").map(PathBuf::from) else {
            println!("skipped: KEYWITNESS_KAFKA does not name tansu");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(&program, folder, port);
        let broker = Self { program, folder: folder.to_owned(), port, child };
        broker.wait();
        Some(broker)
    }

    fn restart(&mut self) {
        self.child = spawn(&self.program, &self.folder, self.port);
        self.wait();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn wait(&self) {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no broker");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn make_topic(&self, name: &str) {
        let url = format!("tcp://127.0.0.1:{}", self.port);
        let made = Command::new(&self.program).args(["topic", "create", "--broker", &url, "--partitions", "3", name]).output();
        assert!(made.unwrap().status.success());
    }

    /// Partition, key, delivery key and alert of each message; nothing where nobody can read them.
    fn messages(&self, topic: &str) -> Option<Vec<(u64, String, String, Value)>> {
        let python = env::var("KEYWITNESS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = repository().join("tests/kafka/read.py");
        let output =
            Command::new(python).arg(script).args([format!("127.0.0.1:{}", self.port), topic.to_owned()]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        if output.status.code() == Some(77) {
            println!("skipped: {said}");
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(said.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, folder: &Path, port: u16) -> Child {
    let url = format!("tcp://127.0.0.1:{port}");
    let mut broker = Command::new(program);
    broker.args(["broker", "--silent", "--listener-url", &url, "--advertised-listener-url", &url, "--storage-engine"]);
    broker.arg("sqlite://broker.db").current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    broker.spawn().unwrap()
}

/// The broker dies under load: none is missing, what is there twice has the same delivery key, and all is in one partition.
#[test]
fn nothing_is_missing_when_the_broker_is_killed() {
    const ALERTS: u64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Broker::start(folder.path()) else { return };
    broker.make_topic("alerts");
    let spool = spool_of(folder.path(), ALERTS);
    let child = started(&deliver(&spool, &[&format!("kafka://127.0.0.1:{}/alerts", broker.port)], "120s"));
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(400));
        broker.kill();
        thread::sleep(Duration::from_millis(300));
        broker.restart();
    }
    let said = ended(child);
    let told = destination(&spool);
    println!("{told}; {said}");
    assert_eq!((told["waiting"].as_u64(), told["next"].as_u64()), (Some(0), Some(ALERTS)), "{said}");
    let Some(messages) = broker.messages("alerts") else { return };
    let mut seen = HashMap::new();
    for (partition, key, delivery, alert) in messages {
        assert_eq!((partition, delivery.rsplit_once('-').unwrap().0), (0, key.as_str()));
        assert_eq!(alert["alert_id"], key.as_str());
        *seen.entry(delivery).or_insert(0) += 1;
    }
    assert_eq!(seen.len() as u64, ALERTS);
    let twice = seen.values().filter(|times| **times > 1).count();
    println!("{twice} are there more than once");
    assert!((0..ALERTS).all(|number| seen.contains_key(&format!("{number:016x}-{}", number % 3))));
}

#[test]
fn alerts_arrive_as_they_are_and_what_has_no_topic_waits() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start(folder.path()) else { return };
    let spool = spool_of(folder.path(), 7);
    let to = format!("kafka://127.0.0.1:{}/alerts", broker.port);
    let Run { status, stderr, .. } = keywitness(deliver(&spool, &[&to], "2s"));
    assert!(status == 0 && stderr.contains("does not know the topic alerts"), "{stderr}");
    assert_eq!(destination(&spool)["waiting"], 7);
    broker.make_topic("alerts");
    let Run { status, stderr, .. } = keywitness(deliver(&spool, &[&to], "30s"));
    assert_eq!((status, &destination(&spool)["waiting"]), (0, &Value::from(0)), "{stderr}");
    let Some(messages) = broker.messages("alerts") else { return };
    assert_eq!(messages.into_iter().map(|(.., alert)| alert).collect::<Vec<_>>(), (0..7).map(record).collect::<Vec<_>>());
}

#[test]
fn what_is_no_broker_is_said_to_be_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::Write;
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let spool = spool_of(folder.path(), 2);
    let Run { status, stderr, .. } = keywitness(deliver(&spool, &[&format!("kafka://127.0.0.1:{port}/alerts")], "2s"));
    assert!(status == 0 && stderr.contains("what the server sent is no Kafka"), "{stderr}");
    assert_eq!(destination(&spool)["waiting"], 2);
}
