//! Reads one capture whose bytes are brought piece by piece.

use std::path::PathBuf;

use super::error::CaptureError;
use super::facts::Facts;
use super::reader::{BUFFER, Item, Reader};
use crate::base::Limits;

/// Bytes after which it is known what the stream is: the header of a pcap file, and more than pcapng needs.
const HEAD: usize = 24;

/// Reads a capture, pcap or pcapng, from bytes that somebody else reads: in pieces of any length, each giving the frames that
/// it makes whole. Between two pieces it holds no more than one record. Compressed captures are refused, for decompressors
/// want to ask for their bytes.
pub struct Feed {
    state: State,
    name: PathBuf,
    limits: Limits,
}

enum State {
    /// Too little came to know what it is.
    Head(Vec<u8>),
    Reading(Box<Reader>),
    /// It is no capture, or over.
    Over(Box<Facts>),
}

impl Feed {
    /// A stream of which nothing came yet; `name` stands for its path in messages.
    pub fn new(name: impl Into<PathBuf>, limits: &Limits) -> Self {
        Self { state: State::Head(Vec::new()), name: name.into(), limits: limits.clone() }
    }

    /// Takes the next bytes; `out` is given what they make whole. The error says that it is no capture, once; whatever follows
    /// is dropped.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(Item<'_>)) -> Result<(), CaptureError> {
        if let State::Head(head) = &mut self.state {
            let (first, rest) = bytes.split_at(bytes.len().min(HEAD.saturating_sub(head.len())));
            head.extend_from_slice(first);
            if head.len() < HEAD {
                return Ok(());
            }
            bytes = rest;
            self.open(false)?;
        }
        let State::Reading(reader) = &mut self.state else { return Ok(()) };
        // One large piece is not copied as a whole.
        for piece in bytes.chunks(BUFFER) {
            reader.feed(piece);
            while let Some(item) = reader.next()? {
                out(item);
            }
        }
        Ok(())
    }

    /// The stream ends; a record that was not whole is a damage.
    pub fn finish(&mut self, out: &mut dyn FnMut(Item<'_>)) -> Result<(), CaptureError> {
        if matches!(self.state, State::Head(_)) {
            self.open(true)?;
        }
        if let State::Reading(reader) = &mut self.state {
            reader.close();
            while let Some(item) = reader.next()? {
                out(item);
            }
            self.state = State::Over(Box::new(reader.facts()));
        }
        Ok(())
    }

    /// What is known so far.
    pub fn facts(&self) -> Facts {
        match &self.state {
            State::Head(_) => Facts { files: vec![self.name.clone()], ..Facts::default() },
            State::Reading(reader) => reader.facts(),
            State::Over(facts) => Facts::clone(facts),
        }
    }

    fn open(&mut self, is_all: bool) -> Result<(), CaptureError> {
        let over = State::Over(Box::new(self.facts()));
        let State::Head(head) = std::mem::replace(&mut self.state, over) else { return Ok(()) };
        let reader = Reader::fed(&head, is_all, self.name.clone(), &self.limits)?;
        self.state = State::Reading(Box::new(reader));
        Ok(())
    }
}
