//! Which entries an encoder's table lost with missing header blocks.
//!
//! Blocks that are missing inserted some number of entries, and every older entry moved up by that number. Each number that is possible
//! is held against the blocks that follow: under the wrong one they name fields that do not go together. What remains is kept in the
//! [`Table`]; where several numbers remain, only what they agree on is known.

use super::hpack::{STATIC_LEN, fixed};
use crate::base::Reader;
use crate::http::plausible::{self, Pseudo};
use crate::http::prefix::{CodingError, Literal, integer};
use crate::http::table::{Entry, Fit, MARGIN, Place, Stored, Table, UNMARKED};
use std::borrow::Cow;

/// Fields of a block that are looked at.
const LINES: usize = 256;

/// What a field is worth that is where it was before, or that was lost.
const MATCH: i32 = 4;
/// What it costs when another field stood in front of it.
const MOVED: i32 = 6;
/// What it is worth that an entry was named in each of the last blocks, for each of them, and how many count.
const HABIT: i32 = 2;
const HABITS: u32 = 3;
/// What it costs when a lost entry would have to be a part of the request that stays the same.
const WANTED: i32 = 4;
/// What an authority is worth that was asked before, and what another one costs.
const AUTHORITY: i32 = 2;
const STRANGER: i32 = 8;

/// What a header block is, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expectation {
    /// The head of a request.
    Request,
    /// The head of a response.
    Response,
    /// Any, or only the start of one.
    #[default]
    Anything,
}

/// What is known of a block before it is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'e> {
    /// Of what it is the head.
    pub head: Expectation,
    /// Authorities that were asked on this connection; empty when requests go without.
    pub authorities: &'e [Vec<u8>],
}

/// Fields that may still be looked at, so that holes cost no more than what they lie in.
#[derive(Debug)]
pub struct Allowance(usize);

impl Default for Allowance {
    fn default() -> Self {
        Self(16_000)
    }
}

impl Allowance {
    const MOST: usize = 64_000;
    const FOR_A_BYTE: usize = 8;

    fn earn(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes.saturating_mul(Self::FOR_A_BYTE)).min(Self::MOST);
    }

    fn spend(&mut self, fields: usize) -> bool {
        let rest = self.0.checked_sub(fields);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

/// Where a name, or a field, comes from.
#[derive(Debug, Clone)]
enum Source<'b> {
    Static(&'static Entry),
    /// An index into the dynamic table as it was before the block.
    Dynamic(u64),
    /// An entry that this line of the block inserted.
    Line(usize),
    Literal(Cow<'b, [u8]>),
}

/// A field of a block, not looked up yet.
#[derive(Debug, Clone)]
struct Line<'b> {
    source: Source<'b>,
    /// `None` for an indexed field.
    value: Option<Cow<'b, [u8]>>,
}

/// The fields of a block without what they mean.
#[derive(Debug)]
pub struct Outline<'b> {
    lines: Vec<Line<'b>>,
    /// True when it is not all of the block.
    is_cut: bool,
    /// True when entries from before the hole may be named.
    has_older: bool,
    len: usize,
}

impl<'b> Outline<'b> {
    /// Reads a block; the first `newer` entries of the table stand in front of the hole.
    pub fn read(block: &'b [u8], newer: u64) -> Self {
        let mut outline = Self { lines: Vec::new(), is_cut: false, has_older: false, len: block.len() };
        let mut inserts = Vec::new();
        let mut reader = Reader::new(block);
        while !reader.is_empty() {
            if outline.lines.len() == LINES || outline.line(&mut reader, &mut inserts, newer).is_err() {
                outline.is_cut = true;
                break;
            }
        }
        outline
    }

    /// True when the block surely has pseudo fields: it is a head.
    pub fn has_pseudo(&self) -> bool {
        let is_pseudo = |name: Option<&[u8]>| name.is_some_and(|name| name.starts_with(b":"));
        self.lines.iter().any(|line| match &line.source {
            Source::Static(entry) => is_pseudo(entry.name.known()),
            Source::Literal(name) => is_pseudo(Some(name)),
            Source::Dynamic(_) | Source::Line(_) => false,
        })
    }

    fn line(&mut self, reader: &mut Reader<'b>, inserts: &mut Vec<usize>, newer: u64) -> Result<(), CodingError> {
        let first = reader.rest().first().copied().unwrap_or_default();
        if first & 0xe0 == 0x20 {
            return integer(reader, 5).map(|_| ());
        }
        let (is_indexed, is_inserted) = (first & 0x80 != 0, first & 0xc0 == 0x40);
        let bits = match (is_indexed, is_inserted) {
            (true, _) => 7,
            (_, true) => 6,
            _ => 4,
        };
        let index = integer(reader, bits)?;
        let source = match index.checked_sub(STATIC_LEN as u64 + 1) {
            None if index == 0 && is_indexed => return Err(CodingError::Index),
            None if index == 0 => Source::Literal(text(reader)?),
            None => fixed(index).map(Source::Static).ok_or(CodingError::Index)?,
            Some(index) => match index.checked_sub(inserts.len() as u64) {
                Some(before) => {
                    self.has_older |= before >= newer;
                    Source::Dynamic(before)
                }
                None => {
                    let nth = inserts.len() - 1 - usize::try_from(index).unwrap_or_default();
                    Source::Line(inserts.get(nth).copied().ok_or(CodingError::Index)?)
                }
            },
        };
        let value = if is_indexed { None } else { Some(text(reader)?) };
        if is_inserted {
            inserts.push(self.lines.len());
        }
        self.lines.push(Line { source, value });
        Ok(())
    }
}

fn text<'b>(reader: &mut Reader<'b>) -> Result<Cow<'b, [u8]>, CodingError> {
    Literal::read(reader, 7)?.into_text()
}

/// Holds a block against the numbers of missing entries that are possible, and keeps in the table those that explain it.
pub fn weigh(table: &mut Table, outline: &Outline<'_>, expected: &Expected<'_>, allowance: &mut Allowance) {
    allowance.earn(outline.len);
    if !outline.has_older {
        return;
    }
    let mut fits = table.fits();
    if fits.len() > 1 && !allowance.spend(fits.len() * outline.lines.len()) {
        return table.keep(Vec::new());
    }
    fits.retain_mut(|fit| {
        let points = Judge::new(table, outline, expected, fit.missing).points();
        fit.score = fit.score.saturating_add(points.unwrap_or_default());
        points.is_some()
    });
    let best = fits.iter().map(|fit| fit.score).max().unwrap_or_default();
    fits.retain_mut(|fit: &mut Fit| {
        fit.score -= best;
        fit.score > -MARGIN
    });
    table.keep(fits);
}

/// A field as one number of missing entries has it.
#[derive(Clone, Copy)]
struct Resolved<'a> {
    name: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    /// True when another number of missing entries may give another field.
    is_older: bool,
    stored: Option<&'a Stored>,
}

/// What stood before a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before<'a> {
    Nothing,
    Field(&'a [u8]),
    Unknown,
}

/// Holds a block against one number of missing entries.
struct Judge<'a> {
    table: &'a Table,
    outline: &'a Outline<'a>,
    expected: &'a Expected<'a>,
    missing: u32,
    newer: u64,
    points: i32,
    /// Pseudo fields seen, and those of them that depend on the number.
    pseudo: [Pseudo; 2],
    /// Fields seen that stand once in a head, and those of them that depend on the number.
    single: [u64; 2],
    /// Unknown fields before the first one that is no pseudo field.
    unknown: u32,
    /// A field that is no pseudo field came; whether all of them depend on the number.
    regular: Option<bool>,
    is_connect: bool,
}

/// The number of missing entries is not the right one.
struct Refuted;

impl<'a> Judge<'a> {
    fn new(table: &'a Table, outline: &'a Outline<'a>, expected: &'a Expected<'a>, missing: u32) -> Self {
        Self {
            table,
            outline,
            expected,
            missing,
            newer: table.newer(),
            points: 0,
            pseudo: [Pseudo::default(); 2],
            single: [0; 2],
            unknown: 0,
            regular: None,
            is_connect: false,
        }
    }

    /// How well the number explains the block; `None` when it does not.
    fn points(mut self) -> Option<i32> {
        let mut before = Before::Nothing;
        for line in &self.outline.lines {
            before = self.line(line, before).ok()?;
        }
        if !self.outline.is_cut {
            self.complete().ok()?;
        }
        Some(self.points)
    }

    fn line(&mut self, line: &'a Line<'a>, before: Before<'a>) -> Result<Before<'a>, Refuted> {
        let field = self.resolve(line)?;
        let Some(name) = field.name else {
            if self.regular.is_none() {
                self.unknown += 1;
            }
            self.points += if field.is_older { MATCH } else { 0 };
            return Ok(Before::Unknown);
        };
        if name.first() == Some(&b':') {
            self.pseudo(name, field)?;
        } else {
            self.regular(name, field)?;
        }
        if field.is_older && line.value.is_some() && field.value.is_some_and(|value| !plausible::fits(name, value)) {
            return Err(Refuted);
        }
        if let Some(stored) = field.stored {
            self.habit(stored, name, before);
            if let (Some(new), Some(old)) = (&line.value, stored.entry.value.known())
                && plausible::is_number(new) != plausible::is_number(old)
            {
                self.points -= MOVED;
            }
        }
        Ok(Before::Field(name))
    }

    fn resolve(&self, line: &'a Line<'a>) -> Result<Resolved<'a>, Refuted> {
        let named = match &line.source {
            Source::Static(entry) => {
                Resolved { name: entry.name.known(), value: entry.value.known(), is_older: false, stored: None }
            }
            Source::Literal(name) => Resolved { name: Some(name), value: None, is_older: false, stored: None },
            Source::Line(nth) => match self.outline.lines.get(*nth) {
                Some(other) => Resolved { stored: None, ..self.resolve(other)? },
                None => return Err(Refuted),
            },
            Source::Dynamic(index) => match self.table.place(*index, self.missing) {
                Place::Impossible => return Err(Refuted),
                Place::Missing => Resolved { name: None, value: None, is_older: true, stored: None },
                Place::Older => Resolved { name: None, value: None, is_older: false, stored: None },
                Place::Known(stored) => {
                    let is_older = *index >= self.newer;
                    let (name, value) = (stored.entry.name.known(), stored.entry.value.known());
                    Resolved { name, value, is_older, stored: Some(stored).filter(|_| is_older) }
                }
            },
        };
        Ok(match &line.value {
            Some(value) => Resolved { value: Some(value), ..named },
            None => named,
        })
    }

    /// Pseudo fields stand before the others, each once.
    fn pseudo(&mut self, name: &[u8], field: Resolved<'_>) -> Result<(), Refuted> {
        let Some(pseudo) = Pseudo::of(name) else {
            return if field.is_older { Err(Refuted) } else { Ok(()) };
        };
        let [seen, older] = &mut self.pseudo;
        // What is wrong with fields that are sure is the sender's way.
        let is_twice = seen.has(pseudo) && (field.is_older || older.has(pseudo));
        let is_late = self.regular.is_some_and(|is_older| is_older || field.is_older);
        if is_twice || is_late {
            return Err(Refuted);
        }
        seen.add(pseudo);
        if field.is_older {
            older.add(pseudo);
        }
        match (pseudo, field.value) {
            (Pseudo::METHOD, Some(b"CONNECT")) => self.is_connect = true,
            (Pseudo::AUTHORITY, Some(value)) if field.is_older && !self.expected.authorities.is_empty() => {
                let is_known = self.expected.authorities.iter().any(|authority| authority == value);
                self.points += if is_known { AUTHORITY } else { -STRANGER };
            }
            _ => {}
        }
        Ok(())
    }

    fn regular(&mut self, name: &[u8], field: Resolved<'_>) -> Result<(), Refuted> {
        self.regular = Some(self.regular.unwrap_or(true) && field.is_older);
        let single = plausible::single(name);
        let [seen, older] = &mut self.single;
        if *seen & single != 0 && (field.is_older || *older & single != 0) {
            return Err(Refuted);
        }
        *seen |= single;
        if field.is_older {
            *older |= single;
        }
        Ok(())
    }

    /// Encoders name the same entries in the same order, block after block.
    fn habit(&mut self, stored: &Stored, name: &[u8], before: Before<'_>) {
        let usage = stored.usage.get();
        let was = match usage.after {
            0 => Before::Nothing,
            UNMARKED => Before::Unknown,
            after => {
                let entry = fixed(after.into()).or_else(|| self.table.marked(after));
                entry.and_then(|entry| entry.name.known()).map_or(Before::Unknown, Before::Field)
            }
        };
        self.points += MATCH;
        if before != was && before != Before::Unknown && was != Before::Unknown {
            self.points -= MOVED;
        } else if !plausible::is_fleeting(name) && self.table.blocks().wrapping_sub(usage.block) <= HABITS {
            let times = if plausible::is_constant(name) { HABITS } else { usage.times.saturating_sub(1).min(HABITS) };
            self.points += HABIT * times as i32;
        }
    }

    /// A head has all of its pseudo fields; those that are not seen are unknown ones.
    fn complete(&mut self) -> Result<(), Refuted> {
        let wanted = match self.expected.head {
            Expectation::Anything => return Ok(()),
            Expectation::Response => Pseudo::STATUS,
            Expectation::Request if self.is_connect => return Ok(()),
            Expectation::Request if self.expected.authorities.is_empty() => Pseudo::REQUEST,
            Expectation::Request => Pseudo::REQUEST.with(Pseudo::AUTHORITY),
        };
        let [seen, _] = self.pseudo;
        let lacking = wanted.lacking_from(seen);
        if lacking > self.unknown {
            return Err(Refuted);
        }
        self.points -= WANTED * lacking as i32;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
