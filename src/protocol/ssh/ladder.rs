//! Which messages a client program answers by itself, and what is its answer: the rungs of a login, and keep-alives.
//!
//! ```text
//! server                      client
//! identification          ──▶ KEXINIT                 unless it was sent before
//! KEXINIT                 ──▶ first message of the key exchange
//! its last one, NEWKEYS   ──▶ NEWKEYS
//! SERVICE_ACCEPT          ──▶ USERAUTH_REQUEST
//! USERAUTH_FAILURE, PK_OK ──▶ USERAUTH_REQUEST        a person, where a password is typed
//! USERAUTH_SUCCESS        ──▶ CHANNEL_OPEN
//! CHANNEL_OPEN_CONFIRM    ──▶ pty-req, shell, exec
//! keepalive@openssh.com   ──▶ CHANNEL_FAILURE, REQUEST_FAILURE
//! ```
//!
//! An exchange of keys in mid-session climbs its two rungs again ([`super::rekey`]).
//!
//! In clear the messages say what they are. Behind NEWKEYS it follows from their order and lengths ([`super::login`]).

use super::{
    login::Login,
    records::Record,
    sizes::{Sizes, payload},
};
use crate::{
    cue::{Ask, Cue, Reply, Step},
    flow::{Data, Side},
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// Both sides are silent as long as this before a keep-alive: it is sent because nothing came.
const QUIET: Span = Span::from_secs(1);

/// What the client's own work takes on each rung, at least (OpenSSH; from its source and from timing it). Subtracting more would
/// make short legs of hidden ones.
const fn work(step: Step) -> Span {
    Span::from_micros(match step {
        Step::Banner | Step::Kex => 200,
        Step::Auth => 500,
        Step::KexInit | Step::Service | Step::Open | Step::Request | Step::KeepAlive => 100,
        Step::Security | Step::Tls | Step::Join | Step::Init | Step::Fence | Step::Update | Step::Ping => 0, // no rungs of SSH
    })
}

/// What making a key of its own takes a client, at least.
pub(super) fn key_work(kex: Option<&str>) -> Span {
    Span::from_micros(match kex {
        Some(kex) if kex.contains("group16") || kex.contains("group18") || kex.contains("group-exchange") => 5_000,
        Some(kex) if kex.contains("group14") || kex.contains("sntrup") => 1_000,
        _ => 100,
    })
}

/// See the [module's documentation](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ladder {
    /// Where the client's message in clear that is not complete yet began.
    began: Option<(Timestamp, Option<SeqNumber>)>,
    service: Service,
    /// Whether the server's success was noted: what else it says then asks for nothing.
    admitted: bool,
    /// When either side last sent something encrypted.
    last: Option<Timestamp>,
    /// The last of it was a keep-alive that wants an answer.
    kept_alive: bool,
}

/// Whether the service was granted, and what the server says next is about a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Service {
    #[default]
    Wanted,
    Granted,
    Used,
}

impl Ladder {
    /// The server has identified itself.
    pub(super) fn on_server_banner(data: &Data<'_>, cues: &mut Vec<Cue>) {
        ask(Step::Banner, data.time, data.end, cues);
    }

    /// Bytes of the client in clear; `fresh` where a message begins with them.
    pub(super) const fn on_client_clear(&mut self, data: &Data<'_>, fresh: bool) {
        if fresh || self.began.is_none() {
            self.began = Some((data.time, data.acked));
        }
    }

    /// A message in clear: an algorithm offer, or any other one of the key exchange, whose method takes the client `key_work` besides.
    pub(super) fn on_clear_message(&self, side: Side, is_offer: bool, key_work: Span, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (side, is_offer, self.began) {
            (Side::Server, true, _) => ask(Step::KexInit, data.time, data.end, cues),
            (Side::Server, false, _) => ask(Step::Kex, data.time, data.end, cues),
            (Side::Client, true, Some((time, acked))) => answer(Step::Banner, time, acked, Span::ZERO, cues),
            (Side::Client, false, Some((time, acked))) => {
                answer(Step::KexInit, time, acked, key_work, cues);
                answer(Step::Kex, time, acked, key_work, cues);
            }
            (Side::Client, _, None) => {}
        }
    }

    /// A record of the client, before `login` takes it into account.
    pub(super) fn on_client_record(&mut self, record: &Record, sizes: Sizes, login: &Login, cues: &mut Vec<Cue>) {
        let kept_alive = std::mem::take(&mut self.kept_alive);
        let step = match login.step() {
            Some(Step::Auth) => match self.service {
                Service::Wanted => None,
                Service::Granted => {
                    self.service = Service::Used;
                    Some(Step::Service)
                }
                Service::Used => Some(Step::Auth),
            },
            Some(step) => Some(step),
            None if kept_alive => {
                let status = [payload::CHANNEL_STATUS, payload::STATUS].map(|n| sizes.packet(n));
                status.contains(&record.len).then_some(Step::KeepAlive)
            }
            None => None,
        };
        if let Some(step) = step {
            answer(step, record.time, record.acked, Span::ZERO, cues);
        }
        self.last = Some(record.time);
    }

    /// A record of the server, after `login` took it into account.
    pub(super) fn on_server_record(&mut self, record: &Record, sizes: Sizes, login: &Login, cues: &mut Vec<Cue>) {
        let quiet = self.last.replace(record.time).is_some_and(|last| record.time - last >= QUIET);
        self.kept_alive = false;
        let step = match login.step() {
            // EXT_INFO, which needs no answer, comes before the client has asked for anything.
            Some(Step::Auth) if login.client_packets() == 0 => None,
            Some(Step::Auth) if self.service != Service::Used => {
                self.service = Service::Granted;
                Some(Step::Service)
            }
            Some(Step::Open) if std::mem::replace(&mut self.admitted, true) => None,
            Some(step) => Some(step),
            None if quiet => {
                let request = [payload::GLOBAL_KEEPALIVE, payload::CHANNEL_KEEPALIVE].map(|n| sizes.packet(n));
                self.kept_alive = request.contains(&record.len);
                self.kept_alive.then_some(Step::KeepAlive)
            }
            None => None,
        };
        if let Some(step) = step {
            ask(step, record.time, record.end, cues);
        }
    }
}

pub(super) fn ask(step: Step, time: Timestamp, end: SeqNumber, cues: &mut Vec<Cue>) {
    cues.push(Cue::Asked(Ask { step, time, end }));
}

pub(super) fn answer(step: Step, time: Timestamp, acked: Option<SeqNumber>, more: Span, cues: &mut Vec<Cue>) {
    cues.push(Cue::Answered(Reply { step, time, acked, work: work(step) + more }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs records given as (length, milliseconds): positive from the client, negative from the server.
    fn climb(records: &[(i32, i64)]) -> Vec<(Step, bool, i64)> {
        let sizes = Sizes::of("chacha20-poly1305@openssh.com", "", "none").unwrap();
        let (mut ladder, mut login, mut cues) = (Ladder::default(), Login::new(), Vec::new());
        login.set_openssh_server(true);
        for &(len, ms) in records {
            let time = Timestamp::from_nanos(ms * 1_000_000);
            let record = Record { len: len.unsigned_abs(), exact: false, time, end: SeqNumber(0), acked: None, sent: None };
            if len > 0 {
                ladder.on_client_record(&record, sizes, &login, &mut cues);
                login.push(Side::Client, &record, sizes);
            } else {
                login.push(Side::Server, &record, sizes);
                ladder.on_server_record(&record, sizes, &login, &mut cues);
            }
        }
        let shown = |cue: &Cue| match cue {
            Cue::Asked(ask) => Some((ask.step, true, ask.time.as_nanos() / 1_000_000)),
            Cue::Answered(reply) => Some((reply.step, false, reply.time.as_nanos() / 1_000_000)),
            _ => None,
        };
        cues.iter().filter_map(shown).collect()
    }

    /// Lengths as OpenSSH 10 sends them (`pcaps/README.md`).
    const LOGIN: [(i32, i64); 14] = [
        (44, 10),
        (-44, 11),
        (60, 30),
        (-280, 31),
        (140, 50),
        (-100, 51),
        (308, 70),
        (-28, 71),
        (-412, 80),
        (112, 90),
        (-44, 91),
        (392, 110),
        (-108, 111),
        (-60, 112),
    ];

    #[test]
    fn each_rung_of_a_login_is_asked_and_answered() {
        let (asked, answered) = (true, false);
        let rungs = [
            (Step::Service, asked, 11),
            (Step::Service, answered, 30),
            (Step::Auth, asked, 31),
            (Step::Auth, answered, 50),
            (Step::Auth, asked, 51),
            (Step::Auth, answered, 70),
            (Step::Open, asked, 71),
            (Step::Open, answered, 90),
            (Step::Request, asked, 91),
            (Step::Request, answered, 110),
        ];
        assert_eq!(climb(&LOGIN), rungs, "what the server says of its host keys asks for nothing");
    }

    #[test]
    fn keep_alives_are_asked_out_of_silence() {
        let asked = |records: &[(i32, i64)]| {
            let climbed = climb(&[&LOGIN[..], records].concat());
            climbed.into_iter().filter(|(step, asked, _)| *step == Step::KeepAlive && *asked).count()
        };
        assert_eq!(asked(&[(-60, 15_112), (36, 15_132), (-60, 30_132), (36, 30_152)]), 2);
        assert_eq!(asked(&[(36, 15_100), (-60, 15_112), (36, 15_500)]), 0, "output that a key brought");
        assert_eq!(climb(&[&LOGIN[..], &[(-60, 15_112), (36, 15_132)]].concat()).last(), Some(&(Step::KeepAlive, false, 15_132)));
    }
}
