//! Captures whose frames are out of place: the same entries come out as if every frame stood where it belongs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]
#![cfg(target_os = "linux")]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::blocks::{PACKET, at_time, blocks, time};
use support::data;
use support::process::{harshark, run, said};

/// Captures whose frames are in order, and their key logs.
const CAPTURES: [(&str, Option<&str>); 6] = [
    ("small-clear", None),
    ("small-h2", Some("small-h2.keys")),
    ("small-h3", Some("small-h3.keys")),
    ("raw-h1", None),
    ("sse-clear", None),
    ("errors-clear", None),
];

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

/// A capture, and its packets in another order: of each place, which packet stands there.
fn moved(file: &[u8], order: &[usize], keeps_times: bool) -> Vec<u8> {
    let all = blocks(file);
    let packets: Vec<&[u8]> = all.iter().filter(|(kind, _)| *kind == PACKET).map(|&(_, block)| block).collect();
    let mut order = order.iter().zip(&packets);
    let mut out = Vec::new();
    for &(kind, block) in &all {
        match kind {
            PACKET => {
                let (&from, place) = order.next().unwrap();
                let packet = packets[from];
                if keeps_times { out.extend(packet) } else { out.extend(at_time(packet, time(place))) }
            }
            _ => out.extend(block),
        }
    }
    out
}

fn packets(file: &[u8]) -> Vec<&[u8]> {
    blocks(file).into_iter().filter(|(kind, _)| *kind == PACKET).map(|(_, block)| block).collect()
}

/// Each packet up to `places` away from where it belongs.
fn shuffled(count: usize, places: usize, seed: u64) -> Vec<usize> {
    let mut dice = Dice(seed);
    let mut keyed: Vec<(usize, usize)> = (0..count).map(|at| (at + dice.roll(places + 1), at)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, at)| at).collect()
}

/// True for packets to the lower port: from the client.
fn is_to_server(block: &[u8]) -> bool {
    let frame = &block[28..];
    let (kind, ip) = (u16::from_be_bytes([frame[12], frame[13]]), &frame[14..]);
    let head = match kind {
        0x0800 => usize::from(ip[0] & 15) * 4,
        _ => 40,
    };
    let Some(&[a, b, c, d]) = ip.get(head..).and_then(|ports| ports.first_chunk::<4>()) else { return false };
    u16::from_be_bytes([a, b]) > u16::from_be_bytes([c, d])
}

fn convert(words: &[&str], capture: &Path, keys: Option<&str>, status: i32) -> (Value, String) {
    let mut command = harshark();
    command.arg(capture).args(["-o", "-"]).args(words);
    keys.iter().for_each(|keys| _ = command.arg("--keylog").arg(data(keys)));
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(status), "{}", said(&output));
    (serde_json::from_slice(&output.stdout).unwrap(), said(&output))
}

/// Entries without what counts frames or connections.
fn entries(har: &Value) -> Vec<Value> {
    let mut entries = har["log"]["entries"].as_array().unwrap().clone();
    entries.iter_mut().for_each(strip);
    entries
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let names_frames =
                |key: &str| key.to_lowercase().ends_with("frame") || key.to_lowercase().ends_with("frames");
            members.retain(|key, _| {
                !names_frames(key) && !["_packet", "_anomalies", "_connectionId"].contains(&key.as_str())
            });
            members.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

#[test]
fn a_file_in_any_order_gives_the_entries_of_the_sorted_one() {
    let folder = tempfile::tempdir().unwrap();
    for (name, keys) in CAPTURES {
        let file = fs::read(data(&format!("{name}.pcapng"))).unwrap();
        let (whole, text) = convert(&[], &data(&format!("{name}.pcapng")), keys, 0);
        assert!(!text.contains("order") && whole["log"]["_capture"].get("outOfOrder").is_none(), "{text}");
        let count = packets(&file).len();
        let mut parted: Vec<usize> = (0..count).collect();
        parted.sort_by_key(|&at| is_to_server(packets(&file)[at]));
        let orders = [
            ("moved by 10", shuffled(count, 10, 1)),
            ("moved by 200", shuffled(count, 200, 2)),
            ("shuffled", shuffled(count, 1_000_000, 3)),
            ("answers first", parted),
            ("backwards", (0..count).rev().collect()),
        ];
        for (what, order) in orders {
            let path = folder.path().join("moved.pcapng");
            fs::write(&path, moved(&file, &order, true)).unwrap();
            let (har, text) = convert(&[], &path, keys, 0);
            assert_eq!(entries(&har), entries(&whole), "{name} {what}");
            assert!(text.contains("they were put in order"), "{text}");
            let told = &har["log"]["_capture"]["outOfOrder"];
            assert_eq!(told["left"], 0, "{name} {what}");
            assert!(told["comment"].as_str().unwrap().contains("put in order"));
            // Frames have the numbers of the file.
            for (found, known) in
                har["log"]["entries"].as_array().unwrap().iter().zip(whole["log"]["entries"].as_array().unwrap())
            {
                let first = |entry: &Value| entry["_packet"]["requestFrames"][0].as_u64().unwrap() as usize - 1;
                assert_eq!(order[first(found)], first(known), "{name} {what}");
            }
            for jobs in ["1", "2", "4"] {
                assert_eq!(convert(&["--jobs", jobs], &path, keys, 0).0, har, "{name} {what} --jobs {jobs}");
            }
        }
    }
}

#[test]
fn a_pipe_is_put_in_order_within_reach() {
    // Of raw-h1 the packets are seconds apart.
    for (name, keys) in CAPTURES.into_iter().filter(|(name, _)| *name != "raw-h1") {
        let path = data(&format!("{name}.pcapng"));
        let file = fs::read(&path).unwrap();
        let whole = convert(&[], &path, keys, 0).0;
        let order = shuffled(packets(&file).len(), 40, 4);
        let mut command = harshark();
        command.args(["-", "-o", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        keys.iter().for_each(|keys| _ = command.arg("--keylog").arg(data(keys)));
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let bytes = moved(&file, &order, true);
        let writer = std::thread::spawn(move || pipe.write_all(&bytes).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success() && said(&output).contains("put in order"), "{}", said(&output));
        let har: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(entries(&har).len(), entries(&whole).len(), "{name}");
        for (found, known) in entries(&har).iter().zip(entries(&whole)) {
            assert_eq!((&found["request"], &found["response"]), (&known["request"], &known["response"]), "{name}");
        }
    }
}

#[test]
fn what_a_silent_pipe_has_brought_is_told_at_once() {
    let file = fs::read(data("small-clear.pcapng")).unwrap();
    let known = entries(&convert(&[], &data("small-clear.pcapng"), None, 0).0).len();
    let mut command: Command = harshark();
    command.args(["-q", "-", "--format", "ndjson", "-o", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&file).unwrap();
    // The pipe stays open: all lines come even so.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..known {
        assert!(lines.next().unwrap().unwrap().starts_with('{'));
    }
    drop(pipe);
    assert!(child.wait().unwrap().success());
}

#[test]
fn where_times_follow_the_file_numbers_of_segments_tell_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut found, mut all) = (0, 0);
    for name in ["small-clear", "raw-h1", "sse-clear"] {
        let file = fs::read(data(&format!("{name}.pcapng"))).unwrap();
        let whole = entries(&convert(&[], &data(&format!("{name}.pcapng")), None, 0).0);
        for seed in 0..4 {
            let path = folder.path().join("moved.pcapng");
            fs::write(&path, moved(&file, &shuffled(packets(&file).len(), 20, seed), false)).unwrap();
            let har = convert(&[], &path, None, 0).0;
            let contents = |entry: &Value| (entry["request"]["url"].clone(), entry["response"]["content"].clone());
            let moved: Vec<_> = entries(&har).iter().map(contents).collect();
            found += whole.iter().filter(|entry| moved.contains(&contents(entry))).count();
            all += whole.len();
        }
    }
    assert!(found * 100 >= all * 95, "{found} of {all}");
}

#[test]
fn clocks_that_differ_are_no_disorder() {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::read(data("small-clear.pcapng")).unwrap();
    let whole = convert(&[], &data("small-clear.pcapng"), None, 0).0;
    for offset in [-7_000_000_000i64, -300_000, 7_000_000_000] {
        let mut out = Vec::new();
        for (kind, block) in blocks(&file) {
            match kind {
                PACKET if is_to_server(block) => out.extend(at_time(block, time(block).wrapping_add_signed(offset))),
                _ => out.extend(block),
            }
        }
        let path = folder.path().join("clocks.pcapng");
        fs::write(&path, out).unwrap();
        let (har, text) = convert(&[], &path, None, 0);
        assert!(text.contains("because clocks differ") && !text.contains("reordercap"), "{text}");
        let told = |har: &Value| -> Vec<(Value, Value)> {
            let mut all: Vec<_> =
                entries(har).iter().map(|e| (e["request"]["url"].clone(), e["response"]["content"].clone())).collect();
            all.sort_by_key(|(url, _)| url.to_string());
            all
        };
        assert_eq!(told(&har), told(&whole), "{offset}");
    }
}
