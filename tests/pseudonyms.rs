//! `--pseudonymize` as its users have it: nothing that is written names an address or an identity.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "program/pcap.rs"]
mod pcap;
mod program;

use std::{collections::BTreeSet, fs, net::Ipv4Addr, os::unix::fs::PermissionsExt};

use pcap::Classic;
use program::{Run, captures, keywitness, nanos, of, repository};
use serde_json::Value;

const KEY: &str = "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301";

const CLAIMS: [&str; 3] = ["analyze", "--claims", "pcaps/claims.toml"];

/// A folder with a key that only its owner reads.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.key("key", KEY);
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn key(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A run with the key over these options and captures.
    fn run(&self, more: &[&str]) -> Run {
        let key = self.path("key");
        keywitness(CLAIMS.into_iter().chain(["--pseudonymize", &key]).chain(more.iter().copied()))
    }
}

fn all_captures() -> Vec<String> {
    captures().into_iter().map(|name| format!("pcaps/{name}.pcap")).collect()
}

/// Everything that must not be written: addresses of the captures, as records and as others write them, and what claims name.
fn secrets() -> BTreeSet<String> {
    let claims = fs::read_to_string(repository().join("pcaps/claims.toml")).unwrap();
    let named = claims.lines().filter_map(|line| line.strip_prefix("identity = \"")?.strip_suffix('"'));
    let mut secrets: BTreeSet<String> = named.map(str::to_owned).collect();
    assert_eq!(secrets.len(), 4);
    for name in captures() {
        for packet in pcap::read(&name) {
            let hex = |at: usize, end: usize, by: &str| {
                packet.bytes[at..end].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(by)
            };
            for at in [0, 6] {
                secrets.extend([":", "-", ""].map(|by| hex(at, at + 6, by)));
            }
            for at in [26, 30] {
                let octets: [u8; 4] = packet.bytes[at..at + 4].try_into().unwrap();
                secrets.insert(Ipv4Addr::from(octets).to_string());
                secrets.insert(hex(at, at + 4, ""));
            }
        }
    }
    // Where clients asked proxies to connect to, and as whom.
    secrets.extend(["192.0.2.22", "srv.example.net", "proxyuser", "proxysecret"].map(str::to_owned));
    assert!(secrets.contains("203.0.113.17") && secrets.contains("198.51.100.2"), "{secrets:?}");
    secrets
}

fn assert_silent(text: &str, secrets: &BTreeSet<String>) {
    let text = text.to_ascii_lowercase();
    for secret in secrets {
        let told = text.match_indices(secret.as_str()).find(|(at, _)| {
            let around = [text[..*at].chars().next_back(), text[at + secret.len()..].chars().next()];
            !around.iter().flatten().any(|neighbour| neighbour.is_ascii_alphanumeric())
        });
        assert!(told.is_none(), "{secret} in {text}");
    }
}

#[test]
fn no_address_and_no_identity_is_in_any_output_or_log() {
    let (folder, secrets) = (Folder::new(), secrets());
    let (inputs, evidence) = (all_captures(), folder.path("evidence"));
    for options in [["--format", "table", "--keystrokes"], ["--format", "ndjson", "--keystrokes=all"], ["--format", "csv", "-v"]]
    {
        let args: Vec<&str> = options.into_iter().chain(["-vv", "--save-evidence", &evidence]).collect();
        let run = folder.run(&args.into_iter().chain(inputs.iter().map(String::as_str)).collect::<Vec<_>>());
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(run.stdout.contains("implausible") && run.stdout.contains("id-"), "{}", run.stdout);
        assert_silent(&run.stdout, &secrets);
        assert_silent(&run.stderr, &secrets);
    }
    // The same search finds them where they are.
    let open = keywitness(CLAIMS.into_iter().chain(["pcaps/ssh-far.pcap"])).stdout;
    assert!(std::panic::catch_unwind(|| assert_silent(&open, &secrets)).is_err());
}

#[test]
fn leases_middleboxes_and_names_of_inputs_are_no_way_around() {
    let folder = Folder::new();
    let input = folder.path("laptop-of-asmith-203.0.113.17.pcap");
    fs::copy(repository().join("pcaps/ssh-far.pcap"), &input).unwrap();
    let claims = "[sensor]\nplace = \"Seattle, US\"\n[[claim]]\nidentity = \"asmith\"\n[[claim.match]]\nmac = [\"02:00:00:00:00:01\"]\n\
                  [[claim.place]]\nplace = \"Denver, US\"\n[[middlebox]]\nname = \"vpn-203.0.113.17\"\nnet = [\"203.0.113.17\"]\n";
    let claims = folder.key("claims.toml", claims);
    let leases = folder.key("leases.csv", "time,ip,identity\n2026-11-01T00:00:00Z,203.0.113.17,asmith\n");
    let stranger = folder.key("stranger.csv", "time,ip,identity\n2026-11-01T00:00:00Z,203.0.113.17,stranger\n");
    for (leases, reason) in [(leases, "ends at the middlebox \"middlebox-"), (stranger, "to an identity without a claim")] {
        for format in ["table", "ndjson", "csv"] {
            let key = folder.path("key");
            let args = ["analyze", "--claims", &claims, "--leases", &leases, "--pseudonymize", &key, "--format", format, &input];
            let run = keywitness(args);
            assert_eq!((run.status, run.stderr.as_str()), (0, ""));
            assert!(
                format == "table" || run.stdout.contains(&reason.replace('"', if format == "csv" { "\"\"" } else { "\\\"" }))
            );
            for secret in ["asmith", "stranger", "203.0.113.17", "vpn-", "laptop"] {
                assert!(!run.stdout.contains(secret), "{secret} in {}", run.stdout);
            }
        }
    }
}

/// What a record says besides names and what is made from them.
fn facts(records: &[Value]) -> Vec<Value> {
    let mut facts = records.to_vec();
    for fact in &mut facts {
        let fact = fact.as_object_mut().unwrap();
        for name in
            ["session_id", "community_id", "alert_id", "identity", "message", "client", "server", "input", "inputs", "elapsed_s"]
        {
            fact.remove(name);
        }
        fact.remove("packets_per_s");
        // Names of people and machines, for which pseudonyms stand too.
        if let Some(details) = fact.get_mut("details").and_then(Value::as_object_mut) {
            for name in
                ["cookie", "routing_token", "client_name", "tls_server_name", "desktop_name", "client_user", "server_user"]
            {
                details.remove(name);
            }
        }
        for carrier in fact.get_mut("carriers").and_then(Value::as_array_mut).into_iter().flatten() {
            carrier.as_object_mut().unwrap().remove("host");
        }
        if let Some(claim) = fact.get_mut("claim").and_then(Value::as_object_mut) {
            claim.remove("identity");
            claim.remove("claims_sha256");
        }
    }
    facts
}

#[test]
fn everything_else_is_as_without_a_key() {
    let folder = Folder::new();
    let options = ["--format", "ndjson", "--keystrokes"];
    for input in all_captures() {
        let open = keywitness(CLAIMS.into_iter().chain(options).chain([input.as_str()])).records();
        let closed = folder.run(&[&options[..], &[&input]].concat()).records();
        // Of one capture with several sessions the records of one moment may change places.
        let sorted = |records: &[Value]| {
            let mut facts: Vec<String> = facts(records).iter().map(Value::to_string).collect();
            facts.sort();
            facts
        };
        assert_eq!(sorted(&open), sorted(&closed), "{input}");
    }
}

#[test]
fn pseudonyms_keep_prefixes_and_ids_are_made_from_them() {
    let folder = Folder::new();
    let inputs = all_captures();
    let args: Vec<&str> = ["--format", "ndjson"].into_iter().chain(inputs.iter().map(String::as_str)).collect();
    let open = keywitness(CLAIMS.into_iter().chain(args.iter().copied())).records();
    let (closed, again) = (folder.run(&args).records(), folder.run(&args).records());
    folder.key("key", &KEY.replace("01", "02"));
    let other = folder.run(&args).records();

    let text = |record: &Value, path: &str| record.pointer(path).unwrap().as_str().unwrap().to_owned();
    // Sessions by when they began, which is different for each.
    let sessions = |records: &[Value]| {
        let mut sessions: Vec<Value> = of(records, "session").into_iter().cloned().collect();
        sessions.sort_by_key(|session| nanos(&session["start"]));
        sessions
    };
    let (open, closed, again, other) = (sessions(&open), sessions(&closed), sessions(&again), sessions(&other));
    let ip = |session: &Value| text(session, "/client/ip").parse::<Ipv4Addr>().unwrap().to_bits();
    for (a, x) in open.iter().zip(&closed) {
        for (b, y) in open.iter().zip(&closed) {
            assert_eq!((ip(a) ^ ip(b)).leading_zeros(), (ip(x) ^ ip(y)).leading_zeros());
            // Compared as they are: what no claim names has no identity, with a key and without one.
            let same = |path| (a.pointer(path) == b.pointer(path), x.pointer(path) == y.pointer(path));
            for path in ["/claim/identity", "/client/mac", "/session_id", "/community_id"] {
                let (was, is) = same(path);
                assert_eq!(was, is, "{path}");
            }
        }
    }
    for path in
        ["/session_id", "/community_id", "/client/ip", "/server/ip", "/client/mac", "/claim/identity", "/claim/claims_sha256"]
    {
        for ((open, closed), (again, other)) in open.iter().zip(&closed).zip(again.iter().zip(&other)) {
            if open["claim"].is_null() && path.starts_with("/claim/") {
                continue;
            }
            assert_eq!(text(closed, path), text(again, path));
            assert_eq!(BTreeSet::from([text(open, path), text(closed, path), text(other, path)]).len(), 3, "{path}");
        }
    }
}

/// A guess at the addresses of a session does not lead to its identifier: they come from the pseudonyms.
#[test]
fn identifiers_are_those_of_a_capture_with_the_pseudonyms_in_it() {
    let folder = Folder::new();
    let closed = folder.run(&["--format", "ndjson", "pcaps/ssh-far.pcap"]).records();
    let session = of(&closed, "session")[0];
    let mut packets = pcap::read("ssh-far");
    let client: Ipv4Addr = session["client"]["ip"].as_str().unwrap().parse().unwrap();
    let server: Ipv4Addr = session["server"]["ip"].as_str().unwrap().parse().unwrap();
    for packet in &mut packets {
        for at in [26, 30] {
            let is_client = packet.bytes[at..at + 4] == [203, 0, 113, 17];
            packet.bytes[at..at + 4].copy_from_slice(&if is_client { client } else { server }.octets());
        }
    }
    let capture = folder.path("rewritten.pcap");
    fs::write(&capture, Classic { big_endian: false, microseconds: false }.write(&packets)).unwrap();
    let claims = fs::read_to_string(repository().join("pcaps/claims.toml")).unwrap();
    let claims = folder.key("claims.toml", &claims.replace("203.0.113.16/30", &client.to_string()));
    let open = keywitness(["analyze", "--format", "ndjson", "--claims", &claims, &capture]).records();
    for (kind, names) in
        [("session", &["session_id", "community_id"][..]), ("alert", &["alert_id", "session_id", "community_id"])]
    {
        for name in names {
            assert_eq!(of(&closed, kind)[0][name], of(&open, kind)[0][name], "{kind} {name}");
        }
    }
}

#[test]
fn a_file_that_holds_no_key_is_refused() {
    let folder = Folder::new();
    let half = &KEY[..32];
    for (content, part) in [
        ("", "is empty"),
        (half, "has 32 hexadecimal digits where a key has 64"),
        (&half.repeat(2), "two equal halves"),
        ("correct horse", "something else than hexadecimal digits, at byte 1"),
    ] {
        let key = folder.key("bad", content);
        let run = keywitness(["analyze", "--pseudonymize", &key, "pcaps/ssh-home.pcap"]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{content}");
        assert!(run.stderr.starts_with(&format!("--pseudonymize: {key} ")) && run.stderr.contains(part), "{}", run.stderr);
        assert!(run.stderr.contains("openssl rand -hex 32") && (content.is_empty() || !run.stderr.contains(content)));
    }
    for (key, part) in [("-", "not read from standard input"), ("no-such-key", "no-such-key: ")] {
        let run = keywitness(["analyze", "--pseudonymize", key, "pcaps/ssh-home.pcap"]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let key = folder.path("key");
    let run = keywitness(["analyze", "--pseudonymize", &key, "-o", &key, "pcaps/ssh-home.pcap"]);
    assert_eq!((run.status, fs::read_to_string(&key).unwrap().as_str()), (2, KEY));
}

#[test]
fn a_key_that_others_can_read_is_told() {
    let folder = Folder::new();
    let key = folder.path("key");
    let args = ["analyze", "--pseudonymize", &key, "pcaps/ssh-home.pcap"];
    assert_eq!(keywitness(args).stderr, "");
    for mode in [0o640, 0o604] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let run = keywitness(args);
        assert_eq!(run.status, 0);
        assert!(run.stderr.contains("others can read") && run.stderr.contains(&format!("mode {mode:04o}")), "{}", run.stderr);
    }
}
