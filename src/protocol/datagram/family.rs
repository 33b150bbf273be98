//! A product in the table of families that speaks over UDP: a question, its answer, and what confirms that.

use super::Exchange;
use crate::{
    cue::Cue,
    flow::{Data, Side},
    protocol::{
        Standing,
        families::{self, DatagramMark, Turn, datagram_mark},
    },
};

/// Datagrams in step that make one of which neither question nor answer was captured.
const ENOUGH: u32 = 4;

/// Decoder of one session.
#[derive(Clone, Debug)]
pub struct Answered {
    mark: &'static DatagramMark,
    roles_known: bool,
    /// Datagrams that are as those between question and answer, of a session that began before.
    in_step: u32,
    stage: Stage,
    /// Question and answer; answer and what confirms it.
    server: Exchange,
    client: Exchange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Only what looks like the middle was seen.
    Middle,
    /// One side has said what names it.
    Said,
    /// Both have.
    Answered,
    NotOurs,
}

impl Answered {
    /// By a datagram that may be one of them; who sent it, and whether something went before.
    pub(super) fn of(bytes: &[u8], len: u32) -> Option<(Self, Option<Side>, bool)> {
        let (mark, turn) = datagram_mark(bytes, len)?;
        let sender = match turn {
            Turn::Question => Some(Side::Client),
            Turn::Answer => Some(Side::Server),
            Turn::Middle | Turn::Either => None,
        };
        let stage = if turn == Turn::Middle { Stage::Middle } else { Stage::Said };
        let midstream = matches!(turn, Turn::Answer | Turn::Middle);
        let (server, client) = (Exchange::default(), Exchange::default());
        Some((Self { mark, roles_known: sender.is_some(), in_step: 0, stage, server, client }, sender, midstream))
    }

    pub(super) const fn standing(&self) -> Standing {
        match self.stage {
            Stage::NotOurs => Standing::NotOurs,
            Stage::Answered => Standing::Both,
            Stage::Said => Standing::OneSide,
            Stage::Middle if self.in_step >= ENOUGH => Standing::OneSide,
            Stage::Middle => Standing::Candidate,
        }
    }

    pub(super) const fn roles_known(&self) -> bool {
        self.roles_known
    }

    pub(super) fn facts(&self) -> families::Facts {
        families::Facts { mark: &self.mark.mark, tls: None, name: None }
    }

    pub(super) fn on_datagram(&mut self, side: Side, data: &Data<'_>, cues: &mut Vec<Cue>) {
        if self.stage == Stage::Middle && self.in_step < ENOUGH {
            self.in_step += 1;
            if !self.mark.is(Turn::Middle, data.bytes, data.len) {
                self.stage = Stage::NotOurs;
            }
            return;
        }
        // What runs over another product's datagrams is named by what only it has.
        if let Some((mark, Turn::Either)) = datagram_mark(data.bytes, data.len) {
            self.mark = mark;
        }
        match side {
            Side::Client if self.mark.is(Turn::Question, data.bytes, data.len) => self.server.ask(data.time),
            Side::Client if self.mark.confirms(data.bytes, data.len) => self.client.answer(Side::Client, data.time, cues),
            Side::Server if self.mark.is(Turn::Answer, data.bytes, data.len) => {
                self.server.answer(Side::Server, data.time, cues);
                self.client.ask(data.time);
                if self.stage == Stage::Said {
                    self.stage = Stage::Answered;
                }
            }
            _ => {}
        }
    }
}
