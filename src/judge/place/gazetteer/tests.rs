use super::*;

fn shown(text: &str) -> String {
    find(text).unwrap_or_else(|error| panic!("{error}")).name().to_owned()
}

fn candidates(text: &str) -> Vec<String> {
    match find(text) {
        Err(LookupError::Ambiguous { candidates, .. }) => {
            assert!(candidates.is_sorted_by_key(|candidate| Reverse(candidate.population)));
            candidates.iter().map(Candidate::to_string).collect()
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn suggestions(text: &str) -> Vec<String> {
    match find(text) {
        Err(LookupError::Unknown { name, suggestions }) => {
            assert_eq!(name, text);
            suggestions
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn malformation(text: &str) -> String {
    match find(text) {
        Err(LookupError::Malformed { why }) => why,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_well_known_place_needs_no_region() {
    for (text, name) in [
        ("Phoenix, US", "Phoenix, Arizona, US"),
        ("Dallas, US", "Dallas, Texas, US"),
        ("Seattle, US", "Seattle, Washington, US"),
        ("Boise, US", "Boise, Idaho, US"),
        ("Miami, US", "Miami, Florida, US"),
        ("Washington, US", "Washington, District of Columbia, US"),
        ("Lisbon, PT", "Lisbon, Lisbon, PT"),
        ("Paris, FR", "Paris, Île-de-France, FR"),
        ("London, GB", "London, England, GB"),
        ("Hong Kong, HK", "Hong Kong, HK"),
    ] {
        assert_eq!(shown(text), name);
    }
}

#[test]
fn namesakes_of_like_size_are_ambiguous() {
    let portlands = candidates("Portland, US");
    assert_eq!(portlands.first().unwrap(), "Portland, Oregon, US (45.52, -122.68), population 652,503");
    assert!(portlands.get(1).unwrap().starts_with("Portland, Maine, US"));
    for text in ["Springfield, US", "Columbus, US", "Arlington, US", "Newcastle, GB"] {
        assert!(candidates(text).len() > 1, "{text}");
    }
    let error = find("Springfield, US").unwrap_err().to_string();
    assert!(error.contains(" more; give the region, or lat and lon"), "{error}");
}

#[test]
fn a_region_decides_by_code_or_name() {
    for text in ["Portland, OR, US", "portland, oregon, us", " PORTLAND ,Or , usa "] {
        assert_eq!(shown(text), "Portland, Oregon, US");
    }
    assert_eq!(shown("Portland, Maine, US"), "Portland, Maine, US");
    assert_eq!(shown("Washington, D.C., US"), "Washington, District of Columbia, US");
    assert_eq!(shown("London, ON, CA"), "London, Ontario, CA");
    assert_eq!(shown("Newcastle, NSW, AU"), "Newcastle, New South Wales, AU");
    assert_eq!(shown("Frankfurt, Brandenburg, DE"), "Frankfurt (Oder), Brandenburg, DE");
    assert_eq!(shown("München, Bayern, Germany"), "Munich, Bavaria, DE");
}

#[test]
fn a_city_on_a_border_is_one_place_or_two_by_region() {
    assert_eq!(shown("Kansas City, US"), "Kansas City, Missouri, US");
    assert_eq!(shown("Kansas City, KS, US"), "Kansas City, Kansas, US");
}

#[test]
fn case_marks_and_other_names_do_not_matter() {
    for (text, other) in [
        ("Zürich, CH", "zurich, ch"),
        ("Zuerich, CH", "Zürich, Switzerland"),
        ("New York, US", "New York City, NY, US"),
        ("Frankfurt, DE", "Frankfurt am Main, Hesse, DE"),
        ("Bangalore, IN", "Bengaluru, IN"),
        ("Kiev, UA", "Kyiv, UA"),
        ("Saigon, VN", "Ho Chi Minh City, VN"),
        ("St. Petersburg, RU", "Saint Petersburg, Russia"),
        ("St Louis, US", "Saint Louis, MO, US"),
        ("Koeln, DE", "Cologne, DE"),
        ("Quebec City, CA", "Québec, QC, Canada"),
        ("Washington DC, US", "Washington, DC, US"),
        ("London, UK", "London, England, GB"),
        ("Halle, DE", "Halle (Saale), DE"),
        ("Valletta, MT", "Valletta, Malta"),
        ("São Tomé, ST", "Sao Tome, st"),
    ] {
        assert_eq!(find(text).unwrap(), find(other).unwrap(), "{text}");
    }
}

#[test]
fn distances_are_those_of_the_map() {
    for (from, to, km) in
        [("Seattle, US", "Boise, US", 650.0), ("London, GB", "New York, US", 5570.0), ("Sydney, AU", "Lisbon, PT", 18_180.0)]
    {
        let distance = find(from).unwrap().distance_km(&find(to).unwrap());
        assert!((distance / km - 1.0).abs() < 0.01, "{from} to {to}: {distance} km");
    }
}

#[test]
fn an_unknown_name_brings_near_ones() {
    assert_eq!(suggestions("Seatle, US").first().unwrap(), "Seattle, Washington, US");
    assert_eq!(suggestions("Los Angeles, CA").first().unwrap(), "Los Angeles, California, US");
    let regions = suggestions("Portland, Idaho, US");
    assert_eq!(regions.first().unwrap(), "Portland, Oregon, US");
    assert!(suggestions("Qqqqqqqq, US").is_empty());
    for text in ["San, US", "Boise, Oregonn, US", "Lisbn, PT", "Москва, RU"] {
        let suggestions = suggestions(text);
        assert!(suggestions.len() <= MAX_SUGGESTIONS);
        for name in &suggestions {
            assert!(!matches!(find(name), Err(LookupError::Unknown { .. })), "{name}");
        }
    }
    let error = find("Lisbn, PT").unwrap_err().to_string();
    assert!(error.starts_with("no place \"Lisbn, PT\"; did you mean \"Lisbon, Lisbon, PT\""));
}

#[test]
fn what_is_not_a_place_says_why() {
    for (text, why) in [
        ("", "no country"),
        ("Seattle", "no country"),
        ("Seattle, ", "\"\" is no country"),
        (", US", "is empty"),
        ("Portland, , US", "is empty"),
        ("..., US", "is empty"),
        ("Portland, OR", "\"OR\" is no country"),
        ("Lisbon, XX", "\"XX\" is no country"),
        ("a, b, c, US", "more than three parts"),
        ("Sea\0ttle, US", "control character"),
        ("Sea\nttle, US", "control character"),
    ] {
        assert!(malformation(text).contains(why), "{text}");
    }
    assert!(malformation(&"x, ".repeat(100_000)).contains("longer"));
}

#[test]
fn every_name_shown_can_be_asked_for() {
    let all = super::super::table::PLACES.from("");
    for row in all.step_by(97).filter_map(|(key, rest)| Row::parse(key, rest)) {
        let name = row.display();
        match find(&name) {
            Ok(place) => assert_eq!(place.name(), name),
            Err(LookupError::Ambiguous { candidates, more, .. }) => {
                assert!(more > 0 || candidates.iter().any(|found| found.place.name() == name));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(name in "\\PC{0,60}", text in ".{0,300}", country in "US|IN|gb|[A-Z]{2}") {
        let _ = find(&text);
        let _ = find(&format!("{name}, {country}"));
        let _ = find(&format!("{name}, {name}, {country}"));
    }
}

#[test]
fn a_code_of_a_country_that_is_also_a_states_is_asked_about() {
    let asked = hint("Richmond, CA").unwrap();
    assert!(asked.contains("British Columbia") && asked.contains("write \"Richmond, California, US\""), "{asked}");
    for clear in ["Toronto, CA", "Berlin, DE", "Boise, US", "Richmond, CA, US", "Richmond, Canada", "Nowhereville, CA", "x"] {
        assert_eq!(hint(clear), None, "{clear}");
    }
}
