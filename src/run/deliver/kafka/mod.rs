//! The client's side of Kafka as far as producing to one topic takes it, without its sockets: bytes in, bytes out.
//!
//! All goes to one partition, the first that the broker leads which is spoken to, so that what is said of one alert keeps its order; one batch at
//! a time is on its way, and has arrived once all replicas in sync have it (`acks=all`). What was sent when a connection breaks is sent again:
//! at least once, with `alert_id-revision` in the header `delivery_key`. A crate for this would reserve what a server says that it will send, or
//! bring a runtime, reconnect and look names up by itself, which is the spool's work and behind the guard.

mod wire;

use self::wire::{Entry, Garbage, Read};
use super::{nats::Login, publisher::Publisher};

/// Messages, and bytes of them, that wait for the next batch at most. Brokers take a megabyte at once (`message.max.bytes`).
const MOST_WAITING: usize = 512;
const MOST_BYTES: usize = 512 << 10;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// The versions of requests that are used: the newest that needs no flexible fields, and the oldest that takes record batches.
const PRODUCE_VERSIONS: std::ops::RangeInclusive<i16> = 3..=7;
const METADATA_VERSION: i16 = 1;

/// All replicas in sync have it, within so many milliseconds.
const ALL: i16 = -1;
const TIMEOUT: i32 = 20_000;

/// Errors that mean something to us (kafka.apache.org/protocol#protocol_error_codes).
const NOT_LEADER: i16 = 6;
const UNKNOWN_PARTITION: i16 = 3;
/// Of a batch: too large (10, 18), with times (32) or records (87) that the topic does not take. It is one of them, or their number.
const NOT_TAKEN: [i16; 4] = [10, 18, 32, 87];

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// What came is no Kafka.
    #[error("what the server sent is no Kafka")]
    Garbage,
    /// The broker is older than 0.11, or so new that it has dropped what we speak.
    #[error("the broker does not speak produce requests of versions 3 to 7 (Kafka 0.11 and later)")]
    Versions,
    /// The broker did not take us.
    #[error("the broker refused the login (error {0})")]
    Login(i16),
    /// It did not say where the topic is.
    #[error("the broker does not know the topic {0} (error {1})")]
    Topic(String, i16),
    /// It leads no partition of it.
    #[error("the broker leads no partition of {0}; name another one besides")]
    NoPartition(String),
    /// It did not keep a batch.
    #[error("the broker did not keep alerts (error {0})")]
    NotKept(i16),
}

impl From<Garbage> for KafkaError {
    fn from(_: Garbage) -> Self {
        Self::Garbage
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Versions,
    Mechanism,
    Login,
    Topic,
    Open,
}

/// One connection.
#[derive(Debug)]
pub struct Kafka {
    topic: String,
    login: Login,
    correlation: i32,
    stage: Stage,
    produce_version: i16,
    /// Partitions that the broker may lead; the first is written to.
    partitions: Vec<i32>,
    waiting: Vec<Entry>,
    waiting_bytes: usize,
    /// What is on its way.
    sent: Vec<Entry>,
    /// When that was first sent, in milliseconds since 1970.
    sent_at: i64,
    /// Messages in one batch, at most.
    together: usize,
    buffer: Vec<u8>,
    confirmed: Option<u64>,
    refused: u64,
}

impl Kafka {
    /// Begins, to produce to this topic: adds what is to be sent first.
    #[must_use]
    pub fn open(topic: &str, login: &Login, out: &mut Vec<u8>) -> Self {
        let mut kafka = Self {
            topic: topic.to_owned(),
            login: login.clone(),
            correlation: 0,
            stage: Stage::Versions,
            produce_version: *PRODUCE_VERSIONS.end(),
            partitions: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            sent: Vec::new(),
            sent_at: 0,
            together: MOST_WAITING,
            buffer: Vec::new(),
            confirmed: None,
            refused: 0,
        };
        kafka.ask(wire::API_VERSIONS, 0, &[], out);
        kafka
    }

    fn ask(&mut self, api: i16, version: i16, body: &[u8], out: &mut Vec<u8>) {
        self.correlation = self.correlation.wrapping_add(1);
        wire::request(api, version, self.correlation, body, out);
    }

    fn ask_for_topic(&mut self, out: &mut Vec<u8>) {
        let mut body = 1_i32.to_be_bytes().to_vec();
        wire::put_text(&mut body, &self.topic);
        self.stage = Stage::Topic;
        self.ask(wire::METADATA, METADATA_VERSION, &body, out);
    }

    /// Takes an answer, without its length.
    fn answer(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), KafkaError> {
        let mut read = Read(bytes);
        if read.i32()? != self.correlation {
            return Err(KafkaError::Garbage);
        }
        match self.stage {
            Stage::Versions => self.on_versions(read, out),
            Stage::Mechanism => match read.i16()? {
                0 => self.log_in(out),
                error => Err(KafkaError::Login(error)),
            },
            Stage::Login => match read.i16()? {
                0 => {
                    self.ask_for_topic(out);
                    Ok(())
                }
                error => Err(KafkaError::Login(error)),
            },
            Stage::Topic => self.on_topic(read),
            Stage::Open if self.sent.is_empty() => Err(KafkaError::Garbage),
            Stage::Open => self.on_produced(read, out),
        }
    }

    fn on_versions(&mut self, mut read: Read<'_>, out: &mut Vec<u8>) -> Result<(), KafkaError> {
        let error = read.i16()?;
        let mut newest = None;
        read.list(|read| {
            let (api, least, most) = (read.i16()?, read.i16()?, read.i16()?);
            if api == wire::PRODUCE {
                newest =
                    Some(most.min(*PRODUCE_VERSIONS.end())).filter(|version| *version >= least.max(*PRODUCE_VERSIONS.start()));
            }
            Ok(())
        })?;
        self.produce_version = newest.filter(|_| error == 0).ok_or(KafkaError::Versions)?;
        if self.login == Login::None {
            self.ask_for_topic(out);
        } else {
            let mut body = Vec::new();
            wire::put_text(&mut body, "PLAIN");
            self.stage = Stage::Mechanism;
            self.ask(wire::SASL_HANDSHAKE, 1, &body, out);
        }
        Ok(())
    }

    /// SASL PLAIN (RFC 4616).
    fn log_in(&mut self, out: &mut Vec<u8>) -> Result<(), KafkaError> {
        let secret = match &self.login {
            Login::User(name, password) => format!("\0{name}\0{password}"),
            Login::Token(_) | Login::None => String::new(), // refused before
        };
        let mut body = Vec::new();
        wire::put_bytes(&mut body, secret.as_bytes());
        self.stage = Stage::Login;
        self.ask(wire::SASL_AUTHENTICATE, 0, &body, out);
        Ok(())
    }

    fn on_topic(&mut self, mut read: Read<'_>) -> Result<(), KafkaError> {
        read.list(|read| {
            read.i32()?; // broker
            read.text()?;
            read.i32()?;
            read.text().map(|_| ())
        })?;
        read.i32()?; // controller
        let (topic, mut found, mut partitions) = (self.topic.as_bytes(), None, Vec::new());
        read.list(|read| {
            let (error, name) = (read.i16()?, read.text()?);
            read.skip(1)?; // internal
            if name == topic {
                found = Some(error);
            }
            read.list(|read| {
                read.i16()?;
                partitions.push(read.i32()?);
                read.i32()?; // its leader, by a number that none of the brokers says is its own
                read.list(|read| read.i32().map(|_| ()))?;
                read.list(|read| read.i32().map(|_| ()))
            })
        })?;
        match found {
            Some(0) if !partitions.is_empty() => {}
            error => return Err(KafkaError::Topic(self.topic.clone(), error.unwrap_or(UNKNOWN_PARTITION))),
        }
        partitions.sort_unstable();
        self.partitions = partitions;
        self.stage = Stage::Open;
        Ok(())
    }

    fn on_produced(&mut self, mut read: Read<'_>, out: &mut Vec<u8>) -> Result<(), KafkaError> {
        let mut error = None;
        let log_start = self.produce_version >= 5;
        read.list(|read| {
            read.text()?;
            read.list(|read| {
                read.i32()?;
                error = Some(read.i16()?);
                read.skip(if log_start { 24 } else { 16 }).map(|_| ())
            })
        })?;
        match error.ok_or(KafkaError::Garbage)? {
            0 => {
                self.confirmed = self.sent.last().map(|entry| entry.number + 1).or(self.confirmed);
                self.sent.clear();
                self.together = (self.together * 2).min(MOST_WAITING);
            }
            NOT_LEADER | UNKNOWN_PARTITION => {
                self.partitions.remove(0);
                if self.partitions.is_empty() {
                    return Err(KafkaError::NoPartition(self.topic.clone()));
                }
                self.produce_again(out);
            }
            error if NOT_TAKEN.contains(&error) => self.on_not_taken(out),
            error => return Err(KafkaError::NotKept(error)),
        }
        Ok(())
    }

    /// Smaller batches for a while; a message that is not taken alone never arrives.
    fn on_not_taken(&mut self, out: &mut Vec<u8>) {
        if self.sent.len() == 1 {
            self.refused += 1;
            self.confirmed = self.sent.last().map(|entry| entry.number + 1);
            self.sent.clear();
            return;
        }
        self.together = self.sent.len() / 2;
        let rest = self.sent.split_off(self.together);
        self.waiting_bytes += rest.iter().map(|entry| entry.body.len()).sum::<usize>();
        self.waiting.splice(0..0, rest);
        self.produce_again(out);
    }

    fn produce_again(&mut self, out: &mut Vec<u8>) {
        let entries = std::mem::take(&mut self.sent);
        self.produce(entries, self.sent_at, out);
    }

    fn produce(&mut self, entries: Vec<Entry>, now: i64, out: &mut Vec<u8>) {
        let Some(partition) = self.partitions.first().copied() else { return };
        let mut body = (-1_i16).to_be_bytes().to_vec(); // no transaction
        body.extend(ALL.to_be_bytes());
        body.extend(TIMEOUT.to_be_bytes());
        body.extend(1_i32.to_be_bytes());
        wire::put_text(&mut body, &self.topic);
        body.extend(1_i32.to_be_bytes());
        body.extend(partition.to_be_bytes());
        wire::put_bytes(&mut body, &wire::batch(&entries, now));
        (self.sent, self.sent_at) = (entries, now);
        self.ask(wire::PRODUCE, self.produce_version, &body, out);
    }
}

impl Publisher for Kafka {
    type Error = KafkaError;

    const NAME: &'static str = "Kafka";

    fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    fn has_room(&self) -> bool {
        self.is_open() && self.waiting.len() < MOST_WAITING && self.waiting_bytes < MOST_BYTES
    }

    fn is_idle(&self) -> bool {
        self.is_open() && self.waiting.is_empty() && self.sent.is_empty()
    }

    fn confirmed(&self) -> Option<u64> {
        self.confirmed
    }

    fn send(&mut self, record: u64, key: &str, body: &[u8], _out: &mut Vec<u8>) {
        self.waiting_bytes += body.len();
        self.waiting.push(Entry { number: record, key: key.to_owned(), body: body.to_vec() });
    }

    fn push(&mut self, now: i64, out: &mut Vec<u8>) {
        if !self.is_open() || !self.sent.is_empty() || self.waiting.is_empty() {
            return;
        }
        let rest = self.waiting.split_off(self.together.min(self.waiting.len()));
        let entries = std::mem::replace(&mut self.waiting, rest);
        self.waiting_bytes = self.waiting.iter().map(|entry| entry.body.len()).sum();
        self.produce(entries, now, out);
    }

    fn handle(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), KafkaError> {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        while let Some((len, behind)) = rest.split_first_chunk().map(|(len, rest)| (i32::from_be_bytes(*len), rest)) {
            let len = usize::try_from(len).ok().filter(|len| *len <= LONGEST).ok_or(KafkaError::Garbage)?;
            let Some((answer, behind)) = behind.split_at_checked(len) else { break };
            self.answer(answer, out)?;
            rest = behind;
        }
        self.buffer = rest.to_vec();
        Ok(())
    }

    fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests;
