//! How a login went, from the lengths, order and pace of the packets before USERAUTH_SUCCESS. All of it is inferred.
//!
//! Lengths of payloads in bytes (RFC 4252 §5 to §8, RFC 4256 §3), *u* being the user's name:
//!
//! ```text
//! USERAUTH_REQUEST  none                  31 + u
//!                   keyboard-interactive  55 + u
//!                   password              40 + u + password        OpenSSH pads the packet to a multiple of 64
//!                   publickey, asking     45 + u + algorithm + key
//!                   publickey, signed     at least 66 more than that
//! USERAUTH_PK_OK                           9 + algorithm + key     36 + u less than what asked
//! USERAUTH_FAILURE                         6 + methods             one length, until a factor was accepted
//! USERAUTH_SUCCESS                         1                       the shortest packet there is
//! ```
//!
//! *u* follows from the request for `none`, which most clients send first; it cancels out of the differences. A length stands
//! for as many payloads as a block has bytes; where two readings remain, the answer is `None`.

use serde::{Deserialize, Serialize};

use super::{
    records::Record,
    sizes::{Sizes, payload},
};
use crate::{
    flow::Side,
    time::{Span, Timestamp},
};

/// Requests of one login that are remembered; a server lets go of a client long before (OpenSSH: `MaxAuthTries`, 6).
const MOST_REQUESTS: usize = 32;
/// A password that comes sooner after it was asked for was not typed.
const SOONEST_TYPED: Span = Span::from_millis(250);
/// A password that comes later was: no program waits so long.
const LATEST_AUTOMATED: Span = Span::from_millis(700);
/// A refusal that takes as long is of a password.
const SLOW_REFUSAL: Span = Span::from_millis(500);
/// The least that a signature adds: its length, the algorithm's name and 40 bytes of it (ssh-dss, RFC 4253 §6.6), all told.
const SIGNATURE: u32 = 66;
/// The longest user name that Linux lets one have (`useradd`(8)).
const LONGEST_USER: u32 = 32;
/// The shortest signed request for a user of one letter: `ssh-ed25519`, 51 bytes of key, 64 of signature.
const SHORTEST_SIGNED: u32 = 195;
/// PK_OK for the shortest key in use, `ssh-ed25519`.
const SHORTEST_PK_OK: u32 = 71;

/// How a client was let in, or last asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Without proof of anything.
    None,
    /// A password.
    Password,
    /// A key.
    PublicKey,
    /// Questions of the server, answered.
    KeyboardInteractive,
    /// Several of these, one after another.
    MultiFactor,
}

impl Method {
    /// The name in records; those of RFC 4252 where it has one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password => "password",
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::MultiFactor => "multi-factor",
        }
    }
}

/// What is inferred of a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// See [`Method`]; `None` where lengths leave it open.
    pub method: Option<Method>,
    /// Whether the last password or answer was typed, and not sent by a program; `None` where there was none, or in between.
    pub typed: Option<bool>,
    /// Keys, passwords and rounds of questions that the client tried. A key that was asked about and then used is one.
    pub attempts: Option<u32>,
    /// The server let the client in. Without it the login failed if the session is over.
    pub succeeded: bool,
}

/// Which habits the client's identification promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Client {
    /// Begins with `none`, asks before it signs, pads passwords to 64 bytes.
    OpenSsh,
    /// Begins with `none`, and pads passwords to 256 bytes.
    Putty,
    /// Begins with `none`.
    NoneFirst,
    /// Begins with what it was told to use.
    Direct,
    #[default]
    Other,
}

impl Client {
    /// Of an identification line.
    pub(super) fn of(line: &[u8]) -> Self {
        let software = line.strip_prefix(b"SSH-2.0-").unwrap_or_default();
        let begins = |names: &[&[u8]]| names.iter().any(|name| software.starts_with(name));
        if begins(&[b"OpenSSH_"]) {
            Self::OpenSsh
        } else if begins(&[b"PuTTY"]) {
            Self::Putty
        } else if begins(&[b"dropbear", b"AsyncSSH", b"Go"]) {
            Self::NoneFirst
        } else if begins(&[b"paramiko"]) {
            Self::Direct
        } else {
            Self::Other
        }
    }
}

/// A request to be let in, and the answer to it.
#[derive(Clone, Copy, Debug, Default)]
struct Exchange {
    request: u32,
    /// The last record of the answer; 0 before it came.
    answer: u32,
    /// From the answer before to the request, less a round trip.
    pause: Span,
    /// From the request to the last record of the answer.
    wait: Span,
    asked: Option<Timestamp>,
}

/// The service that a client asks for before it may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    /// Bytes of what the client sent behind its request for it, without waiting; none before anything was sent.
    Wanted {
        early: Option<u32>,
    },
    Granted {
        early: u32,
    },
}

/// Where an exchange stands among the others.
#[derive(Clone, Copy)]
struct Place {
    /// The first one tried "none".
    after_none: bool,
    /// It let the client in.
    admitted: bool,
    last_but_one: bool,
}

impl Default for Service {
    fn default() -> Self {
        Self::Wanted { early: None }
    }
}

/// What an exchange was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    None,
    /// A key that was asked about, and not accepted.
    Refused,
    /// A key that was asked about, and accepted: its signature comes next.
    Asked,
    Signed,
    Password,
    /// A key that was refused, or a password.
    Either,
    Questions,
    /// Answers to the server's questions.
    Answers,
    Unclear,
}

/// See the [module's documentation](self).
#[derive(Clone, Debug, Default)]
pub(super) struct Auth {
    client: Client,
    exchanges: Vec<Exchange>,
    service: Service,
    last_answer: Option<Timestamp>,
    /// Something did not fit, or there was too much of it.
    unclear: bool,
    sizes: Option<Sizes>,
    login: Option<Login>,
}

impl Auth {
    pub(super) fn set_client(&mut self, line: &[u8]) {
        self.client = Client::of(line);
    }

    /// Whether the client's habits are known.
    pub(super) fn knows_client(&self) -> bool {
        self.client != Client::Other
    }

    /// Bytes are missing, or there are no lengths to go by.
    pub(super) fn give_up(&mut self) {
        self.unclear = true;
        self.exchanges = Vec::new();
    }

    /// Takes a record from before the end of the login.
    pub(super) fn push(&mut self, side: Side, record: &Record, sizes: Sizes, rtt: Option<Span>) {
        if self.unclear {
            return;
        }
        match side {
            Side::Client => self.on_client(record, sizes, rtt),
            Side::Server => self.on_server(record, sizes),
        }
        self.unclear |= self.exchanges.len() > MOST_REQUESTS;
        if self.unclear {
            self.give_up();
        }
    }

    fn on_client(&mut self, record: &Record, sizes: Sizes, rtt: Option<Span>) {
        let service = sizes.packet(payload::SERVICE_REQUEST);
        if let Service::Wanted { early } = &mut self.service {
            self.sizes = Some(sizes);
            // Behind the request, or in its segment. What comes before it are extensions.
            *early = Some(match early {
                Some(0) if record.exact => record.len,
                _ if record.exact => 0,
                _ => record.len.saturating_sub(service),
            });
            return;
        }
        self.service = Service::Granted { early: 0 };
        match self.exchanges.last_mut() {
            // Some clients send a short message to be ignored before each request.
            Some(open) if open.answer == 0 => open.request = open.request.max(record.len),
            _ => {
                let since = self.last_answer.map_or(Span::ZERO, |asked| record.time - asked);
                self.exchanges.push(Exchange {
                    request: record.len,
                    pause: since - rtt.unwrap_or(Span::ZERO),
                    asked: Some(record.time),
                    ..Exchange::default()
                });
            }
        }
    }

    fn on_server(&mut self, record: &Record, sizes: Sizes) {
        self.last_answer = Some(record.time);
        match self.service {
            Service::Wanted { early: Some(early) } => {
                if record.len == sizes.packet(payload::SERVICE_REQUEST) {
                    self.unclear |= !self.same_lengths(sizes);
                    self.service = Service::Granted { early };
                } else {
                    self.unclear |= !record.exact; // together with what else?
                }
            }
            // The request for a login came with that for the service.
            Service::Granted { early } if early > 0 => {
                self.service = Service::Granted { early: 0 };
                self.exchanges.push(Exchange { request: early, answer: record.len, ..Exchange::default() });
            }
            // Of what comes together the last is the answer: EXT_INFO and banners come before it.
            _ => {
                if let Some(open) = self.exchanges.last_mut() {
                    open.answer = record.len;
                    open.wait = open.asked.map_or(Span::ZERO, |asked| record.time - asked);
                }
            }
        }
    }

    /// Whether lengths mean the same in both directions.
    fn same_lengths(&self, sizes: Sizes) -> bool {
        self.sizes.is_some_and(|other| (0..64).all(|payload| other.packet(payload) == sizes.packet(payload)))
    }

    /// The client was let in: what the login was is decided, and its packets are forgotten.
    pub(super) fn succeed(&mut self) {
        let login = self.conclude(true);
        self.login = Some(login);
        self.exchanges = Vec::new();
    }

    /// What is known of the login now; `None` where nothing is.
    pub(super) fn login(&self) -> Option<Login> {
        self.login.or_else(|| (!self.unclear && !self.exchanges.is_empty()).then(|| self.conclude(false)))
    }

    fn conclude(&self, succeeded: bool) -> Login {
        let blank = Login { succeeded, ..Login::default() };
        let Some(sizes) = self.sizes.filter(|_| !self.unclear) else { return blank };
        let kinds = self.kinds(sizes, succeeded);
        let Some((&last, _)) = kinds.split_last() else { return blank };
        let tried = |kind: &&Kind| matches!(kind, Kind::Refused | Kind::Signed | Kind::Password | Kind::Either | Kind::Questions);
        // How often questions were asked for does not show where that is as long as an answer.
        let blurred = |(kind, exchange): (&Kind, &Exchange)| *kind == Kind::Questions && self.is_padded(exchange, sizes);
        let clear = !kinds.contains(&Kind::Unclear) && !std::iter::zip(&kinds, &self.exchanges).any(blurred);
        let bare = succeeded && kinds == [Kind::None];
        let method = match last {
            _ if !clear && !matches!(last, Kind::Signed | Kind::Password | Kind::Answers) => None,
            // A refused key and then answers, or a password and then answers: one factor, or two.
            Kind::Answers if kinds.contains(&Kind::Either) => None,
            Kind::None => succeeded.then_some(Method::None),
            Kind::Refused | Kind::Asked => Some(Method::PublicKey),
            Kind::Signed => Some(Method::PublicKey),
            Kind::Password => Some(Method::Password),
            Kind::Questions | Kind::Answers => Some(Method::KeyboardInteractive),
            Kind::Either | Kind::Unclear => None,
        };
        let several = succeeded && self.accepted_before(&kinds, sizes);
        let typed = match last {
            Kind::Password | Kind::Answers => self.typed(&kinds),
            _ => None,
        };
        Login {
            method: if several { Some(Method::MultiFactor) } else { method },
            typed,
            attempts: (clear && !kinds.is_empty()).then(|| if bare { 1 } else { kinds.iter().filter(tried).count() as u32 }),
            succeeded,
        }
    }

    /// Whether a factor was accepted before the last one: a signature whose key the server had agreed to was answered by a
    /// failure; or failures changed their length, and only an accepted factor changes the list in them; or OpenSSH, which tries
    /// keys, questions and passwords in this order, went back to what it was not offered before.
    fn accepted_before(&self, kinds: &[Kind], sizes: Sizes) -> bool {
        let Some((last, before)) = kinds.split_last() else { return false };
        let went_back = match last {
            Kind::Signed => before.iter().any(|kind| matches!(kind, Kind::Password | Kind::Answers)),
            Kind::Answers => before.contains(&Kind::Password),
            _ => false,
        };
        let signed = before.contains(&Kind::Signed);
        let failures: Vec<u32> = std::iter::zip(before, &self.exchanges)
            .enumerate()
            .filter(|(i, (kind, _))| match kind {
                Kind::None => *i > 0 || sizes.length_in_clear, // hidden lengths: EXT_INFO may be in it
                Kind::Refused | Kind::Password => true,
                Kind::Asked | Kind::Signed | Kind::Either | Kind::Questions | Kind::Answers | Kind::Unclear => false,
            })
            .map(|(_, (_, exchange))| exchange.answer)
            .collect();
        let password = before.contains(&Kind::Password);
        signed
            || (went_back && self.client == Client::OpenSsh)
            || (password && failures.windows(2).any(|pair| pair.first() != pair.last()))
    }

    fn typed(&self, kinds: &[Kind]) -> Option<bool> {
        // An answer to no question at all (the last round of PAM) takes nobody's time: the longest pause of the run counts.
        let run = kinds.iter().rev().take_while(|kind| matches!(kind, Kind::Answers)).count().max(1);
        let pause = self.exchanges.iter().rev().take(run).map(|exchange| exchange.pause).max()?;
        match pause {
            _ if pause < SOONEST_TYPED => Some(false),
            _ if pause > LATEST_AUTOMATED => Some(true),
            _ => None,
        }
    }

    fn kinds(&self, sizes: Sizes, succeeded: bool) -> Vec<Kind> {
        let none = self.exchanges.first().copied().filter(|first| self.begins_with_none(first, sizes));
        // The user's name, at least and at most.
        let user = none.map_or((1, LONGEST_USER), |none| {
            let (least, most) = sizes.payloads(none.request);
            (least.saturating_sub(31).max(1), most.saturating_sub(31))
        });
        let mut kinds: Vec<Kind> = Vec::with_capacity(self.exchanges.len());
        for (i, exchange) in self.exchanges.iter().enumerate() {
            let next = self.exchanges.get(i + 1);
            let last = next.is_none();
            kinds.push(match kinds.last() {
                None if none.is_some() => Kind::None,
                None if self.client == Client::Other && sizes.payloads(exchange.request).1 <= 80 => Kind::Unclear,
                Some(Kind::Asked) => Kind::Signed,
                Some(Kind::Questions) => Kind::Answers,
                Some(Kind::Answers) if self.answers_again(i, user, sizes) => Kind::Answers,
                before => {
                    let last_but_one = i + 2 == self.exchanges.len();
                    {
                        let place = Place { after_none: before.is_some(), admitted: succeeded && last, last_but_one };
                        self.kind(exchange, next, user, sizes, place)
                    }
                }
            });
        }
        kinds
    }

    /// Whether a request is as OpenSSH pads passwords and answers.
    fn is_padded(&self, exchange: &Exchange, sizes: Sizes) -> bool {
        self.client == Client::OpenSsh && sizes.is_padded_to_64(exchange.request)
    }

    /// Whether the server asked once more, and this answers it.
    fn answers_again(&self, i: usize, user: (u32, u32), sizes: Sizes) -> bool {
        let Some(exchange) = self.exchanges.get(i) else { return false };
        if self.client == Client::OpenSsh {
            // Refused answers are followed by a request for other questions, which is not padded, or not told apart.
            return sizes.is_padded_to_64(exchange.request);
        }
        let answer = |i: usize| self.exchanges.get(i).map(|exchange| exchange.answer);
        !self.is_questions(exchange, user, sizes) && i >= 2 && answer(i - 1) != answer(0)
    }

    fn begins_with_none(&self, first: &Exchange, sizes: Sizes) -> bool {
        let (least, most) = sizes.payloads(first.request);
        let fits = most > 31 && least <= 31 + LONGEST_USER;
        fits && matches!(self.client, Client::OpenSsh | Client::Putty | Client::NoneFirst)
    }

    fn is_questions(&self, exchange: &Exchange, user: (u32, u32), sizes: Sizes) -> bool {
        overlap(sizes.payloads(exchange.request), (55 + user.0, 55 + user.1))
    }

    fn kind(
        &self,
        exchange: &Exchange,
        next: Option<&Exchange>,
        user: (u32, u32),
        sizes: Sizes,
        Place { after_none, admitted, last_but_one }: Place,
    ) -> Kind {
        let request = sizes.payloads(exchange.request);
        let answer = sizes.payloads(exchange.answer);
        let padded = sizes.is_padded_to_64(exchange.request);
        let signs = next.is_none_or(|next| sizes.payloads(next.request).1 >= request.0 + SIGNATURE);
        let asked = (answer.0 + 36 + user.0, answer.1 + 36 + user.1);
        if !admitted && answer.1 >= SHORTEST_PK_OK && overlap(request, asked) && signs {
            return Kind::Asked;
        }
        if !admitted && self.is_questions(exchange, user, sizes) {
            // A password of 15 letters is as long; what follows a question is an answer, and OpenSSH pads passwords.
            match (self.client, next) {
                (Client::OpenSsh, _) if !padded => return Kind::Questions,
                // Padded for all that: the user's name makes it so. A refused password is slower, and refused as the next one is.
                (Client::OpenSsh, Some(next)) if exchange.wait < SLOW_REFUSAL && !last_but_one => {
                    return if next.answer == exchange.answer { Kind::Either } else { Kind::Questions };
                }
                (Client::OpenSsh, Some(_)) if exchange.wait < SLOW_REFUSAL => return Kind::Unclear,
                (Client::OpenSsh, _) => {}
                (_, Some(next)) if next.request != exchange.request => return Kind::Questions,
                _ => {}
            }
        }
        let key = is_key(request, user);
        let password = match self.client {
            Client::OpenSsh => padded,
            Client::Putty => (256..=288).contains(&exchange.request),
            _ => false,
        };
        // A refused key is answered at once; a refused password is not, where PAM is asked, and it may take its time to be typed.
        let slow = exchange.wait >= SLOW_REFUSAL || exchange.pause > LATEST_AUTOMATED;
        match self.client {
            Client::OpenSsh | Client::Putty if password && (admitted || !key || slow) => Kind::Password,
            Client::OpenSsh | Client::Putty if admitted => Kind::Unclear,
            Client::OpenSsh | Client::Putty if password => Kind::Either,
            Client::OpenSsh | Client::Putty => Kind::Refused,
            _ if request.0 >= SHORTEST_SIGNED && admitted => Kind::Signed,
            _ if !admitted && is_key(request, user) => Kind::Refused,
            _ if !after_none && is_signed(request, user) => Kind::Refused,
            _ if request.1 < 100 + user.1 && (after_none || self.client == Client::Direct) => Kind::Password,
            _ => Kind::Unclear,
        }
    }
}

/// Algorithm and key, in bytes: `ssh-ed25519`, the three of ECDSA, RSA with 2048, 3072 and 4096 bits under `rsa-sha2-*` and under
/// `ssh-rsa`, and the two kinds that live on a token.
const KEYS: [u32; 12] = [62, 123, 155, 191, 291, 419, 547, 286, 414, 542, 100, 161];
/// The same, with what a signature adds (RFC 8332, RFC 8709).
const SIGNED: [u32; 4] = [149, 571, 827, 1083];

fn is_key(request: (u32, u32), user: (u32, u32)) -> bool {
    KEYS.iter().any(|key| overlap(request, (45 + user.0 + key, 45 + user.1 + key)))
}

fn is_signed(request: (u32, u32), user: (u32, u32)) -> bool {
    SIGNED.iter().any(|key| overlap(request, (45 + user.0 + key, 45 + user.1 + key)))
}

const fn overlap(a: (u32, u32), b: (u32, u32)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
