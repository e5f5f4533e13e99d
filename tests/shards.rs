//! The result depends neither on the number of threads, nor on when entries are written, nor on how many machines share the work.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first fault")]

#[path = "../benches/generate/mod.rs"]
mod generate;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use generate::{Kind, Made};
use harshark::engine::{Options, Share};
use harshark::run::{Format, Job, Report, Target, UserSecrets, run};
use serde_json::Value;

/// Every capture that the tests carry.
fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut captures: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    captures.retain(|path| path.extension().is_some_and(|extension| extension == "pcapng"));
    captures.sort();
    captures
}

/// A capture of some megabytes, with many connections at once.
fn generated(folder: &Path, kind: Kind, name: &str) -> (PathBuf, Made) {
    let mut bytes = Cursor::new(Vec::new());
    let made = generate::generate(kind, &mut bytes, 6_000_000, 12, 7).unwrap();
    let path = folder.join(name);
    fs::write(&path, bytes.into_inner()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), made.bytes);
    (path, made)
}

fn convert(capture: &Path, format: Format, jobs: usize, set: impl FnOnce(&mut Options)) -> (Vec<u8>, Report) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let mut options = Options::default();
    set(&mut options);
    let job = Job {
        captures: vec![capture.to_owned()],
        target: Target::File(target.clone()),
        format,
        secrets: UserSecrets::default(),
        options,
        temporary: None,
        jobs,
        stop: Arc::default(),
    };
    let report = run(&job, &mut |_| {}).unwrap();
    (fs::read(target).unwrap(), report)
}

fn entries(har: &[u8]) -> Vec<Value> {
    let har: Value = serde_json::from_slice(har).unwrap();
    har["log"]["entries"].as_array().unwrap().clone()
}

fn assert_same(one: &[u8], other: &[u8], what: &str) {
    let at = one.iter().zip(other).position(|(a, b)| a != b);
    let around = |bytes: &[u8]| {
        let at = at.unwrap_or(0);
        String::from_utf8_lossy(&bytes[at.saturating_sub(80)..bytes.len().min(at + 80)]).into_owned()
    };
    assert!(one == other, "{what}: {} and {} bytes:\n{}\n{}", one.len(), other.len(), around(one), around(other));
}

fn all_captures(folder: &Path) -> Vec<(PathBuf, Option<Made>)> {
    let mut all: Vec<_> = captures().into_iter().map(|path| (path, None)).collect();
    for (kind, name) in [(Kind::Http1, "h1.pcap"), (Kind::Http2, "h2.pcapng"), (Kind::Http3, "h3.pcapng")] {
        let (path, made) = generated(folder, kind, name);
        all.push((path, Some(made)));
    }
    all
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (capture, made) in all_captures(folder.path()) {
        for format in [Format::Har, Format::Ndjson, Format::Parquet(harshark::har::table::open)] {
            let (one, report) = convert(&capture, format, 1, |_| {});
            assert!(report.summary.entries > 0, "{}", capture.display());
            if let Some(made) = made {
                assert_eq!((report.summary.entries, report.capture.frames), (made.exchanges, made.packets));
            }
            for jobs in [2, 4] {
                let (many, counted) = convert(&capture, format, jobs, |_| {});
                assert_same(&one, &many, &format!("{} with {jobs} jobs", capture.display()));
                assert_eq!(format!("{:?}", report.summary), format!("{:?}", counted.summary));
            }
        }
    }
}

#[test]
fn entries_are_in_order_however_early_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    for (capture, _) in all_captures(folder.path()) {
        let (late, _) = convert(&capture, Format::Har, 1, |_| {});
        let starts: Vec<String> =
            entries(&late).iter().map(|entry| entry["startedDateTime"].as_str().unwrap().to_owned()).collect();
        assert!(starts.is_sorted(), "{}", capture.display());
        for (waiting, jobs) in [(0, 1), (20_000, 1), (200_000, 3), (2_000_000, 2)] {
            let (early, _) = convert(&capture, Format::Har, jobs, |options| options.limits.waiting = waiting);
            assert_same(&late, &early, &format!("{} with {waiting} bytes of entries", capture.display()));
        }
    }
}

/// What an entry is whatever else is in the capture: without its page, and Wireshark's number of its connection.
fn alone(mut entry: Value) -> String {
    let members = entry.as_object_mut().unwrap();
    members.remove("pageref");
    members.retain(|key, _| !(key.starts_with('_') && (key.ends_with("_start") || key.ends_with("_end"))));
    if let Some(chunks) = members.get_mut("_chunks").and_then(Value::as_array_mut) {
        chunks.iter_mut().for_each(|chunk| drop(chunk.as_object_mut().unwrap().remove("ts")));
    }
    let packet = members["_packet"].as_object_mut().unwrap();
    for key in ["tcpStream", "udpStream", "filter"] {
        packet.remove(key);
    }
    entry.to_string()
}

#[test]
fn parts_make_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (capture, _) in all_captures(folder.path()) {
        let (whole, _) = convert(&capture, Format::Har, 1, |_| {});
        let mut whole: Vec<String> = entries(&whole).into_iter().map(alone).collect();
        whole.sort();
        let mut parts = Vec::new();
        for index in 0..3 {
            let share = Some(Share { index, of: 3 });
            let (part, _) = convert(&capture, Format::Har, 2, |options| options.share = share);
            for entry in entries(&part) {
                // Only the whole capture tells the number of a connection.
                assert!(entry["_packet"].get("tcpStream").is_none(), "{entry}");
                assert!(entry["_packet"]["filter"].as_str().unwrap().contains("addr eq"));
                parts.push(alone(entry));
            }
        }
        parts.sort();
        assert_eq!(parts.len(), whole.len(), "{}", capture.display());
        assert!(parts == whole, "{}: entries differ", capture.display());
    }
}

/// Gives each record of a pcap the seconds that `time` says, or takes it out; it is told the port of the client, which part of the
/// capture the record is in, and its seconds so far.
fn retimed(capture: &[u8], parts: usize, time: impl Fn(u32, usize, u32) -> Option<u32>) -> Vec<u8> {
    let mut altered = capture[..24].to_vec();
    let mut at = 24;
    while let Some((header, packet)) = capture[at..].split_first_chunk::<16>() {
        let word = |from: usize| u32::from_le_bytes(header[from..from + 4].try_into().unwrap());
        let len = word(8) as usize;
        let ports = u32::from_be_bytes(packet[34..38].try_into().unwrap());
        let client = (ports >> 16).max(ports & 0xffff);
        if let Some(seconds) = time(client, at * parts / capture.len(), word(0)) {
            altered.extend_from_slice(&seconds.to_le_bytes());
            altered.extend_from_slice(&header[4..]);
            altered.extend_from_slice(&packet[..len]);
        }
        at += 16 + len;
    }
    altered
}

/// How far ahead a clock is that stamps the packets of every other connection, in seconds.
fn ahead(client: u32) -> u32 {
    if client % 2 == 1 { 10 * 3600 } else { 0 }
}

#[test]
fn clocks_that_differ_cut_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, made) = generated(folder.path(), Kind::Http1, "clocks.pcap");
    let bytes = fs::read(&capture).unwrap();
    fs::write(&capture, retimed(&bytes, 1, |client, _, seconds| Some(seconds + ahead(client)))).unwrap();
    let (one, report) = convert(&capture, Format::Har, 1, |_| {});
    let hours: std::collections::BTreeSet<String> =
        entries(&one).iter().map(|entry| entry["startedDateTime"].as_str().unwrap()[..13].to_owned()).collect();
    assert!(hours.len() > 1, "{hours:?}");
    assert_eq!((report.summary.entries, report.summary.truncated), (made.exchanges, 0));
    let (many, _) = convert(&capture, Format::Har, 3, |_| {});
    assert_same(&one, &many, "two clocks");
}

#[test]
fn connections_that_rest_are_over_whatever_the_clocks_say_and_the_number_of_shards() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, _) = generated(folder.path(), Kind::Http1, "rests.pcap");
    let bytes = fs::read(&capture).unwrap();
    // Every third connection has nothing for fifteen hours.
    let rested = retimed(&bytes, 8, |client, part, seconds| {
        let is_silent = client % 3 == 0 && (1..6).contains(&part);
        (!is_silent).then(|| seconds + ahead(client) + 10_800 * part as u32)
    });
    fs::write(&capture, rested).unwrap();
    let (one, report) = convert(&capture, Format::Har, 1, |_| {});
    // The two that come back are connections of their own.
    assert_eq!(report.summary.connections, 12 + 2, "{:?}", report.summary);
    for jobs in [2, 3, 5] {
        let (many, _) = convert(&capture, Format::Har, jobs, |_| {});
        assert_same(&one, &many, "rests");
    }
}
