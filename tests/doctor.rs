//! `doctor`: what it says of interfaces that are as they should be, and of ones that are not; and that its commands mend them.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "program/network.rs"]
mod network;
#[expect(dead_code, reason = "no captures are read here")]
mod program;

use std::process::Command;

use network::{FAR, NEAR, ip, within};
use program::{Run, keywitness, repository};
use serde_json::Value;

/// The checks of an interface, or of the machine.
fn checks(run: &Run, interface: Option<&str>) -> Vec<Value> {
    run.records().into_iter().filter(|check| check["interface"].as_str() == interface).collect()
}

fn check<'a>(checks: &'a [Value], id: &str) -> &'a Value {
    checks.iter().find(|check| check["id"] == id).unwrap()
}

/// Inside of a namespace, with its `/sys`.
fn inside<'a>(namespace: &str, args: impl IntoIterator<Item = &'a str>) -> Run {
    let mut ip = Command::new("ip");
    ip.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_keywitness")]).args(args).current_dir(repository());
    Run::from(ip.output().unwrap())
}

fn ndjson(interface: &str) -> Run {
    let run = keywitness(["doctor", "--format", "ndjson", "-i", interface]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    run
}

#[test]
fn everything_is_looked_at_on_any_machine() {
    let run = ndjson("lo");
    let ids = |checks: &[Value]| checks.iter().map(|check| check["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let of_lo = checks(&run, Some("lo"));
    let interface = [
        "link",
        "mtu",
        "capture",
        "receive_offload",
        "send_offload",
        "vlan_offload",
        "ring",
        "coalescing",
        "queues",
        "timestamps",
        "drops",
    ];
    assert_eq!(ids(&of_lo), interface);
    let of_machine = checks(&run, None);
    let machine = [
        "privileges",
        "clock_source",
        "clock_sync",
        "cpu_governor",
        "virtualization",
        "backlog",
        "memory",
        "landlock",
        "seccomp",
    ];
    assert_eq!(ids(&of_machine), machine);
    assert_eq!(check(&of_lo, "mtu")["values"]["mtu_bytes"], 65_536);
    assert_eq!(check(&of_lo, "ring")["state"], "unknown", "loopback has none");
    assert!(check(&of_machine, "memory")["values"]["available_bytes"].as_u64().unwrap() > 0);
    assert!(run.records().iter().all(|check| check["state"] != "ok" || check["mend"].is_null()));
}

#[test]
fn the_list_for_people_has_the_same_checks_and_their_commands() {
    let records = ndjson("lo").records();
    let text = keywitness(["doctor", "-i", "lo"]).stdout;
    assert!(text.starts_with("lo\n") && text.contains("\n\nthis machine\n"), "{text}");
    for record in &records {
        let [state, id] = ["state", "id"].map(|field| record[field].as_str().unwrap());
        assert!(text.contains(&format!("  {state:<7}  {id:<15}  ")), "{id} {state}: {text}");
        let command = record["mend"].as_str().map(|mend| format!("  $ {mend}\n"));
        assert!(command.is_none_or(|command| text.contains(&command)), "{id}: {text}");
    }
    let last = text.lines().last().unwrap();
    assert!(last.starts_with(&format!("{} checks: ", records.len())), "{last}");
    assert!(!text.contains('\u{1b}') && keywitness(["--color=always", "doctor", "-i", "lo"]).stdout.contains("\u{1b}[32mok"));
    let wide = |line: &&str| line.chars().count() > 100 && !line.trim_start().starts_with("$ ");
    assert_eq!(text.lines().find(wide), None);
}

/// Carries the command out that a check tells.
fn mend(check: &Value) {
    let command = check["mend"].as_str().unwrap().strip_prefix("sudo ").unwrap().to_owned();
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
}

#[test]
fn what_is_wrong_is_found_and_the_command_mends_it() {
    within(|namespace| {
        let state = |id: &str| {
            let run = inside(namespace, ["doctor", "--format", "ndjson", "-i", NEAR]);
            let checks = checks(&run, Some(NEAR));
            let check = check(&checks, id).clone();
            (check["state"].as_str().unwrap().to_owned(), check)
        };
        let expect = |id: &str, expected: &str| {
            let (state, check) = state(id);
            assert_eq!(state, expected, "{check}");
            check
        };
        for id in ["link", "mtu", "capture", "receive_offload", "queues", "timestamps", "drops"] {
            expect(id, "ok");
        }
        ip(&["link", "set", NEAR, "mtu", "1280"]).unwrap();
        mend(&expect("mtu", "warn"));
        expect("mtu", "ok");
        ip(&["link", "set", FAR, "down"]).unwrap();
        assert!(expect("link", "bad")["found"].as_str().unwrap().contains("carrier"));
        ip(&["link", "set", FAR, "up"]).unwrap();
        ip(&["link", "set", NEAR, "down"]).unwrap();
        mend(&expect("link", "bad"));
        expect("link", "ok");
        let ethtool = |args: &[&str]| Command::new("ethtool").args(args).output().is_ok_and(|output| output.status.success());
        if ethtool(&["-K", NEAR, "gro", "on"]) {
            mend(&expect("receive_offload", "bad"));
            expect("receive_offload", "ok");
            mend(&expect("send_offload", "warn"));
            expect("send_offload", "ok");
        }
    });
}

#[test]
fn a_bad_check_shows_in_the_status_where_that_is_wanted() {
    within(|namespace| {
        ip(&["link", "set", NEAR, "down"]).unwrap();
        let args = ["doctor", "-i", FAR, "-i", NEAR];
        let status = |more: &[&str]| inside(namespace, args.into_iter().chain(more.iter().copied())).status;
        assert_eq!((status(&[]), status(&["--fail-on-finding"])), (0, 1));
        let program = env!("CARGO_BIN_EXE_keywitness");
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set=-net_raw", program, "doctor", "-i", NEAR, "--format", "ndjson"]);
        let run = Run::from(without.current_dir(repository()).output().unwrap());
        let permit = format!("sudo setcap cap_net_raw+ep {program}");
        assert_eq!(check(&checks(&run, None), "privileges")["mend"], permit.as_str());
        let of_near = checks(&run, Some(NEAR));
        assert_eq!(check(&of_near, "capture")["mend"], permit.as_str());
        assert_eq!(check(&of_near, "send_offload")["state"], "warn", "takes no privilege");
    });
}

/// Entered without its `/sys`, in which another interface of the same name may stand.
#[test]
fn nothing_is_said_of_another_namespace() {
    within(|_| {
        let checks = checks(&ndjson(NEAR), Some(NEAR));
        let states = ["link", "mtu", "drops", "capture"].map(|id| check(&checks, id)["state"].as_str().unwrap());
        assert_eq!(states, ["unknown", "unknown", "unknown", "ok"]);
    });
}

#[test]
fn usage() {
    let run = keywitness(["doctor", "-i", "../lo"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.starts_with("--interface: there is no \"../lo\"; there are: "), "{}", run.stderr);
    assert_eq!(keywitness(["doctor"]).status, 2);
}
