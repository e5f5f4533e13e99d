//! `harshark - --format ndjson` behind a pipe that does not end for days.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::days;

use crate::support::days::{DAY, Days};
use crate::support::process::{drain, harshark, said};
use crate::support::steady::{SLACK, Watch};

/// Looks at the process in a run.
const LOOKS: u64 = 50;

/// What the lines say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    lines: u64,
    /// Lines that waited for a lookup.
    looked_up: u64,
    /// Lines of pages that name Wireshark's number of their stream.
    numbered: u64,
    /// Messages on the WebSockets that were closed.
    messages: u64,
}

/// The number behind some words.
fn number(line: &str, words: &str) -> Option<u64> {
    let rest = line.split_once(words)?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn listen(pipe: impl Read) -> Told {
    let mut told = Told::default();
    for line in BufReader::with_capacity(1 << 20, pipe).lines() {
        let line = line.unwrap();
        assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
        told.lines += 1;
        told.looked_up += u64::from(line.contains("\"_dns\":"));
        told.messages += line.matches("message of the day").count() as u64;
        // The path says what the number must be.
        let stream = number(&line, "\"tcpStream\":");
        assert!(stream.is_none() || stream == number(&line, "?stream="), "{line}");
        told.numbered += u64::from(stream.is_some() && line.contains("/document?"));
    }
    told
}

#[test]
fn days_of_lines_take_the_memory_of_hours() {
    let mut child = harshark()
        .args(["-", "--format", "ndjson", "-q", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let listener = std::thread::spawn(move || listen(out));
    let errors = drain(child.stderr.take().unwrap());
    let mut pipe = child.stdin.take().unwrap();
    let (mut days, mut watch) = (Days::new(), Watch::default());
    let minutes = self::days() * DAY;
    for minute in 0..minutes {
        days.minute();
        pipe.write_all(&days.tape.take()).unwrap();
        if minute % (minutes / LOOKS) == 0 {
            watch.look(child.id());
        }
    }
    drop(pipe);
    let told = listener.join().unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}{}", said(&ended), String::from_utf8_lossy(&errors.join().unwrap()));
    watch.assert_steady(SLACK, 0);
    let made = days.made;
    let wanted = Told { lines: made.entries, looked_up: made.pages, numbered: made.pages * 3, messages: made.messages };
    assert_eq!(told, wanted);
}
