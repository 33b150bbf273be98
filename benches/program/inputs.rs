//! The captures and claims that are measured with: made once, then found again.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use crate::traffic::{Kind, generate, pcap};

/// Changes with the captures: older ones are not used then.
const EDITION: u32 = 2;

/// Claims in the file that is measured with.
const CLAIMS: u32 = 20_000;

/// Bytes per `write`: as tcpdump writes. It matters: what was written in large pieces lies in the page cache in large pieces too, and
/// is read from there in less than half of the time.
const WRITE: usize = 4096;

/// All captures, by name.
pub(crate) const KINDS: [(&str, Kind); 4] =
    [("mix", Kind::Mix), ("small", Kind::Small), ("flows", Kind::Flows), ("inter", Kind::Inter)];

/// What a capture is called.
pub(crate) fn name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, other)| *other == kind).map_or("", |(name, _)| name)
}

/// Where a capture is, or will be.
pub(crate) fn path(folder: &Path, kind: Kind, scale: f64) -> PathBuf {
    folder.join(format!("{}-{scale}-v{EDITION}.pcap", name(kind)))
}

/// Makes a capture; it has its name only once it is whole.
pub(crate) fn write_capture(path: &Path, kind: Kind, scale: f64) -> io::Result<()> {
    let unfinished = path.with_extension("part");
    let mut out = BufWriter::with_capacity(WRITE, File::create(&unfinished)?);
    out.write_all(&pcap::header())?;
    let mut outcome = Ok(());
    generate(kind, scale, |time, frame| {
        if outcome.is_ok() {
            outcome = out.write_all(&pcap::record(time, frame.len())).and_then(|()| out.write_all(frame));
        }
    });
    outcome?;
    out.flush()?;
    fs::rename(unfinished, path)
}

/// Writes claims to a file: of every client in the captures, and of some more.
pub(crate) fn write_claims(path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"[sensor]\nplace = \"Seattle, US\"\n")?;
    let places = ["Boise, US", "Phoenix, US", "Denver, US", "Lisbon, PT", "Seoul, KR", "Chicago, US", "Toronto, CA"];
    for (n, place) in (0..CLAIMS).zip(places.iter().cycle()) {
        let client = match n {
            0..16_384 => format!("{}/29", Ipv4Addr::from(0xc612_0000 + n * 8)),
            16_384..16_896 => format!("{}/64", Ipv6Addr::new(0x2001, 0xdb8, 0xc, (n - 16_384) as u16, 0, 0, 0, 0)),
            _ => format!("{}/32", Ipv4Addr::from(0x0a00_0000 + n)),
        };
        writeln!(
            out,
            "[[claim]]\nidentity = \"u{n}\"\n[[claim.match]]\nclient = [\"{client}\"]\n[[claim.place]]\nplace = \"{place}\""
        )?;
    }
    out.flush()
}
