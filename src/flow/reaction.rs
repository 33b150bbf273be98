//! What a client's program sends by itself when something of its server's came: QUIC and SCTP confirm in datagrams that look like any other.

use super::Side;
use crate::time::{Span, Timestamp};

/// How long behind a server's datagram one follows that confirms it: between a round trip to the client, and that and its program's delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// At least.
    pub least: Span,
    /// At most.
    pub most: Span,
}

impl Reaction {
    /// Whether what came so long behind a server's datagram is one.
    #[must_use]
    pub fn holds(self, lag: Span) -> bool {
        (self.least..=self.most).contains(&lag)
    }
}

/// Tells them apart, one datagram after another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reactions {
    reaction: Option<Reaction>,
    /// When the server spoke, as long as its client has not.
    spoken: Option<Timestamp>,
}

impl Reactions {
    /// Of a flow whose client's program confirms like this, if it does.
    #[must_use]
    pub const fn new(reaction: Option<Reaction>) -> Self {
        Self { reaction, spoken: None }
    }

    /// How its client's program confirms.
    #[must_use]
    pub const fn known(&self) -> Option<Reaction> {
        self.reaction
    }

    /// Whether the next datagram is one.
    pub fn take(&mut self, side: Side, time: Timestamp) -> bool {
        match side {
            Side::Server => {
                self.spoken = Some(time);
                false
            }
            Side::Client => {
                let lag = self.spoken.take().map(|spoken| time - spoken);
                lag.zip(self.reaction).is_some_and(|(lag, reaction)| reaction.holds(lag))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_follows_in_time_is_one() {
        let ms = Span::from_millis;
        let mut reactions = Reactions::new(Some(Reaction { least: ms(27), most: ms(60) }));
        let mut take = |side, at| reactions.take(side, Timestamp::from_nanos(0) + ms(at));
        assert!(!take(Side::Client, 0) && !take(Side::Server, 1));
        assert!(take(Side::Client, 31) && !take(Side::Client, 32), "one for each turn");
        assert!(!take(Side::Server, 100) && !take(Side::Client, 110) && !take(Side::Server, 120) && !take(Side::Client, 190));
        assert!(!Reactions::default().take(Side::Client, Timestamp::from_nanos(0)));
    }
}
