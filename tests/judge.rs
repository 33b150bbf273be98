//! `keywitness judge` as its users see it: one question on the command line, many on standard input.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "there are no times in answers")]
mod program;

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
    thread,
};

use program::{Run, captures, command, keywitness, of};
use serde_json::{Value, json};

/// Answers to lines on standard input, which may be any bytes.
fn answers(input: impl Into<Vec<u8>>) -> Vec<Value> {
    let mut child = command(["judge", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.into());
    let feeder = thread::spawn(move || stdin.write_all(&input).unwrap());
    let run = Run::from(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    if run.stdout.is_empty() { Vec::new() } else { run.records() }
}

fn answer(question: &Value) -> Value {
    let answers = answers(format!("{question}\n"));
    assert_eq!(answers.len(), 1);
    answers[0].clone()
}

/// A question about Boise, seen from Seattle.
fn boise(rtt_ms: f64) -> Value {
    json!({"sensor": {"place": "Seattle, US"}, "claim": {"place": "Boise, US"}, "rtt_ms": rtt_ms, "access": "cable", "samples": 100})
}

fn error_of(line: impl Into<Vec<u8>>) -> String {
    let answers = answers(line);
    assert_eq!(answers.len(), 1, "{answers:?}");
    let fields = answers[0].as_object().unwrap();
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["error"]);
    fields["error"].as_str().unwrap().to_owned()
}

#[test]
fn the_verdict_follows_the_round_trip() {
    for (rtt_ms, verdict, finding) in [
        (2.0, "implausible", Some(("rtt_below_claim", "physics", "high"))),
        (4.5, "implausible", Some(("rtt_below_claim", "model", "medium"))),
        (30.0, "consistent", None),
        (102.0, "undecided", Some(("rtt_above_claim", "model", "low"))),
        (166.2, "implausible", Some(("rtt_above_claim", "model", "medium"))),
    ] {
        let answer = answer(&boise(rtt_ms));
        assert_eq!(answer["verdict"], verdict, "{rtt_ms}: {answer}");
        let findings = answer["findings"].as_array().unwrap();
        let found = findings.first().map(|f| ["id", "basis", "severity"].map(|field| f[field].as_str().unwrap()));
        assert_eq!(found.map(|[id, basis, severity]| (id, basis, severity)), finding, "{rtt_ms}");
        assert_eq!(answer["tests"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn the_numbers_are_those_of_the_model() {
    let answer = answer(&boise(166.2));
    let near = |path: &str, value: f64, error: f64| {
        let found = answer.pointer(path).unwrap().as_f64().unwrap();
        assert!((found - value).abs() <= error, "{path}: {found}, not {value}");
    };
    near("/distance_km", 651.7, 2.0);
    near("/expected_ms/vacuum", (651.7 - 50.0) / 149.896, 0.02);
    near("/expected_ms/fibre", (651.7 - 50.0) / 99.931, 0.03);
    near("/expected_ms/typical", 651.7 / 50.0 + 5.0 + 14.0, 0.1);
    near("/expected_ms/upper", (651.7 + 50.0) / 67.0 + 55.0 + 35.0, 0.1);
    near("/reach_km/farthest", 166.2 * 99.931, 1.0);
    assert_eq!(answer["findings"][0]["expected"], answer["expected_ms"]["upper"]);
    let anywhere = answers(format!("{}\n", boise(5000.0)));
    assert_eq!(anywhere[0]["reach_km"]["farthest"], 20015.1, "half of a great circle, and no more");
}

#[test]
fn it_says_what_the_analysis_of_a_capture_says() {
    let files: Vec<String> = captures().into_iter().map(|name| format!("pcaps/{name}.pcap")).collect();
    let args = ["analyze", "--format", "ndjson", "--claims", "pcaps/claims.toml"];
    let records = keywitness(args.into_iter().chain(files.iter().map(String::as_str))).records();
    let mut compared = 0;
    for session in of(&records, "session") {
        let (place, access) = match session["claim"]["identity"].as_str().unwrap_or_default() {
            "jdoe" | "rlee" => ("Boise, US", "cable"),
            "asmith" => ("Denver, US", "fiber"),
            _ => continue,
        };
        let rtt = &session["rtt"]["client"];
        let answer = answer(&json!({
            "sensor": {"place": "Seattle, US"}, "claim": {"place": place}, "access": access,
            "rtt_ms": rtt["floor_ms"], "samples": rtt["samples"],
        }));
        let without_method = |value: &Value| value.to_string().replace("(given, ", "(p2, ");
        // What stands in front of a client shows in its packets alone.
        let of_the_place = Value::from(session["tests"].as_array().unwrap()[..2].to_vec());
        for (field, analysed) in [("verdict", &session["verdict"]), ("tests", &of_the_place), ("findings", &session["findings"])]
        {
            assert_eq!(without_method(&answer[field]), analysed.to_string(), "{field}");
        }
        assert_eq!(answer["distance_km"], session["claim"]["distance_km"]);
        compared += 1;
    }
    assert!(compared >= 3, "{compared}");
}

#[test]
fn places_are_names_or_coordinates_and_as_exact_as_they_say() {
    let ask = |sensor: Value, claim: Value| answer(&json!({"sensor": sensor, "claim": claim, "rtt_ms": 30}));
    let (seattle, boise) = (json!({"place": "Seattle, US"}), json!({"place": "Boise, US"}));
    let named = ask(seattle.clone(), boise.clone());
    let points = ask(json!({"lat": 47.61, "lon": -122.33}), json!({"lat": 43.61, "lon": -116.20}));
    let kilometres = |answer: &Value| answer["distance_km"].as_f64().unwrap();
    assert!((kilometres(&named) - kilometres(&points)).abs() < 2.0);
    let upper = |answer: &Value| answer["expected_ms"]["upper"].as_f64().unwrap();
    let wide = ask(seattle, json!({"place": "Boise, US", "radius_km": 184}));
    let vague_sensor = ask(json!({"place": "Seattle, US", "radius_km": 134}), boise);
    for answer in [&wide, &vague_sensor] {
        assert!((upper(answer) - upper(&named) - 2.0).abs() < 1e-3, "134 km more are 2 ms more");
    }
}

#[test]
fn without_samples_a_round_trip_counts_as_ten() {
    let mut question = boise(166.2);
    question.as_object_mut().unwrap().remove("samples");
    let unsaid = answer(&question);
    assert_eq!((&unsaid["verdict"], &unsaid["tests"][0]["samples"]), (&json!("implausible"), &json!(10)));
    question["samples"] = json!(9);
    let few = answer(&question);
    assert_eq!((&few["verdict"], &few["tests"][0]["outcome"]), (&json!("undecided"), &json!("not_testable")));
    assert!(few["tests"][0]["reason"].as_str().unwrap().contains("10 needed"));
}

#[test]
fn every_line_has_its_answer_in_its_place() {
    let good = boise(30.0).to_string();
    let long = format!("{{\"sensor\":\"{}\"", "x".repeat(200_000));
    let input = [&good, "", "nonsense", &good, &long, "\u{feff}", &good].join("\n");
    for input in [input.clone(), format!("{input}\n"), input.replace('\n', "\r\n")] {
        let kinds: Vec<bool> = answers(input).iter().map(|answer| answer.get("error").is_none()).collect();
        assert_eq!(kinds, [true, false, false, true, false, false, true]);
    }
    assert!(answers("").is_empty());
    assert!(error_of(long).contains("longer than 65536 bytes"));
}

#[test]
fn what_cannot_be_read_says_why() {
    let changed = |field: &str, value: Value| {
        let mut question = boise(30.0);
        question[field] = value;
        error_of(question.to_string())
    };
    let raw = |rtt: &str| error_of(boise(30.0).to_string().replace("30.0", rtt));
    for (error, part) in [
        (changed("rtt_ms", json!(-1)), "rtt_ms: -1 is not above 0 and at most 60000 ms"),
        (changed("rtt_ms", json!(0)), "rtt_ms: 0 is not above 0"),
        (changed("rtt_ms", json!(60_001)), "rtt_ms: 60001 is not"),
        (changed("rtt_ms", json!(null)), "invalid type: null"),
        (changed("rtt_ms", json!("30")), "invalid type: string"),
        (raw("1e999"), "number out of range"),
        (raw("NaN"), "expected value at column"),
        (raw("-0.0"), "rtt_ms: -0 is not above 0"),
        (changed("access", json!("pigeon")), "access: \"pigeon\" is none of fiber, cable"),
        (changed("samples", json!(-1)), "invalid value"),
        (changed("acess", json!("mobile")), "unknown field `acess`"),
        (changed("claim", json!("Boise, US")), "expected an object with `place`, or `lat` and `lon`"),
        (error_of("null"), "expected an object with `sensor`, `claim` and `rtt_ms`"),
        (changed("claim", json!({"place": "Boize, US"})), "claim: no place \"Boize, US\"; did you mean \"Boise, Idaho, US\""),
        (changed("claim", json!({"place": "Portland, US"})), "claim: \"Portland, US\" is ambiguous: Portland, Oregon, US"),
        (changed("claim", json!({"place": ""})), "claim: not a place"),
        (changed("claim", json!({})), "claim: needs `place`, or `lat` and `lon`"),
        (changed("claim", json!({"lat": 1})), "claim: needs both `lat` and `lon`"),
        (changed("claim", json!({"place": "Boise, US", "lat": 1, "lon": 2})), "claim: has both"),
        (changed("claim", json!({"lat": 91, "lon": 0})), "claim: lat: 91 is not within"),
        (changed("claim", json!({"place": "Boise, US", "radius_km": -1})), "claim: radius_km: -1 is not within 0 to 20038"),
        (changed("sensor", json!({"place": "x".repeat(1000)})), "sensor: not a place"),
        (error_of("{\"sensor\":{\"place\":\"Seattle, US\"}}"), "missing field `claim`"),
        (error_of("[1,2"), "at column"),
        (error_of("[".repeat(10_000)), "at column"),
        (error_of(b"{\"sensor\":\"\xff\"}".to_vec()), "at column"),
    ] {
        assert!(error.contains(part), "{part} in {error}");
        assert!(!error.contains(" line 1"), "{error}");
    }
}

#[test]
fn what_is_quoted_is_harmless_and_short() {
    let question = |claim: &str| json!({"sensor": {"place": "Seattle, US"}, "claim": {"place": claim}, "rtt_ms": 1}).to_string();
    let error = error_of(question("B\u{202e}oize, US"));
    assert!(error.contains("\\u{202e}") && !error.contains('\u{202e}'), "{error}");
    assert!(!error_of(question("B\u{1b}[2Joise, US")).contains('\u{1b}'));
    let long = json!({"sensor": {"x".repeat(60_000): 1}}).to_string();
    assert!(error_of(long).len() < 400);
}

#[test]
fn an_answer_comes_before_the_next_question() {
    let mut child = command(["judge", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for (rtt_ms, verdict) in [(30.0, "consistent"), (166.2, "implausible"), (31.0, "consistent")] {
        writeln!(stdin, "{}", boise(rtt_ms)).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["verdict"], verdict);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn one_question_is_answered_in_words() {
    let ask = |rtt: &str| {
        let run = keywitness(["judge", "--sensor", "Seattle, US", "--claim", "Boise, US", "--access", "cable", "--rtt-ms", rtt]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 100), "{}", run.stdout);
        run.stdout
    };
    let far = ask("166.2");
    for part in ["652 km", "Seattle", "by cable access", "light in vacuum", "typical", "100.5 ms", "\nimplausible\n"] {
        assert!(far.contains(part), "{part} in {far}");
    }
    assert!(far.contains("rtt_above_claim, severity medium, basis model") && far.contains("Other explanations: "), "{far}");
    let near = ask("30");
    assert!(near.contains("\nconsistent\n") && near.contains("does not make it true"), "{near}");
}

#[test]
fn one_question_as_json_is_the_answer_of_the_line() {
    let place = ["judge", "--sensor", "47.61,-122.33", "--claim", "-33.87, 151.21", "--rtt-ms", "230.5", "--format", "ndjson"];
    let run = keywitness(place.into_iter().chain(["--access", "dsl", "--radius-km", "20", "--samples", "77"]));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let question = json!({
        "sensor": {"lat": 47.61, "lon": -122.33}, "claim": {"lat": -33.87, "lon": 151.21, "radius_km": 20},
        "rtt_ms": 230.5, "access": "dsl", "samples": 77,
    });
    assert_eq!(run.records(), [answer(&question)]);
}

#[test]
fn mistakes_of_use_end_with_2() {
    let good = [("--sensor", "Seattle, US"), ("--claim", "Boise, US"), ("--rtt-ms", "30")];
    for (flag, value, part) in [
        ("--claim", "Boize, US", "--claim: no place \"Boize, US\"; did you mean"),
        ("--sensor", "91, 0", "--sensor: lat: 91 is not within"),
        ("--rtt-ms", "-3", "--rtt-ms: -3 is not above 0"),
        ("--rtt-ms", "NaN", "--rtt-ms: NaN is not above 0"),
        ("--rtt-ms", "soon", "invalid float"),
        ("--access", "pigeon", "possible values: fiber"),
        ("--samples", "-1", "Usage"),
        ("--radius-km", "-1", "--claim: radius_km: -1"),
    ] {
        let others = good.iter().filter(|(other, _)| *other != flag).flat_map(|(flag, value)| [*flag, *value]);
        let run = keywitness(["judge", flag, value].into_iter().chain(others));
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{flag} {value}");
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    for args in [&["judge"][..], &["judge", "-", "--rtt-ms", "3"], &["judge", "-", "--format", "table"], &["judge", "questions"]]
    {
        let run = keywitness(args.iter().copied());
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty());
    }
}
