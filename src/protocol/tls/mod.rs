//! TLS (RFC 8446, 5246) as far as an observer sees it: the two hello messages in clear, and after them the length, the
//! kind and the time of every record.
//!
//! *Known*: versions, server name, application protocols, cipher suite. *Inferred*: how long the content of an encrypted
//! record is, from the suite: exactly for AEAD suites and RC4, to a block for CBC. Whoever uses this gives it the bytes
//! from the first TLS record on.

mod hello;
mod records;
mod sizes;

pub(super) use self::hello::Offer;
use serde::{Deserialize, Serialize};

use self::{
    hello::{ClientHello, ServerHello},
    records::Framer,
    sizes::Sizes,
};
pub use self::{records::Record, sizes::Content};
use crate::flow::{Data, PerSide, Side};

/// What the hello messages said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The version that the server chose, such as 0x0303 for TLS 1.2.
    pub version: Option<u16>,
    /// The cipher suite that the server chose.
    pub suite: Option<u16>,
    /// The name that the client asked for; hostile until escaped.
    pub server_name: Option<Vec<u8>>,
    /// The application protocols that the client offers; hostile until escaped.
    pub alpn: Vec<Vec<u8>>,
}

const TLS_1_3: u16 = 0x0304;

/// The name of a protocol version.
#[must_use]
pub const fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        _ => return None,
    })
}

/// Whether a client can begin TLS like this: with the head of a handshake record that holds a ClientHello.
#[must_use]
pub fn may_begin(bytes: &[u8]) -> bool {
    match *bytes {
        [22] | [22, 3] | [22, 3, _] | [22, 3, _, _] | [22, 3, _, _, _] => true,
        [22, 3, _, _, _, kind, ..] => kind == hello::CLIENT_HELLO,
        _ => false,
    }
}

/// Reader of both directions of one TLS connection.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    framers: PerSide<Framer>,
    client: Option<ClientHello>,
    server: Option<ServerHello>,
    /// Whether the server's handshake is kept behind its hello.
    keeps_certificates: bool,
}

/// What the server shows, as long as TLS shows it in clear (before 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificates<'a> {
    /// It may still come.
    NotYet,
    /// This message (RFC 5246 §7.4.2).
    Shown(&'a [u8]),
    /// None, or none that can be seen.
    Hidden,
}

impl Tls {
    /// What it allocates at most, in bytes: a hello of each side.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = 2 * records::MOST_BYTES;

    /// Takes the next bytes of one side and hands on the records that end in them.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, mut emit: impl FnMut(Record)) {
        let framer = self.framers.get_mut(side);
        framer.push(data, &mut emit);
        let Some(hello) = framer.hello() else { return };
        let read = match side {
            Side::Client => {
                self.client = ClientHello::parse(hello);
                self.client.is_some()
            }
            Side::Server if self.keeps_certificates => {
                self.server = self.server.take().or_else(|| ServerHello::parse(hello));
                false
            }
            Side::Server => {
                self.server = ServerHello::parse(hello);
                self.server.is_some()
            }
        };
        if read {
            framer.drop_hello();
        }
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self, side: Side) {
        self.framers.get_mut(side).on_gap();
    }

    /// Whether what came of this side so far can be TLS.
    #[must_use]
    pub const fn is_broken(&self, side: Side) -> bool {
        self.framers.get(side).is_broken()
    }

    /// Keeps what the server shows of itself, up to 8 KiB; to be said before it speaks.
    pub const fn keep_certificates(&mut self) {
        self.keeps_certificates = true;
    }

    /// What it shows.
    #[must_use]
    pub fn certificates(&self) -> Certificates<'_> {
        let is_hidden = self.server.as_ref().is_some_and(|server| server.version() >= TLS_1_3);
        match self.framers.server.hello().filter(|_| !is_hidden) {
            Some(handshake) => hello::certificates(handshake, records::MAX_HELLO),
            None if is_hidden || self.framers.server.has_passed_hello() => Certificates::Hidden,
            None => Certificates::NotYet,
        }
    }

    /// Whether all that the client offers was read.
    #[must_use]
    pub const fn has_offered(&self) -> bool {
        self.client.is_some()
    }

    /// How long the content of an encrypted record of this length is; `None` where the suite is not known.
    #[must_use]
    pub fn content(&self, record_len: u32) -> Option<Content> {
        let server = self.server.as_ref()?;
        Sizes::of(server.suite, server.version(), server.encrypt_then_mac)?.content(record_len)
    }

    /// What the hello messages said.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            version: self.server.as_ref().map(ServerHello::version),
            suite: self.server.as_ref().map(|server| server.suite),
            server_name: self.client.as_ref().and_then(|client| client.server_name.clone()),
            alpn: self.client.as_ref().map(|client| client.alpn.clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
