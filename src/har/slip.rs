//! An entry that waits for its turn: in memory, or in the spool.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::draft::Text;
use super::late::Late;
use super::lookup::{Lookups, Waited};
use super::table::Row;
use crate::base::{Spool, Stored};

/// All of an entry but its late members.
#[derive(Debug)]
pub enum Content {
    /// As JSON.
    Text(Text),
    /// As a row of a table.
    Row(Box<Row>),
}

/// What stays in memory of an entry in the spool: 64 bytes.
#[derive(Debug, Clone)]
pub struct Slip {
    /// Start in nanoseconds since 1970; a lookup moves it.
    start: i64,
    connection: u64,
    number: u32,
    /// Wireshark's number of its connection, and one.
    stream: Option<NonZeroU32>,
    place: Place,
    /// The lookup it waited for.
    pub waited: Option<Box<Waited>>,
}

/// A handle on an entry in memory: while somebody has one, its memory stays.
#[derive(Debug, Clone)]
pub struct Handle(Arc<(Late, Content)>);

impl Handle {
    /// True when nobody else needs the entry.
    pub fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

#[derive(Debug, Clone)]
enum Place {
    Here(Arc<(Late, Content)>),
    /// Length of the late members (4 bytes), these as JSON; then the text, or the [record](Row::record) of a row.
    Away(Stored),
}

/// Bytes read at once from the spool.
const STEP: u64 = 256 << 10;

impl Slip {
    /// An entry in memory.
    pub fn new(late: Late, content: Content) -> Self {
        Self {
            start: late.moments.start(),
            connection: late.connection,
            number: late.number,
            stream: None,
            place: Place::Here(Arc::new((late, content))),
            waited: None,
        }
    }

    /// When it starts, nanoseconds since 1970.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// First frame of its connection, and its number there.
    pub fn origin(&self) -> (u64, u32) {
        (self.connection, self.number)
    }

    fn key(&self) -> (i64, (u64, u32)) {
        (self.start, self.origin())
    }

    /// Wireshark's number of its connection.
    pub fn stream(&self) -> Option<u64> {
        self.stream.map(|stream| u64::from(stream.get()) - 1)
    }

    /// Notes Wireshark's number of its connection.
    pub fn set_stream(&mut self, stream: Option<u64>) {
        self.stream = stream.and_then(|stream| NonZeroU32::new(u32::try_from(stream).ok()?.checked_add(1)?));
    }

    /// The late members.
    pub fn late(&self) -> io::Result<Cow<'_, Late>> {
        match &self.place {
            Place::Here(entry) => Ok(Cow::Borrowed(&entry.0)),
            Place::Away(stored) => {
                let mut buffer = Vec::new();
                let end = late_end(stored, &mut buffer)?;
                stored.read(4, end - 4, &mut buffer)?;
                Ok(Cow::Owned(serde_json::from_slice(&buffer)?))
            }
        }
    }

    /// Hands on the text in pieces; a row has none.
    pub fn text<E: From<io::Error>>(&self, each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match &self.place {
            Place::Here(entry) => match &entry.1 {
                Content::Text(text) => text.pieces(each),
                Content::Row(_) => Ok(()),
            },
            Place::Away(stored) => stored.steps(late_end(stored, &mut Vec::new())?, STEP, each),
        }
    }

    /// The row with its content; nothing of what is text.
    pub fn row(&self) -> io::Result<Option<Cow<'_, Row>>> {
        match &self.place {
            Place::Here(entry) => match &entry.1 {
                Content::Row(row) => row.loaded().map(Some),
                Content::Text(_) => Ok(None),
            },
            Place::Away(stored) => {
                Row::read(stored, late_end(stored, &mut Vec::new())?).map(|row| Some(Cow::Owned(row)))
            }
        }
    }

    /// About how many bytes it takes in memory beside itself.
    pub fn allocated(&self) -> usize {
        let Place::Here(entry) = &self.place else { return 0 };
        let content = match &entry.1 {
            Content::Text(text) => text.allocated(),
            Content::Row(row) => row.memory(),
        };
        size_of::<(Late, Content)>() + entry.0.allocated() + content
    }

    /// A handle on it, when it is in memory.
    pub fn handle(&self) -> Option<Handle> {
        match &self.place {
            Place::Here(entry) => Some(Handle(Arc::clone(entry))),
            Place::Away(_) => None,
        }
    }

    /// Puts it into the spool; false when that takes no more, which the spool tells.
    pub fn put_away(&mut self, spool: &mut Spool) -> bool {
        let Place::Here(entry) = &self.place else { return true };
        let (late, content) = &**entry;
        let mut is_whole = Ok(());
        let stored = match serde_json::to_vec(late) {
            Ok(late) => spool.record(|append| {
                append(&(late.len() as u32).to_be_bytes());
                append(&late);
                is_whole = match content {
                    Content::Text(text) => text.pieces(|piece| {
                        append(piece);
                        io::Result::Ok(())
                    }),
                    Content::Row(row) => row.record(append),
                };
            }),
            Err(error) => {
                spool.fail(error.into());
                return false;
            }
        };
        if let Err(error) = is_whole {
            spool.fail(error);
            return false;
        }
        let is_kept = !stored.is_empty();
        self.place = Place::Away(stored);
        is_kept
    }

    /// Looks for the lookup that it waited for; that moves its start.
    pub fn claim(&mut self, lookups: &mut Lookups) -> io::Result<()> {
        let late = self.late()?;
        let (Some((opened, _)), Some(host)) = (late.moments.connect, &late.host) else { return Ok(()) };
        let waited = lookups.claim(late.client.0, late.server.0, host, opened);
        if let Some(waited) = &waited {
            self.start = self.start.min(waited.span.0);
        }
        self.waited = waited.map(Box::new);
        Ok(())
    }
}

/// Where the late members of an entry in the spool end.
fn late_end(stored: &Stored, buffer: &mut Vec<u8>) -> io::Result<u64> {
    stored.read(0, 4, buffer)?;
    let len = buffer.first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(4 + u64::from(u32::from_be_bytes(*len)))
}

impl PartialEq for Slip {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Slip {}

impl PartialOrd for Slip {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slip {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_takes_as_much_as_it_says() {
        assert_eq!(size_of::<Slip>(), 64);
    }
}
