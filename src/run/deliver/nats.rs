//! The client's side of NATS (docs.nats.io, client protocol), as far as publishing to JetStream takes it, without its sockets: bytes in,
//! bytes out.
//!
//! Each message asks for an answer, which JetStream gives once its stream holds the message; `Nats-Msg-Id` has it know one that comes
//! again. A crate for this would bring a runtime, reconnect and look names up by itself, which is the spool's work and behind the guard.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
};

use serde::{Deserialize, Serialize};

use super::publisher::Publisher;

/// Messages that wait for an answer at most.
const WINDOW: usize = 512;

/// The longest line or message that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NatsError {
    /// The server did not take us.
    #[error("the server refused: {0}")]
    Refused(String),
    /// JetStream did not take a message.
    #[error("JetStream refused: {0}")]
    NotKept(String),
    /// Nobody listens on the subject.
    #[error("no stream of JetStream has the subject {0}")]
    NoStream(String),
    /// What came is no NATS.
    #[error("what the server sent is no NATS")]
    Garbage,
}

/// Who we say we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Nobody, or whom our certificate names.
    #[default]
    None,
    /// Name and password.
    User(String, String),
    /// A token.
    Token(String),
}

impl Login {
    /// Reads `name:password`, or a token.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.trim().split_once(':') {
            Some((name, password)) => Self::User(name.to_owned(), password.to_owned()),
            None => Self::Token(text.trim().to_owned()),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Nats {
    subject: String,
    /// What the subjects of answers begin with.
    inbox: String,
    number: u64,
    /// Messages without an answer before them, in order: their numbers, the record's, and whether they were answered.
    waiting: VecDeque<(u64, u64, bool)>,
    is_open: bool,
    buffer: Vec<u8>,
    confirmed: Option<u64>,
}

#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    headers: bool,
    no_responders: bool,
    protocol: u8,
    name: &'a str,
    lang: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<&'a str>,
}

/// What JetStream answers.
#[derive(Deserialize)]
struct Answer {
    stream: Option<String>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    description: Option<String>,
}

impl Nats {
    /// Begins, to publish to this subject: adds what is to be sent first.
    #[must_use]
    pub fn open(subject: &str, login: &Login, out: &mut Vec<u8>) -> Self {
        let (user, pass, auth_token) = match login {
            Login::None => (None, None, None),
            Login::User(name, password) => (Some(name.as_str()), Some(password.as_str()), None),
            Login::Token(token) => (None, None, Some(token.as_str())),
        };
        let connect = Connect {
            verbose: false,
            pedantic: false,
            headers: true,
            no_responders: true,
            protocol: 1,
            name: "keywitness",
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            user,
            pass,
            auth_token,
        };
        // Not to be guessed by, nor shared with, another client.
        let inbox = format!("_INBOX.keywitness{:016x}.", RandomState::new().hash_one(subject));
        // Strings alone: that always works.
        let connect = serde_json::to_string(&connect).unwrap_or_default();
        out.extend(format!("CONNECT {connect}\r\nSUB {inbox}* 1\r\nPING\r\n").bytes());
        let (waiting, buffer) = (VecDeque::new(), Vec::new());
        Self { subject: subject.to_owned(), inbox, number: 0, waiting, is_open: false, buffer, confirmed: None }
    }

    /// What stands in front, and its length; nothing where that is not whole.
    fn one(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, NatsError> {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let line = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(NatsError::Garbage)?;
        let behind = end + 2;
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("INFO" | "+OK") => {}
            Some("PING") => out.extend(b"PONG\r\n"),
            Some("PONG") => self.is_open = true,
            Some("-ERR") => return Err(NatsError::Refused(short(line.trim_start_matches("-ERR").trim()))),
            Some(verb @ ("MSG" | "HMSG")) => {
                let (subject, sizes) = (words.next().ok_or(NatsError::Garbage)?, words.collect::<Vec<_>>());
                let size = |word: Option<&&str>| word.and_then(|word| word.parse().ok()).filter(|size| *size <= LONGEST);
                let mut from_end = sizes.iter().rev();
                let total: usize = size(from_end.next()).ok_or(NatsError::Garbage)?;
                let head = if verb == "HMSG" { size(from_end.next()).ok_or(NatsError::Garbage)? } else { 0 };
                let Some(message) = bytes.get(behind..behind + total + 2) else { return Ok(None) };
                let (head, body) = message.get(..total).and_then(|all| all.split_at_checked(head)).ok_or(NatsError::Garbage)?;
                self.answer(subject, head, body)?;
                return Ok(Some(behind + total + 2));
            }
            _ => return Err(NatsError::Garbage),
        }
        Ok(Some(behind))
    }

    fn answer(&mut self, subject: &str, head: &[u8], body: &[u8]) -> Result<(), NatsError> {
        if head.starts_with(b"NATS/1.0 503") {
            return Err(NatsError::NoStream(self.subject.clone()));
        }
        let number: u64 = subject.strip_prefix(&self.inbox).and_then(|number| number.parse().ok()).ok_or(NatsError::Garbage)?;
        match serde_json::from_slice(body) {
            Ok(Answer { stream: Some(_), error: None }) => {}
            Ok(Answer { error: Some(refusal), .. }) => {
                return Err(NatsError::NotKept(short(refusal.description.as_deref().unwrap_or("it does not say why"))));
            }
            // Some other program has the subject, and answers.
            _ => return Err(NatsError::NoStream(self.subject.clone())),
        }
        if let Some((.., is_answered)) = self.waiting.iter_mut().find(|(waiting, ..)| *waiting == number) {
            *is_answered = true;
        }
        while let Some((_, record, true)) = self.waiting.front() {
            self.confirmed = Some(record + 1);
            self.waiting.pop_front();
        }
        Ok(())
    }
}

impl Publisher for Nats {
    type Error = NatsError;

    const NAME: &'static str = "NATS";

    fn is_open(&self) -> bool {
        self.is_open
    }

    fn has_room(&self) -> bool {
        self.is_open && self.waiting.len() < WINDOW
    }

    fn is_idle(&self) -> bool {
        self.is_open && self.waiting.is_empty()
    }

    fn confirmed(&self) -> Option<u64> {
        self.confirmed
    }

    fn send(&mut self, record: u64, key: &str, body: &[u8], out: &mut Vec<u8>) {
        self.number += 1;
        // The key of a record that others could write must not become a line of its own.
        let key: String = key.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect();
        let head = format!("NATS/1.0\r\nNats-Msg-Id: {key}\r\n\r\n");
        let (subject, inbox, number, length) = (&self.subject, &self.inbox, self.number, head.len() + body.len());
        out.extend(format!("HPUB {subject} {inbox}{number} {} {length}\r\n{head}", head.len()).bytes());
        out.extend_from_slice(body);
        out.extend(b"\r\n");
        self.waiting.push_back((number, record, false));
    }

    fn handle(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), NatsError> {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        while let Some(used) = self.one(rest, out)? {
            rest = rest.get(used..).unwrap_or_default();
        }
        self.buffer = rest.to_vec();
        if self.buffer.len() > LONGEST { Err(NatsError::Garbage) } else { Ok(()) }
    }
}

/// A line of the server's for the log.
fn short(text: &str) -> String {
    crate::output::escape::text(text.as_bytes()).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Nats {
        let mut out = Vec::new();
        let mut nats = Nats::open("alerts", &Login::parse("me:secret\n"), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("CONNECT {\"verbose\":false")
                && text.contains("\"pass\":\"secret\"")
                && text.ends_with("\r\nPING\r\n")
        );
        nats.inbox = "_INBOX.x.".to_owned();
        nats.handle(b"INFO {\"headers\":true}\r\n", &mut Vec::new()).unwrap();
        assert!(!nats.has_room(), "not before the server took us");
        nats.handle(b"PONG\r\n", &mut Vec::new()).unwrap();
        nats
    }

    fn sent() -> Nats {
        let (mut nats, mut out) = (opened(), Vec::new());
        for record in [70, 71, 72] {
            nats.send(record, "ab-0\r\nX: y", b"{}", &mut out);
        }
        let first = b"HPUB alerts _INBOX.x.1 33 35\r\nNATS/1.0\r\nNats-Msg-Id: ab-0Xy\r\n\r\n{}\r\n";
        assert!(out.starts_with(first), "{}", String::from_utf8_lossy(&out));
        nats
    }

    /// Answers to the third, the first and the second; one says that it was there already. And between them a question.
    const ANSWERS: &[u8] =
        b"MSG _INBOX.x.3 1 23\r\n{\"stream\":\"A\", \"seq\":3}\r\nPING\r\nMSG _INBOX.x.1 1 23\r\n{\"stream\":\"A\", \
        \"seq\":1}\r\nHMSG _INBOX.x.2 1 12 54\r\nNATS/1.0\r\n\r\n{\"stream\":\"A\", \"seq\":2, \"duplicate\": true}\r\n";

    #[test]
    fn any_cut_of_the_answers_says_the_same() {
        for cut in 0..ANSWERS.len() {
            let (mut nats, mut out) = (sent(), Vec::new());
            let (one, other) = ANSWERS.split_at(cut);
            nats.handle(one, &mut out).unwrap();
            assert!(nats.confirmed() < Some(73));
            nats.handle(other, &mut out).unwrap();
            assert_eq!((nats.confirmed(), nats.is_idle(), out.as_slice()), (Some(73), true, b"PONG\r\n".as_slice()), "{cut}");
        }
    }

    #[test]
    fn what_is_not_kept_is_not_confirmed() {
        for (bytes, error) in [
            (&b"HMSG _INBOX.x.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"[..], NatsError::NoStream("alerts".to_owned())),
            (b"MSG _INBOX.x.1 1 2\r\n{}\r\n", NatsError::NoStream("alerts".to_owned())),
            (b"MSG _INBOX.x.1 1 35\r\n{\"error\":{\"description\":\"it's so\"}}\r\n", NatsError::NotKept("it's so".to_owned())),
            (b"-ERR 'Authorization Violation'\r\n", NatsError::Refused("'Authorization Violation'".to_owned())),
            (b"HTTP/1.1 400 Bad Request\r\n", NatsError::Garbage),
            (b"MSG _INBOX.x.1 1 99999999\r\n", NatsError::Garbage),
            (b"MSG _INBOX.y.1 1 2\r\n{}\r\n", NatsError::Garbage),
            (&[b'x'; LONGEST + 1], NatsError::Garbage),
        ] {
            let mut nats = sent();
            assert_eq!(nats.handle(bytes, &mut Vec::new()), Err(error));
            assert_eq!(nats.confirmed(), None);
        }
    }
}
