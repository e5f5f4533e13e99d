//! What an analyzer shows of an entry beside its packets: no text of the HAR is made for it.

use super::entry;
use super::lookup::{Lookups, Waited};
use super::options::Options;
use super::page::{Pages, page_id};
use super::sanitise::Sanitiser;
use super::target;
use super::timings::{Moments, Phases};
use crate::base::anomaly::AnomalyKind;
use crate::base::{FrameNumber, Limits};
use crate::dns::Lookup;
use crate::exchange::{Connection, Exchange};

/// An entry in brief, as far as it is known when its exchange is over: pages and lookups may be decided otherwise at the end.
#[derive(Debug, Clone)]
pub struct Brief {
    /// `request.url`.
    pub url: String,
    /// `request.method`.
    pub method: String,
    /// `httpVersion`.
    pub version: &'static str,
    /// `response.status`; nothing when no response was seen.
    pub status: Option<u16>,
    /// `content.mimeType`, when stated.
    pub mime: Option<String>,
    /// Time and timings.
    pub phases: Phases,
    /// First and last frame of the request.
    pub request: (FrameNumber, FrameNumber),
    /// First and last frame of the response.
    pub response: Option<(FrameNumber, FrameNumber)>,
    /// Number of the page, from 0.
    pub page: u32,
    /// Faults of the exchange.
    pub anomalies: Vec<AnomalyKind>,
}

impl Brief {
    /// `pageref`.
    pub fn page_id(&self) -> String {
        page_id(self.page)
    }
}

/// Makes briefs of exchanges, with the lookups and pages that are known by then.
#[derive(Debug)]
pub struct Briefs {
    lookups: Lookups,
    pages: Pages,
}

impl Briefs {
    /// Nothing seen yet.
    pub fn new(options: &Options, limits: &Limits) -> Self {
        Self { lookups: Lookups::new(limits), pages: Pages::new(options, String::new()) }
    }

    /// A name lookup.
    pub fn lookup(&mut self, lookup: Lookup) {
        self.lookups.insert(lookup);
    }

    /// An exchange in brief. Nothing when it would become no entry.
    pub fn brief(&mut self, exchange: &Exchange, connection: &Connection) -> Option<Brief> {
        let head = &exchange.request.head;
        let url = target::of(exchange, connection)?;
        let (moments, fault) = Moments::of(exchange, connection);
        let ends = (connection.client.address, connection.server.address);
        let waited =
            moments.connect.and_then(|(opened, _)| self.lookups.claim(ends.0, ends.1, target::host(&url), opened));
        let phases = moments.phases(waited.map(|Waited { span, .. }| span));
        let visit = entry::visit(exchange, connection, &url, &Sanitiser::default());
        let (page, _) = self.pages.place(&visit, phases.start, phases.start.saturating_add(phases.total));
        self.pages.json.clear();
        let mut anomalies: Vec<AnomalyKind> = exchange.anomalies.sorted().iter().map(|seen| seen.kind).collect();
        anomalies.extend(fault.filter(|fault| !anomalies.contains(fault)));
        let response = exchange.response.as_ref();
        let mime = response.and_then(|response| response.head.headers.first("content-type"));
        Some(Brief {
            method: entry::method(&head.method),
            version: entry::version(exchange),
            status: response.map(|response| response.head.status),
            mime: mime.map(|mime| super::headers::field_text(mime).into_owned()).filter(|mime| !mime.is_empty()),
            phases,
            request: (exchange.request.start.frame, exchange.request.end.frame),
            response: response.map(|response| (response.start.frame, response.end.frame)),
            page,
            anomalies,
            url: url.into(),
        })
    }
}
