//! RDP's second transport, over UDP ([MS-RDPEUDP] §2.2, and §3.1.5.1 for the order): the two datagrams that open it are in clear, and all that
//! follows is TLS or DTLS inside.
//!
//! *Known*: the version that both agree on, the largest datagram of each direction, whether lost ones are sent again, an identifier of the
//! connection, and from version 3 on a hash of the cookie that the TCP session gave the client inside TLS. That cookie is not in clear
//! there, so the hash joins nothing; what joins the two is that both run between the same addresses at the same time. *Measured*: the round trip of either
//! side, since both programs answer at once. *Not known*: keys. Version 2's data ([MS-RDPEUDP2]) has no clear header that is of use.

use serde::{Deserialize, Serialize};

use super::Exchange;
use crate::{
    cue::Cue,
    flow::{Data, PerSide, SessionId, Side},
    protocol::Standing,
};

const SYN: u16 = 0x0001;
const ACK: u16 = 0x0004;
const SYN_LOSSY: u16 = 0x0200;
const CORRELATION_ID: u16 = 0x0800;
const SYN_EX: u16 = 0x1000;

/// What a client's first datagram acknowledges: nothing yet.
const NO_ACK: u32 = u32::MAX;

/// Both MTUs lie between these (§2.2.2.5); the datagram that opens is filled up to the client's own.
const MTU: std::ops::RangeInclusive<u16> = 1_132..=1_232;

/// What was read of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The version that each side offered or chose; `None` where it did not say, which is version 1.
    pub version: PerSide<Option<Version>>,
    /// Whether lost datagrams stay lost.
    pub lossy: bool,
    /// Largest datagram to the server and to the client, as the last that spoke of it says.
    pub mtu: Option<[u16; 2]>,
    /// The connection's identifier.
    pub correlation_id: Option<[u8; 16]>,
    /// SHA-256 of the cookie from the TCP session.
    pub cookie_hash: Option<[u8; 32]>,
    /// The only session over TCP that the client had with the server when it opened this one; `None` where it had none or several.
    pub tcp_session: Option<SessionId>,
}

/// A version of the transport (§2.2.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version(pub u16);

impl Version {
    const THIRD: Self = Self(0x0101);

    /// Its number as people count; `None` for one that is not known.
    #[must_use]
    pub const fn number(self) -> Option<u8> {
        match self.0 {
            1 => Some(1),
            2 => Some(2),
            0x0101 => Some(3),
            _ => None,
        }
    }
}

/// Decoder of one session.
#[derive(Clone, Debug, Default)]
pub struct RdpUdp {
    facts: Facts,
    initial: PerSide<Option<u32>>,
    broken: bool,
    /// Datagrams that open it, of the client's and the server's side.
    server: Exchange,
    client: Exchange,
}

/// A datagram that opens a connection.
struct Opening<'a> {
    sender: Side,
    acked: u32,
    flags: u16,
    initial: u32,
    mtu: [u16; 2],
    rest: &'a [u8],
}

impl<'a> Opening<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (&[a0, a1, a2, a3, _, _, f0, f1, i0, i1, i2, i3, u0, u1, d0, d1], rest) = bytes.split_first_chunk::<16>()?;
        let flags = u16::from_be_bytes([f0, f1]);
        let acked = u32::from_be_bytes([a0, a1, a2, a3]);
        let mtu = [[u0, u1], [d0, d1]].map(u16::from_be_bytes);
        let sender = match (flags & (SYN | ACK), acked) {
            (SYN, NO_ACK) => Side::Client,
            (flags, _) if flags == SYN | ACK => Side::Server,
            _ => return None,
        };
        let is_one = flags & !(SYN | ACK | SYN_LOSSY | CORRELATION_ID | SYN_EX) == 0 && mtu.iter().all(|mtu| MTU.contains(mtu));
        is_one.then_some(Self { sender, acked, flags, initial: u32::from_be_bytes([i0, i1, i2, i3]), mtu, rest })
    }
}

impl RdpUdp {
    /// Who opens with this datagram, where it is one. An answer alone is too little to name a session by.
    pub(super) fn begun_by(bytes: &[u8]) -> Option<Side> {
        Opening::of(bytes).map(|opening| opening.sender).filter(|sender| *sender == Side::Client)
    }

    /// The session over TCP that this one belongs to, where that is known.
    pub const fn belongs_to(&mut self, session: Option<SessionId>) {
        self.facts.tcp_session = session;
    }

    pub(super) const fn standing(&self) -> Standing {
        match (self.broken, self.initial.client, self.initial.server) {
            (true, _, _) => Standing::NotOurs,
            (_, Some(_), Some(_)) => Standing::Both,
            (_, None, None) => Standing::Candidate,
            _ => Standing::OneSide,
        }
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts.clone()
    }

    pub(super) fn on_datagram(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        let opening = Opening::of(data.bytes).filter(|opening| opening.sender == side);
        match (opening, side) {
            (Some(opening), Side::Client) => {
                if self.initial.server.is_none() {
                    self.take(&opening);
                    self.server.ask(data.time);
                }
            }
            (Some(opening), Side::Server) => {
                if self.initial.client.is_some_and(|initial| initial == opening.acked) {
                    self.take(&opening);
                    self.server.answer(Side::Server, data.time, cues);
                    self.client.ask(data.time);
                }
            }
            // The client answers the server's opening at once, with its first acknowledgement.
            (None, Side::Client) if self.initial.server.is_some() => self.client.answer(Side::Client, data.time, cues),
            (None, _) => self.broken |= self.standing() == Standing::Candidate,
        }
    }

    fn take(&mut self, opening: &Opening<'_>) {
        *self.initial.get_mut(opening.sender) = Some(opening.initial);
        let facts = &mut self.facts;
        facts.lossy = opening.flags & SYN_LOSSY != 0;
        facts.mtu = Some(opening.mtu);
        let mut rest = opening.rest;
        if opening.flags & CORRELATION_ID != 0 {
            let Some((id, behind)) = rest.split_first_chunk::<16>() else { return };
            facts.correlation_id = Some(*id).filter(|id| id.iter().any(|byte| *byte != 0)).or(facts.correlation_id);
            rest = behind.get(16..).unwrap_or_default(); // reserved
        }
        if opening.flags & SYN_EX == 0 {
            return;
        }
        let Some((&[e0, e1, v0, v1], behind)) = rest.split_first_chunk::<4>() else { return };
        if u16::from_be_bytes([e0, e1]) & 1 != 0 {
            let version = Version(u16::from_be_bytes([v0, v1]));
            *facts.version.get_mut(opening.sender) = Some(version);
            if version == Version::THIRD && opening.sender == Side::Client {
                facts.cookie_hash = behind.first_chunk().copied();
            }
        }
    }
}
