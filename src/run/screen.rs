//! Standard error, which log lines and the progress bar share.

use std::{
    borrow::Cow,
    env,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    capture::Merge,
    cli::{Manner, ProgressWhen},
};

/// Where it is known how much there is: the share that was read, the rate, and the time left.
const KNOWN: &str = "{bar:20} {percent:>3} % of {decimal_total_bytes}, {decimal_bytes_per_sec}, {msg}, {eta} left";

/// Where it is not, as on standard input.
const UNKNOWN: &str = "{spinner} {decimal_bytes} read, {decimal_bytes_per_sec}, {msg}";

/// Where frames go out: there is no telling how many will.
const SENT: &str = "{spinner} {decimal_bytes} sent, {decimal_bytes_per_sec}, {msg}, {elapsed}";

/// Time between two looks at how far it is.
const PACE: Duration = Duration::from_millis(100);

/// Standard error for log lines: the progress bar, where there is one, makes room for each.
#[derive(Clone, Debug)]
pub struct Screen(ProgressBar);

impl Default for Screen {
    fn default() -> Self {
        Self(ProgressBar::hidden())
    }
}

impl Screen {
    /// The beginnings of a bar, where it is wanted and can be shown.
    pub(super) fn progress(&self, when: ProgressWhen, manner: Manner) -> Option<Progress> {
        // A terminal that is dumb cannot go back to the start of a line.
        let is_able = io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|kind| kind != "dumb");
        (when == ProgressWhen::Auto && manner.quiet == 0 && is_able).then(|| Progress::new(self.0.clone()))
    }

    /// A stream that may end on the same terminal: the bar makes room for what is written.
    pub(super) const fn beside<'a, W: Write>(&'a self, stream: &'a mut W) -> Beside<'a, W> {
        Beside { bar: &self.0, stream }
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// See [`Screen::beside`].
pub(super) struct Beside<'a, W> {
    bar: &'a ProgressBar,
    stream: &'a mut W,
}

impl<W: Write> Write for Beside<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { bar, stream } = self;
        bar.suspend(|| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A bar that tells how far the inputs were read, and vanishes at its end.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
    next: Instant,
    frames: u64,
}

impl Progress {
    fn new(bar: ProgressBar) -> Self {
        let now = Instant::now();
        Self { bar, started: now, next: now, frames: 0 }
    }

    /// Takes note of frames that were read. Looks at the clock and not much else, most of the time.
    pub(super) fn on_frames(&mut self, count: usize, merge: &Merge) {
        self.frames += count as u64;
        self.draw(|| merge.bytes_read(), |progress| progress.begin(merge.size()));
    }

    /// Takes note of all that was sent so far.
    pub(super) fn on_sent(&mut self, frames: u64, bytes: u64) {
        self.frames = frames;
        self.draw(|| bytes, |progress| progress.show(SENT));
    }

    /// Draws what there is, once in a while.
    fn draw(&mut self, bytes: impl Fn() -> u64, begin: impl Fn(&Self)) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        if self.next == self.started {
            begin(self);
        }
        self.next = now + PACE;
        let rate = self.frames as f64 / now.duration_since(self.started).as_secs_f64().max(1e-3);
        self.bar.set_position(bytes());
        self.bar.set_message(per_second(rate));
    }

    fn begin(&self, size: Option<u64>) {
        let template = match size {
            Some(size) => {
                self.bar.set_length(size);
                KNOWN
            }
            None => UNKNOWN,
        };
        self.show(template);
    }

    fn show(&self, template: &str) {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style.progress_chars("=> ").tick_chars("|/-\\ "));
        self.bar.reset();
        // Not before: a log line would draw a bar that says nothing yet.
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

/// A rate of packets to three digits or so.
fn per_second(rate: f64) -> Cow<'static, str> {
    match rate {
        1e6.. => format!("{:.1} M packets/s", rate / 1e6).into(),
        1e3.. => format!("{:.0} k packets/s", rate / 1e3).into(),
        _ => format!("{rate:.0} packets/s").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short() {
        let texts = [0.0, 999.4, 1_000.0, 654_321.0, 5_432_100.0].map(per_second);
        assert_eq!(texts, ["0 packets/s", "999 packets/s", "1 k packets/s", "654 k packets/s", "5.4 M packets/s"]);
    }

    #[test]
    fn the_templates_are_sound() {
        assert!([KNOWN, UNKNOWN, SENT].iter().all(|template| ProgressStyle::with_template(template).is_ok()));
    }
}
