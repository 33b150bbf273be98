use super::*;
use crate::judge::claim::{Reading, Subject};

const HEADER: &str = "identity,place,lat,lon,radius_km,access,timezone,client,rdp_cookie,from,to\n";

fn parse(text: &str) -> Result<Claims, Vec<Problem>> {
    Claims::parse(text, Reading::default())
}

fn problems(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn who<'a>(claims: &'a Claims, client: &str) -> Option<&'a str> {
    let (client, server) = (client.parse().unwrap(), "192.0.2.1".parse().unwrap());
    let found = claims.find(&Subject {
        client,
        server,
        mac: None,
        vlan: None,
        rdp_cookie: None,
        vnc_desktop: None,
        start: Timestamp::MIN,
    });
    found.identity().map(|identity| identity.name.as_str())
}

#[test]
fn the_contracts_header_is_read() {
    let text = format!(
        "{HEADER}jdoe,\"Boise, US\",,,20,cable,America/Boise,203.0.113.0/24; 2001:db8::1,,,\nrlee,,38.72,-9.14,,,,198.51.100.7,,2026-11-20,2026-12-01\n"
    );
    let claims = parse(&text).unwrap();
    let [jdoe, rlee] = claims.identities.as_slice() else { panic!("two identities") };
    assert_eq!((jdoe.name.as_str(), jdoe.line, jdoe.timezone.as_deref()), ("jdoe", 2, Some("America/Boise")));
    assert_eq!((jdoe.places[0].radius_km, jdoe.places[0].access), (20.0, Access::Cable));
    assert_eq!((rlee.line, rlee.places[0].radius_km, rlee.places[0].place.lon()), (3, 50.0, -9.14));
    assert!(rlee.places[0].from.is_some() && rlee.places[0].to.is_some());
    assert_eq!(
        [who(&claims, "203.0.113.9"), who(&claims, "2001:db8::1"), who(&claims, "8.8.8.8")],
        [Some("jdoe"), Some("jdoe"), None]
    );
}

#[test]
fn spreadsheets_have_marks_other_line_ends_quotes_other_orders_and_empty_rows() {
    let text = "\u{feff}client,\"identity\",place\r\n\r\n203.0.113.9,\"Doe, \"\"J\"\"\",\"Boise, US\"\r\n,,\r\n\"203.0.113.10;\r\n203.0.113.12\",x,\"Denver, US\"\r\n203.0.113.11,y,\"Nowhereville, US\"\r\n";
    assert!(problems(text)[0].starts_with("line 7: place: no place"), "{:?}", problems(text));
    let claims = parse(&text.replace("Nowhereville", "Boise")).unwrap();
    let lines: Vec<_> = claims.identities.iter().map(|identity| (identity.name.as_str(), identity.line)).collect();
    assert_eq!(lines, [("Doe, \"J\"", 3), ("x", 5), ("y", 7)]);
}

#[test]
fn rows_of_an_identity_add_up() {
    let text = format!(
        "{HEADER}jdoe,\"Boise, US; Spokane, US\",,,,cable,,203.0.113.9,,,\nasmith,\"Denver, US\",,,,,,203.0.113.10,,,\njdoe,,,,,,,198.51.100.0/24,,,\njdoe,\"Lisbon, PT\",,,,,,,,2026-11-20,\n"
    );
    let claims = parse(&text).unwrap();
    let jdoe = &claims.identities[0];
    assert_eq!((claims.identities.len(), jdoe.matches.len(), jdoe.places.len(), jdoe.line), (2, 2, 3, 2));
    assert_eq!(jdoe.matches[1].line, 4);
    assert_eq!(who(&claims, "198.51.100.20"), Some("jdoe"));
}

#[test]
fn every_mistake_is_told_with_line_and_field() {
    let text = format!(
        "{HEADER}a,\"Portland, US\",,,,,,10.0.0.1,,,\nb,,91,0,-1,pigeon,,10.0.0.300,,yesterday,\n,\"Boise, US\",1,,,,,10.0.0.2,,2026-12-01,2026-11-01\nc,,x,y,,,,10.0.0.3,,,\nd,,,,,,,,,,\na,,,,,,UTC,10.0.0.4,,,\na,,,,,,Europe/Rome,10.0.0.5,,,\n"
    );
    let found = problems(&text);
    for (line, field, part) in [
        (2, "place", "Oregon"),
        (3, "lat", "91"),
        (3, "radius_km", "-1"),
        (3, "access", "pigeon"),
        (3, "client", "10.0.0.300"),
        (3, "from", "yesterday"),
        (4, "identity", "empty"),
        (4, "place", "both"),
        (4, "lat", "pairs"),
        (4, "to", "empty"),
        (5, "lat", "\"x\""),
        (6, "row", "neither"),
        (8, "timezone", "UTC"),
    ] {
        let start = format!("line {line}: {field}: ");
        assert!(found.iter().any(|p| p.starts_with(&start) && p.contains(part)), "{start}{part}: {found:#?}");
    }
}

#[test]
fn columns_that_are_not_known_are_named() {
    let found = problems("identity,place,via,latt,client\na,,,,\n");
    assert!(found[0].starts_with("line 1: header: ") && found[0].contains("\"via\", \"latt\""), "{found:?}");
    assert!(problems("identity,client,client\n")[0].contains("\"client\" twice"));
    assert!(problems("identity;place\n")[0].contains("the columns are identity,place"));
    let named_csv = Reading { is_csv: true, has_leases: false };
    assert!(Claims::parse("", named_csv).unwrap_err()[0].message.contains("is missing"));
    assert!(Claims::parse("place\n", named_csv).unwrap_err()[0].message.contains("lacks the column \"identity\""));
}

#[test]
fn a_row_of_another_length_is_refused() {
    let found = problems(&format!("{HEADER}jdoe,Boise, US,,,,,,203.0.113.9,,,\n"));
    assert!(found[0].starts_with("line 2: row: has 12 cells, the header 11") && found[0].contains("quotes"), "{found:?}");
}

#[test]
fn ties_and_what_is_missing_are_told_as_for_toml() {
    let tie = format!("{HEADER}a,\"Boise, US\",,,,,,10.0.0.0/8,,,\nb,\"Boise, US\",,,,,,10.0.0.0/8;10.1.0.0/16,,,\n");
    let found = problems(&tie);
    assert!(found.len() == 1 && found[0].starts_with("line 3: claim.match:") && found[0].contains("line 2"), "{found:?}");
    let bare = format!("{HEADER}a,,,,,,,10.0.0.1,,,\nb,\"Boise, US\",,,,,,,,,\n");
    let found = problems(&bare);
    assert!(found[0].starts_with("line 2: place:") && found[1].starts_with("line 3: client:"), "{found:?}");
    let with_leases = Reading { is_csv: false, has_leases: true };
    assert_eq!(Claims::parse(&bare, with_leases).unwrap_err().len(), 1, "leases lead to claims without a match");
}

#[test]
fn a_row_with_a_cookie_matches_no_session_of_ssh() {
    let claims = parse(&format!("{HEADER}a,\"Boise, US\",,,,,,10.0.0.1,JDOE;jdoe,,\n")).unwrap();
    assert_eq!(claims.identities[0].matches[0].rdp_cookie, ["JDOE", "jdoe"]);
    assert_eq!(who(&claims, "10.0.0.1"), None);
}

#[test]
fn a_hint_names_the_line() {
    let claims = parse(&format!("{HEADER}a,\"Richmond, CA\",,,,,,10.0.0.1,,,\n")).unwrap();
    assert!(claims.hints[0].to_string().starts_with("line 2: place: "), "{:?}", claims.hints);
}

#[test]
fn only_csv_looks_like_csv() {
    assert!(is_header("place,identity\n") && is_header("\"identity\";x") && is_header("identity"));
    assert!(!is_header("[[claim]]\nidentity = \"x\"\n") && !is_header("identity = 5") && !is_header("# identity, place"));
}
