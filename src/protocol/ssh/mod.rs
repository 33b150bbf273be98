//! SSH (RFC 4253, 4252, 4254): what is in clear is read, what is encrypted is weighed.
//!
//! *Known*: both identification lines, both algorithm offers, what they agree on. *Inferred* from lengths: when the login
//! was over, whether a terminal was opened, which packets can be keystrokes. A gap in what is in clear ends the
//! knowledge; nothing is guessed across it.

mod adjust;
mod auth;
mod banner;
mod clear;
mod inferred;
mod input;
mod kexinit;
mod ladder;
mod lengths;
mod login;
mod ports;
mod records;
mod rekey;
mod sizes;

use serde::{Deserialize, Serialize};

pub use self::{
    auth::{Login as LoginFacts, Method},
    login::{Activity, Purpose},
};
use self::{
    banner::{BannerReader, Found, openssh_version},
    clear::{ClearPacket, clear_packet},
    inferred::Inferred,
    kexinit::{KEXINIT, KexInit, NEWKEYS, negotiate},
    ladder::{Ladder, key_work},
    lengths::TypedLengths,
    records::Framer,
    rekey::{Belongs, Known, Lengths, new_keys},
    sizes::Sizes,
};
use super::Standing;
use crate::{
    cue::Cue,
    flow::{Data, PerSide, Side},
    time::Span,
};

/// The first release whose client hides keystrokes, and whose server answers the chaff.
const FIRST_OBFUSCATING: (u32, u32) = (9, 5);
/// The first release that sends no chaff along with keys (CVE-2024-39894).
const FIRST_UNDOUBLED: (u32, u32) = (9, 8);

/// What was read of a session in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Identification lines as sent, without the line end; hostile until escaped.
    pub banners: PerSide<Option<Vec<u8>>>,
    /// HASSH of the client's offer.
    pub hassh: Option<String>,
    /// HASSH of the server's offer.
    pub hassh_server: Option<String>,
    /// The key exchange method that both offers agree on.
    pub kex: Option<String>,
    /// The kind of key that the server proves itself with, as both offers agree.
    pub host_key_algorithm: Option<String>,
    /// The cipher from client to server.
    pub cipher: Option<String>,
    /// The MAC from client to server; `None` where the cipher authenticates itself.
    pub mac: Option<String>,
    /// The compression from client to server.
    pub compression: Option<String>,
    /// How the login went, inferred; `None` where nothing can be said of it.
    pub login: Option<LoginFacts>,
    /// What the session is for, inferred; `None` where its opening does not tell.
    pub activity: Option<Activity>,
}

/// Decoder of one session, both directions.
#[derive(Clone, Debug)]
pub struct Ssh {
    halves: PerSide<Half>,
    inferred: Inferred,
    /// Of a session whose beginning was not captured.
    typed: Option<Box<TypedLengths>>,
    /// Which side was captured from its beginning.
    from_start: PerSide<bool>,
    not_ours: bool,
    swapped: bool,
    roles_known: bool,
}

/// One direction.
#[derive(Clone, Debug)]
struct Half {
    phase: Phase,
    banner: Option<Vec<u8>>,
    offer: Option<Box<KexInit>>,
    lengths: Lengths,
}

/// How the bytes of one direction are to be read now.
#[derive(Clone, Debug)]
enum Phase {
    /// Up to the end of the identification line.
    Banner(BannerReader),
    /// Packets in clear; what has come of the next one.
    Clear(Vec<u8>),
    /// After NEWKEYS, with known lengths.
    Encrypted(Framer),
    /// A gap, an anomaly, or a cipher without known lengths.
    Lost,
}

impl Phase {
    const fn reads_bytes(&self) -> bool {
        match self {
            Self::Banner(_) | Self::Clear(_) => true,
            Self::Encrypted(framer) => framer.sizes.length_in_clear,
            Self::Lost => false,
        }
    }
}

impl Ssh {
    /// Memory that it takes at most beside itself, in bytes: of each side a packet in clear that is not yet whole, and the lists
    /// of one that was.
    #[cfg(test)]
    pub(crate) const MOST_BYTES: usize = 2 * (clear::MAX_PACKET.next_power_of_two() + clear::MAX_PACKET) as usize
        + input::OutputMemory::MOST_BYTES
        + ports::Ports::MOST_BYTES
        + size_of::<TypedLengths>()
        + TypedLengths::MOST_BYTES;

    /// A session of which nothing was read; `from_start` says which side was captured from its beginning.
    #[must_use]
    pub fn new(from_start: PerSide<bool>) -> Self {
        let half =
            |_| Half { phase: Phase::Banner(BannerReader::default()), banner: None, offer: None, lengths: Lengths::default() };
        Self {
            halves: PerSide::from_fn(half),
            inferred: Inferred::new(),
            typed: None,
            from_start,
            not_ours: false,
            swapped: false,
            roles_known: false,
        }
    }

    /// A session whose beginning was not captured: nothing can be read of it, but for keys once they show.
    #[must_use]
    pub fn midstream() -> Self {
        let mut ssh = Self::new(PerSide::default());
        ssh.halves.client.phase = Phase::Lost;
        ssh.halves.server.phase = Phase::Lost;
        ssh.inferred.give_up();
        ssh.typed = Some(Box::default());
        ssh
    }

    /// How sure it is that this is SSH.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match (self.not_ours, self.halves.client.banner.is_some(), self.halves.server.banner.is_some()) {
            (true, ..) => Standing::NotOurs,
            (_, true, true) => Standing::Both,
            (_, false, false) => Standing::Candidate,
            _ => Standing::OneSide,
        }
    }

    /// Whether the lengths of this session's packets can be told apart at all.
    #[must_use]
    pub const fn lengths_known(&self) -> bool {
        matches!(self.halves.client.phase, Phase::Encrypted(_))
    }

    /// Whether nothing more can be read of what the client sends.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        matches!(self.halves.client.phase, Phase::Lost)
    }

    /// Whether nothing more is read in clear: neither what this is nor who is who will change.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(
            (&self.halves.client.phase, &self.halves.server.phase),
            (Phase::Encrypted(_) | Phase::Lost, Phase::Encrypted(_) | Phase::Lost)
        )
    }

    /// Whether it matters what segments carry, besides how much it is.
    #[must_use]
    pub const fn reads_bytes(&self) -> bool {
        self.halves.client.phase.reads_bytes() || self.halves.server.phase.reads_bytes()
    }

    /// Whether what was said shows that client and server are the other way round; asked once, it swaps its own roles.
    pub fn take_role_swap(&mut self) -> bool {
        if self.swapped {
            self.halves.swap();
            self.swapped = false;
            return true;
        }
        false
    }

    /// Whether the roles rest on what the two ends said.
    #[must_use]
    pub const fn roles_known(&self) -> bool {
        self.roles_known
    }

    /// What was read in clear.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let (client, server) = (&self.halves.client, &self.halves.server);
        let agreed = |list: fn(&KexInit) -> &str| match (&client.offer, &server.offer) {
            (Some(c), Some(s)) => negotiate(list(c), list(s)),
            _ => None,
        };
        let cipher = agreed(|offer| &offer.ciphers.client_to_server);
        let authenticates_itself = cipher
            .as_deref()
            .is_some_and(|cipher| cipher.contains("gcm") || cipher.contains("GCM") || cipher.contains("poly1305"));
        Facts {
            banners: PerSide { client: client.banner.clone(), server: server.banner.clone() },
            hassh: client.offer.as_deref().map(KexInit::hassh),
            hassh_server: server.offer.as_deref().map(KexInit::hassh_server),
            kex: agreed(|offer| &offer.kex),
            host_key_algorithm: agreed(|offer| &offer.host_keys),
            mac: agreed(|offer| &offer.macs.client_to_server).filter(|_| !authenticates_itself),
            compression: agreed(|offer| &offer.compressions.client_to_server),
            login: self.inferred.auth.login(),
            activity: self.inferred.activity(),
            cipher,
        }
    }

    /// Takes the next bytes of one side and adds what they mean to `cues`. `rtt` is the client-side round trip, where known.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, rtt: Option<Span>, cues: &mut Vec<Cue>) {
        if self.typed.is_some() {
            return self.on_segment(side, data, cues);
        }
        let mut rest = *data;
        loop {
            let used = match &mut self.halves.get_mut(side).phase {
                Phase::Banner(reader) => match reader.push(rest.bytes, side == Side::Server) {
                    Found::NotYet => return,
                    Found::NotOurs => {
                        let decides = side == Side::Client || self.halves.client.banner.is_none();
                        self.not_ours |= decides && *self.from_start.get(side);
                        self.halves.get_mut(side).phase = Phase::Lost;
                        return;
                    }
                    Found::Line(line, used) => {
                        let half = self.halves.get_mut(side);
                        half.banner = Some(line);
                        half.phase = Phase::Clear(Vec::new());
                        if side == Side::Server {
                            Ladder::on_server_banner(data, cues);
                        }
                        self.on_banner(cues);
                        used
                    }
                },
                Phase::Clear(_) => match self.read_clear(side, &rest, cues) {
                    Some(used) => used,
                    None => return,
                },
                Phase::Encrypted(_) => {
                    self.read_encrypted(side, &rest, rtt, cues);
                    return;
                }
                Phase::Lost => return,
            };
            let used = u32::try_from(used).unwrap_or(u32::MAX);
            rest.bytes = rest.bytes.get(used as usize..).unwrap_or_default();
            rest.len = rest.len.saturating_sub(used);
            if rest.len == 0 {
                return;
            }
        }
    }

    fn read_encrypted(&mut self, side: Side, data: &Data<'_>, rtt: Option<Span>, cues: &mut Vec<Cue>) {
        let belongs = if self.inferred.rekey.is_none_with(side, data.len) {
            Belongs::Session
        } else {
            self.read_exchange(side, data, cues)
        };
        let Phase::Encrypted(framer) = &mut self.halves.get_mut(side).phase else { return };
        let (sizes, inferred) = (framer.sizes, &mut self.inferred);
        let (len, mut skip) = match belongs {
            Belongs::Session => (data.len, 0),
            Belongs::Exchange => (data.len, u32::MAX),
            Belongs::BehindNewKeys if sizes.length_in_clear => (data.len, 1),
            Belongs::BehindNewKeys => (data.len.saturating_sub(new_keys(sizes)), 0),
        };
        if len > 0 {
            framer.push(&Data { len, ..*data }, |record| match skip.checked_sub(1) {
                Some(less) => skip = less,
                None => inferred.on_record(side, &record, sizes, rtt, cues),
            });
        }
    }

    /// Of what may be an exchange of keys in mid-session.
    fn read_exchange(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) -> Belongs {
        let lengths = PerSide { client: self.halves.client.lengths, server: self.halves.server.lengths };
        let Phase::Encrypted(framer) = &self.halves.get(side).phase else { return Belongs::Session };
        self.inferred.rekey.on_segment(side, data, &Known { lengths, sizes: framer.sizes }, cues)
    }

    /// A segment of a session whose beginning was not captured, before it shows how long keys are.
    fn on_segment(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        let Some(sizes) = self.typed.as_mut().and_then(|typed| typed.push(side, data.len, data.time)) else { return };
        self.typed = None;
        self.inferred.guessed = true;
        self.halves.client.phase = Phase::Encrypted(Framer::new(sizes));
        self.halves.server.phase = Phase::Encrypted(Framer::new(sizes));
        // They may be hidden among chaff by programs of any version; which of it are keys is not told then.
        cues.push(Cue::CanObfuscate { doubled: false, near: false });
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self, side: Side, cues: &mut Vec<Cue>) {
        let half = self.halves.get_mut(side);
        match &mut half.phase {
            Phase::Encrypted(framer) => framer.on_gap(),
            phase => *phase = Phase::Lost,
        }
        self.inferred.rekey.on_gap();
        self.inferred.give_up();
        self.inferred.report_login(cues);
    }

    fn on_banner(&mut self, cues: &mut Vec<Cue>) {
        let version = |banner: &Option<Vec<u8>>| banner.as_deref().and_then(openssh_version);
        let server = version(&self.halves.server.banner);
        if let Some(line) = &self.halves.client.banner {
            self.inferred.auth.set_client(line);
            let is_openssh = openssh_version(line).is_some();
            self.inferred.login.set_client(is_openssh, self.inferred.auth.knows_client());
            self.inferred.output.set_openssh_client(is_openssh);
            self.inferred.output.set_ignores(line.starts_with(b"SSH-2.0-AsyncSSH"));
        }
        self.inferred.login.set_openssh_server(server.is_some());
        let capable = |version: Option<(u32, u32)>| version.is_some_and(|version| version >= FIRST_OBFUSCATING);
        let client = version(&self.halves.client.banner);
        if capable(client) && capable(server) {
            let doubled = client.is_some_and(|client| client < FIRST_UNDOUBLED);
            cues.push(Cue::CanObfuscate { doubled, near: true });
        }
    }

    /// Reads packets in clear. `Some(used)` where NEWKEYS ended them after so many of the new bytes.
    fn read_clear(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) -> Option<usize> {
        let half = self.halves.get_mut(side);
        let Phase::Clear(buffer) = &mut half.phase else { return None };
        let before = buffer.len();
        if side == Side::Client {
            self.inferred.ladder.on_client_clear(data, before == 0);
        }
        buffer.extend_from_slice(data.bytes);
        let buffer = std::mem::take(buffer);
        let mut rest = buffer.as_slice();
        loop {
            match clear_packet(rest) {
                ClearPacket::Short => {
                    let cut = data.bytes.len() < data.len as usize;
                    let phase = if cut { Phase::Lost } else { Phase::Clear(rest.to_vec()) };
                    self.halves.get_mut(side).phase = phase;
                    if cut {
                        self.inferred.give_up();
                        self.inferred.report_login(cues);
                    }
                    return None;
                }
                ClearPacket::Broken => {
                    self.halves.get_mut(side).phase = Phase::Lost;
                    self.inferred.give_up();
                    self.inferred.report_login(cues);
                    return None;
                }
                ClearPacket::Whole(payload, tail) => {
                    rest = tail;
                    if payload.first() == Some(&NEWKEYS) {
                        self.climb(side, payload, data, cues);
                        self.on_newkeys(side, cues);
                        return Some((buffer.len() - rest.len()).saturating_sub(before));
                    }
                    self.on_clear_message(side, payload);
                    self.climb(side, payload, data, cues);
                }
            }
        }
    }

    fn on_clear_message(&mut self, side: Side, payload: &[u8]) {
        let says_client = match payload.first() {
            Some(&KEXINIT) => {
                let half = self.halves.get_mut(side);
                half.offer = KexInit::parse(payload).map(Box::new);
                half.lengths.offer = payload.len() as u32;
                half.offer.as_deref().and_then(KexInit::says_client)
            }
            // KEXDH_INIT and KEX_ECDH_INIT, KEX_DH_GEX_INIT and _REQUEST are the client's; 31 and 33 the server's
            // (RFC 4253 §8, RFC 5656 §7.1, RFC 4419 §5).
            Some(&message @ (30 | 32 | 34)) => {
                let lengths = &mut self.halves.get_mut(side).lengths;
                *(if message == 32 { &mut lengths.in_group } else { &mut lengths.first }) = payload.len() as u32;
                Some(true)
            }
            Some(31 | 33) => Some(false),
            _ => None,
        };
        if let (Some(says_client), false) = (says_client, self.roles_known) {
            self.roles_known = true;
            self.swapped = says_client != (side == Side::Client);
        }
    }

    /// Whether a message in clear asks for an answer, or is one.
    fn climb(&mut self, side: Side, payload: &[u8], data: &Data<'_>, cues: &mut Vec<Cue>) {
        let kex = match (&self.halves.client.offer, &self.halves.server.offer) {
            (Some(client), Some(server)) => negotiate(&client.kex, &server.kex),
            _ => None,
        };
        let work = key_work(kex.as_deref());
        self.inferred.rekey.work = work;
        self.inferred.ladder.on_clear_message(side, payload.first() == Some(&KEXINIT), work, data, cues);
    }

    fn on_newkeys(&mut self, side: Side, cues: &mut Vec<Cue>) {
        // Roles may have been swapped by a message in this very segment, before the engine could ask.
        let role = if self.swapped { side.other() } else { side };
        let (client, server) = match role == side {
            true => (&self.halves.client.offer, &self.halves.server.offer),
            false => (&self.halves.server.offer, &self.halves.client.offer),
        };
        let sizes = client.as_ref().zip(server.as_ref()).and_then(|(c, s)| {
            let pick = |list: fn(&KexInit, Side) -> &str| negotiate(list(c, role), list(s, role));
            Sizes::of(
                &pick(|offer, role| direction(&offer.ciphers, role))?,
                &pick(|offer, role| direction(&offer.macs, role)).unwrap_or_default(),
                &pick(|offer, role| direction(&offer.compressions, role))?,
            )
        });
        self.halves.get_mut(side).phase = sizes.map_or(Phase::Lost, |sizes| Phase::Encrypted(Framer::new(sizes)));
        if sizes.is_none() {
            self.inferred.give_up();
            self.inferred.report_login(cues);
        }
    }
}

fn direction(lists: &kexinit::Directions, role: Side) -> &str {
    match role {
        Side::Client => &lists.client_to_server,
        Side::Server => &lists.server_to_client,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
