//! From bytes to views: link types, IP, tunnels, TCP, UDP.
//!
//! Guarantee: nothing here panics on any bytes, allocates, or keeps state. A view borrows from its frame;
//! its accessors cannot fail. What stopped the decoder is kept as [`Undecoded`].

mod decode;
mod encapsulation;
mod fragment;
mod frame;
mod gre;
mod header;
mod ip;
mod layout;
mod link;
mod plain;
mod tcp;
mod tunnel;

pub use decode::{IpHeader, Layer, MacPair, Packet, Transport, UdpDatagram, Undecoded, decode, peek};
pub use encapsulation::{Encapsulation, Network, Wrapper, WrapperKind};
pub use fragment::{Fragment, decode_reassembled};
pub use frame::{Batch, Frame, FrameMeta};
pub use ip::Ip;
pub use layout::{Envelope, Layout};
pub use link::LinkType;
pub use tcp::{SeqNumber, TcpFlags, TcpSegment};
pub use tunnel::{Tunnel, decode_tunnel};
