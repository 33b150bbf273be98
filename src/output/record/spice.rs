//! `details` of a `spice` session: one channel.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{output::escape, protocol::spice};

/// Of a `spice` session, which is one channel.
#[derive(Serialize, JsonSchema)]
pub(super) struct SpiceRecord {
    /// What the channel is for: `main`, `display`, `inputs`, `cursor`, `playback`, `record` and others, or `code N`.
    channel: String,
    /// Which of its kind, from 0.
    channel_id: u8,
    /// By which channels of one session belong together, such as `0x25ce3683`; null where the main channel was not told.
    connection_id: Option<String>,
    /// Version of the protocol that the client named, such as `2.2`; null where it was not captured.
    client_version: Option<String>,
    /// Version of the protocol that the server named; null where it was not captured.
    server_version: Option<String>,
    /// How the client makes itself known: `ticket` (a password, or nothing), `sasl` or `code N`; null where it was not captured.
    auth_mechanism: Option<String>,
    /// What the server said of the link: `ok`, `need_secured` (it wants TLS), `permission_denied` and others, or `code N`; null where it was
    /// not captured.
    link_result: Option<String>,
    /// Whether messages have the short header; null where it was not captured.
    mini_header: Option<bool>,
    /// Name of the machine, escaped; null in any but the main channel, or where none was given.
    desktop_name: Option<String>,
    /// Whether the client was seen to send presses late, those of keys that go up soon together with the release: how long keys were held
    /// is then not told.
    presses_held_back: bool,
}

impl SpiceRecord {
    pub(super) fn new(facts: &spice::Facts) -> Self {
        let spice::Link { versions, channel, channel_id, auth, result, mini_header, .. } = facts.link;
        let version = |(major, minor)| format!("{major}.{minor}");
        let named = |name: Option<&str>, code: u32| name.map_or_else(|| format!("code {code}"), str::to_owned);
        Self {
            channel: named(spice::channel_name(channel), u32::from(channel)),
            channel_id,
            connection_id: facts.connection_id.map(|id| format!("{id:#010x}")),
            client_version: versions.client.map(version),
            server_version: versions.server.map(version),
            auth_mechanism: auth.map(|code| named(spice::auth_name(code), code)),
            link_result: result.map(|code| named(spice::result_name(code), code)),
            mini_header,
            desktop_name: facts.name.as_deref().map(escape::text),
            presses_held_back: facts.holds_back,
        }
    }
}
