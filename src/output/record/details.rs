//! `details` of a `session`: what its protocol says in clear.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    datagram::{MoshRecord, RdpUdpRecord},
    spice::SpiceRecord,
};
use crate::{
    flow::{PerSide, Traffic},
    observation::{SessionReport, SessionState},
    output::escape,
    protocol::{Facts, families, rdp, rlogin, ssh, telnet, tls, vnc, x11},
};

/// By protocol.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum DetailsRecord<'a> {
    Ssh(SshRecord<'a>),
    Rdp(RdpRecord),
    Vnc(VncRecord),
    Telnet(TelnetRecord),
    Rlogin(RloginRecord),
    X11(X11Record),
    Spice(SpiceRecord),
    Family(FamilyRecord<'a>),
    Mosh(MoshRecord),
    RdpUdp(RdpUdpRecord),
}

impl<'a> DetailsRecord<'a> {
    pub(super) fn new(facts: &'a Facts, report: &SessionReport) -> Option<Self> {
        Some(match facts {
            Facts::Ssh(facts) => Self::Ssh(SshRecord::new(facts, report)),
            Facts::Rdp(facts) => Self::Rdp(RdpRecord::new(facts)),
            Facts::Vnc(facts) => Self::Vnc(VncRecord::new(facts)),
            Facts::Telnet(facts) => Self::Telnet(TelnetRecord::new(facts)),
            Facts::Rlogin(facts) => Self::Rlogin(RloginRecord::new(facts)),
            Facts::X11(facts) => Self::X11(X11Record::new(*facts)),
            Facts::Spice(facts) => Self::Spice(SpiceRecord::new(facts)),
            Facts::Family(facts) => Self::Family(FamilyRecord::new(facts)),
            Facts::Mosh(facts) => Self::Mosh(MoshRecord::new(facts)),
            Facts::RdpUdp(facts) => Self::RdpUdp(RdpUdpRecord::new(facts)),
            Facts::Blind(_) => return None,
        })
    }
}

/// Of an `ssh` session.
#[derive(Serialize, JsonSchema)]
pub(super) struct SshRecord<'a> {
    /// Version line of the client, escaped; null where it was not captured.
    client_version: Option<String>,
    /// Version line of the server, escaped; null where it was not captured.
    server_version: Option<String>,
    /// Key exchange agreed on; null where it was not captured.
    kex: Option<&'a str>,
    /// Kind of host key agreed on, such as `ssh-ed25519`; null where it was not captured.
    host_key_algorithm: Option<&'a str>,
    /// Cipher from client to server; null where it was not captured.
    cipher: Option<&'a str>,
    /// Integrity check from client to server; null where it was not captured, or the cipher has its own.
    mac: Option<&'a str>,
    /// Compression from client to server; null where it was not captured.
    compression: Option<&'a str>,
    /// HASSH of the client: MD5 of its algorithm lists; null where they were not captured.
    hassh: Option<&'a str>,
    /// HASSH of the server; null where its algorithm lists were not captured.
    hassh_server: Option<&'a str>,
    /// How the login went, inferred from lengths and order; null where nothing can be said of it.
    auth: Option<AuthRecord>,
    /// What the session was for, inferred from lengths, order and amounts; null where its opening does not tell.
    activity: Option<ActivityRecord>,
    /// Whether the client hides keystrokes among chaff; null where that could not be seen.
    obfuscated_keystrokes: Option<bool>,
}

impl<'a> SshRecord<'a> {
    fn new(facts: &'a ssh::Facts, report: &SessionReport) -> Self {
        let over = report.state == SessionState::Closed;
        Self {
            client_version: facts.banners.client.as_deref().map(escape::text),
            server_version: facts.banners.server.as_deref().map(escape::text),
            kex: facts.kex.as_deref(),
            host_key_algorithm: facts.host_key_algorithm.as_deref(),
            cipher: facts.cipher.as_deref(),
            mac: facts.mac.as_deref(),
            compression: facts.compression.as_deref(),
            hassh: facts.hassh.as_deref(),
            hassh_server: facts.hassh_server.as_deref(),
            auth: facts.login.map(|login| AuthRecord::new(login, over)),
            activity: facts.activity.map(|activity| ActivityRecord::new(activity, &report.traffic)),
            obfuscated_keystrokes: report.obfuscated,
        }
    }
}

/// How a login went.
#[derive(Serialize, JsonSchema)]
pub(super) struct AuthRecord {
    /// Always `inferred`: nothing of a login is in clear.
    basis: &'static str,
    /// `none`, `password`, `publickey`, `keyboard-interactive` or `multi-factor`: how the client was let in, or last tried;
    /// null where lengths leave it open.
    method: Option<&'static str>,
    /// Whether the password or answer was typed rather than sent by a program; null where none was sent, or in between.
    typed: Option<bool>,
    /// Keys, passwords and rounds of questions that were tried; null where they cannot be told apart.
    attempts: Option<u32>,
    /// Whether the client was let in; null while that is open, or where it cannot be told.
    success: Option<bool>,
}

impl AuthRecord {
    fn new(login: ssh::LoginFacts, over: bool) -> Self {
        // Without all of it being understood, the end of a session is no refusal.
        let refused = over && login.attempts.is_some();
        Self {
            basis: "inferred",
            method: login.method.map(ssh::Method::name),
            typed: login.typed,
            attempts: login.attempts,
            success: if login.succeeded { Some(true) } else { refused.then_some(false) },
        }
    }
}

/// What a session was for.
#[derive(Serialize, JsonSchema)]
pub(super) struct ActivityRecord {
    /// Always `inferred`: nothing of it is in clear.
    basis: &'static str,
    /// `terminal`; `command`, which subsystems and file transfers are too; `none` where no session was opened, as with `ssh -N`;
    /// `relay` where one connection was passed on instead, as with `ssh -W` and on the way of `ssh -J`; null where the opening fits none of them.
    kind: Option<&'static str>,
    /// `up` or `down`: the direction of 32 KiB or more, four times the other's or more; null with a terminal, or without that.
    bulk: Option<&'static str>,
    /// Whether the client asked the server to listen for it, as with `ssh -R`; null where the opening does not tell.
    remote_forwarding: Option<bool>,
    /// Whether the client lent the server its agent, as with `ssh -A`; null where lengths are hidden, or without a terminal.
    agent_forwarding: Option<bool>,
    /// Whether connections came from ports of the client's, as with `ssh -L` and `ssh -D`; null beside a session, and where an opening was not understood.
    local_forwarding: Option<bool>,
    /// Whether a connection came from a port that the server opened for the client; null beside a session, and where none was recognised.
    reverse_connection: Option<bool>,
    /// Whether somebody on the server's side types through it, and the client's side echoes; null where no typing was recognised and some is possible.
    reverse_typing: Option<bool>,
}

/// Less than this is no transfer: long enough for any help text, and more than a login takes.
const LEAST_BULK: u64 = 32 * 1024;
/// A direction carries as many times what the other does.
const BULK_RATIO: u64 = 4;

impl ActivityRecord {
    fn new(activity: ssh::Activity, traffic: &PerSide<Traffic>) -> Self {
        let (up, down) = (traffic.client.payload_bytes, traffic.server.payload_bytes);
        let much = |this: u64, other: u64| this >= LEAST_BULK && this / BULK_RATIO >= other;
        Self {
            basis: "inferred",
            kind: activity.purpose.map(|purpose| match purpose {
                ssh::Purpose::Terminal => "terminal",
                ssh::Purpose::Command => "command",
                ssh::Purpose::NoSession => "none",
                ssh::Purpose::Relay => "relay",
            }),
            bulk: match activity.purpose {
                Some(ssh::Purpose::Command | ssh::Purpose::NoSession) if much(up, down) => Some("up"),
                Some(ssh::Purpose::Command | ssh::Purpose::NoSession) if much(down, up) => Some("down"),
                _ => None,
            },
            remote_forwarding: activity.remote_forwarding,
            agent_forwarding: activity.agent_forwarding,
            local_forwarding: activity.local_forwarding,
            reverse_connection: activity.reverse_connection,
            reverse_typing: activity.reverse_typing,
        }
    }
}

/// Of an `rdp` session.
#[derive(Serialize, JsonSchema)]
pub(super) struct RdpRecord {
    /// Name in the connection cookie, most often the user's, escaped; null where there was none.
    cookie: Option<String>,
    /// Token that a load balancer gave to the client, escaped; null where there was none.
    routing_token: Option<String>,
    /// Security protocols that the client asked for, such as `tls` and `hybrid`; null where it did not negotiate.
    requested_protocols: Option<Vec<String>>,
    /// Security protocol that the server chose, `rdp` for RDP's own; null where it chose none or the answer was not captured.
    selected_protocol: Option<String>,
    /// Why the server refused, as MS-RDPBCGR names it; null where it did not.
    negotiation_failure: Option<String>,
    /// Name of the client's computer, escaped; null under TLS, which hides it.
    client_name: Option<String>,
    /// Keyboard layout as Windows numbers it, such as `0x00000409`; null under TLS, which hides it.
    keyboard_layout: Option<String>,
    /// Build number of the client; null under TLS, which hides it.
    client_build: Option<u32>,
    /// Width of the client's desktop in pixels; null under TLS, which hides it.
    desktop_width: Option<u16>,
    /// Height of the client's desktop in pixels; null under TLS, which hides it.
    desktop_height: Option<u16>,
    /// TLS version that the server chose, such as `TLS 1.3`; null without TLS, or where it was not captured.
    tls_version: Option<&'static str>,
    /// Name that the client asked for in TLS, escaped; null where there was none.
    tls_server_name: Option<String>,
}

impl RdpRecord {
    fn new(facts: &rdp::Facts) -> Self {
        let client = facts.client.as_ref();
        let (selected, failure) = match facts.answer {
            Some(rdp::Answer::Selected(code)) => (Some(code), None),
            Some(rdp::Answer::Silent) => (Some(0), None),
            Some(rdp::Answer::Failed(code)) => (None, Some(code)),
            None => (None, None),
        };
        Self {
            cookie: facts.cookie.as_deref().map(escape::text),
            routing_token: facts.routing_token.as_deref().map(escape::text),
            requested_protocols: facts.requested.map(|bits| {
                let mut names: Vec<String> =
                    (0..u32::BITS).map(|bit| 1 << bit).filter(|bit| bits & bit != 0).map(security_protocol).collect();
                if names.is_empty() {
                    names.push(security_protocol(0));
                }
                names
            }),
            selected_protocol: selected.map(security_protocol),
            negotiation_failure: failure.map(|code| match rdp::failure_name(code) {
                Some(name) => name.to_owned(),
                None => format!("code {code}"),
            }),
            client_name: client.map(|client| escape::text(client.name.as_bytes())),
            keyboard_layout: client.map(|client| format!("{:#010x}", client.keyboard_layout)),
            client_build: client.map(|client| client.build),
            desktop_width: client.map(|client| client.size.0),
            desktop_height: client.map(|client| client.size.1),
            tls_version: facts.tls.as_ref().and_then(tls_version),
            tls_server_name: facts.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).map(escape::text),
        }
    }
}

/// The name of one security protocol.
fn security_protocol(bit: u32) -> String {
    rdp::security_protocol_name(bit).map_or_else(|| format!("{bit:#x}"), str::to_owned)
}

/// Of a `vnc` session.
#[derive(Serialize, JsonSchema)]
pub(super) struct VncRecord {
    /// Version in use, the lower of the two, such as `3.8`; null where it was not captured.
    version: Option<String>,
    /// Version that the client named; null where it was not captured.
    client_version: Option<String>,
    /// Version that the server named; null where it was not captured.
    server_version: Option<String>,
    /// Security type, such as `none`, `vnc`, `ard` or `vencrypt/tlsvnc`; `invalid` where the server refused; null where it was not
    /// captured.
    security_type: Option<String>,
    /// Whether the client was let in; null where nothing said so, or not in clear.
    security_ok: Option<bool>,
    /// Name of the desktop, escaped; null where it was not captured, or is encrypted.
    desktop_name: Option<String>,
    /// Width of the desktop in pixels; null as `desktop_name`.
    desktop_width: Option<u16>,
    /// Height of the desktop in pixels; null as `desktop_name`.
    desktop_height: Option<u16>,
    /// Whether the client lets others stay connected; null as `desktop_name`.
    shared: Option<bool>,
    /// Length of the server's RSA key in bits, in RSA-AES; null elsewhere.
    server_key_bits: Option<u32>,
    /// TLS version that the server chose, such as `TLS 1.2`; null without TLS, or where it was not captured.
    tls_version: Option<&'static str>,
}

impl VncRecord {
    fn new(facts: &vnc::Facts) -> Self {
        let version = |version: vnc::Version| format!("{}.{}", version.major, version.minor);
        Self {
            version: facts.version.map(version),
            client_version: facts.versions.client.map(version),
            server_version: facts.versions.server.map(version),
            security_type: facts.security_type.map(|code| security_type(code, facts.subtype)),
            security_ok: facts.security_ok,
            desktop_name: facts.desktop_name.as_deref().map(escape::text),
            desktop_width: facts.size.map(|size| size.0),
            desktop_height: facts.size.map(|size| size.1),
            shared: facts.shared,
            server_key_bits: facts.key_bits,
            tls_version: facts.tls.as_ref().and_then(tls_version),
        }
    }
}

/// Of a `telnet` session.
#[derive(Serialize, JsonSchema)]
pub(super) struct TelnetRecord {
    /// How the client sends what is typed, as was last agreed on: `character` by character, or `line` by line, which hides the keys.
    #[schemars(extend("enum" = ["character", "line"]))]
    mode: &'static str,
    /// Type of the client's terminal, escaped; null where it was not told.
    terminal_type: Option<String>,
    /// Characters in a line of the client's window; null where they were not told.
    columns: Option<u16>,
    /// Lines of the client's window; null where they were not told.
    rows: Option<u16>,
}

impl TelnetRecord {
    fn new(facts: &telnet::Facts) -> Self {
        Self {
            mode: facts.mode.name(),
            terminal_type: facts.terminal_type.as_deref().map(escape::text),
            columns: facts.window.map(|window| window.columns),
            rows: facts.window.map(|window| window.rows),
        }
    }
}

/// Of an `rlogin` session.
#[derive(Serialize, JsonSchema)]
pub(super) struct RloginRecord {
    /// The user's name at the client, escaped; null where it was not captured.
    client_user: Option<String>,
    /// The user's name at the server, escaped; null where it was not captured.
    server_user: Option<String>,
    /// Type and speed of the client's terminal, such as `xterm/38400`, escaped; null where they were not captured.
    terminal: Option<String>,
}

impl RloginRecord {
    fn new(facts: &rlogin::Facts) -> Self {
        Self {
            client_user: facts.client_user.as_deref().map(escape::text),
            server_user: facts.server_user.as_deref().map(escape::text),
            terminal: facts.terminal.as_deref().map(escape::text),
        }
    }
}

/// Of an `x11` session.
#[derive(Serialize, JsonSchema)]
pub(super) struct X11Record {
    /// Whether the display let the program in; null where that was not captured.
    accepted: Option<bool>,
}

impl X11Record {
    const fn new(facts: x11::Facts) -> Self {
        Self { accepted: facts.accepted }
    }
}

/// Of a session of a product for remote access, a device or a VPN carrier.
#[derive(Serialize, JsonSchema)]
pub(super) struct FamilyRecord<'a> {
    /// Name of the product.
    product: &'a str,
    /// What it is for: somebody uses a machine from elsewhere, the protocol of a desktop, a device at keyboard and screen, or a carrier of
    /// other traffic, which hides where that comes from.
    #[schemars(extend("enum" = ["remote_control", "desktop", "ip_kvm", "vpn"]))]
    kind: &'static str,
    /// What it was recognised by.
    #[schemars(extend("enum" = ["server_name", "alpn", "certificate", "client_bytes", "server_bytes", "either_bytes", "datagram", "either_datagram", "dns_name"]))]
    mark: &'static str,
    /// The pattern that fits.
    pattern: &'a str,
    /// How sure that makes: `high` where nothing else is known to say so, `medium` for a host of the service itself, `low` for a name that
    /// serves web pages too, or that anybody may give to a machine. It says whom the client talks to, and not what it does there.
    #[schemars(extend("enum" = ["high", "medium", "low"]))]
    confidence: &'static str,
    /// Where the mark is from.
    source: &'a str,
    /// Whether that was looked up in the source.
    #[schemars(extend("enum" = ["read", "second_hand", "unverified"]))]
    source_status: &'static str,
    /// TLS version that the server chose, such as `TLS 1.3`; null without TLS, over UDP, or where it was not captured.
    tls_version: Option<&'static str>,
    /// Name that the client asked for in TLS, QUIC or DTLS, escaped; null where there was none.
    tls_server_name: Option<String>,
    /// Name of the device in DNS, escaped; null where nothing named it.
    dns_name: Option<String>,
}

impl<'a> FamilyRecord<'a> {
    fn new(facts: &'a families::Facts) -> Self {
        let mark = facts.mark;
        Self {
            product: &mark.name,
            kind: match mark.kind {
                families::Kind::RemoteControl => "remote_control",
                families::Kind::Desktop => "desktop",
                families::Kind::IpKvm => "ip_kvm",
                families::Kind::Vpn => "vpn",
            },
            mark: if facts.name.is_some() { "dns_name" } else { mark.feature },
            pattern: &mark.value,
            confidence: match mark.confidence {
                families::Confidence::High => "high",
                families::Confidence::Medium => "medium",
                families::Confidence::Low => "low",
            },
            source: &mark.source,
            source_status: match mark.status {
                families::Status::Read => "read",
                families::Status::SecondHand => "second_hand",
                families::Status::Unverified => "unverified",
            },
            tls_version: facts.tls.as_ref().and_then(tls_version),
            tls_server_name: facts.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).map(escape::text),
            dns_name: facts.name.as_deref().map(escape::text),
        }
    }
}

fn security_type(code: u8, subtype: Option<u32>) -> String {
    let name = match vnc::type_name(code) {
        Some(name) => name.to_owned(),
        None => format!("type {code}"),
    };
    match subtype.map(|subtype| (subtype, vnc::subtype_name(subtype))) {
        None => name,
        Some((_, Some(subtype))) => format!("{name}/{subtype}"),
        Some((subtype, None)) => format!("{name}/{subtype}"),
    }
}

fn tls_version(tls: &tls::Facts) -> Option<&'static str> {
    tls::version_name(tls.version?)
}
