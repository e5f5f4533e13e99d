//! Fuzz bodies of the readers of captures.

use std::io::{Cursor, Read};

use super::coding::Coding;
use super::{Feed, Item, Reader};
use crate::base::Limits;
use crate::base::fuzzing::{Dice, pieces};

/// Digest of everything that was told: number, time, link and bytes of each frame, and secrets.
#[derive(Debug, Default, PartialEq)]
struct Digest {
    frames: u64,
    bytes: usize,
    sum: u64,
}

impl Digest {
    fn take(&mut self, item: Item<'_>) {
        let (facts, data) = match &item {
            Item::Frame(frame) => {
                self.frames += 1;
                (frame.number.0 ^ frame.time.0 as u64 ^ u64::from(frame.link_type.0) << 40, frame.data)
            }
            Item::Secrets(secrets) => (1, secrets.data),
        };
        self.bytes += data.len();
        self.sum = self.sum.rotate_left(7) ^ facts ^ Dice::of(data).0;
    }
}

fn limits() -> Limits {
    // A zstd frame may ask for a window of that size at once.
    Limits { memory: 8 << 20, frame: 100_000, capture_block: 200_000, capture_interfaces: 100, ..Limits::default() }
}

/// A source that gives few bytes at a time.
struct Slow(Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(if self.0.position() < 1024 { 1 } else { 61 });
        self.0.read(&mut into[..most])
    }
}

/// Reads until there is nothing more, or too much; with the number of damages.
fn read(source: Box<dyn Read + Send>, most: usize) -> Option<(Digest, u64)> {
    let mut digest = Digest::default();
    let mut reader = Reader::from_read(source, "fuzz", &limits()).ok()?;
    while let Ok(Some(item)) = reader.next() {
        digest.take(item);
        if digest.bytes > most {
            break;
        }
    }
    let facts = reader.facts();
    assert!(facts.damage.len() <= limits().anomalies_kept);
    Some((digest, facts.damages))
}

/// pcap and pcapng: the same at once, slowly, and fed in pieces; never more than the bytes hold.
pub fn reader(data: &[u8]) {
    if Coding::of(data).is_some() {
        return;
    }
    let whole = read(Box::new(Cursor::new(data.to_vec())), usize::MAX);
    assert_eq!(whole, read(Box::new(Slow(Cursor::new(data.to_vec()))), usize::MAX));
    let mut fed = Digest::default();
    let mut feed = Feed::new("fuzz", &limits());
    let mut rest = data;
    let mut is_capture = true;
    for piece in pieces(&mut Dice::of(data), data.len()) {
        let (part, after) = rest.split_at(piece);
        is_capture &= feed.push(part, &mut |item| fed.take(item)).is_ok();
        rest = after;
    }
    is_capture &= feed.finish(&mut |item| fed.take(item)).is_ok();
    assert_eq!(whole.is_some(), is_capture);
    if let Some((digest, damages)) = whole {
        // Each record has a header of its own.
        assert!(digest.frames as usize <= data.len() / 16 && digest.bytes <= data.len());
        assert_eq!((digest, damages), (fed, feed.facts().damages));
    }
}

/// Compressed captures: the same at once and slowly, but for what stands right before a fault.
pub fn compressed(data: &[u8]) {
    /// What is read of a bomb.
    const MOST: usize = 1 << 20;
    if Coding::of(data).is_some() {
        let whole = read(Box::new(Cursor::new(data.to_vec())), MOST);
        let slow = read(Box::new(Slow(Cursor::new(data.to_vec()))), MOST);
        if whole.as_ref().is_some_and(|(_, damages)| *damages == 0) {
            assert_eq!(whole, slow);
        }
    }
}
