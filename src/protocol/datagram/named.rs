//! A product in the table of families that speaks QUIC or DTLS, named by what its client asks for.
//!
//! *Known*: the name of the host and the application protocols. *Measured*: the round trip to the server, what it takes to sign included;
//! that to the client only where a server of DTLS asks it to show that it can be reached. *Not known*: anything of what follows.

use super::{
    Exchange,
    dtls::{self, Record},
    hello::Parts,
    quic::{self, LongHeader},
};
use crate::{
    cue::Cue,
    flow::{Data, Side},
    protocol::{Standing, families, tls::Offer},
};

/// Datagrams that the rest of what the client asks for may come behind.
const MOST_UNNAMED: u8 = 8;

/// Decoder of one session.
#[derive(Clone, Debug)]
pub struct Named {
    kind: Kind,
    parts: Parts,
    facts: Option<families::Facts>,
    unnamed: u8,
    answered: bool,
    /// The first datagram was read when it was recognised.
    is_read: bool,
    server: Exchange,
    client: Exchange,
}

#[derive(Clone, Debug)]
enum Kind {
    /// With what the server will call the client.
    Quic(Vec<u8>),
    Dtls,
}

/// What became of a datagram that begins like one of them.
#[derive(Debug)]
pub(super) enum Found {
    Session(Box<Named>),
    /// It is one, and of nobody in the table.
    Nobody,
    /// It may be one, and no more may be opened.
    Unread,
    Other,
}

impl Named {
    /// What it allocates at most, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = size_of::<Self>() + Parts::MOST_BYTES + 20;

    pub(super) fn of(bytes: &[u8], len: u32, initials: &mut u8) -> Found {
        let mut parts = Parts::default();
        let kind = match bytes.first() {
            Some(22) => match Record::of(bytes) {
                Some(Record::ClientHello { offset, len, part }) => {
                    dtls::add(&mut parts, offset, len, part);
                    Kind::Dtls
                }
                _ => return Found::Other,
            },
            _ if !quic::is_initial(bytes, len) => return Found::Other,
            _ if *initials == 0 => return Found::Unread,
            _ => {
                *initials -= 1;
                match (quic::open(bytes, len, &mut parts), LongHeader::of(bytes)) {
                    (Some(1..), Some(header)) => Kind::Quic(header.source.to_vec()),
                    _ => return Found::Nobody, // a try costs more than all else: there is one a flow
                }
            }
        };
        let (server, client) = (Exchange::default(), Exchange::default());
        let mut named = Self { kind, parts, facts: None, unnamed: 0, answered: false, is_read: true, server, client };
        if named.look() { Found::Session(Box::new(named)) } else { Found::Nobody }
    }

    /// Reads what there is; whether it is or may become somebody's.
    fn look(&mut self) -> bool {
        let offer = Offer::of_message(self.parts.beginning(), matches!(self.kind, Kind::Dtls));
        if let Some(mark) = families::mark_of(&offer) {
            self.facts = Some(families::Facts { mark, tls: Some(offer.facts()), name: None });
            self.parts = Parts::default();
            return true;
        }
        !offer.whole && offer.server_name.is_none()
    }

    pub(super) const fn standing(&self) -> Standing {
        match (&self.facts, self.answered) {
            (None, _) if self.unnamed >= MOST_UNNAMED => Standing::NotOurs,
            (None, _) => Standing::Candidate,
            (Some(_), false) => Standing::OneSide,
            (Some(_), true) => Standing::Both,
        }
    }

    pub(super) fn facts(&self) -> Option<families::Facts> {
        self.facts.clone()
    }

    pub(super) fn on_datagram(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (&self.kind, side) {
            (Kind::Quic(_), Side::Client) => self.on_initial(data),
            (Kind::Quic(id), Side::Server) => {
                let is_answer = LongHeader::of(data.bytes).is_some_and(|header| header.destination == id);
                if is_answer && !self.answered {
                    self.answered = true;
                    self.server.answer(Side::Server, data.time, cues);
                }
            }
            (Kind::Dtls, _) => self.on_record(side, data, cues),
        }
        if self.facts.is_none() {
            self.unnamed = self.unnamed.saturating_add(1);
        }
    }

    fn on_initial(&mut self, data: &Data<'_>) {
        if std::mem::take(&mut self.is_read) {
            self.server.ask(data.time);
        } else if self.facts.is_none() {
            match quic::open(data.bytes, data.len, &mut self.parts) {
                Some(0) => self.server.ask(data.time),
                Some(_) if !self.look() => self.unnamed = MOST_UNNAMED,
                _ => {}
            }
        } else if !self.answered {
            // The rest of what was asked, or the same again: which of the two is not looked at.
            self.server.ask(data.time);
        }
    }

    fn on_record(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (side, Record::of(data.bytes)) {
            (Side::Client, Some(Record::ClientHello { offset, len, part })) => {
                if offset == 0 {
                    if dtls::has_cookie(part) {
                        self.client.answer(Side::Client, data.time, cues);
                    }
                    self.server.ask(data.time);
                }
                let is_read = std::mem::take(&mut self.is_read);
                if self.facts.is_none() && !is_read && dtls::add(&mut self.parts, offset, len, part) && !self.look() {
                    self.unnamed = MOST_UNNAMED;
                }
            }
            (Side::Server, Some(record @ (Record::VerifyRequest | Record::ServerHello))) => {
                self.answered = true;
                self.server.answer(Side::Server, data.time, cues);
                if record == Record::VerifyRequest {
                    self.client.ask(data.time);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
