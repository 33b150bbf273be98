//! A small memory of names that were looked up: the same few come again and again, and one that is unknown costs a
//! millisecond, since near names are sought for it.

use std::{collections::HashMap, mem, rc::Rc};

use crate::judge::place::{
    Place,
    gazetteer::{self, LookupError},
};

/// Names in one generation; two are kept. With texts of up to some hundred bytes that is a few megabytes.
const GENERATION: usize = 4096;

/// Unknown names that near ones are sought for. Whoever mistypes reads these; a million more are not mistyped, and a millisecond
/// each would be half an hour.
const NEAR_NAMES_FOR: usize = 100;

/// Longest text that is remembered, in bytes; a longer one is no name and found so at once.
const MAX_TEXT: usize = 200;

/// What came of a look-up: the place, or why there is none.
type Found = Result<Rc<Place>, Rc<str>>;

/// Places by what was written. When a generation is full, the one before it is forgotten.
#[derive(Debug, Default)]
pub(super) struct Places {
    young: HashMap<String, Found>,
    old: HashMap<String, Found>,
    /// Unknown names so far, up to [`NEAR_NAMES_FOR`].
    unknown: usize,
}

impl Places {
    /// The one place that a text means, or the reason why it does not mean one.
    pub(super) fn find(&mut self, text: &str) -> Found {
        if let Some(found) = self.young.get(text) {
            return found.clone();
        }
        let found = self.old.get(text).cloned().unwrap_or_else(|| self.look_up(text));
        if text.len() <= MAX_TEXT {
            if self.young.len() >= GENERATION {
                self.old = mem::take(&mut self.young);
            }
            self.young.insert(text.to_owned(), found.clone());
        }
        found
    }

    fn look_up(&mut self, text: &str) -> Found {
        let found = if self.unknown < NEAR_NAMES_FOR { gazetteer::find(text) } else { gazetteer::find_quickly(text) };
        self.unknown += usize::from(self.unknown < NEAR_NAMES_FOR && matches!(found, Err(LookupError::Unknown { .. })));
        found.map(Rc::new).map_err(|error| error.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_found() {
        let mut places = Places::default();
        for text in ["Boise, US", "Boise, US", "Nowhereville, US", "Nowhereville, US"] {
            assert_eq!(places.find(text), Places::default().look_up(text));
        }
        assert_eq!(places.young.len(), 2);
    }

    #[test]
    fn near_names_are_sought_for_the_first_that_are_unknown() {
        let mut places = Places::default();
        let mut error = |n: usize| places.find(&format!("Boise{}, US", "x".repeat(n))).unwrap_err();
        let asked: Vec<_> = (1..=NEAR_NAMES_FOR + 5).map(|n| error(n % 190 + 1)).collect();
        let near = asked.iter().filter(|error| error.contains("did you mean \"Boise, Idaho, US\"")).count();
        assert_eq!(near, NEAR_NAMES_FOR);
        assert!(asked.iter().all(|error| error.contains("no place \"Boisex")));
        assert!(error(2).contains("did you mean"), "remembered");
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut places = Places::default();
        for n in 0..3 * GENERATION {
            let _ = places.find(&format!("{n}"));
            assert!(places.young.len() <= GENERATION && places.old.len() <= GENERATION);
        }
        assert_eq!(places.young.len() + places.old.len(), 2 * GENERATION);
        let long = "x".repeat(MAX_TEXT + 1);
        assert!(places.find(&long).is_err() && !places.young.contains_key(&long));
    }
}
