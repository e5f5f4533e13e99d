//! The way to the output: counted, and indented when that is wanted.

use std::io::{self, Write};

use thiserror::Error;

use super::counted::Counted;
use super::pretty::Pretty;

/// The HAR could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The output took no more.
    #[error("writing the HAR failed: {0}")]
    Output(#[source] io::Error),
    /// The temporary file failed.
    #[error("the temporary file failed: {0}")]
    Spool(#[source] io::Error),
}

/// What fails without a word about the output is the temporary file.
impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Spool(error)
    }
}

/// An output.
pub struct Stream<W: Write>(Kind<W>);

enum Kind<W: Write> {
    Plain(Counted<W>),
    Pretty(Pretty<Counted<W>>),
}

impl<W: Write> Stream<W> {
    /// Writes to `into`.
    pub fn new(into: W, is_pretty: bool) -> Self {
        let counted = Counted::new(into);
        Self(if is_pretty { Kind::Pretty(Pretty::new(counted)) } else { Kind::Plain(counted) })
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Kind::Plain(counted) => counted.bytes,
            Kind::Pretty(pretty) => pretty.inner().bytes,
        }
    }
}

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(counted) => counted.write(bytes),
            Kind::Pretty(pretty) => pretty.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(counted) => counted.flush(),
            Kind::Pretty(pretty) => pretty.flush(),
        }
    }
}
