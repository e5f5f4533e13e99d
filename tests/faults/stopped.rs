//! Asked to stop: what was read until then is written.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use crate::scene::{Scene, capture, first, line_paths, paths};
use crate::support::process::{end, fifo, said, signal};

/// Starts a run on a pipe that has brought `count` exchanges and then stays silent, stops it, and gives what was written.
fn stop(word: &str, format: &str, by_name: bool, count: usize) -> Vec<u8> {
    let scene = Scene::new();
    let target = scene.path("out/page");
    let bytes = capture(count, 1000);
    let mut command = scene.command();
    command.args(["--format", format, "-o"]).arg(&target).stdin(Stdio::piped()).stderr(Stdio::piped());
    // A file that is read before it tells that the run has come to the pipe.
    let mut pipe: Box<dyn Write>;
    let mut child;
    if by_name {
        let path: PathBuf = fifo(&scene.path("out"), "input");
        child = command.arg(&path).spawn().unwrap();
        pipe = Box::new(fs::File::options().write(true).open(&path).unwrap());
        fs::remove_file(path).unwrap();
    } else {
        child = command.arg("-").spawn().unwrap();
        pipe = Box::new(child.stdin.take().unwrap());
    }
    // More than a pipe holds, so that its reader is at work when all was taken.
    pipe.write_all(&bytes).unwrap();
    signal(&child, word);
    let ended = end(child);
    assert_eq!(ended.status.code(), Some(0), "{word}: {}", said(&ended));
    assert!(said(&ended).contains("(stopped early)"), "{word}: {}", said(&ended));
    drop(pipe);
    assert_eq!(scene.names("out"), ["page"]);
    fs::read(target).unwrap()
}

/// What was taken from the pipe when the signal came is used; how much that is depends on the moment. It is a beginning of the traffic.
fn assert_beginning(found: &[String], least: usize) {
    assert!(found.len() >= least, "{found:?}");
    let wanted = first("a", found.len());
    assert!(found == wanted, "{found:?}");
}

#[test]
fn a_signal_ends_the_reading_and_the_har_is_whole() {
    for word in ["INT", "TERM", "HUP"] {
        assert_beginning(&paths(&stop(word, "har", false, 200)), 1);
    }
}

#[test]
fn a_signal_ends_lines() {
    assert_beginning(&line_paths(&stop("TERM", "ndjson", false, 200)), 1);
}

#[test]
fn a_silent_fifo_is_left_as_well() {
    assert_beginning(&paths(&stop("INT", "har", true, 200)), 1);
}
