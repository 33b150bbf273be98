//! The cool-down: what was alerted a short while ago is not alerted again for another session.

use std::{collections::HashMap, net::IpAddr};

use crate::{
    judge::Severity,
    time::{Span, Timestamp},
};

/// What is remembered at most: identities with their addresses and findings.
const MOST: usize = 1 << 16;

/// Whose alert it is, and about what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Matter {
    pub(super) identity: String,
    pub(super) client: IpAddr,
    pub(super) finding: &'static str,
}

/// An alert that was raised.
#[derive(Clone, Copy, Debug)]
struct Raised {
    at: Timestamp,
    severity: Severity,
    /// Alerts of other sessions that were held back since.
    held: u64,
}

/// Alerts by matter, as long as they keep others quiet.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// Nothing where no alert keeps another one quiet.
    cool_down: Option<Span>,
    raised: HashMap<Matter, Raised>,
    /// Alerts that were held back.
    pub(super) held: u64,
}

impl Quiet {
    pub(super) fn of(cool_down: Option<Span>) -> Self {
        Self { cool_down, ..Self::default() }
    }

    /// Whether a session's first alert is raised; gives how many of the same matter were held back before it.
    pub(super) fn raise(&mut self, matter: Matter, severity: Severity, now: Timestamp) -> Option<u64> {
        let Some(cool_down) = self.cool_down else { return Some(0) };
        if let Some(raised) = self.raised.get_mut(&matter)
            && now < raised.at + cool_down
            && severity <= raised.severity
        {
            raised.held += 1;
            self.held += 1;
            return None;
        }
        if self.raised.len() >= MOST {
            self.make_room(now, cool_down);
        }
        let before = self.raised.insert(matter, Raised { at: now, severity, held: 0 });
        Some(before.map_or(0, |before| before.held))
    }

    /// Forgets what keeps nothing quiet any more; where that is nothing, the older half.
    fn make_room(&mut self, now: Timestamp, cool_down: Span) {
        self.raised.retain(|_, raised| now < raised.at + cool_down);
        if self.raised.len() >= MOST {
            let mut times: Vec<_> = self.raised.values().map(|raised| raised.at).collect();
            let half = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(half);
            let median = *median;
            self.raised.retain(|_, raised| raised.at > median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matter(number: u32) -> Matter {
        Matter { identity: format!("user{number}"), client: IpAddr::from([203, 0, 113, 9]), finding: "rtt_above_claim" }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn the_same_matter_is_quiet_for_a_while_and_then_says_how_often_it_was() {
        let mut quiet = Quiet::of(Some(Span::from_millis(60_000)));
        let mut raise = |number, severity, seconds| quiet.raise(matter(number), severity, at(seconds));
        assert_eq!(raise(1, Severity::Medium, 100), Some(0));
        assert_eq!(raise(1, Severity::Medium, 159), None);
        assert_eq!(raise(2, Severity::Medium, 159), Some(0), "another identity is another matter");
        assert_eq!(raise(1, Severity::High, 159), Some(1), "more is said at once");
        assert_eq!(raise(1, Severity::Medium, 160), None);
        assert_eq!(raise(1, Severity::Medium, 219), Some(1));
        assert_eq!(quiet.held, 2);
    }

    #[test]
    fn without_a_cool_down_nothing_is_quiet_or_remembered() {
        let mut quiet = Quiet::default();
        assert!((0..3).all(|_| quiet.raise(matter(1), Severity::Medium, at(1)) == Some(0)));
        assert!(quiet.raised.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_stay() {
        let mut quiet = Quiet::of(Some(Span::from_millis(3_600_000)));
        for number in 0..MOST as u32 + 1 {
            assert_eq!(quiet.raise(matter(number), Severity::Medium, at(i64::from(number) / 100)), Some(0));
        }
        assert!(quiet.raised.len() <= MOST / 2 + 101, "{}", quiet.raised.len());
        assert_eq!(quiet.raise(matter(MOST as u32), Severity::Medium, at(700)), None);
    }
}
