//! Alerts to a web address: each one POST of JSON (RFC 9110, HTTP/1.1 as in RFC 9112), and arrived once it is answered with 2xx.
//! One after the other, and none before the answer to the one before it: so they come in order.

use std::time::{Duration, Instant};

use super::{LOOK_EVERY, Over, Target, Worker};
use crate::{
    output::alert::Alert,
    run::{
        deliver::{
            destination::{Web, WebBody},
            link::{Link, Seen, Stream},
        },
        spool::Record,
    },
};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes; a server with more to say is not asked again on the same connection.
const LONGEST_ANSWER: usize = 64 << 10;

/// Header fields of an answer that are read at most.
const MOST_FIELDS: usize = 64;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// Whether the connection can take another request.
    goes_on: bool,
}

impl Worker {
    /// One request after the other, for as long as there is something to send.
    pub(super) fn web(&mut self, target: &Target, web: &Web, first: Stream) -> Result<Over, Over> {
        let (mut stream, mut is_reached) = (Some(first), false);
        loop {
            let next = self.next_body(target, web.body)?.map(|(number, key, body)| (number, request(web, &key, &body)));
            let Some((number, request)) = next else {
                // What could not be read is behind us too.
                self.confirm(self.reader.position());
                if self.end.deadline().is_some() {
                    return Ok(Over::Done);
                }
                let _ = self.standing.wait(self.reader.position(), LOOK_EVERY);
                // A server may end a connection on which nothing happens.
                if let Some(idle) = &mut stream
                    && idle.look(&mut [0; 16], Duration::ZERO).is_ok_and(|seen| seen != Seen::Nothing)
                {
                    stream = None;
                }
                continue;
            };
            let mut link = match stream.take() {
                Some(stream) => stream,
                None => match Link::open(&target.way)? {
                    Link::Stream(stream) => stream,
                    Link::Udp(_) | Link::Local(_) => return Err(Over::Broken("no stream".to_owned())),
                },
            };
            self.count(number);
            if self.write(&mut link, &request, &mut Default::default())? {
                return Ok(Over::Done);
            }
            let Some(answer) = self.answer(&mut link)? else { return Ok(Over::Done) };
            if !(200..300).contains(&answer.status) {
                return Err(Over::Broken(format!("the server answered {}", answer.status)));
            }
            if !std::mem::replace(&mut is_reached, true) {
                self.reached(target);
            }
            self.confirm(number + 1);
            stream = answer.goes_on.then_some(link);
        }
    }

    /// The next alert with its number, its delivery key and what is said of it.
    pub(super) fn next_body(&mut self, target: &Target, body: WebBody) -> Result<Option<(u64, String, Vec<u8>)>, Over> {
        while let Some(Record { number, bytes }) = self.reader.next(self.standing.end())? {
            match Alert::parse(&bytes) {
                Ok(alert) => {
                    let body = match body {
                        WebBody::Record => bytes,
                        WebBody::Payload(payload) => alert.body(payload).into_bytes(),
                    };
                    return Ok(Some((number, alert.key(), body)));
                }
                Err(problem) => tracing::warn!("alerts to {}: number {number} in the spool is left out: {problem}", target.name),
            }
        }
        self.cursor.lost += self.reader.take_missing();
        Ok(None)
    }

    /// Waits for the answer; none where the time is up first.
    fn answer(&self, stream: &mut Stream) -> Result<Option<Answer>, Over> {
        let (began, mut held, mut buffer) = (Instant::now(), Vec::new(), [0; 4096]);
        loop {
            match stream.look(&mut buffer, LOOK_EVERY)? {
                Seen::Bytes(read) => held.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Seen::End => return parse(&held, true).and_then(|answer| answer.ok_or_else(cut)).map(Some),
                Seen::Nothing if self.is_late() => return Ok(None),
                Seen::Nothing if began.elapsed() > ANSWER => return Err(Over::Broken("no answer within 30 s".to_owned())),
                Seen::Nothing => {}
            }
            if let Some(answer) = parse(&held, false)? {
                return Ok(Some(answer));
            }
        }
    }
}

fn cut() -> Over {
    Over::Broken("the connection ended before the answer did".to_owned())
}

fn request(web: &Web, key: &str, body: &[u8]) -> Vec<u8> {
    // The key of a record that others could write must not become a line of its own.
    let key: String = key.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: keywitness/{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Idempotency-Key: \"{key}\"\r\n\r\n",
        web.path,
        web.host,
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn garbage() -> Over {
    Over::Broken("what the server sent is no HTTP/1.1".to_owned())
}

/// The answer in front, if it is whole; at the `end` of a connection that is all there is. Interim answers (1xx) are passed over.
fn parse(bytes: &[u8], end: bool) -> Result<Option<Answer>, Over> {
    if bytes.len() > 2 * LONGEST_ANSWER {
        return Err(garbage());
    }
    let mut rest = bytes;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(head) = response.parse(rest).map_err(|_| garbage())? else { return Ok(None) };
        let status = response.code.ok_or_else(garbage)?;
        rest = rest.get(head..).unwrap_or_default();
        if (100..200).contains(&status) {
            continue;
        }
        // What stands behind the head says nothing that counts, and is read only to get past it.
        return Ok(match length(&response, status).filter(|length| *length <= LONGEST_ANSWER) {
            Some(length) if rest.len() < length && !end => None,
            Some(length) => Some(Answer { status, goes_on: rest.len() == length && !end }),
            None => Some(Answer { status, goes_on: false }),
        });
    }
}

/// How long what stands behind a head is; none where it is not told, or where the connection ends behind it.
fn length(response: &httparse::Response<'_, '_>, status: u16) -> Option<usize> {
    let field = |name: &str| response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
    let is_closing = field("connection").is_some_and(|value| value.to_ascii_lowercase().windows(5).any(|word| word == b"close"));
    if response.version != Some(1) || is_closing || field("transfer-encoding").is_some() {
        return None;
    }
    let length = field("content-length").and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    if status == 204 { Some(0) } else { length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let parsed = |text: &str, end| parse(text.as_bytes(), end).map_err(|_| ());
        let answer = |status, goes_on| Ok(Some(Answer { status, goes_on }));
        let whole = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for cut in 0..whole.len() {
            assert_eq!(parsed(&whole[..cut], false), Ok(None), "{cut}");
        }
        assert_eq!(parsed(whole, false), answer(200, true));
        assert_eq!(parsed("HTTP/1.1 204 No Content\r\n\r\n", false), answer(204, true));
        assert_eq!(parsed("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false), answer(500, false));
        assert_eq!(parsed("HTTP/1.1 302 Found\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n", false), answer(302, false));
        assert_eq!(parsed("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false), answer(200, false));
        assert_eq!(parsed("HTTP/1.1 2", true), Ok(None));
        assert_eq!(parsed("SSH-2.0-OpenSSH_9.2\r\n", false), Err(()));
    }
}
