//! How long the server's program takes to answer chaff (PING to PONG, `ping@openssh.com`), at the sensor.
//!
//! Each burst ends with a second of nothing but chaff and then silence, so its last message is answered by the last PONG. That holds whatever
//! acknowledges the messages, and however many are under way; one sample a burst.

use crate::{
    measure::estimate::{Distribution, Quantiles},
    time::{Span, Timestamp},
};

/// Messages closer together than this belong to one burst.
const TOGETHER: Span = Span::from_millis(300);
/// So many in a row are a burst that ended with chaff: a second at the shortest interval that was seen in use.
const LEAST: u32 = 48;
/// A later answer is none.
const LONGEST: Span = Span::from_secs(2);

/// See the [module's documentation](self).
#[derive(Debug, Default)]
pub(super) struct Pongs {
    /// The last message of the client, and how many came in a row.
    last: Option<Timestamp>,
    run: u32,
    /// The last message of the server that is as long as chaff, if it came behind that.
    answered: Option<Timestamp>,
    samples: Distribution,
}

impl Pongs {
    /// A message of the client.
    pub(super) fn on_input(&mut self, time: Timestamp) {
        match self.last.replace(time) {
            Some(last) if time - last <= TOGETHER => self.run = self.run.saturating_add(1),
            Some(last) => {
                self.end(last);
                self.run = 1;
            }
            None => self.run = 1,
        }
        self.answered = None;
    }

    /// A message of the server that is as long as chaff.
    pub(super) const fn on_plain(&mut self, time: Timestamp) {
        self.answered = Some(time);
    }

    /// Bytes of either side were not captured.
    pub(super) const fn on_lost(&mut self) {
        (self.last, self.run) = (None, 0);
    }

    /// Nothing comes any more.
    pub(super) fn finish(&mut self) {
        if let Some(last) = self.last.take() {
            self.end(last);
        }
    }

    fn end(&mut self, last: Timestamp) {
        let took = self.answered.take().map(|answered| answered - last);
        if let Some(took) = took.filter(|took| self.run >= LEAST && *took <= LONGEST) {
            self.samples.record(took);
        }
    }

    /// What they took; `None` without any.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        self.samples.quantiles()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst of so many messages each 20 ms from `start`, each answered so much later; in milliseconds.
    fn burst(pongs: &mut Pongs, start: i64, messages: i64, later: i64) {
        let at = |ms: i64| Timestamp::from_nanos(ms * 1_000_000);
        let sent = (0..messages).map(|nth| (start + 20 * nth, true));
        let answered = (0..messages).map(|nth| (start + 20 * nth + later, false));
        let mut all: Vec<_> = sent.chain(answered).collect();
        all.sort_unstable();
        for (ms, is_sent) in all {
            if is_sent { pongs.on_input(at(ms)) } else { pongs.on_plain(at(ms)) }
        }
    }

    #[test]
    fn the_last_answer_of_a_burst_is_to_its_last_message() {
        let mut pongs = Pongs::default();
        for (start, later) in [(0, 55), (5_000, 57), (10_000, 120)] {
            burst(&mut pongs, start, 60, later);
        }
        pongs.finish();
        let told = pongs.quantiles().unwrap();
        assert_eq!((told.samples, told.min, told.p50), (3, Span::from_millis(55), Span::from_millis(57)));
    }

    #[test]
    fn keys_without_chaff_and_gaps_tell_nothing() {
        let mut pongs = Pongs::default();
        burst(&mut pongs, 0, 30, 5);
        burst(&mut pongs, 5_000, 60, 5);
        pongs.on_lost();
        burst(&mut pongs, 10_000, 60, 3_000);
        pongs.finish();
        assert_eq!(pongs.quantiles(), None);
    }
}
