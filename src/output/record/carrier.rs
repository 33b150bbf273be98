//! The proxies that a session came wrapped in.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    output::escape,
    protocol::carrier::{Carrier, Kind},
};

/// A proxy that the client asked to connect it, or a server of WebSocket.
#[derive(Serialize, JsonSchema)]
pub(super) struct CarrierRecord {
    /// How it was asked.
    #[schemars(extend("enum" = ["socks4", "socks4a", "socks5", "http_connect", "websocket"]))]
    kind: &'static str,
    /// Where to: name or address as the client gave it, escaped, or its pseudonym; of WebSocket the one that the client speaks to.
    host: String,
    /// Port there.
    port: u16,
}

impl CarrierRecord {
    pub(super) fn new(carrier: &Carrier) -> Self {
        Self {
            kind: match carrier.kind {
                Kind::Socks4 => "socks4",
                Kind::Socks4a => "socks4a",
                Kind::Socks5 => "socks5",
                Kind::HttpConnect => "http_connect",
                Kind::WebSocket => "websocket",
            },
            host: escape::text(&carrier.target.host),
            port: carrier.target.port,
        }
    }
}
