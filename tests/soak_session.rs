//! A session of frames for days, written and begun anew every hour, in this process: nothing else runs in it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]
#![cfg(target_os = "linux")]

#[path = "support/mod.rs"]
mod support;

use std::io::{self, Write};

use harshark::engine::Options;
use harshark::run::Session;
use harshark::tls::KeyLog;
use support::days::{DAY, Days};
use support::steady::{SEGMENT, SLACK, Watch};

/// Looks in a run.
const LOOKS: u64 = 50;

/// Takes a HAR and keeps its length.
#[derive(Default)]
struct Length(u64);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn days_of_a_session_take_the_memory_of_hours() {
    let named = std::env::var("HARSHARK_SOAK_DAYS").ok().and_then(|days| days.parse().ok());
    let minutes = named.unwrap_or(10) * DAY;
    let mut session = Session::new(&Options::default(), "days", KeyLog::default());
    let (mut days, mut watch) = (Days::new(), Watch::default());
    let (mut entries, mut longest) = (0, 0);
    for minute in 0..minutes {
        days.minute();
        session.push_capture(&days.tape.take()).unwrap();
        if minute % 60 == 59 {
            let mut length = Length::default();
            entries += session.snapshot(&mut length).unwrap().entries;
            longest = length.0.max(longest);
            session.rotate();
        }
        if minute % (minutes / LOOKS) == 0 {
            watch.look(std::process::id());
        }
    }
    let mut rest = session.end().unwrap();
    entries += rest.write(&mut Length::default()).unwrap().entries;
    watch.assert_steady(SLACK, SEGMENT);
    assert_eq!(entries, days.made.entries);
    // An hour's file does not hold what other hours brought.
    assert!(longest < 16 << 20, "{longest} bytes");
}
