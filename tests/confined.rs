//! The sensor as it stands once it runs: what each of its threads may still do, and what whoever keeps it running hears of it.
//! In network namespaces of its own; skipped with a word where those are not permitted.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

#[expect(dead_code, reason = "no recordings here")]
#[path = "live/lab.rs"]
mod lab;
#[expect(dead_code, reason = "captures are only read here")]
#[path = "program/pcap.rs"]
mod pcap_file;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use lab::{Lab, Sensor, wait_until};
use pcap_file::read;
use program::{keywitness, of};
use rustix::process::{Signal, geteuid};
use serde_json::Value;

/// Bit of `CAP_NET_RAW`.
const NET_RAW: u64 = 1 << 13;

fn has_ended(record: &Value) -> bool {
    record["record"] == "session" && record["state"] != "open"
}

/// What the kernel says of each thread, by the name of the thread.
fn threads(sensor: &Sensor) -> BTreeMap<String, BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sensor.pid())).unwrap();
    tasks
        .map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let lines = status.lines().filter_map(|line| line.split_once(":\t"));
            let status: BTreeMap<_, _> = lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
            (status["Name"].clone(), status)
        })
        .collect()
}

/// Each thread holds what it is to hold: the names are those of threads, which the kernel cuts at 15 bytes.
fn assert_confined(sensor: &Sensor, user: &str) {
    let threads = threads(sensor);
    let captures = threads.keys().filter(|name| name.starts_with("capture ")).count();
    assert!(captures > 0 && threads.len() > captures, "{:?}", threads.keys());
    for (name, status) in &threads {
        let kept = if name.starts_with("capture ") { NET_RAW } else { 0 };
        let sets = ["CapEff", "CapPrm", "CapInh", "CapAmb"].map(|set| u64::from_str_radix(&status[set], 16).unwrap());
        assert_eq!(sets, [kept, kept, 0, 0], "{name}");
        assert_eq!(status["NoNewPrivs"], "1", "{name}");
        let uids: Vec<_> = status["Uid"].split_whitespace().collect();
        assert_eq!(uids, [user; 4], "{name}");
        if sensor.has_logged("system calls limited (seccomp)") {
            assert_eq!(status["Seccomp"], "2", "{name}");
        } else {
            println!("skipped: no seccomp here");
        }
    }
}

/// Asks the endpoint: status and body.
fn get(lab: &Lab, sensor: &Sensor, path: &str) -> (String, String) {
    let logged = sensor.logged("metrics at http://");
    let address = logged.split_once("http://").unwrap().1.strip_suffix("/metrics").unwrap();
    let answer = lab.inside(|| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: sensor\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].to_owned(), body.to_owned())
}

/// The value of a metric, by its name and labels as they are written.
fn metric(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(|value| value.parse().unwrap())
}

/// A pipe without room for a byte that nobody empties; open, so that the sensor can open it.
fn full_pipe(folder: &Path) -> (PathBuf, fs::File) {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut pipe = fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    while pipe.write(&[b'\n'; 4096]).is_ok() {}
    (path, pipe)
}

/// A folder of its own, where anybody may write.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

fn claims(path: &Path, place: &str) {
    let text = format!(
        "[sensor]\nplace = \"Seattle, US\"\n[[claim]]\nidentity = \"jdoe\"\n[[claim.match]]\nclient = \
         [\"203.0.113.0/24\"]\n[[claim.place]]\nplace = \"{place}\"\n"
    );
    fs::write(path, text).unwrap();
}

#[test]
fn capture_threads_keep_one_capability_and_the_others_none() {
    let Some(lab) = Lab::new("caps") else { return };
    lab.pair("out", "tap");
    lab.pair("out2", "tap2");
    let sensor = lab.sensor(&["-i", "tap", "-i", "tap2", "--metrics", "0", "--format", "ndjson"]);
    sensor.wait_for_log("metrics at");
    assert_confined(&sensor, "0");
    let begun = sensor.logged("no_new_privs");
    assert!(begun.contains("user 0, capabilities none"), "{begun}");
    assert_eq!(sensor.stop().status, Some(0));
}

/// Started by root, as nobody: an interface that is made anew is captured again, claims are read again, and the output is opened again
/// where it was.
#[test]
fn a_sensor_that_gave_up_root_goes_on_through_everything() {
    let Some(lab) = Lab::new("user") else { return };
    let folder = open_folder();
    let (file, output, rotated) =
        (folder.path().join("claims.toml"), folder.path().join("records"), folder.path().join("records.1"));
    claims(&file, "Sydney, AU");
    lab.pair("out", "tap");
    let args = ["-i", "tap", "--user", "nobody", "--format", "ndjson", "--report-every", "0"];
    let files = ["--claims", file.to_str().unwrap(), "-o", output.to_str().unwrap()];
    let sensor = lab.sensor_by_user(&[&args[..], &files].concat());
    sensor.wait_for_log("no_new_privs");
    assert_confined(&sensor, "65534");
    let sessions = |path: &Path| -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).filter(has_ended).collect()
    };
    lab.send("out", &read("scp-up"));
    wait_until("a session", || sessions(&output).len() == 1);

    lab.ip("link del tap");
    sensor.wait_for_log("tap has vanished");
    lab.pair("out", "tap");
    sensor.wait_for_log("INFO tap is captured on");
    lab.send("out", &read("ssh-yes"));
    wait_until("a second session", || sessions(&output).len() == 2);

    // By renaming, as editors and logrotate do it.
    claims(&folder.path().join("next"), "Seattle, US");
    fs::rename(folder.path().join("next"), &file).unwrap();
    fs::rename(&output, &rotated).unwrap();
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("claims were read again");
    wait_until("the new file", || output.exists());
    lab.send("out", &read("ssh-far"));
    wait_until("a third session", || sessions(&output).len() == 1);
    assert_confined(&sensor, "65534");
    let live = sensor.stop();
    assert_eq!(live.status, Some(0), "{:?}", live.log);
    let (before, after) = (sessions(&rotated), sessions(&output));
    assert_eq!((before.len(), after.len()), (2, 1));
    assert_eq!(before[0]["claim"]["claims_sha256"], before[1]["claim"]["claims_sha256"]);
    assert_ne!(before[0]["claim"]["claims_sha256"], after[0]["claim"]["claims_sha256"]);
}

/// Landlock's doing alone: whoever runs this is root, and the folder is anybody's.
#[test]
fn nothing_is_written_but_where_it_was_said() {
    let Some(lab) = Lab::new("files") else { return };
    let (folder, elsewhere) = (open_folder(), open_folder());
    let output = folder.path().join("records");
    lab.pair("out", "tap");
    let sensor = lab.sensor(&["-i", "tap", "--format", "ndjson", "-o", output.to_str().unwrap()]);
    sensor.wait_for_log("no_new_privs");
    if !sensor.has_logged("files limited") {
        println!("skipped: no Landlock here");
        return;
    }
    // The way to the output now leads elsewhere, where it was not let to.
    fs::rename(&output, folder.path().join("records.1")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("records"), &output).unwrap();
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("(another folder takes a restart); results go to the file that was open");
    assert!(!elsewhere.path().join("records").exists());
    // Back where it may be.
    fs::remove_file(&output).unwrap();
    sensor.signal(Signal::HUP);
    wait_until("the new file", || output.exists());
    assert_eq!(sensor.stop().status, Some(0));
    assert!(fs::read_to_string(&output).unwrap().contains("\"summary\""));
}

#[test]
fn a_file_in_a_folder_of_the_whole_system_is_warned_of() {
    let Some(lab) = Lab::new("fixed") else { return };
    let file = tempfile::Builder::new().prefix("kw-confined-").tempfile_in("/tmp").unwrap();
    lab.pair("out", "tap");
    let sensor = lab.sensor(&["-i", "tap", "--format", "ndjson", "-o", file.path().to_str().unwrap()]);
    sensor.wait_for_log("no_new_privs");
    if sensor.has_logged("files limited") {
        sensor.wait_for_log("its folder belongs to the whole system");
    }
    assert_eq!(sensor.stop().status, Some(0));
}

#[test]
fn metrics_are_those_of_the_summary() {
    let Some(lab) = Lab::new("metrics") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, evidence) = (folder.path().join("claims.toml"), folder.path().join("evidence"));
    claims(&file, "Sydney, AU");
    lab.pair("out", "tap");
    let args = ["-i", "tap", "--metrics", "0", "--format", "ndjson", "--claims", file.to_str().unwrap()];
    let sensor = lab.sensor(&[&args[..], &["--save-evidence", evidence.to_str().unwrap()]].concat());
    sensor.wait_for_log("metrics at");
    let packets: Vec<_> = ["scp-up", "ssh-yes", "ssh-far"].into_iter().flat_map(read).collect();
    lab.send("out", &packets);
    sensor.wait_for_records(3, has_ended);
    assert_eq!(get(&lab, &sensor, "/healthz"), ("200".to_owned(), "ok\n".to_owned()));
    assert_eq!(get(&lab, &sensor, "/readyz").0, "200");
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("claims were read again");
    let (_, page) = get(&lab, &sensor, "/metrics");
    let value = |name: &str| metric(&page, name).unwrap_or_else(|| panic!("{name} in\n{page}"));

    lab.ip("link del tap");
    sensor.wait_for_log("tap has vanished");
    let interface_lost = ("503".to_owned(), "interface tap is not open\n".to_owned());
    assert_eq!(get(&lab, &sensor, "/healthz"), interface_lost);
    lab.pair("out", "tap");
    sensor.wait_for_log("INFO tap is captured on");
    assert_eq!(get(&lab, &sensor, "/healthz").0, "200");
    assert_eq!(metric(&get(&lab, &sensor, "/metrics").1, "keywitness_interface_reopened_total{interface=\"tap\"}"), Some(1.0));

    let live = sensor.stop();
    let (summary, records) = (live.summary(), live.records());
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!(value("keywitness_handled_frames_total"), number(&summary["packets"]));
    assert_eq!(value("keywitness_frames_total{interface=\"tap\"}"), number(&summary["inputs"][0]["frames"]));
    assert_eq!(value("keywitness_bytes_total{interface=\"tap\"}"), number(&summary["bytes"]));
    assert_eq!(value("keywitness_kernel_drops_total{interface=\"tap\"}"), number(&summary["dropped"]["kernel"]));
    assert_eq!(value("keywitness_undecoded_frames_total"), number(&summary["undecoded"]));
    for verdict in ["implausible", "consistent", "undecided", "no_claim"] {
        let said = of(&records, "session").iter().filter(|session| session["verdict"] == verdict).count();
        assert_eq!(value(&format!("keywitness_verdicts_total{{verdict=\"{verdict}\"}}")), said as f64, "{verdict}");
    }
    let alerts: f64 = ["low", "medium", "high"]
        .map(|severity| value(&format!("keywitness_alerts_total{{severity=\"{severity}\"}}")))
        .iter()
        .sum();
    assert_eq!(alerts, number(&summary["alerts"]));
    assert!(alerts > 0.0, "{summary}");
    let written = (of(&records, "session").len() + of(&records, "alert").len()) as f64;
    assert_eq!(value("keywitness_record_latency_seconds_count"), written);
    assert_eq!(value("keywitness_records_total{record=\"session\"}"), of(&records, "session").len() as f64);
    assert_eq!(value("keywitness_claims_reloads_total{outcome=\"success\"}"), 2.0);
    assert_eq!(value("keywitness_evidence_errors_total"), 0.0);
}

#[test]
fn metrics_name_interfaces_as_records_do() {
    let Some(lab) = Lab::new("names") else { return };
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let claims_file = folder.path().join("claims.toml");
    claims(&claims_file, "Seattle, US");
    lab.pair("out", "tap");
    let args = ["-i", "tap", "--metrics", "0", "--format", "ndjson", "--pseudonymize", key.to_str().unwrap()];
    let sensor = lab.sensor(&[&args[..], &["--claims", claims_file.to_str().unwrap()]].concat());
    sensor.wait_for_log("metrics at");
    let (_, page) = get(&lab, &sensor, "/metrics");
    lab.ip("link del tap");
    sensor.wait_for_log("tap has vanished");
    let (_, problem) = get(&lab, &sensor, "/healthz");
    // The key is among what is read again.
    sensor.signal(Signal::HUP);
    sensor.wait_for_log("claims were read again");
    let summary = sensor.stop().summary();
    let name = summary["inputs"][0]["path"].as_str().unwrap();
    assert_ne!(name, "tap");
    assert_eq!(problem, format!("interface {name} is not open\n"));
    assert_eq!(metric(&page, &format!("keywitness_interface_up{{interface=\"{name}\"}}")), Some(1.0), "{page}");
    assert!(!page.contains("\"tap\""));
}

/// What a service manager hears; the socket is in the file system, as systemd's.
#[test]
fn the_service_manager_hears_of_the_start_the_reload_the_watchdog_and_the_end() {
    let Some(lab) = Lab::new("notify") else { return };
    let folder = open_folder();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hear = || {
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    lab.pair("out", "tap");
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "600000")];
    let sensor = lab.sensor_with(&["-i", "tap", "--format", "ndjson"], &environment);
    let mut heard = Vec::new();
    let mut hear_of = |what: &str| {
        while !heard.last().is_some_and(|words: &String| words.starts_with(what)) {
            heard.push(hear());
        }
        heard.last().unwrap().clone()
    };
    hear_of("READY=1\nSTATUS=");
    hear_of("WATCHDOG=1");
    sensor.signal(Signal::HUP);
    let reloading = hear_of("RELOADING=1\nMONOTONIC_USEC=");
    hear_of("READY=1");
    hear_of("WATCHDOG=1");
    assert!(reloading.lines().nth(1).unwrap().split_once('=').unwrap().1.parse::<u64>().unwrap() > 0);
    sensor.signal(Signal::TERM);
    hear_of("STOPPING=1");
    assert_eq!(sensor.ended().status, Some(0));
}

/// A second signal to end ends at once, whatever is left to do: also behind the guard, which lets nobody signal others.
#[test]
fn a_second_signal_ends_a_sensor_that_cannot_write() {
    let Some(lab) = Lab::new("twice") else { return };
    let folder = open_folder();
    let (pipe, _reader) = full_pipe(folder.path());
    lab.pair("out", "tap");
    let mut sensor = lab.sensor(&["-i", "tap", "--format", "ndjson", "-o", pipe.to_str().unwrap()]);
    sensor.signal(Signal::TERM);
    // Its summary finds no room; that it waits for some shows in no log.
    sensor.wait_for_log("ending");
    wait_until("the end", || {
        sensor.signal(Signal::TERM);
        sensor.has_ended()
    });
    assert_eq!(sensor.ended().status, None, "by the signal");
}

/// A reader that takes nothing holds the engine up: nobody feeds the watchdog then, and the reason is said.
#[test]
fn a_sensor_that_stands_still_starves_the_watchdog() {
    let Some(lab) = Lab::new("still") else { return };
    let folder = open_folder();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (pipe, _reader) = full_pipe(folder.path());
    lab.pair("out", "tap");
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "2000000")];
    let args = ["-i", "tap", "--format", "ndjson", "--all-flows", "--keystrokes=all", "-o", pipe.to_str().unwrap()];
    let sensor = lab.sensor_with(&[&args[..], &["--metrics", "0"]].concat(), &environment);
    sensor.wait_for_log("metrics at");
    lab.send("out", &read("ssh-yes"));
    let stalled = "STATUS=engine has not moved for ";
    loop {
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).unwrap();
        if String::from_utf8_lossy(&bytes[..length]).starts_with(stalled) {
            break;
        }
    }
    sensor.wait_for_log("ERROR watchdog: engine has not moved");
    sensor.signal(Signal::KILL);
    assert_eq!(sensor.ended().status, None);
}

#[test]
fn who_cannot_be_become_is_said() {
    let run = |args: &[&str]| keywitness(["live", "-i", "lo"].into_iter().chain(args.iter().copied()));
    let mistakes: &[(&[&str], &str)] = if geteuid().is_root() {
        &[
            (&["--user", "no-such-user"], "--user no-such-user: there is no such user"),
            (&["--user", "root"], "--user root: is root"),
            (&["--user", "nobody", "--as-root"], "cannot be used with"),
            (&["--as-root", "--metrics", "here"], "--metrics: `here` is not ADDR:PORT"),
            (&[], "--user NAME"),
        ]
    } else {
        &[(&["--user", "nobody"], "--user nobody: only root can become another user")]
    };
    for (args, words) in mistakes {
        let run = run(args);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
}

/// Alerts of a sensor that gave up everything else: kept in the spool, and sent to a collector that comes up late, and goes away, on
/// a port that it was told of.
#[test]
fn alerts_reach_their_collector_from_a_confined_sensor() {
    let Some(lab) = Lab::new("alerts") else { return };
    let folder = open_folder();
    let (file, spool) = (folder.path().join("claims.toml"), folder.path().join("spool"));
    claims(&file, "Sydney, AU");
    lab.pair("out", "tap");
    let args = ["-i", "tap", "--user", "nobody", "--format", "ndjson", "--report-every", "0", "--alert-wait", "20s"];
    let files = ["--claims", file.to_str().unwrap(), "--spool", spool.to_str().unwrap()];
    let destinations = ["--alert-to", "tcp://127.0.0.1:5140?framing=newline&resend=1s", "--alert-to", "udp://127.0.0.1:5141"];
    let datagrams = lab.inside(|| UdpSocket::bind("127.0.0.1:5141").unwrap());
    datagrams.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let sensor = lab.sensor_by_user(&[&args[..], &files, &destinations].concat());
    sensor.wait_for_log("no_new_privs");
    wait_until("the threads that deliver", || threads(&sensor).contains_key("alerts 2"));
    assert_confined(&sensor, "65534");
    lab.send("out", &read("ssh-far"));
    sensor.wait_for_records(1, |record| record["record"] == "alert");
    sensor.wait_for_log("alerts to tcp://127.0.0.1:5140: Connection refused");
    let mut datagram = [0; 8192];
    let length = datagrams.recv(&mut datagram).unwrap();
    let datagram = String::from_utf8(datagram[..length].to_vec()).unwrap();
    assert!(datagram.starts_with("<83>1 ") && datagram.contains(" keywitness - rtt_"), "{datagram}");

    let listener = lab.inside(|| TcpListener::bind("127.0.0.1:5140").unwrap());
    let (stream, _) = listener.accept().unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), datagram, "the same from both");
    // The connection is gone, and what was sent a moment ago comes again.
    let (stream, _) = listener.accept().unwrap();
    let mut stream = BufReader::new(stream);
    let mut again = String::new();
    stream.read_line(&mut again).unwrap();
    assert_eq!(again, line);
    let ending = std::thread::spawn(move || {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        rest
    });
    let live = sensor.stop();
    assert_eq!((live.status, ending.join().unwrap().as_str()), (Some(0), ""), "{:?}", live.log);
    let run = keywitness(["spool", "status", "--format", "ndjson", spool.to_str().unwrap()]);
    let status = &run.records()[0];
    let waiting: Vec<_> = status["destinations"].as_array().unwrap().iter().map(|one| one["waiting"].as_u64()).collect();
    assert_eq!((status["records"].as_u64(), waiting), (Some(1), vec![Some(0), Some(0)]), "{status}");
}
