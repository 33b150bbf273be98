//! Products for remote access, IP-KVMs and VPN carriers, recognised by what they say first: the name that a client asks for in
//! TLS, QUIC or DTLS, the application protocol that it offers, or first bytes of their own. What those are, and how each is known, is data:
//! `families.toml`.
//!
//! *Known*: that the client asked for such a host, or spoke such a protocol, and to whom. *Not known*: who controls whom, and what is
//! typed. A mark names what a connection belongs to; it accuses nobody.

mod datagram;
mod table;

use serde::{Deserialize, Serialize};

use self::table::TABLE;
pub use self::{
    datagram::{DatagramMark, Turn},
    table::{Confidence, Kind, Mark, Status},
};
use super::{
    Standing,
    tls::{self, Certificates, Offer, Tls},
};
use crate::flow::{Data, Side};

/// Bytes of a side that are kept until it is known what they begin.
const MOST_KEPT: usize = 64;

/// What was read of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What it was recognised by.
    #[serde(with = "table::by_name")]
    pub mark: &'static Mark,
    /// What TLS said, where there is any.
    pub tls: Option<tls::Facts>,
    /// The device's name, where DNS named it.
    pub name: Option<Vec<u8>>,
}

/// The mark that a datagram shows, and whose turn that is. `len` is its length on the wire.
#[must_use]
pub fn datagram_mark(bytes: &[u8], len: u32) -> Option<(&'static DatagramMark, Turn)> {
    TABLE.datagram(bytes, len)
}

/// The mark of a device that a name in DNS is.
#[must_use]
pub fn device_name(name: &[u8]) -> Option<&'static Mark> {
    TABLE.device_name(name)
}

/// Decoder of one session, both directions.
#[derive(Clone, Debug, Default)]
pub struct Families {
    mark: Option<&'static Mark>,
    tls: Option<Box<Tls>>,
    kept: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It may still be one.
    #[default]
    Open,
    /// Nothing more is read.
    Settled,
    NotOurs,
}

impl Families {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = size_of::<Self>() + size_of::<Tls>() + Tls::MOST_BYTES + 4 * MOST_KEPT;

    /// Whether a side that begins like this is of a family, or can be once more of it is seen.
    #[must_use]
    pub fn may_begin(bytes: &[u8], side: Side) -> bool {
        if side == Side::Client && tls::may_begin(bytes) {
            let offer = Offer::of(bytes);
            // Whoever asks for no name may be told by the server's certificate.
            return mark_of(&offer).is_some() || (offer.server_name.is_none() && (offer.read || !offer.whole));
        }
        bytes.len() > 1 && TABLE.may_begin(side, bytes)
    }

    /// How sure it is that this is one.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match (self.state, self.mark) {
            (State::NotOurs, _) => Standing::NotOurs,
            (_, Some(_)) => Standing::OneSide,
            (_, None) => Standing::Candidate,
        }
    }

    /// What was read; `None` as long as no mark was.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        Some(Facts { mark: self.mark?, tls: self.tls.as_ref().map(|tls| tls.facts()), name: None })
    }

    /// Takes the next bytes of one side.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>) {
        if self.state != State::Open {
            return;
        }
        if self.tls.is_none() && self.kept.is_empty() && side == Side::Client && tls::may_begin(data.bytes) {
            let tls = self.tls.insert(Box::default());
            tls.keep_certificates(); // of whoever asks for no name
        }
        match &mut self.tls {
            Some(tls) => {
                tls.on_data(side, data, |_| {});
                let facts = tls.facts();
                if side == Side::Client && self.mark.is_none() {
                    self.mark = facts.alpn.iter().find_map(|alpn| TABLE.alpn(alpn));
                    self.mark = self.mark.or_else(|| TABLE.server_name(facts.server_name.as_deref()?));
                }
                let refused = match (side, tls.is_broken(Side::Client)) {
                    (_, true) => true,
                    (Side::Client, _) => tls.has_offered() && facts.server_name.is_some(),
                    (Side::Server, _) => match tls.certificates() {
                        Certificates::NotYet => tls.is_broken(Side::Server) || facts.server_name.is_some() || !tls.has_offered(),
                        Certificates::Shown(certificates) => {
                            self.mark = self.mark.or_else(|| TABLE.certificate(certificates));
                            true
                        }
                        Certificates::Hidden => true,
                    },
                };
                if self.mark.is_none() && refused {
                    self.state = State::NotOurs;
                } else if self.mark.is_some() && (facts.version.is_some() || tls.is_broken(Side::Server)) {
                    self.state = State::Settled;
                }
            }
            None => self.on_first_bytes(side, data.bytes),
        }
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self) {
        self.state = if self.mark.is_some() { State::Settled } else { State::NotOurs };
    }

    fn on_first_bytes(&mut self, side: Side, bytes: &[u8]) {
        self.kept.extend(bytes.iter().take(MOST_KEPT));
        if let Some(mark) = TABLE.first_bytes(side, &self.kept) {
            self.mark = Some(mark);
            self.state = State::Settled;
            self.kept = Vec::new();
        } else if !TABLE.may_begin(side, &self.kept) {
            self.state = State::NotOurs;
        }
    }
}

/// The mark that an offer in TLS, QUIC or DTLS shows.
pub(super) fn mark_of(offer: &Offer<'_>) -> Option<&'static Mark> {
    let alpn = offer.alpn().find_map(|alpn| TABLE.alpn(alpn));
    alpn.or_else(|| TABLE.server_name(offer.server_name?))
}

#[cfg(test)]
mod tests;
