//! What the engine does for whoever doubts an alert, and for those whom it is about: headers are kept where that was asked for,
//! and identifiers come from pseudonyms.

use std::sync::Arc;

use super::{Engine, candidate::Candidate};
use crate::{
    evidence::Slice,
    flow::{FlowId, FlowKey, SessionId},
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
        let candidate = self.table.get_mut(id).and_then(|flow| flow.attached.as_deref_mut());
        if let (Some(keeper), Some(candidate)) = (&mut self.slices, candidate) {
            keeper.push(&mut candidate.slice, frame, has_payload, candidate.session.is_some());
        }
    }

    /// The headers that were kept of a flow that ends.
    pub(super) fn take_headers(&mut self, candidate: &mut Candidate) -> Option<Arc<Slice>> {
        let slice = self.slices.as_mut()?.take(&mut candidate.slice)?;
        Some(Arc::from(slice))
    }

    /// The headers that were kept so far of a flow that goes on.
    pub(super) fn copy_headers(&self, candidate: &Candidate) -> Option<Arc<Slice>> {
        candidate.slice.as_deref().filter(|_| self.slices.is_some()).map(|slice| Arc::new(slice.clone()))
    }
}

/// The identifier of a flow's session: where there are pseudonyms, of those.
pub(super) fn session_id(key: &FlowKey, first_time: Timestamp, pseudonyms: Option<&Pseudonyms>) -> SessionId {
    match pseudonyms {
        None => key.session_id(first_time),
        Some(pseudonyms) => key.with_addresses(|ip| pseudonyms.ip(ip)).session_id(first_time),
    }
}
