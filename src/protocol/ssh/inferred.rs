//! What is inferred from the lengths of encrypted packets: the login, what may be typed and what answers it, what the client program
//! answers by itself.

use super::{auth::Auth, input::OutputMemory, ladder::Ladder, login::Login, records::Record, rekey::Rekey, sizes::Sizes};
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
    }

    pub(super) fn report_login(&mut self, cues: &mut Vec<Cue>) {
        if let (Some(terminal), false) = (self.login.terminal(), self.login_reported) {
            self.login_reported = true;
            cues.push(Cue::Terminal(terminal));
        }
    }
}
