//! Whole runs over generated captures of each kind: seconds, bytes per CPU second, peak memory, and the cost against
//! `cat CAPTURE >/dev/null; cat HAR >COPY`. Each run must find exactly the exchanges that were generated.
//!
//! `cargo bench --bench large -- [h1|h2|h3|small]... [MEGABYTES]...` (all kinds at 200 MB when nothing is said).

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a bench reports on the screen and may stop at any fault")]
#![allow(clippy::disallowed_methods, reason = "a bench looks at the clock")]

mod generate;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use generate::{Kind, Made};
use nix::sys::resource::{UsageWho, getrusage};

const KINDS: [(&str, Kind); 4] =
    [("h1", Kind::Http1), ("h2", Kind::Http2), ("h3", Kind::Http3), ("small", Kind::Small)];
/// Runs of each; what is told is the one in the middle.
const RUNS: usize = 5;
/// Connections at once.
const CONNECTIONS: usize = 16;

/// What something took, in seconds.
#[derive(Clone, Copy)]
struct Seconds {
    wall: f64,
    cpu: f64,
}

/// CPU seconds of all children that ended so far.
fn children_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage of children");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn cost(run: impl FnOnce()) -> Seconds {
    let (start, before) = (Instant::now(), children_seconds());
    run();
    Seconds { wall: start.elapsed().as_secs_f64(), cpu: children_seconds() - before }
}

/// The medians of wall and CPU.
fn median(runs: &[Seconds]) -> Seconds {
    let middle = |of: fn(&Seconds) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Seconds { wall: middle(|run| run.wall), cpu: middle(|run| run.cpu) }
}

fn cat(from: &Path, to: &Path) {
    let to = File::create(to).expect("a file to copy to");
    let status = Command::new("cat").arg(from).stdout(Stdio::from(to)).status().expect("cat");
    assert!(status.success());
}

fn generate(kind: Kind, megabytes: u64, capture: &Path) -> Made {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(capture).expect("a capture file"));
    let made =
        generate::generate(kind, &mut file, megabytes * 1_000_000, CONNECTIONS, 1).expect("room for the capture");
    file.flush().expect("room for the capture");
    made
}

/// Makes the HAR; gives the number of its entries and the largest resident memory in MiB.
fn convert(capture: &Path, har: &Path) -> (u64, f64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harshark"));
    // Only the secrets in the file count.
    command.env_remove("SSLKEYLOGFILE").arg("--resource-usage").arg(capture).arg("-o").arg(har);
    let output = command.output().expect("harshark");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let after = |words: &str| report.split_once(words)?.1.split_whitespace().next();
    let entries = after("  entries ").and_then(|number| number.parse().ok()).expect("how many entries there are");
    // Its own word: what the system says of a child counts this program, which it was forked from, as well.
    let kibibytes: f64 = after("peak memory ").and_then(|number| number.parse().ok()).expect("the peak memory");
    (entries, kibibytes / 1024.0)
}

fn row(name: &str, kind: Kind, megabytes: u64) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (capture, har, copy) = (folder.join("large.pcap"), folder.join("large.har"), folder.join("copy.har"));
    let made = generate(kind, megabytes, &capture);
    // Replacing an existing file costs the file system more than making a new one.
    let forget = |path: &Path| drop(std::fs::remove_file(path));
    let mut peak = 0.0f64;
    let (mut runs, mut floors) = (Vec::new(), Vec::new());
    // Side by side, for the machine may be slower at times.
    for _ in 0..RUNS {
        runs.push(cost(|| {
            forget(&har);
            let (entries, memory) = convert(&capture, &har);
            assert_eq!(entries, made.exchanges, "entries of {name}");
            peak = peak.max(memory);
        }));
        floors.push(cost(|| {
            forget(&copy);
            cat(&capture, Path::new("/dev/null"));
            cat(&har, &copy);
        }));
    }
    let (run, floor) = (median(&runs), median(&floors));
    let size = made.bytes as f64 / 1e6;
    println!(
        "{name:<5} {size:>6.0} {:>9} {:>9} {:>7.2} {:>7.2} {:>8.0} {peak:>9.1} {:>8.2} {:>8.2} {:>8.2} {:>8.2}",
        made.packets,
        made.exchanges,
        run.wall,
        run.cpu,
        size / run.cpu,
        floor.wall,
        floor.cpu,
        run.wall / floor.wall,
        run.cpu / floor.cpu
    );
    for path in [capture, har, copy] {
        std::fs::remove_file(path).expect("removing what was made");
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let named: Vec<_> = KINDS.into_iter().filter(|(name, _)| words.iter().any(|word| word == name)).collect();
    let sizes: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    println!(
        "{:<5} {:>6} {:>9} {:>9} {:>7} {:>7} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8}",
        "kind",
        "MB",
        "packets",
        "exchanges",
        "wall s",
        "CPU s",
        "MB/CPUs",
        "peak MiB",
        "cat wall",
        "cat CPU",
        "wall :",
        "CPU :"
    );
    for megabytes in if sizes.is_empty() { vec![200] } else { sizes } {
        for &(name, kind) in if named.is_empty() { &KINDS[..] } else { &named } {
            row(name, kind, megabytes);
        }
    }
}
