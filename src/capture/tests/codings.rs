//! Compressed captures.

use std::io::Write;

use super::*;

/// A capture that does not compress to nothing.
fn capture(frames: u32) -> Vec<u8> {
    let mut build = Build::pcap(Little, 0xa1b2_c3d4, 1);
    let mut noise = 1u32;
    for turn in 0..frames {
        let data: Vec<u8> = (0..turn % 700)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 28) as u8
            })
            .collect();
        build.record(turn, 0, 700, &data);
    }
    build.bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 3).unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Compress = fn(&[u8]) -> Vec<u8>;
const CODINGS: [(&str, Compress); 3] = [("gzip", gzip), ("zstd", zstd), ("lz4", lz4)];

#[test]
fn members_behind_one_another_are_one_stream() {
    let plain = capture(1500);
    let wanted = read(&plain);
    for (name, compress) in CODINGS {
        let (one, two) = plain.split_at(100_001);
        let mut packed = compress(one);
        if name != "gzip" {
            packed.extend(b"\x5a\x2a\x4d\x18\x03\0\0\0abc");
        }
        packed.extend(compress(b""));
        packed.extend(compress(two));
        assert!(packed.len() < plain.len());
        assert_eq!(read(&packed), wanted, "{name}");
        assert_eq!(read_pieces(&packed, &[1, 7, 3000]).unwrap(), wanted, "{name}");
    }
    let mut pzstd = b"\x50\x2a\x4d\x18\x04\0\0\0size".to_vec();
    pzstd.extend(zstd(&plain));
    assert_eq!(read(&pzstd), wanted);
}

#[test]
fn a_cut_stream_gives_what_is_before_the_cut() {
    let plain = capture(4000);
    let wanted = read(&plain).0;
    for (name, compress) in CODINGS {
        let packed = compress(&plain);
        let mut most = 0;
        for part in 1..8 {
            let cut = &packed[..packed.len() * part / 8];
            let (all, facts) = match read_pieces(cut, &[usize::MAX]) {
                Ok(read) => read,
                Err(error) => panic!("{name} {part}: {error}"),
            };
            assert_eq!(all, wanted[..all.len()], "{name}");
            assert_eq!(facts.damages, 1, "{name}");
            assert!(all.len() >= most, "{name}");
            most = all.len();
        }
        // Half of the last eighth at least, whatever the block size.
        assert!(most > 3000, "{name}: {most} frames");
    }
}

#[test]
fn corrupt_streams_give_what_is_before_the_fault() {
    let plain = capture(1500);
    let wanted = read(&plain).0;
    for (name, compress) in CODINGS {
        let mut packed = compress(&plain);
        let middle = packed.len() * 3 / 4;
        packed[middle..].fill(0xff);
        let (all, facts) = read(&packed);
        // Where the coding has no checksum so far, wrong bytes may pass before the fault shows.
        let right = all.iter().zip(&wanted).take_while(|(one, other)| one == other).count();
        assert!(right > 300, "{name}: {right}");
        assert!(facts.damages > 0, "{name}");
    }
}

#[test]
fn what_does_not_decompress_is_an_error() {
    for (head, coding) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff\xff"[..], "gzip"),
        (b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "zstd"),
        (b"\x04\x22\x4d\x18\xff\xff\xff\xff", "lz4"),
    ] {
        match read_pieces(head, &[usize::MAX]) {
            Err(CaptureError::Compressed { coding: said, .. }) => assert_eq!(said, coding),
            other => panic!("{coding}: {other:?}"),
        }
    }
    let error = read_pieces(&gzip(b"<html><body>"), &[usize::MAX]).unwrap_err();
    assert!(error.to_string().contains("HTML"), "{error}");
    assert!(matches!(read_pieces(&gzip(b""), &[usize::MAX]), Err(CaptureError::Empty { .. })));
}
