//! Orders entries and writes them: while they come, or at the end.

use std::io::{self, Write};

use serde_json::json;

use super::agent::browser;
use super::book::Book;
use super::json::Object;
use super::late::{Decided, Late, date_time};
use super::listing::Room;
use super::lookup::Lookups;
use super::maker::{Entry, Horizon, News, Totals};
use super::options::Options;
use super::page::{self, Pages};
use super::ranks::Ranks;
use super::sanitise::Sanitiser;
use super::side_list::SideList;
use super::slip::Slip;
use super::stream::{Stream, WriteError};
use super::summary::Summary;
use super::table::Rows;
use crate::base::{FrameNumber, Limits, Spool, Timestamp};
use crate::capture::{Disorder, Dropped};

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
    /// What the capture programs say they dropped.
    pub dropped: Dropped,
    /// Frames out of time order.
    pub disorder: Disorder,
}

/// How far times may run backwards in the capture before nothing more is written before its end, in nanoseconds.
const BACKWARDS: u64 = 1_000_000_000;

/// Bytes of entries that wait at the least: what is written soon is still near the processor.
const EAGER: usize = 1 << 20;

/// Takes what the shards tell, and writes it in order.
pub struct Writer {
    options: Options,
    book: Book,
    shelf: Spool,
    lookups: Lookups,
    tcp: Ranks,
    udp: Ranks,
    connections: SideList,
    room: Room,
    unlisted: u64,
    /// Where pages and connections wait.
    sides: Spool,
    press: Press,
    form: Form,
    /// Times before which everything is known.
    passed: Horizon,
}

/// When entries are written.
enum Form {
    /// At the end, in the order of their start.
    Held,
    /// In the order of their start, as soon as memory is wanted and it is sure that nothing comes before them.
    Ordered(Stream<Box<dyn Write + Send>>),
    /// One a line, in the order in which they were over.
    Lines(Stream<Box<dyn Write + Send>>),
    /// Rows of a table, in the same order.
    Table(Box<dyn Rows>),
}

/// Writes one entry after the other.
struct Press {
    sanitiser: Sanitiser,
    pages: Pages,
    /// Pages so far.
    list: SideList,
    is_begun: bool,
    text: Vec<u8>,
}

impl Writer {
    /// A writer that keeps everything for the end.
    pub fn new(options: &Options, limits: &Limits, folder: Option<std::path::PathBuf>) -> Self {
        Self {
            book: Book::new(limits.waiting),
            shelf: Spool::new(folder.clone()),
            lookups: Lookups::new(limits),
            tcp: Ranks::default(),
            udp: Ranks::default(),
            connections: SideList::default(),
            room: Room::default(),
            unlisted: 0,
            sides: Spool::new(folder),
            press: Press::new(options, String::new()),
            form: Form::Held,
            passed: Horizon::default(),
            options: options.clone(),
        }
    }

    /// Lets entries go to `out` in order while others still come; `file` names pages that have no document.
    pub fn stream(&mut self, file: &str, out: Box<dyn Write + Send>) {
        self.press = Press::new(&self.options, file.to_owned());
        self.form = Form::Ordered(Stream::new(out, self.options.pretty));
    }

    /// Lets each entry go to `out` at once, as a line of JSON.
    pub fn lines(&mut self, out: Box<dyn Write + Send>) {
        self.form = Form::Lines(Stream::new(out, false));
    }

    /// Lets each entry become a row of `table`; entries must have been made in the shape of rows.
    pub fn table(&mut self, table: Box<dyn Rows>) {
        self.form = Form::Table(table);
    }

    /// True when entries are to be handed in at once, and not gathered.
    pub fn is_prompt(&self) -> bool {
        matches!(self.form, Form::Lines(_))
    }

    /// Takes what all shards have to tell of the same frames.
    pub fn take(&mut self, shards: &mut [News]) -> Result<(), WriteError> {
        let gather = |of: fn(&mut News) -> Vec<(FrameNumber, bool)>, shards: &mut [News]| -> Vec<(FrameNumber, bool)> {
            shards.iter_mut().flat_map(of).collect()
        };
        self.tcp.open(&mut gather(|news| news.tcp.drain(..).map(|first| (first, true)).collect(), shards));
        self.udp.open(&mut gather(|news| std::mem::take(&mut news.udp), shards));
        for news in &mut *shards {
            if let Some(error) = news.failure.take() {
                return Err(WriteError::Spool(error));
            }
            news.take_lookups().into_iter().for_each(|lookup| self.lookups.insert(lookup));
        }
        if matches!(self.form, Form::Lines(_) | Form::Table(_)) {
            let mut entries: Vec<Entry> = shards.iter_mut().flat_map(News::take_entries).collect();
            entries.sort_by_key(|entry| (entry.done, entry.slip.origin()));
            for entry in entries {
                self.next(self.ranked(entry).slip)?;
            }
        } else {
            for entry in shards.iter_mut().flat_map(News::take_entries) {
                let Entry { slip, is_unclaimed, .. } = self.ranked(entry);
                self.book.push(slip, is_unclaimed, &mut self.shelf);
            }
            if let Some(error) = self.shelf.failure() {
                return Err(WriteError::Spool(error));
            }
        }
        self.close(shards);
        let least =
            |of: fn(&Horizon) -> Timestamp| shards.iter().map(|news| of(&news.horizon)).min().unwrap_or_default();
        self.pass(Horizon { entries: least(|horizon| horizon.entries), lookups: least(|horizon| horizon.lookups) })
    }

    /// Gives an entry the number of its connection.
    fn ranked(&self, mut entry: Entry) -> Entry {
        let ranks = if entry.is_quic { &self.udp } else { &self.tcp };
        entry.slip.set_stream(ranks.get(FrameNumber(entry.slip.origin().0)));
        entry
    }

    /// Lists connections that are over, as far as there is something to say.
    fn close(&mut self, shards: &mut [News]) {
        let is_listless = matches!(self.form, Form::Lines(_) | Form::Table(_));
        let mut closed: Vec<_> = shards.iter_mut().flat_map(|news| news.closed.drain(..)).collect();
        closed.sort_by_key(|closed| (closed.at, closed.id));
        for closed in closed {
            (if closed.is_quic { &mut self.udp } else { &mut self.tcp }).close(closed.id);
            let Some(kind) = closed.kind.filter(|_| !is_listless) else { continue };
            match closed.listing {
                Some(listing) if self.room.take(kind) => self.connections.push(&listing, &mut self.sides),
                _ => self.unlisted += 1,
            }
        }
    }

    /// Everything before these times is known: lookups are given out, and what memory has no room for is written.
    fn pass(&mut self, horizon: Horizon) -> Result<(), WriteError> {
        let before = self.passed.entries;
        if horizon.entries < before && before.nanos_since(horizon.entries) > BACKWARDS {
            // Captures that were put together without order: their entries are sorted at the end.
            self.passed = Horizon { entries: Timestamp(i64::MAX), lookups: Timestamp(i64::MAX) };
        }
        if self.passed.entries == Timestamp(i64::MAX) {
            return Ok(());
        }
        self.passed = Horizon { entries: horizon.entries.max(before), ..horizon };
        let (waiting, most) = self.book.memory();
        let is_wanted = matches!(self.form, Form::Ordered(_)) && waiting > (most / 2).min(EAGER);
        if !is_wanted && !self.lookups.is_crowded() {
            return Ok(());
        }
        let moment = self.passed.entries.0;
        self.book.claim(moment, &mut self.lookups).map_err(WriteError::Spool)?;
        self.lookups.pass(moment);
        let Form::Ordered(out) = &mut self.form else { return Ok(()) };
        if !is_wanted {
            return Ok(());
        }
        let sure = moment.min(self.passed.lookups.0).min(self.lookups.earliest(moment));
        while self.book.memory().0 > (most / 4).min(EAGER / 2)
            && let Some(slip) = self.book.next(sure)
        {
            self.press.entry(&slip, &self.options, &mut self.sides, out)?;
        }
        Ok(())
    }

    /// Writes an entry at once, as a line or a row. Lookups and pages are as far as they are known by now.
    fn next(&mut self, mut slip: Slip) -> Result<(), WriteError> {
        slip.claim(&mut self.lookups)?;
        let late = slip.late()?;
        let press = &mut self.press;
        let decided = press.decide(&late, &slip);
        // Nobody asks for the list of pages in these forms.
        press.pages.json.clear();
        match &mut self.form {
            Form::Lines(out) => {
                press.text.clear();
                press.start(&late, &decided);
                out.write_all(&press.text).map_err(WriteError::Output)?;
                slip.text(|bytes| out.write_all(bytes).map_err(WriteError::Output))?;
                out.write_all(b"}\n").and_then(|()| out.flush()).map_err(WriteError::Output)
            }
            Form::Table(table) => {
                let Some(row) = slip.row()? else { return Ok(()) };
                table.push(&row, &late, &decided).map_err(WriteError::Output)
            }
            Form::Held | Form::Ordered(_) => Ok(()),
        }
    }

    /// A writer with the same entries, to be written while this one goes on.
    pub fn snapshot(&self) -> Self {
        Self {
            options: self.options.clone(),
            book: self.book.snapshot(),
            shelf: Spool::new(None),
            lookups: self.lookups.clone(),
            tcp: self.tcp.clone(),
            udp: self.udp.clone(),
            connections: self.connections.clone(),
            room: self.room,
            unlisted: self.unlisted,
            sides: Spool::new(None),
            press: Press::new(&self.options, String::new()),
            form: Form::Held,
            passed: self.passed,
        }
    }

    /// Forgets entries and listed connections, which were written; stream numbers and lookups go on.
    pub fn forget(&mut self) {
        self.book = Book::new(self.book.memory().1);
        self.connections = SideList::default();
        (self.room, self.unlisted) = (Room::default(), 0);
    }

    /// The capture ends: writes what is left to the output that was given before.
    pub fn finish(mut self, capture: &CaptureFacts, totals: Totals) -> Result<Summary, WriteError> {
        match std::mem::replace(&mut self.form, Form::Held) {
            Form::Held => Ok(totals.summary),
            Form::Ordered(out) => self.conclude(capture, totals, out),
            Form::Lines(mut out) => {
                out.flush().map_err(WriteError::Output)?;
                Ok(self.sum(totals, out.bytes()))
            }
            Form::Table(table) => {
                let bytes = table.finish().map_err(WriteError::Output)?;
                Ok(self.sum(totals, bytes))
            }
        }
    }

    /// What was written one by one, in numbers.
    fn sum(&self, totals: Totals, bytes: u64) -> Summary {
        let Totals { mut summary, agents } = totals;
        summary.pages = self.press.pages.len() as u64;
        summary.agents = agents.ranked();
        summary.bytes = bytes;
        summary
    }

    /// Writes all that was kept for the end.
    pub fn write(mut self, capture: &CaptureFacts, totals: Totals, out: &mut dyn Write) -> Result<Summary, WriteError> {
        self.press = Press::new(&self.options, capture.file.clone());
        let out = Stream::new(out, self.options.pretty);
        self.conclude(capture, totals, out)
    }

    fn conclude<W: Write>(
        mut self,
        capture: &CaptureFacts,
        totals: Totals,
        mut out: Stream<W>,
    ) -> Result<Summary, WriteError> {
        let Self { options, book, lookups, press, sides, .. } = &mut self;
        let Totals { mut summary, agents } = totals;
        summary.agents = agents.ranked();
        book.claim(i64::MAX, lookups).map_err(WriteError::Spool)?;
        while let Some(slip) = book.next(i64::MAX) {
            press.entry(&slip, options, sides, &mut out)?;
        }
        press.begin(options, &mut out)?;
        if press.pages.len() == 0 {
            let (start, mut page) = (capture.first.unwrap_or_default().0.div_euclid(1000), Vec::new());
            page::write(&mut page, 0, &capture.file, start);
            press.list.push(&page, sides);
        }
        summary.pages = press.pages.len().max(1) as u64;
        if let Some(error) = sides.failure() {
            return Err(WriteError::Spool(error));
        }
        self.tail(capture, &summary, &mut out).map_err(WriteError::Output)?;
        summary.bytes = out.bytes();
        Ok(summary)
    }

    /// What stands behind the entries: so one pass is enough, and nothing needs to be known before it. Readers do not mind the order of members.
    fn tail(&self, capture: &CaptureFacts, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"],\"pages\":[")?;
        self.press.list.write(out)?;
        let mut text = b"]".to_vec();
        let mut log = Object::resume(&mut text);
        if let Some((name, version)) = summary.agents.first().and_then(|(agent, _)| browser(agent)) {
            log.value("browser", &json!({"name": name, "version": version}));
        }
        capture_facts(&mut log, capture, summary, self.unlisted);
        log.key("_connections").push(b'[');
        out.write_all(&text)?;
        self.connections.write(out)?;
        out.write_all(b"]}}\n")?;
        out.flush()
    }
}

impl Press {
    fn new(options: &Options, untitled: String) -> Self {
        Self {
            sanitiser: Sanitiser { level: options.sanitise, hide_addresses: options.hide_addresses },
            pages: Pages::new(options, untitled),
            list: SideList::default(),
            is_begun: false,
            text: Vec::new(),
        }
    }

    /// Writes what stands before the entries, once.
    fn begin(&mut self, options: &Options, out: &mut dyn Write) -> Result<(), WriteError> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Ok(());
        }
        let mut text = b"{\"log\":".to_vec();
        let mut log = Object::open(&mut text);
        log.string("version", "1.2");
        log.value("creator", &json!({"name": options.creator.name, "version": options.creator.version}));
        if let Some(comment) = &options.comment {
            log.string("comment", comment);
        }
        log.key("entries").push(b'[');
        out.write_all(&text).map_err(WriteError::Output)
    }

    /// Writes the next entry.
    fn entry(
        &mut self,
        slip: &Slip,
        options: &Options,
        sides: &mut Spool,
        out: &mut dyn Write,
    ) -> Result<(), WriteError> {
        self.text.clear();
        if self.is_begun {
            self.text.extend_from_slice(b",\n");
        }
        self.begin(options, out)?;
        let late = slip.late()?;
        let decided = self.decide(&late, slip);
        self.start(&late, &decided);
        out.write_all(&self.text).map_err(WriteError::Output)?;
        slip.text(|bytes| out.write_all(bytes).map_err(WriteError::Output))?;
        out.write_all(b"}").map_err(WriteError::Output)?;
        if !self.pages.json.is_empty() {
            self.list.push(&self.pages.json, sides);
            self.pages.json.clear();
        }
        Ok(())
    }

    /// Decides what was open about an entry, now that its lookup is known.
    fn decide<'s>(&mut self, late: &Late, slip: &'s Slip) -> Decided<'s> {
        let waited = slip.waited.as_deref();
        let phases = late.moments.phases(waited.map(|waited| waited.span));
        let end = phases.start.saturating_add(phases.total);
        let (page, page_start) = self.pages.place(&late.visit, phases.start, end);
        Decided { page, page_start, phases, waited, stream: slip.stream() }
    }

    /// Appends the start of an entry.
    fn start(&mut self, late: &Late, decided: &Decided<'_>) {
        late.write(&mut self.text, decided, &self.sanitiser);
        self.text.push(b',');
    }
}

fn capture_facts(log: &mut Object<'_>, capture: &CaptureFacts, summary: &Summary, unlisted: u64) {
    let mut facts = serde_json::Map::new();
    facts.insert("file".into(), capture.file.as_str().into());
    facts.insert("packets".into(), capture.packets.into());
    for (key, time) in [("firstPacket", capture.first), ("lastPacket", capture.last)] {
        if let Some(time) = time {
            facts.insert(key.into(), date_time(time.0.div_euclid(1000)).into());
        }
    }
    facts.insert("linkType".into(), capture.link_types.join(", ").into());
    let dropped: serde_json::Map<_, _> =
        capture.dropped.counts().map(|(name, count)| (name.to_owned(), count.into())).collect();
    if !dropped.is_empty() {
        facts.insert("dropped".into(), dropped.into());
    }
    if summary.missing_bytes > 0 {
        let missing = json!({"bytes": summary.missing_bytes, "connections": summary.missing_connections});
        facts.insert("missing".into(), missing);
    }
    let disorder = capture.disorder;
    if let Some(text) = disorder.text() {
        let told = json!({"frames": disorder.frames, "left": disorder.left, "comment": text});
        facts.insert("outOfOrder".into(), told);
    }
    if unlisted > 0 {
        facts.insert("connectionsNotListed".into(), unlisted.into());
    }
    log.value("_capture", &facts);
}
