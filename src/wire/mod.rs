//! From bytes to views: link types, IP, tunnels, TCP, UDP.
//!
//! Guarantee: nothing here panics on any bytes, allocates, or keeps state. A view borrows from its frame;
//! its accessors cannot fail. What stopped the decoder is kept as [`Undecoded`].

mod decode;
mod fragment;
mod frame;
mod gre;
mod ip;
mod layout;
mod link;
mod plain;
mod tcp;

pub use decode::{IpHeader, Layer, MacPair, Packet, Transport, UdpDatagram, Undecoded, decode, peek};
pub use fragment::{Fragment, decode_reassembled};
pub use frame::{Batch, Frame, FrameMeta};
pub use gre::{Encapsulation, Gre, Tunnel, decode_gre};
pub use ip::Ip;
pub use layout::{Envelope, Layout};
pub use link::LinkType;
pub use tcp::{SeqNumber, TcpFlags, TcpSegment};
