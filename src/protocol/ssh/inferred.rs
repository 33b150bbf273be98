//! What is inferred from the lengths of encrypted packets: the login, what may be typed and what answers it, what the client program
//! answers by itself.

use super::{
    auth::Auth,
    input::OutputMemory,
    ladder::Ladder,
    login::{Activity, Login, Purpose},
    ports::Ports,
    records::Record,
    rekey::Rekey,
    sizes::Sizes,
};
use crate::{
    cue::{Cue, InputKind, Step, Terminal},
    flow::Side,
    time::Span,
};

/// What is inferred from the lengths of encrypted packets.
#[derive(Clone, Debug)]
pub(super) struct Inferred {
    pub(super) auth: Auth,
    pub(super) login: Login,
    pub(super) ladder: Ladder,
    pub(super) login_reported: bool,
    pub(super) output: OutputMemory,
    pub(super) rekey: Rekey,
    pub(super) ports: Ports,
    /// Lengths were guessed: only what is as long as a key is told.
    pub(super) guessed: bool,
}

impl Inferred {
    /// Of a session of which nothing was read.
    pub(super) fn new() -> Self {
        Self {
            auth: Auth::default(),
            login: Login::new(),
            ladder: Ladder::default(),
            login_reported: false,
            output: OutputMemory::default(),
            rekey: Rekey::default(),
            ports: Ports::default(),
            guessed: false,
        }
    }

    pub(super) fn on_record(&mut self, side: Side, record: &Record, sizes: Sizes, rtt: Option<Span>, cues: &mut Vec<Cue>) {
        if side == Side::Client && !self.guessed {
            self.ladder.on_client_record(record, sizes, &self.login, cues);
        }
        if side == Side::Server && matches!(self.login.terminal(), Some(Terminal::Open | Terminal::Unknown)) {
            self.output.on_written(record, sizes);
        }
        if self.login.step() == Some(Step::Auth) {
            self.auth.push(side, record, sizes, rtt);
            self.login.push(side, record, sizes);
            if self.login.step() == Some(Step::Open) {
                self.auth.succeed();
            }
        } else {
            self.login.push(side, record, sizes);
            if self.login.has_no_session() {
                self.ports.push(side, record, sizes, rtt);
            }
        }
        if side == Side::Server && !self.guessed {
            self.ladder.on_server_record(record, sizes, &self.login, cues);
        }
        self.report_login(cues);
        match (side, self.login.terminal()) {
            (Side::Server, _) => cues.push(Cue::Output(self.output.on_output(record, sizes))),
            (Side::Client, Some(Terminal::Open | Terminal::Unknown)) => {
                let input = self.output.classify(record, sizes, rtt);
                let is_told = |kind| !self.guessed || matches!(kind, InputKind::Char | InputKind::Key | InputKind::Keys(_));
                match input {
                    Some(input) if is_told(input.kind) => cues.push(Cue::Input(input)),
                    Some(_) => cues.push(Cue::Lost(side)), // it may have been a key
                    None => {}
                }
            }
            (Side::Client, _) => {}
        }
    }

    /// Bytes are missing, or there are no lengths to go by.
    pub(super) fn give_up(&mut self) {
        self.auth.give_up();
        self.login.give_up();
        self.ports.give_up();
    }

    /// What the session is for; `None` where that is not known.
    pub(super) fn activity(&self) -> Option<Activity> {
        let activity = self.login.activity()?;
        if activity.purpose != Some(Purpose::NoSession) && !self.login.has_no_session() {
            return Some(activity);
        }
        // Where the client asked for no port of the server's, nothing comes from one.
        let none = activity.remote_forwarding == Some(false);
        let (reverse_connection, reverse_typing) =
            if none { (Some(false), Some(false)) } else { (self.ports.reverse(), self.ports.typing()) };
        let remote_forwarding = activity.remote_forwarding.or(reverse_connection);
        let local_forwarding = self.ports.local();
        Some(Activity { remote_forwarding, local_forwarding, reverse_connection, reverse_typing, ..activity })
    }

    pub(super) fn report_login(&mut self, cues: &mut Vec<Cue>) {
        if let (Some(terminal), false) = (self.login.terminal(), self.login_reported) {
            self.login_reported = true;
            cues.push(Cue::Terminal(terminal));
        }
    }
}
