//! Frames out of time order are put in order, with the numbers that they have in the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::capture::causality::{Segment, Segments};

/// Frame numbers and times in milliseconds, as they come.
fn restored(paths: &[PathBuf], limits: &Limits, segments: fn() -> Segments) -> (Vec<(u64, i64)>, Facts) {
    let mut captures = Captures::open(paths, limits).unwrap();
    captures.restore_order(None, &segments, &Arc::default(), &mut |_| {});
    let mut all = Vec::new();
    while let Some(item) = captures.next().unwrap() {
        if let Item::Frame(frame) = item {
            assert_eq!(frame.data, content(frame.time.0 / 1_000_000));
            all.push((frame.number.0, frame.time.0 / 1_000_000));
        }
    }
    (all, captures.facts())
}

fn silent() -> Segments {
    Box::new(|_, _| {})
}

fn content(millis: i64) -> Vec<u8> {
    format!("frame of {millis}").repeat(1 + millis as usize % 7).into_bytes()
}

/// Times in milliseconds, all over the place.
fn scattered(count: i64) -> Vec<i64> {
    (0..count).map(|n| 1_000_000 + (n * 7919) % count).collect()
}

fn pcap(times: &[i64]) -> Vec<u8> {
    let mut file = Build::pcap(Big, 0xa1b2_c3d4, 1);
    for &millis in times {
        let data = content(millis);
        file.record((millis / 1000) as u32, (millis % 1000 * 1000) as u32, data.len() as u32, &data);
    }
    file.bytes
}

/// Sections of other byte order and with other clocks, among them blocks that have numbers and are no frames.
fn pcapng(times: &[i64]) -> Vec<u8> {
    let mut file = Build::new(Little);
    for (number, part) in times.chunks(50).enumerate() {
        file.section(if number % 2 == 0 { Little } else { Big });
        file.interface(1, 0, &[(9, &[3])]).interface(1, 0, &[(9, &[9])]);
        for (number, &millis) in part.iter().enumerate() {
            let data = content(millis);
            let (interface, time) = if number % 2 == 0 { (0, millis) } else { (1, millis * 1_000_000) };
            file.packet(interface, time as u64, data.len() as u32, &data, &[(1, b"note")]);
            if number % 10 == 0 {
                file.block(9, b"journal\0");
            }
        }
    }
    file.bytes
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_file_is_read_by_time_however_far_frames_stand_from_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let times = scattered(3000);
    let mut sorted: Vec<(u64, i64)> = (1..).zip(times.iter().copied()).collect();
    sorted.sort_by_key(|&(_, millis)| millis);
    let late = 3000 - 1 - times.windows(2).filter(|pair| pair[0] < pair[1]).count() as u64;
    for order_memory in [Limits::default().order_memory, 4 << 10] {
        let limits = Limits { order_memory, ..Limits::default() };
        let path = write(folder.path(), "a.pcap", &pcap(&times));
        let (frames, facts) = restored(&[path], &limits, silent);
        assert_eq!(frames, sorted);
        assert_eq!((facts.frames, facts.damages, facts.disorder.left), (3000, 0, 0));
        assert!(facts.disorder.frames >= late && facts.disorder.is_mended(), "{:?}", facts.disorder);

        let path = write(folder.path(), "a.pcapng", &pcapng(&times));
        // Every tenth frame of a section is followed by a record with a number.
        let numbered = |n: u64| 1 + n + n / 50 * 5 + (n % 50).div_ceil(10);
        let expected: Vec<_> = sorted.iter().map(|&(number, millis)| (numbered(number - 1), millis)).collect();
        assert_eq!(restored(&[path], &limits, silent).0, expected);
    }
}

#[test]
fn a_file_in_order_is_read_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let times: Vec<i64> = (0..200).map(|n| 5000 + n / 3).collect();
    let path = write(folder.path(), "a.pcap", &pcap(&times));
    let mut captures = Captures::open(&[path], &Limits::default()).unwrap();
    captures.restore_order(None, &|| panic!("nobody is asked"), &Arc::default(), &mut |_| {});
    assert!(!captures.moves_flows());
    let mut number = 0;
    while let Some(item) = captures.next().unwrap() {
        number += 1;
        assert!(matches!(item, Item::Frame(Frame { number: FrameNumber(known), .. }) if known == number));
    }
    assert_eq!((number, captures.facts().disorder.text()), (200, None));
}

#[test]
fn files_are_merged_by_the_time_of_what_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let (even, odd): (Vec<i64>, Vec<i64>) = scattered(600).into_iter().partition(|millis| millis % 2 == 0);
    let paths = [write(folder.path(), "even.pcap", &pcap(&even)), write(folder.path(), "odd.pcapng", &pcapng(&odd))];
    let (frames, facts) = restored(&paths, &Limits::default(), silent);
    let times: Vec<i64> = frames.iter().map(|&(_, millis)| millis).collect();
    assert_eq!(times, (1_000_000..1_000_600).collect::<Vec<_>>());
    assert!(frames.windows(2).all(|pair| pair[0].0 < pair[1].0), "frames of many files are counted as they come");
    assert!(facts.disorder.is_mended());
}

#[test]
fn compressed_files_are_put_in_order_within_reach() {
    use std::io::Write;

    let folder = tempfile::tempdir().unwrap();
    let compressed = |times: &[i64]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&pcap(times)).unwrap();
        write(folder.path(), "a.pcap.gz", &gzip.finish().unwrap())
    };
    let mut times: Vec<i64> = (5000..6000).collect();
    times.chunks_mut(60).for_each(<[i64]>::reverse);
    let (frames, facts) = restored(&[compressed(&times)], &Limits::default(), silent);
    assert!(frames.is_sorted_by_key(|&(_, millis)| millis) && frames.len() == 1000);
    assert!(frames.iter().all(|&(number, millis)| times[number as usize - 1] == millis));
    assert!(facts.disorder.is_mended());
    // The two halves of the file have changed places.
    times.sort_unstable();
    times.rotate_left(500);
    let limits = Limits { order_frames: 100, ..Limits::default() };
    let (frames, facts) = restored(&[compressed(&times)], &limits, silent);
    assert_eq!(frames.len(), 1000);
    assert!(facts.disorder.left > 0 && facts.disorder.text().unwrap().ends_with("reordercap IN OUT"));
}

#[test]
fn where_frames_contradict_their_times_the_file_is_right() {
    fn contradicting() -> Segments {
        Box::new(|frame, out| {
            // Requests and answers in turn, and each acknowledges the one before.
            let turn = (frame.time.0 / 1_000_000 % 1000) as u32;
            let (is_forward, at) = (turn.is_multiple_of(2), turn / 2 * 10);
            let acknowledgment = Some(if is_forward { at } else { at + 10 });
            out(Segment { flow: 1, is_forward, start: at, end: at + 10, acknowledgment, opens: false });
        })
    }
    let folder = tempfile::tempdir().unwrap();
    // The clock of the answers is ten seconds behind.
    let times: Vec<i64> = (0..400).map(|n| 1_000_000 + n - if n % 2 == 1 { 10_000 } else { 0 }).collect();
    let path = write(folder.path(), "a.pcap", &pcap(&times));
    let (frames, facts) = restored(&[path], &Limits::default(), contradicting);
    assert_eq!(frames, (1..).zip(times).collect::<Vec<_>>());
    assert!(facts.disorder.has_clocks && facts.disorder.left == 200);
    assert!(facts.disorder.text().unwrap().contains("clocks differ"));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_damaged() {
    for (name, build) in [("a.pcap", pcap as fn(&[i64]) -> Vec<u8>), ("a.pcapng", pcapng)] {
        let folder = tempfile::tempdir().unwrap();
        let bytes = build(&scattered(6000));
        let path = write(folder.path(), name, &bytes);
        let mut captures = Captures::open(std::slice::from_ref(&path), &Limits::default()).unwrap();
        captures.restore_order(None, &silent, &Arc::default(), &mut |_| {});
        assert!(captures.next().unwrap().is_some());
        write(folder.path(), name, &bytes[..bytes.len() / 2]);
        let mut frames = 1;
        while captures.next().unwrap().is_some() {
            frames += 1;
        }
        let facts = captures.facts();
        assert!((100..6000).contains(&frames), "{frames}");
        assert_eq!((facts.frames, facts.damages), (frames, 1));
        assert!(facts.damage[0].what.contains("changed"), "{}", facts.damage[0]);
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = pcap(&scattered(300));
    bytes.extend_from_slice(b"half");
    let (frames, facts) = restored(&[write(folder.path(), "a.pcap", &bytes)], &Limits::default(), silent);
    assert_eq!((frames.len(), facts.damages, facts.damage.len()), (300, 1, 1));
    assert!(facts.disorder.is_mended());
}

#[test]
fn sections_without_end_are_read_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { capture_interfaces: 20, ..Limits::default() };
    let times = scattered(2000);
    let (frames, facts) = restored(&[write(folder.path(), "a.pcapng", &pcapng(&times))], &limits, silent);
    assert_eq!(frames.iter().map(|&(_, millis)| millis).collect::<Vec<_>>(), times);
    assert_eq!(facts.disorder.left, facts.disorder.frames);
}
