//! Tests of the floor: what is built is read, in every byte order, split and cut; what is damaged is told.

use std::io::Read;

use super::build::{Big, Build, Little};
use super::*;
use crate::base::{FrameNumber, Limits, Timestamp};

/// A frame or secrets that outlive the reader.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Frame { number: u64, time: i64, interface: u32, link: u32, original: u32, data: Vec<u8>, comment: Option<String> },
    Secrets(SecretsKind, Vec<u8>),
}

fn seen(item: Item<'_>) -> Seen {
    match item {
        Item::Frame(frame) => Seen::Frame {
            number: frame.number.0,
            time: frame.time.0,
            interface: frame.interface,
            link: frame.link_type.0,
            original: frame.original_len,
            data: frame.data.to_vec(),
            comment: frame.comment.map(str::to_owned),
        },
        Item::Secrets(secrets) => Seen::Secrets(secrets.kind, secrets.data.to_vec()),
    }
}

fn drain(reader: &mut Reader) -> Vec<Seen> {
    let mut all = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        all.push(seen(item));
    }
    all
}

/// Reads bytes in pieces whose lengths are `pieces`, again and again.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    pieces: Vec<usize>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let piece = self.pieces[self.turn % self.pieces.len()];
        self.turn += 1;
        let rest = &self.bytes[self.at..];
        let len = piece.min(rest.len()).min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

fn read_pieces(bytes: &[u8], pieces: &[usize]) -> Result<(Vec<Seen>, Facts), CaptureError> {
    let source = Pieces { bytes: bytes.to_vec(), at: 0, pieces: pieces.to_vec(), turn: 0 };
    let mut reader = Reader::from_read(Box::new(source), "test", &Limits::default())?;
    let all = drain(&mut reader);
    Ok((all, reader.facts()))
}

fn read(bytes: &[u8]) -> (Vec<Seen>, Facts) {
    read_pieces(bytes, &[usize::MAX]).unwrap()
}

fn frame(number: u64, time: i64, interface: u32, link: u32, original: u32, data: &[u8]) -> Seen {
    Seen::Frame { number, time, interface, link, original, data: data.to_vec(), comment: None }
}

mod codings;
mod feed;
mod files;
mod hostile;
mod order;
mod pcap;
mod pcapng;
