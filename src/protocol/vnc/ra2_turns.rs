//! The handshake of RSA-AES (rfbproto, "RSA-AES Security Type"): public keys, random numbers encrypted to them, and, in messages that
//! say their length, hashes and credentials. What is behind is encrypted, too, but for the types that say that it is not.

use super::{
    handshake::{Handshake, Stage},
    security,
};
use crate::{cue::Step, flow::Side, protocol::bytes::Bytes};

/// Lengths of public keys in bits that programs accept.
const KEY_BITS: std::ops::RangeInclusive<u32> = 1_024..=8_192;

/// Bytes of the tag behind each message.
const TAG: usize = 16;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    ServerKey,
    ClientKey,
    ClientRandom,
    ServerRandom,
    ClientHash,
    ServerHash,
    Subtype,
    Credentials,
}

impl Turn {
    /// The turn that the client is to take now, most often by itself.
    pub(super) const fn of_client(self) -> Option<Step> {
        match self {
            Self::ClientKey | Self::ClientHash => Some(Step::Security),
            Self::Credentials => Some(Step::Auth),
            _ => None,
        }
    }
}

impl Handshake {
    /// One turn, if it is whole.
    pub(super) fn step_of_ra2(&mut self, turn: Turn) -> Option<()> {
        let code = self.read.security_type.unwrap_or(0);
        let hash = if security::is_sha256(code) { 32..=32 } else { 20..=20 };
        let (fits, then) = match turn {
            Turn::ServerKey => {
                let bits = self.turn(Side::Server, key)?;
                self.read.key_bits = Some(bits);
                (KEY_BITS.contains(&bits), Stage::Ra2(Turn::ClientKey))
            }
            Turn::ClientKey => (KEY_BITS.contains(&self.turn(Side::Client, key)?), Stage::Ra2(Turn::ClientRandom)),
            Turn::ClientRandom => (self.turn(Side::Client, random)?, Stage::Ra2(Turn::ServerRandom)),
            Turn::ServerRandom => (self.turn(Side::Server, random)?, Stage::Ra2(Turn::ClientHash)),
            Turn::ClientHash => (hash.contains(&self.turn(Side::Client, message)?), Stage::Ra2(Turn::ServerHash)),
            Turn::ServerHash => (hash.contains(&self.turn(Side::Server, message)?), Stage::Ra2(Turn::Subtype)),
            Turn::Subtype => (self.turn(Side::Server, message)? == 1, Stage::Ra2(Turn::Credentials)),
            Turn::Credentials => {
                let then = if security::is_clear_after(code) { Stage::Result } else { Stage::Ra2Messages };
                ((2..=512).contains(&self.turn(Side::Client, message)?), then)
            }
        };
        self.stage = if fits { then } else { Stage::Over };
        Some(())
    }
}

/// A public key: its length in bits, and modulus and exponent of that length each. Of one that nobody accepts only the length is read.
fn key(bytes: &mut Bytes<'_>) -> Option<u32> {
    let bits = bytes.u32()?;
    if KEY_BITS.contains(&bits) {
        bytes.take(2 * bits.div_ceil(8) as usize)?;
    }
    Some(bits)
}

/// A random number, encrypted: as long as the key that it is encrypted to.
fn random(bytes: &mut Bytes<'_>) -> Option<bool> {
    let len = bytes.part16()?.0.len();
    Some((KEY_BITS.start() / 8..=KEY_BITS.end() / 8).contains(&u32::try_from(len).unwrap_or(u32::MAX)))
}

/// A message: the length of its content.
fn message(bytes: &mut Bytes<'_>) -> Option<u16> {
    let len = bytes.u16()?;
    bytes.take(usize::from(len) + TAG).map(|_| len)
}
