//! Captures that were cut into many files, as the rings of dumpcap and tcpdump are: read together they give what one file gives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]
#![cfg(target_os = "linux")]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::blocks::{PACKET, SECRETS, blocks, records};
use support::data;
use support::days::Days;
use support::process::{harshark, run, said};
use support::wire::header;

/// The entries of a run, and what it says of the capture.
fn read(files: &[PathBuf]) -> Value {
    let output = run(harshark().arg("-q").args(files).args(["-o", "-"]));
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Same entries, frame for frame, and the same number of packets.
fn assert_same(found: &Value, wanted: &Value) {
    let entries = |har: &Value| har["log"]["entries"].as_array().unwrap().clone();
    let (mine, other) = (entries(found), entries(wanted));
    assert!(!other.is_empty());
    assert_eq!(mine.len(), other.len());
    for (mine, other) in mine.iter().zip(&other) {
        assert_eq!(mine, other);
    }
    assert_eq!(found["log"]["_capture"]["packets"], wanted["log"]["_capture"]["packets"]);
}

/// Cuts a pcapng of one section into files of `size` packets. Each begins with the section and its interfaces; secrets stand in
/// the first alone.
fn cut_pcapng(folder: &Path, file: &[u8], size: usize) -> Vec<PathBuf> {
    let all = blocks(file);
    let of = |wanted: &dyn Fn(u32) -> bool| -> Vec<u8> {
        all.iter().filter(|(kind, _)| wanted(*kind)).flat_map(|(_, block)| block.to_vec()).collect()
    };
    let head = of(&|kind| kind == 0x0a0d_0d0a || kind == 1);
    let secrets = of(&|kind| kind == SECRETS);
    let packets: Vec<&[u8]> = all.iter().filter(|(kind, _)| *kind == PACKET).map(|(_, block)| *block).collect();
    let parts = packets.chunks(size).enumerate().map(|(number, part)| {
        let path = folder.join(format!("ring_{number:05}_20231114.pcapng"));
        let secrets = if number == 0 { secrets.as_slice() } else { &[] };
        fs::write(&path, [&head, secrets, &part.concat()].concat()).unwrap();
        path
    });
    parts.collect()
}

/// Puts names in an order that has nothing to do with time.
fn shuffled(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort_by_key(|path| {
        let name = path.to_string_lossy().into_owned();
        name.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(2_654_435_761).rotate_left(5) ^ u32::from(byte))
    });
    files
}

#[test]
fn a_ring_gives_what_the_whole_gives() {
    // In clear, and with secrets that stand in the first file only; in order and out of it.
    for (name, size) in [("small-clear", 3), ("small-h2", 5), ("small-h3", 5), ("raw-h1", 2), ("sse-clear", 4)] {
        let folder = tempfile::tempdir().unwrap();
        let wanted = read(&[data(&format!("{name}.pcapng"))]);
        let files = cut_pcapng(folder.path(), &fs::read(data(&format!("{name}.pcapng"))).unwrap(), size);
        assert!(files.len() > 20, "{name}: {}", files.len());
        assert_same(&read(&files), &wanted);
        assert_same(&read(&shuffled(files)), &wanted);
    }
}

/// A day of traffic on a tape, without its large bodies' need for a day of time.
fn day(minutes: u64) -> Vec<u8> {
    let mut days = Days::new();
    for _ in 0..minutes {
        days.minute();
    }
    days.tape.take()
}

fn put(folder: &Path, name: &str, records: &[&[u8]]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, [header(), records.concat()].concat()).unwrap();
    path
}

#[test]
fn files_of_overlapping_time_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let tape = day(60);
    let wanted = read(&[put(folder.path(), "whole.pcap", &records(&tape))]);
    // Three captures at once, each cut into files of its own: they overlap all the time, two of them by halves of a file.
    let mut taken: [Vec<&[u8]>; 3] = Default::default();
    for (number, record) in records(&tape).into_iter().enumerate() {
        taken[number * 7 / 5 % 3].push(record);
    }
    let mut files = Vec::new();
    for (at, records) in taken.iter().enumerate() {
        let (first, rest) = records.split_at(50 * at);
        let parts = std::iter::once(first).filter(|part| !part.is_empty()).chain(rest.chunks(150));
        files.extend(parts.enumerate().map(|(n, part)| put(folder.path(), &format!("{at}_{n:03}.pcap"), part)));
    }
    assert!(files.len() > 50, "{}", files.len());
    assert_same(&read(&files), &wanted);
    assert_same(&read(&shuffled(files)), &wanted);
}

/// Runs with few open files allowed; gives the HAR and the largest resident memory in KiB.
fn limited(files: &[PathBuf], har: &Path) -> u64 {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$@\"", "sh"]).arg(env!("CARGO_BIN_EXE_harshark"));
    let output = run(command.arg("--resource-usage").args(files).arg("-o").arg(har).env_remove("SSLKEYLOGFILE"));
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let peak = text.split_once("peak memory ").unwrap().1.split_whitespace().next().unwrap();
    peak.parse().unwrap()
}

#[test]
fn thousands_of_files_take_no_more_than_a_few() {
    const FILES: usize = 3000;
    let folder = tempfile::tempdir().unwrap();
    let tape = day(400);
    let all = records(&tape);
    assert!(all.len() > 10 * FILES);
    let cut = |name: &str, files: usize| -> Vec<PathBuf> {
        let parts = all.chunks(all.len().div_ceil(files)).enumerate();
        parts.map(|(n, part)| put(folder.path(), &format!("{name}_{n:05}.pcap"), part)).collect()
    };
    let (few, many) = (cut("few", 3), cut("many", FILES));
    assert!(many.len() > FILES - FILES / 10, "{}", many.len());
    let (from_few, from_many) = (folder.path().join("few.har"), folder.path().join("many.har"));
    let (little, much) = (limited(&few, &from_few), limited(&shuffled(many), &from_many));
    // Names and places of the files, and no more.
    assert!(much < little + 4096, "{little} KiB with few files, {much} KiB with many");
    let har = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    assert_same(&har(&from_many), &har(&from_few));
}
