//! Entries that wait for their turn: in memory, then on a shelf in the spool.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use super::draft::Text;
use super::late::Late;
use super::lookup::{Lookups, Waited};
use crate::base::{Spool, Stored};

/// What stays in memory of an entry on the shelf: less than 64 bytes.
#[derive(Debug, Clone)]
pub struct Row {
    /// Start in nanoseconds since 1970; a lookup moves it.
    start: i64,
    connection: u64,
    number: u32,
    text: Place,
    /// The lookup it waited for.
    pub waited: Option<Box<Waited>>,
}

#[derive(Debug, Clone)]
enum Place {
    Here(Arc<(Late, Text)>),
    /// Length of the late members (4 bytes), these as JSON, text.
    Shelf(Stored),
}

/// Bytes read at once from the shelf.
const STEP: u64 = 256 << 10;

impl Row {
    fn key(&self) -> (i64, u64, u32) {
        (self.start, self.connection, self.number)
    }

    /// The late members.
    pub fn late(&self) -> io::Result<Cow<'_, Late>> {
        match &self.text {
            Place::Here(entry) => Ok(Cow::Borrowed(&entry.0)),
            Place::Shelf(stored) => {
                let mut buffer = Vec::new();
                let end = Self::late_end(stored, &mut buffer)?;
                stored.read(4, end - 4, &mut buffer)?;
                Ok(Cow::Owned(serde_json::from_slice(&buffer)?))
            }
        }
    }

    /// Hands on the text in pieces.
    pub fn text<E: From<io::Error>>(&self, each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match &self.text {
            Place::Here(entry) => entry.1.pieces(each),
            Place::Shelf(stored) => stored.steps(Self::late_end(stored, &mut Vec::new())?, STEP, each),
        }
    }

    /// Where the text begins on the shelf.
    fn late_end(stored: &Stored, buffer: &mut Vec<u8>) -> io::Result<u64> {
        stored.read(0, 4, buffer)?;
        let len = buffer.first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(4 + u64::from(u32::from_be_bytes(*len)))
    }

    /// Looks for the lookup that it waited for; that moves its start.
    fn claim(&mut self, lookups: &mut Lookups) -> io::Result<()> {
        let late = self.late()?;
        let (Some((opened, _)), Some(host)) = (late.moments.connect, &late.host) else { return Ok(()) };
        let waited = lookups.claim(late.client.0, late.server.0, host, opened);
        if let Some(waited) = &waited {
            self.start = self.start.min(waited.span.0);
        }
        self.waited = waited.map(Box::new);
        Ok(())
    }

    fn in_memory(&self) -> usize {
        match &self.text {
            Place::Here(entry) => allocated(&entry.0, &entry.1),
            Place::Shelf(_) => 0,
        }
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Row {}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Entries in the order in which they are to be written.
#[derive(Debug)]
pub struct Book {
    /// Entries of which it is not known yet whether a lookup moves their start.
    unclaimed: BinaryHeap<Reverse<Row>>,
    ready: BinaryHeap<Reverse<Row>>,
    memory: usize,
    /// Bytes of entries in memory, at the most.
    most: usize,
}

impl Book {
    /// An empty book that keeps entries of `most` bytes in memory.
    pub fn new(most: usize) -> Self {
        Self { unclaimed: BinaryHeap::new(), ready: BinaryHeap::new(), memory: 0, most }
    }

    /// Takes in an entry.
    pub fn push(&mut self, late: Late, text: Text, shelf: &mut Spool) {
        let (start, connection, number) = (late.moments.start(), late.connection, late.number);
        let is_unclaimed = late.host.is_some();
        let text = if self.memory + allocated(&late, &text) > self.most {
            let Some(stored) = put_away(&late, &text, shelf) else { return };
            Place::Shelf(stored)
        } else {
            Place::Here(Arc::new((late, text)))
        };
        let row = Row { start, connection, number, text, waited: None };
        self.memory += row.in_memory();
        (if is_unclaimed { &mut self.unclaimed } else { &mut self.ready }).push(Reverse(row));
    }

    /// Gives lookups to the entries that start before `moment`: each to the first, in time, that waited for it.
    pub fn claim(&mut self, moment: i64, lookups: &mut Lookups) -> io::Result<()> {
        while let Some(Reverse(row)) = self.unclaimed.peek()
            && row.start < moment
            && let Some(Reverse(mut row)) = self.unclaimed.pop()
        {
            row.claim(lookups)?;
            self.ready.push(Reverse(row));
        }
        Ok(())
    }

    /// The next entry, when it starts before `moment` and lookups were given to all that may come before it.
    pub fn next(&mut self, moment: i64) -> Option<Row> {
        let Reverse(row) = self.ready.peek()?;
        if row.start >= moment {
            return None;
        }
        let Reverse(row) = self.ready.pop()?;
        self.memory -= row.in_memory();
        Some(row)
    }

    /// Bytes of entries in memory, and how many there may be.
    pub fn memory(&self) -> (usize, usize) {
        (self.memory, self.most)
    }

    /// The same entries, to be written while this book goes on.
    pub fn snapshot(&self) -> Self {
        Self { unclaimed: self.unclaimed.clone(), ready: self.ready.clone(), ..*self }
    }
}

/// About how many bytes an entry takes in memory.
fn allocated(late: &Late, text: &Text) -> usize {
    size_of::<(Late, Text)>() + late.allocated() + text.allocated()
}

/// Puts an entry on the shelf; nothing when that takes no more, which the spool tells.
fn put_away(late: &Late, text: &Text, shelf: &mut Spool) -> Option<Stored> {
    let late = serde_json::to_vec(late).ok()?;
    let mut is_whole = Ok(());
    let stored = shelf.record(|append| {
        append(&(late.len() as u32).to_be_bytes());
        append(&late);
        is_whole = text.pieces(|piece| {
            append(piece);
            io::Result::Ok(())
        });
    });
    match is_whole {
        Ok(()) => (!stored.is_empty()).then_some(stored),
        Err(error) => {
            shelf.fail(error);
            None
        }
    }
}
