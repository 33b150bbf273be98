//! Addresses of NATS: `nats://HOST:4222/SUBJECT`.

use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use super::{DestinationError, Options, Target, Tls, Way, WebBody, host_and_port};
use crate::{output::alert::Style, run::deliver::nats::Login};

/// The usual port.
const PORT: u16 = 4222;

/// A subject of NATS that JetStream keeps.
#[derive(Clone, Debug)]
pub struct Bus {
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
    /// Who it must be, where it is encrypted.
    pub tls: Option<Tls>,
    /// The subject that is published to.
    pub subject: String,
    /// Who we say we are.
    pub login: Login,
    /// What is published.
    pub body: WebBody,
}

impl Target {
    /// An address of NATS, without its scheme.
    pub(super) fn bus(scheme: &str, place: &str, options: &Options<'_>) -> Result<Self, DestinationError> {
        let of_syslog = [
            ("header", options.header),
            ("facility", options.facility),
            ("framing", options.framing),
            ("resend", options.resend),
        ];
        options.refuse(scheme, &of_syslog)?;
        let is_encrypted = scheme == "nats+tls";
        if !is_encrypted {
            options
                .refuse(scheme, &[("ca", options.ca), ("cert", options.cert), ("key", options.key), ("name", options.name)])?;
        }
        let (authority, subject) = place.split_once('/').ok_or("write it as nats://HOST:PORT/SUBJECT")?;
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte));
        if !subject.split('.').all(is_word) {
            return Err(format!("\"{subject}\" is no subject: words of ASCII with dots between them").into());
        }
        if authority.contains('@') {
            return Err("who we are is said by login=FILE, since this line is in the log".into());
        }
        let (host, port) = host_and_port(authority, PORT)?;
        let unknown = |error| DestinationError::Unknown(format!("{host}: {error}"));
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(unknown)?.collect();
        let tls = is_encrypted.then(|| options.tls(host)).transpose()?;
        let read = |file: &str| fs::read_to_string(file).map_err(|error| format!("login: {file}: {error}"));
        let login = options.login.map(read).transpose()?.map_or(Login::None, |text| Login::parse(&text));
        let bus = Bus { addresses, tls, subject: subject.to_owned(), login, body: options.body()? };
        let name = format!("{scheme}://{place}");
        Ok(Self { name, way: Way::Bus(bus), style: Style::default(), resend: Duration::ZERO })
    }
}
