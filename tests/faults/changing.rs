//! Captures that change while they are read. A FIFO that is read with them holds the reading in the middle: its next packet is
//! awaited before any later one is taken.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};

use crate::scene::{Scene, exchanges, first, line_paths};
use crate::support::blocks::records;
use crate::support::process::{end, fifo, said};
use crate::support::wire::{Tape, header};

/// Exchanges before the reading is held, and in all.
const BEFORE: usize = 10;
const ALL: usize = 200;
/// Content of each: the rest is far more than is read ahead.
const SIZE: usize = 60_000;

/// A run that is held.
struct Held {
    scene: Scene,
    child: Child,
    lines: BufReader<ChildStdout>,
    pace: File,
    /// The whole capture, as it was.
    whole: Vec<u8>,
    seen: Vec<u8>,
}

fn big() -> (Vec<u8>, u64) {
    let mut tape = Tape::new();
    let begun = tape.micros;
    exchanges(&mut tape, "a", ALL, SIZE);
    // Exchanges are a second apart.
    (tape.take(), begun + BEFORE as u64 * 1_000_000 - 500_000)
}

/// A capture of one exchange long after all others.
fn later(scene: &Scene, file: &str, name: &str, hours: u64) -> PathBuf {
    let mut tape = Tape::new();
    tape.wait(hours * 3600);
    exchanges(&mut tape, name, 1, 10);
    scene.put(file, &tape.take())
}

impl Held {
    /// Reads `big.pcap`, a FIFO and `more` as one, up to the middle of the first.
    fn new(scene: Scene, more: &[PathBuf]) -> Self {
        let (whole, middle) = big();
        let (big, pipe) = (scene.put("big.pcap", &whole), fifo(&scene.path("out"), "pace"));
        let mut command = scene.command();
        command.args(["-q", "--format", "ndjson", "-o", "-"]).arg(big).args(more).arg(&pipe);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pace = File::options().write(true).open(pipe).unwrap();
        let mut tape = Tape::new();
        tape.until(middle);
        exchanges(&mut tape, "pace", 0, 0);
        pace.write_all(&tape.take()).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut seen = Vec::new();
        for _ in 0..BEFORE {
            assert!(lines.read_until(b'\n', &mut seen).unwrap() > 0, "it ended early");
        }
        assert_eq!(line_paths(&seen), first("a", BEFORE));
        Self { scene, child, lines, pace, whole, seen }
    }

    fn big(&self) -> PathBuf {
        self.scene.path("big.pcap")
    }

    /// Lets it go on to its end: status, what was said, paths of all entries.
    fn end(mut self) -> (i32, String, Vec<String>) {
        drop(self.pace);
        while self.lines.read_until(b'\n', &mut self.seen).unwrap() > 0 {}
        let ended = end(self.child);
        (ended.status.code().unwrap(), said(&ended), line_paths(&self.seen))
    }
}

fn append(path: &Path, bytes: &[u8]) {
    File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// Records of some more traffic.
fn more() -> Vec<u8> {
    let mut tape = Tape::new();
    tape.wait(3600);
    exchanges(&mut tape, "more", 5, 100);
    tape.take()[header().len()..].to_vec()
}

#[test]
fn what_is_appended_meanwhile_is_read_too() {
    let held = Held::new(Scene::new(), &[]);
    append(&held.big(), &more());
    let (status, said, found) = held.end();
    assert_eq!((status, said.as_str()), (0, ""));
    assert_eq!(found, [first("a", ALL), first("more", 5)].concat());
}

#[test]
fn a_capture_that_still_grows_ends_with_its_last_whole_record() {
    let held = Held::new(Scene::new(), &[]);
    let more = more();
    let at = held.whole.len() + more.len() - records(&[header(), more.clone()].concat()).last().unwrap().len();
    append(&held.big(), &more[..more.len() - 10]);
    let (status, said, found) = held.end();
    assert_eq!(status, 1, "{said}");
    assert!(said.contains(&format!("big.pcap: at byte {at}: ")) && said.contains("still being written"), "{said}");
    assert_eq!(found, [first("a", ALL), first("more", 5)].concat());
}

#[test]
fn a_capture_that_shrinks_is_used_as_far_as_it_was_read() {
    let half = |whole: &[u8]| {
        let records = records(whole);
        header().len() + records[..records.len() / 2].iter().map(|record| record.len()).sum::<usize>()
    };
    // Between two records, inside one, and to nothing.
    for cut in [|at| at, |at| at + 100, |_| 0usize] {
        let held = Held::new(Scene::new(), &[]);
        let len = cut(half(&held.whole));
        File::options().write(true).open(held.big()).unwrap().set_len(len as u64).unwrap();
        let (status, said, found) = held.end();
        assert_eq!(status, 1, "{len}: {said}");
        assert!(said.contains("big.pcap: at byte ") && said.contains("became shorter"), "{len}: {said}");
        assert!(found.len() >= BEFORE && found.len() < ALL, "{len}: {}", found.len());
        assert_eq!(found, first("a", found.len()), "{len}");
    }
}

#[test]
fn a_capture_that_is_removed_or_replaced_is_read_as_it_was() {
    let held = Held::new(Scene::new(), &[]);
    fs::remove_file(held.big()).unwrap();
    assert_eq!(held.end(), (0, String::new(), first("a", ALL)));
    let held = Held::new(Scene::new(), &[]);
    fs::rename(held.scene.put("new.pcap", b"no capture"), held.big()).unwrap();
    assert_eq!(held.end(), (0, String::new(), first("a", ALL)));
}

#[test]
fn one_of_many_that_vanishes_costs_only_itself() {
    let scene = Scene::new();
    let files = [later(&scene, "later.pcap", "later", 1), later(&scene, "last.pcap", "last", 2)];
    let held = Held::new(scene, &files);
    fs::remove_file(&files[0]).unwrap();
    let (status, said, found) = held.end();
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("later.pcap: ") && said.contains("no such file"), "{said}");
    assert_eq!(found, [first("a", ALL), first("last", 1)].concat());
}

#[test]
fn one_of_many_that_becomes_something_else_costs_only_itself() {
    for content in [&b"<!doctype html>"[..], b""] {
        let scene = Scene::new();
        let files = [later(&scene, "later.pcap", "later", 1), later(&scene, "last.pcap", "last", 2)];
        let held = Held::new(scene, &files);
        fs::write(&files[0], content).unwrap();
        let (status, said, found) = held.end();
        assert_eq!(status, 1, "{said}");
        assert!(said.contains("later.pcap: "), "{said}");
        assert_eq!(found, [first("a", ALL), first("last", 1)].concat());
    }
}
