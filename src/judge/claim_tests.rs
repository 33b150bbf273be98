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

fn subject(client: &str, server: &str) -> Subject {
    Subject { client: client.parse().unwrap(), server: server.parse().unwrap(), mac: None, vlan: None }
}

fn problems(text: &str) -> Vec<String> {
    Claims::parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_contracts_form_is_read() {
    let claims = Claims::parse(GOOD).unwrap();
    assert_eq!(claims.sensor.name.as_deref(), Some("tap"));
    let jdoe = &claims.identities[0];
    assert_eq!((jdoe.name.as_str(), jdoe.line, jdoe.places.len()), ("jdoe", 6, 2));
    assert_eq!((jdoe.places[0].radius_km, jdoe.places[0].access), (50.0, Access::Cable));
    assert!(claims.identities[1].places[0].via.is_some());
    assert_eq!(claims.sha256.len(), 64);
}

#[test]
fn the_most_specific_claim_wins() {
    let claims = Claims::parse(GOOD).unwrap();
    let who = |client, server| claims.find(&subject(client, server)).map(|identity| identity.name.as_str());
    assert_eq!(who("203.0.113.9", "10.0.0.1"), Some("jdoe"));
    assert_eq!(who("203.0.113.200", "10.0.0.1"), Some("special"), "a longer prefix");
    assert_eq!(who("2001:db8::1", "10.0.0.1"), Some("jdoe"));
    assert_eq!(who("198.51.100.7", "192.0.2.3"), Some("jdoe"), "the keys of a block hold together");
    assert_eq!(who("198.51.100.7", "192.0.2.99"), None);
    assert_eq!(who("8.8.8.8", "10.0.0.1"), None);
}

#[test]
fn a_window_begins_with_its_first_day_and_ends_before_its_last() {
    let claims = Claims::parse(GOOD).unwrap();
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
    let claims = Claims::parse(text).unwrap();
    for (vlan, name) in [(None, "all"), (Some(20), "lab"), (Some(30), "all")] {
        let subject = Subject { vlan, ..subject("203.0.113.9", "10.0.0.1") };
        assert_eq!(claims.find(&subject).unwrap().name, name, "{vlan:?}");
    }
}
