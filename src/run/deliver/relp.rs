//! The client's side of RELP, version 0 (librelp's protocol description), without its sockets: bytes in, bytes out.
//!
//! A frame is `TXNR SP COMMAND SP DATALEN [SP DATA] LF`. The server answers each with `TXNR rsp LEN 200 OK`, and then it has it.

use std::collections::VecDeque;

/// Highest number of a frame; then it begins at 1 again.
const LAST: u32 = 999_999_999;

/// Messages that wait for an answer at most.
const WINDOW: usize = 512;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelpError {
    /// The server ends it.
    #[error("the server ended the session")]
    Closed,
    /// The server did not take a message, or us.
    #[error("the server refused: {0}")]
    Refused(String),
    /// What came is no RELP.
    #[error("what the server sent is no RELP")]
    Garbage,
}

/// One connection.
#[derive(Debug)]
pub struct Relp {
    number: u32,
    /// Frames without an answer before them, in order: their numbers, the record's, and whether they were answered.
    waiting: VecDeque<(u32, u64, bool)>,
    is_open: bool,
    buffer: Vec<u8>,
    /// Number behind the last record before which all are confirmed.
    confirmed: Option<u64>,
}

impl Relp {
    /// Begins: adds what is to be sent first.
    #[must_use]
    pub fn open(out: &mut Vec<u8>) -> Self {
        let mut relp = Self { number: 0, waiting: VecDeque::new(), is_open: false, buffer: Vec::new(), confirmed: None };
        relp.frame("open", b"relp_version=0\nrelp_software=keywitness\ncommands=syslog", out);
        relp
    }

    /// Whether messages may be sent now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.is_open && self.waiting.len() < WINDOW
    }

    /// Whether the server agreed to a session.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether every message was confirmed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_open && self.waiting.is_empty()
    }

    /// Adds a message, of a record with this number.
    pub fn send(&mut self, record: u64, message: &[u8], out: &mut Vec<u8>) {
        let number = self.frame("syslog", message, out);
        self.waiting.push_back((number, record, false));
    }

    /// Adds the end.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        self.frame("close", b"", out);
    }

    /// Number behind the last record up to which the server has all, if there is one.
    #[must_use]
    pub const fn confirmed(&self) -> Option<u64> {
        self.confirmed
    }

    /// Takes in what the server sent.
    ///
    /// # Errors
    /// [`RelpError`] where the connection cannot go on.
    pub fn handle(&mut self, bytes: &[u8]) -> Result<(), RelpError> {
        self.buffer.extend_from_slice(bytes);
        while let Some(frame) = parse(&self.buffer)? {
            let data = self.buffer.get(frame.data).map(<[u8]>::to_vec).unwrap_or_default();
            self.buffer.drain(..frame.length);
            self.answer(frame.number, &frame.command, &data)?;
        }
        if self.buffer.len() > LONGEST { Err(RelpError::Garbage) } else { Ok(()) }
    }

    fn answer(&mut self, number: u32, command: &str, data: &[u8]) -> Result<(), RelpError> {
        match command {
            "rsp" => {}
            "serverclose" => return Err(RelpError::Closed),
            _ => return Err(RelpError::Garbage),
        }
        let text = String::from_utf8_lossy(data);
        if !(text.starts_with("200 ") || text == "200") {
            return Err(RelpError::Refused(text.lines().next().unwrap_or_default().chars().take(200).collect()));
        }
        if number == 1 && !self.is_open {
            self.is_open = true;
            return Ok(());
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

    fn frame(&mut self, command: &str, data: &[u8], out: &mut Vec<u8>) -> u32 {
        self.number = if self.number >= LAST { 1 } else { self.number + 1 };
        out.extend(format!("{} {command} {}", self.number, data.len()).bytes());
        if !data.is_empty() {
            out.push(b' ');
            out.extend_from_slice(data);
        }
        out.push(b'\n');
        self.number
    }
}

struct Frame {
    number: u32,
    command: String,
    data: std::ops::Range<usize>,
    length: usize,
}

/// The frame in front, if it is whole.
fn parse(bytes: &[u8]) -> Result<Option<Frame>, RelpError> {
    // Number, command and length are short; what has none of them for so long is something else.
    let head = bytes.get(..64.min(bytes.len())).unwrap_or_default();
    let word = |from: usize| {
        let rest = head.get(from..)?;
        let length = rest.iter().position(|byte| matches!(byte, b' ' | b'\n'))?;
        Some((std::str::from_utf8(rest.get(..length)?).ok()?, from + length + 1, *rest.get(length)?))
    };
    let incomplete = || if head.len() < 64 { Ok(None) } else { Err(RelpError::Garbage) };
    let Some((number, at, _)) = word(0) else { return incomplete() };
    let Some((command, at, _)) = word(at) else { return incomplete() };
    let Some((size, at, behind)) = word(at) else { return incomplete() };
    let number: u32 = number.parse().map_err(|_| RelpError::Garbage)?;
    let size: usize = size.parse().ok().filter(|size| *size <= LONGEST).ok_or(RelpError::Garbage)?;
    let (data, length) = match (size, behind) {
        (0, b'\n') => (at..at, at),
        (_, b' ') => (at..at + size, at + size + 1),
        _ => return Err(RelpError::Garbage),
    };
    match bytes.get(length - 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(Frame { number, command: command.to_owned(), data, length })),
        Some(_) => Err(RelpError::Garbage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Relp {
        let mut out = Vec::new();
        let mut relp = Relp::open(&mut out);
        assert!(out.starts_with(b"1 open 55 relp_version=0\n") && out.ends_with(b"commands=syslog\n"));
        assert!(!relp.has_room(), "not before the server agreed");
        let offer = "200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog";
        relp.handle(format!("1 rsp {} {offer}\n", offer.len()).as_bytes()).unwrap();
        assert!(relp.has_room());
        relp
    }

    #[test]
    fn a_message_is_confirmed_once_it_and_all_before_it_are() {
        let (mut relp, mut out) = (opened(), Vec::new());
        for record in [70, 71, 72] {
            relp.send(record, b"<84>1 - hi", &mut out);
        }
        assert!(out.starts_with(b"2 syslog 10 <84>1 - hi\n3 syslog 10 "));
        relp.handle(b"3 rsp 6 200 OK\n").unwrap();
        assert_eq!(relp.confirmed(), None);
        relp.handle(b"2 rsp 6 200 OK\n4 rsp 6 20").unwrap();
        assert_eq!((relp.confirmed(), relp.is_idle()), (Some(72), false));
        relp.handle(b"0 OK\n").unwrap();
        assert_eq!((relp.confirmed(), relp.is_idle()), (Some(73), true));
    }

    #[test]
    fn any_cut_of_the_answers_says_the_same() {
        let answers = b"2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n";
        for cut in 0..answers.len() {
            let (mut relp, mut out) = (opened(), Vec::new());
            (0..3).for_each(|record| relp.send(record, b"x", &mut out));
            let (one, other) = answers.split_at(cut);
            relp.handle(one).and_then(|()| relp.handle(other)).unwrap();
            assert_eq!(relp.confirmed(), Some(3), "{cut}");
        }
    }

    #[test]
    fn what_ends_it_ends_it() {
        let said = |bytes: &[u8]| opened().handle(bytes).unwrap_err();
        assert_eq!(said(b"0 serverclose 0\n"), RelpError::Closed);
        assert_eq!(said(b"2 rsp 9 500 full!\n"), RelpError::Refused("500 full!".to_owned()));
        for garbage in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), b"2 rsp 999999999 x", b"2 rsp 3 200 OK\n", &[b'x'; 100]] {
            assert_eq!(said(garbage), RelpError::Garbage, "{garbage:?}");
        }
    }

    #[test]
    fn it_waits_for_answers() {
        let (mut relp, mut out) = (opened(), Vec::new());
        let sent = (0..).take_while(|record| {
            let has_room = relp.has_room();
            if has_room {
                relp.send(*record, b"x", &mut out);
            }
            has_room
        });
        assert_eq!(sent.count(), WINDOW);
    }
}
