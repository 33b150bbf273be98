//! What the sensor itself lost, and what that means for a session.
//!
//! Nobody knows which flows the lost frames belong to. So each frame of a session that was seen stands for as many that were not as
//! the sensor lost for each one that it saw, since the session's frame before: the number to be expected where losses fall
//! on all alike. Bursts are shared out among those who sent meanwhile, and a session that was silent has lost nothing.

use super::Engine;

/// Millionths of a frame.
const PARTS: u64 = 1_000_000;

/// Frames that the sensor lost so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses(u64);

/// The share of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossesOfSession {
    /// Losses that were shared out.
    known: u64,
    /// Frames that the sensor had seen by the session's last.
    seen: u64,
    parts: u64,
}

impl Engine {
    /// The sensor lost frames that lay among those of the last time, before whatever is handled next.
    pub fn note_lost(&mut self, frames: u64) {
        self.losses.0 = self.losses.0.saturating_add(frames);
    }
}

impl LossesOfSession {
    /// Of a session that begins with the segment that comes next.
    pub(super) const fn new(losses: Losses) -> Self {
        Self { known: losses.0, seen: 0, parts: 0 }
    }

    /// A segment, the sensor's `packets`th frame.
    #[inline]
    pub(super) fn on_segment(&mut self, losses: Losses, packets: u64) {
        if losses.0 != self.known {
            let (lost, seen) = (losses.0.saturating_sub(self.known), packets.saturating_sub(self.seen).max(1));
            self.parts = self.parts.saturating_add(lost.saturating_mul(PARTS) / seen);
            self.known = losses.0;
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
                losses.0 += 10;
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
        let losses = Losses(1_000);
        let mut session = LossesOfSession::new(losses);
        session.on_segment(losses, 20);
        assert_eq!(session.frames(), 0);
        session.on_segment(Losses(1_001), 1_000_000);
        assert_eq!(session.frames(), 1, "and what may be, is");
    }
}
