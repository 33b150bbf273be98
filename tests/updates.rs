//! Sessions that go on: reported now and then, alerted once, the same whatever moves time on; and what a sensor that lost
//! frames says of them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[expect(dead_code, reason = "not all is needed here")]
mod common;
#[expect(dead_code, reason = "not all is needed here")]
#[path = "common/pcaps.rs"]
mod pcaps;
mod program;

use common::Shot;
use keywitness::{
    correlator::Correlator,
    engine::{Engine, EngineLimits},
    event::Event,
    judge::{
        Severity,
        claim::{Claims, Reading},
    },
    time::{Span, Timestamp},
};
use program::{captures, keywitness, nanos, of, repository};
use serde_json::{Value, json};

fn analyze(more: &[&str]) -> Vec<Value> {
    let args = ["analyze", "--claims", "pcaps/claims.toml", "--format", "ndjson"];
    let run = keywitness(args.into_iter().chain(more.iter().copied()));
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.records()
}

#[test]
fn a_session_that_goes_on_is_reported_and_alerted_once() {
    let plain = analyze(&["pcaps/ssh-far.pcap"]);
    for more in [&[][..], &["--keystrokes"]] {
        let records = analyze(&[&["--report-every", "5s", "pcaps/ssh-far.pcap"], more].concat());
        let sessions = of(&records, "session");
        assert_eq!(sessions.len(), 10, "48 seconds");
        for (update, session) in (0..).zip(&sessions) {
            let is_last = update == 9;
            assert_eq!((&session["update"], session["state"] == "open"), (&json!(update), !is_last));
            let spoken = nanos(&session["end"]) - nanos(&session["start"]);
            assert!(is_last || (spoken <= 5_000_000_000 * (update + 1) && spoken > 5_000_000_000 * update), "{update}: {spoken}");
        }
        let packets = |session: &Value| session["traffic"]["client"]["packets"].as_u64();
        let keys = |session: &Value| session["keystrokes"]["count"].as_u64();
        assert!(sessions.is_sorted_by_key(|session| (packets(session), keys(session))), "values are cumulative");
        assert!(keys(sessions[4]) > keys(sessions[3]) && keys(sessions[9]) == keys(of(&plain, "session")[0]));
        let mut last = sessions[9].clone();
        last["update"] = json!(0);
        assert_eq!(&last, of(&plain, "session")[0], "reports on the way change nothing at the end");

        let (alerts, alone) = (of(&records, "alert"), of(&plain, "alert"));
        assert_eq!((alerts.len(), alone.len(), &alerts[0]["revision"]), (1, 1, &json!(0)));
        assert_eq!((&alerts[0]["alert_id"], &records.last().unwrap()["alerts"]), (&alone[0]["alert_id"], &json!(1)));
        assert!(nanos(&alerts[0]["time"]) < nanos(&last["end"]), "it did not wait for the end");
        assert_eq!(records.last().unwrap()["sessions"], 1);
    }
}

#[test]
fn a_silent_session_is_not_reported_again() {
    let reports = |every: &str| of(&analyze(&["--report-every", every, "pcaps/ssh-idle.pcap"]), "session").len();
    let seconds = reports("1s");
    assert!((4..12).contains(&seconds), "23 seconds, and next to nothing said: {seconds}");
    assert_eq!((reports("0"), reports("1h")), (1, 1));
}

#[test]
fn tables_have_one_row_a_session_all_the_same() {
    for format in ["csv", "table"] {
        let run = |every: &str| keywitness(["analyze", "--format", format, "--report-every", every, "pcaps/ssh-far.pcap"]).stdout;
        let without_time =
            |text: String| text.lines().filter(|line| !line.contains(" packets, ")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(without_time(run("1s")), without_time(run("0")));
    }
}

#[test]
fn who_learns_judges_and_raises_no_alert() {
    let records = analyze(&["--learn", "--report-every", "5s", "pcaps/ssh-far.pcap"]);
    assert_eq!((of(&records, "alert").len(), &records.last().unwrap()["alerts"]), (0, &json!(0)));
    assert_eq!(of(&records, "session").last().unwrap()["verdict"], "implausible");
}

/// Everything that is observed where a clock moves time on too, in steps of so many milliseconds; 0 for none.
fn observed(shots: &[Shot], step: i64, keystrokes: bool, report_every: i64) -> Vec<String> {
    let report_every = Some(Span::from_millis(report_every));
    let mut engine = Engine::new(EngineLimits { all_flows: true, keystrokes, report_every, ..EngineLimits::default() });
    let mut seen = Vec::new();
    let mut now = shots[0].time;
    for (number, shot) in (0..).zip(shots) {
        while step > 0 && now + Span::from_millis(step) < shot.time {
            now = now + Span::from_millis(step);
            engine.advance(now);
        }
        engine.handle_frame(&shot.frame(number));
        seen.extend(std::iter::from_fn(|| engine.poll_observation()));
    }
    engine.finish();
    seen.extend(std::iter::from_fn(|| engine.poll_observation()));
    seen.into_iter().map(|observation| format!("{:?} {:?}", observation.key.time, observation.body)).collect()
}

/// All captures several times at once, each copy between addresses of its own, and of every 12 seconds only the first 4: in the
/// pauses deadlines of all kinds fall due.
fn crowd() -> Vec<Shot> {
    let begin = 1_700_000_000_000_000_000;
    let mut shots = Vec::new();
    for (number, name) in (0..).zip(captures()) {
        let capture = pcaps::capture(&name);
        for copy in 0..8u8 {
            let later = i64::from(copy) * 613_000_000 + i64::from(number) * 171_000_000;
            shots.extend(capture.iter().cloned().map(|mut shot| {
                // The last byte of both addresses; checksums are not looked at.
                shot.bytes[29] ^= 16 * copy + number;
                shot.bytes[33] ^= 16 * copy + number;
                shot.time = Timestamp::from_nanos(begin + later) + (shot.time - capture[0].time);
                shot
            }));
        }
    }
    shots.retain(|shot| (shot.time.as_nanos() - begin) % 12_000_000_000 < 4_000_000_000);
    shots.sort_by_key(|shot| shot.time);
    // And one hours later, by when everything has ended.
    let last = shots.last().unwrap().clone();
    shots.push(Shot { time: last.time + Span::from_secs(30_000), ..last });
    shots
}

#[test]
fn it_is_all_the_same_in_which_steps_time_moves_on() {
    let shots = crowd();
    // The longer interval ends behind the time after which a silent session does.
    for (keystrokes, report_every, steps) in
        [(true, 1_500, &[7, 130, 5_000][..]), (false, 1_500, &[130]), (true, 9_000_000, &[900, 60_000])]
    {
        let jumps = observed(&shots, 0, keystrokes, report_every);
        assert!(report_every > 1_500 || jumps.iter().filter(|line| line.contains("state: Open")).count() > 20);
        for &step in steps {
            let steps = observed(&shots, step, keystrokes, report_every);
            for (jump, step) in jumps.iter().zip(&steps) {
                assert_eq!(jump, step);
            }
            assert_eq!(jumps.len(), steps.len());
        }
    }
}

/// The verdict, the alerts, the score and the drops of the accused capture, where the sensor lost frames behind every so many.
fn with_losses(lost: u64, every: usize) -> (String, usize, f64, u64) {
    with(EngineLimits::default(), every, |engine| engine.note_lost(lost))
}

/// The same of an engine with these limits, where something else happens.
fn with(limits: EngineLimits, every: usize, happens: impl Fn(&mut Engine)) -> (String, usize, f64, u64) {
    let text = std::fs::read_to_string(repository().join("pcaps/claims.toml")).unwrap();
    let claims = Claims::parse(&text, Reading { is_csv: false, has_leases: false }).unwrap();
    let mut correlator = Correlator::new(Some(claims));
    let mut engine = Engine::new(limits);
    for (number, shot) in pcaps::capture("ssh-rtt110").iter().enumerate() {
        engine.handle_frame(&shot.frame(number as u64));
        if number % every == every - 1 {
            happens(&mut engine);
        }
    }
    engine.finish();
    let mut events = Vec::new();
    std::iter::from_fn(|| engine.poll_observation()).for_each(|observation| correlator.handle(observation, &mut events));
    let alerts = events.iter().filter(|event| matches!(event, Event::Alert(_))).count();
    let session = events.iter().find_map(|event| if let Event::Session(session) = event { Some(session) } else { None }).unwrap();
    let quality = session.report.quality;
    (session.verdict().name().to_owned(), alerts, quality.score(), quality.drops)
}

#[test]
fn no_accusation_rests_on_a_span_in_which_the_sensor_lost_frames() {
    assert_eq!(with_losses(0, 10), ("implausible".to_owned(), 1, 1.0, 0));
    let (verdict, alerts, score, drops) = with_losses(1, 10);
    assert_eq!((verdict.as_str(), alerts), ("undecided", 0), "one of eleven");
    assert!(score < 0.5 && drops > 50, "{score} {drops}");
    let (verdict, alerts, score, drops) = with_losses(1, 400);
    assert_eq!((verdict.as_str(), alerts), ("implausible", 1), "a few of hundreds are told, and change no round trip's floor");
    assert!(score < 1.0 && (1..=4).contains(&drops), "{score} {drops}");
}

#[test]
fn frames_that_were_shed_are_lost_to_who_is_not_kept_and_to_nobody_else() {
    let shed = |in_flight, every| {
        let limits = EngineLimits { in_flight, ..EngineLimits::default() };
        with(limits, every, |engine| engine.note_shed(1))
    };
    // It is kept from its banners on, which came before anything was shed.
    assert_eq!(shed(Some(0), 10), ("implausible".to_owned(), 1, 1.0, 0));
    for never_kept in [None, Some(100_000)] {
        let (verdict, alerts, score, drops) = shed(never_kept, 10);
        assert_eq!((verdict.as_str(), alerts), ("undecided", 0), "{never_kept:?}");
        assert!(score < 0.5 && drops > 50, "{score} {drops}");
    }
    // What was on its way when it became known may have been its own.
    let (_, _, score, drops) = shed(Some(200), 10);
    assert!(score < 1.0 && (15..=25).contains(&drops), "{score} {drops}");
}

#[test]
fn a_finding_that_weighs_more_than_before_is_told_again() {
    let claims = |place: &str| {
        let claim = format!(
            "[[claim]]\nidentity = \"jdoe\"\nmatch = [{{ client = [\"203.0.113.9\"] }}]\nplace = [{{ place = \"{place}\" }}]\n"
        );
        let text = format!("[sensor]\nplace = \"Seattle, US\"\n{claim}");
        Claims::parse(&text, Reading { is_csv: false, has_leases: false }).unwrap()
    };
    // The round trip of 18 ms is too short for light in fibre from the first place, and for any light from the second.
    let mut correlator = Correlator::new(Some(claims("Kansas City, MO, US")));
    let mut engine = Engine::new(EngineLimits { report_every: Some(Span::from_secs(4)), ..EngineLimits::default() });
    let mut events = Vec::new();
    let shots = pcaps::capture("ssh-home");
    for (number, shot) in shots.iter().enumerate() {
        if number == shots.len() / 2 {
            assert_eq!(correlator.alerted(), 1, "it is remembered as long as the session goes on");
            correlator.replace_claims(Some(claims("Sydney, AU")));
        }
        engine.handle_frame(&shot.frame(number as u64));
        std::iter::from_fn(|| engine.poll_observation()).for_each(|observation| correlator.handle(observation, &mut events));
    }
    engine.finish();
    std::iter::from_fn(|| engine.poll_observation()).for_each(|observation| correlator.handle(observation, &mut events));
    assert_eq!(correlator.alerted(), 0);
    let alerts: Vec<_> =
        events.iter().filter_map(|event| if let Event::Alert(alert) = event { Some(alert) } else { None }).collect();
    let told: Vec<_> = alerts.iter().map(|alert| (alert.revision, alert.finding.id, alert.finding.severity)).collect();
    assert_eq!(told, [(0, "rtt_below_claim", Severity::Medium), (1, "rtt_below_claim", Severity::High)]);
    assert!(alerts[0].id == alerts[1].id && alerts[0].claim.claims_sha256 != alerts[1].claim.claims_sha256);
}
