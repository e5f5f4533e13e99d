//! Files: several as one, errors with their path, secrets ahead.

use std::path::{Path, PathBuf};

use super::*;

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A pcap with frames at these seconds, each with its name and turn as data.
fn pcap(seconds: &[u32], name: u8) -> Vec<u8> {
    let mut build = Build::pcap(Little, 0xa1b2_c3d4, 1);
    for (turn, &second) in seconds.iter().enumerate() {
        build.record(second, 0, 2, &[name, turn as u8]);
    }
    build.bytes
}

/// Number, second, interface, file and turn of a frame.
type Line = (u64, i64, u32, char, u8);

fn merged(paths: &[PathBuf]) -> (Vec<Line>, Facts) {
    let mut captures = Captures::open(paths, &Limits::default()).unwrap();
    let mut all = Vec::new();
    while let Some(item) = captures.next().unwrap() {
        if let Item::Frame(frame) = item {
            let [name, turn] = *frame.data.first_chunk().unwrap();
            all.push((frame.number.0, frame.time.0 / 1_000_000_000, frame.interface, char::from(name), turn));
        }
    }
    let progress = captures.progress();
    assert_eq!(progress.total, Some(progress.read));
    (all, captures.facts())
}

#[test]
fn files_that_overlap_are_merged_and_rings_follow_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let a = put(folder.path(), "a", &pcap(&[10, 20, 20, 15, 40], b'a'));
    let b = put(folder.path(), "b", &pcap(&[20, 30], b'b'));
    let early = put(folder.path(), "early", &pcap(&[1, 2], b'e'));
    let none = put(folder.path(), "none", &pcap(&[], b'n'));
    let (all, facts) = merged(&[a.clone(), none, b, early]);
    assert_eq!(
        all,
        [
            (1, 1, 0, 'e', 0),
            (2, 2, 0, 'e', 1),
            (3, 10, 1, 'a', 0),
            (4, 20, 1, 'a', 1),
            (5, 20, 1, 'a', 2),
            // Disorder within a file stays.
            (6, 15, 1, 'a', 3),
            (7, 20, 2, 'b', 0),
            (8, 30, 2, 'b', 1),
            (9, 40, 1, 'a', 4),
        ]
    );
    assert_eq!((facts.frames, facts.files.len()), (9, 4));
    assert_eq!((facts.first, facts.last), (Some(Timestamp(1_000_000_000)), Some(Timestamp(40_000_000_000))));
    assert_eq!(merged(&[a]).0.len(), 5);
    assert_eq!(merged(&[]).0, []);
}

#[test]
fn a_ring_is_read_with_one_file_open() {
    let folder = tempfile::tempdir().unwrap();
    let ring: Vec<PathBuf> = (0..300u32)
        .map(|turn| put(folder.path(), &format!("ring_{turn:05}"), &pcap(&[turn * 2, turn * 2 + 1], b'r')))
        .collect();
    let mut captures = Captures::open(&ring, &Limits::default()).unwrap();
    let mut number = 0;
    while let Some(item) = captures.next().unwrap() {
        let Item::Frame(frame) = item else { panic!() };
        number += 1;
        assert_eq!((frame.number.0, frame.time.0), (number, (number as i64 - 1) * 1_000_000_000));
        assert!(captures.open_files() <= 1);
    }
    assert_eq!(number, 600);
}

#[test]
fn damage_is_told_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut cut = pcap(&[1, 2, 3], b'c');
    cut.pop();
    let cut = put(folder.path(), "cut", &cut);
    let whole = put(folder.path(), "whole", &pcap(&[2, 9], b'w'));
    let (all, facts) = merged(&[whole, cut.clone()]);
    assert_eq!(all.len(), 4);
    assert_eq!((facts.damages, facts.damage[0].path.clone(), facts.damage[0].offset), (1, cut, 24 + 36));
}

#[test]
fn errors_name_the_path_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut version = pcap(&[], b'v');
    version[4] = 9;
    for (file, reason) in [
        (path.to_path_buf(), "is a directory"),
        (path.join("nowhere"), "no such file"),
        (put(path, "empty", b""), "empty file (0 bytes)"),
        (put(path, "page", b"<!DOCTYPE html><html>"), "an HTML page"),
        (put(path, "har", b"{ \"log\": { \"version\""), "a HAR file"),
        (put(path, "short", &pcap(&[], b's')[..9]), "ends inside its pcap header"),
        (put(path, "version", &version), "pcap version 9.4 is not supported"),
    ] {
        let error = Captures::open(std::slice::from_ref(&file), &Limits::default()).err().unwrap().to_string();
        assert!(error.starts_with(file.to_str().unwrap()) && error.contains(reason), "{error}");
    }
}

#[test]
fn a_file_that_goes_away_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [1, 5, 9].map(|second| put(folder.path(), &second.to_string(), &pcap(&[second], b'g')));
    let mut captures = Captures::open(&paths, &Limits::default()).unwrap();
    std::fs::remove_file(&paths[1]).unwrap();
    assert!(captures.next().unwrap().is_some());
    assert!(captures.next().unwrap().is_some());
    assert!(captures.next().unwrap().is_none());
    let facts = captures.facts();
    assert_eq!((facts.frames, facts.damages), (2, 1));
    let told = facts.damage[0].to_string();
    assert!(told.starts_with(paths[1].to_str().unwrap()) && told.contains("no such file; it changed"), "{told}");
}

#[test]
fn secrets_are_found_ahead() {
    let folder = tempfile::tempdir().unwrap();
    for order in [Little, Big] {
        let mut build = Build::new(order);
        build.section(order).interface(1, 0, &[]);
        for size in [0, 100, 400_000] {
            build.packet(0, 0, 9, &vec![3; size], &[]).secrets(0x544c_534b, &[size as u8; 70]);
        }
        build.section(Big).secrets(1, b"last").block(7, b"").u32(10).u32(400).u32(1);
        let path = put(folder.path(), "secrets", &build.bytes);
        let mut ahead = Vec::new();
        secrets_ahead(&path, &Limits::default(), &mut |secrets| ahead.push(seen(Item::Secrets(secrets)))).unwrap();
        let mut all = read(&build.bytes).0;
        all.retain(|seen| matches!(seen, Seen::Secrets(..)));
        assert_eq!(all.len(), 4);
        assert_eq!(ahead, all);
    }
    let mut none = |_: Secrets<'_>| panic!("no secrets there");
    let path = put(folder.path(), "pcap", &pcap(&[1], b'p'));
    secrets_ahead(&path, &Limits::default(), &mut none).unwrap();
    assert!(secrets_ahead(&folder.path().join("nowhere"), &Limits::default(), &mut none).is_err());
}

/// A file with a frame of each length, all of whose bytes are its turn.
fn filled(folder: &Path, lens: impl IntoIterator<Item = usize>) -> PathBuf {
    let mut build = Build::pcap(Little, 0xa1b2_c3d4, 1);
    for (turn, len) in lens.into_iter().enumerate() {
        build.record(turn as u32, 0, len as u32, &vec![turn as u8; len]);
    }
    put(folder, "filled.pcap", &build.bytes)
}

/// A file of several blocks, with a record that is larger than one, read by somebody who keeps some of the frames.
#[test]
fn what_is_kept_stays_as_it_was() {
    const LARGE: usize = 700;
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path(), (0..2000).map(|turn| if turn == LARGE { 300_000 } else { 900 + turn % 7 }));
    for step in [1, 2, 100] {
        let mut reader = Reader::open(&path, &Limits::default()).unwrap();
        let (mut kept, mut turns) = (Vec::new(), 0..2000);
        while let Some(Item::Frame(frame)) = reader.next().unwrap() {
            let turn = turns.next().unwrap();
            assert!(frame.data.iter().all(|&byte| byte == turn as u8), "{turn}");
            // A buffer that has grown is not to be kept, nor one that is nearly empty, as the first and the last are.
            let is_kept = turn != LARGE;
            assert!(frame.block.is_some() == is_kept || !(100..1900).contains(&turn), "{turn}");
            if let Some(block) = frame.block.filter(|_| turn % step == 0) {
                kept.push((turn, block.clone(), block.place_of(frame.data).unwrap(), frame.data.len()));
            }
        }
        assert!(turns.is_empty());
        for (turn, block, start, len) in &kept {
            assert!(*len >= 900 && block.part(*start, *len).iter().all(|&byte| byte == *turn as u8), "{turn}");
        }
        kept.dedup_by(|(_, a, ..), (_, b, ..)| a.is(b));
        assert!((6..=9).contains(&kept.len()), "{}", kept.len());
    }
}

/// Nobody keeps anything, or only for a while: buffers are used again.
#[test]
fn what_is_given_back_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = filled(folder.path(), [900; 4000]);
    for (keep, most) in [(0, 1), (100, 3), (1000, 6)] {
        let mut reader = Reader::open(&path, &Limits::default()).unwrap();
        let (mut kept, mut seen) = (std::collections::VecDeque::new(), std::collections::BTreeSet::new());
        while let Some(Item::Frame(frame)) = reader.next().unwrap() {
            let Some(block) = frame.block else { continue };
            seen.insert(block.part(0, 1).as_ptr().addr());
            kept.push_back(block.clone());
            kept.drain(..kept.len().saturating_sub(keep));
        }
        assert!(seen.len() <= most, "{} buffers for {keep} frames", seen.len());
    }
}
