//! The thread of one destination.

mod bus;
mod web;

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tracing::{debug, info, warn};

use super::{
    End,
    destination::{Destination, Framing, Target, Way},
    link::{Link, Seen, Stream, is_wait},
    relp::Relp,
};
use crate::{
    output::alert::Alert,
    run::spool::{Cursor, Progress, Reader, Record, Standing},
};

/// Bytes that are handed to a stream at once.
const TOGETHER: usize = 64 << 10;

/// How long an idle connection waits for the next alert before it looks at the other end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it is written down how far the destination has come.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// The first pause before a connection is tried again; each is twice the one before, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long the other end may take to read what is left, once nothing more comes.
const FAREWELL: Duration = Duration::from_secs(3);

/// Marks of how far had been sent are this far apart.
const MARK_EVERY: Duration = Duration::from_millis(100);

/// See the [module's documentation](super).
pub(super) struct Worker {
    destination: Destination,
    folder: PathBuf,
    standing: Arc<Standing>,
    progress: Arc<Progress>,
    end: Arc<End>,
    reader: Reader,
    cursor: Cursor,
    kept: Cursor,
    kept_at: Instant,
    /// Number behind the last record that was ever sent: what is before it is sent again.
    sent_up_to: u64,
}

/// Why a connection came to its end.
enum Over {
    /// Everything is sent, and nothing more comes; or the time is up.
    Done,
    /// It broke.
    Broken(String),
}

impl From<io::Error> for Over {
    fn from(problem: io::Error) -> Self {
        Self::Broken(problem.to_string())
    }
}

impl Worker {
    pub(super) fn new(
        destination: Destination,
        folder: &Path,
        standing: Arc<Standing>,
        progress: Arc<Progress>,
        end: Arc<End>,
    ) -> Self {
        let mut cursor = Cursor::read(folder, &destination.name);
        if cursor.next > standing.end() {
            // Of another spool: better twice than not at all.
            cursor.next = 0;
        }
        progress.next.store(cursor.next, Relaxed);
        Self {
            reader: Reader::new(folder, cursor.next),
            destination,
            folder: folder.to_owned(),
            standing,
            progress,
            end,
            sent_up_to: cursor.next,
            kept: cursor.clone(),
            cursor,
            kept_at: Instant::now(),
        }
    }

    /// Until it ends.
    pub(super) fn run(mut self) {
        let targets = self.destination.targets.clone();
        let mut pause = SHORTEST_PAUSE;
        'connections: loop {
            if self.is_done() {
                break;
            }
            let mut problems = Vec::new();
            for target in &targets {
                let began = Instant::now();
                match self.connect(target) {
                    Over::Done => break 'connections,
                    Over::Broken(problem) => {
                        let held = self.progress.is_connected.swap(false, Relaxed);
                        problems.push(format!("{}: {problem}", target.name));
                        if held {
                            if began.elapsed() > KEEP_EVERY {
                                pause = SHORTEST_PAUSE;
                            }
                            // It was reached: the first is to be tried first again.
                            break;
                        }
                    }
                }
            }
            self.tell(problems.join("; "));
            self.keep(true);
            if self.end.sleep(pause) {
                break;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.progress.is_connected.store(false, Relaxed);
        self.keep(true);
    }

    /// Whether there is nothing left to do.
    fn is_done(&self) -> bool {
        self.end.deadline().is_some_and(|deadline| Instant::now() >= deadline || self.cursor.next >= self.standing.end())
    }

    fn connect(&mut self, target: &Target) -> Over {
        let link = match Link::open(&target.way) {
            Ok(link) => link,
            Err(problem) => return problem.into(),
        };
        self.reader.seek(self.cursor.next);
        let over = match (link, &target.way) {
            (Link::Udp(socket), _) => self.datagrams(target, &|bytes| socket.send(bytes)),
            (Link::Local(socket), _) => self.datagrams(target, &|bytes| socket.send(bytes)),
            (Link::Stream(stream), Way::Stream { framing: Framing::Relp, .. }) => self.relp(target, stream),
            (Link::Stream(stream), Way::Stream { framing, .. }) => self.stream(target, stream, *framing),
            (Link::Stream(stream), Way::Web(web)) => self.web(target, web, stream),
            (Link::Stream(stream), Way::Bus(bus)) => self.bus(target, bus, stream),
            (Link::Stream(stream), _) => self.stream(target, stream, Framing::Newline),
        };
        over.unwrap_or_else(|over| over)
    }

    /// Says that it is connected.
    fn reached(&mut self, target: &Target) {
        self.progress.is_connected.store(true, Relaxed);
        self.cursor.connections += 1;
        self.progress.connections.fetch_add(1, Relaxed);
        let again = self.sent_up_to.saturating_sub(self.cursor.next);
        if self.cursor.problem.take().is_some() || again > 0 {
            info!("alerts to {}: connected; {again} are sent again", target.name);
        } else {
            debug!("alerts to {}: connected", target.name);
        }
    }

    /// Says why it cannot be reached, once.
    fn tell(&mut self, problem: String) {
        if self.cursor.problem.as_ref() != Some(&problem) {
            warn!("alerts to {problem}; tried again, and kept until then");
            self.cursor.problem = Some(problem);
        }
    }

    /// The next alert as it is sent. What cannot be read is left out.
    fn next(&mut self, target: &Target) -> io::Result<Option<(u64, String)>> {
        while let Some(Record { number, bytes }) = self.reader.next(self.standing.end())? {
            match Alert::parse(&bytes) {
                Ok(alert) => return Ok(Some((number, alert.write(target.style)))),
                Err(problem) => warn!("alerts to {}: number {number} in the spool is left out: {problem}", target.name),
            }
        }
        let missing = self.reader.take_missing();
        self.lose(missing);
        Ok(None)
    }

    fn count(&mut self, number: u64) {
        self.cursor.sent += 1;
        self.progress.sent.fetch_add(1, Relaxed);
        let again = u64::from(number < self.sent_up_to);
        self.cursor.sent_again += again;
        self.progress.sent_again.fetch_add(again, Relaxed);
        self.sent_up_to = self.sent_up_to.max(number + 1);
    }

    /// So many will never be sent.
    fn lose(&mut self, records: u64) {
        self.cursor.lost += records;
        self.progress.lost.fetch_add(records, Relaxed);
    }

    fn confirm(&mut self, next: u64) {
        if next > self.cursor.next {
            self.progress.arrived.fetch_add(next - self.cursor.next, Relaxed);
            self.cursor.next = next;
            self.progress.next.store(next, Relaxed);
        }
        self.keep(false);
    }

    /// Writes down how far it has come, once in a while, or now.
    fn keep(&mut self, now: bool) {
        if (now || self.kept_at.elapsed() >= KEEP_EVERY) && self.cursor != self.kept {
            self.kept_at = Instant::now();
            match self.cursor.write(&self.folder) {
                Ok(()) => self.kept = self.cursor.clone(),
                // More is sent again after a crash, and nothing is lost.
                Err(problem) => debug!("spool: {}: {problem}", self.folder.display()),
            }
        }
    }

    /// Whether the time is up.
    fn is_late(&self) -> bool {
        self.end.deadline().is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Each message once.
    fn datagrams(&mut self, target: &Target, send: &dyn Fn(&[u8]) -> io::Result<usize>) -> Result<Over, Over> {
        self.reached(target);
        loop {
            while let Some((number, message)) = self.next(target)? {
                loop {
                    match send(message.as_bytes()) {
                        Err(problem) if is_wait(&problem) && self.is_late() => return Ok(Over::Done),
                        Err(problem) if is_wait(&problem) => {}
                        Err(problem) if problem.raw_os_error() == Some(libc::EMSGSIZE) => {
                            warn!("alerts to {}: number {number} is too long for a datagram", target.name);
                            self.lose(1);
                            break;
                        }
                        sent => {
                            sent?;
                            break;
                        }
                    }
                }
                self.count(number);
                self.confirm(number + 1);
            }
            self.confirm(self.reader.position());
            if self.end.deadline().is_some() {
                return Ok(Over::Done);
            }
            let _ = self.standing.wait(self.reader.position(), KEEP_EVERY);
        }
    }

    /// A stream that nobody confirms: what was sent a while ago counts as arrived.
    fn stream(&mut self, target: &Target, mut stream: Stream, framing: Framing) -> Result<Over, Over> {
        self.reached(target);
        let mut marks: VecDeque<Mark> = VecDeque::new();
        let mut out = Vec::new();
        loop {
            out.clear();
            while out.len() < TOGETHER
                && let Some((number, message)) = self.next(target)?
            {
                frame(framing, message.as_bytes(), &mut out);
                self.count(number);
            }
            if self.write(&mut stream, &out, &mut marks)? {
                return Ok(Over::Done);
            }
            let now = Instant::now();
            if !out.is_empty() {
                mark(&mut marks, now, self.reader.position());
            }
            self.count_as_arrived(&mut marks, target.resend);
            // At the end nothing more comes from the disk, and so nothing else to wait for.
            let wait = if out.is_empty() && self.end.deadline().is_some() { LOOK_EVERY } else { Duration::ZERO };
            match stream.look(&mut [0; 4096], wait)? {
                Seen::End => return Err(Over::Broken("the other end closed the connection".to_owned())),
                Seen::Nothing | Seen::Bytes(_) => {}
            }
            if !out.is_empty() {
                continue;
            }
            // Who hangs up at once would not hear that the receiver dies with what it has not written yet.
            let is_time = |deadline| marks.is_empty() || Instant::now() + FAREWELL >= deadline;
            if self.end.deadline().is_some_and(is_time) {
                return self.take_leave(stream);
            }
            let _ = self.standing.wait(self.reader.position(), LOOK_EVERY);
        }
    }

    /// Writes all of it; whether the time was up first. While the other end takes nothing, what was sent before may still
    /// lie in between: none of it counts as arrived from then on.
    fn write(&self, stream: &mut Stream, bytes: &[u8], marks: &mut VecDeque<Mark>) -> Result<bool, Over> {
        let mut rest = bytes;
        loop {
            let written = if rest.is_empty() { 0 } else { stream.write_some(rest)? };
            rest = rest.get(written..).unwrap_or_default();
            if rest.is_empty() && stream.flush()? {
                return Ok(false);
            }
            if written == 0 {
                let now = Instant::now();
                marks.iter_mut().for_each(|mark| mark.at = now);
                if self.is_late() {
                    return Ok(true);
                }
            }
        }
    }

    /// Nothing more comes. An end of the other side that follows says that it has read everything.
    fn take_leave(&mut self, mut stream: Stream) -> Result<Over, Over> {
        stream.end()?;
        let until = self.end.deadline().map_or_else(Instant::now, |deadline| deadline.min(Instant::now() + FAREWELL));
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            match stream.look(&mut [0; 4096], left)? {
                Seen::End => {
                    self.confirm(self.reader.position());
                    break;
                }
                Seen::Nothing | Seen::Bytes(_) => {}
            }
        }
        Ok(Over::Done)
    }

    /// A stream whose receiver confirms each message: that it has it, if in memory only (rsyslog does so before it writes). What it
    /// confirmed a while ago counts as arrived.
    fn relp(&mut self, target: &Target, mut stream: Stream) -> Result<Over, Over> {
        let (mut out, mut buffer) = (Vec::new(), [0; 4096]);
        let mut relp = Relp::open(&mut out);
        let (mut none, mut marks, mut is_reached) = (VecDeque::new(), VecDeque::new(), false);
        let opened = Instant::now();
        loop {
            let mut is_empty = false;
            while relp.has_room() && out.len() < TOGETHER {
                let Some((number, message)) = self.next(target)? else {
                    is_empty = true;
                    break;
                };
                relp.send(number, message.as_bytes(), &mut out);
                self.count(number);
            }
            if self.write(&mut stream, &out, &mut none)? {
                return Ok(Over::Done);
            }
            out.clear();
            let is_over = self.end.deadline().is_some();
            let wait = if (is_empty && relp.is_idle() && !is_over) || (!is_empty && relp.has_room()) {
                Duration::ZERO
            } else {
                LOOK_EVERY
            };
            match stream.look(&mut buffer, wait)? {
                Seen::End => return Err(Over::Broken("the other end closed the connection".to_owned())),
                Seen::Bytes(read) => {
                    let answered = relp.handle(buffer.get(..read).unwrap_or_default());
                    relp.confirmed().into_iter().for_each(|next| mark(&mut marks, Instant::now(), next));
                    answered.map_err(|problem| Over::Broken(problem.to_string()))?;
                }
                Seen::Nothing if self.is_late() => return Ok(Over::Done),
                Seen::Nothing if !is_reached && opened.elapsed() > FAREWELL => {
                    return Err(Over::Broken("no RELP session was opened".to_owned()));
                }
                Seen::Nothing => {}
            }
            if relp.is_open() && !std::mem::replace(&mut is_reached, true) {
                self.reached(target);
            }
            if is_empty && relp.is_idle() {
                // What could not be read is behind us too.
                if marks.back().map_or(self.cursor.next, |last: &Mark| last.up_to) < self.reader.position() {
                    mark(&mut marks, Instant::now(), self.reader.position());
                }
                let is_time = |deadline| marks.is_empty() || Instant::now() + FAREWELL >= deadline;
                if self.end.deadline().is_some_and(is_time) {
                    self.confirm(self.reader.position());
                    relp.close(&mut out);
                    let _ = self.write(&mut stream, &out, &mut none);
                    return Ok(Over::Done);
                }
                if self.end.deadline().is_none() {
                    let _ = self.standing.wait(self.reader.position(), LOOK_EVERY);
                }
            }
            self.count_as_arrived(&mut marks, target.resend);
        }
    }

    /// What was sent, or confirmed, so long ago.
    fn count_as_arrived(&mut self, marks: &mut VecDeque<Mark>, after: Duration) {
        let now = Instant::now();
        while let Some(up_to) = marks.front().filter(|mark| now - mark.at >= after).map(|mark| mark.up_to) {
            self.confirm(up_to);
            marks.pop_front();
        }
        self.keep(false);
    }
}

/// How far had been sent, and when at the latest.
#[derive(Debug)]
struct Mark {
    began: Instant,
    at: Instant,
    up_to: u64,
}

fn mark(marks: &mut VecDeque<Mark>, now: Instant, up_to: u64) {
    match marks.back_mut() {
        Some(last) if now - last.began < MARK_EVERY => (last.at, last.up_to) = (now, up_to),
        _ => marks.push_back(Mark { began: now, at: now, up_to }),
    }
}

/// Adds a message to what is sent.
fn frame(framing: Framing, message: &[u8], out: &mut Vec<u8>) {
    if framing == Framing::Octets {
        out.extend(format!("{} ", message.len()).bytes());
    }
    out.extend_from_slice(message);
    if framing == Framing::Newline {
        out.push(b'\n');
    }
}
