//! The first packets of a QUIC connection: the keys that they are sealed with are public (RFC 9001 §5.2), so the ClientHello can be read.

use rustls::{
    Side,
    crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    quic::{Keys, Version},
};

use super::hello::Parts;
use crate::protocol::bytes::Bytes;

/// A datagram with a client's Initial has as many bytes or more (RFC 9000 §14.1).
const SHORTEST: u32 = 1_200;

/// A client chooses an identifier of as many bytes for its server, or more (RFC 9000 §7.2), and of 20 at most (§17.2).
const CONNECTION_ID: std::ops::RangeInclusive<usize> = 8..=20;

/// Bytes that header protection samples, and how far behind the packet number they stand (RFC 9001 §5.4.2).
const SAMPLE: usize = 16;
const SAMPLE_AT: usize = 4;

const PADDING: u8 = 0;
const PING: u8 = 1;
const CRYPTO: u8 = 6;

/// The part of a long header that is the same in every version (RFC 8999 §5.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct LongHeader<'a> {
    first: u8,
    version: u32,
    pub(super) destination: &'a [u8],
    pub(super) source: &'a [u8],
    /// How much of the datagram it takes.
    len: usize,
}

impl<'a> LongHeader<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let first = rest.u8().filter(|first| first & 0x80 != 0)?;
        let version = rest.u32()?;
        let (destination, source) = (rest.part8()?.0, rest.part8()?.0);
        Some(Self { first, version, destination, source, len: bytes.len() - rest.0.len() })
    }

    /// Which version an Initial is of; `None` for any other packet (RFC 9000 §17.2.2, RFC 9369 §3.2).
    const fn initial(&self) -> Option<Version> {
        match (self.version, self.first & 0xf0) {
            (1, 0xc0) => Some(Version::V1),
            (0x6b33_43cf, 0xd0) => Some(Version::V2),
            _ => None,
        }
    }
}

/// Whether a datagram looks like a client's first, so that a try to open it is worth what that costs.
pub(super) fn is_initial(bytes: &[u8], len: u32) -> bool {
    let is_one = |header: LongHeader<'_>| header.initial().is_some() && CONNECTION_ID.contains(&header.destination.len());
    len >= SHORTEST && LongHeader::of(bytes).is_some_and(is_one)
}

/// The parts of a ClientHello that a client's first packet holds, added to those that there are. Whether it is a packet as the client
/// seals them, and how many of its parts are new.
pub(super) fn open(bytes: &[u8], len: u32, parts: &mut Parts) -> Option<usize> {
    let header = LongHeader::of(bytes).filter(|_| len >= SHORTEST)?;
    let version = header.initial().filter(|_| CONNECTION_ID.contains(&header.destination.len()))?;
    let mut rest = Bytes(bytes.get(header.len..)?);
    let token = varint(&mut rest)?;
    rest.take(token)?;
    let sealed = varint(&mut rest)?;
    let number_at = bytes.len() - rest.0.len();
    let mut packet = bytes.get(..number_at.checked_add(sealed)?)?.to_vec();

    let suite = TLS13_AES_128_GCM_SHA256.tls13()?.quic_suite()?;
    let keys = Keys::initial(version, suite.suite, suite.quic, header.destination, Side::Server).remote;
    let sample = packet.get(number_at + SAMPLE_AT..)?.get(..SAMPLE)?.to_vec();
    let mut first = header.first;
    keys.header.decrypt_in_place(&sample, &mut first, packet.get_mut(number_at..number_at + 4)?).ok()?;
    *packet.first_mut()? = first;
    let behind = number_at + usize::from(first & 3) + 1;
    let (header, payload) = packet.split_at_mut_checked(behind)?;
    let number = header.get(number_at..)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let payload = keys.packet.decrypt_in_place(number, header, payload).ok()?;
    Some(frames(payload, parts))
}

/// Frames as they stand in front of an answer; behind any other nothing is read.
fn frames(payload: &[u8], parts: &mut Parts) -> usize {
    let mut rest = Bytes(payload);
    let mut new = 0;
    while let Some(kind) = rest.u8() {
        match kind {
            PADDING | PING => {}
            CRYPTO => {
                let (Some(offset), Some(len)) = (varint(&mut rest), varint(&mut rest)) else { break };
                let Some(part) = rest.take(len) else { break };
                new += usize::from(parts.add(offset, part));
            }
            _ => break,
        }
    }
    new
}

/// A number of 1, 2, 4 or 8 bytes (RFC 9000 §16).
fn varint(rest: &mut Bytes<'_>) -> Option<usize> {
    let first = rest.u8()?;
    let more = rest.take((1 << (first >> 6)) - 1)?;
    let number = more.iter().fold(u64::from(first & 0x3f), |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}
