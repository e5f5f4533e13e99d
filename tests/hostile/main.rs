//! Every attack through the whole engine with small limits: memory stays within them however long it goes on, the HAR is
//! valid, and the good traffic beside it is found. What it costs in instructions is `benches/hostile.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first fault")]

mod attacks;
#[path = "../../src/har/check.rs"]
mod check;
#[path = "../../benches/generate/mod.rs"]
#[allow(dead_code, reason = "shared with the benches, which use more of it")]
mod generate;
mod memory;

use std::io::{BufWriter, Read, Seek, Write};

use attacks::{Attack, GOOD};
use harshark::base::Limits;
use harshark::engine::Options;
use harshark::run::Session;
use harshark::tls::KeyLog;
use serde_json::Value;

/// Limits that every attack reaches.
fn limits() -> Limits {
    Limits {
        memory: 512 << 10,
        order_memory: 16 << 10,
        waiting: 64 << 10,
        capture_interfaces: 100,
        fragment_memory: 16 << 10,
        connections: 50,
        tcp_closed: 50,
        tcp_hole: 32 << 10,
        tcp_hole_segments: 200,
        secrets: 200,
        tls_held: 32 << 10,
        tls_message: 16 << 10,
        quic_streams: 50,
        quic_held: 16 << 10,
        head: 16 << 10,
        header_fields: 100,
        header_table: 8 << 10,
        blocked: 16 << 10,
        open_exchanges: 10,
        detect: 512,
        body: 16 << 10,
        message: 16 << 10,
        messages: 50,
        lookups: 50,
        lookup_memory: 256 << 10,
        ..Limits::default()
    }
}

/// What became of an attack.
struct Outcome {
    har: Value,
    peak: usize,
}

fn run(attack: &Attack, units: usize) -> Outcome {
    let (mut capture, mut file) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut pipe = BufWriter::new(&mut capture);
    attacks::capture(attack, units, &mut pipe).unwrap();
    pipe.flush().unwrap();
    drop(pipe);
    capture.rewind().unwrap();
    let ((), peak) = memory::peak(|| {
        let options = Options { limits: limits(), ..Options::default() };
        let mut session = Session::new(&options, "attack", KeyLog::new(&limits()));
        let mut piece = [0; 4 << 10];
        loop {
            match capture.read(&mut piece).unwrap() {
                0 => break,
                len => session.push_capture(&piece[..len]).unwrap(),
            }
        }
        let mut out = BufWriter::with_capacity(16 << 10, &mut file);
        session.end().unwrap().write(&mut out).unwrap();
        out.flush().unwrap();
    });
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    Outcome { har: serde_json::from_str(&text).unwrap(), peak }
}

fn entries(har: &Value) -> &[Value] {
    har["log"]["entries"].as_array().unwrap()
}

fn check_attack(attack: &Attack) {
    let name = attack.name;
    let (small, large) = (run(attack, attack.units), run(attack, attack.units * TIMES));
    for Outcome { har, peak } in [&small, &large] {
        check::check(har);
        let good = entries(har).iter().filter(|entry| {
            entry["request"]["url"].as_str().unwrap().starts_with("http://good.example/good/")
                && entry["response"]["content"]["text"] == "fine"
        });
        assert_eq!(good.count(), GOOD, "{name}: good exchanges");
        // These codings ask for a window (brotli for up to 16 MiB, RFC 7932 §9.1), and are not read with less.
        let has_window = name.starts_with("brotli") || name.starts_with("zstd");
        let window = if has_window { 16 << 20 } else { 0 };
        assert!(
            *peak < MOST + window + entries(har).len() * EACH,
            "{name}: {peak} bytes held, {} entries",
            entries(har).len()
        );
    }
    let more = (entries(&large.har).len() - entries(&small.har).len().min(entries(&large.har).len())) * EACH;
    assert!(
        large.peak <= small.peak + small.peak / 4 + TAILS + more,
        "{name}: {} bytes held, then {} for {TIMES} times as much",
        small.peak,
        large.peak
    );
}

/// What may be held besides entries: the limits, what is read and written at once, and as much again for what allocators
/// round up to.
const MOST: usize = 2 << 20;
/// What may be held for each entry: 64 bytes in the index of the writer, and 80 on the way there; lists double their room, and hold
/// the old one while they move.
const EACH: usize = 3 * (64 + 80);
/// What temporary files gather before they write: three of them, and as much again while they come to that.
const TAILS: usize = 3 * (256 << 10);
/// How much more of each attack there is the second time.
const TIMES: usize = 8;

macro_rules! tests {
    ($($test:ident: $at:expr;)*) => {
        $(
            #[test]
            fn $test() {
                let all = attacks::all();
                let mine = all.iter().enumerate().filter(|(at, _)| at % 8 == $at).map(|(_, attack)| attack);
                let mut failed = Vec::new();
                for attack in mine {
                    let done = std::panic::catch_unwind(|| check_attack(attack));
                    if done.is_err() {
                        failed.push(attack.name);
                    }
                }
                assert!(failed.is_empty(), "{failed:?}");
            }
        )*
    };
}

// Parts, so that they run side by side.
tests! {
    attacks_are_survived_0: 0;
    attacks_are_survived_1: 1;
    attacks_are_survived_2: 2;
    attacks_are_survived_3: 3;
    attacks_are_survived_4: 4;
    attacks_are_survived_5: 5;
    attacks_are_survived_6: 6;
    attacks_are_survived_7: 7;
}

#[test]
fn attacks_are_what_they_say() {
    let all = attacks::all();
    let mut names: Vec<&str> = all.iter().map(|attack| attack.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
    let size = |attack: &Attack, units: usize| {
        let mut bytes = Vec::new();
        attacks::capture(attack, units, &mut bytes).unwrap();
        bytes.len()
    };
    for attack in &all {
        let (none, small, large) = (size(attack, 0), size(attack, attack.units), size(attack, attack.units * 4));
        assert!((30_000..500_000).contains(&small), "{}: {small} bytes", attack.name);
        let times = (large - none) as f64 / (small - none) as f64;
        assert!((3.5..4.5).contains(&times), "{}: {small} bytes, then {large}", attack.name);
    }
}
