//! An interface to put frames on.

use std::{
    io,
    os::fd::{IntoRawFd, OwnedFd},
    thread,
    time::Duration,
};

use pnet::datalink::{self, Channel, ChannelType, Config, DataLinkSender, NetworkInterface};
use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socket_with},
};

use crate::{
    config::ConfigError,
    run::{Failure, interface},
};

/// How often a frame is tried again while the queue of the interface is full, and how long in between: a second in all.
const RETRIES: u32 = 10_000;
const RETRY_AFTER: Duration = Duration::from_micros(100);

/// An open interface.
pub(super) struct Outlet {
    /// Bound to the interface. A send waits for nothing.
    socket: OwnedFd,
    /// The same socket; asks the kernel for room before each frame, which takes a third of the rate.
    sender: Box<dyn DataLinkSender>,
}

/// Why a frame was not sent.
#[derive(Debug)]
pub(super) enum Refusal {
    /// This frame only.
    Frame(io::Error),
    /// No frame can be sent any more.
    Interface(io::Error),
}

impl Outlet {
    /// Opens an interface that takes Ethernet frames.
    ///
    /// # Errors
    /// Mistakes of the user: no such interface, one that takes none or is down, no permission. Anything else the kernel says.
    pub(super) fn open(name: &str) -> Result<Self, Failure> {
        let interface = interface::find(name)?;
        let usage = |message: String| Failure::from(ConfigError::Usage(format!("--interface: {name} {message}")));
        if interface.mac.is_none() {
            return Err(usage("takes no Ethernet frames".to_owned()));
        }
        if !interface.is_up() {
            return Err(usage(format!("is down: sudo ip link set dev {name} up")));
        }
        match Self::of(&interface) {
            Ok(outlet) => Ok(outlet),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(usage(format!(
                "cannot be opened: {error}. Sending needs the capability CAP_NET_RAW: {}, or run this with sudo",
                interface::permit()
            ))),
            Err(error) => Err(Failure::File(format!("{name}: {error}"))),
        }
    }

    fn of(interface: &NetworkInterface) -> io::Result<Self> {
        // A socket of ours, of protocol 0: `pnet` would open one that is also given every frame that comes in.
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        let twin = socket.try_clone()?;
        let config = Config {
            socket_fd: Some(twin.into_raw_fd()),  // `pnet` closes it, also where it fails
            channel_type: ChannelType::Layer3(0), // only the protocol of this is looked at
            promiscuous: false,
            write_buffer_size: 0,
            read_buffer_size: 0,
            ..Config::default()
        };
        match datalink::channel(interface, config)? {
            Channel::Ethernet(sender, _) => Ok(Self { socket, sender }),
            _ => Err(io::Error::other("is no Ethernet channel")),
        }
    }

    /// Sends a frame; waits while the interface's queue is full.
    pub(super) fn send(&mut self, frame: &[u8]) -> Result<(), Refusal> {
        for _ in 0..RETRIES {
            let error = match send(&self.socket, frame, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => match self.sender.send_to(frame, None) {
                    Some(Err(error)) => error,
                    _ => return Ok(()),
                },
                Err(error) => error.into(),
            };
            match Errno::from_io_error(&error) {
                Some(Errno::NOBUFS | Errno::AGAIN) => thread::sleep(RETRY_AFTER),
                Some(Errno::INTR) => {}
                Some(Errno::NETDOWN | Errno::NXIO | Errno::NODEV) => return Err(Refusal::Interface(error)),
                _ => return Err(Refusal::Frame(error)),
            }
        }
        Err(Refusal::Frame(Errno::NOBUFS.into()))
    }
}
