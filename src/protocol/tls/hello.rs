//! ClientHello and ServerHello (RFC 8446 §4.1, 5246 §7.4.1).

use super::{Certificates, Facts};
use crate::protocol::bytes::Bytes;

pub(super) const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_STATUS: u8 = 22;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const ENCRYPT_THEN_MAC: u16 = 22;
const SUPPORTED_VERSIONS: u16 = 43;

/// Names kept of an offer, and bytes kept of each.
const MAX_NAMES: usize = 8;
const MAX_NAME: usize = 255;

/// What a client says first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) server_name: Option<Vec<u8>>,
    pub(super) alpn: Vec<Vec<u8>>,
}

/// What a server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerHello {
    /// From the field that TLS 1.3 froze.
    legacy_version: u16,
    supported_version: Option<u16>,
    pub(super) suite: u16,
    /// RFC 7366.
    pub(super) encrypt_then_mac: bool,
}

impl ClientHello {
    /// Reads the handshake message, its four-byte header first.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut rest = body(message, CLIENT_HELLO)?;
        rest.take(2 + 32)?;
        rest.part8()?; // session identifier
        rest.part16()?; // cipher suites
        rest.part8()?; // compression methods
        let mut hello = Self::default();
        for_each_extension(rest, |kind, mut data| match kind {
            SERVER_NAME => hello.server_name = host_name(data),
            ALPN => {
                let Some(mut names) = data.part16() else { return };
                while let Some(name) = names.part8().filter(|_| hello.alpn.len() < MAX_NAMES) {
                    hello.alpn.push(name.0.to_vec());
                }
            }
            _ => {}
        });
        Some(hello)
    }
}

/// What the first segment of a client shows of its offer, without a copy: for flows that are most often of no interest.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Offer<'a> {
    /// The name that it asks for.
    pub(in crate::protocol) server_name: Option<&'a [u8]>,
    alpn: &'a [u8],
    /// Nothing more of the offer comes: it was read to its end, or all of it is there and makes no sense.
    pub(in crate::protocol) whole: bool,
    /// It was read to its end.
    pub(in crate::protocol) read: bool,
}

impl<'a> Offer<'a> {
    /// Of bytes that begin with a TLS record; what lies behind the record is passed over.
    pub(in crate::protocol) fn of(bytes: &'a [u8]) -> Self {
        let mut offer = Self::default();
        offer.read = offer.read(Bytes(bytes)).is_some();
        offer.whole = offer.read || Self::is_all_there(bytes);
        offer
    }

    /// Of the beginning of a message itself, its four-byte header first; that of DTLS has a cookie in it (RFC 6347 §4.2.1).
    pub(in crate::protocol) fn of_message(bytes: &'a [u8], has_cookie: bool) -> Self {
        let mut offer = Self::default();
        let mut message = Bytes(bytes);
        let len = if message.u8() == Some(CLIENT_HELLO) { message.u24() } else { None };
        let is_all_there = len.map_or(!bytes.is_empty(), |len| message.0.len() >= len as usize);
        offer.read = message.take(2 + 32).and_then(|_| offer.read_lists(message, has_cookie)).is_some();
        offer.whole = offer.read || is_all_there;
        offer
    }

    /// What of it is kept.
    pub(in crate::protocol) fn facts(&self) -> Facts {
        let kept = |name: &[u8]| name.iter().take(MAX_NAME).copied().collect();
        Facts {
            server_name: self.server_name.map(kept),
            alpn: self.alpn().take(MAX_NAMES).map(kept).collect(),
            ..Facts::default()
        }
    }

    /// Whether the record that the bytes begin with holds all of its message, and was seen to the end of that.
    fn is_all_there(bytes: &[u8]) -> bool {
        let Some(&[_, _, _, record0, record1, _, len0, len1, len2]) = bytes.first_chunk() else { return false };
        let message = 4 + u32::from_be_bytes([0, len0, len1, len2]) as usize;
        message <= usize::from(u16::from_be_bytes([record0, record1])) && bytes.len() - 5 >= message
    }

    /// The application protocols that it offers.
    pub(in crate::protocol) fn alpn(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut names = Bytes(self.alpn);
        std::iter::from_fn(move || names.part8().map(|name| name.0))
    }

    fn read(&mut self, mut rest: Bytes<'a>) -> Option<()> {
        rest.take(5 + 4 + 2 + 32)?; // heads of record and message, version, random
        self.read_lists(rest, false)
    }

    fn read_lists(&mut self, mut rest: Bytes<'a>, has_cookie: bool) -> Option<()> {
        rest.part8()?; // session identifier
        if has_cookie {
            rest.part8()?;
        }
        rest.part16()?; // cipher suites
        rest.part8()?; // compression methods
        let mut left = usize::from(rest.u16()?);
        while left > 0 {
            let (kind, len) = (rest.u16()?, rest.u16()?);
            let mut data = Bytes(rest.take(usize::from(len))?);
            left = left.saturating_sub(4 + usize::from(len));
            match kind {
                SERVER_NAME => {
                    let mut list = data.part16()?;
                    list.u8()?;
                    self.server_name = Some(list.part16()?.0);
                }
                ALPN => self.alpn = data.part16()?.0,
                _ => {}
            }
        }
        Some(())
    }
}

impl ServerHello {
    /// Reads the handshake message, its four-byte header first.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut rest = body(message, SERVER_HELLO)?;
        let legacy_version = rest.u16()?;
        rest.take(32)?;
        rest.part8()?; // session identifier
        let suite = rest.u16()?;
        rest.u8()?; // compression method
        let mut hello = Self { legacy_version, suite, ..Self::default() };
        for_each_extension(rest, |kind, mut data| match kind {
            SUPPORTED_VERSIONS => hello.supported_version = data.u16(),
            ENCRYPT_THEN_MAC => hello.encrypt_then_mac = true,
            _ => {}
        });
        Some(hello)
    }

    /// The version that was agreed on.
    pub(super) fn version(&self) -> u16 {
        self.supported_version.unwrap_or(self.legacy_version)
    }
}

/// The body of a message of this kind, once it is whole.
fn body(message: &[u8], kind: u8) -> Option<Bytes<'_>> {
    let mut rest = Bytes(message);
    if rest.u8()? != kind {
        return None;
    }
    let len = rest.u24()?;
    rest.take(len as usize).map(Bytes)
}

fn for_each_extension(mut rest: Bytes<'_>, mut each: impl FnMut(u16, Bytes<'_>)) {
    let Some(mut extensions) = rest.part16() else { return };
    while let (Some(kind), Some(data)) = (extensions.u16(), extensions.part16()) {
        each(kind, data);
    }
}

/// The first host name of a list (RFC 6066 §3).
fn host_name(mut data: Bytes<'_>) -> Option<Vec<u8>> {
    let mut list = data.part16()?;
    let kind = list.u8()?;
    let name = list.part16()?.0;
    (kind == 0).then(|| name.iter().take(MAX_NAME).copied().collect())
}

/// The message with certificates (11) among those of a server's handshake, of which so many bytes are kept at most; behind it come others, and at
/// the end 14 (RFC 5246 §7.4).
pub(super) fn certificates(handshake: &[u8], most: usize) -> Certificates<'_> {
    let mut rest = Bytes(handshake);
    while let Some((kind, body)) = rest.u8().zip(rest.u24().and_then(|len| rest.take(len as usize))) {
        match kind {
            CERTIFICATE => return Certificates::Shown(body),
            SERVER_HELLO | CERTIFICATE_STATUS => {}
            _ => return Certificates::Hidden, // it comes before all of those
        }
    }
    if handshake.len() >= most { Certificates::Hidden } else { Certificates::NotYet }
}
