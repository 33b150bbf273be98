//! What the buses have in common: messages go out by the dozen, and each has arrived once the bus says that it keeps it.

use std::fmt::Display;

/// The client's side of a bus, without its sockets.
pub(super) trait Publisher {
    /// What is wrong where a connection cannot go on.
    type Error: Display;

    /// What it is called in messages.
    const NAME: &'static str;

    /// Whether the server has taken us.
    fn is_open(&self) -> bool;

    /// Whether messages may be sent now.
    fn has_room(&self) -> bool;

    /// Whether the bus has every message.
    fn is_idle(&self) -> bool;

    /// Number behind the last record up to which the bus has all, if there is one.
    fn confirmed(&self) -> Option<u64>;

    /// Takes a message, of a record with this number; the key is one word.
    fn send(&mut self, record: u64, key: &str, body: &[u8], out: &mut Vec<u8>);

    /// Adds what waits for company; `now` is in milliseconds since 1970.
    fn push(&mut self, _now: i64, _out: &mut Vec<u8>) {}

    /// Takes in what the server sent, and adds what that takes.
    ///
    /// # Errors
    /// Where the connection cannot go on.
    fn handle(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Messages that the bus will never take, since the last call.
    fn take_refused(&mut self) -> u64 {
        0
    }
}
