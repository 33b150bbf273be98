//! The endpoint of `--metrics`: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever keeps the sensor running.
//!
//! Its threads read counters and never wait for those that work. At most eight clients are served at once, each for at most
//! five seconds, with one request; more are turned away. There is no TLS and no login: it listens on loopback unless told otherwise.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracing::{debug, warn};

use super::{health::Health, process::ProcessMeter};
use crate::output::metrics::{self, Snapshot};

/// Clients served at once.
const MOST_CLIENTS: usize = 8;
/// How long a client has, from its connection to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest request, in bytes: its line and all headers.
const LONGEST_REQUEST: usize = 8 * 1024;
/// Headers that a request may have.
const MOST_HEADERS: usize = 64;
/// How long to wait where no connection can be accepted, such as without a free descriptor.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads what `--metrics` was given: `ADDR:PORT`, or a port of loopback (`9720` or `:9720`).
///
/// # Errors
/// What it should have been.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let port = |text: &str| text.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let found = text.parse().ok().or_else(|| port(text.strip_prefix(':').unwrap_or(text)));
    found.ok_or_else(|| format!("`{text}` is not ADDR:PORT, such as 127.0.0.1:9720 or [::1]:9720, nor a port"))
}

/// Listens, and does not answer yet.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    process: Option<ProcessMeter>,
}

/// Begins to listen: before the guard, which lets nobody listen anew.
///
/// # Errors
/// [`io::Error`] where the address is in use, or not ours.
pub fn listen(address: SocketAddr) -> io::Result<Endpoint> {
    let listener = TcpListener::bind(address)?;
    if !address.ip().is_loopback() {
        warn!("--metrics: whoever reaches {address} can read the metrics; there is no login");
    }
    let process = ProcessMeter::open().inspect_err(|error| debug!("--metrics: no figures of the process: {error}")).ok();
    Ok(Endpoint { listener, process })
}

impl Endpoint {
    /// Where it listens, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// [`io::Error`] where the system does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers from now on, in a thread of its own: behind the guard, which the thread inherits. `count` tells what was counted,
    /// each time that somebody asks; what the process takes is added.
    ///
    /// # Errors
    /// [`io::Error`] where no thread can be started.
    pub fn serve(self, count: impl Fn() -> Snapshot + Send + Sync + 'static, health: Arc<Health>) -> io::Result<()> {
        let Self { listener, process } = self;
        let sensor = Arc::new(Sensor { count: Box::new(count), health, process });
        thread::Builder::new().name("metrics".to_owned()).spawn(move || accept(&listener, &sensor)).map(drop)
    }
}

/// What is told about.
struct Sensor {
    count: Box<dyn Fn() -> Snapshot + Send + Sync>,
    health: Arc<Health>,
    process: Option<ProcessMeter>,
}

fn accept(listener: &TcpListener, sensor: &Arc<Sensor>) {
    // Each client's thread holds a copy, so that their number is known.
    let clients = Arc::new(());
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        if Arc::strong_count(&clients) > MOST_CLIENTS {
            continue;
        }
        let (sensor, client) = (Arc::clone(sensor), Arc::clone(&clients));
        let answer = move || {
            let _client = client;
            if let Err(error) = serve(stream, &sensor) {
                debug!("--metrics: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().name("metrics client".to_owned()).spawn(answer) {
            debug!("--metrics: {error}");
        }
    }
}

/// Reads one request, answers it and closes.
fn serve(stream: TcpStream, sensor: &Sensor) -> io::Result<()> {
    let mut client = Client { stream, until: Instant::now() + PATIENCE };
    let answer = match read_request(&mut client)? {
        Ok(request) => answer(&request, sensor),
        Err(status) => Answer::new(status, format!("{status}\n")),
    };
    client.write_all(answer.head().as_bytes())?;
    client.write_all(answer.sent_body().as_bytes())?;
    client.stream.shutdown(std::net::Shutdown::Write)
}

/// A client, with all the time that it has.
struct Client {
    stream: TcpStream,
    until: Instant,
}

impl Client {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::new(io::ErrorKind::TimedOut, "a client took too long")) } else { Ok(Some(left)) }
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

struct Request {
    method: String,
    path: String,
}

/// A request, or the status that answers what is none.
fn read_request(client: &mut Client) -> io::Result<Result<Request, &'static str>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let length = client.read(&mut buffer)?;
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a client left before its request was whole"));
        }
        bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&bytes) {
            Ok(httparse::Status::Complete(_)) => {
                let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
                let path = path.split('?').next().unwrap_or_default();
                return Ok(Ok(Request { method: method.to_owned(), path: path.to_owned() }));
            }
            Ok(httparse::Status::Partial) if bytes.len() < LONGEST_REQUEST => {}
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Ok(Err("431 Request Header Fields Too Large"));
            }
            Err(_) => return Ok(Err("400 Bad Request")),
        }
    }
}

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
    /// Whether only the head was asked for.
    is_head: bool,
}

impl Answer {
    const fn new(status: &'static str, body: String) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body, is_head: false }
    }

    fn head(&self) -> String {
        let Self { status, content_type, body, .. } = self;
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nAllow: GET, HEAD\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
    }

    fn sent_body(&self) -> &str {
        if self.is_head { "" } else { &self.body }
    }
}

fn answer(request: &Request, sensor: &Sensor) -> Answer {
    let is_head = request.method == "HEAD";
    if !is_head && request.method != "GET" {
        return Answer::new("405 Method Not Allowed", "405 Method Not Allowed\n".to_owned());
    }
    let answer = match request.path.as_str() {
        "/metrics" => page(sensor),
        "/healthz" => well(sensor.health.problem(&(sensor.count)())),
        "/readyz" => well((!sensor.health.is_ready()).then(|| "not ready".to_owned())),
        _ => Answer::new("404 Not Found", "404 Not Found: /metrics, /healthz, /readyz\n".to_owned()),
    };
    Answer { is_head, ..answer }
}

fn page(sensor: &Sensor) -> Answer {
    let process = sensor.process.as_ref().and_then(ProcessMeter::read);
    let snapshot = Snapshot { process, ..(sensor.count)() };
    let mut body = String::new();
    metrics::write(&snapshot, &mut body);
    Answer { content_type: "text/plain; version=0.0.4; charset=utf-8", ..Answer::new("200 OK", body) }
}

fn well(problem: Option<String>) -> Answer {
    match problem {
        None => Answer::new("200 OK", "ok\n".to_owned()),
        Some(problem) => Answer::new("503 Service Unavailable", format!("{problem}\n")),
    }
}
