//! Captures that cannot be read to their end.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Output;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::scene::{Scene, capture, faulty, first, paths};
use crate::support::blocks::{PACKET, blocks, records};
use crate::support::data;
use crate::support::process::{run, said};

/// "Input/output error".
const EIO: i32 = 5;

/// The offset in a message about a damage.
fn offset(output: &Output) -> u64 {
    let text = said(output);
    let rest = text.split_once(": at byte ").unwrap_or_else(|| panic!("no offset: {text}")).1;
    rest.split(':').next().unwrap().parse().unwrap()
}

/// A damaged capture: exit 1, the file named; gives what was found.
fn damaged(scene: &Scene, input: &Path) -> (Output, Vec<String>) {
    let output = run(scene.command().arg(input).args(["-q", "-o", "-"]));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&format!("damaged: {}: at byte ", input.display())), "{}", said(&output));
    let found = paths(&output.stdout);
    (output, found)
}

#[test]
fn a_cut_record_is_told_with_its_place() {
    let scene = Scene::new();
    let whole = capture(10, 3000);
    let mut at = 24;
    for (number, record) in records(&whole).iter().enumerate() {
        // In the header of the record, and in its packet.
        for cut in if number % 16 == 9 { vec![at + 7, at + 16, at + record.len() - 1] } else { vec![] } {
            let (output, found) = damaged(&scene, &scene.put("cut.pcap", &whole[..cut]));
            assert_eq!(offset(&output), at as u64, "cut at {cut}");
            assert!(found.len() < 10 && found == first("a", found.len()), "cut at {cut}: {found:?}");
        }
        at += record.len();
    }
    // Between two records nothing is missing that anybody could know of.
    let output = run(scene.command().arg(scene.put("even.pcap", &whole[..at])).args(["-q", "-o", "-"]));
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_cut_block_is_told_with_its_place() {
    let scene = Scene::new();
    let whole = std::fs::read(data("small-clear.pcapng")).unwrap();
    let mut at = 0;
    for (number, (kind, block)) in blocks(&whole).into_iter().enumerate() {
        if kind == PACKET && number % 60 == 50 {
            for cut in [at + 5, at + block.len() - 1] {
                let input = scene.put("cut.pcapng", &whole[..cut]);
                let output = run(scene.command().arg(&input).args(["-q", "-o", "-"]));
                assert_eq!((output.status.code(), offset(&output)), (Some(1), at as u64), "{}", said(&output));
            }
        }
        at += block.len();
    }
}

#[test]
fn compressed_captures_are_used_as_far_as_they_go() {
    let scene = Scene::new();
    let whole = capture(100, 3000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&whole).unwrap();
    let blocks = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(blocks, Vec::new());
    lz4.write_all(&whole).unwrap();
    let zstd = zstd::encode_all(whole.as_slice(), 3).unwrap();
    for (name, packed) in [("a.gz", gzip.finish().unwrap()), ("a.lz4", lz4.finish().unwrap()), ("a.zst", zstd)] {
        let all = run(scene.command().arg(scene.put(name, &packed)).args(["-q", "-o", "-"]));
        assert!(all.status.success() && paths(&all.stdout).len() == 100, "{name}: {}", said(&all));
        let (output, found) = damaged(&scene, &scene.put(name, &packed[..packed.len() * 3 / 4]));
        assert!(found.len() > 10 && found.len() < 100, "{name}: {}", found.len());
        assert_eq!(found, first("a", found.len()), "{name}");
        // The place is one in the capture, not in the compressed file.
        assert!(offset(&output) > packed.len() as u64 / 2 && offset(&output) < whole.len() as u64, "{}", said(&output));
    }
}

#[test]
fn gzip_that_breaks_is_used_up_to_there() {
    let scene = Scene::new();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&capture(100, 3000)).unwrap();
    let mut packed = gzip.finish().unwrap();
    let middle = packed.len() * 2 / 3;
    packed[middle..middle + 64].fill(0xff);
    let (_, found) = damaged(&scene, &scene.put("broken.pcap.gz", &packed));
    assert!(!found.is_empty() && found.len() < 100 && found == first("a", found.len()), "{found:?}");
}

#[test]
fn a_disk_that_fails_in_the_middle_is_named() {
    let scene = Scene::new();
    let whole = capture(100, 60_000);
    let input = scene.put("big.pcap", &whole);
    let mut command = scene.command();
    command.arg(&input).args(["-o", "-"]);
    let output = faulty(&mut command, "read", 8, &input, Some(EIO));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("big.pcap: at byte ") && said(&output).contains("Input/output error"),
        "{}",
        said(&output)
    );
    let found = paths(&output.stdout);
    assert!(!found.is_empty() && found == first("a", found.len()), "{found:?}");
    assert!(offset(&output) > 0 && offset(&output) < whole.len() as u64);
}

#[test]
fn what_cannot_be_read_at_all_is_a_failure() {
    let scene = Scene::new();
    let target = scene.put("out/page.har", b"old");
    let directory = File::open(scene.path("out")).unwrap();
    let mut from_directory = scene.command();
    from_directory.arg("-").stdin(directory);
    let mut from_memory = scene.command();
    from_memory.arg("/proc/self/mem");
    for (mut command, words) in
        [(from_directory, "standard input: is a directory"), (from_memory, "/proc/self/mem: cannot be read: ")]
    {
        let output = run(command.arg("-o").arg(&target));
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
    }
}
