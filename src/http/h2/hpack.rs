//! Header compression of HTTP/2 ([RFC 7541](https://www.rfc-editor.org/rfc/rfc7541)), the decoder.

use super::recovery::{Allowance, Expected, Outline, weigh};
use crate::base::{Budget, Reader};
use crate::http::prefix::{CodingError, Literal, integer};
use crate::http::table::{Entry, Field, Found, PRICE, PRICE_UNLIKELY, Table, Text, UNMARKED};
use std::ops::ControlFlow;

/// What SETTINGS_HEADER_TABLE_SIZE is before anybody sets it (RFC 9113 §6.5.2).
pub const DEFAULT_TABLE: usize = 4096;

/// Decoder of the header blocks of one direction.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// What the receiving side allows the table to be.
    allowed: usize,
    /// Name and value of a literal, decoded.
    scratch: [Vec<u8>; 2],
    /// Work that may still be spent on finding out what was lost.
    allowance: Allowance,
    /// True when fields of the last block were found out.
    is_recovered: bool,
}

/// Where a literal's name comes from.
enum Name<'a> {
    Entry(Text),
    Literal(&'a [u8]),
}

impl Decoder {
    /// A decoder with an empty table, as at the start of a connection; of a table larger than `bound` the newest entries are kept.
    pub fn new(bound: usize, budget: &Budget) -> Self {
        Self {
            table: Table::new(DEFAULT_TABLE, bound, budget),
            allowed: DEFAULT_TABLE,
            scratch: [Vec::new(), Vec::new()],
            allowance: Allowance::default(),
            is_recovered: false,
        }
    }

    /// The receiving side's SETTINGS_HEADER_TABLE_SIZE is in force from the next block on.
    pub fn allow(&mut self, size: usize) {
        self.allowed = size;
        if size < self.table.capacity() && !self.table.has_lost() {
            self.table.set_capacity(size);
        }
    }

    /// SETTINGS of the receiving side may be missing: any size is fine.
    pub fn allow_any(&mut self) {
        self.allowed = usize::MAX;
    }

    /// Acknowledgments may be missing: this size may be in force.
    pub fn allow_up_to(&mut self, size: usize) {
        self.allowed = self.allowed.max(size);
    }

    /// Nothing is known of the table.
    pub fn lose(&mut self) {
        self.table.lose();
    }

    /// Blocks are missing that inserted no more than `most` entries, when that is known; or it is not even likely that any are.
    pub fn tear(&mut self, most: Option<u64>, is_likely: bool) {
        self.table.tear(most, if is_likely { PRICE } else { PRICE_UNLIKELY }, self.allowed);
    }

    /// True when fields of the last block are known only as far as the missing entries were counted rightly.
    pub fn is_recovered(&self) -> bool {
        self.is_recovered
    }

    /// True when no block came yet.
    pub fn is_untouched(&self) -> bool {
        self.table.blocks() == 0
    }

    /// The first block that came was the first one that was sent.
    pub fn begin_here(&mut self) {
        self.table.begin_here();
    }

    /// Decodes one block and hands each field to `sink`. When the sink breaks off, the rest only keeps the table right.
    ///
    /// After an error the table is no longer what the sender's is: the caller must [`lose`](Self::lose) it. When something was lost
    /// before, the block is held against what is `expected` of it.
    pub fn decode(
        &mut self,
        block: &[u8],
        expected: &Expected<'_>,
        sink: &mut dyn FnMut(Field<'_>) -> ControlFlow<()>,
    ) -> Result<(), CodingError> {
        self.table.begin_block();
        self.is_recovered = false;
        if self.table.is_doubtful() {
            let outline = Outline::read(block, self.table.newer());
            weigh(&mut self.table, &outline, expected, &mut self.allowance);
        }
        let mut reader = Reader::new(block);
        let mut wanted = true;
        let mut at_start = true;
        let mut after = 0;
        while let Some(&first) = reader.rest().first() {
            if first & 0xe0 == 0x20 {
                self.resize(&mut reader, at_start)?;
                continue;
            }
            at_start = false;
            if first & 0x80 != 0 {
                // Indexed field (§6.1).
                let index = integer(&mut reader, 7)?;
                let (found, mark) = lookup(&self.table, index, after)?;
                let field = match found {
                    Found::Entry(entry) => entry.field(),
                    Found::Recovered(entry) => {
                        self.is_recovered = true;
                        entry.field()
                    }
                    Found::Named(name) => {
                        self.is_recovered = true;
                        Field { name: name.known(), value: None }
                    }
                    Found::Lost | Found::Nothing => Field { name: None, value: None },
                };
                after = mark;
                wanted = wanted && sink(field).is_continue();
                continue;
            }
            // Literal with incremental indexing (§6.2.1), else without or never indexed (§6.2.2, §6.2.3).
            let is_inserted = first & 0x40 != 0;
            let index = integer(&mut reader, if is_inserted { 6 } else { 4 })?;
            let [name_scratch, value_scratch] = &mut self.scratch;
            let mut is_certain = true;
            let before = std::mem::replace(&mut after, UNMARKED);
            let name = match index {
                0 => Name::Literal(Literal::read(&mut reader, 7)?.text(name_scratch)?),
                _ => {
                    let (found, mark) = lookup(&self.table, index, before)?;
                    after = mark;
                    is_certain = matches!(found, Found::Entry(_));
                    self.is_recovered |= matches!(found, Found::Recovered(_) | Found::Named(_));
                    Name::Entry(match found {
                        Found::Entry(entry) | Found::Recovered(entry) => entry.name.clone(),
                        Found::Named(name) => name.clone(),
                        Found::Lost | Found::Nothing => Text::Unknown,
                    })
                }
            };
            let value = Literal::read(&mut reader, 7)?;
            if !wanted && !is_inserted {
                continue;
            }
            let value = value.text(value_scratch)?;
            if wanted {
                let known = match &name {
                    Name::Entry(text) => text.known(),
                    Name::Literal(text) => Some(*text),
                };
                wanted = sink(Field { name: known, value: Some(value) }).is_continue();
            }
            if is_inserted {
                let name = match name {
                    Name::Entry(text) => text,
                    Name::Literal(text) => text.into(),
                };
                after = self.table.insert_after(before, name, value.into(), is_certain);
            }
        }
        Ok(())
    }

    /// Dynamic table size update (§6.3), at the start of a block only (§4.2).
    fn resize(&mut self, reader: &mut Reader<'_>, at_start: bool) -> Result<(), CodingError> {
        let size = integer(reader, 5)?;
        match usize::try_from(size) {
            // When SETTINGS may be among what was lost, what is allowed is not known.
            Ok(size) if at_start && (size <= self.allowed || self.table.has_lost()) => {
                self.table.set_capacity(size);
                Ok(())
            }
            _ => Err(CodingError::Capacity),
        }
    }
}

/// The entry of an index in the joined address space (§2.3.3), named behind the field `after`, and how the field is called.
#[inline]
fn lookup(table: &Table, index: u64, after: u32) -> Result<(Found<'_>, u32), CodingError> {
    match fixed(index) {
        Some(entry) => Ok((Found::Entry(entry), index as u32)),
        None if index == 0 => Err(CodingError::Index),
        None => match table.used(index - STATIC_LEN as u64 - 1, after) {
            (Found::Nothing, _) => Err(CodingError::Index),
            found => Ok(found),
        },
    }
}

/// The entry of an index in the static table.
pub(super) fn fixed(index: u64) -> Option<&'static Entry> {
    usize::try_from(index).ok().and_then(|at| STATIC.get(at.checked_sub(1)?))
}

/// Indices up to this one lead into the static table.
pub(super) const STATIC_LEN: usize = 61;

const fn entry(name: &'static str, value: &'static str) -> Entry {
    Entry { name: Text::Static(name.as_bytes()), value: Text::Static(value.as_bytes()) }
}

/// The static table ([RFC 7541 appendix A](https://www.rfc-editor.org/rfc/rfc7541#appendix-A)), from index 1.
static STATIC: [Entry; STATIC_LEN] = [
    entry(":authority", ""),
    entry(":method", "GET"),
    entry(":method", "POST"),
    entry(":path", "/"),
    entry(":path", "/index.html"),
    entry(":scheme", "http"),
    entry(":scheme", "https"),
    entry(":status", "200"),
    entry(":status", "204"),
    entry(":status", "206"),
    entry(":status", "304"),
    entry(":status", "400"),
    entry(":status", "404"),
    entry(":status", "500"),
    entry("accept-charset", ""),
    entry("accept-encoding", "gzip, deflate"),
    entry("accept-language", ""),
    entry("accept-ranges", ""),
    entry("accept", ""),
    entry("access-control-allow-origin", ""),
    entry("age", ""),
    entry("allow", ""),
    entry("authorization", ""),
    entry("cache-control", ""),
    entry("content-disposition", ""),
    entry("content-encoding", ""),
    entry("content-language", ""),
    entry("content-length", ""),
    entry("content-location", ""),
    entry("content-range", ""),
    entry("content-type", ""),
    entry("cookie", ""),
    entry("date", ""),
    entry("etag", ""),
    entry("expect", ""),
    entry("expires", ""),
    entry("from", ""),
    entry("host", ""),
    entry("if-match", ""),
    entry("if-modified-since", ""),
    entry("if-none-match", ""),
    entry("if-range", ""),
    entry("if-unmodified-since", ""),
    entry("last-modified", ""),
    entry("link", ""),
    entry("location", ""),
    entry("max-forwards", ""),
    entry("proxy-authenticate", ""),
    entry("proxy-authorization", ""),
    entry("range", ""),
    entry("referer", ""),
    entry("refresh", ""),
    entry("retry-after", ""),
    entry("server", ""),
    entry("set-cookie", ""),
    entry("strict-transport-security", ""),
    entry("transfer-encoding", ""),
    entry("user-agent", ""),
    entry("vary", ""),
    entry("via", ""),
    entry("www-authenticate", ""),
];

#[cfg(test)]
pub(super) mod tests;
