//! Readers that go away: nobody's fault, and no reason to go on.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::scene::{Scene, capture};
use crate::support::process::{end, said};

#[test]
fn a_reader_that_has_enough_is_no_fault() {
    let scene = Scene::new();
    let input = scene.put("big.pcap", &capture(20, 60_000));
    for format in ["har", "ndjson"] {
        let mut command = scene.command();
        command.arg(&input).args(["--format", format, "-o", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut some = [0; 100];
        child.stdout.take().unwrap().read_exact(&mut some).unwrap();
        let ended = end(child);
        assert_eq!((ended.status.code(), said(&ended).as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn a_reader_that_goes_away_while_nothing_comes_ends_it() {
    let scene = Scene::new();
    let input = capture(3, 1000);
    for format in ["har", "ndjson"] {
        let mut command = scene.command();
        command.args(["-", "-q", "--format", format, "-o", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(&input).unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        if format == "ndjson" {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert!(line.starts_with('{'), "{line}");
        }
        drop(reader);
        // The pipe stays open, and silent.
        let ended = end(child);
        assert_eq!((ended.status.code(), said(&ended).as_str()), (Some(0), ""), "{format}");
        drop(pipe);
    }
}
