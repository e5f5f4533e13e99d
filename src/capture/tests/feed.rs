//! What is fed is what is read.

use std::path::Path;

use super::*;

fn feed(bytes: &[u8], mut piece: impl FnMut() -> usize) -> (Vec<Seen>, Facts) {
    let mut all = Vec::new();
    let mut feed = Feed::new("test", &Limits::default());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        feed.push(now, &mut |item| all.push(seen(item))).unwrap();
        rest = later;
    }
    feed.finish(&mut |item| all.push(seen(item))).unwrap();
    (all, feed.facts())
}

fn captures() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut captures: Vec<Vec<u8>> =
        ["raw-h1.pcapng", "small-h2.pcapng"].iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect();
    let mut pcap = 0xa1b2_c3d4u32.to_le_bytes().to_vec();
    pcap.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
    for number in 0..50u32 {
        let len = number * 37 % 300;
        for word in [number, number * 7, len, len] {
            pcap.extend(word.to_le_bytes());
        }
        pcap.extend((0..len).map(|at| (at ^ number) as u8));
    }
    captures.push(pcap);
    captures
}

#[test]
fn any_split_gives_what_the_reader_gives() {
    let mut state = 5u64;
    let mut random = move |most: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % most) as usize
    };
    for capture in captures() {
        let whole = read(&capture);
        assert!(!whole.0.is_empty());
        assert_eq!(feed(&capture, || usize::MAX), whole);
        assert_eq!(feed(&capture, || 7), whole);
        for _ in 0..10 {
            assert_eq!(feed(&capture, || random(900)), whole);
        }
        // Cut anywhere, and damaged anywhere, both tell the same.
        for _ in 0..60 {
            let mut bytes = capture[..30 + random(capture.len() as u64 - 30)].to_vec();
            assert_eq!(feed(&bytes, || random(5000)), read(&bytes));
            let at = 28 + random(bytes.len() as u64 - 28);
            bytes[at] ^= 1 << random(8);
            assert_eq!(feed(&bytes, || random(5000)), read(&bytes));
        }
    }
}

#[test]
fn a_frame_comes_with_its_last_byte() {
    let capture = captures().pop().unwrap();
    let mut feed = Feed::new("test", &Limits::default());
    let mut frames = 0;
    // The header, then the first record: 16 bytes without data.
    feed.push(&capture[..39], &mut |_| frames += 1).unwrap();
    assert_eq!(frames, 0);
    feed.push(&capture[39..40], &mut |_| frames += 1).unwrap();
    assert_eq!(frames, 1);
}

#[test]
fn what_is_no_capture_is_told_once() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: example.com\r\n"[..],
        &[0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1],
    ] {
        let mut feed = Feed::new("test", &Limits::default());
        assert!(matches!(feed.push(bytes, &mut |_| {}), Err(CaptureError::NotACapture { .. })));
        assert!(feed.push(bytes, &mut |_| {}).is_ok());
        assert!(feed.finish(&mut |_| {}).is_ok());
    }
    let mut feed = Feed::new("test", &Limits::default());
    assert!(matches!(feed.finish(&mut |_| {}), Err(CaptureError::Empty { .. })));
    let mut feed = Feed::new("test", &Limits::default());
    feed.push(&0xa1b2_c3d4u32.to_le_bytes(), &mut |_| {}).unwrap();
    assert!(matches!(feed.finish(&mut |_| {}), Err(CaptureError::HeaderCut { .. })));
}
