//! What an analyzer shows of an entry beside its packets: no text of the HAR is made for it.

use super::entry;
use super::lookup::Waited;
use super::sanitise::Sanitiser;
use super::target;
use super::timings::{Moments, Phases};
use super::writer::Writer;
use crate::base::FrameNumber;
use crate::base::anomaly::AnomalyKind;
use crate::exchange::{Connection, Exchange};
use crate::http::Upgrade;

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

impl Writer {
    /// An exchange in brief, instead of handing it in as an entry. Nothing when it would become none.
    pub fn brief(&mut self, exchange: &Exchange, connection: &Connection) -> Option<Brief> {
        let head = &exchange.request.head;
        let is_websocket = exchange.upgrade == Some(Upgrade::WebSocket);
        let url = target::url(head, exchange.secure, is_websocket, connection.server)?;
        let (moments, fault) = Moments::of(exchange, connection);
        let waited = moments.connect.and_then(|(opened, _)| self.waited(connection, target::host(&url), opened));
        let phases = moments.phases(waited.map(|Waited { span, .. }| span));
        let visit = entry::visit(exchange, connection, &url, &Sanitiser::default());
        let page = self.page(&visit, &phases);
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
