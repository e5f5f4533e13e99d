//! Entries as rows of a table: [Apache Parquet](https://parquet.apache.org/docs/file-format/), written by Arrow's own writer.

mod build;
mod columns;
mod pages;
mod row;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use self::build::Builder;
use self::columns::{COLUMNS, Cells, Kind};
use self::pages::Pages;
use super::counted::Counted;
use super::late::{Decided, Late};
use super::options::Options;
use super::sanitise::Sanitiser;
pub use row::Row;

/// Rows that are encoded together.
const BATCH: usize = 1024;
/// Bytes of rows that are encoded together; content counts.
const BATCH_BYTES: usize = 2 << 20;
/// Rows of a row group: as many as readers like to give one thread.
const GROUP: usize = 120_000;
/// Bytes of a row group, encoded.
const GROUP_BYTES: usize = 128 << 20;
/// Bytes that a row group may hold in memory before it is written.
const GROUP_MEMORY: usize = 16 << 20;

/// Writes rows as one Parquet file. Memory is bounded: a row group is written when it has many rows or many bytes.
pub struct Table<W: Write + Send> {
    sanitiser: Sanitiser,
    schema: Arc<Schema>,
    builders: Vec<Builder>,
    rows: usize,
    bytes: usize,
    pages: Pages,
    writer: ArrowWriter<Counted<W>>,
}

/// A table that is being written, whatever writes it.
pub trait Rows: Send {
    /// Adds an entry, now that everything about it is decided.
    fn push(&mut self, row: &Row, late: &Late, decided: &Decided<'_>) -> io::Result<()>;

    /// Writes what is left, and says how many bytes it was all together.
    fn finish(self: Box<Self>) -> io::Result<u64>;
}

/// Opens a table that goes to an output; its temporary file lies in a folder, or where the system keeps such files.
///
/// Only who offers tables names one: so the writer, which every door needs, does not bring Arrow into the plugin.
pub type Open = fn(&Options, Option<PathBuf>, Box<dyn Write + Send>) -> io::Result<Box<dyn Rows>>;

/// Opens a Parquet file.
pub fn open(options: &Options, folder: Option<PathBuf>, out: Box<dyn Write + Send>) -> io::Result<Box<dyn Rows>> {
    Ok(Box::new(Table::new(options, folder, out)?))
}

impl<W: Write + Send> Rows for Table<W> {
    fn push(&mut self, row: &Row, late: &Late, decided: &Decided<'_>) -> io::Result<()> {
        Table::push(self, row, late, decided)
    }

    fn finish(self: Box<Self>) -> io::Result<u64> {
        Table::finish(*self).map(|(_, bytes)| bytes)
    }
}

impl<W: Write + Send> Table<W> {
    /// A table without rows. Its temporary file, if it needs one, lies in `folder`, or where the system keeps such files.
    pub fn new(options: &Options, folder: Option<PathBuf>, out: W) -> io::Result<Self> {
        let schema = Arc::new(Schema::new(COLUMNS.iter().map(build::field).collect::<Vec<_>>()));
        let pages = Pages::new(folder);
        // Without Arrow's own schema every reader takes the plain types of the format.
        let choices = ArrowWriterOptions::new()
            .with_properties(properties(options))
            .with_page_store_factory(Arc::new(pages.clone()))
            .with_skip_arrow_metadata(true)
            .with_schema_root("entries".into());
        let writer = ArrowWriter::try_new_with_options(Counted::new(out), schema.clone(), choices).map_err(failed)?;
        Ok(Self {
            sanitiser: Sanitiser { level: options.sanitise, hide_addresses: options.hide_addresses },
            schema,
            builders: COLUMNS.iter().map(Builder::new).collect(),
            rows: 0,
            bytes: 0,
            pages,
            writer,
        })
    }

    /// Adds an entry, now that everything about it is decided.
    pub fn push(&mut self, row: &Row, late: &Late, decided: &Decided<'_>) -> io::Result<()> {
        let cells = Cells { row, late, decided, sanitiser: &self.sanitiser };
        for (column, builder) in COLUMNS.iter().zip(&mut self.builders) {
            builder.push(column, &cells).map_err(arrow_failed)?;
        }
        self.rows += 1;
        self.bytes += row.memory();
        if self.rows >= BATCH || self.bytes >= BATCH_BYTES {
            self.encode()?;
        }
        Ok(())
    }

    /// Encodes the rows at hand.
    fn encode(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let columns = self.builders.iter_mut().map(Builder::finish).collect::<Result<_, _>>().map_err(arrow_failed)?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(arrow_failed)?;
        (self.rows, self.bytes) = (0, 0);
        self.writer.write(&batch).map_err(failed)?;
        let writer = &mut self.writer;
        if writer.memory_size() >= GROUP_MEMORY
            || writer.in_progress_size() >= GROUP_BYTES
            || writer.in_progress_rows() >= GROUP
        {
            writer.flush().map_err(failed)?;
            self.pages.forget()?;
        }
        Ok(())
    }

    /// Bytes of rows that are held in memory, about.
    pub fn memory(&self) -> usize {
        self.bytes + self.writer.memory_size()
    }

    /// Writes what is left and the footer, and gives the output back, with the bytes that it took.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.encode()?;
        let mut out = self.writer.into_inner().map_err(failed)?;
        out.flush()?;
        Ok((out.into, out.bytes))
    }
}

fn properties(options: &Options) -> WriterProperties {
    let creator = format!("{} {}", options.creator.name, options.creator.version);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        // The index of pages stays in memory until the end, and so does what is told of each column of a row group.
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(vec![KeyValue::new("creator".to_owned(), creator)]));
    for column in COLUMNS {
        let path = |rest: &[&str]| {
            let names = [column.name].iter().chain(rest).map(|&name| name.to_owned()).collect();
            ColumnPath::new(names)
        };
        let paths = match column.kind {
            Kind::Bytes(_) => vec![path(&[])],
            Kind::Fields(_) => vec![path(&["list", "element", "name"]), path(&["list", "element", "value"])],
            Kind::Texts(_) => vec![path(&["list", "element"])],
            _ => continue,
        };
        for path in paths {
            // Nobody looks for the least or greatest of these.
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            if matches!(column.kind, Kind::Bytes(_)) {
                properties = properties.set_column_dictionary_enabled(path, false);
            }
        }
    }
    properties.build()
}

/// The fault of the output, when it is one.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

fn arrow_failed(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}
