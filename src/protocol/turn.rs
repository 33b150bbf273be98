//! What a server said and a client program answers by itself, in the handshakes of remote desktops: each turn is a round trip of
//! the program. A person who is asked (about a password, an unknown certificate) only makes it longer.

use crate::{
    cue::{Ask, Cue, Reply, Step},
    flow::{Data, Side},
    time::Span,
};

/// The server has asked, with the end of these bytes.
pub(super) fn ask(step: Step, data: &Data<'_>, cues: &mut Vec<Cue>) {
    cues.push(Cue::Asked(Ask { step, time: data.time, end: data.end }));
}

/// The client has answered. Nothing is taken off for its work: what a machine takes for it is not known.
pub(super) fn answer(step: Step, data: &Data<'_>, cues: &mut Vec<Cue>) {
    cues.push(Cue::Answered(Reply { step, time: data.time, acked: data.acked, work: Span::ZERO }));
}

/// The one turn of a TLS handshake: the server's flight, answered by the client's last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TlsTurn {
    #[default]
    Silent,
    Asked,
    Over,
}

impl TlsTurn {
    /// Takes the next bytes of one side, from the first of TLS on.
    pub(super) fn on_data(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        match (*self, side) {
            (Self::Silent | Self::Asked, Side::Server) => {
                *self = Self::Asked;
                ask(Step::Tls, data, cues);
            }
            (Self::Asked, Side::Client) => {
                *self = Self::Over;
                answer(Step::Tls, data, cues);
            }
            _ => {}
        }
    }
}
