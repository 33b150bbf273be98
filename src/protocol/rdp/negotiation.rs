//! The first two messages: X.224 connection request and confirm in TPKT (MS-RDPBCGR §2.2.1.1, §2.2.1.2; RFC 1006, 2126).

use serde::{Deserialize, Serialize};

use crate::protocol::bytes::Bytes;

/// Longest first message: a routing token may be long.
pub(super) const MAX_FIRST: usize = 4 * 1024;

const TPKT: u8 = 3;
const CONNECTION_REQUEST: u8 = 0xe0;
const CONNECTION_CONFIRM: u8 = 0xd0;

/// Bytes of the TPKT header.
const TPKT_HEADER: usize = 4;

/// Kinds of negotiation structures.
const NEGOTIATION_REQUEST: u8 = 1;
const NEGOTIATION_RESPONSE: u8 = 2;
const NEGOTIATION_FAILURE: u8 = 3;
const CORRELATION: u8 = 6;

/// What the client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// The user's name, or what there is room for of it.
    pub(super) cookie: Option<Vec<u8>>,
    /// What a load balancer gave it, up to the line end.
    pub(super) routing_token: Option<Vec<u8>>,
    /// Bits of the security protocols; `None` for a client that does not negotiate.
    pub(super) protocols: Option<u32>,
}

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It does not negotiate: RDP's own security.
    Silent,
    /// The security protocol that it chose: 0 RDP's own, 1 TLS, 2 CredSSP, 4 RDSTLS, 8 CredSSP with early authorisation,
    /// 16 Azure AD.
    Selected(u32),
    /// Why it cannot agree (MS-RDPBCGR §2.2.1.2.2).
    Failed(u32),
}

/// The name of one security protocol, 0 for RDP's own; `None` where none is known.
#[must_use]
pub const fn security_protocol_name(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "rdp",
        1 => "tls",
        2 => "hybrid",
        4 => "rdstls",
        8 => "hybrid_ex",
        16 => "rdsaad",
        _ => return None,
    })
}

/// Why a server refused (MS-RDPBCGR §2.2.1.2.2); `None` where the number is not known.
#[must_use]
pub const fn failure_name(code: u32) -> Option<&'static str> {
    Some(match code {
        1 => "ssl_required_by_server",
        2 => "ssl_not_allowed_by_server",
        3 => "ssl_cert_not_on_server",
        4 => "inconsistent_flags",
        5 => "hybrid_required_by_server",
        6 => "ssl_with_user_auth_required_by_server",
        _ => return None,
    })
}

/// What came of looking for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// It may yet come.
    NotYet,
    /// The message and its length in bytes.
    Whole(T, usize),
    /// Something else.
    NotOurs,
}

/// Reads a connection request at the beginning of a stream.
pub(super) fn request(bytes: &[u8]) -> Found<Request> {
    whole(bytes, CONNECTION_REQUEST, parse_request)
}

/// Reads a connection confirm at the beginning of a stream.
pub(super) fn answer(bytes: &[u8]) -> Found<Answer> {
    whole(bytes, CONNECTION_CONFIRM, |mut rest| match rest.u8() {
        None => Some(Answer::Silent),
        Some(NEGOTIATION_RESPONSE) => structure(&mut rest).map(Answer::Selected),
        Some(NEGOTIATION_FAILURE) => structure(&mut rest).map(Answer::Failed),
        Some(_) => None,
    })
}

/// Whether a stream that begins so can be that of a client.
pub(in crate::protocol) fn may_begin(bytes: &[u8]) -> bool {
    !matches!(request(bytes), Found::NotOurs)
}

fn whole<T>(bytes: &[u8], kind: u8, parse: impl FnOnce(Bytes<'_>) -> Option<T>) -> Found<T> {
    let known = [(0, TPKT), (1, 0), (5, kind)];
    if known.into_iter().any(|(at, value)| bytes.get(at).is_some_and(|byte| *byte != value)) {
        return Found::NotOurs;
    }
    let mut rest = Bytes(bytes);
    let Some(len) = rest.take(2).and_then(|_| rest.u16()).map(usize::from) else { return Found::NotYet };
    if len > MAX_FIRST {
        return Found::NotOurs;
    }
    let Some(message) = bytes.get(..len.max(TPKT_HEADER)) else { return Found::NotYet };
    let mut rest = Bytes(message);
    rest.take(TPKT_HEADER);
    // The length of what follows, the code, two references, a class.
    let parsed = rest.u8().and_then(|indicator| {
        let whole = usize::from(indicator) + TPKT_HEADER + 1 == len;
        rest.take(6).filter(|_| whole)?;
        parse(rest)
    });
    parsed.map_or(Found::NotOurs, |parsed| Found::Whole(parsed, len))
}

fn parse_request(mut rest: Bytes<'_>) -> Option<Request> {
    let mut request = Request::default();
    if !rest.0.is_empty() && !matches!(rest.0.first(), Some(&(NEGOTIATION_REQUEST | CORRELATION))) {
        let end = rest.0.windows(2).position(|pair| pair == b"\r\n")?;
        let line = rest.take(end)?;
        rest.take(2)?;
        match line.strip_prefix(b"Cookie: mstshash=") {
            Some(cookie) => request.cookie = Some(cookie.to_vec()),
            None if line.is_ascii() => request.routing_token = Some(line.to_vec()),
            None => return None, // X.224 parameters of some other protocol
        }
    }
    if rest.u8() == Some(NEGOTIATION_REQUEST) {
        request.protocols = Some(structure(&mut rest)?);
    }
    Some(request)
}

/// The rest of a negotiation structure: flags, its length of 8, a value; the least significant byte first.
fn structure(rest: &mut Bytes<'_>) -> Option<u32> {
    rest.u8()?;
    let len = rest.u16_le()?;
    rest.u32_le().filter(|_| len == 8)
}
