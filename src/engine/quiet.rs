//! Stream time where no frame moves it on.

use super::Engine;
use crate::time::Timestamp;

impl Engine {
    /// No frame up to `now` is to come any more: fires every deadline up to it. A frame that comes all the same is late.
    pub fn advance(&mut self, now: Timestamp) {
        if now <= self.stream_time {
            return;
        }
        if now >= self.quiet_until {
            self.handle_deadline(now);
            let earliest = self.table.next_due();
            self.quiet_until = self.next_deadline().map_or(earliest, |deadline| deadline.min(earliest));
        }
        self.stream_time = now;
    }
}

/// The first whole second behind `time`: when the table looks at what was due then.
pub(super) fn whole_second_behind(time: Timestamp) -> Timestamp {
    let second = time.as_nanos().div_euclid(1_000_000_000).saturating_add(1);
    Timestamp::from_nanos(second.saturating_mul(1_000_000_000))
}
