//! What the bytes of a session say: one folder a protocol, and how a flow is recognised as one of them.

pub mod identify;
pub mod ssh;
