//! The words that `protocol` and `measure` share. A protocol reads bytes and says what they are; a measurer times
//! what it is told. Neither knows the other: the engine carries cues from one to the other.

use serde::{Deserialize, Serialize};

use crate::{
    flow::{Reaction, Side},
    time::{Span, Timestamp},
    wire::SeqNumber,
};

/// What a protocol tells the measurers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// The client sent something that may be keystrokes.
    Input(Input),
    /// The server sent something that may answer it.
    Output(Output),
    /// What is known of the terminal now.
    Terminal(Terminal),
    /// A key went down or up, in a protocol that shows both.
    Key(KeyEvent),
    /// The client sends presses late, those of keys that go up soon together with the release: how long keys were held is not told.
    HeldBack,
    /// Both programs are able to hide keystrokes among chaff (OpenSSH 9.5 and later at both ends).
    CanObfuscate {
        /// The client sends chaff along with keys, too (before 9.8, CVE-2024-39894).
        doubled: bool,
        /// Answers come from the end of this connection: behind a proxy they come too late to tell single keys.
        near: bool,
    },
    /// Keys were exchanged anew: what the client has sent since was none of a user's.
    Rekeyed {
        /// When the client began with it.
        since: Timestamp,
    },
    /// Bytes of this side were not captured between its message before and its next one.
    Lost(Side),
    /// The server said what the client program answers by itself.
    Asked(Ask),
    /// The client program answered.
    Answered(Reply),
    /// A handshake over UDP was answered by this side, as fast as it could be.
    RoundTrip {
        /// Who answered.
        side: Side,
        /// From the question to the answer, at the sensor.
        rtt: Span,
    },
}

/// What a client program answers by itself, nobody typing; in the order of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    /// The server's identification, answered by the client's algorithms.
    Banner,
    /// The server's algorithms, answered by the first message of the key exchange.
    KexInit,
    /// The server's part of the key exchange, answered by the next one or by NEWKEYS. A new host key asks a person first.
    Kex,
    /// The service that was granted, answered by the first attempt to log in.
    Service,
    /// An attempt that was answered, and the next one: a person where a password is typed or a token touched.
    Auth,
    /// The login that succeeded, answered by the opening of a channel.
    Open,
    /// The channel that was opened, answered by what is wanted of it.
    Request,
    /// `keepalive@openssh.com`, answered by a status.
    KeepAlive,
    /// The security protocol or type that was offered or chosen (RDP, VNC), answered by the choice or by the first TLS message.
    Security,
    /// The server's part of the TLS handshake, answered by the client's last.
    Tls,
    /// RDP: the attached user or the joined channel that was confirmed, answered by the request to join the next.
    Join,
    /// VNC: what let the client in, and the desktop that was described, answered by the first message of what follows.
    Init,
    /// VNC: a fence, answered by its copy.
    Fence,
    /// VNC: an update of the screen that was asked for, answered by the request for the next.
    Update,
    /// SPICE: a ping, answered by its copy.
    Ping,
}

/// See [`Cue::Asked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What kind of answer it gets.
    pub step: Step,
    /// When its last byte passed the sensor.
    pub time: Timestamp,
    /// First sequence number behind it.
    pub end: SeqNumber,
}

/// See [`Cue::Answered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it answers.
    pub step: Step,
    /// When its first byte passed the sensor.
    pub time: Timestamp,
    /// What the segment of that byte acknowledged.
    pub acked: Option<SeqNumber>,
    /// What a client takes for it, at least: its own work.
    pub work: Span,
}

/// Whether somebody can type in this session at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Terminal {
    /// Not known (yet): only input that was echoed counts.
    #[default]
    Unknown,
    /// A terminal was opened.
    Open,
    /// A command, a file transfer or a tunnel: no terminal.
    Absent,
}

/// One message of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// When it passed the sensor.
    pub time: Timestamp,
    /// When the client's TCP sent it, by the client's own clock, where that is known.
    pub sent: Option<Span>,
    /// First sequence number behind it: what its answer acknowledges.
    pub end: SeqNumber,
    /// Length of one message on the wire in bytes: the SSH packet, not the segment.
    pub bytes: u32,
    /// Bytes that were typed: what one message can carry, at least and at most.
    pub data: DataRange,
    /// What it can be.
    pub kind: InputKind,
    /// What else it may be, that only its answer tells.
    pub doubt: Doubt,
}

/// How many bytes of data a message can carry, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRange {
    /// At least.
    pub least: u32,
    /// At most.
    pub most: u32,
}

/// What a client message can be, by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// One key that sends one or two bytes.
    Char,
    /// One key that sends an escape sequence: arrows, function keys.
    Sequence,
    /// One key; the cipher hides which of the two.
    Key,
    /// Several keys in one segment, each in a message of its own.
    Keys(u8),
    /// Either several keys or one longer message; the answer's size tells.
    KeysOrBulk(u8),
    /// More than one key can send: a paste, or a program's message.
    Bulk,
}

/// What a key-sized message may be instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing else.
    #[default]
    None,
    /// The answer to a keep-alive request of the server, unless it is echoed.
    Reply,
    /// The client's own keep-alive request, if all that answers is a status.
    KeepAlive,
}

/// One message of the server, or a run of them in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// When it passed the sensor.
    pub time: Timestamp,
    /// What the segment that carried it acknowledged.
    pub acked: Option<SeqNumber>,
    /// Length on the wire in bytes.
    pub bytes: u32,
    /// What it can be.
    pub kind: OutputKind,
}

/// What a server message can be, by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// A bare status: shorter than any terminal output, where the cipher shows that.
    Status,
    /// As much as one echoed character.
    Echo,
    /// A few bytes more: what an erased character or a moved cursor takes.
    Redraw,
    /// More.
    Text,
}

/// A key's way down or up. Which key it was is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// When it passed the sensor.
    pub time: Timestamp,
    /// First sequence number behind its segment.
    pub end: SeqNumber,
    /// When the client's TCP sent it, by the client's own clock, where that is known.
    pub sent: Option<Span>,
    /// Length of its message or record on the wire in bytes.
    pub bytes: u32,
    /// Which way.
    pub action: KeyAction,
}

/// Which way a key went, as far as the protocol shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Down, for the first time or again because it is held.
    Down,
    /// Up.
    Up,
    /// One of the two; the rhythm tells.
    Either(Doubtful),
}

/// What a message that looks like a key may be instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubtful {
    /// Nothing else.
    Nothing,
    /// The pointer.
    Pointer,
}

/// What was learned of a session before it became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of data of a segment or datagram that carries a letter.
    pub key: u32,
    /// Most often those of its echo.
    pub echo: u32,
    /// Of datagrams, when the client's program confirms by itself what came.
    pub reaction: Option<Reaction>,
}
