//! What each attack costs, in instructions and memory, at two sizes: the cost must grow as the traffic does. valgrind counts the
//! instructions, for time says little and the machine's own counters are not everywhere.
//!
//! `cargo bench --bench hostile -- [TIMES] [NAME]`: so many times the usual sizes (1 when nothing is said); only attacks whose name holds
//! this.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic, reason = "a bench reports and stops at any fault")]

#[path = "../tests/hostile/attacks/mod.rs"]
mod attacks;
#[allow(dead_code, reason = "shared with the other bench, which uses more of it")]
mod generate;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use attacks::Attack;

/// The larger size is so many times the smaller one.
const FACTOR: usize = 4;
/// What a byte of the larger capture may cost beside one of the smaller: with a cost that grows as the square it would be four.
const GROWTH: f64 = 1.3;
/// Instructions that a byte of capture may cost; decompression is paid by what comes out: a thousand times as much, at thirty a byte.
const EACH: f64 = 30_000.0;
/// What the program is told to get along with.
const MEMORY: &str = "32m";
/// KiB that it may hold: these, with its own code and the window of a decoder (16 MiB).
const HELD: f64 = (32.0 + 12.0 + 16.0) * 1024.0;
/// Bytes that an entry may hold.
const ENTRY: f64 = 160.0;

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    bytes: u64,
    instructions: u64,
    /// Largest resident memory in KiB, without valgrind.
    memory: f64,
    entries: u64,
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The program without what debuggers want, which valgrind would read each time.
fn stripped(folder: &Path) -> PathBuf {
    let to = folder.join("harshark-stripped");
    let from = env!("CARGO_BIN_EXE_harshark");
    let done = Command::new("strip").arg(from).arg("-o").arg(&to).status();
    if done.is_ok_and(|status| status.success()) { to } else { PathBuf::from(from) }
}

fn number_after(text: &str, words: &str) -> Option<u64> {
    let rest = text.split_once(words)?.1;
    let digits: String = rest.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    digits.replace(',', "").parse().ok()
}

fn measure(program: &Path, attack: &Attack, units: usize, folder: &Path, nth: usize) -> Cost {
    let capture = folder.join(format!("attack-{nth}.pcapng"));
    let har = folder.join(format!("attack-{nth}.har"));
    let mut file = BufWriter::new(File::create(&capture).expect("a capture file"));
    attacks::capture(attack, units, &mut file).expect("room for the capture");
    file.flush().expect("room for the capture");
    drop(file);
    let bytes = capture.metadata().expect("the capture").len();
    let run = |command: &mut Command| {
        let output = command
            .args(["--memory", MEMORY])
            .arg(&capture)
            .arg("-o")
            .arg(&har)
            .env_remove("SSLKEYLOGFILE")
            .output()
            .expect("a run");
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some_and(|code| code <= 1), "{}: {report}", attack.name);
        report
    };
    let mut counted = Command::new("valgrind");
    let options = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
    let report = run(counted.args(options).arg(program).arg("-q"));
    let instructions = number_after(&report, "I refs:").or_else(|| number_after(&report, "I   refs:"));
    let report = run(Command::new(program).arg("--resource-usage"));
    let cost = Cost {
        bytes,
        instructions: instructions.expect("valgrind tells the instructions"),
        memory: number_after(&report, "peak memory ").expect("the peak memory") as f64,
        entries: number_after(&report, "  entries ").unwrap_or(0),
    };
    for path in [capture, har] {
        std::fs::remove_file(path).expect("removing what was made");
    }
    cost
}

/// Instructions that a byte costs beyond what a capture without attack takes.
fn each(cost: Cost, none: Cost) -> f64 {
    cost.instructions.saturating_sub(none.instructions) as f64 / (cost.bytes - none.bytes) as f64
}

fn main() {
    if !is_there("valgrind") {
        println!("hostile: no valgrind: the cost of attacks is not counted");
        return;
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let times = words.iter().find_map(|word| word.parse().ok()).unwrap_or(1);
    let name = words.iter().find(|word| word.parse::<usize>().is_err());
    let mut chosen = attacks::all();
    chosen.retain(|attack| name.is_none_or(|name| attack.name.contains(name.as_str())));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = stripped(folder);
    let Some(first) = chosen.first() else { return };
    let none = measure(&program, first, 0, folder, usize::MAX);
    println!("{:<54} {:>8} {:>10} {:>10} {:>6} {:>9}", "attack", "KB", "instr/B", "4 times", "ratio", "peak MiB");
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(attack) = chosen.get(next.fetch_add(1, Relaxed)) {
            let nth = chosen.iter().position(|other| other.name == attack.name).unwrap_or_default();
            let small = measure(&program, attack, attack.units * times, folder, nth);
            let large = measure(&program, attack, attack.units * times * FACTOR, folder, nth);
            let (one, other) = (each(small, none), each(large, none));
            println!(
                "{:<54} {:>8.0} {one:>10.0} {other:>10.0} {:>6.2} {:>9.1}",
                attack.name,
                large.bytes as f64 / 1000.0,
                other / one,
                large.memory / 1024.0
            );
            let entries = large.entries as f64 * ENTRY / 1024.0;
            let is_linear = other <= one * GROWTH + 20.0;
            let is_cheap = other <= EACH;
            let is_bounded = large.memory <= HELD + entries;
            if !(is_linear && is_cheap && is_bounded) {
                faults.lock().expect("no thread failed").push(attack.name);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let faults = faults.into_inner().expect("no thread failed");
    assert!(faults.is_empty(), "these cost more than they may: {faults:#?}");
    println!("hostile: {} attacks cost as much as their traffic", chosen.len());
}
