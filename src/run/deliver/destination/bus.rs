//! Addresses of buses: `nats://HOST:4222/SUBJECT`, `kafka://HOST:9092/TOPIC`.

use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use super::{DestinationError, Options, Target, Tls, Way, WebBody, host_and_port};
use crate::{output::alert::Style, run::deliver::nats::Login};

/// The longest name of a topic (kafka: `Topic.MAX_NAME_LENGTH`).
const LONGEST_TOPIC: usize = 249;

/// Which bus it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JetStream of NATS.
    Nats,
    /// Kafka.
    Kafka,
}

impl Kind {
    pub(super) fn of(scheme: &str) -> Option<Self> {
        match scheme.strip_suffix("+tls").unwrap_or(scheme) {
            "nats" => Some(Self::Nats),
            "kafka" => Some(Self::Kafka),
            _ => None,
        }
    }

    /// The usual port.
    const fn port(self) -> u16 {
        match self {
            Self::Nats => 4222,
            Self::Kafka => 9092,
        }
    }

    /// Whether this can be published to, and what is wrong where it cannot.
    fn check(self, subject: &str) -> Result<(), String> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match self {
            Self::Nats if subject.split('.').all(is_word) => Ok(()),
            Self::Nats => Err(format!("\"{subject}\" is no subject: words of ASCII with dots between them")),
            Self::Kafka if !subject.is_empty() && subject.len() <= LONGEST_TOPIC && subject.bytes().all(is_name) => Ok(()),
            Self::Kafka => Err(format!("\"{subject}\" is no topic: letters, digits, dots, dashes and lines of ASCII")),
        }
    }
}

/// A subject of NATS that JetStream keeps, or a topic of Kafka.
#[derive(Clone, Debug)]
pub struct Bus {
    /// Which.
    pub kind: Kind,
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
    /// Who it must be, where it is encrypted.
    pub tls: Option<Tls>,
    /// The subject or topic that is published to.
    pub subject: String,
    /// Who we say we are.
    pub login: Login,
    /// What is published.
    pub body: WebBody,
}

impl Target {
    /// An address of a bus, without its scheme.
    pub(super) fn bus(kind: Kind, scheme: &str, place: &str, options: &Options<'_>) -> Result<Self, DestinationError> {
        let of_syslog = [
            ("header", options.header),
            ("facility", options.facility),
            ("framing", options.framing),
            ("resend", options.resend),
        ];
        options.refuse(scheme, &of_syslog)?;
        let is_encrypted = scheme.ends_with("+tls");
        if !is_encrypted {
            options
                .refuse(scheme, &[("ca", options.ca), ("cert", options.cert), ("key", options.key), ("name", options.name)])?;
        }
        let (authority, subject) =
            place.split_once('/').ok_or("write it as nats://HOST:PORT/SUBJECT or kafka://HOST:PORT/TOPIC")?;
        kind.check(subject)?;
        if kind == Kind::Kafka && !is_encrypted {
            // SASL PLAIN shows the password.
            options.refuse(scheme, &[("login", options.login)])?;
        }
        if authority.contains('@') {
            return Err("who we are is said by login=FILE, since this line is in the log".into());
        }
        let (host, port) = host_and_port(authority, kind.port())?;
        let unknown = |error| DestinationError::Unknown(format!("{host}: {error}"));
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(unknown)?.collect();
        let tls = is_encrypted.then(|| options.tls(host)).transpose()?;
        let read = |file: &str| fs::read_to_string(file).map_err(|error| format!("login: {file}: {error}"));
        let login = options.login.map(read).transpose()?.map_or(Login::None, |text| Login::parse(&text));
        if kind == Kind::Kafka && matches!(login, Login::Token(_)) {
            return Err("login: Kafka wants name:password".into()); // RFC 4616 has no login without a name
        }
        let bus = Bus { kind, addresses, tls, subject: subject.to_owned(), login, body: options.body()? };
        let name = format!("{scheme}://{place}");
        Ok(Self { name, way: Way::Bus(bus), style: Style::default(), resend: Duration::ZERO })
    }
}
