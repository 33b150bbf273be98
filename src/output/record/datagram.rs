//! `details` of a `session` over UDP, where they are its protocol's own.

use schemars::JsonSchema;
use serde::Serialize;

use crate::protocol::datagram::{MoshFacts, RdpFacts, RdpVersion};

/// Of a `mosh` session.
#[derive(Serialize, JsonSchema)]
pub(super) struct MoshRecord {
    /// Datagrams that the client has sent by its own count, those before the capture among them; null where none was captured.
    client_sent: Option<u64>,
    /// The same of the server; null where none was captured.
    server_sent: Option<u64>,
    /// How many of the client's between the first and the last seen did not pass the sensor; null where none was captured.
    client_missing: Option<u64>,
    /// The same of the server's; null where none was captured.
    server_missing: Option<u64>,
}

impl MoshRecord {
    pub(super) const fn new(facts: &MoshFacts) -> Self {
        Self {
            client_sent: facts.sent.client,
            server_sent: facts.sent.server,
            client_missing: facts.missing.client,
            server_missing: facts.missing.server,
        }
    }
}

/// Of an `rdp` session over UDP.
#[derive(Serialize, JsonSchema)]
pub(super) struct RdpUdpRecord {
    /// Version of the transport that the client offered, 1 to 3; null where it named none, or one that is not known.
    client_udp_version: Option<u8>,
    /// Version that the server chose; null as the client's, and without its answer.
    server_udp_version: Option<u8>,
    /// Whether datagrams that are lost stay lost.
    lossy: bool,
    /// Largest datagram from the client in bytes; null where no opening was captured.
    mtu_up: Option<u16>,
    /// Largest datagram to the client in bytes; null where no opening was captured.
    mtu_down: Option<u16>,
    /// The connection's identifier, in hexadecimal; null where there was none.
    correlation_id: Option<String>,
    /// SHA-256 of the cookie that the TCP session gave the client, in hexadecimal; null before version 3. The cookie itself is not in clear.
    cookie_hash: Option<String>,
    /// The `session_id` of the RDP session over TCP that it belongs to: the only one that the client had with the server when it opened this
    /// one; null where it had none or several.
    tcp_session_id: Option<String>,
}

impl RdpUdpRecord {
    pub(super) fn new(facts: &RdpFacts) -> Self {
        Self {
            client_udp_version: facts.version.client.and_then(RdpVersion::number),
            server_udp_version: facts.version.server.and_then(RdpVersion::number),
            lossy: facts.lossy,
            mtu_up: facts.mtu.map(|[up, _]| up),
            mtu_down: facts.mtu.map(|[_, down]| down),
            correlation_id: facts.correlation_id.map(|id| hexadecimal(&id)),
            cookie_hash: facts.cookie_hash.map(|hash| hexadecimal(&hash)),
            tcp_session_id: facts.tcp_session.map(|id| id.to_string()),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
