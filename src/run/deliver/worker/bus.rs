//! Alerts to a stream of NATS JetStream: each has arrived once JetStream says that it keeps it.

use std::time::{Duration, Instant};

use super::{FAREWELL, LOOK_EVERY, Over, TOGETHER, Target, Worker};
use crate::run::deliver::{
    destination::Bus,
    link::{Seen, Stream},
    nats::Nats,
};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

impl Worker {
    /// Messages for as long as there are any, so many at a time without an answer.
    pub(super) fn bus(&mut self, target: &Target, bus: &Bus, mut stream: Stream) -> Result<Over, Over> {
        let (mut out, mut buffer) = (Vec::new(), [0; 4096]);
        let mut nats = Nats::open(&bus.subject, &bus.login, &mut out);
        let (mut none, mut is_reached) = (Default::default(), false);
        let mut answered = Instant::now();
        loop {
            let mut is_empty = false;
            while nats.has_room() && out.len() < TOGETHER {
                let Some((number, key, body)) = self.next_body(target, bus.body)? else {
                    is_empty = true;
                    break;
                };
                if nats.is_idle() {
                    answered = Instant::now();
                }
                nats.send(number, &key, &body, &mut out);
                self.count(number);
            }
            if self.write(&mut stream, &out, &mut none)? {
                return Ok(Over::Done);
            }
            out.clear();
            let wait = if nats.is_idle() || (!is_empty && nats.has_room()) { Duration::ZERO } else { LOOK_EVERY };
            match stream.look(&mut buffer, wait)? {
                Seen::End => return Err(Over::Broken("the other end closed the connection".to_owned())),
                Seen::Bytes(read) => {
                    let handled = nats.handle(buffer.get(..read).unwrap_or_default(), &mut out);
                    if let Some(next) = nats.confirmed().filter(|next| *next > self.cursor.next) {
                        answered = Instant::now();
                        self.confirm(next);
                    }
                    handled.map_err(|problem| Over::Broken(problem.to_string()))?;
                }
                Seen::Nothing if self.is_late() => return Ok(Over::Done),
                Seen::Nothing if !is_reached && answered.elapsed() > FAREWELL => {
                    return Err(Over::Broken("no NATS server answered".to_owned()));
                }
                Seen::Nothing if is_reached && !nats.is_idle() && answered.elapsed() > ANSWER => {
                    return Err(Over::Broken("no answer of JetStream within 30 s".to_owned()));
                }
                Seen::Nothing => {}
            }
            if nats.is_open() && !std::mem::replace(&mut is_reached, true) {
                self.reached(target);
            }
            if is_empty && nats.is_idle() && out.is_empty() {
                // What could not be read is behind us too.
                self.confirm(self.reader.position());
                if self.end.deadline().is_some() {
                    return Ok(Over::Done);
                }
                let _ = self.standing.wait(self.reader.position(), LOOK_EVERY);
            }
            self.keep(false);
        }
    }
}
