//! Header compression of HTTP/3 ([RFC 9204](https://www.rfc-editor.org/rfc/rfc9204)), the decoder.
//!
//! Inserts come on the encoder stream, field sections on request and push streams; a section that names an insert which has not
//! come yet waits. The decoder stream, on which the receiver acknowledges, says nothing that is needed here.

use super::static_table::STATIC;
use crate::base::{Budget, Lease, Reader};
use crate::http::prefix::{CodingError, Literal, integer};
use crate::http::table::{Entry, Field, Found, Table, Text};
use std::ops::ControlFlow;

/// Whether a section can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It was.
    Decoded,
    /// Not before this many inserts have come.
    Blocked(u64),
}

/// [`Readiness::Blocked`] before the receiver's SETTINGS have come, without which the count cannot be told.
pub const UNTIL_SETTINGS: u64 = u64::MAX;

/// Decoder of the field sections that one side sends.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// SETTINGS_QPACK_MAX_TABLE_CAPACITY of the receiving side.
    max_capacity: Option<u64>,
    /// True when inserts are missing. What was inserted before has its number and stays; what comes later has none.
    has_lost: bool,
    /// The most inserts that a section required: there were at least as many.
    required: u64,
    /// True when the last section named entries although inserts are missing.
    is_recovered: bool,
    /// The start of an instruction of which the end has not come.
    partial: Vec<u8>,
    /// Longest instruction that is waited for.
    bound: usize,
    lease: Lease,
    scratch: [Vec<u8>; 2],
}

/// Where a name comes from.
enum Name<'a> {
    Entry(Text),
    Literal(&'a [u8]),
}

impl Decoder {
    /// A decoder with an empty table; of a table larger than `bound` the newest entries are kept.
    pub fn new(bound: usize, budget: &Budget) -> Self {
        Self {
            table: Table::new(0, bound, budget),
            max_capacity: None,
            has_lost: false,
            required: 0,
            is_recovered: false,
            partial: Vec::new(),
            // A text of rare octets is almost four times as long when coded.
            bound: bound.saturating_mul(4).saturating_add(64),
            lease: budget.lease(),
            scratch: [Vec::new(), Vec::new()],
        }
    }

    /// SETTINGS_QPACK_MAX_TABLE_CAPACITY of the receiving side (0 when its SETTINGS do not name it).
    pub fn allow(&mut self, max_capacity: u64) {
        self.max_capacity = Some(max_capacity);
    }

    /// True once the receiving side's SETTINGS have come.
    pub fn has_settings(&self) -> bool {
        self.max_capacity.is_some()
    }

    /// True when inserts are missing.
    pub fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// True when the last section named entries although inserts are missing: they are the right ones unless more inserts are missing
    /// than the table ever holds at once.
    pub fn is_recovered(&self) -> bool {
        self.is_recovered
    }

    /// Inserts so far.
    pub fn inserted(&self) -> u64 {
        self.table.inserted()
    }

    /// Inserts, or the SETTINGS that count them, are missing: entries that come from here on are unknown.
    pub fn lose(&mut self) {
        self.has_lost = true;
        self.partial = Vec::new();
        self.lease.set(0);
    }

    /// Takes the next bytes of the encoder stream (§4.3). After an error the decoder must [`lose`](Self::lose).
    pub fn instructions(&mut self, bytes: &[u8]) -> Result<(), CodingError> {
        if self.has_lost {
            return Ok(());
        }
        if self.partial.is_empty() {
            let read = self.run(bytes)?;
            self.partial.extend_from_slice(bytes.get(read..).unwrap_or_default());
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            let read = self.run(&partial)?;
            partial.drain(..read);
            self.partial = partial;
        }
        if self.partial.is_empty() && self.partial.capacity() > 4096 {
            self.partial = Vec::new();
        }
        self.lease.set(self.partial.capacity());
        if self.partial.len() > self.bound { Err(CodingError::Capacity) } else { Ok(()) }
    }

    /// Runs all whole instructions; how many bytes they are.
    fn run(&mut self, bytes: &[u8]) -> Result<usize, CodingError> {
        let mut reader = Reader::new(bytes);
        loop {
            match self.instruction(&mut reader) {
                Ok(true) => {}
                Ok(false) | Err(CodingError::Short) => return Ok(reader.position()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs one instruction; false at the end. The reader moves past whole instructions only.
    fn instruction(&mut self, reader: &mut Reader<'_>) -> Result<bool, CodingError> {
        let Some(&first) = reader.rest().first() else { return Ok(false) };
        let mut ahead = *reader;
        let [name_scratch, value_scratch] = &mut self.scratch;
        if first & 0x80 != 0 {
            // Insert with name reference (§4.3.2).
            let index = integer(&mut ahead, 6)?;
            let name = if first & 0x40 != 0 { fixed(index)? } else { entry(self.table.newest(index))? }.name.clone();
            let value = Literal::read(&mut ahead, 7)?.text(value_scratch)?.into();
            insert(&mut self.table, Entry { name, value })?;
        } else if first & 0x40 != 0 {
            // Insert with literal name (§4.3.3).
            let name = Literal::read(&mut ahead, 5)?;
            let value = Literal::read(&mut ahead, 7)?;
            let name = name.text(name_scratch)?.into();
            let value = value.text(value_scratch)?.into();
            insert(&mut self.table, Entry { name, value })?;
        } else if first & 0x20 != 0 {
            // Set dynamic table capacity (§4.3.1).
            let capacity = integer(&mut ahead, 5)?;
            if self.max_capacity.is_some_and(|max| capacity > max) {
                return Err(CodingError::Capacity);
            }
            self.table.set_capacity(usize::try_from(capacity).map_err(|_| CodingError::Capacity)?);
        } else {
            // Duplicate (§4.3.4).
            let index = integer(&mut ahead, 5)?;
            let again = entry(self.table.newest(index))?.clone();
            insert(&mut self.table, again)?;
        }
        *reader = ahead;
        Ok(true)
    }

    /// Decodes one field section (§4.5) and hands each field to `sink`, which may break off. With `is_last_chance` a section that
    /// is blocked is decoded all the same, and what it waits for is unknown.
    pub fn section(
        &mut self,
        section: &[u8],
        is_last_chance: bool,
        sink: &mut dyn FnMut(Field<'_>) -> ControlFlow<()>,
    ) -> Result<Readiness, CodingError> {
        let mut reader = Reader::new(section);
        let encoded = integer(&mut reader, 8)?;
        let is_negative = reader.rest().first().is_some_and(|byte| byte & 0x80 != 0);
        let delta = integer(&mut reader, 7)?;
        // `None`: what dynamic indices count from is not known.
        let mut known = None;
        if encoded == 0 {
            known = Some((0, base(0, is_negative, delta)?));
        } else if self.has_lost {
            // Sections count from the first insert ever, so that holes move nothing.
            if let Some(required) = self.required(encoded).ok().filter(|required| *required != UNTIL_SETTINGS) {
                self.required = self.required.max(required);
                known = base(required, is_negative, delta).ok().map(|base| (required, base));
            }
        } else {
            let required = self.required(encoded)?;
            if required <= self.table.inserted() {
                self.required = self.required.max(required);
                known = Some((required, base(required, is_negative, delta)?));
            } else if !is_last_chance {
                return Ok(Readiness::Blocked(required));
            }
        }
        let [name_scratch, value_scratch] = &mut self.scratch;
        self.is_recovered = false;
        let mut dynamic =
            Dynamic { table: &self.table, known, has_lost: self.has_lost, is_recovered: &mut self.is_recovered };
        while let Some(&first) = reader.rest().first() {
            let (name, value) = if first & 0x80 != 0 {
                // Indexed (§4.5.2).
                let index = integer(&mut reader, 6)?;
                let found = if first & 0x40 != 0 { Some(fixed(index)?) } else { dynamic.before(index)? };
                (None, found.map(|entry| entry.field()))
            } else if first & 0x40 != 0 {
                // Literal with name reference (§4.5.4).
                let index = integer(&mut reader, 4)?;
                let found = if first & 0x10 != 0 { Some(fixed(index)?) } else { dynamic.before(index)? };
                (Some(found.map_or(Name::Entry(Text::Unknown), |entry| Name::Entry(entry.name.clone()))), None)
            } else if first & 0x20 != 0 {
                // Literal with literal name (§4.5.6).
                (Some(Name::Literal(Literal::read(&mut reader, 3)?.text(name_scratch)?)), None)
            } else if first & 0x10 != 0 {
                // Indexed with post-base index (§4.5.3).
                let index = integer(&mut reader, 4)?;
                (None, dynamic.behind(index)?.map(Entry::field))
            } else {
                // Literal with post-base name reference (§4.5.5).
                let index = integer(&mut reader, 3)?;
                let found = dynamic.behind(index)?;
                (Some(found.map_or(Name::Entry(Text::Unknown), |entry| Name::Entry(entry.name.clone()))), None)
            };
            let field = match &name {
                None => value.unwrap_or(Field { name: None, value: None }),
                Some(name) => {
                    let name = match name {
                        Name::Entry(text) => text.known(),
                        Name::Literal(text) => Some(*text),
                    };
                    Field { name, value: Some(Literal::read(&mut reader, 7)?.text(value_scratch)?) }
                }
            };
            // Sections change nothing, so that the rest need not be read.
            if sink(field).is_break() {
                break;
            }
        }
        Ok(Readiness::Decoded)
    }

    /// Required Insert Count (§4.5.1.1).
    fn required(&self, encoded: u64) -> Result<u64, CodingError> {
        let Some(max_capacity) = self.max_capacity else { return Ok(UNTIL_SETTINGS) };
        let max_entries = max_capacity / 32;
        let full_range = 2 * max_entries;
        if encoded > full_range {
            return Err(CodingError::Prefix);
        }
        let max_value = self.table.inserted().max(self.required) + max_entries;
        let mut required = max_value / full_range * full_range + encoded - 1;
        if required > max_value {
            required = required.checked_sub(full_range).ok_or(CodingError::Prefix)?;
        }
        if required == 0 { Err(CodingError::Prefix) } else { Ok(required) }
    }
}

/// Base (§4.5.1.2).
fn base(required: u64, is_negative: bool, delta: u64) -> Result<u64, CodingError> {
    let base = if is_negative {
        required.checked_sub(delta).and_then(|base| base.checked_sub(1))
    } else {
        required.checked_add(delta)
    };
    base.ok_or(CodingError::Prefix)
}

/// The dynamic table as one section may see it.
struct Dynamic<'t> {
    table: &'t Table,
    /// Required Insert Count and Base.
    known: Option<(u64, u64)>,
    /// True when inserts are missing.
    has_lost: bool,
    /// Set when an entry was found all the same.
    is_recovered: &'t mut bool,
}

impl<'t> Dynamic<'t> {
    /// An index counted down from the base (§3.2.5); `None` when the entry is unknown.
    fn before(&mut self, index: u64) -> Result<Option<&'t Entry>, CodingError> {
        let Some((required, base)) = self.known else { return Ok(None) };
        let absolute = base.checked_sub(index).and_then(|at| at.checked_sub(1)).ok_or(CodingError::Index)?;
        self.absolute(required, absolute)
    }

    /// An index counted up from the base (§3.2.6); `None` when the entry is unknown.
    fn behind(&mut self, index: u64) -> Result<Option<&'t Entry>, CodingError> {
        let Some((required, base)) = self.known else { return Ok(None) };
        let absolute = base.checked_add(index).ok_or(CodingError::Index)?;
        self.absolute(required, absolute)
    }

    fn absolute(&mut self, required: u64, absolute: u64) -> Result<Option<&'t Entry>, CodingError> {
        if absolute >= required {
            return Err(CodingError::Index);
        }
        // All inserts that are required are there, unless some are missing.
        let Some(behind) = self.table.inserted().checked_sub(absolute + 1) else {
            return if self.has_lost { Ok(None) } else { Err(CodingError::Index) };
        };
        match self.table.newest(behind) {
            Found::Entry(entry) | Found::Recovered(entry) => {
                *self.is_recovered |= self.has_lost;
                Ok(Some(entry))
            }
            Found::Nothing if !self.has_lost => Err(CodingError::Index),
            Found::Lost | Found::Named(_) | Found::Nothing => Ok(None),
        }
    }
}

/// An entry of the static table.
fn fixed(index: u64) -> Result<&'static Entry, CodingError> {
    usize::try_from(index).ok().and_then(|index| STATIC.get(index)).ok_or(CodingError::Index)
}

/// An entry that an instruction names.
fn entry(found: Found<'_>) -> Result<&Entry, CodingError> {
    static LOST: Entry = Entry { name: Text::Unknown, value: Text::Unknown };
    match found {
        Found::Entry(entry) | Found::Recovered(entry) => Ok(entry),
        Found::Lost | Found::Named(_) => Ok(&LOST),
        Found::Nothing => Err(CodingError::Index),
    }
}

/// Inserts an entry, which must fit (§3.2.2).
fn insert(table: &mut Table, entry: Entry) -> Result<(), CodingError> {
    if entry.size() > table.capacity() {
        return Err(CodingError::Capacity);
    }
    table.insert(entry.name, entry.value);
    Ok(())
}

#[cfg(test)]
mod tests;
