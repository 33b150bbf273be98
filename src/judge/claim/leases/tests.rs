use super::*;
use crate::judge::claim::{Claims, Found, Reading, Subject};

fn parse(text: &str) -> Leases {
    Leases::parse(text).unwrap()
}

fn problems(text: &str) -> Vec<String> {
    Leases::parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

/// Who has an address at a second since 1970, by name and line.
fn at<'a>(leases: &'a Leases, ip: &str, seconds: i64) -> Option<(&'a str, usize)> {
    let time = Timestamp::from_nanos(seconds * 1_000_000_000);
    leases.at(ip.parse().unwrap(), time).map(|lease| (lease.names[0].as_str(), lease.line))
}

#[test]
fn a_lease_holds_from_its_time_up_to_its_end() {
    let leases = parse("time,ip,identity,end\n100,10.0.0.1,a,200\n1970-01-01T00:05:00.5Z,10.0.0.1,b,400.25\n");
    assert_eq!(
        [99, 100, 199, 200, 300, 301, 400, 401].map(|second| at(&leases, "10.0.0.1", second).map(|(name, _)| name)),
        [None, Some("a"), Some("a"), None, None, Some("b"), Some("b"), None]
    );
    assert_eq!(at(&leases, "10.0.0.2", 150), None);
}

#[test]
fn a_lease_without_end_ends_with_the_next_of_its_address_or_never() {
    let leases = parse("identity,ip,time\nb,10.0.0.1,200\na,10.0.0.1,100\nc,10.0.0.2,100\n");
    assert_eq!(at(&leases, "10.0.0.1", 199), Some(("a", 3)), "the order of rows does not count");
    assert_eq!(at(&leases, "10.0.0.1", 200), Some(("b", 2)));
    assert_eq!(at(&leases, "10.0.0.2", 1_000_000_000), Some(("c", 4)));
}

#[test]
fn of_leases_that_overlap_the_latest_holds() {
    let leases = parse(
        "time,ip,identity,end\n0,::1,long,1000\n100,::1,short,200\n150,::1,shorter,160\n150,::1,same,170\n900,::1,late,1100\n",
    );
    let expected = [
        (99, "long"),
        (100, "short"),
        (149, "short"),
        (150, "same"),
        (165, "same"),
        (170, "short"),
        (200, "long"),
        (900, "late"),
        (1050, "late"),
    ];
    for (second, name) in expected {
        assert_eq!(at(&leases, "::1", second).map(|(name, _)| name), Some(name), "{second}");
    }
    let open = parse("time,ip,identity,end\n0,::1,open,\n100,::1,short,200\n");
    assert_eq!(at(&open, "::1", 250), None, "it ended with the next");
}

#[test]
fn addresses_that_are_mapped_into_ipv6_are_those_they_map() {
    assert_eq!(at(&parse("time,ip,identity\n0,::ffff:10.0.0.1,a\n"), "10.0.0.1", 5), Some(("a", 2)));
}

#[test]
fn mistakes_in_csv_are_told_with_line_and_field() {
    let found = problems(
        "time,ip,identity,end\nnow,10.0.0.1,a,\n5,10.0.0.0/8,a,\n5,10.0.0.1,,\n5,10.0.0.1,a,5\n2026-11-20 10:00:00,::1,a,\n",
    );
    let starts = ["line 2: time: ", "line 3: ip: ", "line 4: identity: ", "line 5: end: ", "line 6: time: "];
    assert!(found.len() == 5 && found.iter().zip(starts).all(|(problem, start)| problem.starts_with(start)), "{found:#?}");
    assert!(problems("time,ip,who\n")[0].contains("\"who\""));
    assert!(problems("time,ip\n")[0].contains("lacks the column \"identity\""));
    assert!(problems("")[0].contains("is missing"));
    assert!(problems("time,ip,identity\n5,\x1b[31m,a\n")[0].contains("\"\u{fffd}[31m\""), "nothing to a terminal");
}

const DHCP: &str = "#separator \\x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	dhcp
#open	2026-11-22-15-00-00
#fields	ts	uids	client_addr	server_addr	mac	host_name	client_fqdn	domain	requested_addr	assigned_addr	lease_time	client_message	server_message	msg_types	duration
#types	time	set[string]	addr	addr	string	string	string	string	addr	addr	interval	string	string	vector[string]	interval
1000.250000	C1	-	10.0.0.254	00:1B:21:3c:9d:f8	jdoe-laptop	-	-	-	10.0.0.1	600.000000	-	-	DISCOVER,OFFER,REQUEST,ACK	0.1
1100.000000	C2	-	10.0.0.254	00:1b:21:3c:9d:f9	-	asmith.example.com	-	10.0.0.2	10.0.0.2	-	-	-	REQUEST,ACK	0.1
1150.000000	C3	-	-	00:1b:21:3c:9d:fa	nobody	-	-	10.0.0.3	10.0.0.3	600.0	-	-	DISCOVER,OFFER	0.1
1300.000000	C1	10.0.0.1	10.0.0.254	00:1b:21:3c:9d:f8	-	-	-	-	-	-	-	-	RELEASE	0.0
1400.000000	C4	-	-	00:1b:21:3c:9d:fb	-	-	-	-	10.0.0.2	60.0	-	-	ACK	0.0
#close	2026-11-22-16-00-00
";

#[test]
fn zeeks_dhcp_log_is_read() {
    let leases = parse(DHCP);
    assert_eq!(leases.all()[0].names, ["jdoe-laptop", "00:1b:21:3c:9d:f8"]);
    assert_eq!(
        [1000, 1001, 1299, 1300].map(|second| at(&leases, "10.0.0.1", second)),
        [None, Some(("jdoe-laptop", 9)), Some(("jdoe-laptop", 9)), None]
    );
    assert_eq!(at(&leases, "10.0.0.2", 1399), Some(("asmith.example.com", 10)));
    assert_eq!(at(&leases, "10.0.0.2", 1459), Some(("00:1b:21:3c:9d:fb", 13)));
    assert_eq!(at(&leases, "10.0.0.2", 1460), None);
    assert_eq!(at(&leases, "10.0.0.3", 1200), None, "an offer is no lease");
}

#[test]
fn zeeks_json_is_the_same() {
    let text = r#"{"ts":1000.25,"uids":["C1"],"mac":"00:1b:21:3c:9d:f8","host_name":"jdoe-laptop","assigned_addr":"10.0.0.1","lease_time":600.0,"msg_types":["REQUEST","ACK"]}
{"ts":"1970-01-01T00:20:00.000000Z","mac":"00:1b:21:3c:9d:f8","client_addr":"10.0.0.9","msg_types":["REQUEST","ACK"]}
"#;
    let leases = parse(text);
    assert_eq!(at(&leases, "10.0.0.1", 1599), Some(("jdoe-laptop", 1)));
    assert_eq!(at(&leases, "10.0.0.1", 1601), None);
    assert_eq!(at(&leases, "10.0.0.9", 1200), Some(("00:1b:21:3c:9d:f8", 2)));
}

#[test]
fn mistakes_in_zeeks_log_are_told_with_line_and_field() {
    assert!(problems("#separator \\x09\n1\t2\n")[0].starts_with("line 2: #fields: "));
    assert!(problems(&DHCP.replace("1100.000000", "soon"))[0].starts_with("line 10: ts: "));
    assert!(problems(&DHCP.replace("1100.000000\t", ""))[0].starts_with("line 10: row: "));
    assert!(problems("{\"ts\":1,\n")[0].starts_with("line 1: json: "));
    assert!(problems("{\"ts\":1,\"assigned_addr\":\"x\"}\n")[0].starts_with("line 1: assigned_addr: "));
}

/// A block of accounting at a second since 1970.
fn block(seconds: i64, status: &str, more: &[&str]) -> String {
    let attributes = more.iter().map(|line| format!("\t{line}\n")).collect::<String>();
    format!(
        "Sun Nov 22 15:00:00 2026\n\tAcct-Status-Type = {status}\n\tNAS-IP-Address = 192.0.2.1\n{attributes}\tTimestamp = {seconds}\n\n"
    )
}

const JDOE: [&str; 3] = ["User-Name = \"jdoe\"", "Framed-IP-Address = 10.0.0.1", "Acct-Session-Id = \"A1\""];
const ASMITH: [&str; 3] = ["User-Name = \"as\\\"mith\"", "Framed-IP-Address = 10.0.0.1", "Acct-Session-Id = \"A2\""];

#[test]
fn radius_sessions_are_leases() {
    let text = [
        block(1000, "Start", &JDOE),
        block(1100, "Interim-Update", &JDOE),
        block(1200, "Stop", &JDOE),
        block(1300, "Start", &ASMITH),
        block(1400, "Accounting-On", &[]),
    ]
    .concat();
    let leases = parse(&text);
    assert_eq!(leases.all().len(), 2);
    assert_eq!(
        [999, 1000, 1199, 1200, 1300, 1399, 1400].map(|second| at(&leases, "10.0.0.1", second)),
        [None, Some(("jdoe", 1)), Some(("jdoe", 1)), None, Some(("as\"mith", 25)), Some(("as\"mith", 25)), None]
    );
}

#[test]
fn a_radius_file_may_begin_and_end_inside_a_session() {
    let lasted = |status, seconds| block(seconds, status, &[&JDOE[..], &["Acct-Session-Time = 300"]].concat());
    assert_eq!(at(&parse(&lasted("Stop", 1000)), "10.0.0.1", 700), Some(("jdoe", 1)));
    assert_eq!(at(&parse(&lasted("Stop", 1000)), "10.0.0.1", 1000), None);
    assert_eq!(at(&parse(&lasted("Interim-Update", 1000)), "10.0.0.1", 699), None);
    assert_eq!(at(&parse(&lasted("Interim-Update", 1000)), "10.0.0.1", 5000), Some(("jdoe", 1)));
    assert_eq!(parse(&block(1000, "Stop", &JDOE)).all().len(), 0, "when it began is not known");
}

#[test]
fn an_address_that_changes_inside_a_session_is_another_lease() {
    let moved = ["User-Name = \"jdoe\"", "Framed-IP-Address = 10.0.0.2", "Acct-Session-Id = \"A1\""];
    let leases = parse(&[block(1000, "Start", &JDOE), block(1100, "Interim-Update", &moved)].concat());
    assert_eq!([at(&leases, "10.0.0.1", 1100), at(&leases, "10.0.0.2", 1099)], [None, None]);
    assert_eq!(at(&leases, "10.0.0.2", 1100), Some(("jdoe", 9)));
}

#[test]
fn the_time_of_accounting_is_when_it_happened() {
    let delayed = block(1000, "Start", &[&JDOE[..], &["Acct-Delay-Time = 30"]].concat());
    assert_eq!(at(&parse(&delayed), "10.0.0.1", 970), Some(("jdoe", 1)));
    for written in ["\"Jan  1 1970 00:16:40 UTC\"", "1000", "\"Jan 1 1970 00:16:40 GMT\""] {
        let text = block(0, "Start", &JDOE).replace("\tTimestamp = 0", &format!("\tEvent-Timestamp = {written}"));
        assert_eq!(
            [at(&parse(&text), "10.0.0.1", 999), at(&parse(&text), "10.0.0.1", 1000)],
            [None, Some(("jdoe", 1))],
            "{written}"
        );
    }
    let text = block(0, "Start", &JDOE).replace("\tTimestamp = 0", "\tEvent-Timestamp = \"Jan 1 1970 00:16:40 EST\"");
    assert!(problems(&text)[0].starts_with("line 1: Event-Timestamp: "));
    assert!(problems(&text.replace("Event-Timestamp", "X"))[0].contains("Timestamp: is missing"));
}

const CLAIMS: &str = r#"
[[claim]]
identity = "jdoe"
[[claim.place]]
place = "Boise, US"
[[claim]]
identity = "pool"
[[claim.match]]
client = ["10.0.0.0/8"]
[[claim.place]]
place = "Denver, US"
[[claim]]
identity = "jdoe"
[[claim.match]]
client = ["10.9.0.0/16"]
[[claim.place]]
place = "Spokane, US"
"#;

#[test]
fn a_lease_goes_before_a_match() {
    let leases = parse("time,ip,identity,end\n100,10.0.0.1,jdoe,200\n100,10.0.0.2,stranger,200\n");
    let claims = Claims::parse(CLAIMS, Reading { is_csv: false, has_leases: true }).unwrap().with_leases(leases);
    let find = |ip: &str, seconds: i64| {
        let start = Timestamp::from_nanos(seconds * 1_000_000_000);
        claims.find(&Subject {
            client: ip.parse().unwrap(),
            server: ip.parse().unwrap(),
            mac: None,
            vlan: None,
            rdp_cookie: None,
            vnc_desktop: None,
            start,
        })
    };
    let Found::Leased(jdoe, lease) = find("10.0.0.1", 150) else { panic!("leased") };
    assert_eq!((jdoe.name.as_str(), jdoe.places.len(), lease.line), ("jdoe", 2, 2), "the places of all its claims");
    assert!(matches!(find("10.0.0.1", 250), Found::Matched(pool, block) if pool.name == "pool" && block.line == 8));
    assert!(
        matches!(find("10.0.0.2", 150), Found::Unclaimed(lease) if lease.line == 3),
        "nobody else's claim is held against it"
    );
    assert!(matches!(find("10.9.0.1", 150), Found::Matched(jdoe, _) if jdoe.places.len() == 1));
}

#[test]
fn many_leases_of_one_address_are_cut_and_asked_quickly() {
    let text: String = (0..50_000).map(|i| format!("{},10.0.0.1,a{},{}\n", i * 10, i % 7, 1_000_000 - i)).collect();
    let leases = parse(&format!("time,ip,identity,end\n{text}"));
    let found = (0..50_000).filter(|i| at(&leases, "10.0.0.1", i * 10 + 5).is_some()).count();
    assert_eq!(found, 50_000);
}

/// Which lease holds, by a look at all of them: the rules as they are told.
fn by_the_rules(leases: &[Lease], time: Timestamp) -> Option<&Lease> {
    let end = |lease: &Lease| {
        let next = leases.iter().map(|other| other.start).filter(|start| *start > lease.start).min();
        lease.end.or(next).unwrap_or(Timestamp::MAX)
    };
    leases.iter().filter(|lease| lease.start <= time && time < end(lease)).max_by_key(|lease| (lease.start, lease.line))
}

proptest::proptest! {
    #[test]
    fn the_timeline_keeps_the_rules(times in proptest::collection::vec((0..40i64, proptest::option::of(1..30i64)), 1..20)) {
        let row = |(start, lasts): &(i64, Option<i64>)| {
            let end = lasts.map_or_else(String::new, |lasts| (start + lasts).to_string());
            format!("{start},10.0.0.1,a,{end}\n")
        };
        let leases = parse(&format!("time,ip,identity,end\n{}", times.iter().map(row).collect::<String>()));
        for second in 0..80 {
            let time = Timestamp::from_nanos(second * 1_000_000_000);
            proptest::prop_assert_eq!(leases.at("10.0.0.1".parse().unwrap(), time), by_the_rules(leases.all(), time));
        }
    }

    #[test]
    fn no_file_panics(which in 0..4usize, at in 0..400usize, put in "[0-9a-zA-Z\t\n,\"\\\\.={}:-]{0,12}") {
        let radius = block(1000, "Start", &JDOE) + &block(1100, "Stop", &JDOE);
        let json = "{\"ts\":1000.25,\"mac\":\"x\",\"assigned_addr\":\"10.0.0.1\",\"lease_time\":600.0,\"msg_types\":[\"ACK\"]}\n";
        let csv = "time,ip,identity,end\n100,10.0.0.1,a,200\n2026-11-22T15:00:00Z,::1,b,\n";
        let text = [DHCP, &radius, json, csv][which];
        let at = text.char_indices().map(|(at, _)| at).nth(at).unwrap_or(text.len());
        let rest = text.get(at + put.len()..).unwrap_or_default();
        let _ = Leases::parse(&format!("{}{put}{rest}", &text[..at]));
    }
}
