//! Collects entries as they come, and writes the file in order at the end.

use std::io::{self, Write};
use std::net::IpAddr;

use serde_json::json;
use thiserror::Error;

use super::agent::{Agents, browser};
use super::draft::write_pieces;
use super::entry::{Made, make, version};
use super::facts;
use super::headers::field_text;
use super::json::Object;
use super::late::{Decided, Late, date_time};
use super::lookup::{Lookups, Waited};
use super::options::Options;
use super::page::{self, Pages, Visit};
use super::pretty::Pretty;
use super::sanitise::Sanitiser;
use super::subject::Subject;
use super::summary::Summary;
use super::table::{Row as TableRow, Table};
use super::timings::Phases;
use crate::base::spool::Extent;
use crate::base::{FrameNumber, Limits, Reader, Short, Spool, Timestamp};
use crate::dns::Lookup;
use crate::exchange::{Connection, Exchange};
use crate::tls::info::Decryption;

/// Bytes of side lists (pages, connections) kept in memory before they go to the spool.
const SIDE_KEPT: usize = 64 << 10;

/// Connections without an entry that are listed; a port scan makes millions, which are only counted.
const CONNECTIONS_LISTED: usize = 10_000;

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

/// What `log._capture` says.
#[derive(Debug, Clone, Default)]
pub struct CaptureFacts {
    /// Name of the capture, without folders; it names pages that have no document.
    pub file: String,
    /// Packets read.
    pub packets: u64,
    /// Time of the earliest packet.
    pub first: Option<Timestamp>,
    /// Time of the latest packet.
    pub last: Option<Timestamp>,
    /// Names of the link types.
    pub link_types: Vec<String>,
}

/// What stays in memory of an entry.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// Start in nanoseconds since 1970; a lookup moves it.
    start: i64,
    connection: u64,
    number: u32,
    /// Where it stands in `waits`, plus 1; 0 when it waited for no handshake.
    wait: u32,
    record: Extent,
}

/// An entry that waited for a handshake, and so may have waited for a lookup.
#[derive(Debug, Clone)]
struct Wait {
    row: u32,
    client: IpAddr,
    server: IpAddr,
    opened: i64,
    host: String,
    waited: Option<Waited>,
}

/// A list of JSON values that grows to any length: text in memory, then in the spool.
#[derive(Debug, Clone, Default)]
struct SideList {
    text: Vec<u8>,
    parts: Vec<Extent>,
    is_begun: bool,
}

impl SideList {
    fn next(&mut self) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.is_begun, true) {
            self.text.push(b',');
        }
        &mut self.text
    }

    fn spill(&mut self, spool: &mut Spool) {
        if self.text.len() > SIDE_KEPT {
            self.parts.push(spool.append(&self.text));
            self.text.clear();
        }
    }

    fn write(&self, spool: &mut Spool, out: &mut dyn Write) -> io::Result<()> {
        super::content::steps(spool, &self.parts, |bytes| out.write_all(bytes))?;
        out.write_all(&self.text)
    }
}

/// Frame numbers of the first packets of connections; a connection's place among them is Wireshark's stream number.
#[derive(Debug, Clone, Default)]
struct Firsts {
    frames: Vec<u64>,
}

impl Firsts {
    /// Shards bring them out of order; in one shard they come in order.
    fn insert(&mut self, frame: u64) {
        match self.frames.last() {
            Some(&last) if last >= frame => {
                if let Err(at) = self.frames.binary_search(&frame) {
                    self.frames.insert(at, frame);
                }
            }
            _ => self.frames.push(frame),
        }
    }

    fn rank(&self, frame: u64) -> Option<u64> {
        self.frames.binary_search(&frame).ok().map(|rank| rank as u64)
    }
}

/// Collects what the engine hands in, and writes it as one HAR.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    sanitiser: Sanitiser,
    limits: Limits,
    rows: Vec<Row>,
    waits: Vec<Wait>,
    lookups: Lookups,
    tcp: Firsts,
    udp: Firsts,
    agents: Agents,
    connections: SideList,
    listed: usize,
    unlisted: u64,
    /// Pages of entries that are written at once.
    pages: Pages,
    line: Vec<u8>,
    failure: Option<io::Error>,
    summary: Summary,
}

impl Writer {
    /// A writer that has seen nothing.
    pub fn new(options: Options, limits: Limits) -> Self {
        Self {
            sanitiser: Sanitiser { level: options.sanitise, hide_addresses: options.hide_addresses },
            pages: new_pages(&options, String::new()),
            options,
            limits,
            rows: Vec::new(),
            waits: Vec::new(),
            lookups: Lookups::default(),
            tcp: Firsts::default(),
            udp: Firsts::default(),
            agents: Agents::default(),
            connections: SideList::default(),
            listed: 0,
            unlisted: 0,
            line: Vec::new(),
            failure: None,
            summary: Summary::default(),
        }
    }

    /// A TCP connection began with this frame.
    pub fn tcp_opened(&mut self, first: FrameNumber) {
        self.tcp.insert(first.0);
    }

    /// A UDP flow began with this frame.
    pub fn udp_opened(&mut self, first: FrameNumber) {
        self.udp.insert(first.0);
    }

    /// A name lookup.
    pub fn lookup(&mut self, lookup: Lookup) {
        self.lookups.insert(lookup, self.limits.lookups);
    }

    /// A connection is over; one without exchanges is listed with the reason.
    pub fn connection_closed(&mut self, connection: &Connection, spool: &mut Spool) {
        self.summary.connections += 1;
        self.summary.anomalies.merge(&connection.anomalies, self.limits.anomalies_kept);
        if connection.exchanges > 0 {
            return;
        }
        let reason = facts::reason(connection);
        // What names one connection stands in the list of connections; here the same reason is counted once.
        let common = reason.split_once(" (client random").map_or(reason.as_str(), |(common, _)| common);
        Summary::count(&mut self.summary.without_entry, common);
        if let Some(tls) = &connection.tls
            && matches!(tls.decryption, Decryption::Failed(_) | Decryption::Pending)
            && let Some(sni) = &tls.sni
        {
            Summary::count(&mut self.summary.undecrypted, sni);
        }
        if self.listed == CONNECTIONS_LISTED {
            self.unlisted += 1;
            return;
        }
        self.listed += 1;
        facts::without_entry(self.connections.next(), connection, &self.sanitiser);
        self.connections.spill(spool);
    }

    /// An exchange is complete: it becomes an entry, which leaves memory at once.
    pub fn exchange(&mut self, mut exchange: Exchange, connection: &Connection, spool: &mut Spool) {
        let number = exchange.number;
        let Some(ready) = self.ready(&mut exchange, connection, |subject| make(subject, spool)) else { return };
        let mut record = Vec::with_capacity(4 + ready.late.len() + ready.pieces.len());
        record.extend_from_slice(&(ready.late.len() as u32).to_be_bytes());
        record.extend_from_slice(&ready.late);
        record.extend_from_slice(&ready.pieces);
        let record = spool.append(&record);
        if record.len == 0 {
            // The temporary file takes no more, which the spool tells; what it has can still be written.
            self.summary.entries -= 1;
            return;
        }
        let row = self.rows.len() as u32;
        let mut wait = 0;
        if let Some((opened, _)) = ready.moments.connect {
            self.waits.push(Wait {
                row,
                client: connection.client.address,
                server: connection.server.address,
                opened,
                host: ready.host,
                waited: None,
            });
            wait = self.waits.len() as u32;
        }
        self.rows.push(Row { start: ready.moments.start(), connection: connection.id.0.0, number, wait, record });
    }

    /// The lookup that a connection waited for, as far as lookups are known by now.
    pub(super) fn waited(&mut self, connection: &Connection, host: &str, opened: i64) -> Option<Waited> {
        self.lookups.claim(connection.client.address, connection.server.address, host, opened)
    }

    /// The page of an entry that is not written.
    pub(super) fn page(&mut self, visit: &Visit<'_>, phases: &Phases) -> u32 {
        let (page, _) = self.pages.place(visit, phases.start, phases.start.saturating_add(phases.total));
        self.pages.json.clear();
        page
    }

    /// Writes the entry at once as one line of JSON. Lookups, stream numbers and pages are as far as they are known by now.
    pub fn exchange_line(
        &mut self,
        mut exchange: Exchange,
        connection: &Connection,
        spool: &mut Spool,
        out: &mut dyn Write,
    ) -> Result<(), WriteError> {
        let ready = self.ready(&mut exchange, connection, |subject| make(subject, spool));
        let Some(ready) = ready else { return Ok(()) };
        let Ok(late) = serde_json::from_slice::<Late<'_>>(&ready.late) else { return Ok(()) };
        let waited = self.waited_by(&late, connection, &ready.host);
        let decided = self.decided(&late, waited.as_ref());
        self.line.clear();
        late.write(&mut self.line, &decided, &self.sanitiser);
        self.line.push(b',');
        let mut out = Counted { into: out, bytes: 0 };
        out.write_all(&self.line).map_err(WriteError::Output)?;
        write_pieces(&ready.pieces, spool, &mut out).map_err(WriteError::Output)?;
        out.write_all(b"}\n").and_then(|()| out.flush()).map_err(WriteError::Output)?;
        self.summary.bytes += out.bytes;
        Ok(())
    }

    /// Adds the entry to a table at once. Lookups, stream numbers and pages are as far as they are known by now.
    pub fn exchange_row<W: Write + Send>(
        &mut self,
        mut exchange: Exchange,
        connection: &Connection,
        spool: &mut Spool,
        table: &mut Table<W>,
    ) -> Result<(), WriteError> {
        let made = self.ready(&mut exchange, connection, |subject| {
            let late = serde_json::to_vec(&subject.late()).map_err(io::Error::from)?;
            Ok(Some((TableRow::new(subject, spool)?, late, subject.host.clone())))
        });
        let Some((row, late, host)) = made else { return Ok(()) };
        let Ok(late) = serde_json::from_slice::<Late<'_>>(&late) else { return Ok(()) };
        let waited = self.waited_by(&late, connection, &host);
        let decided = self.decided(&late, waited.as_ref());
        table.push(&row, &late, &decided).map_err(WriteError::Output)
    }

    /// The lookup that an entry waited for, as far as lookups are known by now.
    fn waited_by(&mut self, late: &Late<'_>, connection: &Connection, host: &str) -> Option<Waited> {
        late.moments.connect.and_then(|(opened, _)| self.waited(connection, host, opened))
    }

    /// What is decided about an entry that does not wait for the others.
    fn decided<'w>(&mut self, late: &Late<'_>, waited: Option<&'w Waited>) -> Decided<'w> {
        let decided = decide(late, waited, stream(&self.tcp, &self.udp, late), &mut self.pages);
        // Nobody asks for the list of pages in this form.
        self.pages.json.clear();
        decided
    }

    /// Counts what went out without passing through here.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.summary.bytes += bytes;
    }

    /// What was written one by one, in numbers.
    pub fn finish_lines(mut self) -> Result<Summary, WriteError> {
        if let Some(error) = self.failure.take() {
            return Err(WriteError::Spool(error));
        }
        self.summary.pages = self.pages.len() as u64;
        self.summary.agents = self.agents.ranked();
        Ok(self.summary)
    }

    /// Counts an exchange, and makes what it becomes of it.
    fn ready<T>(
        &mut self,
        exchange: &mut Exchange,
        connection: &Connection,
        make: impl FnOnce(&Subject<'_>) -> io::Result<Option<T>>,
    ) -> Option<T> {
        if let Some(agent) = exchange.request.head.headers.first("user-agent") {
            self.agents.count(&field_text(agent));
        }
        if exchange.response.is_none() {
            self.summary.unanswered += 1;
            if !self.options.unanswered {
                self.summary.filtered += 1;
                return None;
            }
        }
        let made = match Subject::new(exchange, connection, &self.options, self.limits.anomalies_kept) {
            Ok(subject) => make(&subject),
            Err(Made::Filtered) => {
                self.summary.filtered += 1;
                return None;
            }
            Err(Made::Refused) => Ok(None),
        };
        let made = match made {
            Ok(Some(made)) => made,
            Ok(None) => {
                self.summary.refused += 1;
                return None;
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                return None;
            }
        };
        let response = exchange.response.as_ref();
        self.summary.entries += 1;
        self.summary.truncated += u64::from(response.is_some_and(|response| response.body.has_gap));
        Summary::count(&mut self.summary.versions, version(exchange));
        let class = response.map_or(0, |response| response.head.status / 100);
        *self.summary.statuses.entry(class).or_default() += 1;
        self.summary.anomalies.merge(&exchange.anomalies, self.limits.anomalies_kept);
        Some(made)
    }

    /// What was collected so far, in numbers; pages and bytes are known when it is written.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// A writer with the same entries, to be written while this one goes on.
    pub fn snapshot(&self) -> Self {
        Self {
            options: self.options.clone(),
            sanitiser: self.sanitiser,
            limits: self.limits.clone(),
            rows: self.rows.clone(),
            waits: self.waits.clone(),
            lookups: self.lookups.clone(),
            tcp: self.tcp.clone(),
            udp: self.udp.clone(),
            agents: self.agents.clone(),
            connections: self.connections.clone(),
            listed: self.listed,
            unlisted: self.unlisted,
            pages: new_pages(&self.options, String::new()),
            line: Vec::new(),
            failure: None,
            summary: self.summary.clone(),
        }
    }

    /// Forgets entries and listed connections, which were written; stream numbers and lookups go on.
    pub fn forget(&mut self) {
        self.rows = Vec::new();
        self.waits = Vec::new();
        self.agents = Agents::default();
        self.connections = SideList::default();
        (self.listed, self.unlisted) = (0, 0);
        self.summary = Summary::default();
    }

    /// The first failure of the temporary file, once.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Writes the file.
    pub fn finish(
        mut self,
        capture: &CaptureFacts,
        spool: &mut Spool,
        out: &mut dyn Write,
    ) -> Result<Summary, WriteError> {
        if let Some(error) = self.failure.take().or_else(|| spool.failure()) {
            return Err(WriteError::Spool(error));
        }
        self.attribute_lookups();
        self.rows.sort_unstable_by_key(|row| (row.start, row.connection, row.number, row.record.at));
        self.summary.agents = std::mem::take(&mut self.agents).ranked();
        let mut out = Counted { into: out, bytes: 0 };
        if self.options.pretty {
            let mut pretty = Pretty::new(&mut out);
            self.write(capture, spool, &mut pretty)?;
        } else {
            self.write(capture, spool, &mut out)?;
        }
        out.write_all(b"\n").and_then(|()| out.flush()).map_err(WriteError::Output)?;
        self.summary.bytes = out.bytes;
        Ok(self.summary)
    }

    /// Gives each lookup to the first entry, in time, that waited for it.
    fn attribute_lookups(&mut self) {
        let rows = &mut self.rows;
        self.waits.sort_by_key(|wait| rows.get(wait.row as usize).map(|row| (row.start, row.connection)));
        for (at, wait) in self.waits.iter_mut().enumerate() {
            let Some(row) = rows.get_mut(wait.row as usize) else { continue };
            row.wait = at as u32 + 1;
            wait.waited = self.lookups.claim(wait.client, wait.server, &wait.host, wait.opened);
            if let Some(waited) = &wait.waited {
                row.start = waited.span.0.min(row.start);
            }
        }
        self.waits.shrink_to_fit();
    }

    fn write(&mut self, capture: &CaptureFacts, spool: &mut Spool, out: &mut dyn Write) -> Result<(), WriteError> {
        let mut text = b"{\"log\":".to_vec();
        let mut log = Object::open(&mut text);
        log.string("version", "1.2");
        log.value("creator", &json!({"name": self.options.creator.name, "version": self.options.creator.version}));
        if let Some((name, version)) = self.summary.agents.first().and_then(|(agent, _)| browser(agent)) {
            log.value("browser", &json!({"name": name, "version": version}));
        }
        if let Some(comment) = &self.options.comment {
            log.string("comment", comment);
        }
        capture_facts(&mut log, capture, self.unlisted);
        log.key("entries").push(b'[');
        out.write_all(&text).map_err(WriteError::Output)?;
        // Pages follow the entries, though readers expect them first and do not mind: so one pass over the spool is enough.
        let pages = self.entries(capture, spool, out)?;
        let failed = WriteError::Output;
        out.write_all(b"],\"pages\":[").map_err(failed)?;
        pages.write(spool, out).map_err(failed)?;
        out.write_all(b"],\"_connections\":[").map_err(failed)?;
        self.connections.write(spool, out).map_err(failed)?;
        out.write_all(b"]}}").map_err(failed)
    }

    /// Writes the entries in order, and gives back their pages.
    fn entries(
        &mut self,
        capture: &CaptureFacts,
        spool: &mut Spool,
        out: &mut dyn Write,
    ) -> Result<SideList, WriteError> {
        let mut pages = new_pages(&self.options, capture.file.clone());
        let mut list = SideList::default();
        let (mut record, mut text) = (Vec::new(), Vec::new());
        let damaged = |Short| WriteError::Spool(io::ErrorKind::InvalidData.into());
        for (at, row) in self.rows.iter().enumerate() {
            spool.read(row.record, &mut record).map_err(WriteError::Spool)?;
            let mut reader = Reader::new(&record);
            let len = reader.u32().map_err(damaged)?;
            let late = reader.take(len as usize).map_err(damaged)?;
            let late: Late<'_> = serde_json::from_slice(late).map_err(|error| WriteError::Spool(error.into()))?;
            let wait = (row.wait as usize).checked_sub(1).and_then(|at| self.waits.get(at));
            let waited = wait.and_then(|wait| wait.waited.as_ref());
            text.clear();
            if at > 0 {
                text.extend_from_slice(b",\n");
            }
            let decided = decide(&late, waited, stream(&self.tcp, &self.udp, &late), &mut pages);
            late.write(&mut text, &decided, &self.sanitiser);
            text.push(b',');
            out.write_all(&text).map_err(WriteError::Output)?;
            write_pieces(reader.rest(), spool, out).map_err(WriteError::Output)?;
            out.write_all(b"}").map_err(WriteError::Output)?;
            list.text.append(&mut pages.json);
            list.spill(spool);
        }
        if pages.len() == 0 {
            let start = capture.first.unwrap_or_default().0.div_euclid(1000);
            page::write(&mut list.text, 0, &capture.file, start);
        }
        self.summary.pages = pages.len().max(1) as u64;
        Ok(list)
    }
}

fn new_pages(options: &Options, untitled: String) -> Pages {
    let micros = |nanos: u64| i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
    Pages::new(options.pages, micros(options.page_idle), micros(options.page_span), untitled)
}

fn stream(tcp: &Firsts, udp: &Firsts, late: &Late<'_>) -> Option<u64> {
    if late.moments.is_quic { udp.rank(late.connection) } else { tcp.rank(late.connection) }
}

/// Decides what is open about an entry, now that its lookup is known.
fn decide<'w>(late: &Late<'_>, waited: Option<&'w Waited>, stream: Option<u64>, pages: &mut Pages) -> Decided<'w> {
    let phases = late.moments.phases(waited.map(|waited| waited.span));
    let (page, page_start) = pages.place(&late.visit, phases.start, phases.start.saturating_add(phases.total));
    Decided { page, page_start, phases, waited, stream }
}

fn capture_facts(log: &mut Object<'_>, capture: &CaptureFacts, unlisted: u64) {
    let mut facts = serde_json::Map::new();
    facts.insert("file".into(), capture.file.as_str().into());
    facts.insert("packets".into(), capture.packets.into());
    for (key, time) in [("firstPacket", capture.first), ("lastPacket", capture.last)] {
        if let Some(time) = time {
            facts.insert(key.into(), date_time(time.0.div_euclid(1000)).into());
        }
    }
    facts.insert("linkType".into(), capture.link_types.join(", ").into());
    if unlisted > 0 {
        facts.insert("connectionsNotListed".into(), unlisted.into());
    }
    log.value("_capture", &facts);
}

/// Counts what passes.
struct Counted<'w> {
    into: &'w mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.into.write(bytes)?;
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}
