//! Alerts to a bus: each has arrived once that says that it keeps it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::warn;

use super::{FAREWELL, LOOK_EVERY, Over, TOGETHER, Target, Worker};
use crate::run::deliver::{
    destination::{Bus, Kind},
    kafka::Kafka,
    link::{Seen, Stream},
    nats::Nats,
    publisher::Publisher,
};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

impl Worker {
    /// Messages for as long as there are any.
    pub(super) fn bus(&mut self, target: &Target, bus: &Bus, stream: Stream) -> Result<Over, Over> {
        let mut out = Vec::new();
        match bus.kind {
            Kind::Nats => {
                let nats = Nats::open(&bus.subject, &bus.login, &mut out);
                self.publish(target, bus, stream, nats, out)
            }
            Kind::Kafka => {
                let kafka = Kafka::open(&bus.subject, &bus.login, &mut out);
                self.publish(target, bus, stream, kafka, out)
            }
        }
    }

    /// So many at a time without an answer.
    fn publish<P: Publisher>(
        &mut self,
        target: &Target,
        bus: &Bus,
        mut stream: Stream,
        mut publisher: P,
        mut out: Vec<u8>,
    ) -> Result<Over, Over> {
        let mut buffer = [0; 4096];
        let (mut none, mut is_reached) = (Default::default(), false);
        let mut answered = Instant::now();
        loop {
            let mut is_empty = false;
            while publisher.has_room() && out.len() < TOGETHER {
                let Some((number, key, body)) = self.next_body(target, bus.body)? else {
                    is_empty = true;
                    break;
                };
                if publisher.is_idle() {
                    answered = Instant::now();
                }
                publisher.send(number, &key, &body, &mut out);
                self.count(number);
            }
            publisher.push(now(), &mut out);
            if self.write(&mut stream, &out, &mut none)? {
                return Ok(Over::Done);
            }
            out.clear();
            let wait = if publisher.is_idle() || (!is_empty && publisher.has_room()) { Duration::ZERO } else { LOOK_EVERY };
            match stream.look(&mut buffer, wait)? {
                Seen::End => return Err(Over::Broken("the other end closed the connection".to_owned())),
                Seen::Bytes(read) => {
                    let handled = publisher.handle(buffer.get(..read).unwrap_or_default(), &mut out);
                    if let Some(next) = publisher.confirmed().filter(|next| *next > self.cursor.next) {
                        answered = Instant::now();
                        self.confirm(next);
                    }
                    let refused = publisher.take_refused();
                    if refused > 0 {
                        warn!("alerts to {}: {refused} were not taken: too large, or not what the topic takes", target.name);
                        self.lose(refused);
                    }
                    handled.map_err(|problem| Over::Broken(problem.to_string()))?;
                }
                Seen::Nothing if self.is_late() => return Ok(Over::Done),
                Seen::Nothing if !is_reached && answered.elapsed() > FAREWELL => {
                    return Err(Over::Broken(format!("no {} server answered", P::NAME)));
                }
                Seen::Nothing if is_reached && !publisher.is_idle() && answered.elapsed() > ANSWER => {
                    return Err(Over::Broken(format!("no answer of {} within 30 s", P::NAME)));
                }
                Seen::Nothing => {}
            }
            if publisher.is_open() && !std::mem::replace(&mut is_reached, true) {
                self.reached(target);
            }
            if is_empty && publisher.is_idle() && out.is_empty() {
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

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
