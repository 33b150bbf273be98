//! Sessions over UDP: told by their first datagrams, and let go of by them.
//!
//! *Known*: what stands in clear in front of what is encrypted: magic numbers, lengths, counters, and who spoke first.
//! *Measured*: round trips of handshakes that a program answers by itself. *Not known*: keys. A datagram says nothing of those that were
//! lost unless the protocol counts in clear; none is put together from several.

mod dns;
mod family;
mod mosh;
mod rdp;

use self::{family::Answered, mosh::Mosh, rdp::RdpUdp};
pub use self::{
    mosh::Facts as MoshFacts,
    rdp::{Facts as RdpFacts, Version as RdpVersion},
};
use super::Standing;
use crate::{
    cue::Cue,
    flow::{Data, Side},
    protocol::{Facts, families},
};

/// Decoder of one session, both directions.
#[derive(Clone, Debug)]
pub enum Datagrams {
    /// mosh.
    Mosh(Mosh),
    /// RDP's second transport.
    Rdp(RdpUdp),
    /// A product in the table of families.
    Family(Answered),
    /// A name of a product in the table of families, in DNS.
    Name(Box<families::Facts>),
}

/// What the first datagram that says something says.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// Who reads on, this datagram included.
    pub decoder: Datagrams,
    /// Who sent it, where it tells.
    pub sender: Option<Side>,
    /// Whether something went before it.
    pub midstream: bool,
}

/// Whether a datagram can be of a session. `len` is its length on the wire, `ports` are those that it goes from and to.
#[must_use]
pub fn recognise(bytes: &[u8], len: u32, ports: [u16; 2]) -> Option<Recognised> {
    if ports.iter().any(|port| dns::PORTS.contains(port)) {
        let facts = dns::product(bytes, ports.contains(&dns::MULTICAST_PORT))?;
        return Some(Recognised { decoder: Datagrams::Name(Box::new(facts)), sender: None, midstream: false });
    }
    let family = || {
        let (decoder, sender, midstream) = Answered::of(bytes, len)?;
        Some(Recognised { decoder: Datagrams::Family(decoder), sender, midstream })
    };
    let rdp = || {
        let sender = RdpUdp::begun_by(bytes)?;
        let midstream = sender == Side::Server;
        Some(Recognised { decoder: Datagrams::Rdp(RdpUdp::default()), sender: Some(sender), midstream })
    };
    let mosh = || {
        let nonce = mosh::Nonce::of(bytes, len)?;
        let midstream = nonce.count > 0;
        Some(Recognised { decoder: Datagrams::Mosh(Mosh::default()), sender: Some(nonce.sender), midstream })
    };
    match bytes.first()? {
        0 | 0x80 => mosh().or_else(family),
        0xff => rdp().or_else(family),
        _ => family(),
    }
}

/// Whether a flow with these ports carries one message after another that has nothing to do with the one before: each is looked at.
#[must_use]
pub fn is_announcing(ports: [u16; 2]) -> bool {
    ports == [dns::MULTICAST_PORT; 2]
}

impl Datagrams {
    /// How sure it is that the session is what it was recognised as.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self {
            Self::Mosh(mosh) => mosh.standing(),
            Self::Rdp(rdp) => rdp.standing(),
            Self::Family(family) => family.standing(),
            Self::Name(_) => Standing::OneSide,
        }
    }

    /// Whether what was said shows who is who.
    #[must_use]
    pub const fn roles_known(&self) -> bool {
        match self {
            Self::Mosh(_) | Self::Rdp(_) => true,
            Self::Family(family) => family.roles_known(),
            Self::Name(_) => false,
        }
    }

    /// What was read in clear.
    #[must_use]
    pub fn facts(&self) -> Facts {
        match self {
            Self::Mosh(mosh) => Facts::Mosh(mosh.facts()),
            Self::Rdp(rdp) => Facts::RdpUdp(Box::new(rdp.facts())),
            Self::Family(family) => Facts::Family(Box::new(family.facts())),
            Self::Name(facts) => Facts::Family(facts.clone()),
        }
    }

    /// Takes the next datagram of one side.
    pub fn on_datagram(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match self {
            Self::Mosh(mosh) => mosh.on_datagram(side, data),
            Self::Rdp(rdp) => rdp.on_datagram(side, data, cues),
            Self::Family(family) => family.on_datagram(side, data, cues),
            Self::Name(_) => {}
        }
    }
}

/// A question and its answer, each sent once: one that was sent again tells nothing of the round trip (Karn and Partridge, 1987).
#[derive(Clone, Copy, Debug, Default)]
struct Exchange {
    asked: Option<crate::time::Timestamp>,
    again: bool,
}

impl Exchange {
    /// The question passed.
    fn ask(&mut self, time: crate::time::Timestamp) {
        self.again = self.asked.is_some();
        self.asked = Some(time);
    }

    /// The answer passed; the round trip where it is one.
    fn answer(&mut self, side: Side, time: crate::time::Timestamp, cues: &mut Vec<Cue>) {
        if let Some(asked) = self.asked.take()
            && !self.again
            && time >= asked
        {
            cues.push(Cue::RoundTrip { side, rtt: time - asked });
        }
        self.again = false;
    }
}

#[cfg(test)]
mod tests;
