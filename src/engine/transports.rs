//! RDP's two transports: which session over TCP one over UDP belongs to.
//!
//! What the client shows over UDP is a hash of what TLS hides, so the two are joined by where and when alone ([MS-RDPEMT] §1.3): the client
//! opens UDP to the server of a session that it has over TCP. Where it has several there, as have all clients behind one address,
//! none is named.

use std::collections::HashMap;

use super::Engine;
use crate::flow::{End, FlowId, FlowKey, SessionId};

/// RDP sessions over TCP that go on, by the two hosts. There are no more of them than there are sessions.
#[derive(Debug, Default)]
pub(super) struct OverTcp(HashMap<FlowKey, Vec<Going>>);

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Going {
    session: SessionId,
    client: End,
}

impl OverTcp {
    fn begin(&mut self, key: &FlowKey, session: SessionId, client: End) {
        self.0.entry(key.hosts()).or_default().push(Going { session, client });
    }

    fn end(&mut self, key: &FlowKey, session: SessionId) {
        let hosts = key.hosts();
        let Some(going) = self.0.get_mut(&hosts) else { return };
        going.retain(|other| other.session != session);
        if going.is_empty() {
            self.0.remove(&hosts);
        }
    }

    /// The one that a client has with a server; `None` where it has none or several.
    pub(super) fn only(&self, key: &FlowKey, client: End) -> Option<SessionId> {
        let mut of_client = self.0.get(&key.hosts())?.iter().filter(|going| going.client == client);
        of_client.next().filter(|_| of_client.next().is_none()).map(|going| going.session)
    }
}

impl Engine {
    /// Both sides of a session over TCP have spoken.
    pub(super) fn note_rdp(&mut self, id: FlowId) {
        let Some(flow) = self.table.get(id) else { return };
        let session = flow.attached.as_deref().and_then(|candidate| candidate.session.as_ref());
        if let Some(session) = session.filter(|session| session.is_rdp()) {
            self.rdp.begin(&flow.key, session.id(), flow.client);
        }
    }

    /// A session over TCP has ended.
    pub(super) fn forget_rdp(&mut self, key: &FlowKey, session: SessionId) {
        self.rdp.end(key, session);
    }
}
