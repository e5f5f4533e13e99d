//! The house rule: a file uses only its own floor or a lower one; doors see the engine and the base.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor, lowest first, as in src/lib.rs.
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["capture"],
    &["net"],
    &["tcp"],
    &["tls", "quic"],
    &["http", "dns"],
    &["exchange"],
    &["har"],
    &["engine", "run"],
    &["cli", "ffi", "wireshark", "fuzzing"],
];

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

/// Room of a file under src: its first folder, or its own name.
fn room_of(path: &Path, src: &Path) -> String {
    let first = path.strip_prefix(src).unwrap().components().next().unwrap();
    Path::new(first.as_os_str()).file_stem().unwrap().to_string_lossy().into_owned()
}

/// Rooms named after `crate::` in a line, also in `use crate::{a, b::c}`.
fn rooms_used(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let word =
            |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(list.split(',').map(word)),
            None => rooms.push(word(rest)),
        }
    }
    rooms
}

#[test]
fn nothing_uses_a_higher_floor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let mut faults = Vec::new();
    for path in files {
        let room = room_of(&path, &src);
        if room == "lib" || room == "main" {
            continue;
        }
        let floor = floor_of(&room).unwrap_or_else(|| panic!("{room} is on no floor: {}", path.display()));
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for used in rooms_used(line) {
                if floor_of(&used).is_some_and(|other| other > floor) {
                    faults.push(format!("{}:{}: {room} uses {used}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_stay_small() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    for path in files {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 800, "{} has {lines} lines: split it", path.display());
    }
}

#[test]
fn the_rule_can_fail() {
    assert_eq!(rooms_used("use crate::{base::Span, har::Writer};"), ["base", "har"]);
    assert_eq!(rooms_used("    crate::engine::Engine::new()"), ["engine"]);
    assert!(floor_of("har") > floor_of("tcp"));
}

/// The recorder reaches the engine through the C ABI, as anybody else does.
#[test]
fn the_recorder_uses_no_room() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("extcap");
    let mut files = Vec::new();
    rust_files(&folder, &mut files);
    assert!(files.len() > 5, "the sources of the recorder were not found");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("harshark::"), "{} uses the crate", path.display());
        let may_be_unsafe = path.file_name().is_some_and(|name| name == "library.rs");
        assert!(may_be_unsafe || !text.contains("unsafe"), "{} is unsafe", path.display());
    }
}
