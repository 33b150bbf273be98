use super::*;

const GOOD: &str = r#"
[sensor]
name = "tap"
place = "Seattle, US"

[[claim]]
identity = "jdoe"
timezone = "America/Boise"
[[claim.match]]
client = ["203.0.113.0/24", "2001:db8::1"]
[[claim.match]]
client = ["198.51.100.7"]
server = ["192.0.2.0/28"]
[[claim.place]]
place = "Boise, US"
access = "cable"
[[claim.place]]
lat = 38.72
lon = -9.14
from = 2026-11-20
to = 2026-12-01

[[claim]]
identity = "special"
[[claim.match]]
client = ["203.0.113.128/25"]
[[claim.place]]
place = "Phoenix, US"
via = "Dallas, US"
radius_km = 10.0
"#;

fn subject(client: &str, server: &str) -> Subject<'static> {
    Subject {
        client: client.parse().unwrap(),
        server: server.parse().unwrap(),
        mac: None,
        vlan: None,
        rdp_cookie: None,
        vnc_desktop: None,
        start: Timestamp::MIN,
    }
}

fn parse(text: &str) -> Result<Claims, Vec<Problem>> {
    Claims::parse(text, Reading::default())
}

fn problems(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_contracts_form_is_read() {
    let claims = parse(GOOD).unwrap();
    assert_eq!(claims.sensor.name.as_deref(), Some("tap"));
    let jdoe = &claims.identities[0];
    assert_eq!((jdoe.name.as_str(), jdoe.line, jdoe.places.len()), ("jdoe", 6, 2));
    assert_eq!((jdoe.places[0].radius_km, jdoe.places[0].access), (50.0, Access::Cable));
    assert!(claims.identities[1].places[0].via.is_some());
    assert_eq!(claims.sha256.len(), 64);
}

#[test]
fn the_most_specific_claim_wins() {
    let claims = parse(GOOD).unwrap();
    let who = |client, server| claims.find(&subject(client, server)).identity().map(|identity| identity.name.as_str());
    assert_eq!(who("203.0.113.9", "10.0.0.1"), Some("jdoe"));
    assert_eq!(who("203.0.113.200", "10.0.0.1"), Some("special"), "a longer prefix");
    assert_eq!(who("2001:db8::1", "10.0.0.1"), Some("jdoe"));
    assert_eq!(who("198.51.100.7", "192.0.2.3"), Some("jdoe"), "the keys of a block hold together");
    assert_eq!(who("198.51.100.7", "192.0.2.99"), None);
    assert_eq!(who("8.8.8.8", "10.0.0.1"), None);
}

#[test]
fn a_window_begins_with_its_first_day_and_ends_before_its_last() {
    let claims = parse(GOOD).unwrap();
    let lisbon = &claims.identities[0].places[1];
    let at = |text: &str| Timestamp::from_nanos(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64);
    assert!(!lisbon.holds_at(at("2026-11-19T23:59:59Z")));
    assert!(lisbon.holds_at(at("2026-11-20T00:00:00Z")));
    assert!(lisbon.holds_at(at("2026-11-30T23:59:59Z")));
    assert!(!lisbon.holds_at(at("2026-12-01T00:00:00Z")));
}

#[test]
fn a_tie_is_told_with_both_lines() {
    let text = GOOD.replace("203.0.113.128/25", "203.0.113.0/24");
    let found = problems(&text);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("line 25: claim.match:") && found[0].contains("line 9"), "{found:?}");
}

#[test]
fn every_mistake_is_told_with_line_and_field() {
    let text = r#"
[[claim]]
identity = "x"
[[claim.match]]
client = ["203.0.113.7/24", "nonsense"]
mac = ["00:11"]
[[claim.place]]
place = "Portland, US"
radius_km = -1.0
[[claim.place]]
lat = 100.0
lon = 0.0
access = "pigeon"
[[claim.place]]
lat = 1.0
"#;
    let found = problems(text);
    for (line, part) in [
        (5, "did you mean 203.0.113.0/24"),
        (5, "nonsense"),
        (6, "hardware address"),
        (8, "Oregon"),
        (9, "radius_km"),
        (11, "lat"),
        (13, "pigeon"),
        (15, "both `lat` and `lon`"),
    ] {
        assert!(found.iter().any(|p| p.starts_with(&format!("line {line}:")) && p.contains(part)), "{line} {part}: {found:#?}");
    }
}

#[test]
fn syntax_and_unknown_fields_name_their_line() {
    assert!(problems("[sensor]\nplace = 5\n")[0].starts_with("line 2: "));
    assert!(problems("[sensor]\n\nplac = \"x\"\n")[0].starts_with("line 3: "));
    assert!(problems("[[claim]\n")[0].starts_with("line 1: "));
}

#[test]
fn a_claim_about_nobody_or_nothing_is_refused() {
    assert!(problems("[[claim]]\nidentity = \"x\"\n").iter().any(|p| p.contains("claim.match")));
    let everybody = "[[claim]]\nidentity = \"x\"\n[[claim.match]]\n[[claim.place]]\nplace = \"Boise, US\"\n";
    assert!(problems(everybody)[0].contains("every session"));
}

#[test]
fn a_vlan_is_matched_and_the_more_specific() {
    let text = "[[claim]]\nidentity = \"all\"\n[[claim.match]]\nclient = [\"203.0.113.0/24\"]\n[[claim.place]]\nplace = \"Phoenix, US\"\n\
                [[claim]]\nidentity = \"lab\"\n[[claim.match]]\nclient = [\"203.0.113.0/24\"]\nvlan = [10, 20]\n[[claim.place]]\n\
                place = \"Phoenix, US\"\n";
    let claims = parse(text).unwrap();
    for (vlan, name) in [(None, "all"), (Some(20), "lab"), (Some(30), "all")] {
        let subject = Subject { vlan, ..subject("203.0.113.9", "10.0.0.1") };
        assert_eq!(claims.find(&subject).identity().unwrap().name, name, "{vlan:?}");
    }
}

fn with_clients<'a>(clients: impl Iterator<Item = (&'a str, String)>) -> Vec<Problem> {
    let claim = |(name, keys): (&str, String)| {
        format!("[[claim]]\nidentity = \"{name}\"\n[[claim.match]]\n{keys}\n[[claim.place]]\nlat = 1.0\nlon = 2.0\n")
    };
    parse(&clients.map(claim).collect::<String>()).err().unwrap_or_default()
}

#[test]
fn a_tie_needs_a_common_value_of_every_key() {
    let tie = |a: &str, b: &str| with_clients([("a", a.to_owned()), ("b", b.to_owned())].into_iter()).len();
    assert_eq!(tie("client = [\"10.0.0.1\", \"10.0.0.2\"]", "client = [\"10.0.0.2\", \"10.0.0.3\"]"), 1);
    assert_eq!(tie("client = [\"10.0.0.0/8\"]", "client = [\"10.0.0.0/16\"]"), 0);
    assert_eq!(tie("client = [\"10.0.0.1\"]", "client = [\"10.0.0.1\"]\nserver = [\"10.0.0.9\"]"), 0);
    assert_eq!(tie("server = [\"10.0.0.1\"]", "client = [\"10.0.0.1\"]"), 0);
    assert_eq!(
        tie(
            "server = [\"10.0.0.1\", \"10.0.0.2\"]\nmac = [\"00:00:00:00:00:01\"]",
            "mac = [\"00-00-00-00-00-01\"]\nserver = [\"10.0.0.2\"]"
        ),
        1
    );
    assert_eq!(tie("client = [\"::/0\"]\nvlan = [5]", "client = [\"::/0\"]\nvlan = [6]"), 0);
}

#[test]
fn of_many_that_tie_each_is_told_with_the_first() {
    let found = with_clients(["a", "b", "c"].map(|name| (name, "client = [\"10.0.0.1\"]".to_owned())).into_iter());
    let lines: Vec<_> = found.iter().map(|problem| (problem.line, problem.message.contains("(line 3)"))).collect();
    assert_eq!(lines, [(10, true), (17, true)]);
}

#[test]
fn large_blocks_that_tie_are_told_at_once() {
    let nets = |key: &str| {
        format!("{key} = [{}]\n", (0..2000).map(|i| format!("\"10.0.{}.{}\"", i / 256, i % 256)).collect::<Vec<_>>().join(","))
    };
    let keys = nets("client") + &nets("server");
    assert_eq!(with_clients([("a", keys.clone()), ("b", keys)].into_iter()).len(), 1);
}

#[test]
fn names_come_before_prefixes_and_clients_before_servers() {
    let keys = [
        ("mac", "mac = [\"00:00:00:00:00:01\"]"),
        ("mac and net", "mac = [\"00:00:00:00:00:01\"]\nclient = [\"10.2.0.0/16\"]"),
        ("address", "client = [\"10.0.0.1\"]"),
        ("net and server", "client = [\"10.0.0.0/8\"]\nserver = [\"192.0.2.0/24\"]"),
        ("net and near server", "client = [\"10.0.0.0/8\"]\nserver = [\"192.0.2.1\"]"),
        ("net", "client = [\"10.0.0.0/8\"]"),
        ("server", "server = [\"192.0.2.1\"]"),
        ("anybody", "client = [\"0.0.0.0/0\"]\nserver = [\"192.0.2.9\"]"),
        ("vlan", "client = [\"10.0.0.1\"]\nvlan = [5]"),
        ("vlan alone", "vlan = [5, 6]"),
        ("server and vlan", "server = [\"192.0.2.1\"]\nvlan = [6]"),
    ];
    let text: String = keys
        .iter()
        .map(|(name, keys)| {
            format!("[[claim]]\nidentity = \"{name}\"\n[[claim.match]]\n{keys}\n[[claim.place]]\nlat = 1.0\nlon = 2.0\n")
        })
        .collect();
    let claims = parse(&text).unwrap();
    for (client, server, mac, expected) in [
        ("10.0.0.1", "192.0.2.1", Some([0, 0, 0, 0, 0, 1]), "mac"),
        ("10.2.0.1", "192.0.2.1", Some([0, 0, 0, 0, 0, 1]), "mac and net"),
        ("10.0.0.1", "192.0.2.1", Some([0, 0, 0, 0, 0, 2]), "address"),
        ("10.0.0.2", "192.0.2.1", None, "net and near server"),
        ("10.0.0.2", "192.0.2.2", None, "net and server"),
        ("10.0.0.2", "8.8.8.8", None, "net"),
        ("11.0.0.2", "192.0.2.1", None, "server"),
        ("2001:db8::1", "192.0.2.1", None, "server"),
        ("11.0.0.2", "192.0.2.9", None, "anybody"),
    ] {
        let found = claims.find(&Subject { mac, ..subject(client, server) });
        assert_eq!(found.identity().map(|identity| identity.name.as_str()), Some(expected), "{client} {server} {mac:?}");
    }
    for (client, server, vlan, expected) in [
        ("10.0.0.1", "192.0.2.9", Some(5), Some("vlan")),
        ("10.0.0.1", "192.0.2.9", Some(6), Some("address")),
        ("2001:db8::1", "192.0.2.1", Some(6), Some("server and vlan")),
        ("2001:db8::1", "192.0.2.2", Some(6), Some("vlan alone")),
        ("2001:db8::1", "192.0.2.2", Some(7), None),
        ("2001:db8::1", "192.0.2.2", None, None),
    ] {
        let found = claims.find(&Subject { vlan, ..subject(client, server) });
        assert_eq!(found.identity().map(|identity| identity.name.as_str()), expected, "{client} {server} {vlan:?}");
    }
}

#[test]
fn a_name_goes_before_an_address() {
    let claims = parse(
        r#"
        [sensor]
        place = "Seattle, US"
        [[claim]]
        identity = "address"
        [[claim.match]]
        client = ["203.0.113.9"]
        [[claim.place]]
        place = "Boise, US"
        [[claim]]
        identity = "cookie"
        [[claim.match]]
        rdp_cookie = ["jdoe", "JDOE"]
        [[claim.place]]
        place = "Boise, US"
        [[claim]]
        identity = "desktop"
        [[claim.match]]
        vnc_desktop = ["lab:1"]
        client = ["203.0.113.0/24"]
        [[claim.place]]
        place = "Boise, US"
        "#,
    )
    .unwrap();
    let found = |rdp_cookie: Option<&'static [u8]>, vnc_desktop: Option<&'static [u8]>, client| match claims.find(&Subject {
        rdp_cookie,
        vnc_desktop,
        ..subject(client, "10.0.0.1")
    }) {
        Found::Matched(identity, _) => Some(identity.name.clone()),
        _ => None,
    };
    let (near, far) = ("203.0.113.9", "192.0.2.1");
    assert_eq!(found(None, None, near).as_deref(), Some("address"));
    assert_eq!(found(Some(b"jdoe"), None, near).as_deref(), Some("cookie"));
    assert_eq!(found(Some(b"jdoe2"), None, near).as_deref(), Some("address"), "letter by letter");
    assert_eq!(found(None, Some(b"jdoe"), far), None, "a desktop is no cookie");
    assert_eq!(found(None, Some(b"lab:1"), near).as_deref(), Some("desktop"));
    assert_eq!(found(None, Some(b"lab:1"), far), None, "both keys of the block have to fit");
}
