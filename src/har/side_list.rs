//! A list of JSON values that grows to any length.

use std::io::{self, Write};

use super::content::steps;
use crate::base::{Spool, Stored};

/// Bytes kept in memory before they go to the spool.
const KEPT: usize = 64 << 10;

/// Values with commas between them: in memory, then in the spool.
#[derive(Debug, Clone, Default)]
pub struct SideList {
    text: Vec<u8>,
    parts: Vec<Stored>,
    is_begun: bool,
}

impl SideList {
    /// Adds a value.
    pub fn push(&mut self, value: &[u8], spool: &mut Spool) {
        if std::mem::replace(&mut self.is_begun, true) {
            self.text.push(b',');
        }
        self.text.extend_from_slice(value);
        if self.text.len() > KEPT {
            self.parts.push(spool.append(&self.text));
            self.text.clear();
        }
    }

    /// Writes the values.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        steps(&self.parts, |bytes| out.write_all(bytes))?;
        out.write_all(&self.text)
    }
}
