//! Makes entries of exchanges, one shard's at a time; what they have to do with one another is the writer's work.

use std::io;

use super::agent::Agents;
use super::entry::{make, version};
use super::headers::field_text;
use super::listing::{self, Room};
use super::options::{Options, Shape};
use super::reason::reason;
use super::sanitise::Sanitiser;
use super::slip::{Content, Handle, Slip};
use super::subject::{Omitted, Subject};
use super::summary::Summary;
use super::table::Row;
use crate::base::anomaly::AnomalyKind;
use crate::base::{FrameNumber, Limits, Spool, Timestamp};
use crate::dns::Lookup;
use crate::exchange::{Connection, Exchange, TransportFacts};
use crate::tls::info::Decryption;

/// Bytes of a small entry.
const SMALL: usize = 8 << 10;

/// An entry that lacks only what depends on the whole capture.
#[derive(Debug)]
pub struct Entry {
    pub(super) slip: Slip,
    /// The frame with which its exchange was over.
    pub(super) done: FrameNumber,
    pub(super) is_quic: bool,
    /// True when it may have waited for a lookup.
    pub(super) is_unclaimed: bool,
}

impl Entry {
    fn allocated(&self) -> usize {
        size_of::<Self>() + self.slip.allocated()
    }
}

/// A connection that is over.
#[derive(Debug)]
pub struct Closed {
    /// Its first frame.
    pub(super) id: FrameNumber,
    pub(super) is_quic: bool,
    /// The frame with which it was over.
    pub(super) at: FrameNumber,
    /// Why it is to be listed, if it is.
    pub(super) kind: Option<listing::Kind>,
    /// What the list of connections says of it, as JSON; nothing when it has no room there.
    pub(super) listing: Option<Vec<u8>>,
}

/// What a shard tells the writer of some frames.
#[derive(Debug, Default)]
pub struct News {
    /// Exchanges that are over.
    entries: Vec<Entry>,
    /// What these take in memory.
    bytes: usize,
    lookups: Vec<Lookup>,
    /// What lookups take in memory.
    lookup_bytes: usize,
    /// First frames of new TCP connections.
    pub tcp: Vec<FrameNumber>,
    /// First frames of new UDP flows, and whether they may be QUIC.
    pub udp: Vec<(FrameNumber, bool)>,
    /// Connections that are over.
    pub closed: Vec<Closed>,
    /// What may still come.
    pub horizon: Horizon,
    /// Why something is missing.
    pub failure: Option<io::Error>,
}

impl News {
    /// Adds an entry; those beyond `room` bytes go to the spool. What that does not take is lost, which it tells.
    pub fn enter(&mut self, mut entry: Entry, room: usize, spool: &mut Spool) {
        let mut bytes = entry.allocated();
        if self.bytes + bytes > room {
            if !entry.slip.put_away(spool) {
                return;
            }
            bytes = entry.allocated();
        }
        self.bytes += bytes;
        self.entries.push(entry);
    }

    /// Adds a name lookup; those beyond `room` bytes are not remembered.
    pub fn look_up(&mut self, lookup: Lookup, room: usize) {
        self.lookup_bytes += lookup.memory();
        if self.lookup_bytes <= room {
            self.lookups.push(lookup);
        }
    }

    /// Takes out the lookups.
    pub(super) fn take_lookups(&mut self) -> Vec<Lookup> {
        self.lookup_bytes = 0;
        std::mem::take(&mut self.lookups)
    }

    /// Takes out the entries.
    pub(super) fn take_entries(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }

    /// Handles on the entries that are in memory and small, and the bytes of each.
    pub fn handles(&self) -> impl Iterator<Item = (Handle, usize)> {
        let sized = self.entries.iter().map(|entry| (entry, entry.slip.allocated()));
        sized.filter(|&(_, bytes)| bytes <= SMALL).filter_map(|(entry, bytes)| Some((entry.slip.handle()?, bytes)))
    }

    /// What entries and lookups take in memory.
    pub fn allocated(&self) -> usize {
        self.bytes + self.lookup_bytes
    }

    /// True when nothing happened.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.lookups.is_empty()
            && self.tcp.is_empty()
            && self.udp.is_empty()
            && self.closed.is_empty()
            && self.failure.is_none()
    }
}

/// Times before which nothing new is to come from a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Horizon {
    /// No entry that comes later starts earlier, but for the lookup it waited for.
    pub entries: Timestamp,
    /// No lookup that comes later was asked for earlier.
    pub lookups: Timestamp,
}

/// What a shard counted.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub(super) summary: Summary,
    pub(super) agents: Agents,
}

impl Totals {
    /// The numbers; pages, bytes and agents are known when the HAR is written.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Adds what another shard counted; `keep` is [`Limits::anomalies_kept`].
    pub fn merge(&mut self, other: Totals, keep: usize) {
        self.summary.merge(&other.summary, keep);
        self.agents.merge(other.agents);
    }
}

/// Makes entries, and counts.
#[derive(Debug)]
pub struct Maker {
    options: Options,
    sanitiser: Sanitiser,
    keep: usize,
    room: Room,
    totals: Totals,
    failure: Option<io::Error>,
}

impl Maker {
    /// A maker that has seen nothing.
    pub fn new(options: &Options, limits: &Limits) -> Self {
        Self {
            sanitiser: Sanitiser { level: options.sanitise, hide_addresses: options.hide_addresses },
            options: options.clone(),
            keep: limits.anomalies_kept,
            room: Room::default(),
            totals: Totals::default(),
            failure: None,
        }
    }

    /// An exchange is over with the frame `done`: it becomes an entry, unless it is left out.
    pub fn exchange(
        &mut self,
        mut exchange: Box<Exchange>,
        connection: &Connection,
        done: FrameNumber,
        spool: &mut Spool,
    ) -> Option<Entry> {
        let Totals { summary, agents } = &mut self.totals;
        if let Some(agent) = exchange.request.head.headers.first("user-agent") {
            agents.count(&field_text(agent));
        }
        if exchange.response.is_none() {
            summary.unanswered += 1;
            if !self.options.unanswered {
                summary.filtered += 1;
                return None;
            }
        }
        exchange.request.body.kept.settle(spool);
        if let Some(response) = &mut exchange.response {
            response.body.kept.settle(spool);
        }
        let subject = match Subject::new(&mut exchange, connection, &self.options, self.keep) {
            Ok(subject) => subject,
            Err(Omitted::Filtered) => {
                summary.filtered += 1;
                return None;
            }
            Err(Omitted::Refused) => {
                summary.refused += 1;
                return None;
            }
        };
        let made = match self.options.shape {
            Shape::Json => make(&subject).map(Content::Text),
            Shape::Row => Row::new(&subject).map(|row| Content::Row(Box::new(row))),
        };
        let (late, content) = match made {
            Ok(content) => (subject.late(), content),
            Err(error) => {
                self.failure.get_or_insert(error);
                return None;
            }
        };
        let response = exchange.response.as_ref();
        summary.entries += 1;
        summary.truncated += u64::from(response.is_some_and(|response| response.body.has_gap));
        Summary::count(&mut summary.versions, version(&exchange));
        let class = response.map_or(0, |response| response.head.status / 100);
        *summary.statuses.entry(class).or_default() += 1;
        // A hole is the connection's: there it is counted once, however many exchanges it goes through.
        summary.anomalies.merge_without(AnomalyKind::BytesLost, &exchange.anomalies, self.keep);
        let (is_quic, is_unclaimed) = (late.moments.is_quic, late.host.is_some());
        Some(Entry { slip: Slip::new(late, content), done, is_quic, is_unclaimed })
    }

    /// A connection is over with the frame `at`; one without exchanges is listed with the reason, one with faults with these.
    pub fn closed(&mut self, connection: &Connection, at: FrameNumber) -> Closed {
        let mut closed = Closed {
            id: connection.id.0,
            is_quic: matches!(connection.transport, TransportFacts::Quic(_)),
            at,
            kind: listing::Kind::of(connection),
            listing: None,
        };
        let summary = &mut self.totals.summary;
        summary.connections += 1;
        summary.anomalies.merge(&connection.anomalies, self.keep);
        let missing = connection.loss.iter().fold(0, |sum: u64, loss| sum.saturating_add(loss.lost_bytes));
        summary.missing_bytes = summary.missing_bytes.saturating_add(missing);
        summary.missing_connections += u64::from(missing > 0);
        let Some(kind) = closed.kind else { return closed };
        if kind == listing::Kind::WithoutEntry {
            Self::count_barren(summary, connection);
        }
        if self.room.take(kind) {
            let mut text = Vec::new();
            listing::write(&mut text, connection, &self.sanitiser);
            closed.listing = Some(text);
        }
        closed
    }

    /// Counts a connection without an entry by its reason.
    fn count_barren(summary: &mut Summary, connection: &Connection) {
        let reason = reason(connection);
        // What names one connection stands in the list of connections; here the same reason is counted once.
        let common = reason.split_once(" (client random").map_or(reason.as_str(), |(common, _)| common);
        Summary::count(&mut summary.without_entry, common);
        if let Some(tls) = &connection.tls
            && matches!(tls.decryption, Decryption::Failed(_) | Decryption::Pending)
            && let Some(sni) = &tls.sni
        {
            Summary::count(&mut summary.undecrypted, sni);
        }
    }

    /// What was counted so far; pages, bytes and agents are known when the HAR is written.
    pub fn summary(&self) -> &Summary {
        &self.totals.summary
    }

    /// What was counted.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Counts from zero again: what was counted was written.
    pub fn forget(&mut self) {
        self.totals = Totals::default();
        self.room = Room::default();
    }

    /// The first failure of the temporary file, once.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }
}
