//! `hardump` for days, a new file again and again: through the C ABI, one session from beginning to end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::days;
use crate::support::days::{DAY, Days};
use crate::support::process::{drain, end, fifo, said};
use crate::support::steady::{SEGMENT, SLACK, Watch};

/// Looks at the process in a run.
const LOOKS: u64 = 50;
/// Free bytes that glibc may keep: what it begins with, but does not raise as larger blocks come and go.
const HOARDED: &str = "131072";

/// Starts the recorder; what it captures is written into a FIFO, what it hands on is read from another.
fn start(folder: &Path) -> (Child, File, File) {
    let (input, output) = (fifo(folder, "input"), fifo(folder, "output"));
    let dumpcap = folder.join("dumpcap");
    fs::write(&dumpcap, format!("#!/bin/sh\nexec cat '{}'\n", input.display())).unwrap();
    fs::set_permissions(&dumpcap, fs::Permissions::from_mode(0o755)).unwrap();
    let library: PathBuf = std::env::current_exe().unwrap().with_file_name("libharshark.so");
    let mut hardump = Command::new(env!("CARGO_BIN_EXE_hardump"));
    // What is resident is then what is used: free memory is not hoarded, as much as the order of threads happens to allow.
    for threshold in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"] {
        hardump.env(threshold, HOARDED);
    }
    let child = hardump
        .args(["--capture", "--extcap-interface", "har", "--source", "days", "--rotate-megabytes", "4", "--fifo"])
        .arg(&output)
        .arg("--har")
        .arg(folder.join("days.har"))
        .env("HARDUMP_DUMPCAP", dumpcap)
        .env("HARSHARK_LIBRARY", library)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = File::options().write(true).open(input).unwrap();
    (child, input, File::open(output).unwrap())
}

/// Counts the entries of files that are whole, and takes them away, so that the disk does not fill.
fn collect(folder: &Path, is_over: bool) -> u64 {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "har"))
        .collect();
    files.sort();
    if !is_over {
        // The last one grows, and may be the one before when a new one is about to come.
        files.truncate(files.len().saturating_sub(2));
    }
    let mut entries = 0;
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with('{') && text.trim_end().ends_with('}'), "{} is not whole", path.display());
        entries +=
            text.matches("\"startedDateTime\":").count() as u64 - text.matches("\"onContentLoad\":").count() as u64;
        fs::remove_file(path).unwrap();
    }
    entries
}

#[test]
fn days_of_recording_take_the_memory_of_hours() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut input, mut output) = start(folder.path());
    let errors = drain(child.stderr.take().unwrap());
    let handed_on = std::thread::spawn(move || {
        let (mut bytes, mut piece) = (0, vec![0; 1 << 20]);
        loop {
            match output.read(&mut piece).unwrap() {
                0 => return bytes,
                len => bytes += len as u64,
            }
        }
    });
    let (mut days, mut watch) = (Days::new(), Watch::default());
    let (mut written, mut entries) = (0, 0);
    let minutes = self::days() * DAY;
    for minute in 0..minutes {
        days.minute();
        let bytes = days.tape.take();
        written += bytes.len() as u64;
        input.write_all(&bytes).unwrap();
        if minute % (minutes / LOOKS) == 0 {
            watch.look(child.id());
            entries += collect(folder.path(), false);
        }
    }
    drop(input);
    let ended = end(child);
    let said = format!("{}{}", said(&ended), String::from_utf8_lossy(&errors.join().unwrap()));
    assert!(ended.status.success() && said.is_empty(), "{said}");
    assert_eq!(handed_on.join().unwrap(), written);
    entries += collect(folder.path(), true);
    watch.assert_steady(SLACK, SEGMENT);
    assert_eq!(entries, days.made.entries);
}
