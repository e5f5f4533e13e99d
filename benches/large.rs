//! Whole runs over generated captures of each kind: CPU seconds, bytes per CPU second, peak memory, and the cost against
//! `cat`. Each run must find exactly the exchanges that were generated.
//!
//! `cargo bench --bench large -- [h1|h2|h3|small]... [MEGABYTES]...` (all kinds at 200 MB when nothing is said).

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a bench reports on the screen and may stop at any fault")]

mod generate;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use generate::{Kind, Made};
use nix::sys::resource::{UsageWho, getrusage};

const KINDS: [(&str, Kind); 4] =
    [("h1", Kind::Http1), ("h2", Kind::Http2), ("h3", Kind::Http3), ("small", Kind::Small)];
/// Connections at once.
const CONNECTIONS: usize = 16;
/// CPU seconds of all children that ended so far.
fn children_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage of children");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Median CPU seconds of three runs.
fn cost(mut run: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..3)
        .map(|_| {
            let before = children_seconds();
            run();
            children_seconds() - before
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[1]
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
    let seconds = cost(|| {
        forget(&har);
        let (entries, memory) = convert(&capture, &har);
        assert_eq!(entries, made.exchanges, "entries of {name}");
        peak = peak.max(memory);
    });
    let floor = cost(|| {
        forget(&copy);
        cat(&capture, Path::new("/dev/null"));
        cat(&har, &copy);
    });
    let size = made.bytes as f64 / 1e6;
    println!(
        "{name:<5} {size:>8.0} {:>9} {:>9} {seconds:>10.3} {:>8.0} {peak:>9.1} {floor:>9.3} {:>9.2}",
        made.packets,
        made.exchanges,
        size / seconds,
        seconds / floor
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
        "{:<5} {:>8} {:>9} {:>9} {:>10} {:>8} {:>9} {:>9} {:>9}",
        "kind", "MB", "packets", "exchanges", "CPU s", "MB/s", "peak MiB", "cat s", "ratio"
    );
    for megabytes in if sizes.is_empty() { vec![200] } else { sizes } {
        for &(name, kind) in if named.is_empty() { &KINDS[..] } else { &named } {
            row(name, kind, megabytes);
        }
    }
}
