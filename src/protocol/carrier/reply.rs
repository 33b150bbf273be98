//! What a proxy answers, byte by byte.

use super::{Kind, Turn};

/// Bytes that are kept of an answer, at most: the longest of SOCKS5, or what tells of a line of HTTP.
pub(super) const MOST_KEPT: usize = 320;

/// Bytes of headers that an answer may have.
const MOST_HEADERS: u32 = 64 * 1024;

/// Length of the page that tells a person about a password that is missing, at most.
const MOST_BODY: u32 = 1 << 20;

/// Status of HTTP: the proxy wants the client to make itself known (RFC 9110 §15.5.8).
const PASSWORD_WANTED: u16 = 407;

/// Status of HTTP: from here on it is WebSocket (RFC 6455 §4.2.2).
const SWITCHING: u16 = 101;

/// Reader of one answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    kind: Kind,
    field: Field,
    kept: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Field {
    /// SOCKS4: eight bytes, the second of them the answer.
    Answer4,
    /// SOCKS5: version, and the method that was chosen.
    Method5,
    /// SOCKS5: whether the password is right (RFC 1929 §2).
    Status5,
    /// SOCKS5: whether the host was reached.
    Answer5,
    /// HTTP: the first line.
    Line,
    /// HTTP: lines behind it; bytes of all, and length of the body.
    Headers { status: u16, all: u32, body: Option<u32> },
    /// HTTP: bytes of the body that are left.
    Body(u32),
}

impl Reply {
    /// To a request of this kind, of which only the first byte is known.
    pub(super) const fn to(kind: Kind) -> Self {
        let field = match kind {
            Kind::Socks4 | Kind::Socks4a => Field::Answer4,
            Kind::Socks5 => Field::Method5,
            Kind::HttpConnect | Kind::WebSocket => Field::Line,
        };
        Self { kind, field, kept: Vec::new() }
    }

    /// Keeps nothing.
    pub(super) fn finish(&mut self) {
        self.kept = Vec::new();
    }

    /// Takes the next byte.
    pub(super) fn push(&mut self, byte: u8) -> Turn {
        match self.field {
            Field::Body(left) => {
                self.field = Field::Body(left - 1);
                return if left > 1 { Turn::More } else { Turn::Again };
            }
            Field::Line | Field::Headers { .. } if byte != b'\n' => {
                if self.kept.len() < MOST_KEPT {
                    self.kept.push(byte); // of longer lines nothing is wanted but their end
                }
                let fits = b"HTTP/1.".get(self.kept.len() - 1).is_none_or(|wanted| *wanted == byte);
                return if fits || !matches!(self.field, Field::Line) { Turn::More } else { Turn::NotOurs };
            }
            _ => self.kept.push(byte),
        }
        match (self.field, self.kept.as_slice()) {
            (Field::Answer4, [0 | 4] | [0 | 4, 90]) => Turn::More,
            (Field::Answer4, [0 | 4, 90, ..]) if self.kept.len() < 8 => Turn::More,
            (Field::Answer4, [0 | 4, 90, ..]) => Turn::Done,
            (Field::Method5, [5]) | (Field::Status5, [1 | 5]) => Turn::More,
            (Field::Method5, [5, 0]) => self.go_on(Field::Answer5),
            (Field::Method5, [5, 2]) => self.go_on(Field::Status5),
            (Field::Status5, [1 | 5, 0]) => self.go_on(Field::Answer5),
            (Field::Answer5, [5] | [5, 0] | [5, 0, 0] | [5, 0, 0, 1 | 3 | 4]) => Turn::More,
            (Field::Answer5, [5, 0, 0, kind, first, ..]) => {
                let address = match kind {
                    1 => 4,
                    3 => 1 + usize::from(*first),
                    _ => 16,
                };
                if self.kept.len() < 4 + address + 2 { Turn::More } else { Turn::Done }
            }
            (Field::Line, line) => match (self.kind, status(line)) {
                (Kind::WebSocket, Some(status @ SWITCHING))
                | (Kind::HttpConnect, Some(status @ (200..300 | PASSWORD_WANTED))) => {
                    self.go_on(Field::Headers { status, all: 0, body: None })
                }
                _ => Turn::NotOurs,
            },
            (Field::Headers { status, all, body }, line) => {
                let line = line.trim_ascii();
                let all = all + line.len() as u32; // no longer than is kept
                match (line.is_empty(), status, body) {
                    (false, ..) if all > MOST_HEADERS => Turn::NotOurs,
                    (false, SWITCHING, _) if is_extension(line) => Turn::NotOurs, // it would compress
                    (false, ..) => {
                        let body = body.or_else(|| body_length(line));
                        self.go_on(Field::Headers { status, all, body })
                    }
                    (true, PASSWORD_WANTED, Some(0)) => Turn::Again,
                    (true, PASSWORD_WANTED, Some(left @ ..=MOST_BODY)) => self.go_on(Field::Body(left)),
                    (true, PASSWORD_WANTED, _) => Turn::NotOurs, // where the next answer begins cannot be told
                    (true, ..) => Turn::Done,                    // what a body would be is what is carried (RFC 9110 §9.3.6)
                }
            }
            _ => Turn::NotOurs,
        }
    }

    fn go_on(&mut self, field: Field) -> Turn {
        self.kept.clear();
        self.field = field;
        Turn::More
    }
}

/// The status of a line such as `HTTP/1.1 200 Connection established`.
fn status(line: &[u8]) -> Option<u16> {
    let code = line.split(|byte| *byte == b' ').nth(1)?.trim_ascii();
    std::str::from_utf8(code).ok()?.parse().ok()
}

/// Whether a header of WebSocket says that frames are other than those of RFC 6455.
fn is_extension(header: &[u8]) -> bool {
    const NAME: &[u8] = b"sec-websocket-extensions:";
    header.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
}

/// What a header says of the body's length.
fn body_length(header: &[u8]) -> Option<u32> {
    let at = header.iter().position(|byte| *byte == b':')?;
    let (name, value) = header.split_at_checked(at)?;
    if !name.eq_ignore_ascii_case(b"content-length") {
        return None;
    }
    std::str::from_utf8(value.get(1..)?.trim_ascii()).ok()?.parse().ok()
}
