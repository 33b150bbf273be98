//! The first records of a DTLS 1.0, 1.2 or 1.3 connection, which are in clear (RFC 6347 §4.1, §4.2.2; RFC 9147 §5.3).

use super::hello::Parts;
use crate::protocol::bytes::Bytes;

const HANDSHAKE: u8 = 22;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;

/// What the first record of a datagram begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    ClientHello {
        offset: usize,
        len: u32,
        part: &'a [u8],
    },
    /// The server asks the client to show that it can be reached.
    VerifyRequest,
    ServerHello,
}

impl<'a> Record<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let (kind, version, epoch) = (rest.u8()?, rest.u16()?, rest.u16()?);
        if kind != HANDSHAKE || !matches!(version, 0xfeff | 0xfefd) || epoch != 0 {
            return None;
        }
        rest.take(6)?; // number
        let record = usize::from(rest.u16()?);
        let (kind, len) = (rest.u8()?, rest.u24()?);
        rest.u16()?; // number of the message
        let (offset, part) = (rest.u24()?, rest.u24()?);
        if part > len || offset > len - part || (part as usize).checked_add(12)? > record {
            return None;
        }
        match kind {
            CLIENT_HELLO => Some(Self::ClientHello { offset: offset as usize, len, part: rest.take(part as usize)? }),
            SERVER_HELLO => Some(Self::ServerHello),
            HELLO_VERIFY_REQUEST => Some(Self::VerifyRequest),
            _ => None,
        }
    }
}

/// Puts a fragment where it would stand in a message of TLS. Whether it is new.
pub(super) fn add(parts: &mut Parts, offset: usize, len: u32, part: &[u8]) -> bool {
    let [_, len @ ..] = len.to_be_bytes();
    parts.add(0, &[&[CLIENT_HELLO], &len[..]].concat());
    parts.add(4 + offset, part)
}

/// Whether a client's first fragment shows that it was asked to (RFC 6347 §4.2.1).
pub(super) fn has_cookie(part: &[u8]) -> bool {
    let mut rest = Bytes(part);
    rest.take(2 + 32); // version, random
    rest.part8(); // session identifier
    rest.part8().is_some_and(|cookie| !cookie.0.is_empty())
}
