//! What a client says to a proxy, byte by byte: what it is cut into makes no difference, and what is not wanted is never held.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Turn;

/// Bytes that are kept of a request, at most: the longest of SOCKS5, or a line of HTTP with the longest name (RFC 1035 §2.3.4).
pub(super) const MOST_KEPT: usize = 320;

/// Ways to make itself known that a client of SOCKS5 may offer: there are ten (IANA), and clients offer up to four.
const MOST_METHODS: u8 = 16;

/// Bytes of headers that a request may have: tickets of Kerberos are long.
const MOST_HEADERS: u32 = 64 * 1024;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// SOCKS4: the client gives an address.
    Socks4,
    /// SOCKS4a: it gives a name.
    Socks4a,
    /// SOCKS5 (RFC 1928).
    Socks5,
    /// CONNECT of HTTP (RFC 9110 §9.3.6).
    HttpConnect,
    /// WebSocket (RFC 6455): to whom the client believes to speak, not where that one connects to.
    WebSocket,
}

/// Where a client has itself connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Name or address as the client gave it, addresses of four or sixteen bytes in their usual form; hostile until escaped.
    pub host: Vec<u8>,
    /// Port.
    pub port: u16,
}

impl Target {
    /// Replaces an address by what `ip` makes of it, and anything else by what `name` does.
    pub fn rename(&mut self, ip: impl Fn(IpAddr) -> IpAddr, name: impl Fn(&str) -> String) {
        let host = String::from_utf8_lossy(&self.host);
        let renamed = host.parse().map_or_else(|_| name(&host), |address| ip(address).to_string());
        self.host = renamed.into_bytes();
    }
}

/// Reader of one request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    kind: Kind,
    field: Field,
    kept: Vec<u8>,
    target: Option<Target>,
    /// Whether a header asked for WebSocket.
    upgrades: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Field {
    /// SOCKS4: version, command, port, address.
    Fixed4,
    /// SOCKS4: the user's name, up to a zero byte.
    User4 {
        asks_by_name: bool,
        left: u8,
    },
    /// SOCKS4a: the host's name, up to a zero byte.
    Host4 {
        port: u16,
    },
    /// SOCKS5: version and number of methods.
    Version5,
    Count5,
    Methods5(u8),
    /// SOCKS5: either of a password (RFC 1929 §2) and a request.
    Either5,
    /// Length of the user's name or of the password; how many more follow.
    SecretLength {
        more: u8,
    },
    Secret {
        left: u8,
        more: u8,
    },
    /// SOCKS5: a request behind its version.
    Request5,
    /// HTTP: the first line.
    Line,
    /// HTTP: lines behind it; bytes of the one that is under way, and of all.
    Headers {
        line: u32,
        all: u32,
    },
}

impl Request {
    /// One that begins with this byte, which is still to come.
    pub(super) const fn begun_by(byte: u8) -> Option<Self> {
        let (kind, field) = match byte {
            4 => (Kind::Socks4, Field::Fixed4),
            5 => (Kind::Socks5, Field::Version5),
            b'C' => (Kind::HttpConnect, Field::Line),
            b'G' => (Kind::WebSocket, Field::Line),
            _ => return None,
        };
        Some(Self { kind, field, kept: Vec::new(), target: None, upgrades: false })
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// What was asked for, once that was said.
    pub(super) const fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// Keeps no more than what was asked for.
    pub(super) fn finish(&mut self) {
        self.kept = Vec::new();
        self.target.iter_mut().for_each(|target| target.host.shrink_to_fit());
    }

    /// Takes the next byte.
    pub(super) fn push(&mut self, byte: u8) -> Turn {
        let next = match self.field {
            Field::Fixed4 => return self.fixed4(byte),
            Field::User4 { asks_by_name, left } => match (byte, asks_by_name, &self.target) {
                (0, false, _) => return Turn::Done,
                (0, true, Some(target)) => Field::Host4 { port: target.port },
                _ if left == 0 => return Turn::NotOurs,
                _ => Field::User4 { asks_by_name, left: left - 1 },
            },
            Field::Host4 { port } => return self.host4(byte, port),
            Field::Version5 => Field::Count5,
            Field::Count5 if (1..=MOST_METHODS).contains(&byte) => Field::Methods5(byte),
            Field::Methods5(left @ 2..) => Field::Methods5(left - 1),
            Field::Methods5(_) => Field::Either5,
            Field::Either5 if byte == 1 => Field::SecretLength { more: 1 },
            Field::Either5 if byte == 5 => Field::Request5,
            Field::Count5 | Field::Either5 => return Turn::NotOurs,
            Field::SecretLength { more } => secret(byte, more),
            Field::Secret { left, more } => secret(left - 1, more),
            Field::Request5 => return self.request5(byte),
            Field::Line => return self.line(byte),
            Field::Headers { line, all } => {
                if self.kind == Kind::WebSocket {
                    self.keep_header(byte);
                }
                match byte {
                    b'\n' if line == 0 && (self.kind != Kind::WebSocket || self.upgrades) => return Turn::Done,
                    b'\n' if line == 0 => return Turn::NotOurs,
                    _ if all >= MOST_HEADERS => return Turn::NotOurs,
                    b'\n' => Field::Headers { line: 0, all: all + 1 },
                    b'\r' => Field::Headers { line, all: all + 1 },
                    _ => Field::Headers { line: line + 1, all: all + 1 },
                }
            }
        };
        self.field = next;
        Turn::More
    }

    /// Version 4, CONNECT (1), a port, and an address, which of SOCKS4a is 0.0.0.x.
    fn fixed4(&mut self, byte: u8) -> Turn {
        self.kept.push(byte);
        match *self.kept.as_slice() {
            [4] | [4, 1, ..] if self.kept.len() < 8 => Turn::More,
            [4, 1, high, low, a, b, c, d] => {
                let port = u16::from_be_bytes([high, low]);
                let asks_by_name = matches!((a, b, c, d), (0, 0, 0, 1..));
                self.target = Some(Target { host: Ipv4Addr::new(a, b, c, d).to_string().into_bytes(), port });
                self.kept.clear();
                self.field = Field::User4 { asks_by_name, left: u8::MAX };
                Turn::More
            }
            _ => Turn::NotOurs,
        }
    }

    fn host4(&mut self, byte: u8, port: u16) -> Turn {
        if byte != 0 {
            self.kept.push(byte);
            return if self.kept.len() >= MOST_KEPT { Turn::NotOurs } else { Turn::More };
        }
        self.kind = Kind::Socks4a;
        self.target = Some(Target { host: std::mem::take(&mut self.kept), port });
        Turn::Done
    }

    /// Command, reserved, type of address, address, port (RFC 1928 §4).
    fn request5(&mut self, byte: u8) -> Turn {
        self.kept.push(byte);
        let (host, port) = match *self.kept.as_slice() {
            [1] | [1, 0] | [1, 0, 1 | 3 | 4] => return Turn::More,
            [1, 0, 1, a, b, c, d, high, low] => (Ipv4Addr::new(a, b, c, d).to_string().into_bytes(), [high, low]),
            [1, 0, 3, len, ref rest @ ..] => match rest.split_at_checked(usize::from(len)) {
                Some((host, &[high, low])) => (host.to_vec(), [high, low]),
                _ => return Turn::More,
            },
            [1, 0, 4, ref rest @ ..] => match rest.split_first_chunk::<16>() {
                Some((address, &[high, low])) => (Ipv6Addr::from(*address).to_string().into_bytes(), [high, low]),
                _ => return Turn::More,
            },
            [1, 0, 1, ..] => return Turn::More,
            _ => return Turn::NotOurs,
        };
        self.target = Some(Target { host, port: u16::from_be_bytes(port) });
        self.kept = Vec::new();
        Turn::Done
    }

    /// `CONNECT host:port HTTP/1.x`, or `GET path HTTP/1.x`, of which the path may be long and is not kept.
    fn line(&mut self, byte: u8) -> Turn {
        let is_get = self.kind == Kind::WebSocket;
        let method: &[u8] = if is_get { b"GET " } else { b"CONNECT " };
        if byte != b'\n' {
            let at = self.kept.len();
            if at < if is_get { method.len() } else { MOST_KEPT + 1 } {
                self.kept.push(byte);
            }
            let fits = method.get(at).is_none_or(|wanted| *wanted == byte) && at < MOST_KEPT;
            return if fits { Turn::More } else { Turn::NotOurs };
        }
        let line = std::mem::take(&mut self.kept);
        self.target = if is_get { Some(Target::default()) } else { target_of_line(&line) };
        self.field = Field::Headers { line: 0, all: 0 };
        if self.target.is_some() { Turn::More } else { Turn::NotOurs }
    }

    /// Reads the headers of WebSocket that matter; what others say does not stay.
    fn keep_header(&mut self, byte: u8) {
        if byte != b'\n' {
            if self.kept.len() < MOST_KEPT {
                self.kept.push(byte);
            }
            return;
        }
        self.upgrades |= is_upgrade(&self.kept);
        if let Some(host) = value_of(b"host", &self.kept) {
            self.target = Some(target_of_host(host));
        }
        self.kept.clear();
    }
}

/// Whether a client that begins like this asks for WebSocket (RFC 6455 §4.1), as far as its first segment says.
pub(super) fn asks_for_websocket(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GET ") && bytes.split(|byte| *byte == b'\n').any(is_upgrade)
}

fn is_upgrade(line: &[u8]) -> bool {
    value_of(b"upgrade", line).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
}

/// What a header of this name says.
fn value_of<'a>(name: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":").filter(|_| start.eq_ignore_ascii_case(name))?;
    Some(value.trim_ascii())
}

/// Of a name or an address, with a port or without (RFC 9110 §7.2).
fn target_of_host(host: &[u8]) -> Target {
    const HTTP: u16 = 80;
    let text = String::from_utf8_lossy(host);
    let with_port = text.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let (name, port) = with_port.filter(|_| !text.ends_with(']')).unwrap_or((&text, HTTP));
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    Target { host: name.as_bytes().to_vec(), port }
}

/// What follows where so many bytes of a secret are left.
const fn secret(left: u8, more: u8) -> Field {
    match (left, more) {
        (0, 0) => Field::Either5,
        (0, _) => Field::SecretLength { more: more - 1 },
        _ => Field::Secret { left, more },
    }
}

fn target_of_line(line: &[u8]) -> Option<Target> {
    let line = std::str::from_utf8(line).ok()?;
    let (authority, version) = line.trim_end_matches('\r').strip_prefix("CONNECT ")?.split_once(' ')?;
    let (host, port) = authority.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_whole = version.starts_with("HTTP/1.") && !host.is_empty();
    is_whole.then_some(Target { host: host.as_bytes().to_vec(), port: port.parse().ok()? })
}
