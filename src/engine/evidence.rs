//! What the engine does for whoever doubts an alert, and for those whom it is about: headers are kept where that was asked for,
//! and identifiers come from pseudonyms.

use std::sync::Arc;

use super::{Attachment, Engine};
use crate::{
    evidence::Slice,
    flow::{Flow, FlowId, FlowKey, SessionId},
    protocol::identify::Guess,
    pseudonym::Pseudonyms,
    time::Timestamp,
    wire::Frame,
};

impl Engine {
    /// Keeps the headers of a frame whose flow is a session, or may become one.
    #[inline]
    pub(super) fn keep_headers(&mut self, id: FlowId, frame: &Frame<'_>, has_payload: bool) {
        if self.slices.is_some() {
            self.push_headers(id, frame, has_payload);
        }
    }

    #[inline(never)]
    fn push_headers(&mut self, id: FlowId, frame: &Frame<'_>, has_payload: bool) {
        let (Some(keeper), Some(flow)) = (&mut self.slices, self.table.get_mut(id)) else { return };
        let (is_session, may_become_one) = (flow.attached.session.is_some(), may_become_session(flow));
        let slice = &mut flow.attached.slice;
        if is_session || may_become_one {
            keeper.push(slice, frame, has_payload, is_session);
        } else {
            keeper.take(slice);
        }
    }

    /// The headers that were kept of a flow that ends.
    pub(super) fn take_headers(&mut self, attached: &mut Attachment) -> Option<Arc<Slice>> {
        let slice = self.slices.as_mut()?.take(&mut attached.slice)?;
        Some(Arc::from(slice))
    }
}

/// Whether a flow without a session may still get one.
fn may_become_session(flow: &Flow<Attachment>) -> bool {
    let guess = &flow.attached.guess;
    let refused = |guess: &Guess| *guess == Guess::NotOurs;
    !(refused(&guess.client) && (refused(&guess.server) || !flow.midstream))
}

/// The identifier of a flow's session: where there are pseudonyms, of those.
pub(super) fn session_id(key: &FlowKey, first_time: Timestamp, pseudonyms: Option<&Pseudonyms>) -> SessionId {
    match pseudonyms {
        None => key.session_id(first_time),
        Some(pseudonyms) => key.with_addresses(|ip| pseudonyms.ip(ip)).session_id(first_time),
    }
}
