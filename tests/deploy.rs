//! What is shipped in `deploy` besides the program: each file is read by what it is made for, where that can be had, and names nothing that
//! the program does not have.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "tests")]

#[path = "collectors/certificates.rs"]
mod certificates;
#[expect(dead_code, reason = "runs of other tests need more")]
mod program;
#[expect(dead_code, reason = "collectors are stopped and killed elsewhere")]
#[path = "collectors/receiver.rs"]
mod receiver;

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use keywitness::{
    cli::Command as Subcommand,
    config::command_line,
    output::{
        alert::{Alert, Header, Payload, Style},
        metrics,
    },
    run::counters::Counters,
};
use program::{captures, keywitness, of, repository};
use receiver::{Receiver, free_port, wait_until};
use serde_json::{Value, json};

fn read(name: &str) -> String {
    fs::read_to_string(repository().join("deploy").join(name)).unwrap()
}

/// Alerts of each finding that there is one of, as the program raises them.
fn alerts() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let far = folder.path().join("claims.toml");
    let text = "[sensor]\nname = \"tap\"\nplace = \"Seattle, US\"\n[[claim]]\nidentity = \"jdoe\"\n[[claim.match]]\nclient = \
                [\"203.0.113.0/24\"]\n[[claim.place]]\nplace = \"Sydney, AU\"\n";
    fs::write(&far, text).unwrap();
    let paths: Vec<String> = captures().iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let raised = |claims: &str, paths: &[String]| {
        let args = ["analyze", "--format", "ndjson", "--claims", claims];
        let records = keywitness(args.into_iter().chain(paths.iter().map(String::as_str))).records();
        of(&records, "alert").into_iter().cloned().collect::<Vec<_>>()
    };
    let alerts =
        [raised("pcaps/claims.toml", &paths), raised(far.to_str().unwrap(), &["pcaps/ssh-home.pcap".to_owned()])].concat();
    let findings: BTreeSet<_> = alerts.iter().map(|alert| alert["finding"]["id"].as_str().unwrap()).collect();
    assert!(findings.is_superset(&BTreeSet::from(["rtt_below_claim", "rtt_above_claim", "relay_before_client"])), "{findings:?}");
    alerts
}

fn written(alert: &Value, payload: Payload) -> String {
    Alert::parse(alert.to_string().as_bytes()).unwrap().write(Style { payload, header: Header::Rfc5424, ..Style::default() })
}

/// An alert as Elastic gets it.
fn ecs(alert: &Value) -> Value {
    let message = written(alert, Payload::Ecs);
    serde_json::from_str(&message[message.find('{').unwrap()..]).unwrap()
}

/// Runs a program over lines; nothing, with a word, where it is not there.
fn run(program: &str, args: &[&str], lines: &str) -> Option<(Option<i32>, String)> {
    let child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        println!("skipped: {program} is not installed");
        return None;
    };
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.code(), String::from_utf8(said).unwrap()))
}

fn python() -> String {
    env::var("KEYWITNESS_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

fn script(name: &str) -> String {
    repository().join("tests/deploy").join(name).to_str().unwrap().to_owned()
}

/// Reads a file of options as `live` does.
fn options(text: &str) -> keywitness::cli::LiveArgs {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keywitness.toml");
    fs::write(&file, text).unwrap();
    let typed = ["keywitness", "live", "--config", file.to_str().unwrap()].map(Into::into).to_vec();
    match command_line(typed).unwrap().command {
        Subcommand::Live(args) => args,
        _ => panic!("another command"),
    }
}

#[test]
fn the_default_configuration_is_accepted_and_so_is_every_option_in_it() {
    let text = read("keywitness.toml");
    let is_option = |line: &&str| line.starts_with('#') && line[1..].starts_with(|c: char| c.is_ascii_lowercase());
    let interface = text.lines().find(|line| line.starts_with("#interface = ")).unwrap();
    let told = options(&text.replace(interface, &interface[1..]));
    assert_eq!((told.interfaces, told.learn, told.alerts.alert_to.len()), (vec!["eth1".to_owned()], true, 0));
    assert_eq!(told.output.as_deref(), Some(Path::new("/var/log/keywitness/records.ndjson")));

    let all: String = text.lines().map(|line| format!("{}\n", if is_option(&line) { &line[1..] } else { line })).collect();
    assert!(text.lines().filter(is_option).count() > 20);
    let told = options(&all);
    assert_eq!((told.alerts.alert_to.len(), told.capture.hold_back, told.workers), (2, 50, 1));
    // It can fail.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keywitness.toml");
    fs::write(&file, all.replace("spool-size", "spool-sice")).unwrap();
    let run = keywitness(["live", "--config", file.to_str().unwrap()]);
    assert!(run.status == 2 && run.stderr.contains("spool-sice: keywitness live has no option"), "{}", run.stderr);
}

#[test]
fn the_example_of_claims_is_fine() {
    let run = keywitness(["claims", "check", "deploy/claims.toml.example"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

/// The unit starts the program with options that it has, and systemd finds nothing wrong with what it is not asked to run.
#[test]
fn the_unit_is_as_tight_as_the_notes_say() {
    let unit = read("keywitness.service");
    assert!(unit.contains("\nExecStart=/usr/bin/keywitness live --config /etc/keywitness/keywitness.toml $KEYWITNESS_OPTIONS\n"));
    for (name, line) in [("sysusers", "u keywitness "), ("tmpfiles", "d /var/lib/keywitness 0700 keywitness keywitness")] {
        assert!(read(&format!("keywitness.{name}")).contains(line), "{name}");
    }
    let file = repository().join("deploy/keywitness.service");
    let args = ["security", "--offline=true", "--no-pager", "--threshold=25", file.to_str().unwrap()];
    let Some((status, said)) = run("systemd-analyze", &args, "") else { return };
    assert_eq!(status, Some(0), "{said}");
}

/// Names of metrics in a text, without the endings of a histogram's parts.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("keywitness_") || word.starts_with("process_"));
    words.map(|word| word.trim_end_matches("_bucket").to_owned()).collect()
}

/// Those of the program.
fn own_metrics() -> BTreeSet<String> {
    let counters = Counters::new([("eth0".to_owned(), std::sync::Arc::default())], 1);
    counters.claims_read(Some("ab"));
    counters.claims_failed();
    let destinations = vec![metrics::Destination::default()];
    let delivery = metrics::Delivery { lost: vec![("age", 0)], destinations, ..metrics::Delivery::default() };
    let snapshot =
        metrics::Snapshot { delivery: Some(delivery), process: Some(metrics::Process::default()), ..counters.snapshot() };
    let mut page = String::new();
    metrics::write(&snapshot, &mut page);
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect()
}

fn assert_known(text: &str, name: &str) {
    let (known, named) = (own_metrics(), metrics_in(text));
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(named.len() > 5 && unknown.is_empty(), "{name}: {unknown:?}");
}

#[test]
fn the_alert_rules_fire_when_they_should_and_name_metrics_that_there_are() {
    assert_known(&read("prometheus/alerts.yml"), "alerts.yml");
    let folder = repository().join("deploy/prometheus");
    for (what, file) in [("check", "alerts.yml"), ("test", "alerts.test.yml")] {
        let Some((status, said)) = run("promtool", &[what, "rules", folder.join(file).to_str().unwrap()], "") else { return };
        assert_eq!(status, Some(0), "{said}");
    }
}

/// What the dashboard asks for; as rules, for promtool to read.
#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let asked: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert_known(&asked.join("\n"), "dashboard.json");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let rule =
        |(number, expr): (usize, &&str)| json!({"record": format!("panel:{number}"), "expr": expr.replace("$instance", "s")});
    let rules: Vec<_> = asked.iter().enumerate().map(rule).collect();
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    fs::write(file.path(), json!({"groups": [{"name": "panels", "rules": rules}]}).to_string()).unwrap();
    let Some((status, said)) = run("promtool", &["check", "rules", file.path().to_str().unwrap()], "") else { return };
    assert_eq!(status, Some(0), "{said}");
}

/// Each value of an alert has a mapping of its kind; the index knows no others.
#[test]
fn the_index_template_has_every_field_of_an_alert() {
    fn assert_mapped(value: &Value, mapping: &Value, path: &str) {
        match value {
            Value::Object(fields) => {
                fields
                    .iter()
                    .for_each(|(name, field)| assert_mapped(field, &mapping["properties"][name], &format!("{path}.{name}")));
            }
            Value::Array(values) => values.iter().for_each(|value| assert_mapped(value, mapping, path)),
            Value::Null => assert!(mapping["type"].is_string(), "{path}"),
            _ => {
                let kind = mapping["type"].as_str().unwrap_or_else(|| panic!("{path} has no mapping"));
                let fits = match kind {
                    "long" => value.is_u64(),
                    "double" => value.is_number(),
                    "date_nanos" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
                    "ip" => value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
                    "keyword" => value.as_str().is_some_and(|text| text.len() < 256),
                    "match_only_text" => value.is_string(),
                    _ => false,
                };
                assert!(fits, "{path}: {value} is no {kind}");
            }
        }
    }
    let template: Value = serde_json::from_str(&read("elastic/index-template.json")).unwrap();
    let mappings = &template["template"]["mappings"];
    alerts().iter().for_each(|alert| assert_mapped(&ecs(alert), mappings, ""));
    let pipeline: Value = serde_json::from_str(&read("elastic/ingest-pipeline.json")).unwrap();
    let kinds: Vec<_> = pipeline["processors"].as_array().unwrap().iter().map(|one| one.as_object().unwrap().len()).collect();
    assert!(kinds.iter().all(|kinds| *kinds == 1), "one kind each");
    assert_eq!(
        pipeline["processors"][3]["set"],
        json!({"description": "alert_id and revision: a second delivery writes the same document again", "field": "_id", "copy_from": "event.id"})
    );
}

/// Each rule fires on an alert of ours, and names fields that alerts have. Skipped without pySigma (`pip install pysigma`).
#[test]
fn the_sigma_rules_are_read_by_pysigma_and_fire() {
    let lines: String = alerts().iter().map(|alert| format!("{}\n", ecs(alert))).collect();
    let folder = repository().join("deploy/sigma");
    let Some(ran) = run(&python(), &[&script("sigma_rules.py"), folder.to_str().unwrap()], &lines) else { return };
    match ran {
        (Some(77), said) => println!("skipped: {said}"),
        (status, said) => assert_eq!(status, Some(0), "{said}"),
    }
}

/// Vector's own check is not to be had: that it is YAML, and that each part reads from one that there is.
#[test]
fn the_parts_of_vectors_configuration_lead_to_each_other() {
    let code = "import json,sys\ntry:\n import yaml\nexcept ImportError as e: print(e); sys.exit(77)\nprint(json.dumps(yaml.safe_load(sys.stdin)))";
    let Some((status, said)) = run(&python(), &["-c", code], &read("receivers/vector.yaml")) else { return };
    if status == Some(77) {
        println!("skipped: {said}");
        return;
    }
    let parts: Value = serde_json::from_str(&said).unwrap();
    let named = |kind: &str| parts[kind].as_object().unwrap().clone();
    let known: BTreeSet<String> = named("sources").into_iter().chain(named("transforms")).map(|(name, _)| name).collect();
    let readers = named("transforms").into_iter().chain(named("sinks"));
    for (name, part) in readers {
        for input in part["inputs"].as_array().unwrap() {
            let input = input.as_str().unwrap().trim_end_matches(".dropped");
            assert!(known.contains(input) && input != name, "{name} reads from {input}");
        }
    }
}

/// What Splunk's expressions find, by Python.
#[test]
fn the_expressions_for_splunk_find_what_was_sent() {
    let mut alert = alerts().swap_remove(0);
    alert["identity"] = json!("a \"q\" \\ ]b=c|d");
    let messages = [("keywitness:alert", Payload::Structured), ("keywitness:cef", Payload::Cef)]
        .map(|(sourcetype, payload)| format!("{}\n", json!({"sourcetype": sourcetype, "text": written(&alert, payload)})));
    let folder = repository().join("deploy/splunk");
    let Some((status, said)) = run(&python(), &[&script("splunk.py"), folder.to_str().unwrap()], &messages.concat()) else {
        return;
    };
    assert_eq!(status, Some(0), "{said}");
    let found: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (text, cef) = (&found[0], &found[1]);
    let finding = &alert["finding"]["id"];
    assert_eq!((&text["alert_id"], &text["signature"], &text["src"]), (&alert["alert_id"], finding, &alert["client"]["ip"]));
    assert_eq!((&text["finding_id"], &text["explanation"]), (finding, &alert["message"]));
    assert_eq!(
        text["limits"].as_str().unwrap(),
        alert["limits"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    );
    assert_eq!(text["identity"], r#"a \"q\" \\ \]b=c|d"#, "Splunk takes escapes as they are");
    let key = format!("{}-{}", alert["alert_id"].as_str().unwrap(), alert["revision"]);
    assert_eq!((&cef["signature"], cef["delivery_key"].as_str()), (finding, Some(key.as_str())));
    assert_eq!((&cef["src"], cef["suser"].as_str()), (&alert["client"]["ip"], Some(r#"a "q" \\ ]b\=c|d"#)));
}

/// Sends the alerts of a capture; what the program said.
fn send(folder: &Path, destinations: &[String]) -> Vec<Value> {
    let spool = folder.join("spool");
    let mut args =
        vec!["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml", "pcaps/ssh-far.pcap", "pcaps/ssh-rtt110.pcap"];
    args.extend(["--spool", spool.to_str().unwrap()]);
    destinations.iter().for_each(|destination| args.extend(["--alert-to", destination.as_str()]));
    let run = keywitness(args);
    assert_eq!(run.status, 0, "{}", run.stderr);
    of(&run.records(), "alert").into_iter().cloned().collect()
}

/// A configuration as it is shipped, with other paths and ports.
fn here(name: &str, folder: &Path, ports: &[(&str, u16)], paths: &[&str]) -> String {
    let mut text = read(name);
    for (old, port) in ports {
        assert!(text.contains(old), "{name}: {old}");
        text = text.replace(
            old,
            &old.replace(|c: char| c.is_ascii_digit(), "")
                .replace("()", &format!("({port})"))
                .replace("\"\"", &format!("\"{port}\"")),
        );
    }
    for path in paths {
        assert!(text.contains(path), "{name}: {path}");
        text = text.replace(path, &format!("{}/", folder.display()));
    }
    text
}

/// Lines of a file as JSON, once there are so many.
fn wait_for_lines(path: &Path, count: usize) -> Vec<Value> {
    let lines = || fs::read_to_string(path).unwrap_or_default();
    wait_until(&format!("{count} lines in {}", path.display()), || lines().lines().count() >= count);
    lines().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn rsyslog_keeps_alerts_with_the_configuration_that_is_shipped() {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path());
    let [relp, tls] = [free_port(), free_port()];
    let ports = [("port=\"2514\"", relp), ("port=\"6514\"", tls)];
    let text = here("receivers/rsyslog.conf", folder.path(), &ports, &["/etc/rsyslog.d/keywitness/", "/var/log/"]);
    let Some(mut rsyslog) = Receiver::rsyslog_as(folder.path(), &text, relp) else { return };
    rsyslog.start();
    let path = folder.path().display();
    let destinations = [
        format!("relp://127.0.0.1:{relp}?format=cee&resend=1s"),
        format!("tls://127.0.0.1:{tls}?ca={path}/ca.pem&cert={path}/client.pem&key={path}/client.key&format=cee&resend=1s"),
    ];
    let alerts = send(folder.path(), &destinations);
    assert_eq!(alerts.len(), 2);
    let kept = wait_for_lines(&folder.path().join("keywitness-alerts.ndjson"), 4);
    rsyslog.stop();
    for alert in &alerts {
        let same = kept.iter().filter(|kept| **kept == ecs(alert)).count();
        assert_eq!(same, 2, "by each way, as it was sent: {kept:?}");
    }
    let other = fs::read_to_string(folder.path().join("keywitness-other.log")).unwrap_or_default();
    assert_eq!(other, "");
}

#[test]
fn syslog_ng_keeps_alerts_with_the_configuration_that_is_shipped() {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path());
    let port = free_port();
    let paths = ["/etc/syslog-ng/keywitness/", "/var/log/"];
    let text = here("receivers/syslog-ng.conf", folder.path(), &[("port(6514)", port)], &paths);
    let Some(mut receiver) = Receiver::syslog_ng_as(folder.path(), &text, port) else { return };
    receiver.start();
    let path = folder.path().display();
    let tls = format!("tls://127.0.0.1:{port}?ca={path}/ca.pem&cert={path}/client.pem&key={path}/client.key&resend=1s");
    let alerts = send(folder.path(), &[tls]);
    let kept = wait_for_lines(&folder.path().join("keywitness-alerts.ndjson"), alerts.len());
    receiver.stop();
    for (alert, kept) in alerts.iter().zip(&kept) {
        let of_both = ["alert_id", "identity"].map(|name| (&alert[name], &kept[name]));
        assert!(of_both.iter().all(|(one, other)| one == other) && kept["message"] == alert["message"], "{kept}");
        assert!(kept["limits"].as_str().unwrap().contains("must not be the only reason"), "{kept}");
    }
}
