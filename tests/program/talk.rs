//! A conversation over TCP, made up: opened, said piece by piece, and given to the program.

use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt};

use serde_json::Value;

use super::{
    pcap::Classic,
    program::keywitness,
    traffic::{End, Traffic},
};

/// Who opens it: an address that no claim of `pcaps/` names.
pub(crate) const CLIENT: End = (Ipv4Addr::new(203, 0, 113, 9), 40_000);

/// Who says something.
#[derive(Clone, Copy)]
pub(crate) enum Speaker {
    Client,
    Server,
}

/// A conversation that keeps its own sequence numbers.
pub(crate) struct Talk {
    server: End,
    traffic: Traffic,
    next: [u32; 2],
}

impl Talk {
    /// Opened at time 0 with a server on this port; 20 ms to the client, 1 ms to the server.
    pub(crate) fn with(port: u16) -> Self {
        let server = (Ipv4Addr::new(198, 51, 100, 2), port);
        let mut traffic = Traffic::default();
        traffic.tcp(0, CLIENT, server, "S", 1_000, 0, b"");
        traffic.tcp(1, server, CLIENT, "SA", 5_000, 1_001, b"");
        traffic.tcp(21, CLIENT, server, "A", 1_001, 5_001, b"");
        Self { server, traffic, next: [1_001, 5_001] }
    }

    /// In one segment, at a time in milliseconds.
    pub(crate) fn say(&mut self, ms: u64, who: Speaker, bytes: &[u8]) {
        let [client, server] = self.next;
        let len = bytes.len() as u32;
        match who {
            Speaker::Client => {
                self.traffic.tcp(ms, CLIENT, self.server, "A", client, server, bytes);
                self.next[0] += len;
            }
            Speaker::Server => {
                self.traffic.tcp(ms, self.server, CLIENT, "A", server, client, bytes);
                self.next[1] += len;
            }
        }
    }

    /// What the program says of it with these options: its records, and the text that they were read from.
    pub(crate) fn analyze(&self, options: &[&str]) -> (Vec<Value>, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("capture.pcap");
        fs::write(&file, Classic { big_endian: false, microseconds: false }.write(&self.traffic.0)).unwrap();
        let args = ["analyze", "--format", "ndjson", file.to_str().unwrap()];
        let run = keywitness(args.into_iter().chain(options.iter().copied()));
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        (run.records(), run.stdout)
    }

    /// What it writes of it under pseudonyms.
    pub(crate) fn pseudonymized(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        fs::write(&key, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n").unwrap();
        fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        self.analyze(&["--keystrokes=all", "--pseudonymize", key.to_str().unwrap()]).1
    }
}
