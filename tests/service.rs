//! What a service manager hears, from a child that the guard holds, on a socket as systemd's.

use std::{
    env, io,
    io::Write,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use keywitness::run::{
    guard::{self, Needs, Role},
    health::Health,
    service::Service,
};

#[test]
fn the_service_manager_hears_of_everything_and_the_watchdog_starves_with_a_thread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let hear = || {
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes.get(..length).unwrap().to_vec()).unwrap()
    };
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["in_child", "--exact", "--nocapture"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "3000000")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(hear(), "READY=1\nSTATUS=two lines in one\n");
    let reloading = hear();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(time.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(hear(), "READY=1\nSTATUS=works\n");
    for _ in 0..2 {
        assert_eq!(hear(), "WATCHDOG=1\n");
    }
    // The engine stands still; nothing feeds the watchdog then.
    child.stdin.as_mut().unwrap().write_all(b"stand still\n").unwrap();
    let complaint = loop {
        match hear().as_str() {
            "WATCHDOG=1\n" => {}
            other => break other.to_owned(),
        }
    };
    assert!(complaint.starts_with("STATUS=engine 0 has not moved for "), "{complaint}");
    manager.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(manager.recv(&mut [0; 512]).is_err(), "it heard something");
    manager.set_read_timeout(None).unwrap();
    child.stdin.as_mut().unwrap().write_all(b"end\n").unwrap();
    assert_eq!(hear(), "STOPPING=1\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn in_child() {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let service = Service::from_environment();
    let health = Arc::new(Health::default());
    guard::enter(Role::Analysing, &Needs::default()).unwrap();
    service.ready("two lines\nin one");
    service.reloading();
    service.ready("works");
    let engine = health.expect("engine 0");
    service.watch(Arc::clone(&health)).unwrap();
    thread::spawn(move || {
        let still = thread::spawn(|| io::stdin().read_line(&mut String::new()));
        while !still.is_finished() {
            engine.mark();
            thread::sleep(Duration::from_millis(10));
        }
    })
    .join()
    .unwrap();
    io::stdin().read_line(&mut String::new()).unwrap();
    service.stopping();
}
