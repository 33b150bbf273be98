//! Timing: round trips split at the sensor, and keystrokes. Each measurer says what span it covers, from where, and with
//! what error.
//!
//! The sensor stands between client and server. A *client-side* round trip runs sensor → client → sensor, a
//! *server-side* one sensor → server → sensor; neither needs a clock at either end.

pub mod ack;
pub mod behaviour;
pub mod estimate;
pub mod handshake;
pub mod keys;
pub mod keystroke;
pub mod least;
pub mod pace;
pub mod program;
pub mod quality;
pub mod terminal;
pub mod tsval;
mod window;
