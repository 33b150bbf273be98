//! Telnet's commands, and what the two sides agreed on by them.

use serde::{Deserialize, Serialize};

use crate::flow::{PerSide, Side};

/// "Interpret as command".
pub(super) const IAC: u8 = 255;
/// The least and the last of the commands that name an option: WILL, WONT, DO, DONT.
pub(super) const WILL: u8 = 251;
pub(super) const DONT: u8 = 254;

const WONT: u8 = 252;
const DO: u8 = 253;
const BEGIN_PARAMETERS: u8 = 250;
const END_PARAMETERS: u8 = 240;

/// The last option of IANA's registry that lies below the extended ones.
pub(super) const LAST_KNOWN: u8 = 49;

const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;
const TERMINAL_TYPE: u8 = 24;
const WINDOW_SIZE: u8 = 31;
const LINEMODE: u8 = 34;

/// Bytes kept of a subnegotiation.
pub(super) const MOST_KEPT: usize = 64;

/// How a client sends what is typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Line by line: nothing else was agreed on.
    #[default]
    Line,
    /// Key by key.
    Character,
}

impl Mode {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Character => "character",
        }
    }
}

/// Size of a window in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// A command of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// WILL, WONT, DO or DONT, and the option.
    Option(u8, u8),
    /// The parameters of an option, which they begin with.
    Parameters(&'a [u8]),
}

/// Parts commands from data in what one side sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Splitter {
    state: State,
    kept: Vec<u8>,
    /// Commands that name an option.
    pub(super) commands: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Command,
    Option(u8),
    Parameters,
    CommandInParameters,
}

impl Splitter {
    /// The data among `bytes`.
    pub(super) fn split(&mut self, bytes: &[u8], mut on_command: impl FnMut(Command<'_>)) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len().min(1 << 10));
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Text, IAC) => State::Command,
                (State::Text, _) | (State::Command, IAC) => {
                    text.push(byte);
                    State::Text
                }
                (State::Command, WILL..=DONT) => State::Option(byte),
                (State::Command, BEGIN_PARAMETERS) => {
                    self.kept.clear();
                    State::Parameters
                }
                (State::Command, _) => State::Text,
                (State::Option(verb), option) => {
                    self.commands = self.commands.saturating_add(1);
                    on_command(Command::Option(verb, option));
                    State::Text
                }
                (State::Parameters, IAC) => State::CommandInParameters,
                (State::CommandInParameters, END_PARAMETERS) => {
                    on_command(Command::Parameters(&self.kept));
                    State::Text
                }
                (State::Parameters | State::CommandInParameters, _) => {
                    if self.kept.len() < MOST_KEPT {
                        self.kept.push(byte);
                    }
                    State::Parameters
                }
            };
        }
        text
    }

    /// Bytes are missing.
    pub(super) fn on_gap(&mut self) {
        self.state = State::Text;
    }
}

/// What was agreed on.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// Of the server: whether it offers, and whether the client accepts.
    echo: PerSide<bool>,
    no_go_ahead: PerSide<bool>,
    /// The client edits lines, in the way of RFC 1184.
    edits_lines: bool,
    pub(super) terminal_type: Option<Vec<u8>>,
    pub(super) window: Option<Window>,
}

impl Options {
    /// A client sends each key by itself where the server echoes and both do without go-ahead (RFC 858), unless it edits lines.
    pub(super) const fn mode(&self) -> Mode {
        let echo = self.echo.client && self.echo.server;
        let no_go_ahead = self.no_go_ahead.client && self.no_go_ahead.server;
        if echo && no_go_ahead && !self.edits_lines { Mode::Character } else { Mode::Line }
    }

    pub(super) fn on_command(&mut self, side: Side, command: Command<'_>) {
        match command {
            Command::Option(verb, option) => self.on_option(side, verb, option),
            Command::Parameters(parameters) => self.on_parameters(side, parameters),
        }
    }

    fn on_option(&mut self, side: Side, verb: u8, option: u8) {
        let of_server = match option {
            ECHO => &mut self.echo,
            SUPPRESS_GO_AHEAD => &mut self.no_go_ahead,
            LINEMODE if matches!(verb, WONT | DONT) => {
                self.edits_lines = false;
                return;
            }
            _ => return,
        };
        match (side, verb) {
            (Side::Server, WILL) | (Side::Client, DO) => *of_server.get_mut(side) = true,
            (Side::Server, WONT) | (Side::Client, DONT) => *of_server = PerSide::default(),
            _ => {} // of what the client does
        }
    }

    fn on_parameters(&mut self, side: Side, parameters: &[u8]) {
        match (side, parameters) {
            (Side::Client, [TERMINAL_TYPE, 0, name @ ..]) => self.terminal_type = Some(name.to_vec()),
            (Side::Client, &[WINDOW_SIZE, a, b, c, d]) => {
                self.window = Some(Window { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) });
            }
            (Side::Server, &[LINEMODE, 1, mask, ..]) => self.edits_lines = mask & 1 != 0,
            _ => {}
        }
    }
}
