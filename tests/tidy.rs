//! Rules of the repository that no compiler checks, by reading its files: who may know whom, what must stay pure, how long a
//! file may be, what has to be documented.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "tidy/source.rs"]
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

use source::{paths_below, without_comments_and_literals, without_tests, words};

/// Which modules each module may name, itself and `run` aside: `time < wire < flow < cue < protocol | measure < observation <
/// engine`, and `observation < judge | history < event < correlator`.
const MAY_SEE: &[(&str, &str)] = &[
    ("time", ""),
    ("capture", "time wire"),
    ("wire", "time"),
    ("flow", "time wire"),
    ("pseudonym", ""),
    ("evidence", "time wire pseudonym"),
    ("cue", "time wire flow"),
    ("protocol", "time wire flow cue"),
    ("measure", "time wire flow cue"),
    ("observation", "time wire flow cue protocol measure evidence"),
    ("engine", "time wire flow cue protocol measure observation evidence pseudonym"),
    ("judge", "time wire flow cue protocol measure observation"),
    ("history", "time wire flow cue protocol measure observation"),
    ("event", "time wire flow cue protocol measure observation judge history evidence"),
    ("correlator", "time wire flow cue protocol measure observation judge history event evidence pseudonym"),
    ("output", "time wire flow cue protocol measure observation judge history event config"),
    ("cli", ""),
    ("config", "time cli judge::claim pseudonym"),
];

/// Modules that do no I/O and know no clock, thread or lock.
const PURE: &[&str] = &[
    "time",
    "wire",
    "flow",
    "pseudonym",
    "evidence",
    "cue",
    "protocol",
    "measure",
    "observation",
    "engine",
    "judge",
    "history",
    "event",
    "correlator",
    "output",
];

/// Words and paths that pure modules do not have. `Atomic` stands for all that begins so.
const IMPURE_WORDS: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "ToSocketAddrs",
    "Instant",
    "SystemTime",
    "Mutex",
    "RwLock",
    "Condvar",
    "Atomic",
    "println",
    "print",
    "eprintln",
    "eprint",
    "dbg",
    "unsafe",
];
const IMPURE_PATHS: &[&str] = &["fs", "thread", "process", "env", "os", "sync::atomic", "sync::mpsc"];

/// The one helper outside of live capture that may be unsafe.
const PREFETCH: &str = "src/flow/prefetch";

/// Lines of code, without blank ones, comments and tests, that a file may have without saying why.
const LONG: usize = 450;

/// What may stand at the top of the repository, besides files that begin with a dot; `target` is never committed.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "pcaps",
    "tests",
    "benches",
    "deploy",
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "target",
];

/// A file of `src`.
struct Source {
    /// Modules from the crate's root: `["flow", "key"]`.
    module: Vec<String>,
    /// As it is.
    text: String,
    /// Without comments, literals and tests.
    code: String,
}

impl Source {
    fn new(path: &str, text: String) -> Self {
        let (code, _) = without_tests(&without_comments_and_literals(&text));
        let module = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect();
        Self { module, text, code }
    }

    fn name(&self) -> String {
        format!("src/{}", self.module.join("/"))
    }

    /// Everything of this crate that the code names.
    fn crate_paths(&self) -> Vec<String> {
        let to_root = vec!["super"; self.module.len()].join("::");
        [paths_below(&self.code, "crate"), paths_below(&self.code, &to_root)].concat()
    }
}

/// All files of `src` that are not tests.
fn sources() -> Vec<Source> {
    let root = repository().join("src");
    let files = files_below(&root);
    let mut tests: Vec<PathBuf> = Vec::new();
    for path in files.iter().filter(|path| is_rust(path)) {
        let text = fs::read_to_string(path).unwrap();
        let (_, modules) = without_tests(&without_comments_and_literals(&text));
        let folder = if path.ends_with("mod.rs") { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        for module in modules {
            tests.extend([folder.join(format!("{module}.rs")), folder.join(format!("{module}/mod.rs"))]);
        }
        let elsewhere = text.lines().filter_map(|line| line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]"));
        tests.extend(elsewhere.map(|name| path.with_file_name(name)));
    }
    let read = |path: &&PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().to_str().unwrap();
        Source::new(relative, fs::read_to_string(path).unwrap())
    };
    let sources: Vec<_> = files.iter().filter(|path| is_rust(path) && !tests.contains(path)).map(|path| read(&path)).collect();
    assert!(sources.len() > 40, "the sources are there");
    sources
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files of a folder, in order, without what is built and what belongs to Git.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.retain(|path| !path.ends_with(".git") && *path != repository().join("target"));
    entries.into_iter().flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|error| format!("{name}: {error}"))
}

/// Fails with everything that was found wrong.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a file names and may not.
fn misplaced_imports(source: &Source) -> Vec<String> {
    let own = source.module[0].as_str();
    if ["run", "main", "lib"].contains(&own) {
        return Vec::new();
    }
    let Some((_, seen)) = MAY_SEE.iter().find(|(module, _)| *module == own) else {
        return vec![format!("{}: has no rule in MAY_SEE", source.name())];
    };
    let is_below =
        |path: &str, module: &str| path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    let may = |path: &String| is_below(path, own) || seen.split_whitespace().any(|module| is_below(path, module));
    source.crate_paths().into_iter().filter(|path| !may(path)).map(|path| format!("{} names {path}", source.name())).collect()
}

#[test]
fn nothing_points_backwards() {
    assert_none(&sources().iter().flat_map(misplaced_imports).collect::<Vec<_>>());
}

/// What a file does and may not where it is pure.
fn impurities(source: &Source) -> Vec<String> {
    if !PURE.contains(&source.module[0].as_str()) {
        return Vec::new();
    }
    let impure = |word: &&str| {
        let helper = source.name() == PREFETCH && *word == "unsafe";
        !helper && (IMPURE_WORDS.contains(word) || word.starts_with("Atomic"))
    };
    let of_std = paths_below(&source.code, "std").into_iter();
    let paths =
        of_std.filter(|path| IMPURE_PATHS.iter().any(|impure| *path == *impure || path.starts_with(&format!("{impure}::"))));
    let found = words(&source.code).filter(impure).map(str::to_owned).chain(paths);
    found.map(|what| format!("{} has {what}", source.name())).collect()
}

#[test]
fn what_is_pure_has_no_clock_no_input_and_no_lock() {
    assert_none(&sources().iter().flat_map(impurities).collect::<Vec<_>>());
}

fn is_unsafe(source: &Source) -> bool {
    !source.name().starts_with("src/capture/live")
        && source.name() != PREFETCH
        && words(&source.code).any(|word| word == "unsafe")
}

#[test]
fn unsafe_is_nowhere_but_in_live_capture_and_the_prefetch() {
    assert_none(&sources().iter().filter(|source| is_unsafe(source)).map(Source::name).collect::<Vec<_>>());
}

/// Lints that are silenced for good, or without a reason.
fn silenced(text: &str) -> Vec<String> {
    let code = without_comments_and_literals(text);
    let attributes =
        |start: &'static str| code.match_indices(start).map(|(at, _)| code[at..].split(']').next().unwrap()).collect::<Vec<_>>();
    let allowed = [attributes("#[allow("), attributes("#![allow(")].concat();
    let expected = [attributes("#[expect("), attributes("#![expect(")].concat();
    let unreasoned = expected.into_iter().filter(|attribute| !attribute.contains("reason"));
    allowed.into_iter().chain(unreasoned).map(str::to_owned).collect()
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let mut wrong = Vec::new();
    let files = ["src", "benches"].map(|folder| files_below(&repository().join(folder))).concat();
    for path in files.iter().filter(|path| is_rust(path)) {
        wrong.extend(silenced(&fs::read_to_string(path).unwrap()).iter().map(|what| format!("{}: {what}", path.display())));
    }
    assert_none(&wrong);
}

/// Lines of code of a file that is long and does not say why.
fn too_long(source: &Source) -> Option<usize> {
    let lines = source.code.lines().filter(|line| !line.trim().is_empty()).count();
    let explained = source.text.lines().any(|line| line.trim_start().starts_with("// long because: "));
    (lines >= LONG && !explained).then_some(lines)
}

#[test]
fn long_files_say_why() {
    let long = sources()
        .iter()
        .filter_map(|source| Some(format!("{}: {} lines of code", source.name(), too_long(source)?)))
        .collect::<Vec<_>>();
    assert_none(&long);
}

#[test]
fn every_capture_is_documented_and_has_its_truth() {
    let readme = read("pcaps/README.md");
    let mut wrong = Vec::new();
    let mut captures = 0;
    for path in files_below(&repository().join("pcaps")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((stem, kind)) = name.split_once('.') else { continue };
        let beside = |kind: &str| path.with_file_name(format!("{stem}.{kind}")).is_file();
        match kind {
            "pcap" => {
                captures += 1;
                let documented = readme.contains(&format!("`{name}`"));
                if !(documented && beside("meta.json") && beside("truth.jsonl")) {
                    wrong.push(format!(
                        "{name}: in the README {documented}, meta.json {}, truth.jsonl {}",
                        beside("meta.json"),
                        beside("truth.jsonl")
                    ));
                }
            }
            "meta.json" | "truth.jsonl" if !beside("pcap") => wrong.push(format!("{name} belongs to no capture")),
            _ => {}
        }
    }
    assert!(captures >= 16, "the captures are there");
    assert_none(&wrong);
}

#[test]
fn the_top_of_the_repository_is_as_agreed() {
    let names = fs::read_dir(repository()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_none(&names.filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str())).collect::<Vec<_>>());
}

#[test]
fn the_changelog_has_a_place_for_what_is_new() {
    let changelog = read("CHANGELOG.md");
    assert!(changelog.lines().any(|line| matches!(line.trim(), "## Unreleased" | "## [Unreleased]")), "{changelog}");
}

/// Names that must not stand in any file: formats under a licence that is not ours, and places of the machines that we work on.
fn unwanted(name: &str, text: &str) -> Vec<String> {
    let mut names = vec![
        concat!("JA4", "L"),
        concat!("JA4", "SSH"),
        concat!("/opt/", "kwlab"),
        concat!("/work/", "main"),
        concat!("/work/", "shared"),
    ];
    if name != ".ci/run" {
        names.push(concat!("../", "shared"));
    }
    let text = text.to_ascii_uppercase();
    names
        .into_iter()
        .filter(|unwanted| text.contains(&unwanted.to_ascii_uppercase()))
        .map(|unwanted| format!("{name}: {unwanted}"))
        .collect()
}

#[test]
fn no_file_names_what_it_must_not() {
    let mut wrong = Vec::new();
    for path in files_below(&repository()).iter().filter(|path| path.extension().is_none_or(|extension| extension != "pcap")) {
        let name = path.strip_prefix(repository()).unwrap().to_str().unwrap();
        wrong.extend(unwanted(name, &String::from_utf8_lossy(&fs::read(path).unwrap())));
    }
    assert_none(&wrong);
}

/// Each check finds what it is for, and nothing in what only looks like it.
#[test]
fn the_checks_can_fail() {
    let of = |path: &str, text: &str| Source::new(path, text.to_owned());
    let imports = |path: &str, text: &str| misplaced_imports(&of(path, text)).len();
    assert_eq!(imports("flow/key.rs", "use crate::{time::Timestamp, protocol::{ssh, identify::Guess}, wire};"), 2);
    assert_eq!(imports("flow/key.rs", "fn f(x: &crate::engine::Engine) {} // crate::run"), 1);
    assert_eq!(imports("flow/key.rs", "use super::super::{judge, time};"), 1);
    assert_eq!(imports("measure/ack.rs", "use crate::protocol::ssh;"), 1);
    assert_eq!(imports("protocol/ssh/mod.rs", "use crate::measure::ack;\npub(in crate::protocol::ssh) fn f() {}"), 1);
    assert_eq!(imports("config.rs", "use crate::judge::{claim::Claims, verdict::Verdict};"), 1);
    assert_eq!(
        imports("flow/key.rs", "const S: &str = \"crate::engine\"; #[cfg(test)] mod tests { use crate::engine::Engine; }"),
        0
    );
    assert_eq!(imports("shiny.rs", ""), 1);

    let impure = |text: &str| impurities(&of("judge/mod.rs", text)).len();
    assert_eq!(impure("use std::{fs, io::Write, time::{Duration, Instant}};"), 2);
    assert_eq!(impure("fn f() { println!(\"{}\", std::env::var(\"X\").is_ok()); }"), 2);
    assert_eq!(impure("static N: AtomicU64 = AtomicU64::new(0);"), 2);
    assert_eq!(impure("fn instant(c: char) -> bool { c == '\"' } /* Mutex */ fn g<'a>(_: &'a str) {} // unsafe"), 0);
    assert_eq!(impurities(&of("run/mod.rs", "use std::fs;")).len(), 0);

    assert!(is_unsafe(&of("capture/merge.rs", "fn f() { unsafe { g() } }")));
    assert!(!is_unsafe(&of("capture/live/ring.rs", "fn f() { unsafe { g() } }")));
    assert_eq!(silenced("#![allow(x)]\n#[allow(y)]\n#[expect(z)]\n#[expect(z, reason = \"…\")]\n// #[allow(w)]").len(), 3);
    let long = "fn f() {}\n".repeat(LONG);
    assert_eq!(too_long(&of("cue.rs", &long)), Some(LONG));
    assert_eq!(too_long(&of("cue.rs", &format!("// long because: one table\n{long}"))), None);
    assert_eq!(unwanted("README.md", concat!("see ..", "/shared and ja4", "l")).len(), 2);
    assert_eq!(unwanted(".ci/run", concat!("see ..", "/shared")).len(), 0);
}
