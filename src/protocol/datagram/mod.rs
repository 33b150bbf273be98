//! Sessions over UDP: told by their first datagrams, and let go of by them.
//!
//! *Known*: what stands in clear in front of what is encrypted: magic numbers, lengths, counters, and who spoke first.
//! *Measured*: round trips of handshakes that a program answers by itself. *Not known*: keys. A datagram says nothing of those that were
//! lost unless the protocol counts in clear; none is put together from several but what a client asks for in QUIC and DTLS.

mod dns;
mod dtls;
mod family;
mod hello;
mod mosh;
mod named;
mod quic;
mod rdp;

use self::{
    family::Answered,
    mosh::Mosh,
    named::{Found, Named},
    rdp::RdpUdp,
};
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
    /// One that is named by what it asks for in QUIC or DTLS.
    Named(Box<Named>),
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

/// Why a datagram shows no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It is nothing that is known; one behind it may be.
    Datagram,
    /// The flow is something else for certain.
    Flow,
    /// It may be one, and too many that may be were read already.
    Unread,
}

/// Whether a datagram can be of a session. `len` is its length on the wire, `ports` are those that it goes from and to; `initials` is how
/// many first packets of QUIC may be opened still, each of which costs as much as a hundred other datagrams.
///
/// # Errors
/// Where it shows none.
pub fn recognise(bytes: &[u8], len: u32, ports: [u16; 2], initials: &mut u8) -> Result<Recognised, Miss> {
    if ports.iter().any(|port| dns::PORTS.contains(port)) {
        let facts = dns::product(bytes, ports.contains(&dns::MULTICAST_PORT)).ok_or(Miss::Datagram)?;
        return Ok(Recognised { decoder: Datagrams::Name(Box::new(facts)), sender: None, midstream: false });
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
    let found = match bytes.first() {
        Some(0 | 0x80) => mosh().or_else(family),
        Some(0xff) => rdp().or_else(family),
        // A handshake of DTLS, an Initial of QUIC in either of its versions.
        Some(22 | 0xc0..=0xdf) => return family().map_or_else(|| named(bytes, len, initials), Ok),
        _ => family(),
    };
    found.ok_or(Miss::Datagram)
}

fn named(bytes: &[u8], len: u32, initials: &mut u8) -> Result<Recognised, Miss> {
    match Named::of(bytes, len, initials) {
        Found::Session(named) => {
            Ok(Recognised { decoder: Datagrams::Named(named), sender: Some(Side::Client), midstream: false })
        }
        Found::Nobody => Err(Miss::Flow),
        Found::Unread => Err(Miss::Unread),
        Found::Other => Err(Miss::Datagram),
    }
}

/// Whether a flow with these ports carries one message after another that has nothing to do with the one before: each is looked at.
#[must_use]
pub fn is_announcing(ports: [u16; 2]) -> bool {
    ports == [dns::MULTICAST_PORT; 2]
}

impl Datagrams {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Self>() + Named::MOST_BYTES;

    /// How sure it is that the session is what it was recognised as.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self {
            Self::Mosh(mosh) => mosh.standing(),
            Self::Rdp(rdp) => rdp.standing(),
            Self::Family(family) => family.standing(),
            Self::Named(named) => named.standing(),
            Self::Name(_) => Standing::OneSide,
        }
    }

    /// Whether what was said shows who is who.
    #[must_use]
    pub const fn roles_known(&self) -> bool {
        match self {
            Self::Mosh(_) | Self::Rdp(_) | Self::Named(_) => true,
            Self::Family(family) => family.roles_known(),
            Self::Name(_) => false,
        }
    }

    /// What was read in clear; `None` as long as it is not known whose it is.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        Some(match self {
            Self::Mosh(mosh) => Facts::Mosh(mosh.facts()),
            Self::Rdp(rdp) => Facts::RdpUdp(Box::new(rdp.facts())),
            Self::Family(family) => Facts::Family(Box::new(family.facts())),
            Self::Named(named) => Facts::Family(Box::new(named.facts()?)),
            Self::Name(facts) => Facts::Family(facts.clone()),
        })
    }

    /// Takes the next datagram of one side.
    pub fn on_datagram(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match self {
            Self::Mosh(mosh) => mosh.on_datagram(side, data),
            Self::Rdp(rdp) => rdp.on_datagram(side, data, cues),
            Self::Family(family) => family.on_datagram(side, data, cues),
            Self::Named(named) => named.on_datagram(side, data, cues),
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
