//! Progress on standard error: there on a terminal, made up of what was read, gone at the end, and nowhere else.
#![expect(clippy::unwrap_used, reason = "tests")]

#[expect(dead_code, reason = "no times are read here")]
mod program;
#[path = "program/terminal.rs"]
mod terminal;

use std::{
    fs::{self, File},
    io::Write,
    process::Stdio,
};

use program::{command, keywitness, repository};
use terminal::{Terminal, screen};

/// Runs the program to its end with standard error on a terminal of this kind, and standard output too or nowhere; gives its status and all bytes that were sent there.
fn on_terminal(kind: &str, args: &[&str], stdout_too: bool) -> (Option<i32>, String) {
    let mut terminal = Terminal::open();
    let mut command = command(args.iter().copied());
    command.env("TERM", kind).stdin(File::open(repository().join("pcaps/ssh-far.pcap")).unwrap()).stderr(terminal.end());
    command.stdout(if stdout_too { terminal.end() } else { Stdio::null() });
    let mut child = command.spawn().unwrap();
    drop(command); // and with it its own hold on the far end
    let sent = terminal.read_until(|_| false);
    (child.wait().unwrap().code(), sent)
}

#[test]
fn of_files_a_terminal_sees_the_share_that_was_read_and_nothing_is_left_of_it() {
    for name in ["pcaps/ssh-far.pcap", "pcaps"] {
        let (status, sent) = on_terminal("xterm", &["analyze", name], false);
        assert_eq!(status, Some(0));
        for part in [" % of ", "B/s, ", "packets/s", " left"] {
            assert!(sent.contains(part), "{name}: {part} in {sent:?}");
        }
        assert!(!screen(&sent).contains("packets/s"), "{sent:?}");
    }
}

#[test]
fn of_a_stream_it_sees_the_rate_while_it_runs() {
    let capture = fs::read(repository().join("pcaps/ssh-far.pcap")).unwrap();
    let (first, rest) = capture.split_at(capture.len() / 2);
    let mut terminal = Terminal::open();
    let mut command = command(["analyze", "-"]);
    command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(terminal.end());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(first).unwrap();
    let sent = terminal.read_until(|sent| sent.contains("packets/s"));
    assert!(screen(&sent).contains("kB read, ") && !sent.contains('%'), "{sent:?}");
    stdin.write_all(rest).unwrap();
    drop(stdin);
    let sent = sent + &terminal.read_until(|_| false);
    assert_eq!((child.wait().unwrap().code(), screen(&sent).as_str()), (Some(0), ""), "{sent:?}");
}

#[test]
fn log_lines_and_results_stand_alone() {
    let show = |more: &str| {
        // More results than are written at once.
        let args = ["-v", "--color=never", "analyze", "--keystrokes=all", more, "pcaps", "no-such-file"];
        let (status, sent) = on_terminal("xterm", &args, true);
        assert_eq!((status, sent.contains("packets/s")), (Some(3), more == "--progress=auto"), "{sent:?}");
        let lines: Vec<String> = screen(&sent).lines().map(str::to_owned).collect();
        assert!(lines.iter().any(|line| line.trim_start().starts_with("WARN no-such-file: cannot be opened: ")), "{lines:#?}");
        assert!(lines.len() > 1_000);
        lines.into_iter().filter(|line| !line.contains(" packets")).collect::<Vec<_>>() // those tell how long it took
    };
    assert_eq!(show("--progress=auto"), show("--progress=never"));
}

#[test]
fn it_is_nowhere_else() {
    for args in [
        &["analyze", "--progress=never", "pcaps/ssh-far.pcap"][..],
        &["-q", "analyze", "pcaps/ssh-far.pcap"],
        &["-qq", "analyze", "--progress", "auto", "-"],
    ] {
        assert_eq!(on_terminal("xterm", args, false), (Some(0), String::new()), "{args:?}");
    }
    let run = keywitness(["analyze", "--progress", "auto", "pcaps/ssh-far.pcap"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "a pipe");
    assert_eq!(on_terminal("dumb", &["analyze", "pcaps/ssh-far.pcap"], false), (Some(0), String::new()));
    assert_eq!(keywitness(["analyze", "--progress=always", "pcaps/ssh-far.pcap"]).status, 2);
}
