//! Whole runs over generated captures: CPU seconds, bytes per CPU second, peak memory, and the cost against `cat`.
//!
//! `cargo bench --bench large -- [MEGABYTES]...` (200 when none is given).

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a bench reports on the screen and may stop at any fault")]

mod generate;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

/// CPU seconds of all children that ended so far.
fn children_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage of children");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Largest resident memory of any child that ended so far, in MiB.
fn children_peak() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage of children").max_rss() as f64 / 1024.0
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

fn main() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let sizes: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    println!(
        "{:>8} {:>9} {:>10} {:>8} {:>9} {:>9} {:>9}",
        "MB", "exchanges", "CPU s", "MB/s", "peak MiB", "cat s", "ratio"
    );
    for megabytes in if sizes.is_empty() { vec![200] } else { sizes } {
        let (capture, har, copy) = (folder.join("large.pcap"), folder.join("large.har"), folder.join("copy.har"));
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&capture).expect("a capture file"));
        let made = generate::http1(&mut file, megabytes * 1_000_000, 16, 1).expect("room for the capture");
        drop(file);
        // Replacing an existing file costs the file system more than making a new one.
        let forget = |path: &Path| drop(std::fs::remove_file(path));
        let seconds = cost(|| {
            forget(&har);
            let mut command = Command::new(env!("CARGO_BIN_EXE_harshark"));
            let status = command.arg("-q").arg(&capture).arg("-o").arg(&har).status().expect("harshark");
            assert!(status.success());
        });
        let peak = children_peak();
        let floor = cost(|| {
            forget(&copy);
            cat(&capture, Path::new("/dev/null"));
            cat(&har, &copy);
        });
        let size = made.bytes as f64 / 1e6;
        println!(
            "{size:>8.0} {:>9} {seconds:>10.3} {:>8.0} {peak:>9.1} {floor:>9.3} {:>9.2}",
            made.exchanges,
            size / seconds,
            seconds / floor
        );
        for path in [capture, har, copy] {
            std::fs::remove_file(path).expect("removing what was made");
        }
    }
}
