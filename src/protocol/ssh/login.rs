//! What the lengths of the first encrypted packets tell: when the login was over, and whether a terminal was opened.
//!
//! Everything here is inferred (RFC 4252, RFC 4254; order as OpenSSH sends it):
//!
//! ```text
//! server  USERAUTH_SUCCESS                      the shortest packet there is
//! client  CHANNEL_OPEN session [+ no-more-sessions]
//! server  [hostkeys] CHANNEL_OPEN_CONFIRMATION
//! client  [pty-req] [env …] shell | exec | subsystem          one flight
//! server  CHANNEL_SUCCESS per request that wanted a reply, WINDOW_ADJUST
//! ```
//!
//! A terminal and a shell are two requests that want a reply; a command or a subsystem is one. OpenSSH's server
//! adds a WINDOW_ADJUST to the last. Where the answer fits neither, the terminal stays unknown and only echoed input counts.

use serde::{Deserialize, Serialize};

use super::{
    records::Record,
    sizes::{Sizes, payload},
};
use crate::{
    cue::{Step, Terminal},
    flow::Side,
    time::{Span, Timestamp},
};

/// What a server writes at once passes within this time; what a command prints comes later, since it has to start first.
const ONE_WRITE: Span = Span::from_millis(2);

/// Both sides were silent for a second at least, the shortest that programs can be told, before one keeps the session alive.
const KEPT_ALIVE_AFTER: Span = Span::from_millis(900);

/// Less than this, of a client that is not OpenSSH, may be a command and requests of the client's own making.
const LEAST_FOREIGN: u32 = 256;

/// What a session turned out to be for, as far as its opening tells. All of it is inferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// See [`Purpose`]; `None` where the opening fits neither.
    pub purpose: Option<Purpose>,
    /// The client asked the server to listen on its behalf (`ssh -R`).
    pub remote_forwarding: Option<bool>,
    /// The client lent the server its agent (`ssh -A`); only packets with lengths in clear tell.
    pub agent_forwarding: Option<bool>,
    /// Connections came from ports of the client's (`ssh -L`, `ssh -D`); only without a session can that be told.
    pub local_forwarding: Option<bool>,
    /// A connection came from a port of the server's; only without a session can that be told.
    pub reverse_connection: Option<bool>,
    /// Somebody types through it, from the server's side, and the client's side echoes.
    pub reverse_typing: Option<bool>,
}

impl Activity {
    const UNKNOWN: Self = Self {
        purpose: None,
        remote_forwarding: None,
        agent_forwarding: None,
        local_forwarding: None,
        reverse_connection: None,
        reverse_typing: None,
    };
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A terminal.
    Terminal,
    /// A command or a subsystem without a terminal, such as a file transfer.
    Command,
    /// No session at all (`ssh -N`).
    NoSession,
    /// No session, but one connection passed on from the start (`ssh -W`, `ssh -J`).
    Relay,
}

/// Progress of a login, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before USERAUTH_SUCCESS.
    Auth,
    /// The client opens its channel: bytes of its flight so far.
    Opening { flight: u32 },
    /// The client sent one packet: that there will be no session, or ports for the server first.
    /// `since` is when the server last said something.
    Perhaps { forwarding: Option<bool>, since: Timestamp },
    /// The server answers that.
    Confirming,
    /// The client asks for a terminal, a shell, a command: bytes of its flight so far.
    Requesting { flight: u32 },
    /// The server answers that: bytes of its answer so far, and when the last of them came.
    Answering { flight: u32, answer: u32, time: Timestamp },
    /// The terminal was granted on its own; the shell is asked for separately.
    ShellNext,
    /// Bytes were missing: it is over when the client sends what a login has no message for.
    Lost,
    /// Known, or known not to be knowable.
    Over(Terminal),
}

/// See the [module's documentation](self).
#[derive(Clone, Copy, Debug)]
pub(super) struct Login {
    stage: Stage,
    client_packets: u32,
    openssh_server: bool,
    openssh_client: bool,
    /// The client is one that wants an answer to whatever it asks of a session.
    asks_for_answers: bool,
    /// What was opened may also be ports on the server and no session.
    blurred: bool,
    activity: Activity,
    /// Bytes of what was asked of the session.
    requested: u32,
}

impl Login {
    /// Before the first encrypted packet.
    pub(super) const fn new() -> Self {
        Self {
            stage: Stage::Auth,
            client_packets: 0,
            openssh_server: false,
            openssh_client: false,
            asks_for_answers: false,
            blurred: false,
            requested: 0,
            activity: Activity::UNKNOWN,
        }
    }

    /// Who the server says it is: OpenSSH adds a WINDOW_ADJUST to its answer.
    pub(super) const fn set_openssh_server(&mut self, is_openssh: bool) {
        self.openssh_server = is_openssh;
    }

    /// Who the client says it is: OpenSSH opens a session and rules out others at once, and nobody else rules them out. Of clients whose habits
    /// are known, each wants an answer to whatever it asks of a session.
    pub(super) const fn set_client(&mut self, is_openssh: bool, is_known: bool) {
        (self.openssh_client, self.asks_for_answers) = (is_openssh, is_known);
    }

    /// Bytes are missing, or there are no lengths to go by: all that can be known from here on is that it is over. The rest
    /// of a login must not pass for keystrokes.
    pub(super) const fn give_up(&mut self) {
        if !matches!(self.stage, Stage::Over(_)) {
            self.stage = Stage::Lost;
        }
    }

    /// What is known of the terminal; `None` while the login goes on.
    pub(super) const fn terminal(&self) -> Option<Terminal> {
        match self.stage {
            Stage::Over(terminal) => Some(terminal),
            _ => None,
        }
    }

    /// What the session is for; `None` before that is known.
    pub(super) fn activity(&self) -> Option<Activity> {
        let purpose = match (self.stage, self.activity.purpose) {
            (Stage::Perhaps { forwarding, .. }, _) => {
                // A request for ports is never the last that a client opens with.
                let purpose = if forwarding == Some(true) { None } else { Some(Purpose::NoSession) };
                return Some(Activity { purpose, remote_forwarding: Some(forwarding == Some(true)), ..Activity::UNKNOWN });
            }
            (Stage::Over(_), Some(purpose)) => Some(purpose),
            // Others than OpenSSH ask for what is their own, too.
            (Stage::Over(Terminal::Open), _) if self.openssh_client || self.requested >= LEAST_FOREIGN => Some(Purpose::Terminal),
            (Stage::Over(Terminal::Absent), _) if !self.blurred => Some(Purpose::Command),
            _ => None,
        };
        // Behind ports alone there is no terminal.
        let remote_forwarding =
            if purpose == Some(Purpose::Terminal) && self.blurred { Some(false) } else { self.activity.remote_forwarding };
        let agent_forwarding = self.activity.agent_forwarding.filter(|_| purpose == Some(Purpose::Terminal));
        purpose.map(|_| Activity { purpose, remote_forwarding, agent_forwarding, ..Activity::UNKNOWN })
    }

    /// Whether sessions were ruled out without one, as far as is known.
    pub(super) const fn has_no_session(&self) -> bool {
        matches!(self.stage, Stage::Perhaps { .. }) || matches!(self.activity.purpose, Some(Purpose::NoSession))
    }

    /// What the server's last record is about, where the client answers it by itself.
    pub(super) const fn step(&self) -> Option<Step> {
        match self.stage {
            Stage::Auth => Some(Step::Auth),
            Stage::Opening { .. } => Some(Step::Open),
            Stage::Confirming => Some(Step::Request),
            _ => None,
        }
    }

    /// Encrypted packets of the client before its login succeeded.
    pub(super) const fn client_packets(&self) -> u32 {
        self.client_packets
    }

    /// Takes the next record into account.
    pub(super) fn push(&mut self, side: Side, record: &Record, sizes: Sizes) {
        let len = record.len;
        self.stage = match (self.stage, side) {
            (Stage::Auth, Side::Client) => {
                self.client_packets += 1;
                Stage::Auth
            }
            // The client asks for the service and then to be let in before it can be.
            (Stage::Auth, Side::Server) if len == sizes.packet(payload::STATUS) && self.client_packets >= 2 => {
                Stage::Opening { flight: 0 }
            }
            (Stage::Opening { flight }, Side::Client) => Stage::Opening { flight: flight.saturating_add(len) },
            (Stage::Opening { flight: 0 }, Side::Server) => self.stage,
            (Stage::Opening { flight }, Side::Server) => self.opened(flight, record.time, sizes),
            (Stage::Perhaps { forwarding, since }, Side::Client) => {
                self.opened_after(forwarding, len, record.time - since >= KEPT_ALIVE_AFTER, sizes)
            }
            (Stage::Perhaps { forwarding, .. }, Side::Server) => Stage::Perhaps { forwarding, since: record.time },
            (Stage::Confirming, Side::Server) => Stage::Confirming,
            (Stage::Confirming, Side::Client) => {
                // The agent is lent before a terminal is asked for, which takes more than the names of its modes.
                let lent = len == sizes.packet(payload::AGENT);
                self.activity.agent_forwarding =
                    (record.exact && (lent || len >= sizes.packet(payload::USUAL_PTY))).then_some(lent);
                // Where only ports were opened, what the client sends now accepts a channel to one of them.
                if self.blurred && len != sizes.packet(payload::OPEN_CONFIRMATION) {
                    (self.blurred, self.activity.remote_forwarding) = (false, Some(false));
                }
                self.requested = len;
                Stage::Requesting { flight: len }
            }
            (Stage::Requesting { flight }, Side::Client) => {
                self.requested = flight.saturating_add(len);
                Stage::Requesting { flight: self.requested }
            }
            (Stage::Requesting { flight }, Side::Server) => self.answered(flight, 0, record, sizes),
            (Stage::Answering { flight, answer, time }, Side::Server) => {
                let one_write = record.time - time <= ONE_WRITE;
                match self.conclude(flight, answer, sizes) {
                    Some(terminal) if !one_write => Stage::Over(terminal),
                    _ => self.answered(flight, answer, record, sizes),
                }
            }
            (Stage::Answering { flight, answer, .. }, Side::Client) => match self.conclude(flight, answer, sizes) {
                Some(terminal) => Stage::Over(terminal),
                None if len == sizes.packet(payload::SHELL) && flight >= sizes.packet(payload::SHORTEST_PTY) => Stage::ShellNext,
                None => Stage::Over(unless_too_short(Terminal::Unknown, flight, sizes)),
            },
            // Only a cipher that blurs lengths makes a message of the login as short as a key.
            (Stage::Lost, Side::Client) if len == sizes.key() => Stage::Over(Terminal::Unknown),
            (Stage::ShellNext, Side::Server) => Stage::Over(Terminal::Open),
            (stage, _) => stage,
        };
    }

    /// What the client opened with a flight of this length: a session, or that there will be none, or ports on the server first.
    fn opened(&mut self, flight: u32, since: Timestamp, sizes: Sizes) -> Stage {
        let (open, none) = (sizes.packet(payload::OPEN_SESSION), sizes.packet(payload::NO_MORE_SESSIONS));
        let forwards = |rest: Option<u32>| self.openssh_client && rest.is_some_and(|rest| sizes.is_forward(rest));
        let alone = self.openssh_client && (flight == none || forwards(Some(flight)));
        let (purpose, remote_forwarding) = if alone {
            let forwarding = match (flight == none, forwards(Some(flight))) {
                (true, true) => None,
                (_, forwards) => Some(forwards),
            };
            return Stage::Perhaps { forwarding, since };
        } else if flight == open || flight == open + none {
            self.blurred = flight != open && forwards(flight.checked_sub(none));
            let before = self.activity.remote_forwarding == Some(true);
            self.blurred &= !before;
            (None, (!self.blurred).then_some(before))
        } else if forwards(flight.checked_sub(open + none)) {
            (None, Some(true))
        } else if forwards(flight.checked_sub(none)) {
            (Some(Purpose::NoSession), Some(true))
        } else if self.openssh_client && flight.checked_sub(none).is_some_and(|rest| sizes.is_relay(rest)) {
            self.activity = Activity { purpose: Some(Purpose::Relay), remote_forwarding: Some(false), ..Activity::UNKNOWN };
            return Stage::Over(Terminal::Unknown); // what is passed on may be typed and echoed
        } else {
            return Stage::Over(Terminal::Unknown);
        };
        self.activity = Activity { purpose, remote_forwarding, ..Activity::UNKNOWN };
        if purpose.is_some() { Stage::Over(Terminal::Absent) } else { Stage::Confirming }
    }

    /// More of the client, after a packet that ruled out sessions or asked for ports: the session, or that there will be none. What comes
    /// `late` may keep the session alive, which can be as long as a session that is opened.
    fn opened_after(&mut self, forwarding: Option<bool>, len: u32, late: bool, sizes: Sizes) -> Stage {
        let (open, none) = (sizes.packet(payload::OPEN_SESSION), sizes.packet(payload::NO_MORE_SESSIONS));
        let session = len == open + none || (open != none && len == open && !late);
        if session && forwarding != Some(false) {
            self.activity.remote_forwarding = Some(true);
            return Stage::Opening { flight: len };
        }
        // Ports that were asked for are followed by that, or by the promise to open no session.
        self.activity.remote_forwarding = match forwarding {
            None if len == none => (!late).then_some(true),
            forwarding => Some(forwarding == Some(true)),
        };
        self.activity.purpose = Some(Purpose::NoSession);
        Stage::Over(Terminal::Absent)
    }

    /// More of the server's answer. Its packets may come one by one, so their sum waits for what follows.
    fn answered(&self, flight: u32, answer: u32, record: &Record, sizes: Sizes) -> Stage {
        let answer = answer.saturating_add(record.len);
        match self.conclude(flight, answer, sizes) {
            Some(Terminal::Open) => Stage::Over(Terminal::Open),
            _ => Stage::Answering { flight, answer, time: record.time },
        }
    }

    /// What an answer of this length to a flight of that length says; `None` for a single status, which says nothing yet.
    fn conclude(&self, flight: u32, answer: u32, sizes: Sizes) -> Option<Terminal> {
        let status = sizes.packet(payload::CHANNEL_STATUS);
        let adjust = sizes.packet(payload::WINDOW_ADJUST);
        let whole = |bytes: u32| bytes.is_multiple_of(status).then_some(bytes / status);
        // (statuses, adjusts); where the two have one length, the last of an OpenSSH server's is the adjust.
        let counted = match whole(answer) {
            Some(n) if status == adjust && self.openssh_server && n > 1 => Some((n - 1, 1)),
            Some(n) => Some((n, 0)),
            None => answer.checked_sub(adjust).and_then(whole).map(|n| (n, 1)),
        };
        Some(match counted {
            Some((1, 0)) => return None,
            // Others may ask for a terminal without wanting an answer (russh, as its examples show), and for a shell with one.
            Some((1, 1)) if self.openssh_server && self.asks_for_answers => Terminal::Absent,
            Some((2, 1) | (3, 0)) => unless_too_short(Terminal::Open, flight, sizes),
            Some((2, 0)) if status != adjust => unless_too_short(Terminal::Open, flight, sizes),
            _ => unless_too_short(Terminal::Unknown, flight, sizes),
        })
    }
}

/// A flight too short to ask for a terminal did not.
const fn unless_too_short(terminal: Terminal, flight: u32, sizes: Sizes) -> Terminal {
    if flight >= sizes.packet(payload::SHORTEST_PTY) { terminal } else { Terminal::Absent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SeqNumber;

    const CHACHA: (&str, &str) = ("chacha20-poly1305@openssh.com", "");
    const SHA512: (&str, &str) = ("aes128-ctr", "hmac-sha2-512");
    const GCM: (&str, &str) = ("aes128-gcm@openssh.com", "");

    fn terminal(suite: (&str, &str), openssh: bool, lens: &[i32]) -> Option<Terminal> {
        run(suite, openssh, lens).terminal()
    }

    fn activity(suite: (&str, &str), lens: &[i32]) -> (Option<Purpose>, Option<bool>, Option<bool>) {
        let activity = run(suite, true, lens).activity().unwrap_or_default();
        (activity.purpose, activity.remote_forwarding, activity.agent_forwarding)
    }

    /// Runs a login given as record lengths: positive from the client, negative from the server.
    fn run((cipher, mac): (&str, &str), openssh_server: bool, lens: &[i32]) -> Login {
        let sizes = Sizes::of(cipher, mac, "none").unwrap();
        let mut login = Login::new();
        login.set_openssh_server(openssh_server);
        login.set_client(openssh_server, true);
        for (i, &len) in lens.iter().enumerate() {
            let side = if len > 0 { Side::Client } else { Side::Server };
            // Records of one side that follow each other came in one segment.
            let time =
                Timestamp::from_nanos(lens.get(..i).unwrap().iter().filter(|&&before| (before > 0) != (len > 0)).count() as i64);
            let record = Record {
                len: len.unsigned_abs(),
                exact: sizes.length_in_clear,
                time,
                end: SeqNumber(0),
                acked: None,
                sent: None,
            };
            login.push(side, &record, sizes);
        }
        login
    }

    /// As recorded from OpenSSH 9.2 and 10; what was asked of them is known.
    #[test]
    fn what_is_opened_tells_what_for() {
        let auth = [44, -44, 60, -100, 140, -28];
        let chacha = |lens: &[i32]| activity(CHACHA, &[&auth[..], lens].concat());
        assert_eq!(chacha(&[60, -280, -164]), (Some(Purpose::NoSession), Some(false), None), "-N");
        assert_eq!(chacha(&[68, 60, -280, -192]), (Some(Purpose::NoSession), Some(true), None), "-N -R");
        assert_eq!(chacha(&[152, -412, -44]), (Some(Purpose::Relay), Some(false), None), "-W");
        assert_eq!(chacha(&[112, -412, -44, 52, -72, 36]), (Some(Purpose::Command), Some(false), None), "a command");
        assert_eq!(chacha(&[68, -280, 112, -200, -28, 392, -108]), (Some(Purpose::Terminal), Some(true), None), "-R");
        assert_eq!(chacha(&[60, -412, 60, -28]), (Some(Purpose::NoSession), Some(true), None), "-N -R to all addresses");
        assert_eq!(chacha(&[60, -412, 92, -44]), (Some(Purpose::NoSession), Some(false), None), "-N -L, used");
        assert_eq!(chacha(&[300, 300, -412]), (None, None, None), "whatever that is");
        let auth = [52, -52, 68, -68, 148, -100, 308, -36, 52, 68, -412, -52];
        let gcm = |lens: &[i32]| activity(GCM, &[&auth[..], lens].concat());
        assert_eq!(gcm(&[68, 340, 52, -36, -36, -36]), (Some(Purpose::Terminal), Some(false), Some(true)), "-A");
        assert_eq!(gcm(&[340, 52, -36, -36, -36]), (Some(Purpose::Terminal), Some(false), Some(false)));
    }

    #[test]
    fn what_keeps_a_session_alive_opens_none() {
        let sizes = Sizes::of(CHACHA.0, CHACHA.1, "none").unwrap();
        let mut login = run(CHACHA, true, &[44, -44, 60, -100, 140, -28, 60, -412]);
        for (side, len) in [(Side::Client, 52), (Side::Server, 28), (Side::Client, 52), (Side::Server, 28)] {
            let time = Timestamp::from_nanos(5_000_000_000);
            login.push(side, &Record { len, exact: false, time, end: SeqNumber(0), acked: None, sent: None }, sizes);
        }
        let activity = login.activity().unwrap();
        assert_eq!((activity.purpose, activity.remote_forwarding), (Some(Purpose::NoSession), Some(false)));
        assert_eq!(login.terminal(), Some(Terminal::Absent));
    }

    /// With blocks of 16 bytes a session that is opened is as long as the promise not to open one.
    #[test]
    fn a_client_other_than_openssh_opens_sessions() {
        let auth = [64, -64, 96, -80, 256, -48];
        let shell = [&auth[..], &[80, -128, -64, 432, -48, -48]].concat();
        assert_eq!(run(("aes128-ctr", "hmac-sha2-256"), false, &shell).terminal(), Some(Terminal::Open));
        assert_eq!(run(("aes128-ctr", "hmac-sha2-256"), true, &[&auth[..], &[80, -128]].concat()).terminal(), None);
    }

    /// Lengths as OpenSSH 10 sends them (`pcaps/README.md`).
    #[test]
    fn a_shell_opens_a_terminal_and_a_command_does_not() {
        let login = [44, -44, 60, -280, 140, -100, 308, -28, 112, -412, -44];
        assert_eq!(terminal(CHACHA, true, &login), None);
        assert_eq!(terminal(CHACHA, true, &[&login[..], &[392, -108]].concat()), Some(Terminal::Open));
        assert_eq!(terminal(CHACHA, true, &[&login[..], &[52, -72, 36]].concat()), Some(Terminal::Absent));
        assert_eq!(terminal(CHACHA, true, &[&login[..], &[700, -72, 36]].concat()), Some(Terminal::Absent));
        let sha512 = [96, -96, 112, -336, 192, -144, 352, -80, 224, -464, -96];
        assert_eq!(terminal(SHA512, true, &[&sha512[..], &[480, -256]].concat()), Some(Terminal::Open));
        assert_eq!(terminal(SHA512, true, &[&sha512[..], &[112, -176, 96]].concat()), Some(Terminal::Absent));
    }

    #[test]
    fn exact_packets_add_up_to_the_same() {
        let login = [52, -52, 68, -68, 148, -100, 308, -36, 52, 68, -412, -52];
        assert_eq!(terminal(GCM, true, &[&login[..], &[340, 52, -36, -36]].concat()), None, "not before all of it");
        assert_eq!(terminal(GCM, true, &[&login[..], &[340, 52, -36, -36, -36]].concat()), Some(Terminal::Open));
        assert_eq!(terminal(GCM, true, &[&login[..], &[52, -36, -36, 36]].concat()), Some(Terminal::Absent));
    }

    #[test]
    fn a_client_that_waits_for_each_answer_is_understood() {
        let login = [44, -44, 60, -100, 140, -28, 52, -44];
        assert_eq!(terminal(CHACHA, false, &[&login[..], &[84, -36, 44, -36, -36]].concat()), Some(Terminal::Open));
    }

    #[test]
    fn a_tunnel_has_no_terminal_and_a_gap_no_answer() {
        assert_eq!(terminal(CHACHA, true, &[44, -44, 60, -100, 140, -28, 60, -412, 36]), Some(Terminal::Absent));
        assert_eq!(terminal(CHACHA, true, &[44, -44, 60, -100, 140, -28, 68, 60, -412]), Some(Terminal::Absent));
        let sizes = Sizes::of(CHACHA.0, CHACHA.1, "none").unwrap();
        let mut login = Login::new();
        login.give_up();
        for (len, over) in [(44, None), (392, None), (36, Some(Terminal::Unknown)), (44, Some(Terminal::Unknown))] {
            let record = Record { len, exact: false, time: Timestamp::from_nanos(0), end: SeqNumber(0), acked: None, sent: None };
            login.push(Side::Client, &record, sizes);
            assert_eq!(login.terminal(), over, "{len}");
        }
    }
}
