//! A terminal of which nobody sees the screen.

use std::{ffi::OsStr, fs::File, io::Read, os::unix::ffi::OsStrExt, process::Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Its near end.
pub(crate) struct Terminal(File);

impl Terminal {
    pub(crate) fn open() -> Self {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        Self(near.into())
    }

    /// Its far end, to be a program's stream.
    pub(crate) fn end(&self) -> Stdio {
        let name = ptsname(&self.0, Vec::new()).unwrap();
        File::options().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap().into()
    }

    /// All bytes that are sent to it, until that is enough or nobody holds the far end any longer.
    pub(crate) fn read_until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        let mut sent = Vec::new();
        let mut bytes = [0; 4096];
        while !enough(&String::from_utf8_lossy(&sent)) {
            // Linux tells by an error that nobody is left.
            let Ok(count @ 1..) = self.0.read(&mut bytes) else { break };
            sent.extend(bytes.iter().take(count));
        }
        String::from_utf8(sent).unwrap()
    }
}

/// What stands on the screen, a very high one, in the end.
pub(crate) fn screen(sent: &str) -> String {
    let mut screen = vt100::Parser::new(4_000.try_into().unwrap(), 120.try_into().unwrap(), 0);
    screen.process(sent.as_bytes());
    screen.screen().contents().trim_end().to_owned()
}
