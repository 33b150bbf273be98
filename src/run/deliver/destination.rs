//! Where alerts are to go, as it is typed: `tls://siem.example:6514?ca=/etc/keywitness/ca.pem&format=cef`.

mod bus;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};

pub use self::bus::{Bus, Kind};
use super::tls;
use crate::output::alert::{Header, Payload, Style};

/// What was sent in so many seconds is sent again after a break, unless told otherwise.
const RESEND: Duration = Duration::from_secs(30);

/// The same over RELP: the receiver said that it has it, and needs only the time to write it down.
const RESEND_CONFIRMED: Duration = Duration::from_secs(1);

/// A destination, and those that stand in for it.
#[derive(Clone, Debug)]
pub struct Destination {
    /// As it was typed.
    pub name: String,
    /// In the order of preference.
    pub targets: Vec<Target>,
}

/// One collector.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is called in the log.
    pub name: String,
    /// How it is reached.
    pub way: Way,
    /// How messages look.
    pub style: Style,
    /// What was sent in this time before a connection breaks is sent again.
    pub resend: Duration,
}

/// How a collector is reached.
#[derive(Clone, Debug)]
pub enum Way {
    /// One datagram a message.
    Udp(Vec<SocketAddr>),
    /// A stream of messages.
    Stream {
        /// Its addresses.
        addresses: Vec<SocketAddr>,
        /// Who it must be, where it is encrypted.
        tls: Option<Tls>,
        /// How messages are told apart.
        framing: Framing,
    },
    /// The socket of a local syslog.
    Local(PathBuf),
    /// Requests to a web server.
    Web(Web),
    /// Messages to a subject of NATS, or a topic of Kafka.
    Bus(Bus),
}

/// A web address that alerts are posted to.
#[derive(Clone, Debug)]
pub struct Web {
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
    /// Who it must be, where it is encrypted.
    pub tls: Option<Tls>,
    /// Host and port as the request names them.
    pub host: String,
    /// Path, and query where there is one.
    pub path: String,
    /// What is posted.
    pub body: WebBody,
}

/// What is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebBody {
    /// The alert's record.
    Record,
    /// The same in another format of JSON.
    Payload(Payload),
}

/// How messages of a stream are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each with its length in front (RFC 6587, section 3.4.1).
    Octets,
    /// Each on a line (section 3.4.2).
    Newline,
    /// By RELP, which confirms them.
    Relp,
}

/// What a server must show.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Whom we trust, and who we are.
    pub config: Arc<ClientConfig>,
    /// Who it must be.
    pub server: ServerName<'static>,
}

/// Why a destination is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// What was typed cannot be meant.
    #[error("{0}")]
    Wrong(String),
    /// A name has no address now; another try may help.
    #[error("{0}")]
    Unknown(String),
}

impl From<String> for DestinationError {
    fn from(problem: String) -> Self {
        Self::Wrong(problem)
    }
}

impl From<&str> for DestinationError {
    fn from(problem: &str) -> Self {
        Self::Wrong(problem.to_owned())
    }
}

impl Destination {
    /// Reads what was typed: one collector, or several with spaces between them, of which the first that can be reached is taken.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let targets = text.split_whitespace().map(Target::parse).collect::<Result<Vec<_>, _>>()?;
        if targets.is_empty() {
            return Err("is empty".into());
        }
        Ok(Self { name: text.split_whitespace().collect::<Vec<_>>().join(" "), targets })
    }

    /// TCP ports that are connected to.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.targets.iter().flat_map(|target| match &target.way {
            Way::Stream { addresses, .. } | Way::Web(Web { addresses, .. }) | Way::Bus(Bus { addresses, .. }) => {
                addresses.iter().map(SocketAddr::port).collect()
            }
            Way::Udp(_) | Way::Local(_) => Vec::new(),
        })
    }

    /// Whether a message may be lost on the way without a sign.
    #[must_use]
    pub fn is_best_effort(&self) -> bool {
        self.targets.iter().any(|target| matches!(target.way, Way::Udp(_)))
    }
}

/// Options of one collector, as they were typed.
#[derive(Debug, Default)]
struct Options<'a> {
    format: Option<&'a str>,
    header: Option<&'a str>,
    facility: Option<&'a str>,
    framing: Option<&'a str>,
    resend: Option<&'a str>,
    ca: Option<&'a str>,
    cert: Option<&'a str>,
    key: Option<&'a str>,
    name: Option<&'a str>,
    login: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut options = Self::default();
        for option in text.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or_else(|| format!("{option} has no value"))?;
            let place = match name {
                "format" => &mut options.format,
                "header" => &mut options.header,
                "facility" => &mut options.facility,
                "framing" => &mut options.framing,
                "resend" => &mut options.resend,
                "ca" => &mut options.ca,
                "cert" => &mut options.cert,
                "key" => &mut options.key,
                "name" => &mut options.name,
                "login" => &mut options.login,
                _ => return Err(format!("there is no option {name}")),
            };
            if place.replace(value).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        Ok(options)
    }

    /// None of these may be there.
    fn refuse(&self, scheme: &str, named: &[(&str, Option<&str>)]) -> Result<(), String> {
        match named.iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err(format!("{name} does not go with {scheme}")),
            None => Ok(()),
        }
    }

    fn style(&self, header: Header) -> Result<Style, String> {
        let header = match self.header {
            None => header,
            Some("5424") => Header::Rfc5424,
            Some("3164") => Header::Rfc3164,
            Some("local") => Header::Local,
            Some(other) => return Err(format!("header: \"{other}\" is not one of 5424, 3164, local")),
        };
        let payload =
            self.format.map_or_else(|| Ok(Payload::default()), str::parse).map_err(|error| format!("format: {error}"))?;
        let facility = self.facility.map_or_else(|| Ok(Default::default()), str::parse);
        Ok(Style { header, payload, facility: facility.map_err(|error| format!("facility: {error}"))? })
    }

    /// What is posted or published.
    fn body(&self) -> Result<WebBody, String> {
        match self.format {
            None | Some("record") => Ok(WebBody::Record),
            Some("ecs") => Ok(WebBody::Payload(Payload::Ecs)),
            Some("ocsf") => Ok(WebBody::Payload(Payload::Ocsf)),
            Some(other) => Err(format!("format: \"{other}\" is not one of record, ecs, ocsf")),
        }
    }

    fn tls(&self, host: &str) -> Result<Tls, String> {
        let ca = self.ca.ok_or("ca=FILE is missing: who may say that it is the right server")?;
        let config = tls::client(ca, self.cert, self.key)?;
        let name = self.name.unwrap_or(host);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| format!("\"{name}\" is no name of a server"))?;
        Ok(Tls { config: Arc::new(config), server })
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, DestinationError> {
        let (address, options) = text.split_once('?').unwrap_or((text, ""));
        let options = Options::parse(options)?;
        if let Some((scheme, place)) = address.split_once("://")
            && let Some(kind) = Kind::of(scheme)
        {
            return Self::bus(kind, scheme, place, &options);
        }
        options.refuse(address.split(':').next().unwrap_or_default(), &[("login", options.login)])?;
        let of_tls = [("ca", options.ca), ("cert", options.cert), ("key", options.key), ("name", options.name)];
        let of_streams = [("framing", options.framing), ("resend", options.resend)];
        if let Some(path) = address.strip_prefix("unix:") {
            options.refuse("unix", &[of_tls.as_slice(), &of_streams].concat())?;
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if !path.is_absolute() {
                return Err("the path of a socket begins with /".into());
            }
            let style = options.style(Header::Local)?;
            return Ok(Self { name: address.to_owned(), way: Way::Local(path), style, resend: Duration::ZERO });
        }
        let (scheme, place) = address.split_once("://").ok_or("write it as SCHEME://HOST:PORT, or unix:/dev/log")?;
        if matches!(scheme, "http" | "https") {
            return Self::web(scheme, place, &options);
        }
        let port = match scheme {
            "udp" => 514,
            "tcp" => 601,
            "tls" => 6514,
            "relp" | "relp+tls" => 2514,
            _ => {
                return Err(format!(
                    "\"{scheme}\" is not one of udp, tcp, tls, relp, relp+tls, nats, nats+tls, kafka, kafka+tls, http, https, unix"
                )
                .into());
            }
        };
        let (host, port) = host_and_port(place, port)?;
        let unknown = |error| DestinationError::Unknown(format!("{host}: {error}"));
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(unknown)?.collect();
        let is_encrypted = matches!(scheme, "tls" | "relp+tls");
        if !is_encrypted {
            options.refuse(scheme, &of_tls)?;
        }
        let framing = match (scheme, options.framing) {
            ("tcp" | "tls", None | Some("octets")) => Framing::Octets,
            ("tcp" | "tls", Some("newline")) => Framing::Newline,
            ("tcp" | "tls", Some(other)) => return Err(format!("framing: \"{other}\" is not one of octets, newline").into()),
            _ => {
                // UDP sends nothing again.
                let resend = options.resend.filter(|_| scheme == "udp");
                options.refuse(scheme, &[("framing", options.framing), ("resend", resend)])?;
                Framing::Relp
            }
        };
        let way = if scheme == "udp" {
            Way::Udp(addresses)
        } else {
            Way::Stream { addresses, tls: is_encrypted.then(|| options.tls(host)).transpose()?, framing }
        };
        let resend =
            options.resend.map_or_else(|| Ok(if framing == Framing::Relp { RESEND_CONFIRMED } else { RESEND }), seconds)?;
        Ok(Self { name: address.to_owned(), way, style: options.style(Header::Rfc5424)?, resend })
    }
}

impl Target {
    /// A web address, without its scheme. Its path is not part of its name: it may be all that keeps strangers out.
    fn web(scheme: &str, place: &str, options: &Options<'_>) -> Result<Self, DestinationError> {
        let of_others = [
            ("header", options.header),
            ("facility", options.facility),
            ("framing", options.framing),
            ("resend", options.resend),
        ];
        options.refuse(scheme, &of_others)?;
        if scheme == "http" {
            options
                .refuse(scheme, &[("ca", options.ca), ("cert", options.cert), ("key", options.key), ("name", options.name)])?;
        }
        let (authority, path) = place.find('/').map_or((place, "/"), |at| place.split_at(at));
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err("a path holds letters, digits and signs of ASCII; write others as %XX".into());
        }
        let (host, port) = host_and_port(authority, if scheme == "https" { 443 } else { 80 })?;
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte)) {
            return Err(format!("\"{host}\" is no host").into());
        }
        let body = options.body()?;
        let unknown = |error| DestinationError::Unknown(format!("{host}: {error}"));
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(unknown)?.collect();
        let tls = (scheme == "https").then(|| options.tls(host)).transpose()?;
        let web = Web { addresses, tls, host: authority.to_owned(), path: path.to_owned(), body };
        let name = format!("{scheme}://{authority}");
        Ok(Self { name, way: Way::Web(web), style: Style::default(), resend: Duration::ZERO })
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn host_and_port(place: &str, port: u16) -> Result<(&str, u16), String> {
    let number = |text: &str| text.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("\"{text}\" is no port"));
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, port),
        Some((host, rest)) => (host, number(rest.strip_prefix(':').unwrap_or(rest))?),
        None => match place.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return Err("an IPv6 address stands in brackets".to_owned()),
            Some((host, port)) => (host, number(port)?),
            None => (place, port),
        },
    };
    if host.is_empty() { Err("the host is missing".to_owned()) } else { Ok((host, port)) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    let is_fit = |duration: &Duration| *duration <= Duration::from_secs(3600);
    duration.filter(is_fit).ok_or_else(|| format!("resend: {text} is not a duration up to an hour, such as 30s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Destination::parse(text).unwrap().targets.remove(0)
    }

    #[test]
    fn what_is_typed_is_what_is_meant() {
        let Way::Stream { addresses, tls: None, framing } = target("tcp://127.0.0.1:5140?framing=newline&format=leef").way else {
            panic!("a stream");
        };
        assert_eq!((addresses, framing), (vec!["127.0.0.1:5140".parse().unwrap()], Framing::Newline));
        assert_eq!(target("tcp://127.0.0.1").resend, RESEND);
        assert_eq!((target("relp://127.0.0.1").resend, target("relp://127.0.0.1?resend=30s").resend), (RESEND_CONFIRMED, RESEND));
        assert_eq!(target("tcp://127.0.0.1?resend=2s").resend, Duration::from_secs(2));
        assert!(matches!(target("udp://[::1]").way, Way::Udp(addresses) if addresses == ["[::1]:514".parse().unwrap()]));
        assert_eq!(target("unix:/dev/log").style.header, Header::Local);
        assert_eq!(target("udp://127.0.0.1?header=3164&format=cef").style.payload, Payload::Cef);
        let several = Destination::parse("tcp://127.0.0.1:1  relp://127.0.0.1:2").unwrap();
        assert_eq!((several.targets.len(), several.ports().collect::<Vec<_>>()), (2, vec![1, 2]));
    }

    #[test]
    fn a_name_without_an_address_may_have_one_later() {
        let error = Destination::parse("tcp://no-such-host.invalid").unwrap_err();
        assert!(matches!(error, DestinationError::Unknown(_)), "{error}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_reason() {
        for (text, why) in [
            ("", "is empty"),
            ("127.0.0.1", "SCHEME://"),
            ("ftp://127.0.0.1", "not one of udp"),
            ("tcp://", "host is missing"),
            ("tcp://127.0.0.1:0", "no port"),
            ("tcp://127.0.0.1:65536", "no port"),
            ("tcp://::1", "brackets"),
            ("tcp://127.0.0.1?format=xml", "format"),
            ("tcp://127.0.0.1?framing=zip", "framing"),
            ("tcp://127.0.0.1?shiny=1", "no option shiny"),
            ("tcp://127.0.0.1?format=cef&format=cef", "twice"),
            ("tcp://127.0.0.1?ca=/x", "ca does not go with tcp"),
            ("udp://127.0.0.1?resend=3s", "resend does not go with udp"),
            ("tcp://127.0.0.1?resend=often", "resend"),
            ("tls://127.0.0.1", "ca=FILE is missing"),
            ("tls://127.0.0.1?ca=/no/such/file", "/no/such/file"),
            ("unix:dev/log", "begins with /"),
            ("https://127.0.0.1/x", "ca=FILE is missing"),
            ("http://127.0.0.1/x?ca=/x", "ca does not go with http"),
            ("http://127.0.0.1/x?format=cef", "not one of record"),
            ("http://127.0.0.1/\u{e4}", "write others as %XX"),
            ("http://u@127.0.0.1/x", "is no host"),
            ("kafka://127.0.0.1", "write it as"),
            ("kafka://127.0.0.1/a b", "write it as"),
            ("kafka://127.0.0.1/a/b", "is no topic"),
            ("kafka://127.0.0.1/alerts?login=/x", "login does not go with kafka"),
            ("kafka+tls://127.0.0.1/alerts", "ca=FILE is missing"),
        ] {
            let DestinationError::Wrong(error) = Destination::parse(text).unwrap_err() else {
                panic!("{text} may be right later")
            };
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
