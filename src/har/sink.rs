//! Where entries go as soon as their exchanges are over.

use std::io::{self, Write};
use std::path::PathBuf;

use super::options::Options;
use super::table::Table;
use super::writer::{WriteError, Writer};
use crate::base::Spool;
use crate::exchange::{Connection, Exchange};

/// An output that takes any bytes.
pub type Out = Box<dyn Write + Send>;

/// Takes entries one by one, in the order in which they are complete.
pub enum Sink {
    /// One JSON text a line, written at once.
    Lines(Out),
    /// A Parquet file.
    Table(Box<Table<Out>>),
}

impl Sink {
    /// A table that goes to `out`; its temporary file lies in `folder`, or where the system keeps such files.
    pub fn table(options: &Options, folder: Option<PathBuf>, out: Out) -> io::Result<Self> {
        Ok(Sink::Table(Box::new(Table::new(options, folder, out)?)))
    }

    /// Takes an entry.
    pub fn take(
        &mut self,
        writer: &mut Writer,
        exchange: Exchange,
        connection: &Connection,
        spool: &mut Spool,
    ) -> Result<(), WriteError> {
        match self {
            Sink::Lines(out) => writer.exchange_line(exchange, connection, spool, out),
            Sink::Table(table) => writer.exchange_row(exchange, connection, spool, table),
        }
    }

    /// Writes what is held back.
    pub fn finish(self, writer: &mut Writer) -> Result<(), WriteError> {
        match self {
            Sink::Lines(mut out) => out.flush().map_err(WriteError::Output),
            Sink::Table(table) => {
                let (_, bytes) = table.finish().map_err(WriteError::Output)?;
                writer.wrote(bytes);
                Ok(())
            }
        }
    }
}
