//! The whole program, held against reading the same capture and doing nothing with it: `cargo bench --bench program`.
//!
//! It makes its own captures (`target/bench-captures`, 2.4 GB; found again next time), runs the program and two empty loops by
//! turns, each in a process of its own, and prints medians and ratios of one paired run. It measures and judges nothing: the targets stand
//! beside the figures. `cargo bench --bench program -- --help` tells the rest. The program is built as for any bench, which panics by
//! unwinding: that takes up to 4 % more than the release does, which `--binary` measures.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench prints, and may fail")]

#[path = "program/inputs.rs"]
mod inputs;
#[path = "program/loops.rs"]
mod loops;
#[path = "program/measure.rs"]
mod measure;
#[path = "program/report.rs"]
mod report;
mod traffic;

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
};

use clap::{Parser, ValueEnum};

use self::{
    inputs::KINDS,
    measure::{Costs, run},
    report::{Looked, Subject},
    traffic::Kind,
};

/// Measures keywitness against empty loops over the same captures.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench program --")]
struct Args {
    /// Captures of your own (classic pcap, little-endian) to measure with instead
    files: Vec<PathBuf>,
    /// Size of the captures: 1 is 1.0 million packets of mix, 2.5 of small, 7.9 of flows, 1.6 of inter
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Rounds, of which the medians are taken
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only these captures: mix, small, flows, inter
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The program to measure; otherwise the one that was built for the bench
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where captures are made and found again
    #[arg(long)]
    captures: Option<PathBuf>,
    /// Runs an empty loop over the one file instead, and tells what it saw
    #[arg(long = "loop", hide = true)]
    empty: Option<Loop>,
    /// Makes the one file instead, a capture of this kind
    #[arg(long, hide = true)]
    make: Option<String>,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Loop {
    Bare,
    Touch,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = Args::parse();
    if let (Some(which), [file]) = (args.empty, args.files.as_slice()) {
        let counted = match which {
            Loop::Bare => loops::bare(file)?,
            Loop::Touch => loops::touch(file)?,
        };
        println!("{} {}", counted.frames, counted.bytes);
        return Ok(());
    }
    if let (Some(name), [file]) = (&args.make, args.files.as_slice()) {
        return Ok(inputs::write_capture(file, kind(name)?, args.scale)?);
    }
    // `cargo test --benches`: whether it works, not how fast.
    let trial = (!args.bench).then(tempfile::tempdir).transpose()?;
    if let Some(folder) = &trial {
        (args.scale, args.runs) = (0.002, 1);
        args.captures = Some(folder.path().to_owned());
    }
    measure_all(&args)
}

fn kind(name: &str) -> Result<Kind, String> {
    let found = KINDS.iter().find(|(other, _)| *other == name);
    found.map(|(_, kind)| *kind).ok_or_else(|| format!("no capture is called {name:?}"))
}

fn measure_all(args: &Args) -> Result<(), Box<dyn Error>> {
    let binary = args.binary.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_keywitness").into());
    let target = || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-captures");
    let folder = args.captures.clone().unwrap_or_else(target);
    fs::create_dir_all(&folder)?;
    let claims = folder.join("claims.toml");
    inputs::write_claims(&claims)?;
    let only = args.only.iter().map(|name| kind(name)).collect::<Result<Vec<_>, _>>()?;
    let mut captures: Vec<(Option<Kind>, PathBuf)> = args.files.iter().map(|file| (None, file.clone())).collect();
    if captures.is_empty() {
        for (_, kind) in KINDS.into_iter().filter(|(_, kind)| only.is_empty() || only.contains(kind)) {
            captures.push((Some(kind), made(&folder, kind, args.scale)?));
        }
    }
    report::heading(&binary, args.runs)?;
    if !args.bench {
        println!("This is a trial on very little: the figures mean nothing. To measure: cargo bench --bench program");
    }
    let subjects = subjects(&binary, &claims)?;
    let (reading, _) = run(Command::new(&binary).args(["claims", "check", "-q"]).arg(&claims))?;
    println!("of --claims, reading the 20,000 claims is {:.3} CPU s, whatever the capture", reading.cpu.as_secs_f64());
    for (kind, path) in captures {
        let looked = look(&binary, &path, &folder)?;
        report::capture(kind, &path, &looked);
        let costs = rounds(&subjects, &path, args.runs)?;
        report::table(kind, &looked, &subjects, &costs);
    }
    Ok(())
}

/// The path of a capture, which is made where there is none. By a process of its own: what this one holds counts as its children's.
fn made(folder: &Path, kind: Kind, scale: f64) -> Result<PathBuf, Box<dyn Error>> {
    let path = inputs::path(folder, kind, scale);
    if !path.is_file() {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--make", inputs::name(kind), "--scale", &scale.to_string()]).arg(&path);
        let (cost, _) = run(&mut command)?;
        println!("made {} in {:.1} s", path.display(), cost.wall.as_secs_f64());
    }
    Ok(path)
}

/// What is run by turns: the two loops, and the program in several ways.
fn subjects(binary: &Path, claims: &Path) -> Result<Vec<Subject>, Box<dyn Error>> {
    let own = env::current_exe()?;
    let empty = |name: &'static str, which: &str| Subject::new(name, &own, &["--loop", which]);
    let analyze = |name: &'static str, options: &[&str]| {
        let common = ["analyze", "-q", "--format", "ndjson", "-o", "/dev/null"];
        Subject::new(name, binary, &[&common[..], options].concat())
    };
    let mut subjects = vec![
        empty("libpcap, empty loop", "bare"),
        empty("read and touch", "touch"),
        analyze("keywitness", &[]),
        analyze("  --keystrokes", &["--keystrokes"]),
        analyze("  --claims (20,000)", &["--claims", &claims.to_string_lossy()]),
    ];
    let help = Command::new(binary).args(["analyze", "--help"]).output()?;
    if String::from_utf8_lossy(&help.stdout).contains("--workers") {
        subjects.push(analyze("  --workers 2", &["--workers", "2"]));
    }
    Ok(subjects)
}

/// A run that is not measured: it warms the page cache, and tells what there is to see.
fn look(binary: &Path, path: &Path, folder: &Path) -> Result<Looked, Box<dyn Error>> {
    let records = folder.join("records.ndjson");
    let mut command = Command::new(binary);
    command.args(["analyze", "-q", "--format", "ndjson", "-o"]).arg(&records).arg(path);
    run(&mut command)?;
    let looked = Looked::of(BufReader::new(File::open(&records)?));
    fs::remove_file(records)?;
    looked
}

/// All subjects in each round, each round beginning with the next one.
fn rounds(subjects: &[Subject], path: &Path, runs: usize) -> Result<Vec<Costs>, Box<dyn Error>> {
    let mut costs = vec![Costs::default(); subjects.len()];
    for round in 0..runs {
        for turn in 0..subjects.len() {
            let which = (round + turn) % subjects.len();
            let (cost, _) = run(&mut subjects[which].command(path))?;
            costs[which].0.push(cost);
        }
    }
    Ok(costs)
}
