//! Sockets to collectors.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt,
};
use rustls::{ClientConnection, StreamOwned};

use super::destination::{Bus, Kind, Tls, Way, Web};

/// For a connection, and for the handshake of TLS.
const CONNECT: Duration = Duration::from_secs(5);

/// A write that takes longer is tried again, after a look at whether it is to end.
const WRITE: Duration = Duration::from_millis(500);

/// A read takes so long at most: it comes when there is something.
const READ: Duration = Duration::from_millis(20);

/// A receiver that takes nothing for so long, in milliseconds, is given up.
const STALLED: u32 = 60_000;

/// The longest greeting of a NATS server, in bytes.
const LONGEST_GREETING: usize = 64 << 10;

/// One message a datagram, or a stream of bytes.
#[derive(Debug)]
pub(super) enum Link {
    Udp(UdpSocket),
    Local(UnixDatagram),
    Stream(Stream),
}

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Unix(UnixStream),
}

/// What a look at the other end brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    Bytes(usize),
    End,
}

impl Link {
    /// Connects to the first address that answers.
    ///
    /// # Errors
    /// The last one's.
    pub(super) fn open(way: &Way) -> io::Result<Self> {
        match way {
            Way::Udp(addresses) => first(addresses, udp).map(Self::Udp),
            Way::Local(path) => local(path),
            Way::Bus(Bus { kind, addresses, tls: Some(tls), .. }) => {
                let mut stream = first(addresses, tcp)?;
                if *kind == Kind::Nats {
                    greeting(&mut stream)?;
                }
                Ok(Self::Stream(Stream::Tls(Box::new(encrypt(stream, tls)?))))
            }
            Way::Bus(Bus { addresses, tls: None, .. }) => first(addresses, tcp).map(|stream| Self::Stream(Stream::Tcp(stream))),
            Way::Stream { addresses, tls, .. } | Way::Web(Web { addresses, tls, .. }) => {
                let stream = first(addresses, tcp)?;
                Ok(Self::Stream(match tls {
                    Some(tls) => Stream::Tls(Box::new(encrypt(stream, tls)?)),
                    None => Stream::Tcp(stream),
                }))
            }
        }
    }
}

fn first<T>(addresses: &[SocketAddr], connect: impl Fn(&SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::new(ErrorKind::AddrNotAvailable, "the name has no address");
    for address in addresses {
        match connect(address) {
            Ok(connected) => return Ok(connected),
            Err(problem) => last = problem,
        }
    }
    Err(last)
}

fn udp(address: &SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if address.is_ipv6() { ([0_u16; 8], 0).into() } else { ([0, 0, 0, 0], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    Ok(socket)
}

fn tcp(address: &SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, CONNECT)?;
    stream.set_nodelay(true)?;
    // A peer that is gone without a word is noticed, on an idle connection too.
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, Duration::from_secs(30))?;
    sockopt::set_tcp_user_timeout(&stream, STALLED)?;
    stream.set_write_timeout(Some(WRITE))?;
    stream.set_read_timeout(Some(READ))?;
    Ok(stream)
}

/// What a NATS server says in clear before TLS begins: one line, of which nothing is believed. Not a byte more is read.
fn greeting(stream: &mut TcpStream) -> io::Result<()> {
    let (mut byte, mut length) = ([0], 0);
    stream.set_read_timeout(Some(CONNECT))?;
    while byte != *b"\n" {
        stream.read_exact(&mut byte)?;
        length += 1;
        if length > LONGEST_GREETING {
            return Err(io::Error::other("what the server sent is no NATS"));
        }
    }
    Ok(())
}

/// Shakes hands; nothing is sent before the server has shown who it is.
fn encrypt(mut stream: TcpStream, tls: &Tls) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut connection = ClientConnection::new(Arc::clone(&tls.config), tls.server.clone()).map_err(io::Error::other)?;
    stream.set_read_timeout(Some(CONNECT))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|problem| match problem.kind() {
            ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "no TLS handshake within 5 s"),
            _ => problem,
        })?;
    }
    stream.set_read_timeout(Some(READ))?;
    Ok(StreamOwned::new(connection, stream))
}

/// A local syslog takes datagrams, some a stream.
fn local(path: &Path) -> io::Result<Link> {
    let socket = UnixDatagram::unbound()?;
    match socket.connect(path) {
        Ok(()) => {
            socket.set_write_timeout(Some(WRITE))?;
            Ok(Link::Local(socket))
        }
        Err(problem) if problem.raw_os_error() == Some(libc::EPROTOTYPE) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(WRITE))?;
            stream.set_read_timeout(Some(READ))?;
            Ok(Link::Stream(Stream::Unix(stream)))
        }
        Err(problem) => Err(problem),
    }
}

impl Stream {
    /// Writes as much as goes now; 0 where there was no room for a while.
    pub(super) fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.writer().write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(problem) if is_wait(&problem) => Ok(0),
            written => written,
        }
    }

    /// Sends what is held back between us and the socket; whether nothing is any more.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self.writer().flush() {
            Ok(()) => Ok(match self {
                Self::Tls(stream) => !stream.conn.wants_write(),
                Self::Tcp(_) | Self::Unix(_) => true,
            }),
            Err(problem) if is_wait(&problem) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Reads what there is, and waits so long for it at most.
    pub(super) fn look(&mut self, buffer: &mut [u8], at_most: Duration) -> io::Result<Seen> {
        let wait = Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) };
        if !self.holds_bytes() && poll(&mut [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN)], Some(&wait))? == 0 {
            return Ok(Seen::Nothing);
        }
        let read = match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        };
        match read {
            Ok(0) => Ok(Seen::End),
            Ok(read) => Ok(Seen::Bytes(read)),
            Err(problem) if is_wait(&problem) => Ok(Seen::Nothing),
            // TLS without the word that ends it, which not all servers say.
            Err(problem) if problem.kind() == ErrorKind::UnexpectedEof => Ok(Seen::End),
            Err(problem) => Err(problem),
        }
    }

    /// Says that nothing more comes.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Write)
            }
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Whether bytes were read from the socket already that nobody has asked for.
    fn holds_bytes(&mut self) -> bool {
        match self {
            Self::Tls(stream) => stream
                .conn
                .process_new_packets()
                .is_ok_and(|state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed()),
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.sock.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Whether there was only no room, or nothing to read, for a while.
pub(super) fn is_wait(problem: &io::Error) -> bool {
    matches!(problem.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp(_) => "UDP",
            Self::Local(_) => "local socket",
            Self::Stream(Stream::Tcp(_)) => "TCP",
            Self::Stream(Stream::Tls(_)) => "TLS",
            Self::Stream(Stream::Unix(_)) => "local stream",
        })
    }
}
