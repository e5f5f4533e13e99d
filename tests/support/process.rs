//! Processes that are watched from outside: memory, files, ends.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The command of this build, with no secrets of the user's.
pub fn harshark() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harshark"));
    command.env_remove("SSLKEYLOGFILE").stdin(Stdio::null());
    command
}

/// What was said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Takes everything out of a pipe, beside whoever fills others.
pub fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).unwrap();
        all
    })
}

/// A FIFO in a folder.
pub fn fifo(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Writes all of it, or as much as the reader takes before it goes away.
pub fn feed(pipe: &mut impl Write, bytes: &[u8]) -> bool {
    pipe.write_all(bytes).is_ok()
}

/// Sends a signal, by its name, to a child of ours.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "{name}");
}

/// Waits for an end that must come; whoever hangs is ended after a time that no machine needs.
#[allow(clippy::disallowed_methods, reason = "waits for another process")]
pub fn end(mut child: Child) -> Output {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it does not end: {}", said(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Resident memory of a process in bytes.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Open files of a process.
pub fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Bytes on disk of files that a process holds open and that have no name any more.
pub fn unlinked(pid: u32) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let has_no_name = fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().ends_with(" (deleted)"));
        if has_no_name && let Ok(facts) = fs::metadata(entry.path()) {
            bytes += facts.blocks() * 512;
        }
    }
    bytes
}
