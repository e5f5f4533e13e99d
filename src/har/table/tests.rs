//! Tables from exchanges made by hand.

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

use super::row::CONTENT;
use super::*;
use crate::base::{FrameNumber, Limits, Spool};
use crate::exchange::{Connection, Exchange, Kept};
use crate::har::maker::Maker;
use crate::har::options::Shape;
use crate::har::samples::{body, connection, exchange, later};

struct Run<W: Write + Send> {
    maker: Maker,
    spool: Spool,
    table: Table<W>,
}

impl<W: Write + Send> Run<W> {
    fn new(options: Options, out: W) -> Self {
        let table = Table::new(&options, None, out).unwrap();
        let options = Options { shape: Shape::Row, ..options };
        Self { maker: Maker::new(&options, &Limits::default()), spool: Spool::new(None), table }
    }

    fn push(&mut self, exchange: Exchange, connection: &Connection) {
        self.try_push(exchange, connection).unwrap();
    }

    fn try_push(&mut self, exchange: Exchange, connection: &Connection) -> io::Result<()> {
        let entry = self.maker.exchange(Box::new(exchange), connection, FrameNumber(1), &mut self.spool).unwrap();
        let mut slip = entry.slip;
        let record = |row: &Row| {
            let mut record = Vec::new();
            row.record(&mut |piece| record.extend_from_slice(piece)).unwrap();
            record
        };
        let (late, row) = (slip.late().unwrap(), slip.row().unwrap().unwrap());
        let phases = late.moments.phases(None);
        self.table.push(&row, &late, &Decided { page: 0, page_start: 0, phases, waited: None, stream: None })?;
        let here = record(&row);
        drop((late, row));
        // All of it may wait in the spool.
        assert!(slip.put_away(&mut self.spool) && slip.allocated() == 0);
        assert!(here == record(&slip.row().unwrap().unwrap()));
        Ok(())
    }
}

fn read(table: Table<Vec<u8>>) -> SerializedFileReader<Bytes> {
    let (bytes, len) = table.finish().unwrap();
    assert_eq!(bytes.len() as u64, len);
    SerializedFileReader::new(Bytes::from(bytes)).unwrap()
}

fn column(name: &str) -> usize {
    COLUMNS.iter().position(|column| column.name == name).unwrap()
}

fn content(len: u64) -> Vec<u8> {
    let mut state = len;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn comments_and_clients_are_shown_unless_hidden() {
    let text = |options: Options, name: &str| {
        let mut run = Run::new(options, Vec::new());
        let mut exchange = exchange("/", &[], &[], b"");
        exchange.comments = vec!["first".into(), "second".into()];
        run.push(exchange, &connection());
        let row = read(run.table).get_row_iter(None).unwrap().next().unwrap().unwrap();
        row.get_string(column(name)).ok().cloned()
    };
    assert_eq!(text(Options::default(), "comment").unwrap(), "first\nsecond");
    assert_eq!(text(Options::default(), "client_address").unwrap(), "10.0.0.2");
    let hidden = Options { sanitise: crate::har::Level::Strict, hide_addresses: true, ..Options::default() };
    assert_eq!(text(hidden.clone(), "comment"), None);
    assert_eq!(text(hidden.clone(), "client_address"), None);
    assert_eq!(text(hidden, "server_address").unwrap(), "192.0.2.1");
}

#[test]
fn content_is_joined_from_its_parts_and_left_out_when_too_large() {
    let whole = content(700_000);
    let mut run = Run::new(Options::default(), Vec::new());
    for fill in [0, CONTENT - 700_000, CONTENT - 699_999] {
        let mut exchange = exchange("/", &[], &[("Content-Type", "image/png")], b"");
        let mut parts = vec![run.spool.append(&whole[..300_000]), run.spool.append(&whole[300_000..600_000])];
        if fill > 0 {
            parts.push(run.spool.append(&vec![7; fill as usize]));
        }
        let body = body(&whole[600_000..]);
        let response = exchange.response.as_mut().unwrap();
        response.body =
            crate::exchange::Body { kept: Kept { spooled: parts, ..body.kept }, size: 700_000 + fill, ..body };
        run.push(exchange, &connection());
    }
    let reader = read(run.table);
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert!(rows[0].get_bytes(column("response_body")).unwrap().data() == whole);
    assert_eq!(rows[1].get_bytes(column("response_body")).unwrap().len() as u64, CONTENT);
    assert!(rows[1].get_string(column("response_body_comment")).is_err());
    assert!(rows[2].get_bytes(column("response_body")).is_err());
    assert!(rows[2].get_string(column("response_body_comment")).unwrap().contains("larger than a row"));
    assert_eq!(rows[2].get_long(column("content_size")).unwrap() as u64, CONTENT + 1);
}

#[test]
fn memory_is_bounded_and_row_groups_are_large() {
    let mut run = Run::new(Options::default(), Vec::new());
    let mut most = 0;
    for number in 0..2500 {
        let one = later(exchange("/", &[], &[], &content(65_536 + number)), number as i64, 0);
        run.push(one, &connection());
        most = most.max(run.table.memory());
    }
    assert!(most < GROUP_MEMORY + 2 * BATCH_BYTES, "{most} bytes were held");
    let reader = read(run.table);
    assert_eq!(reader.num_row_groups(), 2);
    let mut rows = 0;
    for row in reader.get_row_iter(None).unwrap() {
        assert!(row.unwrap().get_bytes(column("response_body")).unwrap().data() == content(65_536 + rows));
        rows += 1;
    }
    assert_eq!(rows, 2500);
}

#[test]
fn small_rows_make_large_groups() {
    let mut run = Run::new(Options::default(), Vec::new());
    for number in 0..5000 {
        run.push(later(exchange(&format!("/{number}"), &[], &[], b"text"), number, 0), &connection());
    }
    let reader = read(run.table);
    assert_eq!((reader.num_row_groups(), reader.metadata().file_metadata().num_rows()), (1, 5000));
}

/// A pipe whose reader goes away.
struct Closing(usize);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 < bytes.len() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_fault_of_the_output_is_told() {
    for room in [4, 100, 2000] {
        let mut run = Run::new(Options::default(), Closing(room));
        run.push(exchange("/", &[], &[], b"text"), &connection());
        let Err(error) = run.table.finish().map(drop) else { panic!("{room} bytes were enough") };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

#[test]
fn a_folder_that_takes_no_temporary_file_is_told() {
    let nowhere = Some("/nonexistent/folder".into());
    let mut run = Run::new(Options::default(), io::sink());
    run.table = Table::new(&Options::default(), nowhere, io::sink()).unwrap();
    let Err(error) = run.try_push(exchange("/", &[], &[], &content(3_000_000)), &connection()) else {
        panic!("nothing was written")
    };
    assert!(error.to_string().starts_with("temporary file: "), "{error}");
}
