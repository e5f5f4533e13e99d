//! Header compression of HTTP/2 ([RFC 7541](https://www.rfc-editor.org/rfc/rfc7541)), the decoder.

use crate::base::{Budget, Reader};
use crate::http::prefix::{CodingError, Literal, integer};
use crate::http::table::{Entry, Field, Found, Table, Text};
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

    /// Blocks are missing: what they inserted is not known, nor is anything older.
    pub fn lose(&mut self) {
        self.table.lose();
    }

    /// Decodes one block and hands each field to `sink`. When the sink breaks off, the rest only keeps the table right.
    ///
    /// After an error the table is no longer what the sender's is: the caller must [`lose`](Self::lose) it.
    pub fn decode(
        &mut self,
        block: &[u8],
        sink: &mut dyn FnMut(Field<'_>) -> ControlFlow<()>,
    ) -> Result<(), CodingError> {
        let mut reader = Reader::new(block);
        let mut wanted = true;
        let mut at_start = true;
        while let Some(&first) = reader.rest().first() {
            if first & 0xe0 == 0x20 {
                self.resize(&mut reader, at_start)?;
                continue;
            }
            at_start = false;
            if first & 0x80 != 0 {
                // Indexed field (§6.1).
                let index = integer(&mut reader, 7)?;
                let field = match lookup(&self.table, index)? {
                    Found::Entry(entry) => entry.field(),
                    _ => Field { name: None, value: None },
                };
                wanted = wanted && sink(field).is_continue();
                continue;
            }
            // Literal with incremental indexing (§6.2.1), else without or never indexed (§6.2.2, §6.2.3).
            let is_inserted = first & 0x40 != 0;
            let index = integer(&mut reader, if is_inserted { 6 } else { 4 })?;
            let [name_scratch, value_scratch] = &mut self.scratch;
            let name = match index {
                0 => Name::Literal(Literal::read(&mut reader, 7)?.text(name_scratch)?),
                _ => Name::Entry(match lookup(&self.table, index)? {
                    Found::Entry(entry) => entry.name.clone(),
                    _ => Text::Unknown,
                }),
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
                self.table.insert(name, value.into());
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

/// The entry of an index in the joined address space (§2.3.3).
fn lookup(table: &Table, index: u64) -> Result<Found<'_>, CodingError> {
    let found = match usize::try_from(index) {
        Ok(at @ 1..=STATIC_LEN) => STATIC.get(at - 1).map_or(Found::Nothing, Found::Entry),
        Ok(0) => Found::Nothing,
        _ => table.newest(index - STATIC_LEN as u64 - 1),
    };
    match found {
        Found::Nothing => Err(CodingError::Index),
        found => Ok(found),
    }
}

const STATIC_LEN: usize = 61;

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
mod tests;
