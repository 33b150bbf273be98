//! Who is the client, and on what evidence.

use serde::{Deserialize, Serialize};

/// One of the two ends of a session, by role. The client is the end where somebody types; that is not always the
/// end that opened the connection (a reverse SSH session).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that types.
    Client,
    /// The end that is typed at.
    Server,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Why we believe that an end is the client; strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// What the two ends said about themselves in the application protocol.
    Banner,
    /// It sent the SYN, or received the SYN-ACK.
    Syn,
    /// The other end's port belongs to a service.
    Port,
    /// Its packet was seen first: a guess.
    FirstSeen,
}

/// One value for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerSide<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

impl<T> PerSide<T> {
    /// Both values, built from their side.
    pub fn from_fn(mut make: impl FnMut(Side) -> T) -> Self {
        Self { client: make(Side::Client), server: make(Side::Server) }
    }

    /// The value of one side.
    pub const fn get(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The value of one side, to change it.
    pub const fn get_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Exchanges the two: the roles were guessed wrong.
    pub const fn swap(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
    }
}
