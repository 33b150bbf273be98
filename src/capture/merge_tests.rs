//! Several inputs in step, and folders of them.

use super::*;
use crate::capture::samples::{Order, reader};

/// Number, seconds, and the place in its file of each frame.
fn run(merge: &mut Merge) -> Vec<(u64, i64, u8)> {
    let mut seen = Vec::new();
    while let Some(batch) = merge.next_batch() {
        assert!(!batch.frames.is_empty());
        seen.extend(batch.iter().map(|frame| {
            let seconds = frame.time.as_nanos() / 1_000_000_000;
            (frame.number, seconds, frame.bytes.first().copied().unwrap_or(0xff))
        }));
    }
    seen
}

fn merged(files: &[&[u32]]) -> Vec<(u64, i64, u8)> {
    run(&mut Merge::from_readers(files.iter().map(|seconds| reader("mem", Order::Little.pcap_at(seconds)))))
}

#[test]
fn frames_come_by_time_and_are_numbered_through() {
    let seen = merged(&[&[1, 4, 5], &[], &[2, 3, 9]]);
    let expected = [(0, 1, 0), (1, 2, 0), (2, 3, 1), (3, 4, 1), (4, 5, 2), (5, 9, 2)];
    assert_eq!(seen, expected);
}

#[test]
fn on_equal_times_the_input_named_first_goes_first() {
    let seen = merged(&[&[3, 5, 5], &[2, 5], &[5]]);
    let places: Vec<_> = seen.iter().map(|&(_, seconds, place)| (seconds, place)).collect();
    assert_eq!(places, [(2, 0), (3, 0), (5, 1), (5, 2), (5, 1), (5, 0)]);
}

#[test]
fn an_input_keeps_its_own_order() {
    let seen = merged(&[&[5, 1, 6], &[4, 7]]);
    let seconds: Vec<_> = seen.iter().map(|&(_, seconds, _)| seconds).collect();
    assert_eq!(seconds, [4, 5, 1, 6, 7]);
}

#[test]
fn many_frames_of_many_inputs_are_in_order() {
    let times: Vec<Vec<u32>> = (0..5).map(|input| (0..1000).map(|n| n * 5 + input).collect()).collect();
    let files: Vec<&[u32]> = times.iter().map(Vec::as_slice).collect();
    let seen = merged(&files);
    assert!(seen.iter().enumerate().all(|(n, &(number, seconds, _))| number == n as u64 && seconds == n as i64));
    assert_eq!(seen.len(), 5000);
}

#[test]
fn a_failing_input_does_not_stop_the_others() {
    let mut cut = Order::Big.pcap_at(&[1, 3, 5]);
    cut.truncate(cut.len() - 1);
    let mut merge = Merge::from_readers([
        reader("cut", cut),
        reader("junk", b"junk".to_vec()),
        reader("good", Order::Little.pcap_at(&[2, 4, 6])),
    ]);
    assert_eq!(run(&mut merge).len(), 5);
    let [cut, junk, good] = merge.finish().try_into().unwrap();
    assert!(matches!((cut.frames, cut.outcome), (2, Outcome::Failed(CaptureError::Truncated { .. }))));
    assert!(matches!((junk.frames, junk.outcome), (0, Outcome::Failed(CaptureError::NotACapture { .. }))));
    assert!(matches!((good.path.as_str(), good.frames, good.outcome), ("good", 3, Outcome::Whole)));
}

/// Files that follow each other are open one at a time, in whatever order they are named.
#[test]
fn files_are_open_only_while_their_time_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let files = [30, 10, 20].map(|start| {
        let path = folder.path().join(start.to_string());
        std::fs::write(&path, Order::Big.pcap_at(&[start, start + 1])).unwrap();
        path
    });
    let missing = folder.path().join("missing");
    let mut merge = Merge::new(files.into_iter().chain([missing]));
    let mut starts = Vec::new();
    while let Some(batch) = merge.next_batch() {
        starts.extend(batch.frames.first().map(|frame| frame.time.as_nanos() / 10_000_000_000));
        let is_open = |input: &&Input| matches!(input.source, Source::Running(_) | Source::Opened(_));
        assert_eq!(merge.inputs.iter().filter(is_open).count(), 1);
    }
    assert_eq!(starts, [1, 2, 3]);
    let [_, _, last, missing] = merge.finish().try_into().unwrap();
    assert!(matches!((last.frames, last.outcome), (2, Outcome::Whole)));
    assert!(matches!(missing.outcome, Outcome::Failed(CaptureError::Open { .. })));
}

/// What became of the files of a folder, by name.
fn outcomes(folder: &Path) -> Vec<(String, u64, &'static str)> {
    let mut merge = Merge::new([folder.to_owned()]);
    run(&mut merge);
    let told = |outcome: &Outcome| match outcome {
        Outcome::Whole => "whole",
        Outcome::Skipped(_) => "skipped",
        Outcome::Failed(_) => "failed",
    };
    let name = |status: &InputStatus| status.path.trim_start_matches(folder.to_str().unwrap()).to_owned();
    merge.finish().iter().map(|status| (name(status), status.frames, told(&status.outcome))).collect()
}

#[test]
fn a_folder_is_what_lies_in_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(outcomes(folder.path()), [(String::new(), 0, "failed")]);
    std::fs::write(folder.path().join("note"), "no capture").unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let of = |name: &str, frames: u64, outcome: &'static str| (name.to_owned(), frames, outcome);
    let beside = [of("/note", 0, "skipped"), of("/sub", 0, "skipped")];
    assert_eq!(outcomes(folder.path()), [&[of("", 0, "failed")][..], &beside].concat());
    std::fs::write(folder.path().join("a"), Order::Big.pcap_at(&[1, 2])).unwrap();
    std::fs::write(folder.path().join("b"), &Order::Big.pcap_at(&[1, 2])[..150]).unwrap();
    std::fs::write(folder.path().join("sub/c"), Order::Big.pcap_at(&[1])).unwrap();
    let captures = [of("/a", 2, "whole"), of("/b", 1, "failed")];
    assert_eq!(outcomes(folder.path()), [&captures[..], &beside].concat());
}

#[test]
fn files_of_several_folders_are_merged_and_named() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for (folder, times) in folders.iter().zip([[[1, 5], [9, 10]], [[2, 4], [6, 7]]]) {
        for (name, times) in ["z", "a"].into_iter().zip(times) {
            std::fs::write(folder.path().join(name), Order::Big.pcap_at(&times)).unwrap();
        }
    }
    let mut merge = Merge::new(folders.iter().map(|folder| folder.path().to_owned()));
    let mut seen = Vec::new();
    while let Some((input, frames)) = merge
        .next_batch()
        .map(|batch| (batch.input, batch.iter().map(|frame| frame.time.as_nanos() / 1_000_000_000).collect::<Vec<_>>()))
    {
        let name = merge.names().nth(input as usize).unwrap();
        let folder = folders.iter().position(|folder| Path::new(name).starts_with(folder.path())).unwrap();
        seen.extend(frames.into_iter().map(|time| (time, folder, name.chars().last().unwrap())));
    }
    let expected = [(1, 0, 'z'), (2, 1, 'z'), (4, 1, 'z'), (5, 0, 'z'), (6, 1, 'a'), (7, 1, 'a'), (9, 0, 'a'), (10, 0, 'a')];
    assert_eq!(seen, expected);
}
