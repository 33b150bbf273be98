//! What the bytes of a session say: one folder a protocol, and how a flow is recognised as one of them.

pub mod blind;
mod bytes;
pub mod carrier;
pub mod datagram;
mod decoder;
pub mod families;
pub mod identify;
pub mod rdp;
pub mod rlogin;
pub mod spice;
pub mod ssh;
pub mod telnet;
mod terminal;
pub mod tls;
mod turn;
pub mod vnc;
pub mod x11;

pub use self::decoder::{Decoder, Facts, Protocol};

/// Whether a flow is of the protocol that its decoder reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing whole was said yet.
    Candidate,
    /// One side has spoken it.
    OneSide,
    /// Both sides have.
    Both,
    /// It is not.
    NotOurs,
}
