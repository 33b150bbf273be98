//! Claims as their users have them: TOML and CSV, leases, the dry run, and what each sort of claim leads to.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "other tests use the rest")]
mod program;

use std::fs;

use program::{Run, keywitness, of};
use serde_json::Value;

const SENSOR: &str = "[sensor]\nplace = \"Seattle, US\"\n";

/// A claim of the client of `ssh-home.pcap` (18 ms away, on 2026-11-22) with these places.
fn home_claim(places: &str) -> String {
    format!("{SENSOR}[[claim]]\nidentity = \"jdoe\"\n[[claim.match]]\nclient = [\"203.0.113.9\"]\n{places}")
}

/// Files that last as long as a test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The session of `ssh-home.pcap` under these claims and options.
    fn home(&self, claims: &str, options: &[&str]) -> Value {
        let claims = self.file("claims", claims);
        let run = analyze(&claims, options);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        of(&run.records(), "session")[0].clone()
    }
}

fn analyze(claims: &str, options: &[&str]) -> Run {
    let args = ["analyze", "--format", "ndjson", "pcaps/ssh-home.pcap", "--claims", claims];
    keywitness(args.iter().chain(options).copied())
}

/// The outcome and the reason of all tests of the claimed place, which are the same.
fn not_testable(session: &Value) -> &str {
    let tests = &session["tests"].as_array().unwrap()[..2];
    assert!(tests.iter().all(|test| test["outcome"] == "not_testable" && test["reason"] == tests[0]["reason"]), "{tests:?}");
    tests[0]["reason"].as_str().unwrap()
}

#[test]
fn a_gateway_lengthens_the_path() {
    let folder = Folder::new();
    let direct = folder.home(&home_claim("[[claim.place]]\nplace = \"Boise, US\"\n"), &[]);
    assert_eq!(direct["verdict"], "consistent");
    let session = folder.home(&home_claim("[[claim.place]]\nplace = \"Boise, US\"\nvia = \"Dallas, US\"\n"), &[]);
    let km = |session: &Value| session["claim"]["distance_km"].as_f64().unwrap();
    assert!(km(&session) > km(&direct) + 3000.0, "{} {}", km(&session), km(&direct));
    let finding = &session["findings"][0];
    assert_eq!((&session["verdict"], &finding["id"]), (&"implausible".into(), &"rtt_below_claim".into()));
    assert!(finding["explanation"].as_str().unwrap().contains("by way of Dallas"), "{finding}");
}

#[test]
fn the_place_that_fits_best_speaks_of_those_that_hold() {
    let folder = Folder::new();
    let places =
        "[[claim.place]]\nplace = \"Lisbon, PT\"\n[[claim.place]]\nplace = \"Boise, US\"\nfrom = 2026-11-22\nto = 2026-11-23\n";
    let session = folder.home(&home_claim(places), &[]);
    assert_eq!((&session["verdict"], &session["claim"]["places"].as_array().unwrap().len()), (&"consistent".into(), &2));
    assert!(session["claim"]["matched_place"].to_string().contains("Boise"), "{}", session["claim"]);
    let gone = folder.home(&home_claim(&places.replace("2026-11-22", "2026-11-01").replace("2026-11-23", "2026-11-22")), &[]);
    assert_eq!((&gone["verdict"], gone["claim"]["places"].as_array().unwrap().len()), (&"implausible".into(), 1));
}

#[test]
fn a_claim_that_does_not_hold_at_the_time_decides_nothing() {
    let folder = Folder::new();
    let session = folder.home(&home_claim("[[claim.place]]\nplace = \"Boise, US\"\nfrom = 2026-11-23\n"), &[]);
    assert_eq!((&session["verdict"], &session["claim"]["identity"]), (&"undecided".into(), &"jdoe".into()));
    assert_eq!(not_testable(&session), "no place of the claim holds at this time");
}

#[test]
fn nothing_is_judged_behind_a_middlebox() {
    let folder = Folder::new();
    let middlebox = "[[middlebox]]\nname = \"sase-sea\"\nnet = [\"203.0.113.8/30\"]\nplace = \"Seattle, US\"\n";
    let claims = home_claim(&format!("[[claim.place]]\nplace = \"Lisbon, PT\"\n{middlebox}"));
    let session = folder.home(&claims, &[]);
    assert_eq!(session["verdict"], "undecided");
    assert!(not_testable(&session).contains("ends at the middlebox \"sase-sea\""));
    assert_eq!(session["tests"][2]["reason"], session["tests"][0]["reason"], "nor is anything else in front of it looked for");
    let told = keywitness(["claims", "check", &folder.file("claims", &claims)]).stdout;
    assert!(told.contains("middlebox sase-sea at Seattle"), "{told}");
}

#[test]
fn the_kind_of_access_moves_the_bound() {
    let folder = Folder::new();
    let bound = |access: &str| {
        let session = folder.home(&home_claim(&format!("[[claim.place]]\nplace = \"Boise, US\"\naccess = \"{access}\"\n")), &[]);
        let reason = session["tests"][1]["reason"].as_str().unwrap().to_owned();
        let (_, bound) = reason.split_once("up to ").unwrap();
        bound.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let bounds = ["fiber", "cable", "dsl", "mobile", "leo", "geo"].map(bound);
    assert!(bounds.is_sorted() && bounds[5] > bounds[0] + 600.0, "{bounds:?}");
    assert!((bound("unknown") - bounds[1]).abs() < 1e-9);
}

const CSV: &str =
    "client,identity,place,access\n203.0.113.8/30,jdoe,\"Boise, US\",cable\n203.0.113.16/30,asmith,\"Denver, US\",\n";

#[test]
fn csv_says_the_same_as_toml() {
    let folder = Folder::new();
    let toml = home_claim("[[claim.place]]\nplace = \"Boise, US\"\naccess = \"cable\"\n");
    let (mut a, mut b) = (folder.home(&toml, &[]), folder.home(CSV, &["--sensor", "Seattle, US"]));
    for session in [&mut a, &mut b] {
        session["claim"]["claims_sha256"] = Value::Null;
        session["claim"]["source"] = Value::Null;
    }
    assert_eq!((&a["verdict"], &a), (&"consistent".into(), &b));
    let point = folder.home(CSV, &["--sensor", "-33.87, 151.21"]);
    assert_eq!(point["verdict"], "implausible", "the sensor is in Sydney now");
}

#[test]
fn csv_without_a_sensor_decides_nothing_and_says_so() {
    let folder = Folder::new();
    let session = folder.home(CSV, &[]);
    assert_eq!(session["verdict"], "undecided");
    assert!(not_testable(&session).contains("where the sensor stands"));
    let told = keywitness(["claims", "check", &folder.file("claims.csv", CSV)]);
    assert!(told.status == 0 && told.stdout.contains("see --sensor"), "{}", told.stdout);
}

#[test]
fn csv_is_known_by_its_name_too_and_its_mistakes_by_their_lines() {
    let folder = Folder::new();
    for (name, content, part) in [
        ("claims.csv", "who,where\n", "line 1: header: has columns that are not known: \"who\", \"where\""),
        ("claims.txt", "identity,via\n", "line 1: header: has columns that are not known: \"via\""),
        ("claims.txt", "identity,place,client\na,\"Boise, US\",10.0.0.1\nb,\"Portland, US\",10.0.0.2\n", "line 3: place: "),
    ] {
        let path = folder.file(name, content);
        let run = keywitness(["claims", "check", &path]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""));
        assert!(run.stderr.starts_with(&format!("{path}: {part}")), "{}", run.stderr);
    }
}

#[test]
fn a_sensor_that_is_nowhere_and_options_without_claims_are_mistakes() {
    let folder = Folder::new();
    let claims = folder.file("claims.csv", CSV);
    let run = keywitness(["claims", "check", &claims, "--sensor", "Portland, US"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.starts_with("--sensor: ") && run.stderr.contains("Oregon"), "{}", run.stderr);
    for options in [["--leases", &claims], ["--sensor", "Seattle, US"]] {
        let run = keywitness(["analyze", "pcaps/ssh-home.pcap"].into_iter().chain(options));
        assert_eq!((run.status, run.stderr.as_str()), (2, "--leases and --sensor go with --claims\n"));
    }
}

const POOL: &str = "[sensor]
place = \"Seattle, US\"
[[claim]]
identity = \"jdoe\"
[[claim.place]]
place = \"Boise, US\"
[[claim]]
identity = \"pool\"
[[claim.match]]
client = [\"203.0.113.0/24\"]
[[claim.place]]
place = \"Lisbon, PT\"
";

#[test]
fn leases_lead_to_claims_at_the_start_of_a_session() {
    let folder = Folder::new();
    for (name, content) in [
        (
            "csv",
            "time,ip,identity,end\n2026-11-22T15:00:00Z,203.0.113.9,jdoe,2026-11-22T15:18:06Z\n2026-11-22T15:18:06Z,203.0.113.9,rlee,\n",
        ),
        (
            "zeek",
            "{\"ts\":1795359600.5,\"assigned_addr\":\"203.0.113.9\",\"host_name\":\"jdoe\",\"lease_time\":3600.0,\"msg_types\":[\"ACK\"]}\n",
        ),
        (
            "radius",
            "Sun Nov 22 15:00:00 2026\n\tAcct-Status-Type = Start\n\tUser-Name = \"jdoe\"\n\tFramed-IP-Address = 203.0.113.9\n\tTimestamp = 1795359600\n",
        ),
    ] {
        let session = folder.home(POOL, &["--leases", &folder.file(name, content)]);
        let (claim, line) = (&session["claim"], if name == "csv" { 2 } else { 1 });
        assert_eq!((&claim["identity"], &claim["source"]), (&"jdoe".into(), &format!("leases line {line}").into()));
        assert_eq!(session["verdict"], "consistent", "{name}");
    }
}

#[test]
fn without_a_lease_the_matches_lead_and_a_stranger_has_no_claim() {
    let folder = Folder::new();
    let lease = |time: &str, identity: &str| folder.file("leases", &format!("time,ip,identity\n{time},203.0.113.9,{identity}\n"));
    let later = folder.home(POOL, &["--leases", &lease("2026-11-22T15:18:06Z", "jdoe")]);
    assert_eq!((&later["claim"]["identity"], &later["verdict"]), (&"pool".into(), &"implausible".into()));
    let stranger = folder.home(POOL, &["--leases", &lease("2026-11-22T15:00:00Z", "stranger")]);
    assert_eq!((&stranger["claim"], &stranger["verdict"]), (&Value::Null, &"no_claim".into()));
    assert!(not_testable(&stranger).contains("leases line 2"));
    let no_leases = analyze(&folder.file("claims", POOL), &[]);
    assert!(no_leases.status == 2 && no_leases.stderr.contains("line 3: claim.match: "), "{}", no_leases.stderr);
}

#[test]
fn mistakes_in_leases_are_told_where_they_are() {
    let folder = Folder::new();
    let claims = folder.file("claims", POOL);
    let rows = "soon,203.0.113.9,jdoe\n".repeat(60);
    let leases = folder.file("leases.csv", &format!("time,ip,identity\n{rows}"));
    let run = analyze(&claims, &["--leases", &leases]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.starts_with(&format!("{leases}: line 2: time: ")), "{}", run.stderr);
    assert!(run.stderr.ends_with(&format!("{leases}: 10 more mistakes\n")), "{}", run.stderr);
    let gone = analyze(&claims, &["--leases", "no-such-file"]);
    assert!(gone.status == 2 && gone.stderr.starts_with("no-such-file: "), "{}", gone.stderr);
}

#[test]
fn a_dry_run_tells_what_leads_to_which_claim() {
    let folder = Folder::new();
    let leases = folder.file("leases", "time,ip,identity\n1795359600,203.0.113.9,jdoe\n1795359600,203.0.113.17,evil\x1b\n");
    let claims =
        folder.file("claims", &format!("{POOL}[[claim]]\nidentity = \"idle\"\n[[claim.place]]\nplace = \"Boise, US\"\n"));
    let args =
        ["claims", "check", &claims, "pcaps/ssh-home.pcap", "pcaps/ssh-far.pcap", "pcaps/ssh-rtt110.pcap", "--leases", &leases];
    let run = keywitness(args);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    for line in [
        "START (UTC)          CLIENT              SERVER        IDENTITY  BY",
        "2026-11-22 15:18:05  203.0.113.9:38148   198.51.100.2  jdoe      leases line 2",
        "2026-11-22 15:18:45  203.0.113.17:41346  198.51.100.2  -         leases line 3, but \"evil\\u{1b}\" has no claim",
        "2026-11-22 15:19:34  203.0.113.25:43294  198.51.100.2  pool      claims line 9",
        "3 sessions; none leads to these claims:",
        "  line 13   idle",
        "  2 leases",
        "  warning: 1 identities of the leases have no claim: evil\\u{1b}",
    ] {
        assert!(run.stdout.lines().any(|told| told == line), "{line}\n{}", run.stdout);
    }
    let cut = keywitness(["claims", "check", "pcaps/claims.toml", "pcaps/ssh-home.pcap", "no-such-file"]);
    assert_eq!(cut.status, 3);
    assert!(cut.stdout.contains("jdoe      claims line 10") && cut.stderr.contains("no-such-file"), "{}", cut.stdout);
}

#[test]
fn a_place_that_may_be_meant_otherwise_is_a_warning() {
    let folder = Folder::new();
    let claims = home_claim("[[claim.place]]\nplace = \"Richmond, CA\"\n");
    let run = keywitness(["claims", "check", &folder.file("claims", &claims)]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let warning = "  warning: line 8: claim.place.place: \"Richmond, CA\" is read as Richmond, British Columbia, CA;";
    assert!(run.stdout.contains(warning), "{}", run.stdout);
}
