//! What the sensor itself lost, and what that means for a session.
//!
//! Nobody knows which flows the lost frames belong to. So each frame of a session that was seen stands for as many that were not as
//! the sensor lost for each one that it saw, since the session's frame before: the number to be expected where losses fall
//! on all alike. Bursts are shared out among those who sent meanwhile, and a session that was silent has lost nothing.
//!
//! Frames that were shed on purpose are none of a session that is kept (see [`kept`](super::kept)); they count as lost for all others.

use super::Engine;

/// Millionths of a frame.
const PARTS: u64 = 1_000_000;

/// Frames that did not come in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Of any flow.
    lost: u64,
    /// Of flows that are not kept.
    shed: u64,
}

/// The share of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossesOfSession {
    /// Losses that were shared out, or were none of its own.
    known: Losses,
    /// Frames that had been shed when it was kept for sure; what is shed later is none of its own.
    shed_until: Option<u64>,
    /// Frames that the sensor had seen by the session's last.
    seen: u64,
    parts: u64,
}

impl Engine {
    /// The sensor lost frames that lay among those of the last time, before whatever is handled next.
    pub fn note_lost(&mut self, frames: u64) {
        self.losses.lost = self.losses.lost.saturating_add(frames);
    }

    /// The sensor left frames out, none of them of a session that was kept when they came.
    pub fn note_shed(&mut self, frames: u64) {
        self.settle_kept();
        self.losses.shed = self.losses.shed.saturating_add(frames);
    }
}

impl LossesOfSession {
    /// Of a session that begins with the segment that comes next.
    pub(super) const fn new(losses: Losses) -> Self {
        Self { known: losses, shed_until: None, seen: 0, parts: 0 }
    }

    /// Nothing of it is shed from now on.
    pub(super) const fn settle(&mut self, losses: Losses) {
        self.shed_until = Some(losses.shed);
    }

    /// Frames of it may be shed again.
    pub(super) const fn unsettle(&mut self) {
        self.shed_until = None;
    }

    /// A segment, the sensor's `packets`th frame.
    #[inline]
    pub(super) fn on_segment(&mut self, losses: Losses, packets: u64) {
        if losses != self.known {
            let shed = self.shed_until.unwrap_or(losses.shed).saturating_sub(self.known.shed);
            let lost = losses.lost.saturating_sub(self.known.lost).saturating_add(shed);
            let seen = packets.saturating_sub(self.seen).max(1);
            self.parts = self.parts.saturating_add(lost.saturating_mul(PARTS) / seen);
            self.known = losses;
        }
        self.seen = packets;
    }

    /// Frames of the session that are missing, rounded up: 0 only where none was lost meanwhile.
    pub(super) const fn frames(&self) -> u64 {
        self.parts.div_ceil(PARTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of a session of which every `nth` frame is, where one frame is lost for each that is seen from 1,000 to 2,000.
    fn share(nth: u64) -> u64 {
        let mut losses = Losses::default();
        let mut session = LossesOfSession::new(losses);
        for packet in 1..=3_000 {
            if packet % nth == 0 {
                session.on_segment(losses, packet);
            }
            if (1_000..2_000).contains(&packet) && packet % 10 == 0 {
                losses.lost += 10;
            }
        }
        session.frames()
    }

    #[test]
    fn a_session_bears_its_share() {
        for (nth, few, many) in [(1, 900, 10_001), (10, 90, 1_100), (100, 9, 11), (500, 1, 3)] {
            let share = share(nth);
            assert!((few..=many).contains(&share), "every {nth}th frame: {share}");
        }
    }

    #[test]
    fn what_was_lost_before_it_began_is_not_its_own() {
        let losses = Losses { lost: 1_000, shed: 1_000 };
        let mut session = LossesOfSession::new(losses);
        session.on_segment(losses, 20);
        assert_eq!(session.frames(), 0);
        session.on_segment(Losses { lost: 1_001, ..losses }, 1_000_000);
        assert_eq!(session.frames(), 1, "and what may be, is");
    }

    #[test]
    fn who_is_kept_bears_what_was_shed_before() {
        let shed = |shed| Losses { lost: 0, shed };
        let mut session = LossesOfSession::new(shed(0));
        session.settle(shed(1_000));
        session.on_segment(shed(50_000), 100);
        assert_eq!(session.frames(), 10);
        session.on_segment(shed(90_000), 200);
        assert_eq!(session.frames(), 10);
        session.unsettle();
        session.on_segment(shed(91_000), 300);
        assert_eq!(session.frames(), 20);
    }
}
